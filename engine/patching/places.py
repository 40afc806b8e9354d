"""Exact effects of one node position by position: where in the prompt its output matters."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.nodes import NodeId
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.patching.node_patching import one_each, replaced_in
from engine.patching.partial_forward import PartialPass, later_passes


def measure_places(passes: ForwardPasses, inputs: PatchingInputs, node: NodeId) -> Float[Tensor, "row position"]:
    """Return by how much the metric changes when the node is replaced at one position alone, for every position.

    Positions are those of the clean rows. Zero where nothing is replaced: before the first difference of a pair, and
    beyond a row's end. All positions are copies in one pass, as far as they fit. Raises NoSuchNode, and Cancelled
    within a block.
    """
    passes.layout.check(node)
    mask, first = one_each([node], passes.layout), max(node.layer, 0)
    found = torch.zeros(inputs.where.shape, device=inputs.tokens.device)
    with torch.no_grad():
        for tail, all_places in place_passes(passes, inputs, layers=passes.n_layers - first):
            for places in in_passes(all_places, copies_at_once(passes, tail)):
                metric = replaced_in(
                    passes,
                    inputs,
                    mask.expand(len(places), -1),
                    first,
                    tail,
                    one_place_each(inputs, tail, places),
                )
                change = metric - inputs.base_by_row[tail.rows]
                replaced = inputs.where[tail.rows][:, places]
                found[tail.rows[:, None], torch.tensor(places, device=found.device)] = torch.where(
                    replaced, change.T, 0.0
                )
    return found


def place_passes(
    passes: ForwardPasses, inputs: PatchingInputs, *, layers: int, kinds: int = 1
) -> list[tuple[PartialPass, list[int]]]:
    """Return every row's positions at which something is replaced, with the pass that is run for them.

    A pass begins at its first position: keys and values before it are those of the clean rows. Positions are shared
    out over as many passes as pay off, for `layers` layers that are computed per position and kind of replacement.
    """
    found: list[tuple[PartialPass, list[int]]] = []
    for tail in inputs.tails(passes):
        places = _changing_places(inputs, tail)
        shares = _shared_out(passes, tail, places, layers=layers, kinds=kinds)
        later = later_passes(passes, inputs, tail, [share[0] for share in shares[1:]]) if len(shares) > 1 else []
        if later is None:
            found.append((tail, places))
        else:
            found += zip([tail, *later], shares, strict=True)
    return found


def _shared_out(
    passes: ForwardPasses, tail: PartialPass, places: Sequence[int], *, layers: int, kinds: int
) -> list[list[int]]:
    """Return the positions in runs of similar length, at the lowest cost in tokens times layers."""

    def cost(shares: Sequence[Sequence[int]]) -> float:
        tokens = sum(kinds * len(share) * (tail.end - share[0]) * len(tail.rows) for share in shares)
        more = shares[-1][0] * len(tail.rows) * passes.n_layers if len(shares) > 1 else 0  # the longest prefix
        return layers * (tokens + len(shares) * passes.overhead) + more

    whole = [list(places)]
    if len(places) < 2:
        return whole if places else []
    parts = [whole]
    for n in range(2, len(places) + 1):
        size = -(-len(places) // n)
        parts.append([list(places[start : start + size]) for start in range(0, len(places), size)])
    return min(parts, key=cost)


def _changing_places(inputs: PatchingInputs, tail: PartialPass) -> list[int]:
    """Return the positions at which something is replaced in at least one row of the tail."""
    anywhere = inputs.where[tail.rows, tail.begin : tail.end].any(dim=0)
    return [tail.begin + place for place in anywhere.nonzero()[:, 0].tolist()]


def one_place_each(
    inputs: PatchingInputs, tail: PartialPass, places: Sequence[int]
) -> Bool[Tensor, "many some position"]:
    """Return where each copy is replaced: at its own place only, and there only in rows that are replaced."""
    at = torch.zeros(len(places), 1, tail.end - tail.begin, dtype=torch.bool, device=inputs.where.device)
    at[torch.arange(len(places)), 0, torch.tensor(places) - tail.begin] = True
    return at & inputs.where[tail.rows, tail.begin : tail.end]


def copies_at_once(passes: ForwardPasses, tail: PartialPass) -> int:
    """Return how many copies of the tail's rows fit into one pass; at least one."""
    return max(1, passes.rows_at_once(tail.tokens.shape[1]) // len(tail.rows))


def in_passes(items: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield the items in parts of at most `size`."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
