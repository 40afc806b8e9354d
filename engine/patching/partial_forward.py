"""Partial forward passes: rows from their first position that can change, grouped by length."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.models.head_layout import unembedding
from engine.patching.forward import Edit, ForwardPasses, Hooks, PrefixCache

if TYPE_CHECKING:
    from engine.patching.inputs import PatchingInputs

_PASS = 3e7
"""Fixed cost of a forward pass, in parameter multiply-adds; smaller savings do not justify another pass."""


class PartialPass(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows, from a position before which nothing can change."""

    rows: Int[Tensor, " some"]
    """Indices of the inputs' rows."""
    tokens: Int[Tensor, "some position"]
    last: Int[Tensor, " some"]
    """Counted from `begin`."""
    begin: int
    end: int
    """One after the last token of the longest row."""
    prefix: PrefixCache | None
    """Keys and values of earlier positions; None if the pass starts at the prompts' start."""
    short: bool
    """True if only the readout is computed, not the logits (ForwardPasses.run, `readout`)."""

    def run(
        self,
        passes: ForwardPasses,
        inputs: "PatchingInputs",
        many: int,
        *,
        first: int = 0,
        residual: Float[Tensor, "row position d_model"] | None = None,
        edit: Edit | None = None,
        edited: set[int] | None = None,
        more_hooks: Hooks | None = None,
    ) -> Float[Tensor, "many some"]:
        """Return the metric on these rows, `many` times. `residual`: input of layer `first`, for all copies.

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
            more_hooks=more_hooks,
        ).view(many, len(self.rows), -1)
        if self.short:
            assert inputs.readout is not None
            return inputs.readout(answer, self.rows)
        return inputs.answer_metric(answer, self.rows)

    def entering(self, inputs: "PatchingInputs", layer: int) -> Float[Tensor, "some position d_model"]:
        """Return the clean input of the layer."""
        return inputs.clean.residual[layer][self.rows, self.begin : self.end]


class LinearReadout(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that is linear in the logits, as a direction of the normalised stream; needs no vocabulary."""

    directions: Float[Tensor, "row d_model"]
    constants: Float[Tensor, " row"]

    def __call__(
        self, stream: Float[Tensor, "*many some d_model"], rows: slice | Tensor = slice(None)
    ) -> Float[Tensor, "*many some"]:
        """Return the metric of these rows from their unembedding's input."""
        return (stream * self.directions[rows]).sum(dim=-1) + self.constants[rows]


def readout_of(passes: ForwardPasses, inputs: "PatchingInputs") -> LinearReadout | None:
    """Return the readout of the logit difference; None for other metrics and for models without a plain unembedding.

    In half precision the logits themselves are rounded (in bfloat16 to a sixteenth from 8 on), which the readout
    avoids. Then every answer is read with it, the clean ones too, if it agrees with the logits to that rounding.
    """
    weights = inputs.answer_metric.logit_weights
    if weights is None:
        return None
    matrix, bias = unembedding(passes.model.bridge)
    if matrix is None or matrix.shape[-1] != weights.shape[-1]:
        return None
    constants = torch.zeros(len(weights), device=weights.device)
    if bias is not None and bias.shape == weights.shape[-1:]:
        constants = weights @ bias.to(weights.device).float()
    found = LinearReadout(directions=weights @ matrix.to(weights.device).float().T, constants=constants)
    if passes.model.precision == "float32":
        return found
    rounding = 2 * torch.finfo(matrix.dtype).eps * float(inputs.clean.logits.abs().max())
    gap = (found(inputs.clean.final) - inputs.answer_metric(inputs.clean.logits)).abs().max()
    return found if float(gap) <= rounding else None


def tails_of(passes: ForwardPasses, inputs: "PatchingInputs", unchanged: Sequence[int]) -> list[PartialPass]:
    """Group the inputs' rows into partial passes. `unchanged`: per row, leading positions that nothing can change.

    A shortcut is used only if it reproduces the clean answers; else the rows are computed whole.
    """
    lengths = (inputs.last + 1).tolist()
    tails = []
    for rows, begin, end in _grouped(passes, lengths, unchanged):
        tails.append(_verified_pass(passes, inputs, rows, begin, end))
    return tails


def later_passes(
    passes: ForwardPasses, inputs: "PatchingInputs", tail: PartialPass, begins: Sequence[int]
) -> list[PartialPass] | None:
    """Return the tail's rows from each of these later positions on, without the rows that end before it.

    For replacements at that position or later ones. None if passes cannot begin there: the first is tried.
    """
    prefix = passes.prefix(inputs.tokens[tail.rows, : max(begins)], inputs.last[tail.rows] + 1)
    if prefix is None:
        return None
    found = []
    for begin in begins:
        longer = (inputs.last[tail.rows] >= begin).nonzero()[:, 0]
        rows = tail.rows[longer]
        end = int(inputs.last[rows].max()) + 1
        found.append(
            PartialPass(
                rows=rows,
                tokens=inputs.tokens[rows, begin:end],
                last=inputs.last[rows] - begin,
                begin=begin,
                end=end,
                prefix=prefix.part(longer, begin),
                short=tail.short,
            )
        )
    return found if _reproduces_clean(passes, inputs, found[0]) else None


def _verified_pass(
    passes: ForwardPasses, inputs: "PatchingInputs", rows: list[int], begin: int, end: int
) -> PartialPass:
    chosen = torch.tensor(rows, device=inputs.tokens.device)
    tokens, last = inputs.tokens[chosen], inputs.last[chosen]
    prefix = passes.prefix(tokens[:, :begin], last + 1) if begin else None
    # In half precision all answers come from the readout or none does: they differ by the rounding of the logits.
    always_short = inputs.readout is not None and passes.model.precision != "float32"
    ways: list[tuple[PrefixCache | None, bool]] = []
    if prefix is not None:
        ways += [(prefix, True)] if always_short else [(prefix, True), (prefix, False)]
    ways += [(None, True)]
    for cache, short in ways:
        if short and inputs.readout is None:
            continue
        start = begin if cache is not None else 0
        tail = PartialPass(
            rows=chosen,
            tokens=tokens[:, start:end],
            last=last - start,
            begin=start,
            end=end,
            prefix=cache,
            short=short,
        )
        if _reproduces_clean(passes, inputs, tail):
            return tail
    return PartialPass(
        rows=chosen, tokens=tokens[:, :end], last=last, begin=0, end=end, prefix=None, short=always_short
    )


def _reproduces_clean(passes: ForwardPasses, inputs: "PatchingInputs", tail: PartialPass) -> bool:
    many = 1 if len(tail.rows) > 1 else 2  # a family may take one row but not several (OPT flattens them)
    try:
        with torch.no_grad():
            again = tail.run(passes, inputs, many)[-1]
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
        return False  # a family whose attention does not accept a prefix
    return passes.same(again, inputs.base_by_row[tail.rows])


def _grouped(
    passes: ForwardPasses, lengths: Sequence[int], unchanged: Sequence[int]
) -> list[tuple[list[int], int, int]]:
    """Return (rows, begin, end) of each group: rows of similar begin together, at the lowest total cost."""
    one_more = _PASS / (12 * passes.model.info.d_model**2)
    order = sorted(range(len(lengths)), key=lambda row: (unchanged[row], lengths[row]))
    # Dynamic programming over the cheapest way to cut the order into runs.
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
