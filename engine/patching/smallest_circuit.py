"""Find a small circuit that keeps a share of the answer: the shortest prefix of a ranking, then pruned node by node."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from engine.nodes import NodeId
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.patching.node_patching import mask_of, measure_replaced, one_each

_GROWTH = 1.3
"""Ratio of one size of the search for the shortest prefix to the next."""
_REFINED = 12
"""Sizes measured between two of them."""


def smallest_circuit(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    order: Sequence[NodeId],
    progress: Callable[[int], None],
    *,
    keep: float,
) -> list[NodeId]:
    """Return the nodes of a circuit whose faithfulness is `keep` or more and falls below it without any one of them.

    `order`: all nodes that can be in a circuit, best first; the result is in this order. Two starts, the shortest
    prefix of the order that reaches `keep` and the shortest prefix of its heads with all MLPs, are pruned: of all
    removals of one node those that cost least are done together, as many as leave `keep`, until none is left
    (the greedy search of ACDC, Conmy et al. 2023, over nodes). There may be smaller circuits.

    `progress` is called with the number of measurements done. Raises Cancelled within a block.
    """
    search = _Search(passes, inputs, progress, keep)
    starts = [search.prefix(order, [])]
    mlps = [node for node in order if not node.is_head]
    if mlps:
        starts.append(search.prefix([node for node in order if node.is_head], mlps))
    pruned = sorted((search.prune(start) for start in starts), key=len)
    return [node for node in order if node in pruned[0]]


def expected_measurements(n_members: int) -> int:
    """Return about how many patched passes the search takes, for a progress bar: each node is left out a few times."""
    return 4 * n_members


class _Search:
    def __init__(
        self, passes: ForwardPasses, inputs: PatchingInputs, progress: Callable[[int], None], keep: float
    ) -> None:
        self._passes, self._inputs, self._progress = passes, inputs, progress
        self._members = torch.tensor([node.in_circuits for node in passes.layout.ids])
        self._done = 0
        (empty,) = self._metric(torch.zeros(1, passes.layout.n_nodes, dtype=torch.bool))
        self._least = empty + keep * (inputs.base - empty)
        """The answer that a circuit has to leave, in the metric's unit. Its sign is that of `_reach`."""
        self._up = inputs.base >= empty

    def prefix(self, order: Sequence[NodeId], always: Sequence[NodeId]) -> list[NodeId]:
        """Return the shortest measured prefix of the order that keeps enough beside the nodes of `always`."""
        sizes = sorted({0, *(min(len(order), math.ceil(_GROWTH**power)) for power in range(_powers(len(order))))})
        low, high = self._first(order, always, sizes)
        step = max(1, (high - low) // (_REFINED + 1))
        if high - low > 1:
            low, high = self._first(order, always, [*range(low + step, high, step), high])
        return [*order[:high], *always]

    def prune(self, circuit: list[NodeId]) -> list[NodeId]:
        """Return what is left of a circuit when no single node can be removed."""
        layout = self._passes.layout
        while circuit:
            whole = mask_of(circuit, layout)
            left = self._metric(whole & ~one_each(circuit, layout))
            ways = sorted(range(len(circuit)), key=lambda place: -left[place] if self._up else left[place])
            spare = [circuit[place] for place in ways if self._keeps(left[place])]
            if not spare:
                break
            sizes = sorted({min(len(spare), math.ceil(_GROWTH**power)) for power in range(_powers(len(spare)))})
            masks = torch.stack([whole & ~mask_of(spare[:size], layout) for size in sizes])
            kept = [size for size, value in zip(sizes, self._metric(masks), strict=True) if self._keeps(value)]
            # The first alone was measured to be removable; rounding of batches may say otherwise just at the cut.
            gone = set(spare[: max(kept, default=1)])
            circuit = [node for node in circuit if node not in gone]
        return circuit

    def _first(self, order: Sequence[NodeId], always: Sequence[NodeId], sizes: list[int]) -> tuple[int, int]:
        """Return the last of these sizes before the first that keeps enough, and that one."""
        masks = torch.stack([mask_of([*order[:size], *always], self._passes.layout) for size in sizes])
        enough = [self._keeps(value) for value in self._metric(masks)]
        first = next((place for place, yes in enumerate(enough) if yes), len(sizes) - 1)
        return sizes[max(0, first - 1)], sizes[first]

    def _keeps(self, value: float) -> bool:
        return value >= self._least if self._up else value <= self._least

    def _metric(self, circuits: Bool[Tensor, "many node"]) -> list[float]:
        """Return the mean metric with everything outside each circuit replaced."""

        def on_measured(_which: int, _metric: Tensor) -> None:
            self._done += 1
            self._progress(self._done)

        return measure_replaced(self._passes, self._inputs, ~circuits & self._members, on_measured).mean(dim=1).tolist()


def _powers(n: int) -> int:
    """Return how many powers of `_GROWTH` reach n."""
    return 1 + math.ceil(math.log(max(n, 1)) / math.log(_GROWTH))
