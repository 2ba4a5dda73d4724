"""er as it is now, kept for jobs that start later."""

import json
import os
import shutil
from pathlib import Path

from er.results import code, provenance

KEPT = ("er", "paper_figures")


def freeze(folder: Path) -> Path:
    """Copy the code and conf/ below `folder`, once for each state of it; for PYTHONPATH.

    What Python and Numba have compiled goes with it: jobs would each compile it anew.
    """
    source = provenance.ROOT
    files = sorted(
        Path(parent) / name
        for top in KEPT
        for parent, _, names in os.walk(source / top, followlinks=True)  # conf/ is a link
        for name in names
        if not Path(parent, name).match("__pycache__/*")
    )
    kept = folder / "code" / code.digest_of_bytes(files)[:12]
    if kept.exists():
        return kept
    part = kept.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for name in KEPT:
        shutil.copytree(source / name, part / name)
    (part / provenance.FROZEN).write_text(json.dumps(provenance.version_of_code()) + "\n")
    part.rename(kept)
    return kept
