"""Requests about what the codes of a run answer to."""

from engine.code_families import CodesComparison, FamilyTree
from engine.explanations import CodeExplanation
from engine.results import ModelInfo
from sessions.protocol.base import Message, Request
from sessions.rows import RunRow


class GetExplanation(Request, tag="explanation", frozen=True, kw_only=True):
    """Return what a code answers to: as it was recorded, else computed with the model and recorded.

    Answered by Explained, concurrently with other requests.
    """

    run: str
    node: str
    """9.6, m8 or emb."""
    code: int
    seed: int | None = None
    """None: the run's first."""
    again: bool = False
    """Compute it although it was recorded."""


class Explained(Message, tag="explained", frozen=True, kw_only=True):
    """What the code answers to."""

    run: RunRow
    model: ModelInfo
    explanation: CodeExplanation
    recorded: bool
    """True if it was recorded before and nothing was computed."""


class GetFamilies(Request, tag="families", frozen=True, kw_only=True):
    """Find the codes of a run that occur together. Needs no model; nothing is recorded. Answered by Families."""

    run: str
    seed: int | None = None
    """None: the run's first."""


class Families(Message, tag="families", frozen=True, kw_only=True):
    """The families of the run's codes."""

    run: RunRow
    model: ModelInfo
    tree: FamilyTree


class CompareCodes(Request, tag="compare_codes", frozen=True, kw_only=True):
    """Compare the codes of two runs on the prompts that both have, A first. Answered by CodesCompared."""

    a: str
    b: str


class CodesCompared(Message, tag="codes_compared", frozen=True, kw_only=True):
    """What changed from A to B."""

    comparison: CodesComparison
