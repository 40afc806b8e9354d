"""Look inside a node of a run: the warm worker answers, nothing is recorded."""

from typing import Any, Literal, TypeVar

import msgspec

from engine.config import EffectsConfig, fields_of, load_fields
from engine.errors import ConfigError, ExampleError, Failure, NoSuchNode
from engine.examples import Example
from engine.nodes import NodeId, mlp, parse_node
from engine.part_measurements import (
    EffectsThrough,
    GridOfStream,
    LossOfTasks,
    NeuronLookup,
    NeuronsOfMlp,
    PlacesOfNode,
    TokensWithout,
)
from engine.protocol import (
    AblateNodes,
    GridMeasured,
    InspectMlp,
    InspectNeuron,
    MeasureGrid,
    MeasurePlaces,
    MeasureSpecificity,
    MeasureThrough,
    MlpInspected,
    NeuronInspected,
    NodesAblated,
    PlacesMeasured,
    SideRequest,
    SpecificityMeasured,
    ThroughMeasured,
)
from engine.results import ModelInfo
from sessions.errors import NoSuchRecord, error_from
from sessions.handlers.context import Answer, HandlerContext
from sessions.ids import new_id
from sessions.protocol import (
    Ablation,
    GetAblation,
    GetGrid,
    GetMlp,
    GetNeuron,
    GetPlaces,
    GetSpecificity,
    GetThrough,
    MlpInspection,
    NeuronInspection,
    Places,
    SpecificityOfRun,
    StreamGrid,
    Through,
)
from sessions.rows import RunRow
from sessions.store.circuits import stored_circuit
from sessions.store.database import Store
from sessions.store.queries import find_run, run_row
from sessions.store.rerun import find_rerun

Answered = TypeVar("Answered")
_MOST_PAIRS = 1000


async def measure_places(host: HandlerContext, request: GetPlaces) -> Places:
    """Return the effects by position. Raises NoSuchRecord, NoSuchNode and the engine's errors."""
    run, info, fields = await host.writer.read(lambda store: run_fields(store, request.run))
    node = named_node(request.node, info)
    worker_request = MeasurePlaces(
        job=new_id("p"),
        layer=node.layer,
        head=node.head,
        config=request.config,
        models=str(host.places.models),
        example=request.example,
        **fields,
    )
    answer = await answer_of(host, worker_request, PlacesMeasured)
    return Places(run=run, **fields_of(answer, PlacesOfNode))


async def measure_grid(host: HandlerContext, request: GetGrid) -> StreamGrid:
    """Return the effects by layer and position. Raises NoSuchRecord and the engine's errors."""
    run, _, fields = await host.writer.read(lambda store: run_fields(store, request.run))
    worker_request = MeasureGrid(
        job=new_id("p"), config=request.config, layers=request.layers, models=str(host.places.models), **fields
    )
    answer = await answer_of(host, worker_request, GridMeasured)
    return StreamGrid(run=run, **fields_of(answer, GridOfStream))


async def measure_specificity(host: HandlerContext, request: GetSpecificity) -> SpecificityOfRun:
    """Return what tasks lose. Raises NoSuchRecord, NoSuchNode, ConfigError and the engine's errors."""
    if not 1 <= request.pairs <= _MOST_PAIRS:
        raise ConfigError(f"pairs={request.pairs}: 1 to {_MOST_PAIRS} are measured.", hint="Try 24.")

    def read(store: Store) -> tuple[RunRow, ModelInfo, dict[str, Any], tuple[tuple[int, int], ...]]:
        run, info, fields = run_fields(store, request.run)
        return run, info, fields, request.nodes or stored_circuit(store, run, instead="--heads 2.3,4.1")

    run, info, fields, nodes = await host.writer.read(read)
    for node in nodes:
        named_node(str(NodeId(*node)), info)
    worker_request = MeasureSpecificity(
        job=new_id("s"),
        nodes=nodes,
        pairs=request.pairs,
        config=request.config,
        models=str(host.places.models),
        **fields,
    )
    answer = await answer_of(host, worker_request, SpecificityMeasured)
    return SpecificityOfRun(run=run, nodes=nodes, **fields_of(answer, LossOfTasks))


