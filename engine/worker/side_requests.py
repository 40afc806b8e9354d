"""Requests the worker answers between the reports of a run: grading, examples, and looking into a node."""

from engine.events import Monitor
from engine.grading.grader import Grader
from engine.models.warm_model import WarmModel
from engine.protocol import (
    AblateNodes,
    ExplainCode,
    GradePrompts,
    InspectHead,
    InspectMlp,
    InspectNeuron,
    MakeExamples,
    MeasureGrid,
    MeasureOnPrompts,
    MeasurePlaces,
    MeasureSpecificity,
    MeasureThrough,
    ReadAtlas,
    SideAnswer,
    SideRequest,
    SteerModel,
)
from engine.worker.ablate_nodes import ablate_nodes
from engine.worker.explain_code import explain_code
from engine.worker.head_inspection import Inspector
from engine.worker.measure_on_prompts import measure_on_prompts
from engine.worker.measure_places import measure_grid_of, measure_places_of
from engine.worker.measure_specificity import measure_specificity_of
from engine.worker.measure_through import measure_through
from engine.worker.neuron_inspection import inspect_mlp, inspect_neuron
from engine.worker.read_atlas import AtlasRequests
from engine.worker.steer import steer


class SideRequestHandler:
    """Answers side requests with the warm model."""

    def __init__(self, warm_model: WarmModel) -> None:
        self._warm_model = warm_model
        self._grader = Grader(warm_model)
        self._inspector = Inspector(warm_model)
        self._atlases = AtlasRequests(warm_model)

    def answer(self, request: SideRequest, monitor: Monitor) -> SideAnswer:
        """Answer the request. Raises the errors of the request's kind, and Cancelled."""
        match request:
            case ReadAtlas():
                return self._atlases.answer(request, monitor)
            case MeasureOnPrompts():
                return measure_on_prompts(request, self._warm_model, monitor)
            case GradePrompts():
                return self._grader.answer(request, monitor)
            case MakeExamples():
                return self._grader.make(request, monitor)
            case InspectHead():
                return self._inspector.answer(request)
            case MeasurePlaces():
                return measure_places_of(request, self._warm_model, monitor)
            case MeasureGrid():
                return measure_grid_of(request, self._warm_model, monitor)
            case MeasureSpecificity():
                return measure_specificity_of(request, self._warm_model, monitor)
            case MeasureThrough():
                return measure_through(request, self._warm_model, monitor)
            case AblateNodes():
                return ablate_nodes(request, self._warm_model, monitor)
            case SteerModel():
                return steer(request, self._warm_model, monitor)
            case InspectMlp():
                return inspect_mlp(request, self._warm_model, monitor)
            case InspectNeuron():
                return inspect_neuron(request, self._warm_model)
            case ExplainCode():
                return explain_code(request, self._warm_model, monitor)

    def ready(self, request: SideRequest) -> bool:
        """Return True if the request's model is loaded: another one would replace that of a run.

        Raises ConfigError for a device that is not available.
        """
        return self._warm_model.holds(request.model, request)
