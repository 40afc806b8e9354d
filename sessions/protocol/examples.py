"""Examples: changed, made, graded."""

from typing import Literal

from engine.examples import Example
from engine.results import Grade, ModelInfo, PromptTokens
from sessions.protocol.base import Message, Request
from sessions.rows import SessionRow


class SetExamples(Request, tag="set_examples", frozen=True, kw_only=True):
    """A new version of the session's examples, drafts included. Answered by SessionRow."""

    session: str
    examples: tuple[Example, ...]
    over: str | None = None
    """Content hash of the set the change was made on; refused where another is current. None: whatever there is."""


class StepExamples(Request, tag="step_examples", frozen=True, kw_only=True):
    """Undo (-1) or redo (1) of the session's examples. Answered by SessionRow."""

    session: str
    by: Literal[-1, 1]


class GetExamples(Request, tag="get_examples", frozen=True, kw_only=True):
    """Answered by ExampleSet."""

    session: str


class ExampleSet(Message, tag="example_set", frozen=True, kw_only=True):
    """The session's current examples, drafts included."""

    session: SessionRow
    version: int
    """Counted from 1; 0 while there is none."""
    content_hash: str
    examples: tuple[Example, ...]


class MakeTaskExamples(Request, tag="make_examples", frozen=True, kw_only=True):
    """The examples of a ready-made task, for the session's model or another. Recorded nowhere. Answered by
    TaskExamplesMade."""

    session: str
    task: str
    pairs: int = 0
    """0: as many as a run needs (engine.sample_size), of pairs the model can do."""
    task_seed: int = 0
    model: str = ""
    """Whose tokens the examples are made for; empty: the session's model."""
    device: str = "auto"
    trust_remote_code: bool = False
    usable: bool = False
    """Only pairs the model can do: it is asked."""


class TaskExamplesMade(Message, tag="made", frozen=True, kw_only=True):
    examples: tuple[Example, ...]


class GradeExamples(Request, tag="grade_examples", frozen=True, kw_only=True):
    """What the session's model, or another, makes of these examples. Recorded nowhere. Answered by Grades, beside
    other requests.

    A newer request of the same desk ends this one: it is refused as Cancelled.
    """

    session: str
    examples: tuple[Example, ...]
    position: str = "mean"
    """The policy by which tokens are marked as read."""
    desk: str = ""
    """Who asks, in a name of their own; empty: nobody's request is replaced."""
    model: str = ""
    """Who grades: the model of the next run, where that is not the session's; empty: the session's."""
    device: str = "auto"
    trust_remote_code: bool = False


class Grades(Message, tag="grades", frozen=True, kw_only=True):
    """Grades and tokens of the examples of GradeExamples, in their order; `equal_length` is left open."""

    model: ModelInfo
    grades: tuple[Grade, ...]
    tokens: tuple[PromptTokens, ...]
