"""Check whether an untrusted log can be a session's: numbers, times, runs, heads and sizes that a host could write."""

import math
import re
from collections.abc import Iterable

from engine.config import MAX_CODES, LoadOptions, ProbeConfig
from engine.events import (
    ArrayReady,
    CircuitChecked,
    EdgesAttributed,
    EdgesPatched,
    EdgesScored,
    EffectsMeasured,
    EngineEvent,
    ExamplesMade,
    Graded,
    ModelReady,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    TrainStep,
)
from engine.examples import MOST_PARTS, Example, content_hash
from engine.measures import MEASURES
from engine.nodes import NodeLayout
from engine.results import ModelInfo
from engine.steering import MAX_RANDOM
from engine.sweeps.plan import MAX_UNITS
from sessions.events import (
    FINAL_STATES,
    AnyEvent,
    ArrayStored,
    CircuitSaved,
    DrawingChanged,
    EffectsEnded,
    EffectsRequested,
    ExamplesSet,
    ExamplesStepped,
    ExplanationRecorded,
    NoteWritten,
    OptionsChosen,
    RunEnded,
    RunLabelled,
    RunQueued,
    RunStarted,
    RunVerified,
    SessionCreated,
    SessionImported,
    SessionRenamed,
    SteeringRecorded,
    SweepPlanned,
    TagsSet,
    VerificationEnded,
    VerificationProgress,
    VerificationRequested,
    ViewChanged,
)
from sessions.ids import is_id, name_trouble
from sessions.protocol.bundle_manifest import BundleLine

_OF_RUN = (
    RunStarted
    | RunEnded
    | ArrayStored
    | RunLabelled
    | ViewChanged
    | DrawingChanged
    | ExplanationRecorded
    | EffectsRequested
    | EffectsEnded
    | SteeringRecorded
    | VerificationRequested
    | VerificationProgress
    | VerificationEnded
    | RunVerified
)

