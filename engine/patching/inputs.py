"""The inputs of patching: positives with their clean pass, and the replacement of each head."""

from collections.abc import Callable, Sequence

import msgspec
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.analysis.effects import METRIC_WORDS
from engine.capture.prompts import AnswerIds, answers_of, encode_prompt, position_weights
from engine.config import EffectsConfig, PatchingMetric, Replacement
from engine.errors import ExampleError
from engine.events import Monitor, Notice
from engine.examples import Example
from engine.models.loading import Model
from engine.patching.forward import CleanPass, ForwardPasses, Slope
from engine.patching.metrics import AnswerMetric, can_measure, resolve_metric
from engine.patching.other_side import OtherSide
from engine.patching.partial_forward import LinearReadout, PartialPass, readout_of, tails_of
from engine.tasks.base import Metric
from engine.tensors.generators import generator

_MOST_BYTES = 2 << 30
"""Maximum bytes of clean activations, replacements and residual streams together."""
_NEGATIVES = 256
"""Maximum number of negatives for a mean."""


class PatchingPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A tokenized prompt with the positions to patch."""

    ids: list[int]
    places: list[int]
    """Positions at which heads are replaced, by the run's position policy."""
    answers: AnswerIds


class ReplacementActivations(msgspec.Struct, frozen=True, kw_only=True):
    """Replacements of what every node writes, at the positives' positions."""

    z: list[Tensor]
    mlps: list[Tensor]
    """Empty if only heads are nodes."""
    entering: Tensor
    unchanged: tuple[int, ...]
    """Per row, the number of leading positions that are the same as in the clean prompt."""
    side: OtherSide | None = None
    """Where they were read; None: they are zeros."""


class PatchingInputs:
    """The positives' clean pass and every node's replacement, aligned to the positives' positions."""

    def __init__(
        self,
        passes: ForwardPasses,
        positives: Sequence[PatchingPrompt],
        other: "ReplacementActivations",
        replacement: Replacement,
        metric: PatchingMetric,
        *,
        gradients: bool = False,
    ) -> None:
        device = passes.model.device
        self.tokens, self.last = _padded(positives, device)
        self.where: Bool[Tensor, "row position"] = _where(positives, self.tokens.shape[1]).to(device)
        self.replacement = replacement
        self.why = ""
        """The reason for this metric."""
        self.other = other.z
        """Float [row, position, head, d_head], one per layer; only positions in `where` count."""
        self.other_input = other.entering
        """Float [row, position, d_model]: the replacement of the first layer's input."""
        self.other_mlps = other.mlps
        """Float [row, position, d_model], one per layer; empty if only heads are nodes."""
        self.other_side = other.side
        """Where replacements were read, to read more there; None: they are zeros."""
        self.examples: tuple[int, ...] = tuple(range(len(positives)))
        """Index of each row's example."""
        answers = [row.answers for row in positives]

        def slope(part: slice) -> Slope:
            return lambda logits: AnswerMetric(metric, answers[part], logits)(logits)

        self.clean: CleanPass = clean_in_parts(
            passes,
            self.tokens,
            self.last,
            residuals=passes.n_layers,
            slope=slope if gradients and metric != "kl" else None,
        )
        self.answer_metric = AnswerMetric(metric, answers, self.clean.logits)
        self.base_by_row = self.answer_metric(self.clean.logits)
        self.readout: LinearReadout | None = readout_of(passes, self)
        if self.readout is not None and passes.model.precision != "float32":
            self.base_by_row = self.readout(self.clean.final)
        self.base = float(self.base_by_row.mean())
        first = torch.where(self.where, torch.arange(self.where.shape[1], device=device), self.where.shape[1])
        begins = zip(other.unchanged, first.min(dim=1).values.tolist(), self.last.tolist(), strict=True)
        self._unchanged = [min(max(same, replaced), last) for same, replaced, last in begins]
        self._tails: list[PartialPass] | None = None

    def tails(self, passes: ForwardPasses) -> list[PartialPass]:
        """Return all rows, each from the first position that can change: what is computed for a replacement."""
        if self._tails is None:
            self._tails = tails_of(passes, self, self._unchanged)
        return self._tails

    def share(self, passes: ForwardPasses) -> float:
        """Return the share of all positions that are computed."""
        return sum(tail.tokens.numel() for tail in self.tails(passes)) / self.tokens.numel()

    def written_where(self, layer: int) -> Float[Tensor, "row position"] | Bool[Tensor, "row position"]:
        """Return by what a change of the layer's z is multiplied on its way to W_O, to change the stream.

        Zero where nothing is replaced; elsewhere one or, behind a norm after attention, its factor in the clean pass.
        """
        factor = self.clean.factors.get(layer)
        return self.where if factor is None else self.where * factor

    def outputs_apart(self, part: slice) -> list[Float[Tensor, "row position d_model"]]:
        """Return what the embedding and every MLP write on the other side, less what they write on these rows."""
        begin = self.clean.residual[0][part].to(self.other_input.device, torch.float32)
        return [
            self.other_input[part] - begin,
            *(other[part] - clean[part] for other, clean in zip(self.other_mlps, self.clean.mlps, strict=True)),
        ]

    def __len__(self) -> int:
        return len(self.tokens)


