"""Our model repository beside what NVIDIA's backend reads and what its templates declare.

The facts were read from its sources at the tag by tests/contract/read_backend.py.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from er.server import trtllm_repository
from tests.contract import read_backend
from tests.unit.engine.launches import composed

FACTS = json.loads((Path(read_backend.__file__).parent / "backend_0.19.0.json").read_text())
SERVED = sorted(FACTS["models"])


@pytest.fixture(scope="module")
def configs() -> dict[str, Any]:
    engine: Any = composed("trtllm", "e", "docker").engine
    assert FACTS["tag"] == f"v{engine.version}"
    return trtllm_repository.configs(engine, Path("/engine"))


def test_the_facts_are_of_one_commit() -> None:
    assert len(FACTS["commit"]) == 40


def test_every_parameter_that_is_read_without_a_default_is_set(configs: dict[str, Any]) -> None:
    for model, names in FACTS["needed"].items():
        assert set(names) - set(configs[model].parameters) == set()


@pytest.mark.parametrize("model", SERVED)
def test_our_tables_name_nvidias_parameters(model: str) -> None:
    path = trtllm_repository.DATA / "trtllm_models_0.19.0.json"
    ours = json.loads(path.read_text())["models"][model]["parameters"]
    assert sorted(ours) == FACTS["models"][model]["parameters"]


@pytest.mark.parametrize("model", SERVED)
def test_no_parameter_is_set_that_nobody_reads(configs: dict[str, Any], model: str) -> None:
    assert set(configs[model].parameters) <= set(FACTS["models"][model]["parameters"])


@pytest.mark.parametrize("model", SERVED)
@pytest.mark.parametrize("side", ["input", "output"])
def test_the_interfaces_are_nvidias(configs: dict[str, Any], model: str, side: str) -> None:
    ours = [read_backend.tensor(each) for each in getattr(configs[model], side)]
    # One of the ensemble's outputs stands twice in its template.
    assert sorted(ours) == sorted(set(FACTS["models"][model][side]))


@pytest.mark.parametrize("model", SERVED)
def test_decoupling_and_steps_are_nvidias(configs: dict[str, Any], model: str) -> None:
    assert configs[model].model_transaction_policy.decoupled == (model == "tensorrt_llm")
    steps = [
        [step.model_name, dict(step.input_map), dict(step.output_map)]
        for step in configs[model].ensemble_scheduling.step
    ]
    assert steps == FACTS["models"][model]["steps"]


CC = """
// GetParameter<int>("in_a_comment")
bool ModelState::GetParameter<bool>(std::string const& name)
{ auto v = GetParameter<std::string>(name); }
void f() {
    auto a = state->GetParameter<std::string>("outside");
    try { if (true) { b = GetParameter<std::vector<std::vector<int>>>("inside"); } char c = '}'; }
    catch (std::exception const& e) { log("} try {"); d = GetParameter<int>("in_the_catch"); }
    auto e = state->GetParameter<float>( "after" );
}
"""
PYTHON = """
def initialize(self, args):
    a = config['parameters']['needed']['string_value']
    b = config['parameters'].get('optional')
    if multimodal_model_path is not None:
        c = config['parameters']['of_pictures']['string_value']
"""


@pytest.mark.parametrize(
    ("reader", "source", "found"),
    [
        (
            read_backend.reads,
            CC,
            [("outside", False), ("inside", True), ("in_the_catch", False), ("after", False)],
        ),
        (read_backend.subscripts, PYTHON, ["needed"]),
    ],
)
def test_the_reader_knows_what_has_a_default(
    reader: Callable[[str], Any], source: str, found: list[Any]
) -> None:
    assert list(reader(source)) == found
