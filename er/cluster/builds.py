"""Jobs that build the engines which others serve."""

import hashlib
import json
from pathlib import Path

from er.config import Config
from er.config.plain import plain
from er.config.trtllm import TrtllmEngine
from er.engine import cache, trtllm, trtllm_build
from er.engine.trtllm_build import Sources


def needed(config: Config) -> bool:
    """Whether no engine is in the cache that could be the one.

    Its whole key has the GPU and the image of the node that builds it; here, on a login node, only
    the commands are held against those of the engines that are there.
    Raises ConfigError when there can be no such engine.
    """
    if not isinstance(config.engine, TrtllmEngine):
        return False
    request = trtllm.request_of(config)
    asked = trtllm_build.wanted(request, Sources("", "", "", config.hardware.name)).request
    same = ("commands", "trtllm_version")
    for path in cache.engines(Path(config.cache_dir) / "engines"):
        known = json.loads((path / cache.REQUEST).read_text())
        if all(known.get(name) == asked[name] for name in same):
            return False
    return True


def key_of(config: Config) -> str:
    """What tells builds of a study apart: deployments of one engine share its build."""
    deployment = plain(config.deployment)
    decisive = {name: deployment[name] for name in ("model", "precision", "tp")}
    values = [decisive, plain(config.engine), plain(config.hardware), config.cache_dir]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
