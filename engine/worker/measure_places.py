"""Measure effects position by position for a run's prompts: of one node, or of every layer."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from torch import Tensor

from engine.capture.prompts import encode_prompt
from engine.errors import ExampleError, ModelError, NoSuchNode, OutOfMemory
from engine.events import Event, Monitor, Notice
from engine.examples import Example
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.node_parts import MeasuredHow, PromptGrid, PromptPlaces
from engine.nodes import NodeId
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs, prepare
from engine.patching.places import measure_places
from engine.patching.stream_grid import Grid, measure_grid, read_streams
from engine.protocol import GridMeasured, MeasureGrid, MeasurePlaces, PartsRequest, PlacesMeasured
from engine.tasks.registry import find_task
from engine.tensors.out_of_memory import is_out_of_memory

Found = TypeVar("Found")
_DIGITS = 5
_KEPT_BYTES = 256 << 20
"""Larger inputs are prepared again for every request."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The model, its passes and the inputs of patching for the examples of a request."""

    request: PartsRequest
    model: Model
    passes: ForwardPasses
    inputs: PatchingInputs
    notices: tuple[str, ...]
    begun: float
    work: int
    """Of preparing; 0 if an earlier request did."""
    work_before: int
    """Of the passes until it was prepared."""

    unequal: bool
    streams: list[Tensor]
    """Replacements of every layer's input, once they were read: the grid is asked for in parts."""

    def serves(self, request: PartsRequest, *, unequal: bool) -> bool:
        """Return True if another request needs the same inputs."""
        here, wanted = ((each.examples, each.config, each.task) for each in (self.request, request))
        return here == wanted and (self.unequal == unequal or self._equal)

    @property
    def _equal(self) -> bool:
        """True if pairs of unequal length were welcome and there are none: nothing would be left out without them."""
        side = self.inputs.other_side
        if not self.unequal or side is None or side.take is None:
            return self.unequal
        return len(side.last) == len(self.inputs.last) and bool((side.last == self.inputs.last).all())

    def how(self) -> MeasuredHow:
        """Return how effects were measured until now and what they cost."""
        one_pass = int((self.inputs.last + 1).sum()) * self.passes.n_layers
        return MeasuredHow(
            metric=self.inputs.answer_metric.metric,
            replacement=self.inputs.replacement,
            passes=round((self.passes.work - self.work_before) / one_pass, 3),
            prepared=round(self.work / one_pass, 3),
            seconds=round(time.perf_counter() - self.begun, 3),
            notices=self.notices,
        )

    def prompts(self, effects: Tensor) -> tuple[PromptPlaces, ...]:
        """Return the prompts with their tokens and these effects, [row, position]."""
        return tuple(
            PromptPlaces(
                example=example, base=base, tokens=tokens, other=other, effects=_rounded(effects[row, : len(tokens)])
            )
            for row, (example, base, tokens, other) in enumerate(self._rows())
        )

    def grids(self, grid: Grid) -> tuple[PromptGrid, ...]:
        """Return the prompts with their tokens and their part of the grid."""
        return tuple(
            PromptGrid(
                example=example,
                base=base,
                tokens=tokens,
                other=other,
                effects={
                    kind: tuple(_rounded(layer[row, : len(tokens)]) for layer in values)
                    for kind, values in grid.items()
                },
            )
            for row, (example, base, tokens, other) in enumerate(self._rows())
        )

    def words(self) -> list[tuple[str, ...]]:
        """Return each row's tokens."""
        return [tokens for _, _, tokens, _ in self._rows()]

    def _rows(self) -> list[tuple[int, float, tuple[str, ...], tuple[str, ...]]]:
        """Return each row's example, base, tokens, and the tokens that replacements are read at."""
        found = []
        side = self.inputs.other_side
        for row, example in enumerate(self.inputs.examples):
            ids, own = encode_prompt(self.model, example, self.request.examples[example])
            other: tuple[str, ...] = ()
            if side is not None and side.take is not None:
                source = side.tokens[row, side.take[row, : len(ids)]].tolist()
                replaced = self.inputs.where[row, : len(ids)].tolist()
                other = tuple(
                    self.model.token_words(token) if here else "" for token, here in zip(source, replaced, strict=True)
                )
            base = round(float(self.inputs.base_by_row[row]), _DIGITS)
            found.append((example, base, self.model.prompt_words(ids, own), other))
        return found


class KeepsNotices:
    """A Monitor that keeps notices and passes on whether to stop."""

    def __init__(self, monitor: Monitor) -> None:
        self.notices: list[str] = []
        self._monitor = monitor

    def report(self, event: Event, /) -> None:
        if isinstance(event, Notice):
            self.notices.append(event.message)

    def cancelled(self) -> bool:
        return self._monitor.cancelled()


