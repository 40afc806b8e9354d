"""Copy the grid to the clipboard or a file: as text, Markdown, SVG, or with terminal colours.

Also the run itself: as the command that repeats it, as a Python script, and as a report to read.
"""

import os
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.errors import HeadcodeError
from engine.machine.folders import find_folders
from engine.machine.memory import format_bytes
from sessions.errors import CannotWrite, NoSuchRecord
from tui.actions import screen_actions
from tui.connection.requests import HostRequests
from tui.output.grid_pictures import GridPicture, PictureFormat
from tui.screens.new_file import file_stem, write_new
from tui.state.marked_heads import sort_by_rank
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.action_keys import ActionKeys
from tui.widgets.latest_worker import run_latest

FORMS: tuple[tuple[PictureFormat, str, str], ...] = (
    ("txt", "t", "Text"),
    ("md", "m", "Markdown"),
    ("svg", "s", "SVG picture"),
    ("ansi", "a", "Text with terminal colours"),
)
RUN = (
    ("command", "c", "Command of the run"),
    ("python", "p", "Python script of the run"),
    ("report", "r", "Report of the run (HTML)"),
)
"""What is made of all that is stored of the run, when it is asked for."""
_SUFFIXES = {"heads": "heads.txt", "command": "sh", "python": "py", "report": "html"}
HEADS = ("heads", "h", "The marked heads")
MOST_BYTES = 74_000
"""Maximum bytes for OSC 52: some terminals stop at 100,000 characters, and base64 adds a third."""
ACTIONS = screen_actions(
    "Copy the grid",
    *((f"copy.{form}", f"'{form}'", key, f"Copy as {title}", "To the clipboard", "") for form, key, title in FORMS),
    ("copy.command", "'command'", "c", "Copy the command", "The command line that makes this run again", ""),
    ("copy.python", "'python'", "p", "Copy a Python script", "It loads codes and activations, and repeats a patch", ""),
    ("copy.report", "'report'", "r", "Write a report", "One page to read, print or send: a new HTML file", ""),
    ("copy.heads", "'heads'", "h", "Copy the marked heads", "Their names, best first, to the clipboard", ""),
    ("step.down", "1", "down,j", "Next format", "One line down", ""),
    ("step.up", "-1", "up,k", "Previous format", "One line up", ""),
    ("copy.chosen", "''", "enter,y", "Copy", "To the clipboard of your terminal, by OSC 52", "copy"),
    ("write", "", "w", "Write a file", "Into the folder where Headcode was started", "write a file"),
    ("close", "", "escape,q", "Back", "Back to the workbench", "back"),
)


