"""What is measured inside nodes for the screens: answers that are kept, and the request under way."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from engine.config import EffectsConfig
from engine.errors import Failure
from engine.examples import Example
from engine.nodes import NodeId
from sessions.protocol import AnyRequest, GetMlp, GetPlaces, GetSpecificity, GetThrough, Places
from tui.state.run import SessionRun

Clock = Callable[[], float]
T = TypeVar("T")
_KEPT = 4000
EXAMPLES = 16
"""Positives that nodes are measured on for a screen: an answer that takes a second is wanted."""
EXACT_AT_ONCE = 8
"""Neurons whose exact effects are measured together: the selected one and those after it."""


class NodeParts:
    """Answers by request, and what is being asked. One request at a time is under way: the worker answers in order."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.answers: dict[AnyRequest, Any] = {}
        self.asking: AnyRequest | None = None
        self._since = 0.0
        self._clock = clock

    def prepared(self, run: str) -> bool:
        """Return True if a node of this run was measured on all prompts: the worker has prepared them."""
        return any(
            isinstance(asked, GetPlaces) and asked.run == run and asked.example is None and isinstance(found, Places)
            for asked, found in self.answers.items()
        )

    def get(self, request: AnyRequest | None, want: type[T]) -> T | Failure | None:
        """Return the answer or why there is none; None before it came."""
        found = self.answers.get(request) if request is not None else None
        return found if isinstance(found, want | Failure) else None

    def begin(self, request: AnyRequest) -> None:
        self.asking, self._since = request, self._clock()

    def end(self, request: AnyRequest, answer: object) -> None:
        """Keep the answer; the oldest one is dropped if there are too many."""
        self.asking = None
        while len(self.answers) >= _KEPT:
            del self.answers[next(iter(self.answers))]
        self.answers[request] = answer

    def seconds(self, request: AnyRequest | None) -> float | None:
        """Return how long the request has been under way; None if it is not."""
        return self._clock() - self._since if request is not None and request == self.asking else None

    def format_wait(self, request: AnyRequest | None, what: str) -> str:
        """Format that something is being measured, and for how long."""
        seconds = self.seconds(request)
        if seconds is None:
            return f"{what}: soon"
        return f"{what} … {seconds:.1f} s" + ("; the first look into a run takes longer" if seconds > 1 else "")

    def forget_failures(self) -> None:
        """Drop failures, so that they are asked again."""
        self.answers = {asked: found for asked, found in self.answers.items() if not isinstance(found, Failure)}

    def forget(self) -> None:
        self.answers.clear()


def parts_config(run: SessionRun, examples: int = EXAMPLES) -> EffectsConfig:
    """Return how effects inside nodes are measured: metric and replacement as in the run, at most so many positives."""
    how = run.config.cause
    return EffectsConfig(
        method="exact", metric=how.metric, replacement=how.replacement, examples=min(examples, how.examples)
    )


def specificity_request(run: SessionRun) -> GetSpecificity:
    """Return the request for what tasks lose without the run's circuit, measured as its effects are."""
    return GetSpecificity(run=run.run_id, config=parts_config(run, run.config.cause.examples))


def places_request(run: SessionRun | None, node: NodeId) -> GetPlaces | None:
    """Return the request for the node's effects position by position; None without a run."""
    return None if run is None else GetPlaces(run=run.run_id, node=str(node), config=parts_config(run))


def first_places(request: GetPlaces | None, examples: Sequence[Example], example: int) -> GetPlaces | None:
    """Return the same request for this example's pair alone, a fraction of the work; None without a pair."""
    pair = examples[example].pair if example < len(examples) else None
    usual = request is not None and request.config.replacement in ("auto", "pair")
    if request is None or pair is None or not usual:
        return None
    sides = {each.positive for each in examples if each.pair == pair}
    return msgspec.structs.replace(request, example=example) if len(sides) > 1 else None


def through_requests(run: SessionRun | None, node: NodeId, n_layers: int) -> list[GetThrough]:
    """Return the requests for the node's effects through later nodes, layer by layer; none without a run."""
    if run is None:
        return []
    config = parts_config(run)
    layers = range(max(node.layer, 0), n_layers)
    return [GetThrough(run=run.run_id, node=str(node), layers=(layer,), config=config) for layer in layers]


def mlp_request(run: SessionRun | None, node: NodeId, example: int) -> GetMlp | None:
    """Return the request for the MLP's neurons, with their activations on this example."""
    if run is None or node.kind != "mlp":
        return None
    return GetMlp(run=run.run_id, layer=node.layer, example=example, config=parts_config(run))


def exact_request(asked: GetMlp, neurons: tuple[int, ...]) -> GetMlp:
    """Return the request for the exact effects of some of its neurons."""
    return msgspec.structs.replace(asked, neurons=neurons)
