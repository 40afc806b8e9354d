"""What a run's rankings are held against: the same heads on every screen, on the card, in JSON and in SQL.

First what was measured in the run itself; else the circuit that is known for the task, where the task made the
examples or a person named it for their own.
"""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from engine.analysis.effects import FIELD, MOVES, primary, share
from engine.analysis.ranking import agreement
from engine.events import EffectMethod, EffectsMeasured
from engine.measures import Measure
from engine.results import Agreement, HeadScores, Reference

_WITNESSES: tuple[EffectMethod, ...] = ("exact", "combined")
"""The better first. Attribution is an estimate: heads are not judged by it."""
EFFECTS = "effects measured in this run"


def truth_of(causes: Sequence[EffectsMeasured], n_heads_in_all: int, known: Reference | None) -> Reference | None:
    """What to hold rankings against; None where nothing is known. `known`: the task's circuit, as far as it counts."""
    return measured_here(causes, n_heads_in_all) or known


def measured_here(causes: Sequence[EffectsMeasured], n_heads_in_all: int) -> Reference | None:
    """The heads that move the answer by a twentieth in this run, the largest first; None where not all were measured.

    KL divergences are no share of an answer and judge nothing.
    """
    there = primary([cause for cause in causes if cause.final and cause.metric != "kl"])
    for method in _WITNESSES:
        cause = there.get(method)
        if cause is None or not n_heads_in_all or len(cause.effects) < n_heads_in_all:
            continue
        moving = [one for one in cause.effects if share(one.effect, cause) >= MOVES]
        moving.sort(key=lambda one: (-abs(one.effect), one.layer, one.head))
        how = "exact patching of every head" if method == "exact" else "attribution and exact patching of the best"
        return Reference(
            name=EFFECTS,
            source=f"{how} on {cause.n_examples} {'pairs' if cause.replacement == 'pair' else 'positives'}; "
            f"heads that move the metric by {MOVES:.0%} of its base",
            heads=tuple((one.layer, one.head) for one in moving),
            kind="effects",
            measure=FIELD[method],
        )
    return None


def agreement_with(
    reference: Reference, nodes: Sequence[HeadScores], circuit: Collection[tuple[int, int]], measure: Measure
) -> Agreement:
    """How well the measure and the circuit find the reference's heads. The measure those were cut from gets no AUC: it
    would be 1, whatever it is worth."""
    if measure.id == FIELD["backup"]:
        # What heads do once others are gone is another question than what they do alone.
        return Agreement(auc=None, precision=None, recall=None)
    found = agreement(nodes, circuit, reference.heads, measure)
    return replace(found, auc=None) if measure.id == reference.measure else found


def chosen(reference: Reference) -> Reference:
    """A task's circuit held against examples of another kind, by a person's choice: it says so wherever it is named."""
    return replace(reference, name=f"{reference.name}, chosen", kind="chosen")
