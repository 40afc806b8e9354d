"""Capture what every head writes on every example, in one forward pass over the prompts (docs/method.md 2)."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.capture import activation_cache
from engine.capture.batches import batches_of, tokens_at_once
from engine.capture.direct_effects import DirectEffectsReader
from engine.capture.layer_hooks import head_hooks, output_hooks, stream_hooks
from engine.capture.pair_position import AlignedPairs, PairDifferences
from engine.capture.prompts import AnswerIds, answers_of, encode_prompt, position_weights
from engine.config import ProbeConfig
from engine.errors import ModelError
from engine.events import Monitor, StageProgress
from engine.examples import Example
from engine.models.contributions import READOUT
from engine.models.loading import Model
from engine.nodes import NodeChoice
from engine.sae.node_codes import NodeOutputs
from engine.scoring.direct_effects import DirectEffects


class HeadOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one forward pass. Rows are examples, in their order."""

    z: Tensor
    """Float [example, layer, head, d_head]: each head's z, pooled by the position policy.

    Behind a norm after attention, z is first multiplied by its position's factor (engine.models.contributions).
    """
    n_tokens: list[int]
    """Number of the prompt's own tokens."""
    answers: list[AnswerIds]
    expected: list[float]
    """Probability of the expected set after the prompt; 0 if there is none."""
    foils: list[float]
    rank: list[int]
    """Rank of the best expected token; 0 if there is none."""
    says: list[int]
    """The most probable token."""
    says_probability: list[float]
    cached: bool
    apart: Tensor | None = None
    """Float [pair, layer, head, d_head]: difference of each head's z within a pair.

    At the position where it is largest, as a share of the stream (engine.capture.pair_position). None: no pairs were
    given.
    """
    largest: Tensor | None = None
    """Float [pair, layer, head]: length of each head's largest difference at one position."""
    outputs: Tensor | None = None
    """Float [example, 1 + layer, d_model]: what the embedding and each MLP write, pooled like z. None: not read."""
    outputs_apart: Tensor | None = None
    """Float [pair, 1 + layer, d_model]: their differences within a pair, summed over positions (PairDifferences)."""
    direct: Tensor | None = None
    """Float [example, node]: what each node's own output adds to the answer's logit, through the final norm.

    The answer's logit: mean of the expected tokens less that of the foils, or of all tokens; NaN in examples without an
    expected token. None: the model has no such numbers (engine.models.answer_directions).
    """
    answer: Tensor | None = None
    """Float [example]: the answer's logit, before a soft cap."""


class TokenRows(NamedTuple):
    """What one capture reads. Rows are prompts, in tokens."""

    prompts: list[list[int]]
    weights: list[list[float]]
    """Of every position (position_weights)."""
    answers: list[AnswerIds]
    pairs: list[tuple[int, int]]
    outputs: bool
    """True if embedding and MLPs are read, too."""


def read_examples(
    model: Model,
    examples: Sequence[Example],
    config: ProbeConfig,
    monitor: Monitor,
    activations: Path | None,
    pairs: Int[Tensor, "pair side"] | None = None,
    nodes: NodeChoice = "heads",
) -> HeadOutputs:
    """Return every head's pooled z and the model's answers for every prompt, from the cache where possible.

    `pairs` (rows, the positive first) are also compared position by position. Padding is on the right, where a causal
    model does not see it, and never counts, so results do not depend on the other rows of a batch. Raises ExampleError
    for a prompt longer than the context, Cancelled within a block.
    """
    encoded = [encode_prompt(model, index, example) for index, example in enumerate(examples)]
    answers = [answers_of(model, example) for example in examples]
    weights = [position_weights(model, index, ids, own, config.position) for index, (ids, own) in enumerate(encoded)]
    together = [] if pairs is None else [(int(first), int(second)) for first, second in pairs]
    outputs = model.layout(nodes).n_outputs > 0
    key = _key(model, encoded, answers, config.position, together, outputs=outputs)
    stored = activation_cache.load(activations, key) if activations else None
    if stored is not None and together and not stored["apart"].any():
        stored = None  # earlier versions read no differences of pairs in GPT-1
    if stored is None:
        part = activation_cache.PartialCapture(activations, key)
        reads = TokenRows([ids for ids, _ in encoded], weights, answers, together, outputs)
        stored = _run(model, reads, monitor, part)
        if activations:
            activation_cache.save(activations, key, stored)
        part.drop()
        cached = False
    else:
        cached = True
    return HeadOutputs(
        z=stored["z"].to(model.device),
        n_tokens=[sum(own) for _, own in encoded],
        answers=answers,
        expected=stored["expected"].tolist(),
        foils=stored["foils"].tolist(),
        rank=stored["rank"].tolist(),
        says=stored["says"].tolist(),
        says_probability=stored["says_probability"].tolist(),
        cached=cached,
        apart=stored["apart"].to(model.device) if together else None,
        largest=stored["largest"] if together else None,
        outputs=stored["outputs"].to(model.device) if outputs else None,
        outputs_apart=stored["outputs_apart"].to(model.device) if outputs and together else None,
        direct=stored.get("direct"),
        answer=stored.get("answer"),
    )


