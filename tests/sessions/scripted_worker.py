"""Speak the worker's protocol without computing anything; the model's name selects the behaviour."""

import os
import queue
import signal
import struct
import sys
import threading
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from engine.config import ProbeConfig
from engine.errors import Cancelled, Failure
from engine.events import (
    ArrayReady,
    EdgesPatched,
    EdgesScored,
    EffectsMeasured,
    Event,
    ExamplesMade,
    Graded,
    ModelReady,
    ProbeFinished,
    Scored,
    StageFinished,
    StageProgress,
    StageStarted,
    TrainStep,
)
from engine.examples import Example, content_hash
from engine.explanations import CodeExplanation, Predicted, TokenRule
from engine.node_parts import (
    MeasuredHow,
    NeuronFacts,
    NextToken,
    PromptActivations,
    PromptGrid,
    PromptPlaces,
    ThroughEffect,
)
from engine.protocol import (
    AblateNodes,
    AnyWorkerRequest,
    AtlasRead,
    CancelJob,
    CodeExplained,
    CodeWrites,
    ExamplesOf,
    ExplainCode,
    GradePrompts,
    GradesMade,
    GridMeasured,
    HeadInspected,
    InspectHead,
    InspectMlp,
    InspectNeuron,
    JobDone,
    JobEvent,
    JobFailed,
    MakeExamples,
    MeasureEffects,
    MeasureGrid,
    MeasureOnPrompts,
    MeasurePlaces,
    MeasureThrough,
    MlpInspected,
    ModelSteered,
    NeuronInspected,
    NodesAblated,
    OnPromptsMeasured,
    PartsRequest,
    PlacesMeasured,
    Quit,
    ReadAtlas,
    RunProbe,
    SteerModel,
    ThroughMeasured,
    WorkerMessage,
    WorkerReady,
)
from engine.results import (
    EdgeEffect,
    EdgeScore,
    ExampleCount,
    Grade,
    ModelInfo,
    NodeEffect,
    NodeScores,
    PromptTokens,
    Timings,
    Versions,
)
from engine.steering import DosePoint, SteerResult

sys.path.append(str(Path(__file__).parents[1]))  # it is started as a script
from made_atlas import made_atlas, made_prompts

N_LAYERS, N_HEADS = 2, 3


def say(word: WorkerMessage) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(word) + b"\n")
    sys.stdout.buffer.flush()


def examples_of(task: str, pairs: int) -> tuple[Example, ...]:
    return tuple(
        Example(prompt=f"{task} {polarity} {pair}", polarity=polarity, expected=("a", "b"), foils=("c",), pair=pair)
        for pair in range(pairs or 10)  # 0: as many as needed
        for polarity in ("positive", "negative")
    )


def head(layer: int, number: int, value: float) -> NodeScores:
    names = set(NodeScores.__struct_fields__) - {"layer", "head", "other", "paired_flips", "p_value", "q_value"}
    names.discard("baseline_paired_difference")
    optional = {"paired_flips": None, "p_value": None, "q_value": None, "baseline_paired_difference": None}
    return NodeScores(layer=layer, head=number, **dict.fromkeys(names, value), **optional)


def scores(value: float, *, final: bool, n_layers: int = N_LAYERS, n_heads: int = N_HEADS) -> Scored:
    nodes = tuple(head(layer, number, value) for layer in range(n_layers) for number in range(n_heads))
    return Scored(nodes=nodes, final=final)


def model_ready(*, n_layers: int = N_LAYERS, n_heads: int = N_HEADS) -> ModelReady:
    info = ModelInfo(
        name="scripted",
        identity="0" * 64,
        n_layers=n_layers,
        n_heads=n_heads,
        d_model=12,
        d_head=4,
        context=64,
        vocabulary=100,
    )
    versions = Versions(headcode="0", python="3", torch="0", transformer_lens="0", device="cpu")
    return ModelReady(model=info, versions=versions, warm=False)


def steps(config: ProbeConfig, n: int) -> list[Event]:
    seeds = range(len(config.seeds))
    return [
        TrainStep(
            step=step,
            total=n,
            reconstruction=tuple(1.0 / step + seed for seed in seeds),
            sparsity=tuple(None if step == 1 else 0.5 for _ in seeds),
            moving=tuple(3 for _ in seeds),
        )
        for step in range(1, n + 1)
    ]


