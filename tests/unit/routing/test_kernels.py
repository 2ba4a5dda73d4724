"""The two kernels of classification, C's and numba's, decide alike to the last bit."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_classify import ODD
from tiny_corpus import WORDS, sentence

from er.routing import native
from er.routing.router import Router, save


@pytest.fixture
def by_numba(either: Router, monkeypatch: pytest.MonkeyPatch) -> Router:
    """The same router without the C compiler's kernel."""
    monkeypatch.setattr(native, "library", lambda: None)
    parts = either.terms, either.idf, either.components, either.centres, either.prices
    return Router(*parts, either.sublinear_tf, {})


def bits(values: object) -> bytes:
    return np.asarray(values, np.float64).tobytes()


def test_scores_are_the_same_bits(either: Router, by_numba: Router) -> None:
    assert native.library() is None
    mixed = [f"{sentence(a, n)} {sentence(b, -n)}" for n in range(99) for a in WORDS for b in WORDS]
    for text in ODD + mixed + [f"ÇA {text.upper()} naïve" for text in mixed]:
        assert bits(either.scores(text)) == bits(by_numba.scores(text))
        vector, length = either.lookup.embed(text)
        other_vector, other_length = by_numba.lookup.embed(text)
        assert bits([*vector, length]) == bits([*other_vector, other_length])
        for one, other in zip(either.lookup.rows(text), by_numba.lookup.rows(text), strict=True):
            assert one.tolist() == other.tolist()
        assert either.lookup.score_rows(*either.lookup.rows(text)) == either.lookup.classify(text)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_has_the_same_scores(router: Router, text: str) -> None:
    parts = router.terms, router.idf, router.components, router.centres, router.prices
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "library", lambda: None)
        other = Router(*parts, router.sublinear_tf, {})
    assert bits(router.scores(text)) == bits(other.scores(text))


def test_a_compiler_that_fails_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "cc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    script = (
        "import os, sys; from pathlib import Path\n"
        "from er.routing import native\n"
        "native.SOURCE = Path(sys.argv[1])\n"
        "print(native.library())"
    )
    source = tmp_path / "kernel.c"
    source.write_text("no C at all")
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", script, str(source)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"


def test_the_router_is_loaded_without_numba(router: Router, tmp_path: Path) -> None:
    if native.library() is None:
        pytest.skip("there is no C compiler")
    save(router, tmp_path / "router.npz")
    script = (
        "import sys; from pathlib import Path\n"
        "from er.gateway import trained\n"
        "from er.gateway.fast import processes\n"
        "trained.load(Path(sys.argv[1])).choose('court', ())\n"
        "print({'numba', 'scipy', 'sklearn', 'pandas', 'mlflow', 'hydra'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "router.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
