"""The reference heads of a run: the same on every screen, on the card, in JSON and in SQL.

Heads measured in the run itself come first; else the circuit known for the task, if the task made the examples or the
user chose it for their own.
"""

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from engine.analysis.effects import FIELD, MOVES, effect_share, primary
from engine.analysis.ranking import agreement, members
from engine.events import EffectMethod, EffectsMeasured
from engine.measures import Measure
from engine.nodes import NodeId
from engine.results import Agreement, NodeScores, Reference

_METHODS: tuple[EffectMethod, ...] = ("exact", "combined")
"""The better first. Attribution is an estimate: heads are not judged by it."""
EFFECTS = "effects measured in this run"


def reference_for(causes: Sequence[EffectsMeasured], n_nodes: int, known: Reference | None) -> Reference | None:
    """Return the reference for rankings; None where nothing is known. `known`: the task's circuit, where it applies."""
    return reference_from_effects(causes, n_nodes) or known


def reference_from_effects(causes: Sequence[EffectsMeasured], n_nodes: int) -> Reference | None:
    """Return the heads that move the answer by a twentieth in this run, the largest first.

    None where not all heads were measured. KL divergences are no share of an answer and are ignored.
    """
    there = primary([cause for cause in causes if cause.final and cause.metric != "kl"])
    for method in _METHODS:
        cause = there.get(method)
        if cause is None or not n_nodes or len(cause.effects) < n_nodes:
            continue
        moving = [one for one in cause.effects if one.id.in_circuits and effect_share(one.effect, cause) >= MOVES]
        moving.sort(key=lambda one: (-abs(one.effect), one.layer, one.head))
        heads_only = all(one.id.is_head for one in cause.effects)
        node = "head" if heads_only else "node"
        how = f"exact patching of every {node}" if method == "exact" else "attribution and exact patching of the best"
        return Reference(
            name=EFFECTS,
            source=f"{how} on {cause.n_examples} {'pairs' if cause.replacement == 'pair' else 'positives'}; "
            f"{node}s that move the metric by {MOVES:.0%} of its base",
            heads=tuple((one.layer, one.head) for one in moving),
            kind="effects",
            measure=FIELD[method],
            covers="heads" if heads_only else "all",
        )
    return None


def covered(reference: Reference, nodes: Sequence[NodeScores]) -> Sequence[NodeScores]:
    """Return the nodes about which the reference says whether they are in it."""
    if reference.covers == "heads":
        return [node for node in nodes if node.id.is_head]
    return members(nodes)


def agreement_with(
    reference: Reference, nodes: Sequence[NodeScores], circuit: Collection[tuple[int, int]], measure: Measure
) -> Agreement:
    """Return how well the measure and the circuit find the reference's heads.

    The measure the reference was cut from gets no AUC: it would always be 1.
    """
    if measure.id == FIELD["backup"]:
        # The effect once other heads are gone is another question than the effect alone.
        return Agreement(auc=None, precision=None, recall=None)
    judged = covered(reference, nodes)
    known = {node.id for node in judged}
    circuit = [node for node in circuit if not nodes or NodeId(*node) in known]
    found = agreement(judged, circuit, reference.heads, measure)
    return replace(found, auc=None) if measure.id == reference.measure else found


def as_chosen(reference: Reference) -> Reference:
    """Return the reference marked as chosen by the user for examples of another kind; its name says so."""
    return replace(reference, name=f"{reference.name}, chosen", kind="chosen")
