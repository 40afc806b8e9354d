"""Messages of a fetch or an import: JSON lines on its stdout, read by the process that started it."""

from typing import Literal

import msgspec

from engine.errors import Failure

FetchStage = Literal["look", "download", "check", "unpack", "convert", "copy"]


class FetchMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """The base of all messages."""


class FetchStarted(FetchMessage, frozen=True, tag="stage", kw_only=True):
    """A stage began."""

    stage: FetchStage
    total: int
    """Units of work; 0 if unknown."""
    unit: str
    """bytes | tensors"""


class FetchProgress(FetchMessage, frozen=True, tag="progress", kw_only=True):
    """Progress within the stage."""

    done: int


class FetchNote(FetchMessage, frozen=True, tag="note", kw_only=True):
    """Something the user should know."""

    message: str


class FetchDone(FetchMessage, frozen=True, tag="done", kw_only=True):
    """The model is in place."""

    name: str
    """The name that --model accepts from now on."""
    path: str
    already: bool
    """True if the model was there before."""


class FetchFailed(FetchMessage, frozen=True, tag="failed", kw_only=True):
    """The fetch failed."""

    failure: Failure


AnyFetchMessage = FetchStarted | FetchProgress | FetchNote | FetchDone | FetchFailed
