"""What the last `headcode models check` found about a model, for the lines that name it."""

import time
from typing import TYPE_CHECKING

import msgspec

from engine.catalog.check_report import UNCHECKED, CheckStarted, CheckStatus, check_status
from engine.catalog.local_models import find_model, is_bundled
from engine.catalog.planted_models import PLANTED
from engine.errors import HeadcodeError
from engine.machine.folders import find_folders

if TYPE_CHECKING:
    from tui.state.workbench_state import WorkbenchState

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
    """Stored check results by model, read again after some seconds; and the check that is running.

    Two are equal if the same check is running: what was read is only a cache.
    """

    def __init__(self) -> None:
        self.running: RunningCheck | None = None
        self._read: dict[tuple[str, str | None], tuple[float, CheckStatus]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CheckedModels) and self.running == other.running

    __hash__ = None  # type: ignore[assignment]  # it changes

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


def shown_check(state: "WorkbenchState") -> CheckStatus | None:
    """Return what the last check of the shown run's model found, else of the session's.

    None in a replay, whose model need not be here, and for models that come with Headcode, which its own tests check,
    until they are checked.
    """
    if state.link == "replay":
        return None
    name, info = shown_model(state), state.model_info
    found = state.checked.of(name, info.identity if info is not None else None)
    return None if found.state == "unchecked" and (is_bundled(name) or name in PLANTED) else found


def shown_model(state: "WorkbenchState") -> str:
    """Return the name or folder of the shown run's model, else of the session's."""
    return state.shown.model if state.shown is not None else state.model


def _read(model: str, identity: str | None) -> CheckStatus:
    try:
        models = find_folders().models
        return check_status(find_model(model, models).folder, models, identity)
    except (HeadcodeError, OSError):  # a folder that is no model, or is gone
        return UNCHECKED
