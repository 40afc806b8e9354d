"""Measure what removing a run's circuit does to every ready-made task that the model can do."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from engine.config import EffectsConfig
from engine.errors import ExampleError, ModelError, TaskError
from engine.events import Monitor
from engine.examples import Example
from engine.grading.usable_pairs import make_usable
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.node_parts import TaskLoss
from engine.nodes import NodeId
from engine.patching.circuit_checks import random_circuits
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import prepare
from engine.patching.node_patching import mask_of, measure_replaced
from engine.protocol import MeasureSpecificity, SpecificityMeasured
from engine.tasks.base import Task
from engine.tasks.registry import TASKS, find_task
from engine.worker.measure_places import KeepsNotices, check_node, within_memory

RANDOM_CIRCUITS = 20
TASK_SEED = 2000
"""Not a seed of probes, benchmarks (small ones) and references (1000)."""


class Specificity:
    """One circuit, removed from one model on one set of examples after another."""

    def __init__(self, model: Model, circuit: Sequence[NodeId], config: EffectsConfig, monitor: Monitor) -> None:
        self._model, self._config, self._monitor = model, config, monitor
        self._passes = ForwardPasses(model, monitor, "all")
        layout = self._passes.layout
        whole = mask_of(circuit, layout)
        self._masks = torch.cat([whole[None], random_circuits(whole, layout, RANDOM_CIRCUITS, TASK_SEED)])

    def on_task(self, task: Task, pairs: int) -> TaskLoss:
        """Return what the task loses, on usable pairs. Raises TaskError if the model cannot do it, and Cancelled."""
        examples = make_usable(task, self._model, pairs=pairs, seed=TASK_SEED, monitor=self._monitor)
        return self.on(task.name, examples, task)

    def on(self, name: str, examples: Sequence[Example], task: Task | None) -> TaskLoss:
        """Return what the examples lose. `task`: the one that made them; its metric is used.

        Raises ExampleError if there is nothing to measure on, ConfigError and Cancelled.
        """
        metric = None if task is None else task.metric
        inputs = prepare(
            self._model, self._passes, examples, self._config, position="mean", task=metric, monitor=self._monitor
        )
        left, *others = measure_replaced(self._passes, inputs, self._masks).mean(dim=1).tolist()
        return TaskLoss(
            task=name,
            metric=inputs.answer_metric.metric,
            replacement=inputs.replacement,
            pairs=len(inputs),
            base=round(inputs.base, 5),
            removed=round(left, 5),
            random=round(sum(others) / len(others), 5),
        )


def measure_specificity(
    specificity: Specificity, tasks: Sequence[Task], pairs: int
) -> tuple[tuple[TaskLoss, ...], dict[str, str]]:
    """Return the loss of each task, the largest share first, and why others were left out."""
    found: list[TaskLoss] = []
    left_out: dict[str, str] = {}
    for task in tasks:
        try:
            found.append(specificity.on_task(task, pairs))
        except (TaskError, ExampleError) as error:
            left_out[task.name] = error.message.removeprefix(f"{task.name}: ")
    return tuple(sorted(found, key=lambda loss: -loss.share)), left_out


def measure_specificity_of(request: MeasureSpecificity, warm_model: WarmModel, monitor: Monitor) -> SpecificityMeasured:
    """Measure the run's own examples and every other task. Raises NoSuchNode, ModelError, ExampleError, ConfigError."""

    def measure() -> SpecificityMeasured:
        begun = time.perf_counter()
        model, _ = warm_model.take(request.model, Path(request.models), request)
        if model.info.identity != request.identity:
            raise ModelError(f"{model.info.name} has other weights now than in the run.", hint="Run the probe again.")
        nodes = [NodeId(*node) for node in request.nodes]
        for node in nodes:
            check_node(model, node)
        specificity = Specificity(model, nodes, request.config, KeepsNotices(monitor))
        own = None if request.task is None else find_task(request.task)
        loss = specificity.on(request.task or "", request.examples, own)
        others = [task for task in TASKS.values() if task.name != request.task]
        found, left_out = measure_specificity(specificity, others, request.pairs)
        return SpecificityMeasured(
            job=request.job,
            model=model.info,
            own=loss,
            others=found,
            left_out=left_out,
            seconds=round(time.perf_counter() - begun, 3),
        )

    return within_memory(measure, request)
