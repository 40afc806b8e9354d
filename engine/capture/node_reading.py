"""Read some nodes on many prompts: no layer that does not matter to them, no common beginning twice."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.capture.batches import tokens_at_once
from engine.capture.layer_hooks import Read, head_hooks, output_hooks, stream_hooks
from engine.capture.pair_position import AlignedPairs, PairDifferences
from engine.capture.prefix_trees import PackedPrompts, PrefixTree, in_rows, pack, reads_trees, run_until, width_for
from engine.events import Monitor
from engine.models.loading import Model
from engine.nodes import NodeId

_MOST_REPEATS = 8
"""Prompts of one pass over trees have at most this many times its tokens, each prompt counted in full."""

Prompts = Sequence[Sequence[int]]


class NodesRead(NamedTuple):
    """What nodes write on prompts, or between the prompts of pairs. Layers that were not asked for are zero."""

    z: Float[Tensor, "row layer head d_head"]
    outputs: Float[Tensor, "row 1+layer d_model"]
    """The embedding, then the MLPs; empty if none was asked for."""


class NodeReader:
    """Reads the outputs of some nodes: the numbers of engine.capture.head_outputs."""

    def __init__(
        self,
        model: Model,
        nodes: Collection[NodeId],
        output_weights: Float[Tensor, "layer head d_head d_model"],
        monitor: Monitor,
    ) -> None:
        """`output_weights`: the model's; making them takes as long as a short pass."""
        self._model, self._monitor, self._output_weights = model, monitor, output_weights
        self._heads = sorted({node.layer for node in nodes if node.is_head})
        self._outputs = sorted({1 + node.layer for node in nodes if not node.is_head})

    def pooled(self, prompts: Prompts, weights: Sequence[Sequence[float]]) -> NodesRead:
        """Return what the nodes write on each prompt, positions summed by their weights. Raises Cancelled."""
        found = self._nothing(len(prompts))
        for rows in self._batches(prompts, [(number,) for number in range(len(prompts))]):
            packed = self._packed([prompts[row] for row in rows])
            pool = _Pool(packed, [weights[row] for row in rows], self._nothing(len(rows)), self._model.device)
            self._run(packed, pool.heads, pool.output, pool.stream, [])
            found.z[rows], found.outputs[rows] = pool.found.z.cpu(), pool.found.outputs.cpu()
        return found

    def differences(self, prompts: Prompts, pairs: Sequence[tuple[int, int]]) -> NodesRead:
        """Return the differences within pairs, the first prompt less the second (PairDifferences). Raises Cancelled.

        `pairs`: of numbers of prompts.
        """
        found = self._nothing(len(pairs))
        # A head's difference counts as a share of all streams that are still to come, an MLP's of its layer's.
        streams = {*range(min(self._heads), self._model.info.n_layers)} if self._heads else set()
        streams |= {place - 1 for place in self._outputs if place}
        for rows in self._batches(prompts, pairs):
            numbers = {number: at for at, number in enumerate({each: None for row in rows for each in pairs[row]})}
            packed = self._packed([prompts[number] for number in numbers])
            aligned = _aligned(packed, [tuple(numbers[each] for each in pairs[row]) for row in rows])
            apart = PairDifferences(aligned, self._output_weights, outputs=bool(self._outputs))
            self._run(packed, apart.head, apart.output, apart.stream, sorted(streams))
            apart.finish()
            found.z[rows], found.outputs[rows] = apart.z.cpu(), apart.outputs.cpu()
        return found

    def _nothing(self, n: int) -> NodesRead:
        info = self._model.info
        n_outputs = (1 + info.n_layers) if self._outputs else 0
        return NodesRead(
            torch.zeros(n, info.n_layers, info.n_heads, info.d_head), torch.zeros(n, n_outputs, info.d_model)
        )

    def _batches(self, prompts: Prompts, units: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
        """Yield numbers of units: batches of not too many tokens, those with the same beginning together."""
        most = tokens_at_once(self._model.device.type)
        tree, rows, n_prompts, longest = PrefixTree(), list[int](), 0, 0
        for row in sorted(range(len(units)), key=lambda each: [tuple(prompts[number]) for number in units[each]]):
            own = [prompts[number] for number in units[row]]
            longest = max(longest, *map(len, own))
            alone = (n_prompts + len(own)) * longest
            shared = len(tree.tokens) + sum(map(tree.missing, own))
            if rows and (alone > most * (_MOST_REPEATS if self._in_trees(longest) else 1) or shared > most):
                yield rows
                tree, rows, n_prompts, longest = PrefixTree(), [], 0, max(map(len, own))
            for prompt in own:
                tree.add(prompt)
            rows.append(row)
            n_prompts += len(own)
        if rows:
            yield rows

    def _in_trees(self, longest: int) -> bool:
        """Return whether prompts of so many tokens are read over trees."""
        return longest <= width_for(self._model) and reads_trees(self._model)

    def _packed(self, prompts: Prompts) -> PackedPrompts:
        trees = self._in_trees(max(map(len, prompts)))
        return pack(prompts, width_for(self._model)) if trees else in_rows(prompts)

    def _run(self, packed: PackedPrompts, heads: Read, output: Read, stream: Read, streams: Sequence[int]) -> None:
        """Run one pass, to the last layer that is read."""
        model = self._model
        last = max([0, *self._heads, *(place - 1 for place in self._outputs), *streams])
        model.adapt_threads(packed.tokens.numel())
        hooks = head_hooks(model, self._heads, heads, self._monitor)
        hooks += output_hooks(model, self._outputs, output)
        hooks += stream_hooks(model, streams, stream)
        run_until(model, packed, hooks, last)


class _Pool:
    """What nodes write on the prompts of one pass, positions summed by their weights."""

    def __init__(
        self, packed: PackedPrompts, weights: Sequence[Sequence[float]], found: NodesRead, device: torch.device
    ) -> None:
        self.found = NodesRead(*(each.to(device) for each in found))
        places, there = _padded(packed.places)
        weight = torch.zeros(there.shape)
        weight[there] = torch.tensor([each for row in weights for each in row])
        self._weight = weight.to(device)
        self._at = (torch.tensor(packed.rows)[:, None].to(device), places.to(device))

    def heads(self, layer: int, z: Float[Tensor, "row place head d_head"]) -> None:
        self.found.z[:, layer, :, : z.shape[-1]] = torch.einsum("nphd,np->nhd", z[self._at], self._weight)

    def output(self, place: int, output: Float[Tensor, "row place d_model"]) -> None:
        self.found.outputs[:, place] = torch.einsum("npm,np->nm", output[self._at], self._weight)

    def stream(self, layer: int, residual: Tensor) -> None:
        """Ignore the stream: sums over positions do not need it."""


def _padded(places: Sequence[Sequence[int]]) -> tuple[Int[Tensor, "prompt position"], Bool[Tensor, "prompt position"]]:
    longest = max(map(len, places))
    lengths = torch.tensor([len(each) for each in places])
    return (
        torch.tensor([[*each, *[0] * (longest - len(each))] for each in places]),
        torch.arange(longest) < lengths[:, None],
    )


def _aligned(packed: PackedPrompts, pairs: Sequence[tuple[int, ...]]) -> AlignedPairs:
    """Return where the tokens of pairs stand, from the ends of both."""
    backwards, there = _padded([each[::-1] for each in packed.places])
    sides = torch.tensor(pairs)
    shared = there[sides].all(dim=1)
    longest = max(1, int(shared.sum(dim=1).max()))
    return AlignedPairs(torch.tensor(packed.rows)[sides], backwards[sides][..., :longest], shared[:, :longest])
