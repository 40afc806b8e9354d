"""What is computed when heads are replaced: rows from the first position that can change on, the like together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.patching.forward import Edit, ForwardPasses, PrefixCache

if TYPE_CHECKING:
    from engine.patching.inputs import PatchingInputs

_PASS = 3e7
"""What one more pass costs beside its tokens, in weights: a token costs a layer's. Rows are not split for less."""


class PartialPass(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows, from a position on that nothing before them can change."""

    rows: Int[Tensor, " some"]
    """Which of the material's."""
    tokens: Int[Tensor, "some position"]
    last: Int[Tensor, " some"]
    """Counted from the tail's begin."""
    begin: int
    end: int
    """Behind the last token of the longest of them."""
    prefix: PrefixCache | None
    """Keys and values of the positions before; None where it begins at the prompts' begin."""
    short: bool
    """Whether only the readout is computed of the answer (Passes.run, `readout`)."""

    def run(
        self,
        passes: ForwardPasses,
        material: "PatchingInputs",
        many: int,
        *,
        first: int = 0,
        residual: Float[Tensor, "row position d_model"] | None = None,
        edit: Edit | None = None,
        edited: set[int] | None = None,
    ) -> Float[Tensor, "many some"]:
        """The metric on these rows, `many` times over. `residual`: what enters layer `first`, for all of the copies.

        Raises Cancelled within a block.
        """
        answer = passes.run(
            self.tokens.repeat(many, 1),
            self.last.repeat(many),
            edit=edit,
            edited=edited,
            first=first,
            residual=residual,
            prefix=None if self.prefix is None else self.prefix.repeated(many),
            readout=self.short,
        ).view(many, len(self.rows), -1)
        if self.short:
            assert material.readout is not None
            return (answer * material.readout.directions[self.rows]).sum(dim=-1) + material.readout.constants[self.rows]
        return material.yardstick(answer, self.rows)

    def entering(self, material: "PatchingInputs", layer: int) -> Float[Tensor, "some position d_model"]:
        """What enters the layer where nothing is replaced."""
        return material.clean.residual[layer][self.rows, self.begin : self.end]


class LinearReadout(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that is linear in the logits, as a direction of the normalised stream: no vocabulary to go through."""

    directions: Float[Tensor, "row d_model"]
    constants: Float[Tensor, " row"]


def readout_of(passes: ForwardPasses, material: "PatchingInputs") -> LinearReadout | None:
    """The logit difference's; None for other metrics, and for models whose unembedding is not plain to see."""
    weights = material.yardstick.logit_weights
    unembedding = getattr(passes.model.bridge, "W_U", None)
    if weights is None or not isinstance(unembedding, Tensor) or unembedding.shape[-1] != weights.shape[-1]:
        return None
    bias = getattr(passes.model.bridge, "b_U", None)
    constants = torch.zeros(len(weights), device=weights.device)
    if isinstance(bias, Tensor) and bias.shape == weights.shape[-1:]:
        constants = weights @ bias.float()
    return LinearReadout(directions=weights @ unembedding.float().T, constants=constants)


def tails_of(passes: ForwardPasses, material: "PatchingInputs", unchanged: Sequence[int]) -> list[PartialPass]:
    """The material's rows in tails. `unchanged`: how many positions of each nothing can change.

    A shortened way is believed only when it gives the clean answers; else the rows are computed whole.
    """
    lengths = (material.last + 1).tolist()
    tails = []
    for rows, begin, end in _grouped(passes, lengths, unchanged):
        tails.append(_trusted(passes, material, rows, begin, end))
    return tails


def _trusted(passes: ForwardPasses, material: "PatchingInputs", rows: list[int], begin: int, end: int) -> PartialPass:
    chosen = torch.tensor(rows, device=material.tokens.device)
    tokens, last = material.tokens[chosen], material.last[chosen]
    prefix = passes.prefix(tokens[:, :begin], last + 1) if begin else None
    ways: list[tuple[PrefixCache | None, bool]] = []
    if prefix is not None:
        ways += [(prefix, True), (prefix, False)]
    ways += [(None, True)]
    for kept, short in ways:
        if short and material.readout is None:
            continue
        start = begin if kept is not None else 0
        tail = PartialPass(
            rows=chosen,
            tokens=tokens[:, start:end],
            last=last - start,
            begin=start,
            end=end,
            prefix=kept,
            short=short,
        )
        if _holds(passes, material, tail):
            return tail
    return PartialPass(rows=chosen, tokens=tokens[:, :end], last=last, begin=0, end=end, prefix=None, short=False)


def _holds(passes: ForwardPasses, material: "PatchingInputs", tail: PartialPass) -> bool:
    try:
        with torch.no_grad():
            again = tail.run(passes, material, 1)[0]
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        return False  # a family whose attention takes no such thing
    return bool(torch.allclose(again, material.base_by_row[tail.rows], rtol=1e-3, atol=1e-3))


def _grouped(
    passes: ForwardPasses, lengths: Sequence[int], unchanged: Sequence[int]
) -> list[tuple[list[int], int, int]]:
    """(rows, begin, end) each: rows of like begin together, as it costs least."""
    one_more = _PASS / (12 * passes.model.info.d_model**2)
    order = sorted(range(len(lengths)), key=lambda row: (unchanged[row], lengths[row]))
    # The cheapest way to cut the order into stretches, from its front on.
    best: list[float] = [0.0]
    cut = [0]
    for stop in range(1, len(order) + 1):
        choices = []
        longest = 0
        for start in range(stop - 1, -1, -1):
            longest = max(longest, lengths[order[start]])
            tokens = (stop - start) * (longest - unchanged[order[start]])
            choices.append((best[start] + tokens + one_more, start))
        cost, start = min(choices)
        best.append(cost)
        cut.append(start)
    groups: list[tuple[list[int], int, int]] = []
    stop = len(order)
    while stop:
        some = order[cut[stop] : stop]
        begin, end = unchanged[some[0]], max(lengths[row] for row in some)
        size = passes.rows_at_once(end - begin)
        groups += [(some[first : first + size], begin, end) for first in range(0, len(some), size)]
        stop = cut[stop]
    return groups[::-1]
