"""Corpora by name and by file, and passages of them."""

import os
from pathlib import Path

import pytest

from engine.corpora.corpora import ASSETS, BUNDLED, check_corpus, default_corpus, read_corpus
from engine.corpora.passages import PAGE, passages, spread
from engine.errors import ConfigError


def test_every_bundled_corpus_is_there_and_small() -> None:
    for name, about in BUNDLED.items():
        corpus = read_corpus(name)
        assert corpus.name == name
        assert about.licence
        assert sum(map(len, corpus.texts)) > 20_000
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 1_000_000
    assert (default_corpus("toy"), default_corpus("adder@500"), default_corpus("gpt2")) == ("toy", "adder", "english")


def test_a_file_is_text_or_lines_of_json(tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text("One line.\r\nAnother.", encoding="utf-8")
    assert read_corpus(str(text)).texts == ("One line.\nAnother.",)
    rows = tmp_path / "own.jsonl"
    rows.write_text('{"text": "a"}\n\n{"prompt": "b"}\n"c"\n', encoding="utf-8")
    assert read_corpus(str(rows)).texts == ("a", "b", "c")
    assert check_corpus(str(rows)) == str(rows)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("bad.txt", b"\xff\xfe\x00a", "not UTF-8"),
        ("empty.txt", b"  \n", "no text"),
        ("bad.jsonl", b'{"text": 1}\n', "line 1"),
        ("broken.jsonl", b'{"text": "a"}\n{', "line 2"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, named: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=named) as refused:
        read_corpus(str(path))
    assert refused.value.hint
    with pytest.raises(ConfigError, match="nowhere"):
        read_corpus(str(tmp_path / "nowhere"))


def test_a_path_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = Path(os.fsdecode(bytes(tmp_path) + b"/a\xffb.txt"))
    path.write_text("words")
    with pytest.raises(ConfigError, match=r"a\\udcffb\.txt' is not UTF-8"):
        check_corpus(str(path))


def test_passages_end_at_lines_and_never_reach_over_a_page() -> None:
    text = "one two three\nfour five six\n" * 20 + PAGE + "~" * 30
    found = passages([text], 60)
    assert all(len(each) <= 60 for each in found)
    assert "".join(found).replace("\n", "") == text.replace("\n", "").replace(PAGE, "")
    assert all("~" not in each or set(each) == {"~"} for each in found)
    assert all(each.endswith(("three", "six", "~")) for each in found)


def test_choices_are_spread_over_all() -> None:
    assert spread(3, 5) == [0, 1, 2]
    assert spread(100, 4) == [12, 37, 62, 87]
