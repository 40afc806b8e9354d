"""The line at the top: program, session, model, engine, time of the last save; and the tabs of a small terminal."""

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Offset, Size
from textual.message import Message
from textual.strip import Strip

from tui.actions.key_labels import fill_keys
from tui.output.model_check import format_check
from tui.state.checked_models import INK, shown_check, shown_model
from tui.state.engine_status import silent_work
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.terminal.times import clock
from tui.widgets.clickable_keys import action_tip
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import StyledLine, fit
from tui.widgets.tooltips import tip

PANES = ("examples", "grid", "head")


class TopLine(LineWidget):
    """The top line; each field has a tooltip."""

    _ends: list[tuple[int, Content | None]] = []  # noqa: RUF012  # replaced with every line
    """End column and tooltip of each field."""

    def lines(self, size: Size, /) -> list[Strip]:
        width = size.width
        state = self.state
        right = format_saved(state)
        line = self.line().add(" headcode ", "title")
        self._ends = [
            (line.width, tip("Headcode", fill_keys("{keys} lists every key, {log} shows the log.", state.key)))
        ]
        room = width - line.width - cell_len(right) - 2
        name = fit(clean(state.session_name), max(room // 2, 8))
        if name:
            line.add(" ").add(name, "accent")
        if state.session.trashed:
            line.add(" in the trash", "bad")
        self._ends.append((line.width, self._session_tip()))
        model = fit(clean(format_model(state)), max(room - cell_len(name) - 14, 0))
        if model:
            line.add("  ").add(model, "text")
            check = shown_check(state)
            engine, _ = format_engine(state)
            left = width - line.width - len(engine) - cell_len(right) - 6
            if check is not None and len(check.words) + 3 <= left:
                line.add(" · ", "faint").add(check.words, INK[check.state])
            self._ends.append((line.width, self._model_tip()))
            line.add(" · ", "faint").add(*format_engine(state))
            self._ends.append((line.width, tip("The engine", ENGINE.get(format_engine(state)[0], ""))))
        if line.width + cell_len(right) + 2 <= width:
            line.to(width - cell_len(right) - 1).add(right, "bad" if state.trouble else "dim")
            words = "When the last change was saved. Everything is saved automatically."
            words = state.trouble or words
            self._ends += [(line.width - cell_len(right) - 1, None), (width, tip(right or "Saved", words))]
        return [line.strip()]

    def tip_at(self, place: Offset, /) -> Content | None:
        return next((text for end, text in self._ends if place.x < end), None)

    def _session_tip(self) -> Content:
        state = self.state
        opens = fill_keys("{sessions} lists all sessions.", state.key)
        runs = f"{len(state.runs)} {'run' if len(state.runs) == 1 else 'runs'}"
        made = f"task {state.task}" if state.task is not None else "your own examples"
        return tip(state.session_name or "No session yet", f"{made} · {runs}", opens)

    def _model_tip(self) -> Content:
        info, another = self.state.model_info, fill_keys("{options} chooses another for the next run.", self.state.key)
        check = shown_check(self.state)
        checked = [format_check(check, shown_model(self.state))] if check is not None else []
        if info is None:
            return tip(self.state.model, "The model; its shape is known after loading.", *checked, another)
        places = self.state.places()
        mlps = " and an MLP" if places is not None and places.others else ""
        shape = f"{info.n_layers} layers of {info.n_heads} heads{mlps}, {info.context} tokens of context"
        return tip(info.name, shape, *checked, another)


def format_grid_title(state: WorkbenchState) -> str:
    """Format what the grid shows: Heads, or Nodes where MLPs are in it, and the measure."""
    places = state.places()
    return f"{'Nodes' if places is not None and places.others else 'Heads'}: {state.measure.title}"


def format_head_title(state: WorkbenchState) -> str:
    """Format the node at the cursor: Head 1.3, MLP m1, Embedding; Head before there is a grid."""
    match state.cursor.kind if state.places() is not None else None:
        case "mlp":
            return f"MLP {state.cursor}"
        case "embedding":
            return "Embedding"
        case "head":
            return f"Head {state.cursor}"
        case None:
            return "Head"


ENGINE = {
    "replay": "A recording is shown; no model is used.",
    "connecting": "Connecting to the host, or starting it.",
    "host lost": "The connection broke; reconnecting. Nothing that was saved is lost.",
    "no host": "The host cannot be reached; see the message.",
    "loading": "The engine is starting or loading the model.",
    "running": "A run is in progress.",
    "queued": "The run is queued.",
    "warm": "The model is loaded: the next run or grade starts at once.",
    "silent": "The current job has reported nothing for a while; it may hang.",
    "busy": "The engine is working, for this session or another.",
    "idle": "No model is loaded; the next run loads it first.",
}
"""Meaning of each engine state."""


def format_model(state: WorkbenchState) -> str:
    """Format name, shape and device of the model: toy 6x8 · cpu."""
    info = state.model_info
    if info is None:
        return state.model
    run = next((run for run in reversed(state.runs) if run.picture.versions is not None), None)
    shape = f"{info.name} {info.n_layers}x{info.n_heads}"
    if run is None or run.picture.versions is None:
        return shape
    return f"{shape} · {run.picture.versions.where}{', recorded' if run.recorded is not None else ''}"


def format_engine(state: WorkbenchState) -> tuple[str, str]:
    """Return the state of the engine in a word, and its ink."""
    run = state.shown
    if state.link == "replay":
        return "replay", "second"
    if state.link == "connecting":
        return "connecting", "dim"
    if state.link in ("lost", "failed"):
        return ("host lost", "bad") if state.link == "lost" else ("no host", "bad")
    if silent_work(state) is not None:
        return "silent", "bad"
    if run is not None and run.state == "running":
        return ("loading", "second") if run.picture.stage == "load" else ("running", "second")
    if run is not None and run.state == "queued":
        return "queued", "second"
    worker_state = state.worker.worker_state if state.worker is not None else ""
    words = {"warm": ("warm", "good"), "busy": ("busy", "second"), "starting": ("loading", "second")}
    return words.get(worker_state, ("idle", "dim"))


def format_saved(state: WorkbenchState) -> str:
    """Format when the newest log entry was saved, in local time."""
    if state.trouble:
        return "not recording"
    if state.saved_us is None:
        return ""
    return f"saved {clock(state.saved_us)}"


class PaneTabs(LineWidget):
    """Tabs of the panes on terminals with room for only one."""

    class Picked(Message):
        """The mouse chose a pane."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    current = "grid"

    def titles(self) -> list[tuple[str, str]]:
        titles = ("Examples", format_grid_title(self.state), format_head_title(self.state))
        return [
            (pane, f"{self.state.key(f'show_pane.{pane}')} {title}") for pane, title in zip(PANES, titles, strict=True)
        ]

    def lines(self, _size: Size, /) -> list[Strip]:
        line: StyledLine = self.line().add(" ")
        self._ends: list[tuple[int, str]] = []
        for pane, title in self.titles():
            on = pane == self.current
            line.add(" ▌" if on else "  ", "accent").add(title, "strong" if on else "dim").add(" ")
            self._ends.append((line.width, pane))
        return [line.strip()]

    def spots(self) -> list[tuple[str, int]]:
        """Return the panes, each with the column at which its title begins."""
        starts = [1, *(end for end, _ in self._ends)]
        return [(pane, start) for start, (_, pane) in zip(starts, self._ends, strict=False)]

    def tip_at(self, place: Offset, /) -> Content | None:
        pane = next((pane for end, pane in self._ends if place.x < end), None)
        actions = getattr(self.screen, "bound_actions", ())
        action = next((each for each in actions if each.id == f"show_pane.{pane}"), None)
        return action_tip(action) if action is not None else None

    def on_click(self, event: events.Click) -> None:
        for end, pane in self._ends:
            if event.x < end:
                self.post_message(self.Picked(pane))
                return
