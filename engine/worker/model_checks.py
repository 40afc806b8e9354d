"""The checks of `headcode models check`: each is one function that tries one thing and says whether it holds."""

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from engine.analysis.rank_correlation import spearman
from engine.analysis.ranking import auc, circuit_by_rank, default_circuit_size, members, strengths
from engine.capture.head_outputs import read_examples
from engine.catalog.check_report import CheckVerdict, ModelCheck
from engine.catalog.local_models import weight_files
from engine.config import Dtype, LoadOptions, ProbeConfig
from engine.errors import HeadcodeError, ModelError
from engine.events import SilentMonitor
from engine.examples import Example
from engine.machine.memory import format_bytes, memory
from engine.measures import DEFAULT_MEASURE
from engine.models.head_layout import output_matrices, output_scales
from engine.models.kv_cache import cache_error
from engine.models.loading import Model, load_model
from engine.patching.forward import ForwardPasses
from engine.scoring.score_table import pair_rows
from engine.worker.plain_transformers import PlainModel
from engine.worker.score_examples import score_examples

_NORM_AFTER = "ln1_post"
"""TransformerLens's name for a norm between attention and the stream."""
_ROUNDING = 1e-3
"""Largest relative difference attributed to rounding in float32, which makes 1e-6 to 1e-4."""
_SAME_HEADS = 0.95
"""AUC from which another number format finds the same heads."""
_TRIED_HEADS = 4
_MEMORY_MARGIN = 1.2


class CheckInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks of one model share."""

    model: Model
    rows: tuple[tuple[int, ...], tuple[int, ...]]
    """Two prompts of as many tokens."""
    examples: tuple[Example, ...]
    """Pairs of a ready-made task; empty if this tokenizer can express none."""
    task: str
    dtype: Dtype


class HookFamily(msgspec.Struct, frozen=True, kw_only=True):
    """Hooks of one name in every layer, and what needs them."""

    title: str
    hook: str
    """Its name, with {layer}; without, it is one hook of the whole model."""
    needed_for: str
    vital: bool = True
    """False: what needs it is left out in models that do not have it."""


HOOK_FAMILIES = (
    HookFamily(title="heads' outputs", hook="blocks.{layer}.attn.hook_z", needed_for="codes and effects"),
    HookFamily(title="stream into blocks", hook="blocks.{layer}.hook_in", needed_for="attribution and skipped layers"),
    HookFamily(title="stream out of blocks", hook="blocks.{layer}.hook_out", needed_for="pair positions"),
    HookFamily(title="readout", hook="unembed.hook_in", needed_for="answers"),
    HookFamily(
        title="attention", hook="blocks.{layer}.attn.hook_pattern", needed_for="the head inspector", vital=False
    ),
)


def check_hooks(inputs: CheckInputs, family: HookFamily) -> ModelCheck:
    """Check in how many layers the family's hooks are called in a forward pass."""
    layers = range(inputs.model.info.n_layers) if "{layer}" in family.hook else range(1)
    called: set[int] = set()

    def see(layer: int) -> Callable[..., None]:
        def hook(value: object, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            if isinstance(_stream(value), Tensor):
                called.add(layer)

        return hook

    bridge = inputs.model.bridge
    names = {layer: family.hook.format(layer=layer) for layer in layers}
    hooks = [(name, see(layer)) for layer, name in names.items() if name in bridge.hook_dict]
    _pass(inputs.model, inputs.rows[0], hooks)
    missing = [layer for layer in layers if layer not in called]
    if not missing:
        where = f"in all {len(layers)} layers" if len(layers) > 1 else "once in each pass"
        return _check(f"hook: {family.title}", "holds", f"called {where}", len(called), "layers")
    shown = ", ".join(map(str, missing[:8])) + (" ..." if len(missing) > 8 else "")
    where = f"not called in {len(missing)} of {len(layers)} layers ({shown})" if len(layers) > 1 else "not called"
    reason = f"{family.hook} is {where}: without it there are no {family.needed_for}"
    return _check(f"hook: {family.title}", "fails" if family.vital else "cannot", reason, len(called), "layers")


def check_head_sum(inputs: CheckInputs) -> ModelCheck:
    """Check that the heads' writes, biases, norm after attention and factor make what attention adds to the stream."""
    model, name = inputs.model, "sum of heads"
    worst, ways = 0.0, dict[str, int]()
    kept, scales = _kept(model, inputs.rows[0]), output_scales(model.bridge)
    for layer, matrices in enumerate(output_matrices(model.bridge, model.info.n_heads)):
        z, scale = kept[f"blocks.{layer}.attn.hook_z"], scales[layer]
        heads = z.view(*z.shape[:2], model.info.n_heads, -1)
        written = torch.einsum("bphd,hdm->bpm", heads, matrices / scale)
        bias = _output_bias(model.bridge.blocks[layer])
        parts = [*(["bias"] if bias is not None else []), *([f"factor {scale:.3g}"] if scale != 1 else [])]
        written = written if bias is None else written + bias
        best, way = float("inf"), ""
        for added in _added_by_attention(kept, layer):
            for norm, through in _norms(model.bridge.blocks[layer], written):
                error = float((through * scale - added).abs().max() / added.abs().max().clamp_min(1e-12))
                if error < best:
                    best, way = error, ", ".join([*parts, *([norm] if norm else [])])
        if best == float("inf"):
            return _check(name, "cannot", f"what attention adds in layer {layer} cannot be read from the stream")
        worst = max(worst, best)
        ways[way] = ways.get(way, 0) + 1
    holds = worst <= _ROUNDING
    with_what = "; ".join(f"with {way}" if way else "nothing else" for way in ways)
    reason = (
        f"the heads' writes ({with_what}) are what attention adds to the stream"
        if holds
        else "what attention adds to the stream is more than the heads' writes with bias, norm and factor"
    )
    return _check(name, "holds" if holds else "fails", reason, worst, "largest relative difference")


def check_patched_effect(inputs: CheckInputs) -> ModelCheck:
    """Check that replacing a head changes the logits as it does in plain transformers with hooks of torch."""
    name = "patched effect"
    if lacking := _lacking_memory(inputs.model):
        return _check(name, "cannot", lacking)
    try:
        plain = PlainModel(inputs.model)
    except ModelError as error:
        return _check(name, "cannot", error.message)
    model, (one, other) = inputs.model, inputs.rows
    info, passes = model.info, ForwardPasses(model, SilentMonitor())
    clean, _ = plain.run(one)
    _, there = plain.run(other)
    tokens, last = torch.tensor([one], device=model.device), torch.tensor([len(one) - 1], device=model.device)
    largest, off = 0.0, 0.0
    layers = sorted({round(step * (info.n_layers - 1) / (_TRIED_HEADS - 1)) for step in range(_TRIED_HEADS)})
    with torch.no_grad():
        base = passes.run(tokens, last)[0]
        for place, layer in enumerate(layers):
            head = place % info.n_heads
            instead = there[layer][:, head]

            def edit(_layer: int, heads: Tensor, head: int = head, instead: Tensor = instead) -> Tensor:
                changed = heads.clone()
                changed[0, :, head] = instead
                return changed

            ours = passes.run(tokens, last, edit=edit, edited=[layer])[0] - base
            wanted = plain.run(one, (layer, head), instead)[0] - clean
            largest = max(largest, float(wanted.abs().max()))
            off = max(off, float((ours - wanted).abs().max()))
    scale: float = max(largest, 1e-3 * float(clean.abs().max()))
    number: float = max(off / scale, float((base - clean).abs().max() / clean.abs().max()))
    good = number <= 10 * _ROUNDING  # a difference of two passes, so it has the rounding of both
    reason = (
        f"{len(layers)} heads in layers {', '.join(map(str, layers))} change the logits as in plain transformers"
        if good
        else "replacing heads changes the logits otherwise than in plain transformers"
    )
    return _check(name, "holds" if good else "fails", reason, number, "largest relative difference")


def check_dtype(inputs: CheckInputs) -> ModelCheck:
    """Compare scores of the same prompts in float32 and in the other number format."""
    name = f"float32 and {inputs.dtype}"
    if not inputs.examples:
        return _check(name, "cannot", "this tokenizer can express none of the ready-made tasks: there are no prompts")
    if lacking := _lacking_memory(inputs.model):
        return _check(name, "cannot", lacking)
    in_float = score_examples(inputs.model, inputs.examples)
    folder = inputs.model.folder
    options = LoadOptions(device=str(inputs.model.device), dtype=inputs.dtype)
    try:
        second = load_model(str(folder), folder.parent, options)
        in_other = score_examples(second, inputs.examples)
    except (RuntimeError, ValueError, TypeError, HeadcodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return _check(name, "cannot", f"the model does not run in {inputs.dtype} here: {reason}")
    del second
    gc.collect()
    one, other = strengths(in_float, DEFAULT_MEASURE), strengths(in_other, DEFAULT_MEASURE)
    top = set(circuit_by_rank(in_float, default_circuit_size(len(members(in_float)))))
    same = auc(other, [node.id in top for node in in_float]) if top else None
    correlation = spearman(one, other)
    if same is None or correlation is None:
        return _check(name, "cannot", f"no head's codes differ between the sides of {inputs.task}: nothing to rank")
    reason = (
        f"{DEFAULT_MEASURE.title} on {len(inputs.examples)} prompts of {inputs.task}: rank correlation "
        f"{correlation:.3f}; AUC of {inputs.dtype} for the {len(top)} best heads of float32 {same:.3f}"
    )
    return _check(name, "holds" if same >= _SAME_HEADS else "fails", reason, same, "AUC")


def check_cache(inputs: CheckInputs) -> ModelCheck:
    """Check that a pass that continues from kept keys and values gives the logits of a whole pass."""
    name, rows = "kept keys and values", torch.tensor(inputs.rows, device=inputs.model.device)
    try:
        error = cache_error(inputs.model.bridge, rows, rows.shape[1] // 2)
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError) as problem:
        return _check(name, "cannot", f"the model takes no cache ({type(problem).__name__}): whole passes are run")
    if error == float("inf"):
        return _check(name, "cannot", "the model leaves no cache: whole passes are run, up to twice as long")
    with torch.no_grad():
        size = float(inputs.model.bridge(rows)[:, -1].abs().max())
    good = error <= _ROUNDING * max(1.0, size)
    reason = "passes may start after a shared prefix" if good else "passes after a shared prefix give other logits"
    return _check(name, "holds" if good else "fails", reason, error, "largest difference of logits")


def check_tokenizer(inputs: CheckInputs) -> ModelCheck:
    """State what the tokenizer adds, how it treats a leading space, and whether it has tokens for single bytes."""
    model = inputs.model
    tokens, n_tokens = model.tokens, len(model.tokenizer)

    def listed(ids: Sequence[int]) -> str:
        return " ".join(model.token_words(token) for token in ids) or "nothing"

    end = getattr(model.tokenizer, "eos_token", None)
    spaced, bare = (tokens.answers("We met", [text])[0].ids for text in (" Mary", "Mary"))
    space = "belongs to the word's token" if len(spaced) == 1 else f"and word make {len(spaced)} tokens"
    single = len(tokens.answers("a", ["<e6>"])[0].ids) == 1
    facts = [
        f"before a text it adds {listed(tokens.before)}",
        f"behind it {listed(tokens.behind)}" + (", which is left out" if tokens.behind else ""),
        f"end token {end or 'none'}",
        f"a leading space {space}" + (", another than the word's alone" if spaced != bare else ""),
        f"{'has' if single else 'no'} tokens for single bytes",
    ]
    if n_tokens > model.info.vocabulary:
        facts.append(f"{n_tokens - model.info.vocabulary} tokens have no embedding and are refused")
    return _check("tokenizer", "fact", "; ".join(facts), n_tokens, "tokens")


def check_cost(inputs: CheckInputs) -> ModelCheck:
    """State the memory of this process and the seconds of capturing twenty prompts."""
    model, monitor = inputs.model, SilentMonitor()
    if not inputs.examples:
        return _check("cost", "cannot", "this tokenizer can express none of the ready-made tasks: there are no prompts")
    spent = []
    for _ in range(2):  # the first pass warms up
        begun = time.perf_counter()
        with torch.inference_mode():
            read_examples(model, inputs.examples, ProbeConfig(), monitor, None, pair_rows(inputs.examples))
        spent.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    where = f"{format_bytes(peak)} of memory at most, with every copy that was loaded to compare"
    if model.device.type == "cuda":
        where += f", {format_bytes(torch.cuda.max_memory_allocated(model.device))} on the device"
    n, threads = len(inputs.examples), torch.get_num_threads()
    reason = f"{n} prompts of {inputs.task} are captured in {spent[-1]:.2g} s ({model.device.type}, {threads} threads)"
    return _check("cost", "fact", f"{reason}; {where}", spent[-1], f"seconds for {n} prompts")


def all_checks() -> tuple[tuple[str, Callable[[CheckInputs], ModelCheck]], ...]:
    """Return every check with its title, in the order in which they are made."""
    hooks = tuple((f"hook: {family.title}", _bound(family)) for family in HOOK_FAMILIES)
    return (
        *hooks,
        ("sum of heads", check_head_sum),
        ("patched effect", check_patched_effect),
        ("number format", check_dtype),
        ("kept keys and values", check_cache),
        ("tokenizer", check_tokenizer),
        ("cost", check_cost),
    )


def _bound(family: HookFamily) -> Callable[[CheckInputs], ModelCheck]:
    return lambda inputs: check_hooks(inputs, family)


def _check(name: str, verdict: CheckVerdict, reason: str, number: float | None = None, unit: str = "") -> ModelCheck:
    finite = number is not None and number == number and abs(number) != float("inf")
    return ModelCheck(name=name, verdict=verdict, number=number if finite else None, unit=unit, reason=f"{reason}.")


def _pass(model: Model, row: Sequence[int], hooks: list[tuple[str, Callable[..., Any]]]) -> None:
    tokens = torch.tensor([list(row)], device=model.device)
    with torch.no_grad():
        model.bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type="logits")


def _kept(model: Model, row: Sequence[int]) -> dict[str, Tensor]:
    """Return the activations of a pass at which the parts of each block can be read."""
    found: dict[str, Tensor] = {}
    parts = ["attn.hook_z", "hook_in", "hook_out", "ln1.hook_in", "ln2.hook_in", "mlp.hook_out", "ln2.hook_out"]
    parts.append("ln2_post.hook_out")
    names = [f"blocks.{layer}.{part}" for layer in range(model.info.n_layers) for part in parts]

    def keep(name: str) -> Callable[..., None]:
        def hook(value: object, hook: object) -> None:  # noqa: ARG001
            if isinstance(stream := _stream(value), Tensor):
                found[name] = stream.detach().float().clone()

        return hook

    _pass(model, row, [(name, keep(name)) for name in names if name in model.bridge.hook_dict])
    return found


def _output_bias(block: Any) -> Tensor | None:
    """Return the bias of the heads' output projection; None if it has none."""
    bias = getattr(getattr(getattr(block.attn, "o", None), "original_component", None), "bias", None)
    return bias.detach().float() if isinstance(bias, Tensor) else None


def _stream(value: object) -> object:
    """Return what a block hands on: alone, or as the first item of a sequence (GPT-1)."""
    return value[0] if isinstance(value, tuple | list) and value else value


def _added_by_attention(kept: dict[str, Tensor], layer: int) -> Iterator[Float[Tensor, "row position d_model"]]:
    """Yield what attention may have added to the stream, by where the block's other half begins.

    The stream between the halves, or, where both read the same input, what the block adds without its MLP's part.
    """
    begin, end = kept[f"blocks.{layer}.hook_in"], kept.get(f"blocks.{layer}.hook_out")
    for part in ("ln2.hook_in", "ln1.hook_in"):  # the latter where norms come after the sum (GPT-1)
        between = kept.get(f"blocks.{layer}.{part}")
        if between is not None and between.shape == begin.shape:
            yield between - begin
    if end is None:
        return
    for part in ("mlp.hook_out", "ln2_post.hook_out", "ln2.hook_out"):
        mlp = kept.get(f"blocks.{layer}.{part}")
        if mlp is not None and mlp.numel() == begin.numel():
            yield end - begin - mlp.view(begin.shape)


def _norms(block: Any, written: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the sum as it is, and through each norm of the block that may come after attention."""
    yield "", written
    for name in (_NORM_AFTER, "ln1"):
        norm = getattr(getattr(block, name, None), "original_component", None)
        if norm is not None:
            with torch.no_grad():
                through = norm(written)
            yield "the norm after attention", through


def _lacking_memory(model: Model) -> str:
    """Return why a second copy does not fit beside this one; empty if it does, or if memory is unknown."""
    found = memory()
    needed = int(_MEMORY_MARGIN * sum(path.stat().st_size for path in weight_files(model.folder)))
    if found is None or model.device.type != "cpu" or found.available >= needed:
        return ""
    return f"it needs a second copy of {format_bytes(needed)}, and {format_bytes(found.available)} are free"
