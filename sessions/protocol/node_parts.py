"""Requests that look inside a node of a run: its effect position by position."""

from engine.config import EffectsConfig
from engine.node_parts import MeasuredHow, PromptPlaces
from engine.results import ModelInfo
from sessions.protocol.base import Message, Request
from sessions.rows import RunRow


class GetPlaces(Request, tag="places", frozen=True, kw_only=True):
    """Measure the exact effect of one node of a run at every position of its prompts alone.

    Nothing is recorded. Answered by Places, concurrently with other requests.
    """

    run: str
    node: str
    """9.6, m8 or emb; also of a run with heads only."""
    config: EffectsConfig = EffectsConfig(method="exact")
    """Metric, replacement and number of examples; the rest does not apply."""


class Places(Message, tag="places", frozen=True, kw_only=True):
    """The node's effect at every position of every prompt that it was measured on."""

    run: RunRow
    model: ModelInfo
    how: MeasuredHow
    prompts: tuple[PromptPlaces, ...]
