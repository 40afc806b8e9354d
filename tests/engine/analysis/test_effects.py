"""Test that effects are merged without loss, and which reference they give a run."""

from typing import Any

import msgspec

from engine.analysis.effects import merge_measurement, primary, with_effects
from engine.analysis.ground_truth import agreement_with, reference_from_effects
from engine.analysis.run_state import RunSnapshot, fold_event
from engine.events import CardWritten, EffectsMeasured, ExamplesMade, ProbeFinished, ReferenceKnown, Scored
from engine.examples import Example
from engine.results import (
    Card,
    CircuitStability,
    ExampleCount,
    NodeEffect,
    Reference,
    Timings,
)
from engine.tasks.registry import TASKS

from ...run_parts import effects_measured, scores_of
from ..tasks.test_tasks import DIGITS

NODES = tuple(scores_of(0, head, total_variation=head / 4) for head in range(4))
KNOWN = Reference(name="ioi, measured", source="somewhere", heads=((0, 0),))
OWN = (
    Example(prompt="The keys", polarity="positive", expected=(" are",), foils=(" is",), pair=0),
    Example(prompt="The key", polarity="negative", expected=(" are",), foils=(" is",), pair=0),
)


def scored(effects: dict[int, float], **about: Any) -> EffectsMeasured:
    measured = [NodeEffect(layer=0, head=head, effect=value) for head, value in effects.items()]
    return effects_measured(measured, **{"n_examples": 8, "passes": 1.0} | about)


ALL = scored({0: -0.1, 1: -1.0, 2: 0.4, 3: -2.0})


def output(causes: tuple[EffectsMeasured, ...]) -> list[dict[int, float]]:
    return [{one.head: one.effect for one in cause.effects} for cause in causes]


def test_heads_measured_again_replace_themselves_alone() -> None:
    first = merge_measurement((), ALL, 100)
    both = merge_measurement(first, scored({3: -1.9, 1: -1.1}), 200)
    assert output(both) == [{0: -0.1, 1: -1.1, 2: 0.4, 3: -1.9}]
    assert [one.measured_us for one in both[0].effects] == [100, 200, 100, 200]
    # Stopped on its way: what had been measured to its end stays so.
    assert merge_measurement(both, scored({0: 0.0}, final=False), 300)[0].final


def test_unlike_settings_stand_side_by_side_and_the_fuller_one_is_shown() -> None:
    causes = merge_measurement((), ALL, 1)
    for about in (
        {"metric": "kl"},
        {"replacement": "zero"},
        {"position": "last"},
        {"n_examples": 3},
        {"method": "backup", "after": ((0, 0),)},
        {"method": "backup", "after": ((0, 1),)},
    ):
        causes = merge_measurement(causes, scored({2: 9.0}, **about), 2)
    assert output(causes) == [{0: -0.1, 1: -1.0, 2: 0.4, 3: -2.0}, *[{2: 9.0}] * 6]
    assert primary(causes)["exact"] is causes[0]
    assert primary(causes)["backup"] is causes[-1]  # of equal ones the newest
    assert [node.exact_effect for node in with_effects(NODES, causes)] == [0.025, 0.25, 0.1, 0.5]
    # All heads anew by another metric: that is what is looked at from then on.
    anew = merge_measurement(causes, scored(dict.fromkeys(range(4), 0.7), metric="kl"), 3)
    assert [node.exact_effect for node in with_effects(NODES, anew)] == [0.7] * 4
    assert len(anew) == len(causes)


def test_attribution_ranks_by_sizes_pair_by_pair_and_older_ones_by_what_they_have() -> None:
    effects = (
        NodeEffect(layer=0, head=0, effect=0.0, size=2.0),  # up on one pair, down on the next
        NodeEffect(layer=0, head=1, effect=-1.0, size=1.0),
    )
    cause = msgspec.structs.replace(ALL, method="attribution", effects=effects)
    nodes = with_effects(NODES, merge_measurement((), cause))
    assert [node.attribution for node in nodes] == [0.5, 0.25, None, None]
    older = msgspec.structs.replace(cause, effects=tuple(msgspec.structs.replace(one, size=None) for one in effects))
    assert [node.attribution for node in with_effects(NODES, merge_measurement((), older))] == [0.0, 0.25, None, None]


