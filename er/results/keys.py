"""Keys that decide whether a point has to be measured again, and which runs can be compared.

A point is identified by the key of its run and its concurrency. The key of a run is a digest of
everything that decides its points; the key of a study is a digest of what comparable runs share.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from er.config import ClockKind, Cluster, Config, SlurmCluster
from er.config.plain import plain
from er.errors import ConfigError
from er.results import code
from er.results.files import digest_of

# Sections, and values of sections, that do not influence a point. Everything else does.
NAMES = {"study", "figures", "repeats", "runs_dir", "cache_dir", "tracking", "cluster"}
VALUES = {
    "deployment": {"id", "labels", "replicas"},  # replicas: experts and routing.policy say the same
    "load": {"name", "concurrency", "request_timeout_s", "headers", "tls_verify"},
    "workload": {"name", "description"},
    "corpus": {"name"},
    "server": {"ready_timeout_s", "stop_timeout_s", "http_port", "grpc_port", "metrics_port"},
    "gateway": {
        "host",
        "port",
        "admin_port",
        "ready_timeout_s",
        "service_s",
        "timeouts",
        "limits",
        "experts",
        "api_keys_file",
    },
}
# Values that only matter on the real clock, not for predictions.
REAL_ONLY = {
    "load": {"client", "workers", "gateway_probes", "max_loop_lag_s", "min_concurrency"},
}
# Values that conf/ derives from the deployment.
FOLLOWING = (("routing", "clusters"), ("engine", "checkpoint"), ("engine", "checkpoint_fp8"))
# Values that are paths of files: their contents count.
FILES = (("workload", "path"), ("corpus", "path"), ("load", "trace"))


def run_key(config: Config, engine: str = "", corpus: str = "") -> str:
    """SHA-256, in hexadecimal digits, of everything that decides the points of a run.

    `engine` and `corpus` are the digests of a built engine and of the texts of the corpus.
    """
    virtual = config.clock.kind is ClockKind.virtual
    code_digest = code.digest_of_simulating() if virtual else code.digest_of_measuring()
    return _sha256([decisive(config), engine, corpus, code_digest])


def study_key(config: Config) -> str:
    """SHA-256, in hexadecimal digits, of what comparable runs share: everything but the deployment.

    Values that conf/ derives from the deployment are left out too.
    """
    shared = decisive(config)
    shared.pop("deployment")
    for group in ("routing", "gateway"):
        shared[group] = _without_names(plain(config), group)
    for group, name in FOLLOWING:
        shared[group].pop(name, None)
    return _sha256(shared)


def decisive(config: Config) -> dict[str, Any]:
    """The values that decide a point, by section; files are replaced by their digests."""
    values = plain(config)
    chosen = {
        group: _without_names(values, group) if isinstance(value, dict) else value
        for group, value in values.items()
        if group not in NAMES
    }
    for group, name in FILES:
        if chosen[group].get(name):
            chosen[group][name] = file_digest(f"{group}.{name}", Path(chosen[group][name]))
    if not config.deployment.routed:
        chosen["routing"] = chosen["gateway"] = {}
    if config.clock.kind is ClockKind.virtual:
        chosen["server"] = chosen["gateway"] = {}
        for group, names in REAL_ONLY.items():
            chosen[group] = {n: v for n, v in chosen[group].items() if n not in names}
    else:
        chosen["clock"] = {"kind": config.clock.kind.value}  # the other values are for predictions
        networks = networks_of(config.cluster)
        if networks:
            chosen["cluster"] = networks
    return chosen


def file_digest(key: str, path: Path) -> str:
    """SHA-256 of the file that the key `key` of a configuration names.

    Raises ConfigError when the file cannot be read.
    """
    try:
        return digest_of(path)
    except OSError as error:
        raise ConfigError(f"{key} is {path}: {error.strerror}: correct the path") from error


def networks_of(cluster: Cluster) -> dict[str, Any]:
    """Settings that put a network between users, gateway and servers; empty on a single node."""
    if not isinstance(cluster, SlurmCluster):
        return {}
    found: dict[str, Any] = {"load_node": True} if cluster.load_node else {}
    found |= {"load_nodes": cluster.load_nodes} if cluster.load_nodes > 1 else {}
    return found | ({"nodes": cluster.nodes} if cluster.nodes > 1 else {})


def _without_names(values: dict[str, Any], group: str) -> dict[str, Any]:
    """One section without the values that do not influence a point."""
    left_out = VALUES.get(group, set())
    return {name: value for name, value in values[group].items() if name not in left_out}


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
