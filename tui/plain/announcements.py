"""Announcements of changes, each made once, as one line."""

import time

from engine.errors import Failure
from tui.state.engine_status import blocking_work, format_silence, format_work, silent_work
from tui.state.messages import format_message
from tui.state.recorded_run import format_recorded
from tui.state.run import SessionRun
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean

_LINK = {
    "connecting": "connecting to the host.",
    "live": "connected to the host.",
    "lost": "the host is lost; reconnecting. nothing that was saved is lost.",
}


class Announcements:
    """Compares the state with what was last announced."""

    def __init__(self, state: WorkbenchState) -> None:
        self.state = state
        self._said: dict[str, object] = {}
        self._failure: Failure | None = None
        """Compared by identity, not by text: a second refusal with the same text is announced again."""
        self.caught_up = False
        """False until the log has been read; earlier runs are not announced."""

    def lines(self) -> list[str]:
        """Return the announcements since the last call."""
        state, found = self.state, []
        if self._new("link", state.link) and state.link in _LINK:
            found.append(_LINK[state.link])
        if state.link == "live" and self._new("session", state.session_id):
            found.append(f"session {clean(state.session_name)}, model {clean(state.model)}.")
        if self._new("notice", state.link_words) and state.link_words and state.link == "live":
            found.append(f"notice: {clean(state.link_words)}")
        for run in state.runs:
            found += self._of_run(run)
        if self._new("trouble", state.trouble) and state.trouble:
            found.append(f"error: {clean(state.trouble)}")
        found += self._of_work()
        failure = state.failure
        if failure is not self._failure and failure is not None:
            found.append(f"error: {clean(format_message(failure))}")
        self._failure = failure
        if self._new("verifying", bool(state.verifying)) and state.verifying:
            found.append(clean(state.verifying.partition(";")[0]) + ".")
        return found

    def _of_work(self) -> list[str]:
        """Return what a waiting run waits for, if that has changed, and whether the current work is silent."""
        state, found, now_us = self.state, [], int(time.time() * 1e6)
        waiting = next((run for run in state.runs if blocking_work(state, run) is not None), None)
        work = blocking_work(state, waiting) if waiting is not None else None
        if self._new("awaited", None if work is None else work.job) and work is not None and waiting is not None:
            found.append(f"run {waiting.number} waits for {format_work(work, now_us)}.")
        silent = silent_work(state)
        if self._new("silent", None if silent is None else silent.job) and silent is not None:
            found.append(format_silence(state, silent, now_us))
        return found

    def _of_run(self, run: SessionRun) -> list[str]:
        name, found = f"run {run.number}", []
        if self._new(f"{run.run_id} recorded", run.recorded) and run.recorded is not None and run is self.state.shown:
            found.append(f"{name}: {clean(format_recorded(self.state, run))}")
        old = self._said.get(f"{run.run_id} state", "" if self.caught_up else None)
        if self._new(f"{run.run_id} state", run.state):
            if run.state in ("queued", "running") or old is not None:
                found.append(f"{name}: {_STATES.get(run.state, run.state)}.")
            if run.failure is not None and run.state != "stopped" and old is not None:
                found.append(f"error: {clean(format_message(run.failure))}")
        if self._new(f"{run.run_id} stage", run.picture.stage) and run.picture.stage is not None and run.under_way:
            found.append(f"{name}: {run.picture.stage}.")
        if self._new(f"{run.run_id} notices", len(run.picture.notices)) and run.active:
            found += [f"notice: {clean(format_message(run.picture.notices[-1]))}"] if run.picture.notices else []
        if self._new(f"{run.run_id} causes", len(run.picture.causes)) and old is not None:
            found += [
                f"{name}: effects by {cause.method} are measured; cause lists them."
                for cause in run.picture.causes[-1:]
            ]
        if self._new(f"{run.run_id} verified", run.verified) and run.verified is not None and old is not None:
            found.append(f"{name} verified: {clean(run.verified.verdict)}. {clean(run.verified.words)}")
        if self._new(f"{run.run_id} verify failure", run.verify_failure) and run.verify_failure is not None:
            found.append(f"error: {clean(format_message(run.verify_failure))}")
        if self._new(f"{run.run_id} cause failure", run.cause_failure) and run.cause_failure is not None:
            found.append(f"error: {clean(format_message(run.cause_failure))}")
        return found

    def _new(self, name: str, value: object) -> bool:
        if self._said.get(name) == value:
            return False
        self._said[name] = value
        return True


_STATES = {
    "queued": "waiting for the engine",
    "running": "begun",
    "done": "done; heads lists its heads",
    "stopped": "stopped, results kept",
    "failed": "failed",
    "interrupted": "interrupted; run does it once more",
}
