"""er as it is now, kept for jobs that start later."""

import json
import os
import shutil
from pathlib import Path

from er.errors import ErError
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
    try:
        for name in KEPT:
            shutil.copytree(source / name, part / name)
        (part / provenance.FROZEN).write_text(json.dumps(provenance.version_of_code()) + "\n")
        part.rename(kept)
    except OSError as error:  # copytree's own has one for each file
        shutil.rmtree(part, ignore_errors=True)
        reason = error.strerror or str(error.args[0][0][2])
        raise ErError(
            f"cannot keep the code of the jobs in {folder}: {reason}: make room or give rights, "
            "or set runs_dir=..."
        ) from error
    return kept
