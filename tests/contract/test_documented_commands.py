"""Commands for others' tools in our documentation and messages, beside what the tools take."""

import json
import re
import shlex
from pathlib import Path

import pytest

from er.compose import plan
from er.process.launchers import pyxis
from tests.contract import read_tools

ROOT = Path(__file__).parents[2]
FACTS = json.loads(read_tools.FACTS.read_text())
PTQ = FACTS["hf_ptq.py"]
PAGE = (ROOT / "docs/gpu-node.md").read_text()


@pytest.mark.parametrize("file", ["docs/gpu-node.md", "er/engine/llmapi.py"])
def test_the_fp8_recipe_has_options_and_values_that_its_version_takes(file: str) -> None:
    text = re.sub(r'"\s*f?"', "", (ROOT / file).read_text())  # Python's strings, joined
    commands = re.findall(r"(\S*hf_ptq\.py) ([^`\n()]*--export_path \S+)", text)
    assert commands
    for script, arguments in commands:
        assert script.removeprefix("Model-Optimizer/").lstrip("(") in PTQ["files"]
        words = shlex.split(arguments)
        given = dict(zip(words[::2], words[1::2], strict=True))
        assert set(given) <= set(PTQ["options"])
        for option, values in PTQ["values"].items():
            assert given.get(option, values[0]) in values
        assert given["--kv_cache_qformat"] == "none", "or the KV cache would be in FP8"
    assert f"{PTQ['tag']}" in text


def test_the_sources_of_the_fp8_recipe_exist() -> None:
    (clone,) = re.findall(r"git clone --branch (\S+) --depth 1 (\S+)", PAGE)
    assert clone == (PTQ["tag"], PTQ["source"])
    (extra,) = re.findall(r"\./Model-Optimizer\[(\w+)\]", PAGE)
    assert extra in PTQ["extras"]
    (requirements,) = re.findall(r"Model-Optimizer/(\S+requirements\.txt)", PAGE)
    assert requirements in PTQ["files"]
    assert set(re.findall(r"nvcr\.io/nvidia/tensorrt-llm\S+\d", PAGE)) == set(PTQ["images"])


def test_the_commands_that_make_images_have_valid_options() -> None:
    enroot = FACTS["enroot import"]
    assert "docker://[USER@][REGISTRY#]IMAGE[:TAG]" in enroot["addresses"]
    for engine in ("trtllm", "llmapi"):
        [config] = plan([f"engine={engine}", "server=container", "deployment=e"])
        image = config.engine.container.image
        assert re.fullmatch(r"[\w.-]+#[\w./-]+:[\w.-]+", pyxis.image(image))
        assert f"docker pull {image}" in PAGE
    for option, address in re.findall(r"enroot import (\S+) \S+ '(\S+)'", PAGE):
        assert option in enroot["options"]
        assert re.fullmatch(r"docker://[\w.-]+#[\w./-]+:[\w.-]+", address)
    assert set(re.findall(r"50-[\w-]+\.sh", PAGE)) <= set(enroot["hooks"])


def test_the_page_names_the_sources_that_were_read() -> None:
    assert read_tools.BEGIN + read_tools.table(FACTS) + read_tools.END in PAGE
    assert all(len(facts["commit"]) == 40 for facts in FACTS.values())


def test_the_gpu_page_names_commands_and_choices_that_exist() -> None:
    from er import build

    actions = set(re.findall(r"action=(\w+)", PAGE))
    assert actions <= set(build.ACTIONS)
    for variant in set(re.findall(r"engine=(trtllm\w*|llmapi\w*)", PAGE)):
        more = ["engine.calibration=/texts"] if "smoothquant" in variant else []
        assert plan([f"engine={variant}", "server=container", *more])


def test_the_gpu_page_names_evidence_that_is_recorded() -> None:
    from er.load.gpus import GpuWatch, Sample
    from er.load.server_watch import Watch

    gauges = {"max": 9.0, "tokens_per": 64.0, "used": 1.0}
    servers = Watch(servers=[[gauges]], stub_cpu_s=[1.0], span_s=1.0)
    gpus = GpuWatch([Sample(0.0, 0, 1.0, 1.0, 1.0, 1.0)], energy_j=1.0)
    recorded = {**servers.evidence(), **gpus.evidence(tokens=1)}
    named = set(re.findall(r"`((?:server|gpu)_\w+)`", PAGE))
    endings = tuple(re.findall(r"`(_\w+)`", PAGE))  # after another name of the same row
    assert named <= set(recorded)
    assert all(name in named or name.endswith(endings) for name in recorded)
