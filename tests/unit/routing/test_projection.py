"""What a router was trained on, in two dimensions."""

from pathlib import Path

import pytest
from tiny_corpus import WORDS, sentence

from er.errors import ErError
from er.routing import projection, router


def test_like_texts_of_a_router_lie_together_and_the_map_is_kept(
    router: router.Router, tmp_path: Path
) -> None:
    texts = [sentence(topic, n) for n in range(40) for topic in WORDS]
    file = tmp_path / "r.npz"
    from er.routing.router import save

    save(router, file)
    found = projection.map_of(file, texts)
    assert found["expert"] == [router.classify(text) for text in texts]
    assert len(found["x"]) == len(found["y"]) == found["samples"] == len(texts)
    file.unlink()
    assert projection.map_of(file, []) == found


def test_a_file_that_is_no_router_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ErError, match="no router at"):
        projection.map_of(tmp_path / "none.npz", ["a"])
