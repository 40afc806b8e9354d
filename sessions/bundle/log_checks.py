"""Whether a stranger's log can be a session's: numbers, times, runs, places and sizes that our own host would write."""

import re
from collections.abc import Iterable

from engine.config import ProbeConfig
from engine.events import (
    ArrayReady,
    CircuitChecked,
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
from engine.examples import Example, content_hash
from engine.measures import MEASURES
from engine.results import ModelInfo
from sessions.events import (
    FINAL_STATES,
    AnyEvent,
    ArrayKept,
    CircuitKept,
    ExamplesSet,
    ExamplesStepped,
    LookChanged,
    NoteWritten,
    OptionsChosen,
    RunEnded,
    RunQueued,
    RunStarted,
    RunVerified,
    SessionCreated,
    SessionImported,
    SessionRenamed,
    TagsSet,
)
from sessions.ids import is_id
from sessions.protocol.bundle_manifest import Line

MAX_NAME = 200
MAX_TEXT = 1_000_000
MAX_LAYERS = 1_000
MAX_HEADS = 1_000
MAX_PLACES = 100_000
MAX_RUNS = 100_000
_EARLIEST_US = 0
_LATEST_US = 253_370_764_800_000_000
"""1970 to the end of 9998: a machine may believe in any of these days, and what was recorded there can be exported."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEASURES = frozenset(measure.id for measure in MEASURES)


class Wrong(Exception):
    """What is wrong with one line, in words that follow "events.jsonl, line 7"."""


class RunFacts:
    """What the log has said of a run so far."""

    def __init__(self, config: ProbeConfig) -> None:
        self.seeds = config.seeds
        self.model: ModelInfo | None = None
        self.n_examples = 0
        self.codes: tuple[int, ...] | None = None
        """The shape its codes are said to have."""


class LogCheck:
    """Follows a log line by line. Raises Wrong."""

    def __init__(self) -> None:
        self.n_lines = 0
        self.runs: dict[str, RunFacts] = {}
        self.sae: dict[str, int] = {}
        """sha256 of weights the log speaks of, and their bytes."""
        self._sets: list[str] = []
        self._last: AnyEvent | None = None

    def line(self, line: Line) -> None:
        self.n_lines += 1
        if line.seq != self.n_lines:
            raise Wrong(f"has the number {line.seq}, not {self.n_lines}: an entry is missing, doubled or out of order")
        if not _EARLIEST_US <= line.at_us < _LATEST_US:
            raise Wrong(f"has a time that cannot be ({line.at_us} microseconds since 1970)")
        if isinstance(line.event, SessionCreated) != (self.n_lines == 1):
            raise Wrong("makes the session anew" if self.n_lines > 1 else "does not begin a session")
        run = self._run(line)
        self._event(line.event, run)
        self._last = line.event

    def end(self) -> None:
        if self._last is None:
            raise Wrong("is not there: the log is empty")
        if isinstance(self._last, SessionImported):
            raise Wrong("ends the log with an import, which no bundle does")

    def _run(self, line: Line) -> RunFacts | None:
        run_id, event = line.run_id, line.event
        if run_id is not None and not (is_id(run_id) and run_id[0] == "r"):
            raise Wrong(f"names a run {run_id[:40]!r}, which is no run's id")
        if isinstance(event, RunQueued):
            if run_id is None or run_id in self.runs:
                raise Wrong("queues a run that has no name or is there already")
            if len(self.runs) >= MAX_RUNS:
                raise Wrong(f"queues more than {MAX_RUNS} runs")
            self.runs[run_id] = RunFacts(event.config)
        if run_id is None:
            needs_run = EngineEvent | RunStarted | RunEnded | ArrayKept | LookChanged | RunVerified
            if isinstance(event, needs_run):
                raise Wrong(f"is a {event.__struct_config__.tag} of no run")
            return None
        if run_id not in self.runs:
            raise Wrong(f"is of the run {run_id}, which was never asked for")
        return self.runs[run_id]

    def _event(self, event: AnyEvent, run: RunFacts | None) -> None:
        match event:
            case SessionCreated() | SessionRenamed():
                _text("name", event.name, MAX_NAME)
                if isinstance(event, SessionCreated):
                    _text("model", event.model, 1_000)
                    _whole("pairs", event.pairs, 0, 1_000_000)
            case SessionImported():
                if event.name is not None:
                    _text("name", event.name, MAX_NAME)
                for told in (event.bundle_sha256, event.from_session, event.headcode):
                    _whole("length of an origin", len(told), 0, MAX_NAME)
            case ExamplesSet():
                _examples(event.examples, event.content_hash)
                self._sets.append(event.content_hash)
            case ExamplesStepped():
                _whole("version", event.version, 1, len(self._sets))
                if self._sets[event.version - 1] != event.content_hash:
                    raise Wrong(f"says that version {event.version} of the examples is another one")
            case TagsSet():
                for tag in event.tags[:1_000]:
                    _text("tag", tag, MAX_NAME)
                _whole("number of tags", len(event.tags), 0, 1_000)
            case NoteWritten():
                _text("note's id", event.note_id, MAX_NAME)
                _whole("length of a note", len(event.text), 0, MAX_TEXT)
                _places((event.head,) if event.head is not None else (), None)
            case CircuitKept():
                _text("name", event.name, MAX_NAME)
                _whole("length of a circuit's source", len(event.source), 0, MAX_TEXT)
                _places(event.heads, None)
            case LookChanged():
                if event.measure not in _MEASURES:
                    raise Wrong(f"looks at a measure {event.measure[:40]!r}, which there is not")
                _whole("cut", event.cut, 1, MAX_PLACES)
            case ArrayKept():
                if not _SHA256.fullmatch(event.sha256):
                    raise Wrong("keeps an array without a checksum")
                _whole("size of an array", event.n_bytes, 0, 1 << 40)
                self.sae[event.sha256] = event.n_bytes
            case OptionsChosen():
                _text("model", event.options.model, 1_000)
                _text("device", event.options.device, MAX_NAME)
            case RunQueued():
                _text("model", event.model, 1_000)
            case RunEnded():
                if event.state not in FINAL_STATES:
                    raise Wrong(f"ends a run as {event.state}, which is no end")
            case _ if run is not None:
                _of_run(event, run)
            case _:
                pass


def _of_run(event: AnyEvent, run: RunFacts) -> None:
    match event:
        case ModelReady():
            model = event.model
            _whole("number of layers", model.n_layers, 1, MAX_LAYERS)
            _whole("number of heads", model.n_heads, 1, MAX_HEADS)
            _whole("number of all heads", model.n_layers * model.n_heads, 1, MAX_PLACES)
            _text("model", model.name, 1_000)
            _text("model's identity", model.identity, 200)
            for size in (model.d_model, model.d_head, model.context, model.vocabulary):
                _whole("size of the model", size, 0, 1 << 31)
            run.model = model
        case ExamplesMade():
            _examples(event.examples, event.content_hash)
            run.n_examples = len(event.examples)
        case ReferenceKnown():
            _places(event.reference.heads, None)
        case Graded():
            for grade in event.grades:
                _whole("graded example", grade.index, 0, max(0, run.n_examples - 1))
        case TrainStep():
            _whole("step", event.step, 0, 1 << 31)
            _whole("number of steps", event.total, 0, 1 << 31)
            _whole("number of seeds", len(event.reconstruction), 0, len(run.seeds))
        case Scored():
            places = [(node.layer, node.head) for node in event.nodes]
            _places(places, run)
            if len(set(places)) != len(places):
                raise Wrong("scores a head twice")
        case EdgesScored():
            _places((place for edge in event.edges for place in (edge.source, edge.target)), run)
        case EffectsMeasured():
            _places((*event.after, *((effect.layer, effect.head) for effect in event.effects)), run)
            _whole("number of examples", event.n_examples, 0, 1 << 31)
            _whole("length of a circuit's name", len(event.after_name), 0, MAX_NAME)
            _whole("number of gradient steps", event.gradient_steps, 0, 1 << 31)
            for effect in event.effects:
                _whole("time of an effect", effect.measured_us or 0, 0, _LATEST_US)
        case CircuitChecked():
            _text("name", event.name, MAX_NAME)
            _places((*event.heads, *((effect.layer, effect.head) for effect in event.minimality)), run)
            _whole("number of examples", event.n_examples, 0, 1 << 31)
            for point in event.curve:
                _whole("size of a circuit", point.size, 0, MAX_PLACES)
        case ArrayReady():
            _shape(event, run)
        case ProbeFinished():
            _places((*event.circuit, *event.circuit_softmax), run)
        case _:
            pass


def _shape(event: ArrayReady, run: RunFacts) -> None:
    _whole("number of an array's sides", len(event.shape), 1, 8)
    for side in event.shape:
        _whole("side of an array", side, 1, 1 << 31)
    if event.name != "codes":
        return
    heads = run.model.n_layers * run.model.n_heads if run.model is not None else 0
    if len(event.shape) != 3 or event.shape[0] != len(run.seeds) or event.shape[2] != heads:
        raise Wrong(
            f"announces codes of the shape {list(event.shape)}; the run has {len(run.seeds)} seeds and {heads} heads"
        )
    run.codes = event.shape


def _examples(examples: tuple[Example, ...], name: str) -> None:
    # Sets are kept by this name for all sessions together: a wrong one would put prompts into somebody else's runs.
    if content_hash(examples) != name:
        raise Wrong(f"calls its examples {name[:40]!r}, which is not what they are")
    for example in examples:
        _whole("number of a pair", example.pair or 0, -(2**63), 2**63 - 1)


def _places(places: Iterable[tuple[int, int]], run: RunFacts | None) -> None:
    """Layer and head of each, within the run's model where there is a run."""
    model = run.model if run is not None else None
    if run is not None and model is None:
        raise Wrong("scores heads of a model that was never loaded")
    n_layers, n_heads = (model.n_layers, model.n_heads) if model is not None else (MAX_LAYERS, MAX_HEADS)
    for layer, head in places:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise Wrong(f"names the head {layer}.{head}; layers are 0-{n_layers - 1}, heads 0-{n_heads - 1}")


def _whole(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise Wrong(f"has a {what} of {str(value)[:40]}; {least} to {most} can be")


def _text(what: str, value: str, most: int) -> None:
    if not value.strip() or len(value) > most:
        raise Wrong(f"has a {what} of {len(value)} characters; 1 to {most} can be")