MAX_NAME = 200
MAX_TEXT = 1_000_000
MAX_LAYERS = 1_000
MAX_HEADS = 1_000
MAX_PLACES = 100_000
MAX_RUNS = 100_000
_EARLIEST_US = 0
_LATEST_US = 253_370_764_800_000_000
"""1970 to the end of 9998: clocks can be wrong, and what was recorded then can still be exported."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[0-9a-f]{32}")
_MEASURES = frozenset(measure.id for measure in MEASURES)


class InvalidLog(Exception):
    """What is wrong with one line; the text follows "events.jsonl, line 7"."""


class RunFacts:
    """What the log has stated about a run so far."""

    def __init__(self, config: ProbeConfig) -> None:
        self.seeds = config.seeds
        self.model: ModelInfo | None = None
        self.n_examples = 0
        self.codes: tuple[int, ...] | None = None
        """The announced shape of its codes."""


class LogCheck:
    """Checks a log line by line. Raises InvalidLog."""

    def __init__(self) -> None:
        self.n_lines = 0
        self.runs: dict[str, RunFacts] = {}
        self.sae: dict[str, int] = {}
        """The sha256 of the weights that the log names, and their sizes in bytes."""
        self._sets: list[str] = []
        self._last: AnyEvent | None = None

    def line(self, line: BundleLine) -> None:
        self.n_lines += 1
        if line.seq != self.n_lines:
            raise InvalidLog(
                f"has the number {line.seq}, not {self.n_lines}: an entry is missing, repeated or out of order"
            )
        if not _EARLIEST_US <= line.at_us < _LATEST_US:
            raise InvalidLog(f"has an impossible time ({line.at_us} microseconds since 1970)")
        if isinstance(line.event, SessionCreated) != (self.n_lines == 1):
            raise InvalidLog("creates the session again" if self.n_lines > 1 else "does not begin a session")
        run = self._run(line)
        self._event(line.event, run)
        self._last = line.event

    def end(self) -> None:
        if self._last is None:
            raise InvalidLog("is not there: the log is empty")
        if isinstance(self._last, SessionImported):
            raise InvalidLog("ends the log with an import, which bundles never do")

    def _run(self, line: BundleLine) -> RunFacts | None:
        run_id, event = line.run_id, line.event
        if run_id is not None and not (is_id(run_id) and run_id[0] == "r"):
            raise InvalidLog(f"names a run {run_id[:40]!r}, which is not a valid run id")
        if isinstance(event, RunQueued):
            if run_id is None or run_id in self.runs:
                raise InvalidLog("queues a run without a name or for a second time")
            if len(self.runs) >= MAX_RUNS:
                raise InvalidLog(f"queues more than {MAX_RUNS} runs")
            self.runs[run_id] = RunFacts(event.config)
        if run_id is None:
            if isinstance(event, EngineEvent | _OF_RUN):
                raise InvalidLog(f"is a {event.__struct_config__.tag} without a run")
            return None
        if run_id not in self.runs:
            raise InvalidLog(f"belongs to the run {run_id}, which was never queued")
        return self.runs[run_id]

    def _event(self, event: AnyEvent, run: RunFacts | None) -> None:
        match event:
            case SessionCreated() | SessionRenamed():
                _check_text("name", event.name, MAX_NAME)
                if isinstance(event, SessionCreated):
                    _check_text("model", event.model, 1_000)
                    _check_int("pairs", event.pairs, 0, 1_000_000)
            case SessionImported():
                if event.name is not None:
                    _check_text("name", event.name, MAX_NAME)
                for text in (event.bundle_sha256, event.from_session, event.headcode):
                    _check_int("length of an origin", len(text), 0, MAX_NAME)
            case ExamplesSet():
                _check_examples(event.examples, event.content_hash)
                self._sets.append(event.content_hash)
            case ExamplesStepped():
                _check_int("version", event.version, 1, len(self._sets))
                if self._sets[event.version - 1] != event.content_hash:
                    raise InvalidLog(f"says that version {event.version} of the examples has another content")
            case TagsSet():
                _check_tags(event.tags)
            case RunLabelled():
                if event.name:
                    _check_run_name(event.name)
                _check_tags(event.tags)
            case NoteWritten():
                _check_text("note's id", event.note_id, MAX_NAME)
                _check_int("length of a note", len(event.text), 0, MAX_TEXT)
                _check_heads((event.head,) if event.head is not None else (), None)
            case CircuitSaved():
                _check_text("name", event.name, MAX_NAME)
                _check_int("length of a circuit's source", len(event.source), 0, MAX_TEXT)
                _check_heads(event.heads, None)
            case ViewChanged():
                if event.measure not in _MEASURES:
                    raise InvalidLog(f"views a measure {event.measure[:40]!r}, which does not exist")
                _check_int("cut", event.cut, 1, MAX_PLACES)
            case DrawingChanged():
                _check_drawing(event)
            case SteeringRecorded() if run is not None:
                _check_steering(event, run)
            case ArrayStored():
                if not _SHA256.fullmatch(event.sha256):
                    raise InvalidLog("stores an array without a checksum")
                _check_int("size of an array", event.n_bytes, 0, 1 << 40)
                self.sae[event.sha256] = event.n_bytes
            case OptionsChosen():
                _check_text("model", event.options.model, 1_000)
                _check_loading(event.options)
            case RunQueued():
                _check_text("model", event.model, 1_000)
                _check_loading(event)
                if event.unit and not _KEY.fullmatch(event.unit):
                    raise InvalidLog("queues a run of a unit whose key is not one")
            case SweepPlanned():
                _check_plan(event, self._sets)
            case RunEnded():
                if event.state not in FINAL_STATES:
                    raise InvalidLog(f"ends a run as {event.state}, which is not a final state")
            case _ if run is not None:
                _check_run_event(event, run)
            case _:
                pass


def _check_tags(tags: tuple[str, ...]) -> None:
    for tag in tags[:1_000]:
        _check_text("tag", tag, MAX_NAME)
    _check_int("number of tags", len(tags), 0, 1_000)


def _check_run_name(name: str) -> None:
    _check_text("name", name, MAX_NAME)
    if name_trouble(name):
        raise InvalidLog(f"names a run {name[:40]!r}, which could be taken for something else")


def _check_run_event(event: AnyEvent, run: RunFacts) -> None:
    match event:
        case ModelReady():
            model = event.model
            _check_int("number of layers", model.n_layers, 1, MAX_LAYERS)
            _check_int("number of heads", model.n_heads, 1, MAX_HEADS)
            _check_int("number of all heads", model.n_layers * model.n_heads, 1, MAX_PLACES)
            _check_text("model", model.name, 1_000)
            _check_text("model's identity", model.identity, 200)
            for size in (model.d_model, model.d_head, model.context, model.vocabulary):
                _check_int("size of the model", size, 0, 1 << 31)
            run.model = model
        case ExamplesMade():
            _check_examples(event.examples, event.content_hash)
            run.n_examples = len(event.examples)
        case ReferenceKnown():
            _check_heads(event.reference.heads, None)
        case Graded():
            for grade in event.grades:
                _check_int("graded example", grade.index, 0, max(0, run.n_examples - 1))
        case TrainStep():
            _check_int("step", event.step, 0, 1 << 31)
            _check_int("number of steps", event.total, 0, 1 << 31)
            _check_int("number of seeds", len(event.reconstruction), 0, len(run.seeds))
        case Scored():
            places = [(node.layer, node.head) for node in event.nodes]
            _check_heads(places, run)
            if len(set(places)) != len(places):
                raise InvalidLog("scores a head twice")
        case EdgesScored():
            _check_heads((place for edge in event.edges for place in (edge.source, edge.target)), run)
        case EdgesAttributed() | EdgesPatched():
            _check_heads((place for edge in event.edges for place in (edge.source, edge.target)), run)
            _check_int("number of examples", event.n_examples, 0, 1 << 31)
        case EffectsMeasured():
            _check_heads((*event.after, *((effect.layer, effect.head) for effect in event.effects)), run)
            _check_int("number of examples", event.n_examples, 0, 1 << 31)
            _check_int("length of a circuit's name", len(event.after_name), 0, MAX_NAME)
            _check_int("number of gradient steps", event.gradient_steps, 0, 1 << 31)
            for effect in event.effects:
                _check_int("time of an effect", effect.measured_us or 0, 0, _LATEST_US)
            _check_int("number of parts", len(event.parts), 0, MOST_PARTS)
            for part in event.parts:
                _check_int("number of examples", part.n_examples, 1, 1 << 31)
                _check_int("number of effects of a part", len(part.effects), len(event.effects), len(event.effects))
        case CircuitChecked():
            _check_text("name", event.name, MAX_NAME)
            _check_heads((*event.heads, *((effect.layer, effect.head) for effect in event.minimality)), run)
            _check_int("number of examples", event.n_examples, 0, 1 << 31)
            for point in event.curve:
                _check_int("size of a circuit", point.size, 0, MAX_PLACES)
        case ArrayReady():
            _check_shape(event, run)
        case ProbeFinished():
            _check_heads((*event.circuit, *event.circuit_softmax), run)
        case ExplanationRecorded():
            _check_explanation(event, run)
        case _:
            pass


def _check_steering(event: SteeringRecorded, run: RunFacts) -> None:
    plan, result = event.plan, event.result
    if run.model is None:
        raise InvalidLog("steers a model that was never loaded")
    every = NodeLayout(n_layers=run.model.n_layers, n_heads=run.model.n_heads, choice="all")
    if not all(node in every for node in plan.nodes):
        raise InvalidLog("steers a node that the run's model does not have")
    _check_int("code", plan.code, 0, MAX_CODES)
    for text in (plan.text, result.prompt, *plan.toward, *plan.away):
        _check_int("length of a text", len(text), 0, MAX_TEXT)
    _check_int("number of tokens", len(result.tokens), 0, MAX_PLACES)
    for place in result.steered:
        _check_int("steered position", place, 0, max(0, len(result.tokens) - 1))
    numbers = [result.unit, result.kl, result.base, result.seconds]
    for point in result.points:
        _check_int("number of random directions", len(point.random), 0, MAX_RANDOM)
        numbers += [point.strength, point.effect, point.error or 0.0, *point.random]
    if not all(map(math.isfinite, numbers)):
        raise InvalidLog("steers by a number that is not finite")


def _check_explanation(event: ExplanationRecorded, run: RunFacts) -> None:
    found = event.explanation
    _check_heads(((found.layer, found.head),), run)
    _check_int("number of examples", found.examples, 0, MAX_PLACES)
    _check_int("code", found.code, 0, 1 << 31)
    if found.atlas_key and not _SHA256.fullmatch(found.atlas_key):
        raise InvalidLog("explains with an atlas whose key is not one")
    _check_int("length of a corpus's name", len(found.atlas_corpus), 0, 4_096)
    if found.seed not in run.seeds:
        raise InvalidLog(f"explains a code of the seed {str(found.seed)[:40]}, which the run does not have")
    for pattern in found.patterns:
        for place in pattern.places:
            for word in (place.own, place.other):
                _check_int("word of a pattern", word or 0, 0, max(0, len(pattern.words) - 1))


def _check_drawing(event: DrawingChanged) -> None:
    _check_int("number of edges", event.most, 1, MAX_PLACES)
    if not 0 <= event.least <= 1:
        raise InvalidLog(f"draws edges from {str(event.least)[:40]} of the strongest; allowed are 0 to 1")
    _check_int("number of groups", len(event.groups), 0, MAX_HEADS)
    for group in event.groups:
        _check_text("name", group.name, MAX_NAME)
        _check_int("number of nodes in a group", len(group.nodes), 1, MAX_PLACES)
    members = [node for group in event.groups for node in group.nodes]
    if len(set(members)) < len(members):
        raise InvalidLog("draws a node in two groups")
    if len({group.name for group in event.groups}) < len(event.groups):
        raise InvalidLog("draws two groups of the same name")
    _check_heads((*event.pinned, *members), None)


def _check_plan(event: SweepPlanned, sets: list[str]) -> None:
    plan = event.plan
    if not (is_id(event.sweep_id) and event.sweep_id[0] == "w"):
        raise InvalidLog(f"plans a sweep {event.sweep_id[:40]!r}, which is not a valid id")
    _check_text("sweep's name", plan.name, MAX_NAME)
    _check_int("number of units", len(plan.units), 1, MAX_UNITS)
    _check_int("number of sources", len(plan.sources), 1, 1)
    (source,) = plan.sources
    _check_text("source's label", source.label, 1_000)
    _check_int("number of pairs", source.pairs, 0, 1_000_000)
    if source.examples or (source.content_hash and source.content_hash not in sets):
        raise InvalidLog("plans units of examples that the session does not have")
    for options in plan.options:
        _check_loading(options)
    for unit in plan.units:
        if not _KEY.fullmatch(unit.key):
            raise InvalidLog("plans a unit whose key is not one")
        _check_text("model", unit.model, 1_000)
        _check_int("source of a unit", unit.source, 0, 0)
        _check_int("options of a unit", unit.options, 0, len(plan.options) - 1)
        _check_int("draw", unit.draw, 0, 2**31)
        _check_int("number of labels", len(unit.labels), 1, 100)
        for label in unit.labels:
            for text in label:
                _check_text("label", text, 1_000)


def _check_shape(event: ArrayReady, run: RunFacts) -> None:
    _check_int("number of an array's dimensions", len(event.shape), 1, 8)
    for side in event.shape:
        _check_int("size of an array's dimension", side, 1, 1 << 31)
    if event.name != "codes":
        return
    nodes = run.model.layout.n_nodes if run.model is not None else 0
    if len(event.shape) != 3 or event.shape[0] != len(run.seeds) or event.shape[2] != nodes:
        raise InvalidLog(
            f"announces codes of the shape {list(event.shape)}; the run has {len(run.seeds)} seeds and {nodes} nodes"
        )
    run.codes = event.shape


def _check_examples(examples: tuple[Example, ...], name: str) -> None:
    # All sessions share example sets by this hash: a wrong one would put these prompts into other sessions' runs.
    if content_hash(examples) != name:
        raise InvalidLog(f"names its examples {name[:40]!r}, which is not their hash")
    for example in examples:
        _check_int("number of a pair", example.pair or 0, -(2**63), 2**63 - 1)


def _check_heads(places: Iterable[tuple[int, int]], run: RunFacts | None) -> None:
    """Check layer and head of each, against the run's model if there is a run."""
    model = run.model if run is not None else None
    if run is not None and model is None:
        raise InvalidLog("scores heads of a model that was never loaded")
    layout = NodeLayout(n_layers=MAX_LAYERS, n_heads=MAX_HEADS, choice="all") if model is None else model.layout
    for place in places:
        if place not in layout:
            raise InvalidLog(
                f"names the node {place[0]}.{place[1]}; layers are 0-{layout.n_layers - 1}, heads 0-"
                f"{layout.n_heads - 1}" + (", or an MLP or the embedding" if layout.choice == "all" else "")
            )


def _check_int(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidLog(f"has a {what} of {str(value)[:40]}; allowed are {least} to {most}")


def _check_loading(options: LoadOptions) -> None:
    _check_text("device", options.device, MAX_NAME)
    _check_text("device map", options.device_map or "-", MAX_TEXT)
    _check_text("memory limit", options.max_memory or "-", MAX_NAME)
    _check_int("number of devices", options.devices or 1, 1, 1_000)


def _check_text(what: str, value: str, most: int) -> None:
    if not value.strip() or len(value) > most:
        raise InvalidLog(f"has a {what} of {len(value)} characters; allowed are 1 to {most}")
