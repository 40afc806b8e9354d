"""Requests that change, generate and grade examples."""

from typing import Literal

from engine.config import LoadOptions
from engine.examples import Example
from engine.results import Grade, ModelInfo, PromptTokens
from sessions.protocol.base import Message, Request
from sessions.rows import SessionRow


class SetExamples(Request, tag="set_examples", frozen=True, kw_only=True):
    """Set a new version of the session's examples, drafts included. Answered by SessionAnswer."""

    session: str
    examples: tuple[Example, ...]
    over: str | None = None
    """Content hash of the set that was edited; refused if another is current. None: replace any set."""


class StepExamples(Request, tag="step_examples", frozen=True, kw_only=True):
    """Undo (-1) or redo (1) a change of the session's examples. Answered by SessionAnswer."""

    session: str
    by: Literal[-1, 1]


class GetExamples(Request, tag="get_examples", frozen=True, kw_only=True):
    """Return the session's current examples. Answered by ExampleSet."""

    session: str


class ExampleSet(Message, tag="example_set", frozen=True, kw_only=True):
    """The session's current examples, drafts included."""

    session: SessionRow
    version: int
    """Counted from 1; 0 if there is none."""
    content_hash: str
    examples: tuple[Example, ...]


class MakeTaskExamples(LoadOptions, Request, tag="make_examples", frozen=True, kw_only=True):
    """Generate the examples of a built-in task for the session's model or another.

    Nothing is recorded. Answered by TaskExamplesMade.
    """

    session: str
    task: str
    pairs: int = 0
    """0: as many as a run needs (engine.sample_size), of pairs that the model answers correctly."""
    task_seed: int = 0
    model: str = ""
    """The model whose tokens the examples are made for; empty: the session's model."""
    usable: bool = False
    """Only pairs that the model answers correctly, which means that the model is run."""


class TaskExamplesMade(Message, tag="made", frozen=True, kw_only=True):
    """The generated examples."""

    examples: tuple[Example, ...]


class GradeExamples(LoadOptions, Request, tag="grade_examples", frozen=True, kw_only=True):
    """Grade examples with the session's model or another.

    Nothing is recorded. Answered by Grades, concurrently with other requests.

    A newer request with the same `desk` replaces this one, which is then refused as Cancelled.
    """

    session: str
    examples: tuple[Example, ...]
    position: str = "mean"
    """The position policy that marks the tokens that are read."""
    desk: str = ""
    """A channel name that the requester chooses; empty: no request is replaced."""
    model: str = ""
    """The model that grades: the next run's, where it is not the session's; empty: the session's."""


class Grades(Message, tag="grades", frozen=True, kw_only=True):
    """Grades and tokens of the examples of GradeExamples, in the same order; `equal_length` is not set."""

    model: ModelInfo
    grades: tuple[Grade, ...]
    tokens: tuple[PromptTokens, ...]
