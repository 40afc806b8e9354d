"""What `headcode models check` found about a model on this machine, as a file in the models folder."""

import hashlib
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from engine.catalog.local_models import tokenizer_files, weight_files
from engine.errors import Failure
from engine.machine.plain_file import read_json

SCHEMA = "headcode.check/1"
_FOLDER = ".checks"
"""In the models folder; a dot, so that it is no model."""

CheckVerdict = Literal["holds", "fails", "cannot", "fact"]
"""holds, fails: it was measured. cannot: the model or the machine lacks what it needs. fact: nothing to fail."""


class ModelCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried."""

    name: str
    verdict: CheckVerdict
    number: float | None = None
    unit: str = ""
    """What the number is."""
    reason: str
    """A sentence: what was found, or why it cannot hold."""


class ModelCheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of one model on one machine."""

    schema: str = SCHEMA
    model: str
    identity: str
    """Of weights and tokenizer (engine.catalog.local_models.model_identity)."""
    device: str
    dtype: str
    """The number format that float32 was compared with."""
    versions: dict[str, str]
    date: str
    """UTC, to the second."""
    seconds: float
    checks: tuple[ModelCheck, ...]

    @property
    def checked_us(self) -> int:
        """`date` in microseconds since 1970."""
        return int(datetime.fromisoformat(self.date).timestamp() * 1_000_000)

    @property
    def holds(self) -> bool:
        """True if no check failed."""
        return all(check.verdict != "fails" for check in self.checks)

    @property
    def summary(self) -> str:
        """The result in a few words."""
        failed = [check.name for check in self.checks if check.verdict == "fails"]
        without = [check.name for check in self.checks if check.verdict == "cannot"]
        words = f"fails: {', '.join(failed)}" if failed else "holds"
        return f"{words}; without {', '.join(without)}" if without and not failed else words


class CheckFailed(msgspec.Struct, frozen=True, tag="failed", tag_field="say", kw_only=True):
    """The model could not be checked at all."""

    failure: Failure


class CheckDone(msgspec.Struct, frozen=True, tag="done", tag_field="say", kw_only=True):
    """All checks were made."""

    report: ModelCheckReport
    folder: str
    """The model's folder."""
    not_stored: str = ""
    """Why the report could not be stored; empty if it was."""


class CheckStarted(msgspec.Struct, frozen=True, tag="started", tag_field="say", kw_only=True):
    """A check, or loading, began."""

    what: str


AnyCheckMessage = CheckStarted | CheckDone | CheckFailed
"""Lines of JSON on the stdout of `python -m engine.worker.check_model`."""


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    files: dict[str, tuple[int, int]]
    """Size and time of the weights and the tokenizer when they were checked."""
    report: ModelCheckReport


def store_report(report: ModelCheckReport, folder: Path, models: Path) -> Path:
    """Store the report for the model in `folder`, replacing an older one; return the file's path."""
    path = _path(folder, models)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.format(msgspec.json.encode(_Stored(files=_files(folder), report=report)), indent=1)
    number, part = tempfile.mkstemp(prefix=".", dir=path.parent)
    with os.fdopen(number, "wb") as file:
        file.write(content)
    return Path(part).replace(path)


def stored_report(folder: Path, models: Path) -> ModelCheckReport | None:
    """Return the report of the model in `folder`; None if it was not checked, or its files changed since."""
    try:
        found = read_json(_path(folder, models), _Stored)
    except (OSError, msgspec.MsgspecError):
        return None
    return found.report if found.files == _files(folder) else None


def _path(folder: Path, models: Path) -> Path:
    return models / _FOLDER / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.json"


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of the files that make the model: reading their content would take seconds."""
    paths = [*weight_files(folder), *tokenizer_files(folder), folder / "config.json"]
    found = {path.name: path.stat() for path in paths if path.is_file()}
    return {name: (about.st_size, about.st_mtime_ns) for name, about in sorted(found.items())}
