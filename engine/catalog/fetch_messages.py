"""What a fetch or an import says while it works: JSON lines on its stdout, read by whoever started it."""

from typing import Literal

import msgspec

from engine.errors import Failure

FetchStage = Literal["look", "download", "check", "unpack", "convert", "copy"]


class FetchMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """The root of what is said."""


class FetchStarted(FetchMessage, frozen=True, tag="stage", kw_only=True):
    stage: FetchStage
    total: int
    """Units of work; 0 where nobody can know."""
    unit: str
    """bytes | tensors"""


class FetchProgress(FetchMessage, frozen=True, tag="progress", kw_only=True):
    done: int


class FetchNote(FetchMessage, frozen=True, tag="note", kw_only=True):
    message: str


class FetchDone(FetchMessage, frozen=True, tag="done", kw_only=True):
    name: str
    """What --model takes from now on."""
    path: str
    already: bool
    """Whether it lay there before."""


class FetchFailed(FetchMessage, frozen=True, tag="failed", kw_only=True):
    failure: Failure


AnyFetchWord = FetchStarted | FetchProgress | FetchNote | FetchDone | FetchFailed