async def measure_through(host: HandlerContext, request: GetThrough) -> Through:
    """Return the effects through each later node. Raises NoSuchRecord, NoSuchNode and the engine's errors."""
    run, info, fields = await host.writer.read(lambda store: run_fields(store, request.run))
    node = named_node(request.node, info)
    worker_request = MeasureThrough(
        job=new_id("p"),
        layer=node.layer,
        head=node.head,
        layers=request.layers,
        config=request.config,
        models=str(host.places.models),
        **fields,
    )
    answer = await answer_of(host, worker_request, ThroughMeasured)
    return Through(run=run, **fields_of(answer, EffectsThrough))


async def ablate(host: HandlerContext, request: GetAblation) -> Ablation:
    """Return the next token with the nodes turned off.

    Raises NoSuchRecord, NoSuchNode, ConfigError, ExampleError and the engine's errors.
    """
    run, info, fields = await host.writer.read(lambda store: run_fields(store, request.run))
    nodes = [named_node(node, info) for node in request.nodes]
    if not nodes:
        raise ConfigError("No node is named.", hint="Nodes are written 9.6, m8 or emb.")
    chosen, replacement = chosen_examples(fields["examples"], request)
    worker_request = AblateNodes(
        job=new_id("a"),
        nodes=tuple((node.layer, node.head) for node in nodes),
        most=request.most,
        config=EffectsConfig(method="exact", metric="kl", replacement=replacement),
        models=str(host.places.models),
        **(fields | {"examples": chosen, "task": None}),
    )
    answer = await answer_of(host, worker_request, NodesAblated)
    return Ablation(
        run=run,
        nodes=tuple(map(str, nodes)),
        prompt=chosen[0].prompt,
        other=chosen[1].prompt if replacement == "pair" else "",
        **fields_of(answer, TokensWithout),
    )


def chosen_examples(
    examples: tuple[Example, ...], request: GetAblation
) -> tuple[tuple[Example, ...], Literal["pair", "mean", "zero"]]:
    """Return the prompt as a positive, what it is replaced from as negatives, and by what nodes are replaced.

    Raises ExampleError for an example that does not exist, and where there is nothing to replace from.
    """
    own = None
    if not request.prompt:
        if not 0 <= request.example < len(examples):
            raise ExampleError(
                f"The run has no example {request.example + 1}.", hint=f"Examples are 1 to {len(examples)}."
            )
        own = examples[request.example]
    pairs = [each for each in examples if own is not None and own.pair is not None and each.pair == own.pair]
    partner = next((each.prompt for each in pairs if own is not None and each.positive != own.positive), "")
    prompt, other = own.prompt if own is not None else request.prompt, request.other or partner
    negatives = [each for each in examples if not each.positive]
    kind = request.replacement
    if kind == "auto":
        kind = "pair" if other else "mean" if negatives else "zero"
    begin = Example(prompt=prompt, polarity="positive", pair=1)
    if kind == "pair":
        if not other:
            raise ExampleError(
                "The prompt has no pair to replace from.",
                hint="Give the other prompt, or turn nodes off by mean or zero.",
            )
        return (begin, Example(prompt=other, polarity="negative", pair=1)), "pair"
    if kind == "mean":
        if not negatives:
            raise ExampleError("The run has no negatives to take means over.", hint="Turn nodes off by zero.")
        rest = (Example(prompt=each.prompt, polarity="negative") for each in negatives)
        return (msgspec.structs.replace(begin, pair=None), *rest), "mean"
    if kind == "zero":
        return (msgspec.structs.replace(begin, pair=None),), "zero"
    raise ConfigError(f"Nodes are turned off by pair, mean or zero, not by {kind}.", hint="mean, for example.")


