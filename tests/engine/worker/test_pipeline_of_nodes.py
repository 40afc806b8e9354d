"""A run that looks at MLPs and the embedding, beside the same run without."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import ProbeConfig, SAEConfig
from engine.errors import ConfigError
from engine.models.warm_model import WarmModel
from engine.nodes import EMBEDDING, NodeChoice, mlp
from engine.protocol import RunProbe
from engine.results import NodeScores
from engine.worker.pipeline import ProbeJob

_DEPENDS_ON_ALL = ("q_value", "p_value", "stability", "from_edges")
"""Measures of a head that compare it with every node."""


def run(nodes: NodeChoice, warm_model: WarmModel, recorder: Any, folder: Path, **more: Any) -> tuple[RunSnapshot, Path]:
    monitor, spool = recorder(), folder / f"spool-{nodes}"
    sae = SAEConfig(recipe=more.pop("recipe", "contrast"), sparsity=0.5)
    config = ProbeConfig(sae=sae, seeds=(0, 1), shuffles=100, nodes=nodes, **more)
    request = RunProbe(
        job="r1",
        model="toy",
        task="greater_than",
        pairs=8,
        config=config,
        spool=str(spool),
        models=str(folder),
        activations=str(folder / "acts"),
        device="cpu",
    )
    ProbeJob(request, warm_model, monitor).run()
    found = RunSnapshot()
    for event in monitor.events:
        found = fold_event(found, event)
    return found, spool


@pytest.mark.parametrize("recipe", ["contrast", "published"])
def test_heads_have_the_codes_and_scores_that_they_have_without_mlps(
    recipe: str, warm_model: WarmModel, recorder: Any, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    alone, spool_alone = run("heads", warm_model, recorder, tmp_path, recipe=recipe)
    whole, spool_whole = run("all", warm_model, recorder, tmp_path, recipe=recipe)
    assert whole.model is not None
    n = whole.model.layout.n_heads_in_all
    one, other = (load_file(spool / "codes.safetensors")["codes"] for spool in (spool_alone, spool_whole))
    assert one.shape[2] == n
    assert other.shape[2] == whole.model.layout.n_nodes == len(whole.nodes)
    assert torch.equal(one, other[:, :, :n])
    fields = [name for name in NodeScores.__struct_fields__ if name not in _DEPENDS_ON_ALL]
    for before, now in zip(alone.nodes, whole.nodes[:n], strict=True):
        for name in fields:
            assert getattr(before, name) == getattr(now, name), (before.id, name)
    assert [node.id for node in whole.nodes[n:]] == [EMBEDDING, *map(mlp, range(4))]
    for node in whole.nodes[n:]:
        assert node.q_value is not None
        assert node.baseline_linear_probe >= 0
    weights = load_file(spool_whole / "sae.safetensors")
    assert weights["others.W_e"].shape == (2, 50, 96)
    assert weights["W_e"].shape == (2, 200, 96)
    assert torch.equal(weights["W_e"], load_file(spool_alone / "sae.safetensors")["W_e"])


def test_the_embedding_is_in_no_circuit_and_a_circuit_can_be_as_large_as_heads_and_mlps(
    warm_model: WarmModel, recorder: Any, tmp_path: Path
) -> None:
    found, _ = run("all", warm_model, recorder, tmp_path, circuit_size=36)
    assert found.finished is not None
    assert EMBEDDING not in found.finished.circuit
    assert {mlp(0), mlp(3)} <= set(found.finished.circuit)
    assert found.edges
    assert {edge.source for edge in found.edges} & {EMBEDDING, mlp(0)}
    assert all(edge.target != EMBEDDING for edge in found.edges)
    with pytest.raises(ConfigError, match="37: toy has 32 heads and 4 MLPs"):
        run("all", warm_model, recorder, tmp_path, circuit_size=37)


def test_activations_read_with_mlps_and_without_are_kept_apart(
    warm_model: WarmModel, recorder: Any, tmp_path: Path
) -> None:
    run("heads", warm_model, recorder, tmp_path)
    run("all", warm_model, recorder, tmp_path)
    assert len(list((tmp_path / "acts").glob("*.safetensors"))) == 2
    again, _ = run("all", warm_model, recorder, tmp_path)
    assert again.finished is not None
    assert again.finished.cached


def test_direct_effects_of_all_nodes_add_up_to_the_answer(warm_model: WarmModel, recorder: Any, tmp_path: Path) -> None:
    whole, _ = run("all", warm_model, recorder, tmp_path)
    heads, _ = run("heads", warm_model, recorder, tmp_path)
    assert whole.finished is not None
    assert heads.finished is not None
    found, alone = whole.finished.direct, heads.finished.direct
    assert found is not None
    assert alone is not None
    assert found.answer == alone.answer
    assert found.nodes + found.rest == pytest.approx(found.answer, abs=1e-5)
    # The rest is biases, known from the weights alone (tests/families); without MLPs it is most of the answer here.
    assert abs(found.rest) < 0.2 * abs(found.answer) < abs(alone.rest)
    assert sum(node.other["direct_logits"] for node in whole.nodes) == pytest.approx(found.nodes, abs=1e-3)
    for node in whole.nodes:
        share = abs(node.other["direct_logits"]) / abs(found.answer)
        assert node.other["direct_effect"] == pytest.approx(share, abs=2e-6)
    for before, now in zip(heads.nodes, whole.nodes, strict=False):
        assert before.other["direct_logits"] == pytest.approx(now.other["direct_logits"], abs=1e-6)