def prepare(
    model: Model,
    passes: ForwardPasses,
    examples: Sequence[Example],
    config: EffectsConfig,
    *,
    position: str,
    task: Metric | None,
    monitor: Monitor,
    unequal: bool = False,
) -> PatchingInputs:
    """Return the inputs for measuring effects. Reports what was left out as notices.

    `unequal`: use pairs of unequal length as well, position by position from the end. Raises ExampleError if nothing is
    left, Cancelled within a block.
    """
    rows = [_row(model, index, example, position) for index, example in enumerate(examples)]
    positive = [index for index, example in enumerate(examples) if example.positive]
    negative = [index for index, example in enumerate(examples) if not example.positive]
    chosen_metric = resolve_metric(config.metric, [rows[index].answers for index in positive], task)
    metric = chosen_metric.metric
    if chosen_metric.fell_back:
        monitor.report(
            Notice(
                message=f"Effects are measured by {METRIC_WORDS[metric]}: {chosen_metric.why}.",
                hint="Write the expected answer and the foil, one token each: prompt => expected | foil.",
            )
        )
    usable = [index for index in positive if can_measure(metric, rows[index].answers)]
    if len(usable) < len(positive):
        monitor.report(
            Notice(
                message=f"Effects are measured on {len(usable)} of {len(positive)} positives: "
                f"the others have no tokens for {metric.replace('_', ' ')}.",
                hint="Write expected and foil tokens of one token each for them, or measure by kl.",
            )
        )
    replacement = config.replacement
    partner = _partners(examples, rows, usable, position, unequal=unequal)
    if replacement in ("auto", "pair"):
        replacement = _choose(replacement, usable, partner, examples, monitor)
    if replacement == "pair":
        usable = [index for index in usable if index in partner]
    usable = _drawn(usable, min(config.examples, _affordable(passes, rows, usable)), monitor)
    chosen = [rows[index] for index in usable]
    width = max(len(row.ids) for row in chosen)
    if replacement == "pair":
        sources: list[PatchingPrompt] = [rows[partner[index]] for index in usable]
        other = _from_partners(passes, chosen, sources, width)
    elif replacement == "resample":
        picks = torch.randint(len(negative), (len(usable),), generator=generator(0, "resample")).tolist()
        other = _from_partners(passes, chosen, [rows[negative[pick]] for pick in picks], width)
    elif replacement == "mean":
        other = _from_mean(passes, [rows[index] for index in negative[:_NEGATIVES]], len(chosen), width)
    else:
        zero, info = torch.zeros(1, device=model.device), model.info
        output = zero.expand(len(chosen), width, info.d_model)
        sizes = [each.shape[1] for each in model.head_weights]
        other = ReplacementActivations(
            z=[zero.expand(len(chosen), width, info.n_heads, size) for size in sizes],
            mlps=[output] * info.n_layers if passes.layout.n_outputs else [],
            entering=output,
            unchanged=(0,) * len(chosen),
        )
    slopes = config.method in ("attribution", "combined", "circuit") and not config.gradient_steps
    inputs = PatchingInputs(passes, chosen, other, replacement, metric, gradients=slopes)
    inputs.why = chosen_metric.why
    inputs.examples = tuple(usable)
    return inputs


