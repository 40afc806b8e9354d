"""Atlases in the store: what is stored is returned, by key, model or identity; SQL reads the metrics."""

from pathlib import Path

import pytest

from engine.explanations import AtlasWords
from engine.node_atlas import METRIC_NAMES
from engine.nodes import EMBEDDING, NO_HEAD, NodeId
from engine.results import ModelInfo
from sessions.errors import NoSuchRecord, StoreDamaged
from sessions.store.atlases import (
    delete_atlas,
    find_row,
    known_keys,
    list_atlases,
    load_atlas,
    save_atlas,
    words_at,
    words_of,
)
from sessions.store.database import Store

from ...made_atlas import made_atlas

INFO = ModelInfo(
    name="toy", identity="1" * 64, n_layers=2, n_heads=3, d_model=8, d_head=4, context=16, vocabulary=32, nodes="all"
)
KEYS = ("ab" * 32, "cd" * 32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "sessions.duckdb")


def test_it_is_returned_as_it_was_stored(store: Store) -> None:
    atlas = made_atlas(INFO)
    row = save_atlas(store, KEYS[0], "./folder", atlas, 5)
    assert (row.model, row.asked, row.corpus, row.tokens, row.made_us) == ("toy", "./folder", "english", 13, 5)
    assert 0 < row.n_bytes < 100_000
    save_atlas(store, KEYS[1], "toy", made_atlas(INFO, corpus="own.txt"), 9)
    assert load_atlas(store, KEYS[0]) == atlas
    for named, key in (("toy", KEYS[1]), ("./folder", KEYS[0]), ("1" * 64, KEYS[1]), ("abab", KEYS[0])):
        assert find_row(store, named).key == key
    assert [each.key for each in list_atlases(store)] == [KEYS[1], KEYS[0]]
    assert known_keys(store) == KEYS
    # Read again: one row, not two.
    save_atlas(store, KEYS[0], "toy", atlas, 20)
    assert [each.made_us for each in list_atlases(store)] == [20, 9]
    delete_atlas(store, KEYS[1])
    assert known_keys(store) == (KEYS[0],)
    with pytest.raises(NoSuchRecord, match="nomodel") as refused:
        find_row(store, "nomodel")
    assert "headcode atlas nomodel" in refused.value.hint
    store.close()


def test_sql_reads_metrics_of_heads_and_mlps(store: Store) -> None:
    save_atlas(store, KEYS[0], "toy", made_atlas(INFO), 5)
    rows = store.rows("SELECT node, kind, induction, model FROM atlas_nodes ORDER BY induction DESC NULLS LAST LIMIT 1")
    assert rows == [("1.0", "head", 0.9, "toy")]
    assert store.rows("SELECT node, head, norm, previous FROM atlas_nodes WHERE kind = 'mlp' ORDER BY layer") == [
        ("m0", None, 3.0, None),
        ("m1", None, 4.0, None),
    ]
    assert store.rows("SELECT model, tokens, bytes > 0 FROM atlases") == [("toy", 13, True)]
    assert store.columns("atlas_node") == ["atlas", "layer", "head", *METRIC_NAMES]  # rows are appended in this order


def test_a_damaged_one_is_named_with_the_way_out(store: Store) -> None:
    save_atlas(store, KEYS[0], "toy", made_atlas(INFO), 5)
    with store.transaction() as con:
        con.execute("UPDATE atlas SET body = '\\x00\\x01'::BLOB")
    with pytest.raises(StoreDamaged, match="abababababab") as refused:
        load_atlas(store, KEYS[0])
    assert "--delete" in refused.value.hint


def test_the_words_of_a_node_come_from_the_newest_atlas_of_its_model(store: Store) -> None:
    assert words_at(store, INFO.identity, NodeId(1, 1)) is None
    save_atlas(store, "a" * 64, "toy", made_atlas(INFO), 1)
    newer = "b" * 64
    save_atlas(store, newer, "toy", made_atlas(INFO, corpus="mine"), 2)
    found = words_at(store, INFO.identity, NodeId(1, 1))
    # Attended to over the text first, then context by context what it attends to and where it stands.
    assert found == AtlasWords(key=newer, corpus="mine", words=(" cat", "The", " and", " the"))
    assert words_at(store, INFO.identity, NodeId(0, NO_HEAD)) == AtlasWords(key=newer, corpus="mine", words=(" and",))
    assert words_at(store, INFO.identity, EMBEDDING) == AtlasWords(key=newer, corpus="mine", words=())
    assert words_at(store, "another model", NodeId(1, 1)) is None
    # An explanation that is repeated takes those of its own.
    assert words_of(store, "a" * 64, "toy", NodeId(0, NO_HEAD)).key == "a" * 64
    delete_atlas(store, "a" * 64)
    with pytest.raises(NoSuchRecord, match="aaaaaaaaaaaa"):
        words_of(store, "a" * 64, "toy", NodeId(0, NO_HEAD))
