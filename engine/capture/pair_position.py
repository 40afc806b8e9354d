"""Find the position at which the two sides of a pair differ most, node by node.

A mean over the prompt dilutes the effect of a single token. A difference counts as a share of the stream it is written
into: later layers read a normalised stream, so the same vector means less in a longer one (docs/lab).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class AlignedPairs(NamedTuple):
    """Where the tokens of both sides of pairs stand, counted from the prompts' ends."""

    rows: Int[Tensor, "pair side"]
    """Rows of the batch, the positive first."""
    places: Int[Tensor, "pair side back"]
    """Positions in the row; any one past a prompt's beginning."""
    there: Bool[Tensor, "pair back"]
    """False past the shorter side's beginning."""

    @classmethod
    def of_rows(cls, pairs: Int[Tensor, "pair side"], lengths: Sequence[int]) -> "AlignedPairs":
        """Return the places in rows of one prompt each. `pairs`: rows of the batch, the positive first."""
        ends = torch.tensor(lengths)[pairs]
        shared = ends.min(dim=1).values
        back = torch.arange(max(1, int(shared.max()) if len(pairs) else 1))
        return cls(pairs, (ends[:, :, None] - 1 - back).clamp(min=0), back[None, :] < shared[:, None])


class PairDifferences:
    """Differences of the pairs of one batch, taken layer by layer during the forward pass.

    Positions are counted from the prompts' ends, so pairs of unequal length are compared there, too. Layers whose heads
    or MLPs are not wanted can be left out; heads need the streams after their own layer and all later ones.
    """

    def __init__(
        self,
        aligned: AlignedPairs,
        weights: Float[Tensor, "layer head d_head d_model"],
        *,
        outputs: bool = False,
    ) -> None:
        """`weights`: W_O. `outputs`: embedding and MLPs follow, too."""
        device, (n_layers, n_heads, d_head, _) = weights.device, weights.shape
        self._rows, self._places, self._there = (each.to(device) for each in aligned)
        n_pairs, n_back = self._there.shape
        self._weights = weights
        self._difference: Tensor | None = None
        """Of z of the layer's heads, position by position, until the stream after the layer is known."""
        self._lengths = torch.zeros(0, device=device)
        self.z = torch.zeros(n_pairs, n_layers, n_heads, d_head, device=device)
        """Difference of z, positive minus negative, at each head's position.

        After `finish` it is multiplied by the mean share that a unit of length has of the streams read by later layers.
        """
        self.largest = torch.zeros(n_pairs, n_layers, n_heads, device=device)
        """Length of the largest difference of the head's output at one position, regardless of the stream."""
        self._where = torch.zeros(n_pairs, n_layers, n_heads, dtype=torch.int64, device=device)
        self._streams = torch.ones(n_pairs, n_back, n_layers, device=device)
        self.outputs = torch.zeros(n_pairs, (1 + n_layers) * outputs, weights.shape[-1], device=device)
        """Differences of what the embedding and every layer's MLP write: [pair, 1 + layer, d_model].

        The sum over positions, each as a share of the stream there: an MLP's work is spread over the prompt, and the
        position of its largest difference ranks MLPs worse (docs/lab).
        """
        self._output: Tensor | None = None
        """Difference of the layer's MLP, position by position, until the stream after the layer is known."""

    def head(self, layer: int, z: Float[Tensor, "row position head d_head"]) -> None:
        """Record z of a layer's heads."""
        first, second = (self._at_places(z, side) for side in (0, 1))
        difference = self._difference = (first - second) * self._there[:, :, None, None]
        weights = self._weights[layer, :, : z.shape[-1]]  # heads of this layer may be smaller than others
        self._lengths = torch.einsum("pkhd,hdm->pkhm", difference, weights).norm(dim=-1)
        self.largest[:, layer] = self._lengths.amax(dim=1)

    def output(self, place: int, output: Float[Tensor, "row position d_model"]) -> None:
        """Record what the embedding writes (place 0), or an MLP (1 + layer) before the stream after that layer."""
        if place == 0:
            self._take_output(0, self._apart(output), self._norms(output))
        else:
            self._output = self._apart(output)

    def stream(self, layer: int, residual: Float[Tensor, "row position d_model"]) -> None:
        """Record the residual stream after the layer, which determines each head's position."""
        self._streams[:, :, layer] = self._norms(residual)
        if self._difference is not None:
            where = (self._lengths / self._streams[:, :, layer, None]).argmax(dim=1)
            self._where[:, layer] = where
            d_head = self._difference.shape[-1]
            taken = self._difference.gather(1, where[:, None, :, None].expand(-1, -1, -1, d_head))
            self.z[:, layer, :, :d_head] = taken[:, 0]
            self._difference = None  # a layer's is as large as its z
        if self._output is not None:
            self._take_output(1 + layer, self._output, self._streams[:, :, layer])
            self._output = None

    def finish(self) -> None:
        """Scale the differences by the streams of all later layers."""
        n_layers = self._streams.shape[2]
        later = (1 / self._streams).flip(2).cumsum(dim=2).flip(2)
        later /= torch.arange(n_layers, 0, -1, device=later.device)
        self.z *= later.transpose(1, 2).gather(2, self._where)[..., None]

    def _take_output(
        self, place: int, difference: Float[Tensor, "pair position d_model"], stream: Float[Tensor, "pair position"]
    ) -> None:
        self.outputs[:, place] = (difference / stream[..., None]).sum(dim=1)

    def _apart(self, output: Float[Tensor, "row position d_model"]) -> Float[Tensor, "pair position d_model"]:
        return (self._at_places(output, 0) - self._at_places(output, 1)) * self._there[:, :, None]

    def _norms(self, stream: Float[Tensor, "row position d_model"]) -> Float[Tensor, "pair position"]:
        """Return the stream's norm at every position, the mean of both sides."""
        norms = stream.norm(dim=-1)
        return ((self._at_places(norms, 0) + self._at_places(norms, 1)) / 2).clamp(min=1e-6)

    def _at_places(self, values: Tensor, side: int) -> Tensor:
        return values[self._rows[:, side, None], self._places[:, side]]
