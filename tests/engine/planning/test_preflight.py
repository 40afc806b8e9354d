"""Compare estimates of a run with its actual use, and suggested settings with what fits."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.catalog.local_models import bundled_folder
from engine.catalog.model_shape import ModelShape, shape_of
from engine.config import EffectsConfig, ProbeConfig, SAEConfig
from engine.errors import ModelError
from engine.planning.memory_estimate import Workload, estimate_memory, fits, what_to_lower
from engine.planning.preflight import Preflight
from engine.planning.time_estimate import Duration, PastRun, estimate_time, format_seconds
from engine.planted import PLANTED
from engine.planted.build import planted_folder
from engine.results import Timings

WITHIN = 1.5
"""The factor that docs/running.md states."""
SMALL_WITHIN = 1.15
"""For a small run: nearly all of its memory is the program itself."""
NOWHERE = Path("/nonexistent")
LARGE = ModelShape(n_layers=30, n_heads=9, d_model=576, d_head=64, vocabulary=49_152, parameters=134_515_008)

PLAIN = Preflight(
    model="toy",
    n_examples=20,
    parts=(),
    peak_bytes=500_000_000,
    held_bytes=0,
    free_bytes=20_000_000_000,
    where="",
    fits=True,
    lower=(),
    cache_bytes=1,
    duration=None,
)

PEAK = """
import resource, sys, tempfile
import msgspec
from engine.config import ProbeConfig
from engine.protocol import RunProbe
from engine.worker.pipeline import ProbeJob
from engine.models.warm_model import WarmModel

class Deaf:
    def report(self, event): pass
    def cancelled(self): return False

config = msgspec.json.decode(sys.argv[1], type=ProbeConfig)
with tempfile.TemporaryDirectory() as spool:
    request = RunProbe(job="j", model="toy", config=config, task="ioi", pairs=int(sys.argv[2]), spool=spool,
                     models="/none", activations="")
    ProbeJob(request, WarmModel(), Deaf()).run()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) * 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's peak")
@pytest.mark.parametrize(
    ("config", "pairs", "within"),
    [
        (ProbeConfig(), 10, SMALL_WITHIN),
        (ProbeConfig(sae=SAEConfig(training_examples=600, n_codes=400, steps=3), shuffles=100), 300, WITHIN),
        (ProbeConfig(sae=SAEConfig(training_examples=600, steps=3), shuffles=100, nodes="all"), 300, WITHIN),
    ],
    ids=["as it is", "large", "large, with MLPs"],
)
def test_the_peak_is_within_the_factor(config: ProbeConfig, pairs: int, within: float) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, msgspec.json.encode(config).decode(), str(pairs)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak = int(done.stdout.split()[-1])
    message = estimate_memory(shape_of("toy", NOWHERE), Workload(n_examples=2 * pairs, n_tokens=16), config).peak
    assert peak / within < message < peak * within, (message, peak)


def test_a_shape_is_read_from_headers_alone() -> None:
    shape = shape_of("toy", NOWHERE)
    weights = sum(path.stat().st_size for path in bundled_folder().glob("*.safetensors"))
    assert (shape.n_layers, shape.n_heads, shape.d_model, shape.d_head) == (4, 8, 96, 12)
    assert abs(shape.parameters * 4 - weights) < 50_000
    assert (shape.file_bytes, shape.stored) == (4 * shape.parameters, "float32")
    with pytest.raises(ModelError, match="not on this machine"):
        shape_of("somebody/else", NOWHERE)


def test_a_broken_header_is_named(tmp_path: Path) -> None:
    for path in bundled_folder().iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    for junk in (b"", b"\xff" * 64, (20).to_bytes(8, "little") + b"{not json at all....", b"\x00" * 8):
        (tmp_path / "model.safetensors").write_bytes(junk)
        with pytest.raises(ModelError, match=r"model\.safetensors"):
            shape_of(str(tmp_path), NOWHERE)