async def inspect_mlp(host: HandlerContext, request: GetMlp) -> MlpInspection:
    """Return the MLP's neurons. Raises NoSuchRecord, NoSuchNode, NoSuchNeuron, ExampleError, the engine's errors."""
    run, info, fields = await host.writer.read(lambda store: run_fields(store, request.run))
    named_node(str(mlp(request.layer)), info)
    worker_request = InspectMlp(
        job=new_id("n"),
        layer=request.layer,
        example=request.example,
        most=request.most,
        exact=request.exact,
        neurons=request.neurons,
        config=request.config,
        models=str(host.places.models),
        **fields,
    )
    answer = await answer_of(host, worker_request, MlpInspected)
    return MlpInspection(run=run, **fields_of(answer, NeuronsOfMlp))


async def inspect_neuron(host: HandlerContext, request: GetNeuron) -> NeuronInspection:
    """Return one neuron. Raises NoSuchNeuron, ExampleError and the engine's errors."""
    worker_request = InspectNeuron(
        job=new_id("n"),
        model=request.model,
        layer=request.layer,
        neuron=request.neuron,
        prompt=request.prompt,
        models=str(host.places.models),
        **load_fields(request),
    )
    answer = await answer_of(host, worker_request, NeuronInspected)
    return NeuronInspection(**fields_of(answer, NeuronLookup))


async def answer_of(
    host: HandlerContext, request: SideRequest, want: type[Answered], *, verified: str = ""
) -> Answered:
    """Return the worker's answer. Raises what the worker reports as a failure.

    `verified`: the run whose verification asks.
    """
    answer = await host.supervisor.answer_side_request(request, run_id=verified)
    if isinstance(answer, Failure):
        raise error_from(answer)
    assert isinstance(answer, want)
    return answer


def weights_file(host: HandlerContext, run: RunRow, sha256: str) -> str:
    """Return the path of a run's SAE weights. Raises NoSuchRecord if they are not on this machine."""
    path = host.places.data / "sae" / f"{sha256}.safetensors"
    if not path.is_file():
        raise NoSuchRecord(
            f"The SAE weights of run {run.number} are not on this machine.",
            hint="Export its session with --sae where it was run, or run it here: headcode probe --again RUN",
        )
    return str(path)


def named_node(text: str, info: ModelInfo) -> NodeId:
    """Return the node that is written so, an MLP of a run with heads only, too. Raises NoSuchNode."""
    node = parse_node(text[:40].strip())
    if node is None or (node.is_head and not info.layout.has(node)) or node.layer >= info.n_layers:
        raise NoSuchNode(text[:40], info.n_layers, info.n_heads, mlps=True)
    return node


def run_fields(store: Store, reference: str) -> tuple[RunRow, ModelInfo, dict[str, Any]]:
    """Return the run, its model, and the fields of a request for what is inside of its nodes.

    Raises NoSuchRecord if the run does not exist or was not loaded.
    """
    run = run_row(store, find_run(store, reference))
    if run.model_info is None:
        raise NoSuchRecord(f"Run {run.number} is {run.state}: it has no model yet.", hint="Finish the run first.")
    rerun = find_rerun(store, run.run_id)
    fields = {
        "model": rerun.asked.model,
        "identity": run.model_info.identity,
        "examples": tuple(example for example in rerun.work.examples if example.enabled),
        "task": run.task,
        **rerun.as_loaded,
    }
    return run, run.model_info, fields


ANSWERS: dict[type, Answer] = {
    GetPlaces: measure_places,
    GetGrid: measure_grid,
    GetThrough: measure_through,
    GetAblation: ablate,
    GetSpecificity: measure_specificity,
    GetMlp: inspect_mlp,
    GetNeuron: inspect_neuron,
}
SLOW: frozenset[type] = frozenset(ANSWERS)