def clean_in_parts(
    passes: ForwardPasses,
    tokens: Int[Tensor, "row position"],
    last: Int[Tensor, " row"],
    *,
    residuals: int = 0,
    slope: Callable[[slice], Slope] | None = None,
) -> CleanPass:
    """Run a clean pass over any number of rows, in parts. `slope` returns each part's slope."""
    size = passes.rows_at_once(tokens.shape[1])
    parts = [slice(start, start + size) for start in range(0, len(tokens), size)]
    return CleanPass.joined(
        [
            passes.clean(tokens[part], last[part], residuals=residuals, slope=None if slope is None else slope(part))
            for part in parts
        ]
    )


def _row(model: Model, index: int, example: Example, position: str) -> PatchingPrompt:
    ids, own = encode_prompt(model, index, example)
    weights = position_weights(model, index, ids, own, position)
    return PatchingPrompt(
        ids=ids, places=[place for place, weight in enumerate(weights) if weight], answers=answers_of(model, example)
    )


def _partners(
    examples: Sequence[Example], rows: Sequence[PatchingPrompt], usable: Sequence[int], position: str, *, unequal: bool
) -> dict[int, int]:
    """Return positive -> negative of its pair, where the two can be aligned.

    They can with as many tokens on both sides, or one named position on each; all can if `unequal`.
    """
    negatives = {each.pair: index for index, each in enumerate(examples) if not each.positive and each.pair is not None}
    found = {}
    for index in usable:
        pair = examples[index].pair
        other = None if pair is None else negatives.get(pair)
        if other is not None and (unequal or position != "mean" or len(rows[index].ids) == len(rows[other].ids)):
            found[index] = other
    return found


def _choose(
    asked: Replacement,
    usable: Sequence[int],
    partner: dict[int, int],
    examples: Sequence[Example],
    monitor: Monitor,
) -> Replacement:
    """Return pair where possible, else mean; report what was left out and why."""
    paired = sum(examples[index].pair is not None for index in usable)
    if not partner:
        if asked == "pair":
            raise ExampleError(
                "No positive has a paired negative with as many tokens: there is nothing to patch from.",
                hint="Give both prompts of a pair as many tokens, or replace heads by mean, resample or zero.",
            )
        why = "no pair has as many tokens on both sides" if paired else "the examples are in no pairs"
        monitor.report(
            Notice(
                message=f"Heads are replaced by their mean over the negatives: {why}.",
                hint="Patching from a paired negative of the same length changes less of the prompt at a time.",
            )
        )
        return "mean"
    if len(partner) < len(usable):
        monitor.report(
            Notice(
                message=f"Effects are measured on {len(partner)} of {len(usable)} positives: the others have no paired "
                "negative with as many tokens.",
                hint="Give both prompts of a pair as many tokens.",
            )
        )
    return "pair"


