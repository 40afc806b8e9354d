"""Requests for atlases: a model's heads and MLPs on ordinary text, and the same numbers on the prompts of a run."""

from engine.config import EffectsConfig, LoadOptions
from engine.node_atlas import Atlas, PromptNode
from engine.results import ModelInfo
from sessions.protocol.base import Message, Request
from sessions.rows import AtlasRow, RunRow


class ReadOn(LoadOptions, Request, tag="read_on", frozen=True, kw_only=True):
    """Read on in an atlas for some seconds; asked again and again until it is finished, which stores it.

    Answered by AtlasProgress, concurrently with other requests. Whoever stops asking stops the reading; asking again
    goes on from there.
    """

    model: str = ""
    run: str = ""
    """In place of a model: that of this run, as it was loaded."""
    corpus: str = ""
    """Name of a bundled corpus, or absolute path of a file; empty: the bundled one that suits the model."""
    tokens: int
    after: int = 0
    """Tokens that are known to be read: requests that differ in it are kept apart by clients."""


class AtlasProgress(Message, tag="atlas_progress", frozen=True, kw_only=True):
    """How far an atlas is read."""

    model: ModelInfo
    key: str
    done: int
    """Tokens."""
    total: int
    finished: bool


class ListAtlases(Request, tag="list_atlases", frozen=True, kw_only=True):
    """List the stored atlases, the newest first. Answered by AtlasesAnswer."""


class AtlasesAnswer(Message, tag="atlases", frozen=True, kw_only=True):
    """The stored atlases."""

    atlases: tuple[AtlasRow, ...]


class GetAtlas(Request, tag="get_atlas", frozen=True, kw_only=True):
    """Return a stored atlas: the newest one that matches. Answered by AtlasAnswer."""

    atlas: str
    """Its key or a beginning of it, a model's identity, or a model's name."""


class AtlasAnswer(Message, tag="atlas", frozen=True, kw_only=True):
    """A stored atlas."""

    row: AtlasRow
    atlas: Atlas


class DeleteAtlas(Request, tag="delete_atlas", frozen=True, kw_only=True):
    """Delete a stored atlas. Answered by AtlasesAnswer with the one that is deleted."""

    atlas: str
    """As in GetAtlas."""


class GetOnPrompts(Request, tag="on_prompts", frozen=True, kw_only=True):
    """Measure a run's heads and MLPs on its positives by the atlas's metrics.

    Nothing is recorded. Answered by OnPrompts, concurrently with other requests.
    """

    run: str
    config: EffectsConfig = EffectsConfig(method="exact")
    """Of this, only the number of examples applies."""


class OnPrompts(Message, tag="on_prompts", frozen=True, kw_only=True):
    """A run's heads and MLPs on its positives."""

    run: RunRow
    model: ModelInfo
    prompts: int
    nodes: tuple[PromptNode, ...]
