"""A run that was imported: when, where and in what time it was computed."""

from tui.actions.key_labels import fill_keys
from tui.state.workbench_state import SessionRun, WorkbenchState
from tui.terminal.times import day


def format_recorded(state: WorkbenchState, run: SessionRun) -> str:
    """Return that the run was recorded elsewhere and what to do with it; empty for a run of this store."""
    if run.recorded is None:
        return ""
    words = f"Recorded {day(run.recorded_us)}, not computed here"
    if state.link == "live":
        compares = "" if run.verified is not None else ", {verify} compares"
        words += fill_keys(f": {{run}} runs it here{compares}", state.key)
    return f"{words}. {_circumstances(run)}"


def format_origin(state: WorkbenchState) -> str:
    """Return where the shown run comes from, in one sentence for a newcomer."""
    run = state.shown
    if run is None or run.recorded is None:
        return "the prompts were run and the grid computed on this machine."
    return fill_keys(f"a run recorded on {day(run.recorded_us)}. {{run}} runs it here.", state.key)


def _circumstances(run: SessionRun) -> str:
    versions = run.picture.versions
    took = f"Took {run.seconds(0):.1f} s"
    if versions is None:
        return f"{took}."
    return f"{took} on {versions.where}, Headcode {versions.headcode}, torch {versions.torch}."