def head_outputs(model: Model, z: Float[Tensor, "example layer head d_head"]) -> Float[Tensor, "example node d_model"]:
    """Return x of docs/method.md 2: what each head adds to the stream, heads counted layer by layer.

    Pooling before W_O gives the same number as after it, as both are linear, and moves d_model / d_head times less
    data.
    """
    return torch.einsum("nlhd,lhdm->nlhm", z, model.output_weights).flatten(1, 2)


def node_outputs(model: Model, captured: HeadOutputs, *, at_own_position: bool) -> NodeOutputs:
    """Return what every node that was read writes. `at_own_position`: with the differences of pairs."""
    apart = captured.apart if at_own_position else None
    return NodeOutputs(
        heads=head_outputs(model, captured.z),
        heads_apart=None if apart is None else head_outputs(model, apart),
        others=captured.outputs,
        others_apart=captured.outputs_apart if at_own_position else None,
    )


def direct_effects(captured: HeadOutputs) -> DirectEffects | None:
    """Return the direct effects that were read; None if the model has none."""
    if captured.direct is None or captured.answer is None:
        return None
    return DirectEffects(nodes=captured.direct, answer=captured.answer)


def _key(
    model: Model,
    encoded: list[tuple[list[int], list[bool]]],
    answers: list[AnswerIds],
    position: str,
    pairs: list[tuple[int, int]],
    *,
    outputs: bool,
) -> str:
    ids = [ids for ids, _ in encoded]
    content: tuple[object, ...] = (
        model.info.identity,
        model.device.type,
        position,
        ids,
        answers,
        pairs,
        activation_cache.VERSION,
    )
    if model.lengths:  # earlier versions read rows as if all had their neighbours' length
        content += ("lengths",)
    if model.precision != "float32":  # earlier versions had no other
        content += (model.precision,)
    if set(model.contributions.scales) != {1.0}:  # earlier versions ignored the scales
        content += (model.contributions.scales,)
    if model.contributions.gains:  # earlier versions ignored norms after attention
        content += ("norms after attention", sorted(model.contributions.gains))
    if outputs:  # earlier versions read heads only
        content += ("outputs",)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def _run(model: Model, reads: TokenRows, monitor: Monitor, part: activation_cache.PartialCapture) -> dict[str, Tensor]:
    info, (prompts, weights, answers, pairs, outputs) = model.info, reads
    n = len(prompts)
    found = {
        "z": torch.zeros(n, info.n_layers, info.n_heads, info.d_head),
        "expected": torch.zeros(n),
        "foils": torch.zeros(n),
        "rank": torch.zeros(n, dtype=torch.int64),
        "says": torch.zeros(n, dtype=torch.int64),
        "says_probability": torch.zeros(n),
        "read": torch.zeros(n, dtype=torch.bool),
    }
    if pairs:
        found["apart"] = torch.zeros(len(pairs), info.n_layers, info.n_heads, info.d_head)
        found["largest"] = torch.zeros(len(pairs), info.n_layers, info.n_heads)
    if outputs:
        found["outputs"] = torch.zeros(n, 1 + info.n_layers, info.d_model)
        if pairs:
            found["outputs_apart"] = torch.zeros(len(pairs), 1 + info.n_layers, info.d_model)
    direct_wanted = not model.directions.why_not
    if direct_wanted:
        found["direct"] = torch.full((n, model.layout("all" if outputs else "heads").n_nodes), math.nan)
        found["answer"] = torch.full((n,), math.nan)
    found.update(part.load())
    # The same batches as in an uninterrupted capture, so that the numbers are the same to the last bit.
    for rows in batches_of(prompts, pairs, tokens_at_once(model.device.type)):
        if bool(found["read"][rows].all()):
            continue
        width = max(len(prompts[row]) for row in rows)
        model.adapt_threads(len(rows) * width)
        tokens = torch.tensor([prompts[row] + [0] * (width - len(prompts[row])) for row in rows], device=model.device)
        weight = torch.tensor([weights[row] + [0.0] * (width - len(weights[row])) for row in rows])
        last = torch.tensor([len(prompts[row]) - 1 for row in rows], device=model.device)
        place = {row: at for at, row in enumerate(rows)}
        inside = [number for number, (first, _) in enumerate(pairs) if first in place]
        apart = None
        if inside:
            local = torch.tensor([[place[row] for row in pairs[number]] for number in inside])
            lengths = [len(prompts[row]) for row in rows]
            apart = PairDifferences(AlignedPairs.of_rows(local, lengths), model.output_weights, outputs=outputs)
        pooled = _Pooled(model, weight.to(model.device), outputs=outputs)
        direct = None
        if direct_wanted:
            direct = DirectEffectsReader(model, [answers[row] for row in rows], last, outputs=outputs)
        logits = _forward(model, tokens, last, pooled, apart, direct, monitor)
        found["z"][rows] = pooled.z.cpu()
        if outputs:
            found["outputs"][rows] = pooled.outputs.cpu()
        if direct is not None:
            found["direct"][rows], found["answer"][rows] = direct.of_nodes.cpu(), direct.answer.cpu()
        if model.precision != "float32" and not (pooled.is_finite() and not logits.isnan().any()):
            raise ModelError(
                f"{model.info.name} gives numbers in {model.precision} that are infinite or no numbers.",
                hint="Its activations are too large for that precision: use --dtype bfloat16 or float32.",
            )
        if apart is not None:
            found["apart"][inside], found["largest"][inside] = apart.z.cpu(), apart.largest.cpu()
            if outputs:
                found["outputs_apart"][inside] = apart.outputs.cpu()
        for row, probabilities in zip(rows, logits.float().softmax(dim=-1).cpu(), strict=True):
            _read_answer(found, row, probabilities, answers[row])
        found["read"][rows] = True
        part.save(found)
        monitor.report(StageProgress(stage="capture", done=int(found["read"].sum()), total=n))
    del found["read"]
    return found