def _affordable(passes: ForwardPasses, rows: Sequence[PatchingPrompt], usable: Sequence[int]) -> int:
    if not usable:
        raise ExampleError("No positive is left to measure effects on.", hint="Add positives with expected tokens.")
    info = passes.model.info
    width = max(len(rows[index].ids) for index in usable)
    outputs = 2 * info.d_model if passes.layout.n_outputs else 0
    each = width * info.n_layers * (2 * info.n_heads * info.d_head + outputs + info.d_model) * 4
    return max(1, _MOST_BYTES // each)


def _drawn(usable: list[int], most: int, monitor: Monitor) -> list[int]:
    if len(usable) <= most:
        return usable
    monitor.report(Notice(message=f"Effects are measured on {most} positives drawn from {len(usable)}."))
    order = torch.randperm(len(usable), generator=generator(0, "cause examples"))[:most]
    return [usable[place] for place in sorted(order.tolist())]


def _from_partners(
    passes: ForwardPasses, rows: Sequence[PatchingPrompt], sources: Sequence[PatchingPrompt], width: int
) -> ReplacementActivations:
    """Return each row's z on another prompt.

    At the same position where both are as long or one position is named; else at the same distance from the end, and at
    the prompt's first token for positions before its start.
    """
    device = passes.model.device
    tokens, last = _padded(sources, device)
    there = clean_in_parts(passes, tokens, last, residuals=1)
    take = torch.zeros(len(rows), width, dtype=torch.int64)
    for number, (row, source) in enumerate(zip(rows, sources, strict=True)):
        back = zip(reversed(row.places), _backwards(source.places, len(row.places)), strict=True)
        for place, taken in back:
            take[number, place] = taken
    rows_there, take = torch.arange(len(rows), device=device)[:, None], take.to(device)
    return ReplacementActivations(
        z=[z[rows_there, take] for z in there.z],
        mlps=[output[rows_there, take] for output in there.mlps],
        entering=there.residual[0].to(device, torch.float32)[rows_there, take],
        unchanged=tuple(_same(row, source) for row, source in zip(rows, sources, strict=True)),
        side=OtherSide(tokens=tokens, last=last, take=take),
    )


def _same(row: PatchingPrompt, source: PatchingPrompt) -> int:
    """Return how many leading tokens are equal, if the replaced positions are the same."""
    if row.places != source.places:
        return 0
    pairs = zip(row.ids, source.ids, strict=False)
    return next(
        (place for place, (here, there) in enumerate(pairs) if here != there), min(len(row.ids), len(source.ids))
    )


def _backwards(places: Sequence[int], n: int) -> list[int]:
    """Return n positions from the end backwards; the first one repeats if there are fewer."""
    return [places[max(len(places) - 1 - step, 0)] for step in range(n)]


def _from_mean(passes: ForwardPasses, rows: Sequence[PatchingPrompt], n: int, width: int) -> ReplacementActivations:
    """Return every node's mean over the negatives' positions, the same for every row and position."""
    tokens, last = _padded(rows, passes.model.device)
    where = _where(rows, tokens.shape[1]).to(tokens.device).float()
    size = passes.rows_at_once(tokens.shape[1])
    sums: list[Tensor] = []
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        found = passes.clean(tokens[part], last[part], residuals=1)
        here = [
            torch.einsum("rp...,rp->...", each.to(where.device, torch.float32), where[part])
            for each in (*found.z, *found.mlps, *found.residual)
        ]
        sums = here if not sums else [before + more for before, more in zip(sums, here, strict=True)]
    means = [(total / where.sum()).expand(n, width, *total.shape) for total in sums]
    n_z = passes.n_layers
    side = OtherSide(tokens=tokens, last=last, take=None, where=where)
    return ReplacementActivations(z=means[:n_z], mlps=means[n_z:-1], entering=means[-1], unchanged=(0,) * n, side=side)


def _padded(
    rows: Sequence[PatchingPrompt], device: torch.device
) -> tuple[Int[Tensor, "row position"], Int[Tensor, " row"]]:
    # On the right, where a causal model does not see it.
    width = max(len(row.ids) for row in rows)
    tokens = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows], device=device)
    return tokens, torch.tensor([len(row.ids) - 1 for row in rows], device=device)


def _where(rows: Sequence[PatchingPrompt], width: int) -> Bool[Tensor, "row position"]:
    where = torch.zeros(len(rows), width, dtype=torch.bool)
    for number, row in enumerate(rows):
        where[number, row.places] = True
    return where
