"""`python tests/contract/read_tools.py MIRROR`: what the tools that we name take, by version.

MIRROR holds git directories with tags, as OWNER+NAME/repo. Writes names alone, no text: options,
values, paths and extras, with the commit each was read from, into tools.json beside this file, and
the table of them into docs/gpu-node.md. Run by hand; tests hold our commands against the file.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

FACTS = Path(__file__).with_name("tools.json")
PAGE = Path(__file__).parents[2] / "docs/gpu-node.md"
BEGIN, END = "<!-- begin: tools -->\n", "<!-- end: tools -->\n"
PTQ = "examples/hf_ptq/hf_ptq.py"
PRESETS = "modelopt_recipes/configs/ptq/presets"
Show = Callable[[str], str]  # a file, or what a folder with a slash at its end holds


def hf_ptq(show: Show) -> dict[str, Any]:
    """Options of the script, values of those that we give, what pip is told to install."""
    calls = [
        call
        for call in ast.walk(ast.parse(show(PTQ)))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "add_argument"
    ]
    names = {word.value for call in calls for word in call.args if isinstance(word, ast.Constant)}
    formats, kv_formats = (
        sorted(Path(path).stem for path in show(f"{PRESETS}/{kind}/").split())
        for kind in ("model", "kv")
    )
    texts = show("modelopt/torch/utils/dataset_utils.py")
    return {
        "options": sorted(names),
        "values": {
            "--qformat": formats,
            "--kv_cache_qformat": ["none", *kv_formats],
            "--dataset": sorted(set(re.findall(r'^    "([\w-]+)": \{', texts, re.M))),
        },
        "files": show("examples/hf_ptq/").split(),
        "extras": sorted(tomllib.loads(show("pyproject.toml"))["project"]["optional-dependencies"]),
        "images": sorted(set(re.findall(r"nvcr\.io/\S*\d", show("examples/hf_ptq/README.md")))),
    }


def tritonserver(show: Show) -> dict[str, Any]:
    """Long options."""
    source = show("src/command_line_parser.cc")
    return {"options": sorted(set(re.findall(r'\{\s*OPTION_\w+,\s*"([\w-]+)"', source)))}


def pyxis(show: Show) -> dict[str, Any]:
    """Options that it adds to srun."""
    found = re.findall(r'"((?:no-)?container-[\w-]+)",', show("args.c"))
    return {"options": sorted(set(found))}


def enroot(show: Show) -> dict[str, Any]:
    """Options of `enroot import`, its forms of an address, and its hooks that may be enabled."""
    usage = show("doc/cmd/import.md")
    return {
        "options": re.findall(r"^   (-\w), ", usage, re.M),
        "addresses": re.findall(r"^   (\w+://\S+)", usage, re.M),
        "hooks": [Path(path).name for path in show("conf/hooks/extra/").split()],
    }


def apptainer(show: Show) -> dict[str, Any]:
    """Options of `apptainer exec`."""
    source = show("cmd/internal/cli/action_flags.go")
    return {"options": sorted(set(re.findall(r'Name: +"([\w-]+)"', source)))}


READ: dict[str, tuple[str, str, Callable[[Show], dict[str, Any]]]] = {
    "hf_ptq.py": ("NVIDIA/Model-Optimizer", "0.46.0", hf_ptq),
    "tritonserver of 25.05": ("triton-inference-server/server", "v2.58.0", tritonserver),
    "tritonserver of 26.04": ("triton-inference-server/server", "v2.68.0", tritonserver),
    "pyxis": ("NVIDIA/pyxis", "v0.20.0", pyxis),
    "enroot import": ("NVIDIA/enroot", "v3.5.0", enroot),
    "apptainer exec": ("apptainer/apptainer", "v1.3.0", apptainer),
}


def main(mirror: str) -> None:
    """Read all and write it."""
    facts = {}
    for tool, (repository, tag, read) in READ.items():
        checkout = Path(mirror) / repository.replace("/", "+") / "repo"

        def git(*words: str, checkout: Path = checkout) -> str:
            line = ["git", "-C", str(checkout), *words]
            return subprocess.run(line, capture_output=True, text=True, check=True).stdout

        def show(path: str, tag: str = tag, git: Callable[..., str] = git) -> str:
            if path.endswith("/"):
                return git("ls-tree", "--name-only", tag, path)
            return git("show", f"{tag}:{path}")

        commit = git("rev-parse", f"{tag}^{{commit}}").strip()
        source = f"https://github.com/{repository}"
        facts[tool] = {"source": source, "tag": tag, "commit": commit, **read(show)}
    FACTS.write_text(json.dumps(facts, indent=1) + "\n")
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    PAGE.write_text(head + BEGIN + table(facts) + END + rest.split(END)[1])


def table(facts: dict[str, Any]) -> str:
    """Which source each tool's names were read from, as the page shows it."""
    rows = [
        f"| `{tool}` | [{it['source'].removeprefix('https://github.com/')}]({it['source']}) "
        f"{it['tag']} | `{it['commit'][:12]}` | {len(it['options'])} |\n"
        for tool, it in facts.items()
    ]
    return "| tool | source | commit | options read |\n|---|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
