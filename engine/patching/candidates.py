"""Choose heads for exact patching: attribution and codes propose candidates, a budget limits them."""

from collections.abc import Sequence

from engine.nodes import NodeId

_CODES_EVERY = 4
"""Every fourth proposal comes from the codes."""


def proposals(by_attribution: Sequence[NodeId], by_codes: Sequence[NodeId]) -> list[NodeId]:
    """Return all heads in order of priority for exact patching. Both rankings are best first."""
    order: dict[NodeId, None] = {}
    codes = iter(by_codes)
    for head in by_attribution:
        order.setdefault(head)
        if len(order) % _CODES_EVERY == _CODES_EVERY - 1:
            # A head with a nonlinear effect (a saturated answer, a broken softmax) has a small gradient but may have
            # codes.
            proposed = next((each for each in codes if each not in order), None)
            if proposed is not None:
                order.setdefault(proposed)
    return list(order)


def affordable(order: Sequence[NodeId], n_layers: int, share: float, budget: float) -> list[NodeId]:
    """Return the first of these heads whose exact patching costs at most `budget` forward passes.

    A head of layer l needs the layers from l on, over `share` of the positions.
    """
    taken = []
    for head in order:
        cost = share * (n_layers - head.layer) / n_layers
        if cost > budget:
            continue  # a later layer may still fit
        budget -= cost
        taken.append(head)
    return taken
