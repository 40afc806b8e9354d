"""The conditions of the workbench's actions, used by keys, palette, tooltips and plain mode."""

from collections.abc import Callable, Mapping
from functools import partial

from tui.state.run import SessionRun
from tui.state.workbench_state import WorkbenchState

Key = Callable[[str], str]
Hint = Callable[[str, str], str]
"""Formats "; KEY does something" from an action id and what it does; empty where no keys are named."""
Condition = Callable[[WorkbenchState, Hint], str]
"""Returns why an action is disabled; empty if it is enabled."""

_LINK = {
    "connecting": "still connecting to the host",
    "lost": "the connection to the host is lost; reconnecting",
    "failed": "there is no host",
    "replay": "a replay cannot be changed",
}


def disabled_reason(state: WorkbenchState, action: str, *, small: bool = False, key: Key | None = None) -> str:
    """Return why the action with that id is disabled; empty if it is enabled.

    `small`: the terminal shows sixteen colours. `key` returns the key of an action; without it no key is named.
    """

    def hint(name: str, does: str) -> str:
        return f"; {key(name)} {does}" if key is not None else ""

    if action == "theme" and small:
        return "this terminal has only its own sixteen colours, which Headcode uses"
    condition = CONDITIONS.get(action)
    return condition(state, hint) if condition is not None else ""


def _host(state: WorkbenchState, _hint: Hint) -> str:
    return "" if state.link == "live" else _LINK.get(state.link, "there is no connection to the host")


def _run_host(state: WorkbenchState, hint: Hint) -> str:
    """Allow `run` without a host, too: it reconnects."""
    return "" if state.link == "failed" else _host(state, hint)


def _session(state: WorkbenchState, _hint: Hint) -> str:
    return "" if state.session_id is not None else "no session is open yet"


def _recorded(state: WorkbenchState, _hint: Hint) -> str:
    return "" if state.last_seq else "nothing is recorded yet"


def _something_runs(state: WorkbenchState, _hint: Hint) -> str:
    busy = state.active is not None or state.measured is not None or bool(state.verifying)
    return "" if busy else "nothing is running"


def _run(state: WorkbenchState, hint: Hint) -> str:
    return "" if state.shown is not None else f"there is no run yet{hint('run', 'starts one')}"


def _of_run(
    test: Callable[[SessionRun], bool], reason: Callable[[SessionRun], str], state: WorkbenchState, hint: Hint
) -> str:
    run = state.shown
    if run is None:
        return _run(state, hint)
    return "" if test(run) else reason(run)


_finished = partial(
    _of_run,
    lambda run: run.state == "done",
    lambda run: f"run {run.number} is {run.state}; this needs a finished run",
)
_not_measuring = partial(
    _of_run, lambda run: run.cause is None, lambda run: f"the effects of run {run.number} are being measured"
)
_scored = partial(_of_run, lambda run: bool(run.picture.nodes), lambda run: f"run {run.number} has no scores yet")
_has_card = partial(
    _of_run,
    lambda run: run.picture.card is not None,
    lambda run: f"run {run.number} has no card yet; it is written when a run ends",
)
_several_seeds = partial(
    _of_run, lambda run: len(run.config.seeds) > 1, lambda run: f"run {run.number} has only one seed"
)
_has_edges = partial(
    _of_run,
    lambda run: bool(run.picture.edges),
    lambda run: f"run {run.number} has no edges" + (" yet" if run.active else ""),
)


def _not_verifying(state: WorkbenchState, hint: Hint) -> str:
    return _of_run(
        lambda _: not state.verifying, lambda run: f"run {run.number} is already being verified", state, hint
    )


def _no_difference(state: WorkbenchState, hint: Hint) -> str:
    return "" if state.subtraction.side is None else f"a difference is shown{hint('end_difference', 'ends it')}"


def _has_overlay(state: WorkbenchState, hint: Hint) -> str:
    return _of_run(
        lambda run: bool(state.overlay.there(run.picture, state.session.circuits)),
        lambda _: f"there is no known or saved circuit{hint('keep', 'saves one')}",
        state,
        hint,
    )


def _grid(state: WorkbenchState, hint: Hint) -> str:
    return "" if state.shape() is not None else _scored(state, hint) or "there is no grid yet"


def _view(state: WorkbenchState, hint: Hint) -> str:
    return "" if state.view() is not None else _scored(state, hint) or "there is no grid yet"


def _marked(state: WorkbenchState, hint: Hint) -> str:
    return "" if state.marked else f"nothing is marked{hint('mark', 'marks the head at the cursor')}"


def _can_end(state: WorkbenchState, _hint: Hint) -> str:
    ends = state.subtraction.side is not None or bool(state.marked)
    return "" if ends else "nothing is subtracted and nothing is marked"


def _all(*conditions: Condition) -> Condition:
    """Return the condition that gives the first reason of several."""
    return lambda state, hint: next((reason for each in conditions if (reason := each(state, hint))), "")


def _model(state: WorkbenchState, hint: Hint) -> str:
    """Allow what computes with the run's model: not in a replay, which may be of a model that is not here."""
    if state.link == "replay":
        return f"this is measured with the model, and a replay has none{hint('replay:close', 'goes back to live')}"
    return _host(state, hint)


_effects = _all(_host, _run, _not_measuring, _finished)

_recordable = _all(_host, _has_edges)

CONDITIONS: Mapping[str, Condition] = {
    "run": _run_host,
    "options": _all(_host, _session),
    "progress": _run,
    "stop": _all(_host, _something_runs),
    "cause": _effects,
    "backups": _effects,
    "write": _session,
    "card": _has_card,
    "seed": _several_seeds,
    "close_up": _all(_model, _view),
    "stream_grid": _all(_model, _scored),
    "side_by_side": _all(_model, _view),
    "switch_off": _all(_model, _view),
    "atlas": _all(_model, _view),
    "scatter": _all(_model, _view),
    "sweeps": _host,
    "edges": _has_edges,
    "edges:pin": _recordable,
    "edges:group": _recordable,
    "edges:name": _recordable,
    "edges:fold": _recordable,
    "edges:alike": _recordable,
    "edges:patch": _effects,
    "cut.fewer": _scored,
    "cut.more": _scored,
    "ranking.next": _scored,
    "ranking.previous": _scored,
    "ranking_first": _scored,
    "difference": _all(_host, _scored),
    "end_difference": _can_end,
    "overlay": _all(_run, _no_difference, _scored, _has_overlay),
    "keep": _all(_host, _scored),
    "circuits": _host,
    "verify": _all(_host, _run, _not_verifying, _finished),
    "mark": _grid,
    "mark_box.left": _grid,
    "mark_box.down": _grid,
    "mark_box.up": _grid,
    "mark_box.right": _grid,
    "mark_layer": _grid,
    "mark_circuit": _view,
    "unmark": _marked,
    "signs": _grid,
    "sessions": _host,
    "copy": _scored,
    "note.head": _host,
    "note.run": _host,
    "replay": _all(_host, _session, _recorded),
}
"""By action id; an action that is not listed is always enabled."""