@given(
    n=st.integers(2, 5_000),
    seeds=st.integers(1, 64),
    codes=st.integers(2, 65_536),
    trained=st.integers(2, 5_000),
    recipe=st.sampled_from(("contrast", "published")),
    cause=st.sampled_from(("none", "combined")),
    free=st.integers(600_000_000, 200_000_000_000),
)
@settings(deadline=None, max_examples=60)
def test_what_to_lower_is_enough_and_no_less_than_needed(
    n: int, seeds: int, codes: int, trained: int, recipe: str, cause: str, free: int
) -> None:
    config = ProbeConfig(
        sae=SAEConfig(recipe=recipe, n_codes=codes, training_examples=trained),  # type: ignore[arg-type]
        seeds=tuple(range(seeds)),
        cause=EffectsConfig(method=cause),  # type: ignore[arg-type]
    )
    amount = Workload(n_examples=n, n_tokens=16)
    whole = estimate_memory(LARGE, amount, config)
    assert whole.peak >= estimate_memory(LARGE, msgspec.structs.replace(amount, n_examples=2), config).peak
    assert all(part.n_bytes > 0 for part in whole.parts)
    if fits(whole.peak, 0, free):
        return
    for words in what_to_lower(LARGE, amount, config, held=0, free=free):
        name, _, rest = words.removeprefix("the ").partition(" from ")
        if not rest:
            assert words in ("the effects to none", "the precision to bfloat16")
            continue
        value = int(rest.split(" to ")[1])
        sae, fewer = config.sae, amount
        if name == "prompts":
            fewer = Workload(n_examples=value, n_tokens=16)
        elif name != "seeds":
            field = {"training examples": "training_examples", "codes": "n_codes"}[name]
            sae = msgspec.structs.replace(sae, **{field: value})
        seeds_left = config.seeds[:value] if name == "seeds" else config.seeds
        now = msgspec.structs.replace(config, sae=sae, seeds=seeds_left)
        assert fits(estimate_memory(LARGE, fewer, now).peak, 0, free), words


@pytest.mark.parametrize("stored", ["float32", "bfloat16"])
def test_half_precision_halves_the_weights_and_what_a_gradient_keeps(stored: str) -> None:
    shape = msgspec.structs.replace(
        LARGE, stored=stored, file_bytes=LARGE.parameters * (4 if stored == "float32" else 2)
    )
    config, amount = ProbeConfig(cause=EffectsConfig(method="attribution")), Workload(n_examples=40, n_tokens=16)
    plain, half = (
        {part.name: part.n_bytes for part in estimate_memory(shape, amount, config, precision).parts}
        for precision in ("float32", "bfloat16")
    )
    # Weights that are not stored as they are used are in memory twice while they are converted.
    assert plain["model"] == shape.parameters * (4 if stored == "float32" else 4 + 2)
    assert half["model"] == shape.parameters * (2 if stored == "bfloat16" else 2 + 4)
    assert 0.5 * plain["causes"] < half["causes"] < 0.65 * plain["causes"]
    assert half["SAE"] == plain["SAE"]


def test_long_prompts_keep_more_attention_for_a_gradient() -> None:
    config = ProbeConfig(cause=EffectsConfig(method="attribution"))
    short, long = (
        {part.name: part.n_bytes for part in estimate_memory(LARGE, Workload(n_examples=2, n_tokens=n), config).parts}
        for n in (400, 4000)
    )
    assert long["causes"] > 15 * short["causes"]


def past(n: int, config: ProbeConfig, seconds: float, **more: object) -> PastRun:
    shape = shape_of("toy", NOWHERE)
    timings = Timings(load=1.0, grade=0.0, capture=0.1, train=seconds, codes=0.0, scores=0.1, total=seconds + 1.2)
    given: dict[str, object] = {"same_model": True, "warm": False, "cached": False, "overhead": 5.0, **more}
    return PastRun(shape=shape, n_examples=n, config=config, timings=timings, **given)  # type: ignore[arg-type]


def test_the_time_is_that_of_earlier_runs_scaled_by_the_work() -> None:
    shape, amount, config = shape_of("toy", NOWHERE), Workload(n_examples=20, n_tokens=16), ProbeConfig()
    same = estimate_time(shape, amount, config, [past(20, config, 4.0)] * 3, warm=True, started=True)
    assert same.seconds == pytest.approx(4.2, rel=0.05)
    assert "3 earlier runs of this model" in same.basis
    assert not same.rough
    cold = estimate_time(shape, amount, config, [past(20, config, 4.0)], warm=False, started=False)
    assert cold.seconds == pytest.approx(4.2 + 1.0 + 5.0, rel=0.05)
    # Runs that found the model loaded say nothing of how long it takes to begin.
    warm = past(20, config, 4.0, warm=True, overhead=0.1)
    mixed = [warm, warm, warm, past(20, config, 4.0, overhead=9.0), past(20, config, 4.0, overhead=0.2)]
    begun = estimate_time(shape, amount, config, mixed, warm=False, started=False)
    assert begun.seconds == pytest.approx(4.2 + 1.0 + 9.0, rel=0.05)
    changed = estimate_time(shape, amount, config, mixed, warm=False, started=True)
    assert changed.seconds == pytest.approx(4.2 + 1.0, rel=0.05)
    longer = ProbeConfig(sae=SAEConfig(steps=200))
    scaled = estimate_time(shape, amount, longer, [past(20, config, 4.0)], warm=True, started=True)
    assert scaled.seconds == pytest.approx(40, rel=0.1)
    assert "scaled" in scaled.basis
    other = estimate_time(shape, amount, config, [past(20, config, 4.0, same_model=False)], warm=True, started=True)
    assert other.rough
    assert "no run of this model yet" in other.basis
    half = estimate_time(shape, amount, config, [past(20, config, 4.0)], warm=True, started=True, precision="bfloat16")
    assert half.rough
    assert half.basis == "roughly, no run of this model in bfloat16 yet: by 1 run in another precision"
    nothing = estimate_time(shape, amount, config, [], warm=False, started=False)
    assert nothing.rough
    assert "no run so far" in nothing.basis
    assert nothing.low < nothing.seconds < nothing.high


