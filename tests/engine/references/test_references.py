"""What is known of models' circuits: measured effects and published circuits, as they lie in the repository."""

from pathlib import Path

import msgspec
import pytest
import torch

from engine.asset_tools.measure_references import measure, write
from engine.asset_tools.measure_toy_circuits import can_do, measure_task
from engine.catalog.local_models import bundled_folder
from engine.catalog.packaged_models import PACKAGED_MODELS
from engine.config import LoadOptions
from engine.errors import ConfigError, TaskError
from engine.measures import MEASURES
from engine.models.loading import Model, load_model
from engine.models.warm_model import WarmModel
from engine.nodes import NodeId, NodeLayout, mlp
from engine.references.ground_truth import (
    LEVELS,
    at_levels,
    check_model,
    known_truths,
    measured_reference,
    reference_models,
)
from engine.references.known_circuits import known_circuit
from engine.references.measured import FOLDER, MeasuredReference
from engine.references.published import all_published
from engine.results import ModelInfo
from engine.tasks.registry import TASKS

SHAPES = {"smollm2-135m": (30, 9), "gemma3-270m": (18, 4)}
"""Layers and heads of the models with measured references."""
MEASURED = sorted(path for name in SHAPES for path in (FOLDER / name).glob("*.json"))


@pytest.fixture
def toy(warm_model: WarmModel, tmp_path: Path) -> Model:
    torch.set_num_threads(1)
    return warm_model.take("toy", tmp_path, LoadOptions(device="cpu"))[0]


def test_effects_are_those_the_bundled_model_was_measured_with(toy: Model, tmp_path: Path) -> None:
    found = measure(toy, "docstring", pairs=3, seed=7)
    plain = measure_task(toy, "docstring", pairs=6, seed=7)
    assert found.prompts.usable == found.prompts.drawn == 6  # else other pairs would be compared
    whole = measure(toy, "docstring", pairs=6, seed=7)
    assert whole.prompts.used == plain.pairs == 6
    assert whole.base == pytest.approx(plain.base, abs=2e-4)
    for row, other in zip(whole.effects, plain.effects, strict=True):
        assert row == pytest.approx(other, abs=2e-4)
    path = write(whole, tmp_path)
    assert path == tmp_path / "toy" / "docstring.json"
    assert msgspec.json.decode(path.read_bytes(), type=MeasuredReference) == whole


def test_every_measured_model_is_fetched_without_a_hub() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} - {"published", "__pycache__"} == set(SHAPES)
    assert set(SHAPES) <= set(PACKAGED_MODELS)


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_reference_says_what_was_measured_and_how(path: Path) -> None:
    model = path.parent.name
    found = measured_reference(model, path.stem)
    assert found is not None
    assert (found.model, found.task, found.metric) == (model, path.stem, TASKS[path.stem].metric)
    n_layers, n_heads = SHAPES[model]
    assert [len(row) for row in found.effects] == [len(row) for row in found.errors] == [n_heads] * n_layers
    others = {each.identity for each in (measured_reference(model, name) for name in TASKS) if each}
    assert others == {found.identity}
    assert len(found.identity) == 64
    assert found.prompts.used <= found.prompts.drawn == sum(found.grades.values()) / 2
    assert found.able == (found.prompts.usable >= found.prompts.drawn / 3)
    assert found.prompts.usable <= found.grades.get("positive ok", 0)
    assert found.prompts.task_seed >= 1000  # other prompts than a bench draws


def test_every_truth_of_the_bundled_model_splits_its_heads() -> None:
    known = known_truths("toy", bundled_folder())
    assert set(known.truths) < set(TASKS)
    assert not known.left_out
    for truths in known.truths.values():
        heads = [truth for truth in truths if truth.level == "heads"]
        assert [truth.cut for truth in heads] == [0.05]
        assert all(3 < len(truth.heads) < 32 for truth in heads)
    (looser, tighter) = known_truths("toy", bundled_folder(), (0.02, 0.2)).truths["ioi"][:2]
    assert tighter.heads < looser.heads


def test_every_task_that_a_bundled_model_can_do_is_measured(toy: Model, tmp_path: Path) -> None:
    adder = load_model("adder", tmp_path, LoadOptions(device="cpu"))
    measured = set()
    for model in (toy, adder):
        truths = known_truths(model.info.name, model.folder).truths
        measured |= set(truths)
        for task in set(TASKS) - set(truths):
            try:
                able = can_do(model, task, pairs=24)
            except TaskError:
                continue
            assert not able, f"{task}: measure it: engine.asset_tools.measure_toy_circuits {model.info.name}"
    # The words of the others are in no bundled model.
    assert set(TASKS) - measured == {"facts", "identifier_swap"}