class CopySheet(ModalScreen[None], ActionKeys):
    """The sheet; stays open after copying, because terminals do not confirm OSC 52."""

    CSS_PATH = "copy_grid.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, link: HostRequests) -> None:
        super().__init__()
        self._bench, self._link = state, link
        self._run = state.shown
        self._picture = grid_picture(state)
        self._forms: list[tuple[str, str, str]] = [*FORMS, *RUN]
        self._drawn: dict[str, str] = {form: self._picture.draw(form) for form, _, _ in FORMS}
        if state.marked:
            self._forms.insert(0, HEADS)
            self._drawn[HEADS[0]] = " ".join(map(str, sort_by_rank(state.marked, state.view()))) + "\n"
        self._chosen = 0
        self._words = "Which format?"
        self._wrong = False
        self._folder = Path.cwd()

    def compose(self) -> ComposeResult:
        with Vertical(id="copy") as box:
            box.border_title = Content("Copy the grid or the run")
            copies, writes, back = (
                self._bench.key(f"copy-the-grid:{name}") for name in ("copy.chosen", "write", "close")
            )
            box.border_subtitle = Content(f"{copies} copies · {writes} writes a file · {back} back")
            yield Static(id="forms")
            yield Static(id="words")

    def on_mount(self) -> None:
        self._paint()

    def action_step(self, by: int) -> None:
        self._chosen = (self._chosen + by) % len(self._forms)
        self._paint()

    def action_copy(self, form: str) -> None:
        """Copy a format to the clipboard; write a file if it is too large."""
        if form:
            found = [place for place, (name, _, _) in enumerate(self._forms) if name == form]
            if not found:
                self._say(f"No head is marked: {self._bench.key('mark')} marks heads in the grid.", wrong=True)
                return
            self._chosen = found[0]
        name, _, title = self._forms[self._chosen]
        if name == "report" or name not in self._drawn:
            self._make(name, write=name == "report")
            return
        text = self._drawn[name]
        n_bytes = len(text.encode())
        if n_bytes > MOST_BYTES:
            self.action_write(f"{format_bytes(n_bytes)} are too large for a terminal's clipboard. ")
            return
        self.app.copy_to_clipboard(text)
        tmux = " In tmux: set -g set-clipboard on." if os.environ.get("TMUX") else ""
        self._say(
            f"{title}, {format_bytes(n_bytes)}, sent to your terminal (OSC 52). Terminals do not confirm "
            f"copying: if yours did not copy it, {self._bench.key('copy-the-grid:write')} writes a file.{tmux}"
        )

    def action_write(self, why: str = "") -> None:
        """Write the format to a new file in the folder where Headcode was started."""
        name = self._forms[self._chosen][0]
        if name not in self._drawn:
            self._make(name, write=True)
            return
        of_grid = name not in {name for name, _, _ in RUN}
        stem = file_name(self._bench, self._picture) if of_grid else file_stem(self._bench)
        try:
            path = write_new(self._folder, stem, f".{_SUFFIXES.get(name, name)}", self._drawn[name])
        except CannotWrite as error:
            self._say(f"{why}{error.message} Start headcode in another folder.", wrong=True)
        else:
            self._say(f"{why}Written: {path}")

    def action_close(self) -> None:
        self.dismiss()

    def _make(self, name: str, *, write: bool) -> None:
        """Read what is stored of the run, make the text, and copy or write it."""

        async def work() -> None:
            try:
                self._drawn[name] = await self._text_of_run(name)
            except HeadcodeError as error:
                self._say(f"{error.message} {error.hint}".strip(), wrong=True)
                return
            if write:
                self.action_write()
            else:
                self.action_copy(name)

        self._say("Reading the run …")
        run_latest(self, "run", work)

    async def _text_of_run(self, name: str) -> str:
        from tui.headless.run_command import run_command
        from tui.headless.run_snippet import run_snippet
        from tui.headless.stored_run import find_runs

        models = find_folders().models
        if self._run is None:
            raise NoSuchRecord("There is no run.")
        (facts,) = await find_runs(self._link, f"{self._bench.session_id}/{self._run.number}")
        if name == "command":
            return run_command(facts, models).text + "\n"
        if name == "python":
            return run_snippet(facts)
        from tui.report.document import read_material, report_of
        from tui.report.html import html

        return html(report_of([await read_material(self._link, facts, load=False, models=models, one=True)]))

    def _say(self, words: str, *, wrong: bool = False) -> None:
        self._words, self._wrong = words, wrong
        self._paint()

    def _paint(self) -> None:
        lines = []
        for place, (form, _, title) in enumerate(self._forms):
            key = self._bench.key(f"copy-the-grid:copy.{form}")
            chosen = place == self._chosen
            size = format_bytes(len(self._drawn[form].encode())) if form in self._drawn else ""
            lines.append(
                Content.assemble(
                    ("▸ " if chosen else "  ", "$ink-accent"),
                    (f"{key}  ", "bold $ink-accent"),
                    (f"{title:<30}", "bold $ink-strong" if chosen else "$ink"),
                    (f"{size:>8}", "$ink-dim"),
                )
            )
        self.query_one("#forms", Static).update(Content("\n").join(lines))
        words = self.query_one("#words", Static)
        words.update(Content(clean(self._words)))
        words.set_class(self._wrong, "-wrong")


def grid_picture(state: WorkbenchState) -> GridPicture:
    """Return the grid with its current measure and cut. Raises ValueError without a grid."""
    view, run = state.view(), state.shown
    if view is None or run is None:
        raise ValueError("there is no grid to copy")
    provisional = "" if view.final else ", provisional"
    return GridPicture(
        title=f"{state.session_name}, run {run.number}, {run.model}{provisional}",
        nodes=view.nodes,
        measure=view.measure,
        circuit=sorted(view.circuit),
        known=sorted(view.known),
    )


def file_name(state: WorkbenchState, picture: GridPicture) -> str:
    """Return the file name, without suffix."""
    return f"{file_stem(state)}-{picture.measure.id.replace('_', '-')}"