def write_tensor(path: Path, name: str, shape: tuple[int, ...], numbers: list[int]) -> None:
    """Write a safetensors file by hand: length, header, numbers."""
    entry = {name: {"dtype": "I32", "shape": list(shape), "data_offsets": [0, 4 * len(numbers)]}}
    header = msgspec.json.encode(entry)
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack(f"<{len(numbers)}i", *numbers))


def code(seed: int, example: int, place: int) -> int:
    """Return the code that the scripted model's heads give."""
    return -1 if place == 0 else 100 * seed + 10 * example + place


def normal(request: RunProbe, n_steps: int = 5, *, n_layers: int = N_LAYERS, n_heads: int = N_HEADS) -> list[Event]:
    """Return the events of a successful run; its arrays are in the spool folder."""
    examples = request.examples or examples_of(request.task or "none", request.pairs)
    enabled = tuple(example for example in examples if example.enabled)
    made = request.made or not request.examples
    spool = Path(request.spool)
    spool.mkdir(parents=True, exist_ok=True)
    n_places = n_layers * n_heads
    shape = (len(request.config.seeds), len(enabled), n_places)
    numbers = [code(s, e, p) for s in range(shape[0]) for e in range(shape[1]) for p in range(n_places)]
    write_tensor(spool / "codes.safetensors", "codes", shape, numbers)
    write_tensor(spool / "sae.safetensors", "weights", (3,), [1, 2, 3])
    grades = tuple(Grade(index=index, verdict="ok", reason="fine", n_tokens=4) for index in range(len(enabled)))
    return [
        StageStarted(stage="load", total=1),
        model_ready(n_layers=n_layers, n_heads=n_heads),
        StageFinished(stage="load", seconds=0.1),
        ExamplesMade(examples=enabled, content_hash=content_hash(enabled), task=request.task, made=made),
        Graded(grades=grades),
        StageStarted(stage="train", total=n_steps, unit="steps"),
        *steps(request.config, n_steps),
        scores(1.0, final=False, n_layers=n_layers, n_heads=n_heads),
        StageProgress(stage="train", done=n_steps, total=n_steps),
        ArrayReady(name="codes", file="codes.safetensors", shape=shape),
        scores(2.0, final=True, n_layers=n_layers, n_heads=n_heads),
        EdgesScored(edges=(EdgeScore(source=(0, 1), target=(1, 2), score=3.0),), n_pairs=9),
        ArrayReady(name="sae", file="sae.safetensors", shape=(3,)),
        ProbeFinished(
            examples=ExampleCount(positive=len(enabled) // 2, negative=len(enabled) // 2, broken=0),
            circuit=((0, 1),),
            circuit_softmax=((0, 1), (1, 2)),
            timings=Timings(total=1.0),
            cached=False,
        ),
    ]


def grades_for(request: GradePrompts, n_waiting: int = 0) -> GradesMade:
    """Use words as tokens; a positive is answered with certainty, a negative never."""
    split = [tuple(each.prompt.split()) for each in request.examples]
    return GradesMade(
        job=request.job,
        model=model_ready().model,
        grades=tuple(
            Grade(
                index=index,
                verdict="ok",
                reason=f"as {request.model} sees it" + (f", {n_waiting} waiting" if n_waiting else ""),
                n_tokens=len(words),
                probability=0.9 if example.positive else 0.1,
                rank=1 if example.positive else 5,
                says=" it",
            )
            for index, (example, words) in enumerate(zip(request.examples, split, strict=True))
        ),
        tokens=tuple(PromptTokens(texts=words, read=(True,) * len(words)) for words in split),
    )


def look_for(request: InspectHead) -> HeadInspected:
    """Use words as tokens; the request is returned, so that a test can check it."""
    words = tuple(request.prompt.split())
    kept = request.sae if Path(request.sae).is_file() else "no file"
    return HeadInspected(
        job=request.job,
        model=model_ready().model,
        tokens=(*words, f"{request.layer}.{request.head}", f"seed {request.seed_index}", kept),
        skipped=0,
        strength=(1.0,) * len(words),
        attention=(),
        writes=tuple(CodeWrites(code=code, raises=(), lowers=(), along=()) for code in request.codes),
    )


def how_of(request: PartsRequest, *asked: object) -> MeasuredHow:
    """Return what was requested, so that a test can check it."""
    return MeasuredHow(
        metric=request.config.metric,
        replacement=request.config.replacement,
        passes=1.0,
        prepared=2.0,
        seconds=0.1,
        notices=(*map(str, asked), request.identity, str(request.task)),
    )


def places_for(request: MeasurePlaces) -> PlacesMeasured:
    """Use words as tokens; the effect at a position is its number."""
    prompts = [(index, each.prompt.split()) for index, each in enumerate(request.examples) if each.positive]
    return PlacesMeasured(
        job=request.job,
        model=model_ready().model,
        how=how_of(request, f"{request.layer}.{request.head}"),
        prompts=tuple(
            PromptPlaces(
                example=index,
                base=2.0,
                tokens=tuple(words),
                other=tuple(words),
                effects=tuple(map(float, range(len(words)))),
            )
            for index, words in prompts
        ),
    )


def grid_for(request: MeasureGrid) -> GridMeasured:
    """Use words as tokens; the effect is the number of the layer."""
    words = tuple(request.examples[0].prompt.split())
    rows = tuple((float(layer),) * len(words) for layer in range(N_LAYERS))
    grid = PromptGrid(example=0, base=2.0, tokens=words, other=(), effects={"stream": rows, "mlp": rows})
    return GridMeasured(job=request.job, model=model_ready().model, how=how_of(request), prompts=(grid,))


def through_for(request: MeasureThrough) -> ThroughMeasured:
    """One later node per layer that was asked for."""
    through = tuple(ThroughEffect(layer=layer, head=0, effect=float(layer), error=None) for layer in request.layers)
    how = how_of(request, f"{request.layer}.{request.head}")
    return ThroughMeasured(job=request.job, model=model_ready().model, how=how, base=2.0, prompts=1, through=through)


def ablated_for(request: AblateNodes) -> NodesAblated:
    """Use words as tokens; the next token is the number of nodes."""
    token = NextToken(token=str(len(request.nodes)), before=0.5, after=0.25, rank_before=1, rank_after=2)
    how = how_of(request, request.config.replacement, *(each.prompt for each in request.examples))
    tokens = tuple(request.examples[0].prompt.split())
    return NodesAblated(
        job=request.job, model=model_ready().model, how=how, tokens=tokens, next_tokens=(token,), kl=0.5
    )


def steered_for(request: SteerModel) -> ModelSteered:
    """The notices say what was asked for; a dose does as much as it is strong, random directions half of it."""
    plan = request.plan
    words = (str(request.doses), str(request.seed_index), Path(request.sae).suffix, request.config.replacement)
    result = SteerResult(unit=2.0, prompt="only a part", notices=words, seconds=0.25, passes=1.5)
    if request.doses:
        points = tuple(
            DosePoint(strength=each, effect=each, error=None, random=(each / 2,) * plan.random)
            for each in request.doses
        )
        result = msgspec.structs.replace(result, metric="kl", base=1.0, prompts=3, points=points)
    else:
        result = msgspec.structs.replace(result, prompt=request.examples[plan.example].prompt, kl=0.5)
    return ModelSteered(job=request.job, model=model_ready().model, result=result)


def mlp_for(request: InspectMlp) -> MlpInspected:
    return MlpInspected(
        job=request.job,
        model=model_ready().model,
        how=how_of(request, request.layer, request.most, request.exact, request.neurons),
        base=2.0,
        prompts=1,
        n_neurons=7,
        attribution=0.5,
        tokens=tuple(request.examples[request.example].prompt.split()),
        neurons=(),
    )


def neuron_for(request: InspectNeuron) -> NeuronInspected:
    words = tuple(request.prompt.split())
    facts = NeuronFacts(
        layer=request.layer, neuron=request.neuron, n_neurons=7, norm=1.0, raises=(), lowers=(), reads=()
    )
    on_prompt = PromptActivations(tokens=words, activations=(1.0,) * len(words)) if words else None
    return NeuronInspected(job=request.job, model=model_ready().model, facts=facts, on_prompt=on_prompt)


def explained(request: ExplainCode) -> CodeExplained:
    """An explanation without patterns; its passes are the place of its seed, counted from 1."""
    nothing = Predicted(prompts=0, with_code=0, said=0, right=0)
    rule = TokenRule(token="a", predicted=nothing)
    explanation = CodeExplanation(
        layer=request.layer,
        head=request.head,
        code=request.code,
        seed=request.config.seeds[request.seed_index],
        paired=True,
        examples=len(request.examples),
        with_code=1,
        patterns=(),
        salient=(),
        held_out="task" if request.task else "examples",
        same_kind=nothing,
        contexts=nothing,
        together=nothing,
        frequent=rule,
        best_token=rule,
        passes=request.seed_index + 1,
        seconds=0.5,
        notices=(request.identity,),
        atlas_key=request.atlas.key if request.atlas else "",
        atlas_corpus=request.atlas.corpus if request.atlas else "",
        atlas_words=len(request.atlas.words) if request.atlas else 0,
    )
    return CodeExplained(job=request.job, model=model_ready().model, explanation=explanation)


def on_prompts_for(request: MeasureOnPrompts) -> OnPromptsMeasured:
    info = model_ready().model
    n = sum(each.positive for each in request.examples)
    return OnPromptsMeasured(job=request.job, model=info, prompts=n, nodes=made_prompts(info))


def patched(edges: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> EdgesPatched:
    """Effects of these edges, each half of the one before."""
    found = [
        EdgeEffect(source=source, target=target, effect=-1 / 2**place) for place, (source, target) in enumerate(edges)
    ]
    return EdgesPatched(
        metric="logit_difference",
        replacement="pair",
        base=4.0,
        n_examples=2,
        edges=tuple(found),
        passes=1.0,
    )


def effects(heads: tuple[tuple[int, int], ...], *, final: bool) -> EffectsMeasured:
    return EffectsMeasured(
        method="exact",
        metric="logit_difference",
        replacement="pair",
        base=4.0,
        n_examples=2,
        position="mean",
        effects=tuple(
            NodeEffect(layer=layer, head=number, effect=-0.5 * number, error=0.1) for layer, number in sorted(heads)
        ),
        passes=3.0,
        final=final,
    )


class Worker:
    def __init__(self) -> None:
        self.jobs: queue.Queue[RunProbe | MeasureEffects | None] = queue.Queue()
        self.cancelled: set[str] = set()
        self.waiting: set[str] = set()
        """Grading requests that are answered only when they are cancelled."""
        self.word = threading.Event()
        self.tokens_read: dict[str, int] = {}
        """Tokens by atlas."""

    def read(self) -> None:
        for line in sys.stdin.buffer:
            request = msgspec.json.decode(line, type=AnyWorkerRequest)
            match request:
                case RunProbe() | MeasureEffects():
                    self.jobs.put(request)
                case GradePrompts():
                    self.grade(request)
                case InspectHead():
                    say(look_for(request))
                case MeasurePlaces():
                    say(places_for(request))
                case MeasureGrid():
                    say(grid_for(request))
                case MeasureThrough():
                    say(through_for(request))
                case AblateNodes():
                    say(ablated_for(request))
                case SteerModel():
                    say(steered_for(request))
                case InspectMlp():
                    say(mlp_for(request))
                case InspectNeuron():
                    say(neuron_for(request))
                case ExplainCode():
                    say(explained(request))
                case ReadAtlas():
                    say(self.atlas(request))
                case MeasureOnPrompts():
                    say(on_prompts_for(request))
                case MakeExamples():
                    say(ExamplesOf(job=request.job, examples=examples_of(request.task, request.pairs)))
                case CancelJob():
                    self.cancelled.add(request.job)
                    self.word.set()
                    if request.job in self.waiting:
                        self.waiting.discard(request.job)
                        say(JobFailed(job=request.job, failure=Cancelled().as_failure()))
                case Quit():
                    self.jobs.put(None)
        os._exit(0)

    def atlas(self, request: ReadAtlas) -> AtlasRead:
        """Read half of it in every request; the key is of model, corpus and tokens."""
        info, key = (
            model_ready().model,
            sha256(f"{request.model} {request.corpus} {request.tokens}".encode()).hexdigest(),
        )
        self.tokens_read[key] = min(self.tokens_read.get(key, 0) + request.tokens // 2, request.tokens)
        known = key in request.known
        done = request.tokens if known else self.tokens_read[key]
        finished = done == request.tokens
        atlas = made_atlas(info, corpus=request.corpus) if finished and not known else None
        return AtlasRead(
            job=request.job, model=info, key=key, done=done, total=request.tokens, finished=finished, atlas=atlas
        )

    def grade(self, request: GradePrompts) -> None:
        """Grade as the prompts ask.

        `die` ends the worker, `wait` leaves them ungraded until they are cancelled, others are graded at once; the
        reason says how many requests are waiting.
        """
        prompts = {each.prompt for each in request.examples}
        if "die" in prompts:
            os.kill(os.getpid(), signal.SIGKILL)
        if "wait" in prompts:
            self.waiting.add(request.job)
        else:
            say(grades_for(request, n_waiting=len(self.waiting)))

    def measure(self, request: MeasureEffects) -> None:
        """Measure effects of all or of the requested heads; with `kl`, wait after the first until stopped."""

        def tell(event: Event) -> None:
            say(JobEvent(job=request.job, event=event))

        heads = request.heads or request.ranking
        waits = request.config.metric == "kl"
        tell(StageStarted(stage="cause", total=len(heads), unit="measurements"))
        if request.edges:
            tell(patched(request.edges))
        else:
            tell(effects(heads[:1] if waits else heads, final=not waits))
        while waits and request.job not in self.cancelled:
            self.word.wait()
        if waits:
            say(JobFailed(job=request.job, failure=Cancelled().as_failure()))
            return
        tell(StageFinished(stage="cause", seconds=0.5))
        say(JobDone(job=request.job))

    def run(self, request: RunProbe) -> None:
        def tell(*events: Event) -> None:
            for event in events:
                say(JobEvent(job=request.job, event=event))

        what, _, number = request.model.partition(":")
        events = normal(request, int(number) if what == "many" else 5)
        half = 8
        match what:
            case "killed" | "segfault" | "terminated":
                tell(*events[:half], scores(1.5, final=False))
                kinds = {"killed": signal.SIGKILL, "segfault": signal.SIGSEGV, "terminated": signal.SIGTERM}
                os.kill(os.getpid(), kinds[what])
            case "exit":
                tell(*events[:half])
                os._exit(int(number))
            case "wait":
                tell(*events[:half])
                while request.job not in self.cancelled:
                    self.word.wait()
                say(JobFailed(job=request.job, failure=Cancelled().as_failure()))
                return
            case "hang":
                tell(*events[:half])
                threading.Event().wait()
            case "garbage":
                sys.stdout.buffer.write(b"Loading checkpoint shards: 100%\n\xff\xfe{{{\n")
                tell(*events)
            case "misspoken":
                tell(*events[:half])
                sys.stdout.buffer.write(b'{"word":"event","job":1}\n')
                sys.stdout.buffer.flush()
                threading.Event().wait()
            case "broken":
                failure = Failure(
                    family="input", name="ModelError", message="There is no model 'broken'.", hint="Try toy."
                )
                say(JobFailed(job=request.job, failure=failure))
                return
            case "outside":
                tell(*events[:half], ArrayReady(name="codes", file="../../stolen", shape=(3, 4, 6)))
                while request.job not in self.cancelled:
                    self.word.wait()
                say(JobFailed(job=request.job, failure=Cancelled().as_failure()))
                return
            case "heads":
                n_layers, n_heads = map(int, number.split("x"))
                tell(*normal(request, 50, n_layers=n_layers, n_heads=n_heads))
            case "large":
                tell(
                    *events[:half], *(scores(float(i), final=False, n_layers=30, n_heads=9) for i in range(int(number)))
                )
                tell(*events[half:])
            case _:
                tell(*events)
        say(JobDone(job=request.job))


def main() -> None:
    worker = Worker()
    threading.Thread(target=worker.read, daemon=True).start()
    print("scripted worker begins", file=sys.stderr, flush=True)
    say(WorkerReady(pid=os.getpid(), device="cpu"))
    while (request := worker.jobs.get()) is not None:
        if isinstance(request, MeasureEffects):
            worker.measure(request)
        else:
            worker.run(request)


if __name__ == "__main__":
    main()
