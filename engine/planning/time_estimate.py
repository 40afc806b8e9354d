"""Estimate the time of a run from earlier runs, scaled stage by stage by the amount of work. No torch."""

from collections.abc import Sequence
from math import log2, sqrt
from statistics import median

import msgspec

from engine.catalog.model_shape import ModelShape
from engine.config import Precision, ProbeConfig
from engine.planning.memory_estimate import Workload
from engine.results import Timings
from engine.sample_size import shuffles_for

_FLOPS = 4e10
"""Operations per second of the two cores this was measured on, used without earlier runs."""
_START_S = 6.0
"""Seconds until a new worker has imported torch, used without earlier runs."""
_STARTING_S = 1.0
"""A run with more seconds outside of all stages has had its worker started."""
_BEGAN = 3
"""Number of newest runs used to estimate the start."""

_LOW, _HIGH = 0.8, 1.4
"""Factors beyond the shortest and longest of the runs used.

Over 693 recorded runs, on a machine that many shared, 85 % ended within that; between the shortest and the longest only
50 %. The middle and the newest together were .60 to 2.2 times as long as predicted (5 to 95 %); the middle alone .56 to
2.6.
"""


class PastRun(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier run, with what is needed to predict the next one."""

    shape: ModelShape
    same_model: bool
    n_examples: int
    config: ProbeConfig
    timings: Timings
    warm: bool
    cached: bool
    overhead: float = 0.0
    """Seconds between its start and end outside of all stages: starting a worker, storing results."""
    precision: Precision = "float32"


class Duration(msgspec.Struct, frozen=True, kw_only=True):
    """The predicted duration."""

    seconds: float
    low: float
    high: float
    basis: str
    """What the prediction is based on."""
    rough: bool
    """True if nothing similar was run here before."""


def format_seconds(seconds: float) -> str:
    """Format a duration: 40 ms, 0.4 s, 12 s, 3 min, 2.5 h."""
    if 0 < seconds < 0.0995:
        return f"{max(1, round(1000 * seconds))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def estimate_time(
    shape: ModelShape,
    amount: Workload,
    config: ProbeConfig,
    pasts: Sequence[PastRun],
    *,
    warm: bool,
    started: bool,
    precision: Precision = "float32",
) -> Duration:
    """Predict the duration from earlier runs of the same model in the same precision.

    `basis` says if it had to use others or a guess.
    """
    same = [past for past in pasts if past.same_model]
    own = [past for past in same if past.precision == precision]
    used = own or same or list(pasts)
    new = stage_work(shape, amount.n_examples, amount.n_tokens, config)
    if not used:
        seconds = sum(new.values()) / _FLOPS + (0 if warm else 1.5) + (0 if started else _START_S)
        return Duration(
            seconds=seconds, low=seconds / 3, high=seconds * 3, basis="a rough guess, no run so far", rough=True
        )
    # Of runs of similar size the newest: they used the machine as it is now.
    near = sorted(used, key=lambda past: round(2 * _distance(past, new, amount)))[:5]
    beginning = 0.0 if warm else _beginning(pasts, shape, started=started)
    guesses = [beginning + _guess(past, new, amount) for past in near]
    names = "run" if len(near) == 1 else "runs"
    far = min(_distance(past, new, amount) for past in near) > 2.0
    scaled = ", scaled from another size" if far else ""
    basis = f"by {len(near)} earlier {names} of this model{scaled}"
    if not own:
        yet, other = (f" in {precision}", " in another precision") if same else ("", " of another")
        basis = f"roughly, no run of this model{yet} yet: by {len(near)} {names}{other}"
    spread = 3.0 if not own else 2.0 if far else 1.0
    return Duration(
        seconds=sqrt(median(guesses) * guesses[0]),
        low=min(guesses) / spread * _LOW,
        high=max(guesses) * spread * _HIGH,
        basis=basis,
        rough=not own,
    )


def stage_work(shape: ModelShape, n: int, n_tokens: float, config: ProbeConfig) -> dict[str, float]:
    """Return the operations of each stage, up to a factor that is the same for all runs on a machine."""
    sae, seeds, others = config.sae, len(config.seeds), shape.n_outputs(config.nodes)
    nodes = shape.n_nodes + others
    parameters = 12 * shape.n_layers * shape.d_model**2 + shape.vocabulary * shape.d_model
    # MLPs have a second gradient, and every one of them is patched, half of the layers each on average.
    gradients, mlps = (5.0, others / 2 + 1) if others else (3.0, 0.0)
    budget = config.cause.budget + gradients + mlps
    passes = {"none": 0.0, "attribution": gradients, "exact": float(nodes)}.get(config.cause.method, budget)
    passes *= 1.6 if config.cause.method == "circuit" else 1.0
    prompts = min(config.cause.examples, n / 2)
    drawn = shuffles_for(config.shuffles, nodes) + config.bootstraps + 50
    return {
        "capture": 2.0 * parameters * n * n_tokens,
        "train": 10.0 * sae.steps * seeds * min(sae.training_examples, n) * nodes * sae.n_codes * shape.d_model
        + 4.0 * n**3 * nodes,
        "codes": 2.0 * seeds * n * nodes * sae.n_codes * shape.d_model,
        "scores": 40.0 * drawn * n * seeds * nodes + 2.0 * seeds * n * nodes**2,
        "cause": 2.0 * parameters * prompts * n_tokens * passes,
    }


def _beginning(pasts: Sequence[PastRun], shape: ModelShape, *, started: bool) -> float:
    """Predict the seconds until the model is loaded, from the newest runs that started the same way."""
    alike = [past for past in pasts if not past.warm and (past.overhead < _STARTING_S) == started]
    own = [past.timings.load for past in alike if past.same_model]
    load = median(own[:_BEGAN]) if own else 1.5 * shape.parameters / 1e8 + 0.3
    if started:
        return load
    if not own and alike:  # a new worker's imports are counted with its first model
        load += median(past.timings.load for past in alike[:_BEGAN])
    return load + (median(min(past.overhead, 30.0) for past in alike[:_BEGAN]) if alike else _START_S)


def _guess(past: PastRun, new: dict[str, float], amount: Workload) -> float:
    """Predict the new run from this earlier one, from when the model is loaded."""
    old = stage_work(past.shape, past.n_examples, amount.n_tokens, past.config)
    seconds = 0.0
    for stage, work in new.items():
        measured = getattr(past.timings, stage)
        if stage == "capture" and past.cached:
            measured = old[stage] / _FLOPS
        # About a millisecond of every stage does not grow with its work.
        seconds += measured * (work + 2e7) / (old[stage] + 2e7) if measured or not work else work / _FLOPS
    return seconds


def _distance(past: PastRun, new: dict[str, float], amount: Workload) -> float:
    """Return how different the sizes are: 1 for twice as much work."""
    old = stage_work(past.shape, past.n_examples, amount.n_tokens, past.config)
    return abs(log2((sum(new.values()) + 1e9) / (sum(old.values()) + 1e9)))