class _Pooled:
    """What every node wrote on the rows of one batch, its positions weighted and summed."""

    def __init__(self, model: Model, weight: Float[Tensor, "row position"], *, outputs: bool) -> None:
        info, n = model.info, len(weight)
        self.weight = weight
        self.z = torch.zeros(n, info.n_layers, info.n_heads, info.d_head, device=weight.device)
        self.outputs = torch.zeros(n, (1 + info.n_layers) * outputs, info.d_model, device=weight.device)
        """[row, 1 + layer, d_model]: the embedding, then the MLPs; empty if they are not read."""

    def heads(self, layer: int, z: Float[Tensor, "row position head d_head"]) -> None:
        self.z[:, layer, :, : z.shape[-1]] = torch.einsum("bphd,bp->bhd", z, self.weight)

    def output(self, place: int, output: Float[Tensor, "row position d_model"]) -> None:
        self.outputs[:, place] = torch.einsum("bpm,bp->bm", output, self.weight)

    def is_finite(self) -> bool:
        return bool(self.z.isfinite().all() and self.outputs.isfinite().all())


def _forward(
    model: Model,
    tokens: Int[Tensor, "row position"],
    last: Tensor,
    pooled: _Pooled,
    apart: PairDifferences | None,
    direct: DirectEffectsReader | None,
    monitor: Monitor,
) -> Float[Tensor, "row vocabulary"]:
    """Run one batch and read its nodes into `pooled`, `apart` and `direct`.

    Return the logits after each row's last token.
    """
    n_rows, every = len(tokens), range(model.info.n_layers)

    def read(layer: int, z: Float[Tensor, "row position head d_head"]) -> None:
        pooled.heads(layer, z)
        if apart is not None:
            apart.head(layer, z)
        if direct is not None:
            direct.heads(layer, z)

    def output(place: int, written: Float[Tensor, "row position d_model"]) -> None:
        pooled.output(place, written)
        if direct is not None:
            direct.output(place, written)
        if apart is not None:
            apart.output(place, written)

    def only_last(residual: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
        # The vocabulary is large and only the token after the prompt is needed.
        return residual[torch.arange(n_rows, device=residual.device), last.to(residual.device)].unsqueeze(1)

    hooks = head_hooks(model, every, read, monitor)
    if pooled.outputs.shape[1]:
        hooks += output_hooks(model, range(1 + len(every)), output)
    if apart is not None:
        hooks += stream_hooks(model, every, apart.stream)
    if direct is not None:
        hooks += direct.final_hooks()
    with torch.inference_mode(), model.lengths.of(last + 1):
        logits = model.bridge.run_with_hooks(tokens, fwd_hooks=[*hooks, (READOUT, only_last)], return_type="logits")
        if apart is not None:
            apart.finish()
        if direct is not None:
            direct.finish()
    return logits[:, -1].to(model.device)


def _read_answer(found: dict[str, Tensor], row: int, probabilities: Tensor, answers: AnswerIds) -> None:
    best, token = probabilities.max(dim=-1)
    found["says"][row], found["says_probability"][row] = token, best
    found["foils"][row] = probabilities[list(answers.foils)].sum()
    if answers.expected:
        expected = probabilities[list(answers.expected)]
        found["expected"][row] = expected.sum()
        found["rank"][row] = 1 + (probabilities > expected.max()).sum()