def test_effects_of_other_weights_are_not_used(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((bundled_folder() / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    known = known_truths("smollm2-135m", tmp_path)
    assert not known.truths
    assert set(known.left_out.values()) == {"measured on other weights than those on this machine"}
    (tmp_path / "circuits.json").write_bytes((bundled_folder() / "circuits.json").read_bytes())
    assert not known_truths("smollm2-135m", tmp_path).truths


def test_published_circuits_are_those_of_the_tasks_with_their_edges() -> None:
    for model, tasks in (("gpt2", ("ioi", "greater_than")), ("attn-only-4l", ("docstring",))):
        known = known_truths(model, None)
        assert set(known.truths) == set(tasks)
        for task in tasks:
            heads, edges = known.truths[task][:2]
            assert heads.heads == frozenset(dict(TASKS[task].published)[model].heads)
            assert edges.edges
            ends = frozenset().union(*(truth.heads for truth in known.truths[task]))
            assert all({source, target} <= ends for source, target in edges.edges)
            between = {edge for edge in edges.edges if set(edge) <= heads.heads}
            assert between
            assert all(source[0] < target[0] for source, target in between)
    # The authors' heads, where tables that go round have others.
    assert (9, 0) in known_truths("gpt2", None).truths["ioi"][0].heads
    assert (11, 3) not in known_truths("gpt2", None).truths["ioi"][0].heads
    assert (1, 2) in known_truths("attn-only-4l", None).truths["docstring"][0].heads


def test_the_published_circuit_of_greater_than_has_mlps_that_a_run_of_heads_is_not_judged_by() -> None:
    heads, edges, nodes = known_truths("gpt2", None).truths["greater_than"]
    assert [heads.level, edges.level, nodes.level] == ["heads", "edges", "nodes"]
    assert nodes.heads - heads.heads == {mlp(layer) for layer in (0, 1, 2, 3, 8, 9, 10, 11)}
    # Every edge goes forwards; within a layer attention comes before the MLP. What the paper's figure joins: the early
    # MLPs to the six later heads, these to the late MLPs, MLPs of a group among themselves, and 0.1 to the early MLPs.
    layout = NodeLayout(12, 12, choice="all")
    assert all(layout.place(NodeId(*source)) < layout.place(NodeId(*target)) for source, target in edges.edges)
    of_mlps = {edge for edge in edges.edges if not set(edge) <= heads.heads}
    assert len(of_mlps) == 4 * 6 + (5 * 4 + 3) + 6 + 6 + 4
    assert len(edges.edges - of_mlps) == 3 * 6
    assert edges.covers == "all"
    info = ModelInfo(
        name="gpt2", identity="0" * 64, n_layers=12, n_heads=12, d_model=768, d_head=64, context=1024, vocabulary=50257
    )
    alone = known_circuit(info, Path("/nowhere"), "greater_than")
    beside = known_circuit(msgspec.structs.replace(info, nodes="all"), Path("/nowhere"), "greater_than")
    assert alone is not None
    assert beside is not None
    assert (set(alone.heads), alone.covers) == (heads.heads, "heads")
    assert (set(beside.heads), beside.covers) == (nodes.heads, "all")
    ioi = known_circuit(msgspec.structs.replace(info, nodes="all"), Path("/nowhere"), "ioi")
    assert ioi is not None
    assert ioi.covers == "heads"  # Wang et al. say nothing about MLPs


def test_effects_of_mlps_beside_the_heads_make_a_truth_of_nodes(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).symlink_to(bundled_folder() / name)
    stored = msgspec.json.decode((bundled_folder() / "circuits.json").read_bytes())
    ioi = stored["tasks"]["ioi"]
    ioi["others"] = {"m0": 9 * ioi["base"], "m3": -0.5 * ioi["base"], "m1": 0.001, "emb": 5.0, "m2": 0.0}
    (tmp_path / "circuits.json").write_bytes(msgspec.json.encode(stored))
    truths = known_truths("toy", tmp_path).truths
    plain = known_truths("toy", bundled_folder()).truths
    heads, nodes = (next(truth for truth in truths["ioi"] if truth.level == level) for level in ("heads", "nodes"))
    assert heads == plain["ioi"][0]
    assert nodes.heads == heads.heads | {mlp(0), mlp(3)}  # the embedding is in every circuit, and never listed
    assert nodes.source == "exact patching of every node on 48 pairs; 5% of the base"
    assert truths["induction"] == plain["induction"]

    info = ModelInfo(
        name="toy", identity=stored["identity"], n_layers=4, n_heads=8, d_model=96, d_head=12, context=128,
        vocabulary=748, nodes="all",
    )  # fmt: skip
    circuit = known_circuit(info, tmp_path, "ioi")
    assert circuit is not None
    assert (circuit.heads[0], circuit.covers, set(circuit.heads)) == (mlp(0), "all", nodes.heads)
    of_heads = known_circuit(msgspec.structs.replace(info, nodes="heads"), tmp_path, "ioi")
    assert of_heads == known_circuit(msgspec.structs.replace(info, nodes="heads"), bundled_folder(), "ioi")


def test_levels_choose_among_what_is_known() -> None:
    published = known_truths("gpt2", None).truths
    sizes = {level: [len(truth.heads) for truth in at_levels(published["greater_than"], [level])] for level in LEVELS}
    assert sizes == {"heads": [9], "mlps": [8], "nodes": [17], "edges": [0]}
    assert [truth.level for truth in at_levels(published["greater_than"], LEVELS)] == [*LEVELS]
    # Where nothing is known about MLPs, heads are judged.
    assert [truth.level for truth in at_levels(published["ioi"], ["nodes", "edges"])] == ["heads", "edges"]
    assert at_levels(published["ioi"], ["mlps"]) == ()
    assert len(at_levels(published["ioi"], ["heads", "nodes"])) == 1


def pretended(folder: Path, **config: int) -> Path:
    """A folder whose settings are a GPT-2's of that shape; its weights are never read."""
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_bytes((bundled_folder() / "tokenizer.json").read_bytes())
    (folder / "model.safetensors").write_bytes(b"weights")
    shape = {"n_layer": 12, "n_head": 12, "n_embd": 768} | config
    (folder / "config.json").write_bytes(msgspec.json.encode({"model_type": "gpt2", **shape}))
    return folder


def test_published_circuits_apply_to_their_model_under_each_of_its_names(tmp_path: Path) -> None:
    small = pretended(tmp_path / "gpt2")
    for name in ("gpt2", "openai-community/gpt2"):
        assert check_model(name) == name
        assert set(known_truths(name, small).truths) == {"ioi", "greater_than"}
    assert reference_models().count("gpt2") == 1
    assert "openai-community/gpt2" not in reference_models()
    other = known_truths("gpt2", pretended(tmp_path / "gpt2", n_embd=96))
    assert not other.truths
    assert (
        "12 x 12 heads and width 768; the model of that name on this machine has 12 x 12 heads and width 96"
        in (other.left_out["ioi"])
    )
    info = ModelInfo(
        name="openai-community/gpt2", identity="0" * 64, n_layers=12, n_heads=12, d_model=768, d_head=64, context=1024,
        vocabulary=50257,
    )  # fmt: skip
    circuit = known_circuit(info, Path("/nowhere"), "ioi")
    assert circuit is not None
    assert set(circuit.heads) == known_truths("gpt2", None).truths["ioi"][0].heads
    assert known_circuit(msgspec.structs.replace(info, d_model=96), Path("/nowhere"), "ioi") is None


def test_published_numbers_are_those_of_the_paper() -> None:
    by_task = {each.task: each.report for each in all_published()}
    assert set(by_task) == {"ioi", "greater_than", "docstring"}
    codes = {
        task: {each.measure or each.method: each for each in report.aucs} for task, report in by_task.items() if report
    }
    assert [codes[task]["unique_positive"].auc for task in ("ioi", "greater_than", "docstring")] == [
        0.868,
        0.855,
        0.869,
    ]
    assert [codes[task]["from_edges"].spread for task in ("ioi", "greater_than", "docstring")] == [0.024, 0.020, 0.017]
    assert codes["greater_than"]["ACDC"].auc == 0.890
    ids = {measure.id for measure in MEASURES}
    assert all(not each.measure or each.measure in ids for found in codes.values() for each in found.values())


@pytest.mark.parametrize(("model", "shape"), [("smollm2-135m", (30, 9, 576)), ("gemma3-270m", (18, 4, 640))])
def test_a_probe_of_a_measured_model_knows_its_circuit(model: str, shape: tuple[int, int, int]) -> None:
    found = measured_reference(model, "greater_than")
    assert found is not None
    n_layers, n_heads, d_model = shape
    info = ModelInfo(
        name=model, identity=found.identity, n_layers=n_layers, n_heads=n_heads, d_model=d_model, d_head=64,
        context=2048, vocabulary=49152,
    )  # fmt: skip
    circuit = known_circuit(info, Path("/nowhere"), "greater_than")
    assert circuit is not None
    assert "4% of its base" in circuit.source
    assert all(abs(found.effects[layer][head]) >= 0.04 * found.base for layer, head in circuit.heads)
    assert known_circuit(msgspec.structs.replace(info, identity="0" * 64), Path("/nowhere"), "greater_than") is None


def test_an_unknown_model_is_told_what_there_is() -> None:
    assert reference_models()[:2] == ("toy", "adder")
    assert check_model("smollm2-135m") == "smollm2-135m"
    with pytest.raises(ConfigError) as error:
        check_model("smollm-135m")
    assert error.value.hint.startswith("Did you mean smollm2-135m?")
    assert "gpt2" in error.value.hint
