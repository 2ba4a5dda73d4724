"""Commands for NVIDIA's tools in our documentation and messages, beside the tools' options."""

import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACTS = json.loads(Path(__file__).with_name("ptq_0.46.0.json").read_text())


@pytest.mark.parametrize("file", ["docs/gpu-node.md", "er/engine/llmapi.py"])
def test_the_fp8_recipe_has_options_that_its_version_takes(file: str) -> None:
    text = re.sub(r'"\s*f?"', "", (ROOT / file).read_text())  # Python's strings, joined
    commands = re.findall(r"hf_ptq\.py ([^`\n()]*--export_path \S+)", text)
    assert commands
    for command in commands:
        options = [word for word in shlex.split(command) if word.startswith("--")]
        assert set(options) <= set(FACTS["options"])
        assert "--kv_cache_qformat none" in command, "or the KV cache would be in FP8"
    assert f"{FACTS['tag']}" in text


def test_the_gpu_page_names_commands_and_choices_that_exist() -> None:
    from er import build
    from er.compose import plan

    page = (ROOT / "docs/gpu-node.md").read_text()
    actions = set(re.findall(r"action=(\w+)", page))
    assert actions <= set(build.ACTIONS)
    for variant in set(re.findall(r"engine=(trtllm\w*|llmapi\w*)", page)):
        more = ["engine.calibration=/texts"] if "smoothquant" in variant else []
        assert plan([f"engine={variant}", "server=container", *more])
