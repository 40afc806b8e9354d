"""Specificity, where it is known: one model with two planted circuits that share no head."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.catalog.planted_models import PLANTED
from engine.config import EffectsConfig, LoadOptions
from engine.errors import ModelError, NoSuchNode
from engine.models.loading import Model, load_model
from engine.models.warm_model import WarmModel
from engine.node_parts import TaskLoss
from engine.nodes import NodeId
from engine.protocol import MeasureSpecificity
from engine.tasks.registry import TASKS
from engine.worker.measure_specificity import Specificity, measure_specificity, measure_specificity_of

EXACT = EffectsConfig(method="exact")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model("planted-distractors", tmp_path_factory.mktemp("models"), LoadOptions(device="cpu"))


@pytest.mark.parametrize(("own", "other"), [("ioi", "induction"), ("induction", "ioi")])
def test_a_planted_circuit_hurts_its_own_task_alone(own: str, other: str, planted: Model, recorder: Any) -> None:
    circuit = [NodeId(*head) for head in PLANTED["planted-distractors"].circuit(own).heads]
    specificity = Specificity(planted, circuit, EXACT, recorder())
    losses, left_out = measure_specificity(specificity, list(TASKS.values()), 6)
    by_task = {loss.task: loss for loss in losses}
    assert [loss.task for loss in losses] == [own, other]
    assert by_task[own].share > 0.9
    assert abs(by_task[other].share) < 0.02
    assert by_task[own].random_share < by_task[own].share - 0.3
    assert by_task[own].pairs == by_task[other].pairs == 6
    assert set(left_out) == set(TASKS) - {"ioi", "induction"}
    assert not any(why.startswith(task) for task, why in left_out.items())


def test_shares_are_of_the_base() -> None:
    loss = TaskLoss(
        task="ioi", metric="logit_difference", replacement="pair", pairs=3, base=4.0, removed=-1.0, random=3.0
    )
    assert (loss.share, loss.random_share) == (1.25, 0.25)
    nothing = TaskLoss(task="", metric="kl", replacement="pair", pairs=3, base=0.0, removed=1.0, random=1.0)
    assert (nothing.share, nothing.random_share) == (0.0, 0.0)


def test_the_worker_answers_for_the_weights_and_nodes_of_the_run(
    warm_model: WarmModel, model: Model, tmp_path: Path, recorder: Any
) -> None:
    request = MeasureSpecificity(
        job="s",
        model="toy",
        models=str(tmp_path),
        device="cpu",
        identity=model.info.identity,
        examples=TASKS["docstring"].make(model, pairs=4, seed=0),
        config=EXACT,
        task="docstring",
        nodes=((0, 5),),
        pairs=3,
    )
    found = measure_specificity_of(request, warm_model, recorder())
    assert (found.own.task, found.own.pairs) == ("docstring", 4)
    assert "docstring" not in {loss.task for loss in found.others}
    assert {*found.left_out} | {loss.task for loss in found.others} == {*TASKS} - {"docstring"}
    shares = [loss.share for loss in found.others]
    assert shares == sorted(shares, reverse=True)
    with pytest.raises(ModelError, match="other weights"):
        measure_specificity_of(msgspec.structs.replace(request, identity="0" * 64), warm_model, recorder())
    with pytest.raises(NoSuchNode):
        measure_specificity_of(msgspec.structs.replace(request, nodes=((9, 0),)), warm_model, recorder())
