"""A router that one process reads and another maps."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import WORDS

from er.errors import ErError
from er.routing import artefact, kernel, mapped, native
from er.routing.explain import explain
from er.routing.router import Router, save

TEXTS = [*WORDS.values(), "", "Ünïcödé 😀 court", "nothing known"]


def through_memory(path: Path) -> tuple[Router, str]:
    descriptor = os.memfd_create("router")
    with os.fdopen(descriptor, "w+b") as file:
        mapped.write(path, file)
        file.flush()
        return mapped.load(descriptor)


@pytest.mark.parametrize("numba", [False, True])
def test_it_decides_and_explains_as_the_router_does(
    either: Router, tmp_path: Path, numba: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "router.npz"
    save(either, path)
    if numba:
        monkeypatch.setattr(native, "library", lambda: None)
    loaded, digest = through_memory(path)
    assert isinstance(loaded.lookup._kernel, kernel.Kernel) is (numba or native.library() is None)
    for text in TEXTS:
        assert np.array_equal(loaded.scores(text), either.scores(text))
        assert explain(loaded, text) == explain(either, text)
    assert loaded.terms == either.terms
    assert loaded.metadata == either.metadata
    assert digest == artefact.file_digest(path)


def test_tables_of_another_kernel_are_not_used(
    router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if native.library() is None:
        pytest.skip("there is no C compiler")
    save(router, tmp_path / "router.npz")
    with (tmp_path / "mapped").open("w+b") as file:
        mapped.write(tmp_path / "router.npz", file)
        file.flush()
        monkeypatch.setattr(native, "library", lambda: None)
        with pytest.raises(ErError, match=r"was read for kernel-.*, numba decides here"):
            mapped.load(file.fileno())


def test_what_is_no_router_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "no").write_bytes(b"no router")
    for name, says in (("no", "is not a router"), ("absent", "there is no router at")):
        command = [sys.executable, "-m", "er.routing.mapped", tmp_path / name, tmp_path / "out"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert not done.stderr
        [line] = (tmp_path / "out").read_text().splitlines()
        assert says in line
