"""Effects requested after a run: load the model (or reuse it), measure effects, train nothing."""

import time
from pathlib import Path

from engine.errors import ModelError, OutOfMemory
from engine.events import Monitor, StageFinished, StageStarted
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.nodes import NodeId
from engine.patching.effects_stage import EffectsStage
from engine.protocol import MeasureEffects
from engine.tasks.registry import find_task
from engine.tensors.out_of_memory import is_out_of_memory


class EffectsJob:
    """Answers one MeasureEffects request; results go to its monitor."""

    def __init__(self, request: MeasureEffects, warm_model: WarmModel, monitor: Monitor) -> None:
        self.request = request
        self.warm_model = warm_model
        self.monitor = monitor

    def run(self) -> None:
        """Measure and report. Raises an EngineError; effects reported before stay valid."""
        try:
            self._run()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"Memory ran out while effects were measured: {str(error).strip().splitlines()[0][:300]}",
                hint=f"Measure on fewer examples than {self.request.config.examples}, or choose a smaller model.",
            ) from error

    def _run(self) -> None:
        request, begun = self.request, time.perf_counter()
        self.monitor.report(StageStarted(stage="cause", total=0, unit="measurements"))
        model = self._load()
        if model.info.identity != request.identity:
            raise ModelError(f"{model.info.name} has other weights now than in the run.", hint="Run the probe again.")
        stage = EffectsStage(
            model,
            request.examples,
            request.config,
            self.monitor,
            position=request.position,
            task=None if request.task is None else find_task(request.task).metric,
            seed=request.seed,
            nodes=request.nodes,
        )
        if request.edges:
            stage.find_edges([(NodeId(*source), NodeId(*target)) for source, target in request.edges])
        elif request.after:
            stage.find_backups(_ids(request.after), name=request.after_name, only=_ids(request.heads))
        else:
            stage.find(ranking=_ids(request.ranking), circuit=_ids(request.circuit), only=_ids(request.heads))
        self.monitor.report(StageFinished(stage="cause", seconds=round(time.perf_counter() - begun, 4)))

    def _load(self) -> Model:
        return self.warm_model.take(self.request.model, Path(self.request.models), self.request)[0]


def _ids(places: tuple[tuple[int, int], ...]) -> list[NodeId]:
    return [NodeId(*place) for place in places]