def test_a_run_whose_heads_are_all_measured_is_held_against_that() -> None:
    found = reference_from_effects([ALL], 4)
    assert found is not None
    assert (found.heads, found.kind, found.measure) == (((0, 3), (0, 1), (0, 2)), "effects", "exact_effect")
    assert reference_from_effects([ALL], 5) is None
    assert reference_from_effects([msgspec.structs.replace(ALL, metric="kl")], 4) is None
    assert reference_from_effects([msgspec.structs.replace(ALL, final=False)], 4) is None
    assert reference_from_effects([msgspec.structs.replace(ALL, method="attribution")], 4) is None
    # Measured exactly it says more than proposed and patched in part.
    both = merge_measurement((ALL,), scored(dict.fromkeys(range(4), 4.0), method="combined"))
    assert reference_from_effects(both, 4) == found
    # A reference that was cut from a measure says nothing about that measure.
    from engine.measures import find_measure

    nodes = with_effects(NODES, [ALL])
    assert agreement_with(found, nodes, (), find_measure("exact_effect")).auc is None
    assert agreement_with(found, nodes, (), find_measure("total_variation")).auc == 1.0


def folded(*events: Any) -> RunSnapshot:
    picture = RunSnapshot()
    for place, event in enumerate(events):
        picture = fold_event(picture, event, place)
    return picture


CARD = Card(
    verdict="no better than a plain difference",
    reasons=("mean difference finds the heads as well without an SAE: AUC 0.58, codes 0.54",),
    advice=(),
    above_chance=(),
    expected_false=None,
    heads=(),
    stability=CircuitStability(seeds=None, bootstraps=1.0, n_bootstraps=5, heads=(1.0,) * 4),
    truth="ioi, measured",
    codes_auc=0.54,
    baselines=(),
    movers=None,
)
DONE = ProbeFinished(
    examples=ExampleCount(positive=1, negative=1, broken=0),
    circuit=((0, 3),),
    circuit_softmax=(),
    timings=Timings(total=1.0),
    cached=False,
)


def stored(examples: tuple[Example, ...], **made: Any) -> RunSnapshot:
    """A run as earlier versions recorded it: the name of the session's task decided."""
    return folded(
        ExamplesMade(examples=examples, content_hash="c", task="ioi", **made),
        ReferenceKnown(reference=KNOWN),
        Scored(nodes=NODES, final=True),
        CardWritten(card=CARD),
        DONE,
    )


def test_a_stored_run_of_own_examples_loses_the_truth_of_another_task() -> None:
    picture = stored(OWN)
    assert (picture.task, picture.reference, picture.known, picture.offered) == (None, None, None, KNOWN)
    assert picture.card is not None
    assert (picture.card.truth, picture.card.codes_auc) == (None, None)
    assert not any("AUC" in reason for reason in picture.card.reasons)


def test_what_the_task_made_keeps_it() -> None:
    made = TASKS["ioi"].make(DIGITS, pairs=4)
    assert stored(made).reference == KNOWN
    assert stored(made).card == CARD
    edited = (msgspec.structs.replace(made[0], prompt=made[0].prompt.replace(" to", " over to")), *made[1:])
    assert stored(edited).reference is None
    # What a run recorded about itself counts more than what a later version recognises.
    assert stored(OWN, made=True).reference == KNOWN
    assert stored(made, made=False).reference is None


def test_a_chosen_truth_counts_and_says_so() -> None:
    from engine.analysis.ground_truth import as_chosen

    picture = folded(ExamplesMade(examples=OWN, content_hash="c"), ReferenceKnown(reference=as_chosen(KNOWN)))
    assert picture.reference is not None
    assert (picture.reference.name, picture.reference.kind) == ("ioi, measured, chosen", "chosen")


def test_measured_effects_take_the_place_of_what_was_known_everywhere() -> None:
    picture = fold_event(stored(TASKS["ioi"].make(DIGITS, pairs=4)), ALL, 9)
    assert picture.reference is not None
    assert picture.reference.kind == "effects"
    assert picture.card is not None
    assert picture.card.truth == picture.reference.name
    assert picture.card.codes_auc == agreement_with(picture.reference, picture.nodes, (), _codes()).auc
    # Two heads more change nothing but themselves.
    later = fold_event(picture, scored({1: -1.0, 3: -2.0}), 10)
    assert later.card == picture.card
    assert later.nodes == picture.nodes


def _codes() -> Any:
    from engine.measures import DEFAULT_MEASURE

    return DEFAULT_MEASURE
