"""Measure every head and MLP on the prompts of a run by the metrics of the atlas."""

from pathlib import Path

from torch import Tensor

from engine.atlas.reading import EndReader, TokenBatch
from engine.atlas.sums import State, empty_sums, head_metrics, mlp_metrics
from engine.capture.prompts import encode_prompt
from engine.errors import ExampleError, ModelError
from engine.events import Monitor
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.node_atlas import PromptNode
from engine.nodes import NO_HEAD
from engine.protocol import MeasureOnPrompts, OnPromptsMeasured
from engine.results import ModelInfo
from engine.worker.make_atlas import rounded
from engine.worker.measure_places import within_memory

_TOKENS_AT_ONCE = 2048


def measure_on_prompts(request: MeasureOnPrompts, warm_model: WarmModel, monitor: Monitor) -> OnPromptsMeasured:
    """Return the metrics of every head and MLP on a run's positives. Raises ModelError, ExampleError, Cancelled."""

    def measure() -> OnPromptsMeasured:
        model, _ = warm_model.take(request.model, Path(request.models), request)
        if model.info.identity != request.identity:
            raise ModelError(f"{model.info.name} has other weights now than in the run.", hint="Run the probe again.")
        positives = [(index, each) for index, each in enumerate(request.examples) if each.positive]
        prompts = [encode_prompt(model, index, each)[0] for index, each in positives][: request.config.examples]
        if not prompts:
            raise ExampleError("The run has no positives.", hint="Add one in the editor (w).")
        state, at_end = _read_prompts(model, prompts, monitor)
        return OnPromptsMeasured(
            job=request.job,
            model=model.info,
            prompts=len(prompts),
            nodes=_prompt_nodes(model.info, state, at_end, with_mlps=not model.mlps.missing),
        )

    return within_memory(measure, request)


def _read_prompts(model: Model, prompts: list[list[int]], monitor: Monitor) -> tuple[State, dict[int, Tensor]]:
    """Return sums over the prompts, and by layer the mean attention of their last token."""
    state = empty_sums(model.info.n_layers, model.info.n_heads)
    weights, shortest = model.head_weights, min(map(len, prompts))
    at_end: dict[int, Tensor] = {}
    by_length = sorted(prompts, key=len)
    rows = max(1, _TOKENS_AT_ONCE // max(map(len, prompts)))
    for begin in range(0, len(by_length), rows):
        reader = EndReader(model, state, TokenBatch(by_length[begin : begin + rows], model.device), weights)
        reader.run(monitor)
        for layer, found in reader.at_end.items():
            at_end[layer] = at_end.get(layer, 0) + found[:, :shortest] / len(prompts)
    return state, at_end


def _prompt_nodes(
    info: ModelInfo, state: State, at_end: dict[int, Tensor], *, with_mlps: bool
) -> tuple[PromptNode, ...]:
    heads = [
        PromptNode(
            layer=layer,
            head=head,
            metrics=rounded(head_metrics(state, layer, head)),
            at_end=tuple(round(value, 4) for value in at_end[layer][head].tolist()),
        )
        for layer in range(info.n_layers)
        for head in range(info.n_heads)
    ]
    mlps = [
        PromptNode(layer=layer, head=NO_HEAD, metrics=rounded(mlp_metrics(state, layer)), at_end=())
        for layer in range(info.n_layers if with_mlps else 0)
    ]
    return (*heads, *mlps)
