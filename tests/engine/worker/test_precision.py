"""Half precision on the bundled model: what stays float32, what is recorded, and how close the results are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.capture.head_outputs import head_outputs, read_examples
from engine.config import Dtype, EffectsConfig, LoadOptions, ProbeConfig, SAEConfig
from engine.events import CircuitChecked, EdgesAttributed, EffectsMeasured, ModelReady, ProbeFinished
from engine.examples import Example
from engine.grading.grader import Grader
from engine.models.loading import load_model
from engine.models.warm_model import WarmModel
from engine.patching.edge_patching import all_edges, measure_edges
from engine.protocol import GradePrompts, InspectHead, RunProbe
from engine.worker.head_inspection import Inspector
from engine.worker.pipeline import ProbeJob

from ..by_hand import all_heads, exact, ioi, prepared

HALF: tuple[Dtype, ...] = ("bfloat16", "float16")
CONFIG = ProbeConfig(
    sae=SAEConfig(steps=50), shuffles=50, cause=EffectsConfig(method="circuit", edges=True, budget=100)
)
PROMPT = "When Mary and John went to the shop, John gave a book to"


def half(dtype: Dtype) -> LoadOptions:
    return LoadOptions(device="cpu", dtype=dtype)


def spearman(a: torch.Tensor, b: torch.Tensor) -> float:
    """Rank correlation; ties share their mean rank."""
    ranks = [(x[:, None] > x).sum(dim=1) + ((x[:, None] == x).sum(dim=1) - 1) / 2 for x in (a.double(), b.double())]
    return float(torch.corrcoef(torch.stack([rank.double() for rank in ranks]))[0, 1])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same run in each precision, with one cache; the events of each by its precision."""
    from ..conftest import Recorder

    torch.set_num_threads(1)
    folder, found = tmp_path_factory.mktemp("precision"), {}
    for dtype in ("float32", *HALF):
        monitor = Recorder()
        request = RunProbe(
            job="r1",
            model="toy",
            config=CONFIG,
            task="ioi",
            pairs=10,
            spool=str(folder / dtype),
            models=str(folder),
            activations=str(folder / "acts"),
            device="cpu",
            dtype=dtype,
        )
        ProbeJob(request, WarmModel(), monitor).run()
        found[dtype] = monitor
    found["cache"] = sorted((folder / "acts").iterdir())
    return found


def state_of(monitor: Any) -> RunSnapshot:
    state = RunSnapshot()
    for event in monitor.events:
        state = fold_event(state, event)
    return state


def test_the_precision_is_recorded_and_has_a_cache_of_its_own(runs: dict[str, Any]) -> None:
    for dtype in ("float32", *HALF):
        assert runs[dtype].last(ModelReady).versions.dtype == dtype
        assert not runs[dtype].last(ProbeFinished).cached
    assert len(runs["cache"]) == 3
    assert {tensor.dtype for path in runs["cache"] for name, tensor in load_file(path).items() if name == "z"} == {
        torch.float32
    }


@pytest.mark.parametrize(("dtype", "least"), [("bfloat16", 0.98), ("float16", 0.99)])
def test_scores_rank_heads_as_in_float32(runs: dict[str, Any], dtype: str, least: float) -> None:
    ranked = [
        torch.tensor([node.total_variation for node in state_of(runs[each]).nodes]) for each in ("float32", dtype)
    ]
    assert spearman(*ranked) >= least


@pytest.mark.parametrize(("dtype", "least"), [("bfloat16", 0.98), ("float16", 0.99)])
@pytest.mark.parametrize("method", ["attribution", "exact", "combined"])
def test_effects_rank_heads_as_in_float32(runs: dict[str, Any], method: str, dtype: str, least: float) -> None:
    measured = [
        [event for event in runs[each].events if isinstance(event, EffectsMeasured) and event.method == method][-1]
        for each in ("float32", dtype)
    ]
    plain, other = ({(one.layer, one.head): one.effect for one in event.effects} for event in measured)
    shared = sorted(set(plain) & set(other))
    assert len(shared) > 20
    a, b = (torch.tensor([side[place] for place in shared]) for side in (plain, other))
    assert spearman(a, b) >= least
    assert float((a - b).abs().max()) <= 0.02 * abs(measured[0].base)
    assert measured[1].base == pytest.approx(measured[0].base, rel=0.005)
    assert measured[1].passes == measured[0].passes  # no shortcut is lost