def prepare_parts(
    request: PartsRequest, warm_model: WarmModel, monitor: Monitor, *, unequal: bool = False, keep: bool = True
) -> Prepared:
    """Load the model and prepare patching at every position.

    `unequal`: with pairs of unequal length, too, aligned at their ends: for single positions. What an earlier request
    with the same examples prepared is used again. Not `keep`: that stays for later requests, and this is not kept.
    Raises ModelError, ExampleError, ConfigError, Cancelled.
    """
    model, _ = warm_model.take(request.model, Path(request.models), request)
    begun = time.perf_counter()
    if model.info.identity != request.identity:
        raise ModelError(f"{model.info.name} has other weights now than in the run.", hint="Run the probe again.")
    keeper = KeepsNotices(monitor)
    known = warm_model.computed
    if isinstance(known, Prepared) and known.model is model and known.serves(request, unequal=unequal):
        known.passes.monitor = keeper
        return msgspec.structs.replace(known, request=request, begun=begun, work=0, work_before=known.passes.work)
    if keep:
        warm_model.computed = None
    passes = ForwardPasses(model, keeper, "all")
    inputs = prepare(
        model,
        passes,
        request.examples,
        msgspec.structs.replace(request.config, method="exact"),
        position="mean",
        task=None if request.task is None else find_task(request.task).metric,
        monitor=keeper,
        unequal=unequal,
    )
    inputs.tails(passes)
    prepared = Prepared(
        request=request,
        model=model,
        passes=passes,
        inputs=inputs,
        notices=tuple(keeper.notices),
        begun=begun,
        work=passes.work,
        work_before=passes.work,
        unequal=unequal,
        streams=[],
    )
    if keep and _bytes_of(inputs) <= _KEPT_BYTES:
        warm_model.computed = prepared
    return prepared


def _bytes_of(inputs: PatchingInputs) -> int:
    clean = inputs.clean
    kept = (*clean.z, *clean.residual, *clean.mlps, *inputs.other, *inputs.other_mlps)
    return sum(each.untyped_storage().nbytes() for each in kept)


def measure_places_of(request: MeasurePlaces, warm_model: WarmModel, monitor: Monitor) -> PlacesMeasured:
    """Measure the node's effect at every position. Raises NoSuchNode, and what `prepare_parts` raises."""

    def measure() -> PlacesMeasured:
        node = NodeId(request.layer, request.head)
        model, _ = warm_model.take(request.model, Path(request.models), request)
        check_node(model, node)
        indices = pair_of(request.examples, request.example)
        some = msgspec.structs.replace(request, examples=tuple(request.examples[index] for index in indices))
        prepared = prepare_parts(some, warm_model, monitor, unequal=True, keep=request.example is None)
        effects = measure_places(prepared.passes, prepared.inputs, node)
        prompts = tuple(
            msgspec.structs.replace(each, example=indices[each.example]) for each in prepared.prompts(effects)
        )
        return PlacesMeasured(job=request.job, model=model.info, how=prepared.how(), prompts=prompts)

    return within_memory(measure, request)


def pair_of(examples: Sequence[Example], example: int | None) -> list[int]:
    """Return the indices of this example's pair; all for None. Raises ExampleError if it has none."""
    if example is None:
        return list(range(len(examples)))
    pair = examples[example].pair if 0 <= example < len(examples) else None
    found = [index for index, each in enumerate(examples) if pair is not None and each.pair == pair]
    if len({examples[index].positive for index in found}) < 2:
        raise ExampleError(
            f"Example {example + 1} has no pair to replace from.", hint="Leave out the example: all are measured then."
        )
    return found


def measure_grid_of(request: MeasureGrid, warm_model: WarmModel, monitor: Monitor) -> GridMeasured:
    """Measure the grid of layers and positions. Raises what `prepare_parts` raises."""

    def measure() -> GridMeasured:
        prepared = prepare_parts(request, warm_model, monitor, unequal=True)
        model = prepared.model
        n_layers = model.info.n_layers
        for layer in request.layers:
            if not 0 <= layer < n_layers:
                raise NoSuchNode(f"m{layer}", n_layers, model.info.n_heads, mlps=True)
        if not prepared.streams:
            prepared.streams.extend(read_streams(prepared.passes, prepared.inputs))
        grid = measure_grid(prepared.passes, prepared.inputs, layers=request.layers or None, streams=prepared.streams)
        return GridMeasured(
            job=request.job, model=prepared.model.info, how=prepared.how(), prompts=prepared.grids(grid)
        )

    return within_memory(measure, request)


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(round(value, _DIGITS) for value in values.tolist())


def check_node(model: Model, node: NodeId) -> None:
    """Raise NoSuchNode if the model does not have the node, ModelError if TransformerLens does not show its MLPs."""
    notice = model.mlps.notice(model.info.name) if model.mlps.missing and not node.is_head else None
    if notice is not None:
        raise ModelError(
            f"{node} cannot be replaced: TransformerLens does not show what the MLPs of {model.info.name} write.",
            hint="Heads can: 0.1, for example.",
        )
    model.layout("all").check(node)


def within_memory(measure: Callable[[], Found], request: PartsRequest) -> Found:
    """Return what `measure` returns. Raises OutOfMemory in place of torch's errors."""
    try:
        return measure()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"Memory ran out while effects were measured: {str(error).strip().splitlines()[0][:300]}",
            hint=f"Measure on fewer examples than {request.config.examples}, or choose a smaller model.",
        ) from error
