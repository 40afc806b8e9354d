"""What a run will take before it is begun: memory part by part, time by earlier runs, and what to lower. No torch.

The memory is what the stages' largest tensors come to (docs/lab.md: within a factor of 1.5 of the measured peak on the
bundled model and on SmolLM2); the time is that of earlier runs, scaled stage by stage by the work there is to do.
"""

from collections.abc import Callable, Sequence
from math import log2
from pathlib import Path
from statistics import median

import msgspec

from engine.catalog import find_model, read_sheet, weight_files
from engine.config import ProbeConfig
from engine.errors import ModelError
from engine.memory import size
from engine.results import ModelInfo, Timings

_PROGRAM_BYTES = 490_000_000
"""A worker with torch and transformer_lens in it and no model (measured: 470 MiB, July 2026 wheels for the CPU)."""
_FLOAT = 4
_TOKENS_AT_ONCE = 1024
_ROWS_AT_ONCE = 8192
_CELLS = 1 << 24
_CHARACTERS = 4.5
"""Of English prose a token, about."""
_SPOKEN = {"contrast": 0.15, "published": 0.5}
"""Share of the codes there could be that do occur, about."""
_SLACK = 0.95
"""Of free memory, what a run may be expected to take: others want some, too."""
_FLOPS = 4e10
"""Operations a second of the two cores this was measured on, where nobody knows better."""
_START_S = 6.0
"""Seconds until a new worker has imported torch, where nobody knows better."""
_HEADS_AT_ONCE = 64


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a model as decides what it takes."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    vocabulary: int
    parameters: int
    file_bytes: int = 0
    """Of its weights on the disk, where those are not in single precision: they stand in memory beside the others."""

    @property
    def n_nodes(self) -> int:
        return self.n_layers * self.n_heads


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is to work on."""

    n_examples: int
    n_tokens: float
    """Of one prompt, on average."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that takes memory."""

    name: str
    """program | model | activations | SAE | scores | causes"""
    n_bytes: int
    """At its largest; the parts do not all stand in memory together."""


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    parts: tuple[Part, ...]
    peak: int
    """Bytes of the worker in its fullest moment."""
    cache_bytes: int
    """Of the activations it leaves on the disk."""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run, as far as it tells how long the next one takes."""

    shape: Shape
    same_model: bool
    n_examples: int
    config: ProbeConfig
    timings: Timings
    warm: bool
    cached: bool
    overhead: float = 0.0
    """Seconds from its start to its end that no stage counts: a worker that starts, results that are kept."""


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """How long it will take."""

    seconds: float
    low: float
    high: float
    basis: str
    """From what that is known, in words."""
    rough: bool
    """Nothing like it was run here before."""


class Preflight(msgspec.Struct, frozen=True, kw_only=True):
    """What the next run will take, and whether there is that much."""

    model: str
    n_examples: int
    parts: tuple[Part, ...]
    peak_bytes: int | None
    """None: nothing is known of the model."""
    held_bytes: int
    """What the warm worker has of that already."""
    free_bytes: int | None
    """None: the system does not tell."""
    where: str
    """Whose memory: this machine, its container, the GPU."""
    fits: bool | None
    lower: tuple[str, ...]
    """Where it does not fit: each of these alone would do."""
    cache_bytes: int
    duration: Duration | None
    trouble: str = ""
    """Why less is known than should be."""

    @property
    def words(self) -> str:
        """One line for a person."""
        return ", ".join(part for part in (self.memory_words, self.time_words) if part)

    @property
    def memory_words(self) -> str:
        if self.peak_bytes is None:
            return self.trouble
        need = max(0, self.peak_bytes - self.held_bytes)
        held = f" ({size(self.held_bytes)} of it held already)" if self.held_bytes else ""
        total = f"needs {size(self.peak_bytes)}{held}"
        if self.free_bytes is None or self.fits is None:
            return f"{total}; how much is free, nobody tells"
        if self.fits:
            return f"fits: {total}, {size(self.free_bytes)} free{self.where}"
        lower = f"; lower {' or '.join(self.lower)}"
        if not self.lower:
            itself = sum(part.n_bytes for part in self.parts if part.name in ("program", "model")) - self.held_bytes
            alone = self.parts and itself <= _SLACK * self.free_bytes
            lower = "; lower codes, seeds and prompts together" if alone else "; choose a smaller model"
        return f"does not fit: {size(need)} more are needed, {size(self.free_bytes)} free{self.where}{lower}"

    @property
    def time_words(self) -> str:
        if self.duration is None:
            return ""
        about = seconds_words(self.duration.seconds)
        span = ""
        if self.duration.high > 1.3 * self.duration.low:
            span = f" ({seconds_words(self.duration.low)} to {seconds_words(self.duration.high)})"
        return f"about {about}{span}: {self.duration.basis}"


def seconds_words(seconds: float) -> str:
    """A stretch of time as people say it: 0.4 s, 12 s, 3 min, 2.5 h."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def shape_of(model: str, models: Path) -> Shape:
    """Read from the model's folder, without loading it. Raises ModelError where it is not on this machine."""
    source = find_model(model, models)
    sheet = read_sheet(source)
    if source.folder is None or not (sheet.n_layers and sheet.n_heads and sheet.d_model):
        raise ModelError(f"The size of {model!r} is not known before it is loaded.", hint="Fetch it first.")
    parameters, single = _count(source.folder)
    raw = msgspec.json.decode((source.folder / "config.json").read_bytes(), type=dict[str, object])
    head = raw.get("head_dim")
    return Shape(
        n_layers=sheet.n_layers,
        n_heads=sheet.n_heads,
        d_model=sheet.d_model,
        d_head=head if isinstance(head, int) else sheet.d_model // sheet.n_heads,
        vocabulary=sheet.vocabulary,
        parameters=parameters,
        file_bytes=0 if single else sheet.weights_bytes,
    )