def test_circuits_and_edges_are_measured_in_half_precision(runs: dict[str, Any]) -> None:
    plain = [event for event in runs["float32"].events if isinstance(event, CircuitChecked)]
    for dtype in HALF:
        checks = [event for event in runs[dtype].events if isinstance(event, CircuitChecked)]
        assert [check.name for check in checks] == ["codes", "combined"]
        assert checks[1].faithfulness == pytest.approx(plain[1].faithfulness, abs=0.02)
        best = [runs[each].last(EdgesAttributed).edges[:10] for each in ("float32", dtype)]
        shared = {(edge.source, edge.target) for edge in best[0]} & {(edge.source, edge.target) for edge in best[1]}
        assert len(shared) >= 8


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("metric", ["logit_difference", "log_probability", "probability_mass", "kl"])
def test_every_metric_finds_the_same_heads(dtype: Dtype, metric: str, tmp_path: Path, recorder: Any) -> None:
    torch.set_num_threads(1)
    found = []
    for options in (half("float32"), half(dtype)):
        model = load_model("toy", tmp_path, options)
        passes, inputs = prepared(model, ioi(model, 6), recorder(), metric=metric)
        assert inputs.clean.logits.dtype == inputs.clean.z[0].dtype == inputs.base_by_row.dtype == torch.float32
        found.append(exact(model, passes, inputs, all_heads(model)).mean(dim=1))
    assert found[1].dtype == torch.float32
    assert spearman(*(each.abs() for each in found)) >= 0.9
    assert set(found[0].abs().topk(3).indices.tolist()) == set(found[1].abs().topk(3).indices.tolist())


@pytest.mark.parametrize("dtype", HALF)
def test_one_edge_at_a_time_is_patched_too(dtype: Dtype, tmp_path: Path, recorder: Any) -> None:
    torch.set_num_threads(1)
    found = []
    for options in (half("float32"), half(dtype)):
        model = load_model("toy", tmp_path, options)
        passes, inputs = prepared(model, ioi(model, 4), recorder())
        edges = all_edges(passes.layout)[::9]
        found.append(measure_edges(passes, inputs, edges).mean(dim=1) - inputs.base)
    largest = found[0].abs().topk(5).indices
    assert torch.allclose(found[0][largest], found[1][largest], rtol=0.15, atol=0.02)


@pytest.mark.parametrize("dtype", HALF)
def test_what_is_read_from_the_pass_is_float32(dtype: Dtype, tmp_path: Path, recorder: Any) -> None:
    model = load_model("toy", tmp_path, half(dtype))
    assert {parameter.dtype for parameter in model.bridge.parameters()} == {getattr(torch, dtype)}
    read = read_examples(model, ioi(model), ProbeConfig(), recorder(), None)
    assert (read.z.dtype, head_outputs(model, read.z).dtype) == (torch.float32, torch.float32)
    # Sums over positions are not rounded: they have more digits than the weights.
    assert not torch.equal(read.z, read.z.to(getattr(torch, dtype)).float())


def test_grades_and_inspections_use_the_precision_asked_for(tmp_path: Path, recorder: Any) -> None:
    warm = WarmModel()
    grader, inspector, probabilities = Grader(warm), Inspector(warm), []
    for dtype in ("float32", *HALF):
        asked: dict[str, Any] = {"model": "toy", "models": str(tmp_path), "device": "cpu", "dtype": dtype}
        examples = (Example(prompt=PROMPT, polarity="positive", expected=(" Mary",)),)
        grade = grader.answer(GradePrompts(job="g", examples=examples, **asked), recorder()).grades[0]
        probabilities.append(grade.probability)
        look = inspector.answer(InspectHead(job="i", prompt=PROMPT, layer=1, head=3, **asked))
        assert all(sum(row) == pytest.approx(1, abs=0.02) for row in look.attention)
        assert warm.holds("toy", half(dtype))  # type: ignore[arg-type]
    assert len(set(probabilities)) == 3
    assert probabilities == pytest.approx([probabilities[0]] * 3, abs=0.03)


def test_a_warm_model_is_that_of_its_precision(tmp_path: Path) -> None:
    warm = WarmModel()
    plain, was_warm = warm.take("toy", tmp_path, half("auto"))
    assert (plain.precision, was_warm) == ("float32", False)
    assert warm.take("toy", tmp_path, half("float32")) == (plain, True)
    assert not warm.holds("toy", half("bfloat16"))
    assert warm.take("toy", tmp_path, half("bfloat16"))[0].precision == "bfloat16"


def test_activations_too_large_for_float16_are_an_error_with_a_way_out(
    tmp_path: Path, scaled_toy: Callable[[float], Path]
) -> None:
    from engine.errors import ModelError

    folder = scaled_toy(1e7)
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), tmp_path, half("float16"))
    assert "float16" in f"{caught.value.message} {caught.value.hint}"
    assert "bfloat16 or float32" in caught.value.hint
    assert load_model(str(folder), tmp_path, half("bfloat16")).precision == "bfloat16"


@pytest.fixture
def scaled_toy(tmp_path: Path) -> Callable[[float], Path]:
    """The bundled model with its embedding multiplied."""
    import shutil

    from safetensors.torch import save_file

    from engine.catalog.local_models import bundled_folder

    def make(factor: float) -> Path:
        folder = tmp_path / "scaled"
        shutil.copytree(bundled_folder(), folder)
        weights = load_file(folder / "model.safetensors")
        for name in [name for name in weights if "wte" in name]:
            weights[name] = weights[name] * factor
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return make
