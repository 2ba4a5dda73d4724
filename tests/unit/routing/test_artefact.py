"""A router's file: what was written is read, anything else is refused by name."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import WORDS, sentence

from er.errors import ErError
from er.routing.router import Router, load, save


@pytest.fixture
def path(router: Router, tmp_path: Path) -> Path:
    save(router, tmp_path / "router.npz")
    return tmp_path / "router.npz"


def test_a_router_read_back_decides_alike(router: Router, path: Path) -> None:
    again = load(path)
    assert again.metadata == router.metadata
    for topic in WORDS:
        text = sentence(topic, 1000)
        np.testing.assert_array_equal(again.scores(text), router.scores(text))


def test_the_same_router_gives_the_same_bytes(router: Router, path: Path, tmp_path: Path) -> None:
    save(router, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ErError, match=r"no router at .*absent\.npz"):
        load(tmp_path / "absent.npz")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_cut_short_is_refused(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ErError, match=r"router\.npz is not a router, or is cut short"):
        load(path)


def test_a_changed_centre_is_refused(path: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    arrays["centres"][0, 0] += 1e-9
    np.savez_compressed(path, **arrays)
    with pytest.raises(ErError, match=r"router\.npz was changed after it was written"):
        load(path)


def test_a_changed_byte_is_refused_or_changes_nothing(router: Router, path: Path) -> None:
    whole = path.read_bytes()
    refused = 0
    places = range(0, len(whole), 97)
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            again = load(path)
        except ErError:
            refused += 1
        else:  # a byte of the packing that no reader looks at
            np.testing.assert_array_equal(again.centres, router.centres)
            np.testing.assert_array_equal(again.components, router.components)
            assert (again.terms, again.metadata) == (router.terms, router.metadata)
    assert refused > len(places) / 2


def test_another_format_is_named(path: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    head = bytes(arrays["head"]).replace(b"er-router-", b"xx-router-")
    arrays["head"] = np.frombuffer(head, np.uint8)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ErError, match="has the format xx-router-"):
        load(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"centres": [1.0]}))
    shutil.copy(__file__, tmp_path / "text.npz")
    for name in ("other", "pickle", "text"):
        with pytest.raises(ErError, match=rf"{name}\.npz is not a router"):
            load(tmp_path / f"{name}.npz")
