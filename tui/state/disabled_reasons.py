"""Why an action of the workbench would do nothing now, in words that say what it waits for."""

from collections.abc import Callable

from tui.state.workbench_state import WorkbenchState

Key = Callable[[str], str]

_LINK = {
    "connecting": "the host is not reached yet",
    "lost": "the connection to the host is lost; it is being looked for",
    "failed": "there is no host",
    "replay": "this is a recording: nothing in it can be changed",
}


def reason_for(state: WorkbenchState, action: str, *, small: bool = False, key: Key | None = None) -> str:
    """What has to be so before the action of that id does something. `small`: the terminal shows sixteen colours.

    `key` says by which key an action goes; without it none is named.
    """

    def by(name: str, does: str) -> str:
        return f"; {key(name)} {does}" if key is not None else ""

    run = state.shown
    if action == "theme" and small:
        return "this terminal shows its owner's sixteen colours, and Headcode takes those"
    if action in _NEEDS_HOST and state.link != "live":
        return _LINK.get(state.link, "the host is not reached")
    if action in ("write", "replay") and state.session_id is None:
        return "no session is open yet"
    if action == "options":
        return "no session is open yet"
    if action == "stop":
        return "nothing is going on that could be stopped"
    if action == "end_difference":
        return "nothing is subtracted and nothing is marked"
    if action == "unmark":
        return f"nothing is marked{by('mark', 'marks the head at the cursor')}"
    if run is None:
        return f"there is no run yet{by('run', 'begins one')}"
    if action in ("cause", "backups") and run.cause is not None:
        return f"the causes of run {run.number} are being measured"
    if action == "verify" and state.verifying:
        return f"run {run.number} is being done again already"
    if action in ("cause", "backups", "verify") and run.state != "done":
        return f"run {run.number} is {run.state}; only a finished run can be asked"
    if action == "card":
        return f"run {run.number} has no card yet; it is written when a run ends"
    if action == "seed":
        return f"run {run.number} has one seed only"
    if action == "edges":
        return f"no edges of run {run.number} are known" + (" yet" if run.active else "")
    if action == "overlay" and state.subtraction.side is not None:
        return f"a difference is shown{by('end_difference', 'ends it')}"
    if action == "overlay" and run.picture.nodes:
        return f"no circuit is known here and none is kept{by('keep', 'keeps one')}"
    if not run.picture.nodes:
        return f"run {run.number} has no scores yet"
    return "there is nothing it could do now"


_NEEDS_HOST = frozenset(
    {
        "run",
        "options",
        "stop",
        "cause",
        "backups",
        "verify",
        "difference",
        "keep",
        "circuits",
        "sessions",
        "note.head",
        "note.run",
        "replay",
    }
)
