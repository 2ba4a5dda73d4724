"""`python tests/contract/read_ptq.py CHECKOUT VERSION`: what Model Optimizer's FP8 recipe takes.

CHECKOUT is a git directory of NVIDIA/Model-Optimizer, VERSION one of its tags. Writes the names of
the options of examples/hf_ptq/hf_ptq.py into ptq_VERSION.json beside this file. Run by hand; a test
holds the command in docs/gpu-node.md against them.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

SCRIPT = "examples/hf_ptq/hf_ptq.py"


def main(checkout: str, version: str) -> None:
    """Read and write."""

    def git(*words: str) -> str:
        line = ["git", "-C", checkout, *words]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    options = {
        call.args[0].value
        for call in ast.walk(ast.parse(git("show", f"{version}:{SCRIPT}")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "add_argument"
        and isinstance(call.args[0], ast.Constant)
    }
    facts = {
        "source": f"https://github.com/NVIDIA/Model-Optimizer {SCRIPT}",
        "commit": git("rev-parse", f"{version}^{{commit}}").strip(),
        "tag": version,
        "options": sorted(options),
    }
    out = Path(__file__).with_name(f"ptq_{version}.json")
    out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
