"""Heads with almost no measured effect on the answer: their codes say little about the task."""

from collections.abc import Sequence

from engine.analysis.effects import FIELD, MOVES
from engine.events import EffectsMeasured
from engine.nodes import NodeId
from engine.results import NodeScores


def idle_heads(nodes: Sequence[NodeScores], causes: Sequence[EffectsMeasured]) -> frozenset[NodeId]:
    """Return the heads with an effect below a twentieth of the answer, using exact effects where measured.

    KL divergences are in nats and have no such share.
    """
    newest = {cause.method: cause.metric for cause in causes}
    nats = {FIELD[method] for method, metric in newest.items() if metric == "kl"}
    fields = [field for field in ("exact_effect", "attribution", "combined") if field not in nats]
    found = set()
    for node in nodes:
        effect = next((value for field in fields if (value := getattr(node, field)) is not None), None)
        if effect is not None and effect < MOVES:
            found.add(node.id)
    return frozenset(found)
