"""Kinds of heads, differences between prompts and text, and searches of an atlas."""

import msgspec

from engine.analysis.atlas_search import find_at_place, find_attenders, find_writers, matches, read_tokens
from engine.analysis.head_kinds import KINDS, because, format_kinds, kinds_of, unlike_text
from engine.node_atlas import METRIC_NAMES
from engine.nodes import NodeId
from engine.results import ModelInfo

from ...made_atlas import made_atlas, made_prompts

INFO = ModelInfo(
    name="toy", identity="1" * 64, n_layers=2, n_heads=3, d_model=8, d_head=4, context=16, vocabulary=32, nodes="all"
)


def test_a_head_is_of_a_kind_from_its_value_on() -> None:
    for kind in KINDS:
        for name, least in kind.at_least:
            assert name in METRIC_NAMES
            beyond = least + (-0.01 if kind.negative else 0.01)
            short = least - (-0.01 if kind.negative else 0.01)
            assert kind in kinds_of({name: beyond})
            assert kind in kinds_of({name: least})
            assert kind not in kinds_of({name: short})
            assert f"{beyond:.2f}" in because(kind, {name: beyond})
    assert format_kinds({"previous": 0.9, "first": 0.8}) == "previous token, mostly at rest"
    assert kinds_of({"norm": 5.0, "share": 0.1}) == ()


def test_what_is_else_on_the_prompts_is_named_and_what_is_alike_is_not() -> None:
    text = {"first": 0.9, "previous": 0.1, "copying": 0.1, "share": 0.1}
    assert unlike_text(text, text) == ()
    found = unlike_text(text | {"first": 0.2, "share": 0.3}, text)
    assert [each.metric for each in found] == ["first", "share"]
    assert str(found[0]) == "attention to the first position: 0.20 on these prompts, 0.90 on ordinary text"
    assert unlike_text({"induction_text": 1.0}, text) == ()  # nothing to compare with


def test_writers_are_counted_over_random_places() -> None:
    atlas = made_atlas(INFO)
    she, cat = atlas.words.index(" she"), atlas.words.index(" cat")
    often = (((she, 50), (cat, 20)), ((cat, 100),), (), ((she, 150),))
    seldom = (((cat, 30),), ((she, 900),), (), ())
    written = {NodeId(0, 1): often, NodeId(0, 0): seldom, NodeId(1, 1): ((), (), (), ())}
    nodes = tuple(msgspec.structs.replace(each, written=written.get(each.node, ((),))) for each in atlas.nodes)
    found = find_writers(msgspec.structs.replace(atlas, nodes=nodes), ("she",))
    # The last one raises it only where it writes most.
    assert [(hit.node, hit.score, hit.strength) for hit in found] == [
        (NodeId(0, 1), 0.5, 1.0),
        (NodeId(0, 0), 0.25, 9.0),
        (NodeId(1, 1), 0.0, 2.5),
    ]
    both = find_writers(msgspec.structs.replace(atlas, nodes=nodes), ("she", "cat"))
    assert [(hit.node, hit.score) for hit in both[:2]] == [(NodeId(0, 1), 0.75), (NodeId(0, 0), 0.5)]
    assert both[0].tokens == (" she", " cat")


def test_writers_and_attenders_are_found_by_tokens() -> None:
    atlas = made_atlas(INFO)
    found = find_writers(atlas, ("she",))
    assert [(hit.node, hit.tokens) for hit in found] == [(NodeId(1, 1), (" she",))]
    assert (round(found[0].score, 3), found[0].strength) == (0.667, 2.5)
    assert find_writers(atlas, ('"she',)) == []  # exactly so, without a space
    assert [hit.node for hit in find_writers(atlas, ("' she",))] == [NodeId(1, 1)]
    assert NodeId(0, -1) in {hit.node for hit in find_writers(atlas, ("dog",))}
    found = find_attenders(atlas, ("cat", "nothing"))
    assert len(found) == 6
    assert (found[0].node, found[0].score, found[0].strength) == (NodeId(0, 1), 0.25, 2.0)
    assert find_attenders(atlas, ("nothing",)) == []


def test_heads_are_found_by_a_place_of_the_prompts() -> None:
    found = find_at_place(made_prompts(INFO), 2)
    assert (found[0].node, found[0].score) == (NodeId(1, 1), 0.6)
    assert len(found) == 6
    assert find_at_place(made_prompts(INFO), 9) == []


def test_tokens_are_read_from_a_list() -> None:
    assert read_tokens("are, was,are") == ("are", "was")
    assert read_tokens("' are',\"a, b\"") == ("' are", '"a, b')
    assert read_tokens(" , '' ") == ()
    assert read_tokens("it's") == ("it's",)
    assert matches(" Are", ("are",))
    assert not matches("are", ("' are",))