def shape_of_info(info: ModelInfo) -> Shape:
    """Of a model that was loaded once; its parameters are estimated."""
    parameters = 12 * info.n_layers * info.d_model**2 + info.vocabulary * info.d_model
    return Shape(
        n_layers=info.n_layers,
        n_heads=info.n_heads,
        d_model=info.d_model,
        d_head=info.d_head,
        vocabulary=info.vocabulary,
        parameters=parameters,
    )


def tokens_of(characters: int, n_examples: int) -> float:
    """Tokens of a prompt, estimated from its length."""
    return max(1.0, characters / _CHARACTERS / max(n_examples, 1))


def footprint(shape: Shape, amount: Amount, config: ProbeConfig) -> Footprint:
    """What the run's largest tensors come to, stage by stage."""
    n, nodes, width = amount.n_examples, shape.n_nodes, shape.d_model
    sae, seeds = config.sae, len(config.seeds)
    contrast = sae.recipe == "contrast"
    trained = min(sae.training_examples, n)
    model = shape.parameters * _FLOAT
    pooled = 2 * n * nodes * shape.d_head * _FLOAT
    outputs = n * nodes * width * _FLOAT
    held = 2 * outputs + pooled
    rows_at_once = max(1.0, _TOKENS_AT_ONCE / amount.n_tokens)
    logits = int(3 * min(rows_at_once, n) * shape.vocabulary * _FLOAT)
    stream = int(40 * min(_TOKENS_AT_ONCE, n * amount.n_tokens) * width * _FLOAT)
    reading = logits + stream + pooled + outputs // 2
    shown = seeds * trained * nodes
    weights = 8 * seeds * sae.n_codes * width * _FLOAT
    rows = shown * width * _FLOAT * (2 if contrast else 1)
    latents = 3 * shown * sae.n_codes * _FLOAT
    coding = (seeds if not contrast else 1) * min(_ROWS_AT_ONCE, n * nodes) * (2 * sae.n_codes + 3 * width) * _FLOAT
    symbols = int(seeds * nodes * min(sae.n_codes, n) * _SPOKEN[sae.recipe])
    blocks = 4 * min(_CELLS, max(config.shuffles, config.bootstraps, 1) * symbols) * _FLOAT
    scores = n * symbols * _FLOAT + blocks + 6 * seeds * n * nodes * _FLOAT
    probes = 4 * min(_HEADS_AT_ONCE, nodes, max(1, _CELLS // max(1, n * n))) * n * n * _FLOAT
    causes = _causes(shape, amount, config)
    base = _PROGRAM_BYTES + model
    stages = [
        base + shape.file_bytes,
        base + held + reading,
        base + held + probes,
        base + held + weights + max(rows + latents, coding),
        base + held + weights + scores,
        base + held + weights + causes,
    ]
    parts = (
        Part(name="program", n_bytes=_PROGRAM_BYTES),
        Part(name="model", n_bytes=model + shape.file_bytes),
        Part(name="activations", n_bytes=held + reading),
        Part(name="SAE", n_bytes=weights + max(rows + latents, coding)),
        Part(name="scores", n_bytes=max(scores, probes)),
        Part(name="causes", n_bytes=causes),
    )
    kept = tuple(part for part in parts if part.n_bytes)
    return Footprint(parts=kept, peak=max(stages), cache_bytes=n * nodes * shape.d_head * _FLOAT)


def fits(peak: int, held: int, free: int | None) -> bool | None:
    """Whether what is missing is free; None where nobody knows."""
    return None if free is None else max(0, peak - held) <= _SLACK * free


def what_to_lower(shape: Shape, amount: Amount, config: ProbeConfig, *, held: int, free: int) -> tuple[str, ...]:
    """Settings that would make it fit, each by itself, with the largest value that does."""

    def enough(amount: Amount, config: ProbeConfig) -> bool:
        return fits(footprint(shape, amount, config).peak, held, free) is True

    def with_sae(**changes: int) -> ProbeConfig:
        return msgspec.structs.replace(config, sae=msgspec.structs.replace(config.sae, **changes))

    sae, n = config.sae, amount.n_examples
    knobs: list[tuple[str, int, int, Callable[[int], bool]]] = [
        (
            "the training examples",
            min(sae.training_examples, n),
            2,
            lambda value: enough(amount, with_sae(training_examples=value)),
        ),
        ("the codes", sae.n_codes, 2, lambda value: enough(amount, with_sae(n_codes=value))),
        (
            "the seeds",
            len(config.seeds),
            1,
            lambda value: enough(amount, msgspec.structs.replace(config, seeds=config.seeds[:value])),
        ),
        (
            "the prompts",
            n,
            2,
            lambda value: enough(msgspec.structs.replace(amount, n_examples=value), config),
        ),
    ]
    found = []
    for name, now, least, does in knobs:
        most = _largest(least, now - 1, does)
        if most is not None:
            found.append(f"{name} from {now} to {_round(most)}")
    if config.cause.method != "none":
        no_cause = msgspec.structs.replace(config.cause, method="none")
        if enough(amount, msgspec.structs.replace(config, cause=no_cause)):
            found.append("the cause to none")
    return tuple(found)


def expected(
    shape: Shape, amount: Amount, config: ProbeConfig, pasts: Sequence[Past], *, warm: bool, started: bool
) -> Duration:
    """How long it will take, by earlier runs of the same model; by others, or by hearsay, it says so."""
    own = [past for past in pasts if past.same_model]
    used = own or list(pasts)
    new = _work(shape, amount.n_examples, amount.n_tokens, config)
    if not used:
        seconds = sum(new.values()) / _FLOPS + (0 if warm else 1.5) + (0 if started else _START_S)
        return Duration(
            seconds=seconds, low=seconds / 3, high=seconds * 3, basis="a rough guess, nothing was run yet", rough=True
        )
    near = sorted(used, key=lambda past: _distance(past, new, amount))[:5]
    guesses = [_guess(past, new, amount, warm=warm, started=started) for past in near]
    names = "run" if len(near) == 1 else "runs"
    far = min(_distance(past, new, amount) for past in near) > 2.0
    scaled = ", scaled from another size" if far else ""
    basis = f"by {len(near)} earlier {names} of this model{scaled}"
    if not own:
        basis = f"roughly, no run of this model yet: by {len(near)} {names} of another"
    spread = 3.0 if not own else 2.0 if far else 1.0
    middle = median(guesses)
    return Duration(
        seconds=middle,
        low=min(guesses) / spread,
        high=max(guesses) * spread,
        basis=basis,
        rough=not own,
    )


def _causes(shape: Shape, amount: Amount, config: ProbeConfig) -> int:
    """Activations that are kept for one gradient, or for batches of patched passes."""
    if config.cause.method == "none":
        return 0
    prompts = min(config.cause.examples, max(1, amount.n_examples // 2))
    tokens = min(prompts * amount.n_tokens, 4 * _TOKENS_AT_ONCE)
    return int(tokens * (shape.n_layers * shape.d_model * 34 + 3 * shape.vocabulary) * _FLOAT)


def _work(shape: Shape, n: int, n_tokens: float, config: ProbeConfig) -> dict[str, float]:
    """Operations of each stage, up to a factor that is the same for all runs on a machine."""
    sae, seeds, nodes = config.sae, len(config.seeds), shape.n_nodes
    parameters = 12 * shape.n_layers * shape.d_model**2 + shape.vocabulary * shape.d_model
    passes = {"none": 0.0, "attribution": 3.0, "exact": float(nodes)}.get(config.cause.method, config.cause.budget + 3)
    passes *= 1.6 if config.cause.method == "circuit" else 1.0
    prompts = min(config.cause.examples, n / 2)
    drawn = config.shuffles + config.bootstraps + 50
    return {
        "capture": 2.0 * parameters * n * n_tokens,
        "train": 10.0 * sae.steps * seeds * min(sae.training_examples, n) * nodes * sae.n_codes * shape.d_model
        + 4.0 * n**3 * nodes,
        "codes": 2.0 * seeds * n * nodes * sae.n_codes * shape.d_model,
        "scores": 40.0 * drawn * n * seeds * nodes + 2.0 * seeds * n * nodes**2,
        "cause": 2.0 * parameters * prompts * n_tokens * passes,
    }


def _guess(past: Past, new: dict[str, float], amount: Amount, *, warm: bool, started: bool) -> float:
    """What this earlier run says of the new one."""
    old = _work(past.shape, past.n_examples, amount.n_tokens, past.config)
    seconds = 0.0
    for stage, work in new.items():
        took = getattr(past.timings, stage)
        if stage == "capture" and past.cached:
            took = old[stage] / _FLOPS
        # A millisecond or so of every stage does not grow with its work.
        seconds += took * (work + 2e7) / (old[stage] + 2e7) if took or not work else work / _FLOPS
    if not warm:
        seconds += past.timings.load if not past.warm else 1.5 * past.shape.parameters / 1e8 + 0.3
    if not started:
        seconds += min(past.overhead, 30.0) if past.overhead > 1.0 else _START_S
    return seconds


def _distance(past: Past, new: dict[str, float], amount: Amount) -> float:
    """How unlike the sizes are: 1 for twice as much work, in its largest stage."""
    old = _work(past.shape, past.n_examples, amount.n_tokens, past.config)
    return abs(log2((sum(new.values()) + 1e9) / (sum(old.values()) + 1e9)))


def _largest(least: int, most: int, does: Callable[[int], bool]) -> int | None:
    """The largest value that does, by halving; None where even the least does not."""
    if most < least or not does(least):
        return None
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if does(middle) else (least, middle - 1)
    return least


def _round(value: int) -> int:
    """A little less, in a number one would type."""
    for step in (1000, 100, 10):
        if value >= 5 * step:
            return value // step * step
    return value


def _count(folder: Path) -> tuple[int, bool]:
    """Parameters of the weights in a folder, and whether they are in single precision: from the files' headers."""
    total, single = 0, True
    for path in weight_files(folder):
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if not 2 <= length <= 100_000_000:
                    raise ModelError(f"{path} is no safetensors file.", hint="Fetch the model again.")
                header = msgspec.json.decode(file.read(length), type=dict[str, dict[str, object]])
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(f"{path} cannot be read: {error}.", hint="Fetch the model again.") from error
        for name, tensor in header.items():
            shape = tensor.get("shape")
            if name != "__metadata__" and isinstance(shape, list):
                count = 1
                for side in shape:
                    count *= side if isinstance(side, int) else 1
                total += count
                single &= tensor.get("dtype") == "F32"
    return total, single
