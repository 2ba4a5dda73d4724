"""`python tests/contract/read_backend.py CHECKOUT VERSION`: what NVIDIA's Triton backend asks for.

CHECKOUT is a git directory of triton-inference-server/tensorrtllm_backend, VERSION a release whose
tag, `vVERSION`, it has. Writes facts alone, no text: which parameters the C++ backend and the
Python models read without a default, and the interfaces of the models, into backend_VERSION.json
beside this file. Run by hand; the tests hold our repository against what it has written.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

MODELS = "all_models/inflight_batcher_llm"
SOURCES = "inflight_batcher_llm/src"
SERVED = ("preprocessing", "tensorrt_llm", "postprocessing", "ensemble")
# What the templates leave open outside of strings; any value that parses will do.
FILLED = {
    "decoupled_mode": "true",
    "logits_datatype": "TYPE_FP32",
    "encoder_input_features_data_type": "TYPE_FP16",
}
READ = re.compile(r"GetParameter<[\w:<>, ]*>\(\s*(\"\w+\"|\w+)\s*\)")
LITERAL = r"""\"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'"""
TOKEN = re.compile(rf"{LITERAL}|//[^\n]*|/\*.*?\*/|\btry\b|[{{}}]|{READ.pattern}", re.S)


def main(checkout: str, version: str) -> None:
    """Read all and write it."""
    tag = f"v{version}"

    def git(*words: str) -> str:
        line = ["git", "-C", checkout, *words]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    def file(path: str) -> str:
        return git("show", f"{tag}:{path}")

    sources = git("ls-tree", "--name-only", tag, f"{SOURCES}/").split()
    guarded: set[str] = set()
    needed: set[str] = set()
    for path in sources:
        if path.endswith(".cc"):
            for name, inside in reads(file(path)):
                (guarded if inside else needed).add(name)
    facts = {
        "source": "https://github.com/triton-inference-server/tensorrtllm_backend",
        "commit": git("rev-parse", f"{tag}^{{commit}}").strip(),
        "tag": tag,
        "needed": {
            "tensorrt_llm": sorted(needed),
            **{
                name: sorted(subscripts(file(f"{MODELS}/{name}/1/model.py")))
                for name in ("preprocessing", "postprocessing")
            },
        },
        "optional": {"tensorrt_llm": sorted(guarded - needed)},
        "models": {name: interface(file(f"{MODELS}/{name}/config.pbtxt")) for name in SERVED},
    }
    out = Path(__file__).with_name(f"backend_{version}.json")
    out.write_text(json.dumps(facts, indent=1) + "\n")


def reads(source: str) -> Iterator[tuple[str, bool]]:
    """Each parameter that C++ code reads by its name, and whether a `try` is around it."""
    blocks: list[bool] = []  # of each open brace: whether it is a try's
    trying = False
    for found in TOKEN.finditer(source):
        word = found.group()
        if word == "try":
            trying = True
        elif word == "{":
            blocks.append(trying)
            trying = False
        elif word == "}":
            blocks.pop()
        elif (found.group(1) or "").startswith('"'):
            yield found.group(1).strip('"'), any(blocks)


def subscripts(source: str) -> Iterator[str]:
    """Each parameter that Python code reads by subscript, which fails where it is missing.

    What only multimodal models read is left out: `if multimodal_model_path is not None`.
    """
    for node in alone(ast.parse(source)):
        match node:
            case ast.Subscript(
                value=ast.Subscript(slice=ast.Constant(value="parameters")),
                slice=ast.Constant(value=str(name)),
            ):
                yield name


def alone(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below a test of the multimodal model."""
    if isinstance(tree, ast.If) and "multimodal" in ast.unparse(tree.test):
        return
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from alone(child)


def interface(template: str) -> dict[str, Any]:
    """Inputs and outputs as words: name, type, shape, flags; and the names of the parameters."""
    filled = re.sub(r'(?<!")\$\{(\w+)\}', lambda found: FILLED.get(found[1], "1"), template)
    config = text_format.Parse(filled, model_config_pb2.ModelConfig())
    return {
        "input": [tensor(each) for each in config.input],
        "output": [tensor(each) for each in config.output],
        "parameters": sorted(config.parameters),
        "decoupled": config.model_transaction_policy.decoupled,
        "steps": [
            [
                step.model_name,
                dict(sorted(step.input_map.items())),
                dict(sorted(step.output_map.items())),
            ]
            for step in config.ensemble_scheduling.step
        ],
    }


def tensor(each: Any) -> str:
    """One input or output in words. `scalar`: reshaped to no dimension."""
    kind = model_config_pb2.DataType.Name(each.data_type)
    flags = {
        "optional": getattr(each, "optional", False),
        "ragged": getattr(each, "allow_ragged_batch", False),
        "scalar": each.HasField("reshape") and not each.reshape.shape,
    }
    return " ".join(
        [each.name, kind, str(list(each.dims)), *(it for it, on in flags.items() if on)]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
