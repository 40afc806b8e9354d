"""Which heads are worth an exact measurement: attribution and codes propose, a budget ends it."""

from collections.abc import Sequence

from engine.results import HeadId

_CODES_EVERY = 4
"""Every fourth proposal is the codes'."""


def proposals(by_attribution: Sequence[HeadId], by_codes: Sequence[HeadId]) -> list[HeadId]:
    """All heads in the order in which they deserve an exact measurement, both rankings best first."""
    order: dict[HeadId, None] = {}
    codes = iter(by_codes)
    for head in by_attribution:
        order.setdefault(head)
        if len(order) % _CODES_EVERY == _CODES_EVERY - 1:
            # A head whose effect bends (a saturated answer, a broken softmax) has a flat gradient but speaks.
            told = next((each for each in codes if each not in order), None)
            if told is not None:
                order.setdefault(told)
    return list(order)


def affordable(order: Sequence[HeadId], n_layers: int, share: float, budget: float) -> list[HeadId]:
    """The first of these heads whose exact measurements cost no more than `budget` forward passes.

    A head of layer l takes the layers from l on, over `share` of the positions.
    """
    taken = []
    for head in order:
        cost = share * (n_layers - head.layer) / n_layers
        if cost > budget:
            continue  # a later layer may still fit
        budget -= cost
        taken.append(head)
    return taken
