"""What the last `headcode models check` found about a model, for the lines that name it."""

import time

import msgspec

from engine.catalog.check_report import UNCHECKED, CheckStarted, CheckStatus, check_status
from engine.catalog.local_models import BUNDLED, find_model
from engine.catalog.planted_models import PLANTED
from engine.errors import HeadcodeError
from engine.machine.folders import find_folders

_READ_AGAIN_S = 5.0
"""Lines are drawn at every key; a check made elsewhere meanwhile may appear this much later."""

INK = {"holds": "good", "fails": "bad", "outdated": "second", "unchecked": "faint"}
"""Ink of each state."""


class RunningCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check that this screen started."""

    model: str
    at: CheckStarted

    @property
    def words(self) -> str:
        """What it is at: checking: patched effect, 7 of 11."""
        place = f", {self.at.done + 1} of {self.at.total}" if self.at.total else ""
        return f"checking: {self.at.what}{place}"

    @property
    def short(self) -> str:
        """The same in few characters."""
        return f"checking, {self.at.done + 1} of {self.at.total}" if self.at.total else "checking"


class CheckedModels:
    """Stored check results by model, read again after some seconds; and the check that is running."""

    def __init__(self) -> None:
        self.running: RunningCheck | None = None
        self._read: dict[tuple[str, str | None], tuple[float, CheckStatus]] = {}

    def of(self, model: str, identity: str | None = None) -> CheckStatus:
        """Return the status of a model by its name or folder; with `identity`, only of these weights."""
        key, now = (model, identity), time.monotonic()
        known = self._read.get(key)
        if known is None or now - known[0] > _READ_AGAIN_S:
            known = self._read[key] = (now, _read(model, identity))
        return known[1]

    def forget(self) -> None:
        """Read everything again when it is needed next."""
        self._read.clear()


def comes_with_headcode(model: str) -> bool:
    """Return True for bundled and planted models, which Headcode's own tests check."""
    return model == BUNDLED or model in PLANTED


def _read(model: str, identity: str | None) -> CheckStatus:
    try:
        models = find_folders().models
        return check_status(find_model(model, models).folder, models, identity)
    except (HeadcodeError, OSError):  # a folder that is no model, or is gone
        return UNCHECKED
