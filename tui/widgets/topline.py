"""The line at the top: program, session, model, engine, when it was last saved; and the tabs of a small terminal."""

from datetime import datetime

from rich.cells import cell_len
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from tui.model import Bench
from tui.text import clean
from tui.widgets.ink import Line, fit
from tui.widgets.painted import Painted

PANES = ("examples", "grid", "head")


class TopLine(Painted):
    """One line; the right end is when the newest thing was saved."""

    def lines(self, size: Size, /) -> list[Strip]:
        width = size.width
        bench = self.bench
        right = saved_words(bench)
        line = self.line().add(" headcode ", "title")
        room = width - line.width - cell_len(right) - 2
        name = fit(clean(bench.session_name), max(room // 2, 8))
        if name:
            line.add(" ").add(name, "accent")
        if bench.kept.trashed:
            line.add(" in the trash", "bad")
        model = fit(clean(model_words(bench)), max(room - cell_len(name) - 14, 0))
        if model:
            line.add("  ").add(model, "text").add(" · ", "faint").add(*engine_words(bench))
        if line.width + cell_len(right) + 2 <= width:
            line.to(width - cell_len(right) - 1).add(right, "dim")
        return [line.strip()]


def model_words(bench: Bench) -> str:
    """Name and shape of the model, and what it runs on: toy 6x8 · cpu."""
    info = bench.model_info
    if info is None:
        return bench.model
    versions = next((run.picture.versions for run in reversed(bench.runs) if run.picture.versions is not None), None)
    shape = f"{info.name} {info.n_layers}x{info.n_heads}"
    return f"{shape} · {versions.device}" if versions is not None else shape


def engine_words(bench: Bench) -> tuple[str, str]:
    """What the engine is at, in a word, and its ink."""
    run = bench.shown
    if bench.link == "replay":
        return "replay", "second"
    if bench.link == "connecting":
        return "connecting", "dim"
    if bench.link in ("lost", "failed"):
        return ("host lost", "bad") if bench.link == "lost" else ("no host", "bad")
    if run is not None and run.state == "running":
        return ("loading", "second") if run.picture.stage == "load" else ("running", "second")
    if run is not None and run.state == "queued":
        return "queued", "second"
    state = bench.worker.worker_state if bench.worker is not None else ""
    words = {"warm": ("warm", "good"), "busy": ("busy", "second"), "starting": ("loading", "second")}
    return words.get(state, ("idle", "dim"))


def saved_words(bench: Bench) -> str:
    """When the newest entry of the log was stored, by the clock on the wall."""
    if bench.saved_us is None:
        return ""
    return f"saved {datetime.fromtimestamp(bench.saved_us / 1e6):%H:%M:%S}"


class Tabs(Painted):
    """Names the panes where only one of them has room."""

    class Picked(Message):
        """The mouse chose a pane."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    current = "grid"

    def titles(self) -> list[tuple[str, str]]:
        head = f"Head {self.bench.cursor}" if self.bench.shape() else "Head"
        titles = ("Examples", f"Heads: {self.bench.measure.title}", head)
        return [
            (pane, f"{self.bench.key(f'show_pane.{pane}')} {title}") for pane, title in zip(PANES, titles, strict=True)
        ]

    def lines(self, _size: Size, /) -> list[Strip]:
        line: Line = self.line().add(" ")
        self._ends: list[tuple[int, str]] = []
        for pane, title in self.titles():
            on = pane == self.current
            line.add(" ▌" if on else "  ", "accent").add(title, "strong" if on else "dim").add(" ")
            self._ends.append((line.width, pane))
        return [line.strip()]

    def on_click(self, event: events.Click) -> None:
        for end, pane in self._ends:
            if event.x < end:
                self.post_message(self.Picked(pane))
                return