def test_most_recorded_runs_took_as_long_as_told() -> None:
    """Estimate each run from those before it in its store, as the host would."""
    recorded = json.loads((Path(__file__).parents[1] / "recorded_timings.json").read_text())
    configs = [msgspec.convert(each, ProbeConfig) for each in recorded["configs"]]
    shapes = {"toy": shape_of("toy", NOWHERE), "smollm2-135m": LARGE}
    stages = recorded["columns"][6:]
    before: dict[str, list[tuple[str, PastRun]]] = {}
    ratios, within = [], []
    for store, model, config, n, warm, cached, *seconds in recorded["runs"]:
        timings = Timings(**dict(zip(stages, seconds, strict=True)), total=sum(seconds))
        this = past(n, configs[config], 0.0, warm=warm, cached=cached)
        this = msgspec.structs.replace(this, shape=shapes[model], timings=timings)
        earlier = before.setdefault(store, [])
        pasts = [msgspec.structs.replace(each, same_model=name == model) for name, each in reversed(earlier)]
        if any(each.same_model for each in pasts):
            amount = Workload(n_examples=n, n_tokens=14)
            output = estimate_time(shapes[model], amount, configs[config], pasts, warm=warm, started=True)
            ratios.append(timings.total / output.seconds)
            within.append(output.low <= timings.total <= output.high)
        earlier.append((model, this))
    assert len(ratios) > 100
    ratios.sort()
    assert 0.8 < ratios[len(ratios) // 2] < 1.25
    assert ratios[int(len(ratios) * 0.95)] < 4
    assert sum(within) / len(within) > 0.75


@pytest.mark.parametrize(
    ("seconds", "low", "high", "words"),
    [
        (7.0, 5.0, 9.0, "about 7.0 s (5.0 s to 9.0 s): by 2"),
        (70.0, 50.0, 120.0, "about 70 s (50 s to 2 min): by 2"),
        (7.0, 6.5, 7.5, "about 7.0 s: by 2"),
    ],
)
def test_a_span_is_told_where_there_is_one(seconds: float, low: float, high: float, words: str) -> None:
    duration = Duration(seconds=seconds, low=low, high=high, basis="by 2", rough=False)
    assert msgspec.structs.replace(PLAIN, duration=duration).time_words == words


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "fits: needs 500 MB, 20.0 GB free"),
        ({"held_bytes": 400_000_000}, "fits: needs 500 MB (400 MB of it already held), 20.0 GB free"),
        ({"fits": None, "free_bytes": None}, "needs 500 MB; free memory is unknown"),
        (
            {"fits": False, "peak_bytes": 90_000_000_000, "lower": ("the codes from 9 to 5", "the seeds from 3 to 1")},
            "does not fit: 90.0 GB more are needed, 20.0 GB free; lower the codes from 9 to 5 or the seeds from 3 to 1",
        ),
        ({"fits": False, "peak_bytes": 90_000_000_000}, "choose a smaller model"),
        ({"missing_pairs": 1, "n_heads": 32}, "free, lacks 1 pair for one head of 32 to reach significance"),
        ({"missing_pairs": 4, "n_heads": 270}, "lacks 4 pairs for one head of 270 to reach significance"),
        ({"peak_bytes": None, "trouble": "It is not here."}, "It is not here."),
    ],
)
def test_its_words(changes: dict[str, object], message: str) -> None:
    assert message in msgspec.structs.replace(PLAIN, **changes).words


def test_nothing_is_said_of_pairs_where_none_is_missing_or_nobody_knows() -> None:
    for missing in (0, None):
        assert msgspec.structs.replace(PLAIN, missing_pairs=missing, n_heads=32).missing_words == ""
    newer = ("missing_pairs", "n_heads", "nodes")
    older = {name: getattr(PLAIN, name) for name in PLAIN.__struct_fields__ if name not in newer}
    assert msgspec.convert(msgspec.to_builtins(older), Preflight) == PLAIN


def test_seconds_as_people_say_them() -> None:
    output = [format_seconds(each) for each in (0, 2e-5, 0.04, 0.0994, 0.0996, 3.21, 42, 300, 7200)]
    assert output == ["0.0 s", "1 ms", "40 ms", "99 ms", "0.1 s", "3.2 s", "42 s", "5 min", "2.0 h"]


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_model_has_its_size_before_it_is_built(name: str, tmp_path: Path) -> None:
    planned = shape_of(name, tmp_path)
    planted_folder(PLANTED[name], tmp_path)
    assert shape_of(name, tmp_path) == planned
