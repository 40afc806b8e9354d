"""What `headcode models check` found about a model on this machine, as a file in the models folder."""

import hashlib
import os
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from engine.catalog.local_models import tokenizer_files, weight_files
from engine.errors import Failure
from engine.machine.plain_file import read_json

SCHEMA = "headcode.check/1"
CHECKED_PACKAGES = ("headcode", "torch", "transformers", "transformer-lens")
"""Distributions whose versions decide what a check finds."""
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
    done: int = 0
    """Checks made before it."""
    total: int = 0
    """All checks; 0 while loading."""


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
    return check_status(folder, models).report


class CheckStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model from its last check, in a few words."""

    words: str
    """For a line that names the model: not checked, checked: holds, ..."""
    state: Literal["unchecked", "holds", "fails", "outdated"]
    report: ModelCheckReport | None = None
    """None: not checked, or the model's files changed since."""
    changes: tuple[str, ...] = ()
    """Versions that are no longer those of the check: torch 2.12.0, now 2.13.0."""

    @property
    def short(self) -> str:
        """The result in at most twenty characters, where `words` have no room."""
        n_failed = sum(check.verdict == "fails" for check in self.report.checks) if self.report is not None else 0
        fails = f"{n_failed} check{'' if n_failed == 1 else 's'} fail{'s' if n_failed == 1 else ''}"
        return {"unchecked": self.words, "holds": "check holds", "fails": fails, "outdated": "check outdated"}[
            self.state
        ]

    @property
    def about(self) -> str:
        """The result in a sentence: every failed or impossible check by name, and the versions that changed."""
        if self.report is None:
            return self.words
        older = f", with older versions ({'; '.join(self.changes)})" if self.changes else ""
        return f"{self.report.summary}{older}"


UNCHECKED = CheckStatus(words="not checked", state="unchecked")


def check_status(folder: Path | None, models: Path, identity: str | None = None) -> CheckStatus:
    """Return what the last check of the model in `folder` says now. `models`: the models folder.

    `folder` is None for a model that is not on this machine. With `identity`, only a check of these weights counts.
    """
    if folder is None:
        return UNCHECKED
    try:
        found = read_json(_path(folder, models), _Stored)
    except (OSError, msgspec.MsgspecError):
        return UNCHECKED
    report = found.report
    if found.files != _files(folder) or identity not in (None, report.identity):
        return CheckStatus(words="changed since its check", state="outdated")
    now = installed_versions()
    changes = tuple(
        f"{name} {then}, now {now.get(name, 'missing')}"
        for name, then in report.versions.items()
        if now.get(name) != then
    )
    if changes:
        return CheckStatus(words="checked with older versions", state="outdated", report=report, changes=changes)
    n_failed = sum(check.verdict == "fails" for check in report.checks)
    if n_failed:
        does = "does not hold" if n_failed == 1 else "do not hold"
        return CheckStatus(words=f"checked: {n_failed} {does}", state="fails", report=report)
    return CheckStatus(words="checked: holds", state="holds", report=report)


@cache
def installed_versions() -> dict[str, str]:
    """Return the versions of CHECKED_PACKAGES that are installed, without importing any of them."""
    # Imported here: it takes longer to import than the rest of a client.
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str] = {}
    for name in CHECKED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _path(folder: Path, models: Path) -> Path:
    return models / _FOLDER / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.json"


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of the files that make the model: reading their content would take seconds."""
    paths = [*weight_files(folder), *tokenizer_files(folder), folder / "config.json"]
    found = {path.name: path.stat() for path in paths if path.is_file()}
    return {name: (about.st_size, about.st_mtime_ns) for name, about in sorted(found.items())}
