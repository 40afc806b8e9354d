"""A new session in three questions: its name, its model, and where its examples come from."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from engine.errors import HeadcodeError
from engine.machine.folders import find_folders
from engine.planning.preflight import Preflight
from engine.planning.run_options import RunOptions
from engine.tasks.registry import TASKS, made_by
from sessions.protocol import CreateSession, GetPreflight, PreflightAnswer, SessionAnswer
from tui.actions import screen_actions
from tui.connection.session_link import DEFAULT_TASK, SessionLink
from tui.headless.fetch_model import fetch_in_process
from tui.screens import example_sources
from tui.screens.file_picker import FilePickerScreen, MessageLine
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.task_picker import TaskPickerScreen
from tui.state.messages import format_message
from tui.state.model_choices import ModelChoice, model_choices, narrow_choices
from tui.state.previews import preview_model
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.latest_worker import run_latest
from tui.widgets.line_edit import LineEdit
from tui.widgets.line_widget import LinePicked, LineWidget
from tui.widgets.model_list import ModelList
from tui.widgets.preview_pane import PreviewPane
from tui.widgets.styled_line import fit

if TYPE_CHECKING:
    from tui.screens.write import WriteScreen

Begin = Callable[["WriteScreen"], None]
"""What is done on the write screen as soon as it shows the new session."""
Made = Callable[[str, Begin | None], None]
"""Called with the id of the new session, and how writing begins; None: it has its examples already."""

ACTIONS = screen_actions(
    "New session",
    ("take", "", "enter", "Go on", "Answer this question; after the last one the session is made", "go on"),
    ("choose.down", "1", "down,j", "Next source", "Choose the next source of examples", ""),
    ("choose.up", "-1", "up,k", "Previous source", "Choose the previous source of examples", ""),
    ("close", "", "escape,q", "Back", "To the question before; stop a fetch; from the name, back", "back"),
)


class FormLine(LineEdit):
    """A line of the form; tab moves on."""

    class Moved(Message):
        """Tab was pressed, or shift and tab."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def on_key(self, event: events.Key) -> None:
        if event.key in ("tab", "shift+tab"):
            event.stop()
            event.prevent_default()
            self.post_message(self.Moved(1 if event.key == "tab" else -1))
        else:
            super().on_key(event)


class SourceList(LineWidget):
    """Where the examples come from: one line per way."""

    can_focus = True

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self.at = 0
        self.ways = _ways(state)

    def lines(self, size: Size, /) -> list[Strip]:
        rows = []
        for place, (_, title, detail) in enumerate(self.ways):
            on = place == self.at and self.has_focus
            line = self.line().add("▸ " if on else "  ", "accent").add(title, "strong" if on else "text").to(36)
            rows.append(line.add(fit(detail, size.width - line.width - 1), "dim").strip())
        return rows

    def on_focus(self) -> None:
        self.paint()

    def on_blur(self) -> None:
        self.paint()

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and place.y < len(self.ways):
            self.post_message(LinePicked(place.y))


class NewSessionScreen(SubScreen):
    """The form. Enter goes through its questions; a paste of several lines is examples, wherever it lands."""

    CSS_PATH = "new_session.tcss"
    actions = ACTIONS
    AUTO_FOCUS = "#name"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState, link: SessionLink, made: Made) -> None:
        super().__init__(state)
        self.link, self.made = link, made
        self.name_line = FormLine(state, id="name")
        self.filter = FormLine(state, id="filter")
        self.models = ModelList(state, id="models")
        self.preview = PreviewPane(state)
        self.sources = SourceList(state, id="sources")
        self.words = MessageLine(state, "")
        self._all: tuple[ModelChoice, ...] = ()
        self._fits: dict[str, Preflight] = {}
        self._agreed = ""
        """The model whose terms were shown; choosing it again fetches it."""
        self._due = False
        """Enter was pressed before the models were listed."""
        self._creating = False

    def compose(self) -> ComposeResult:
        with Horizontal(id="typed"):
            yield self.name_line
            yield self.filter
        yield self.models
        yield self.preview
        yield self.sources
        yield self.words
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.name_line.border_title = Content("Name of the new session")
        self.filter.border_title = Content("Its model: type to find one")
        self.sources.border_title = Content("Its examples")
        self.name_line.hint = "empty: named after its file, or by its date"
        self.filter.hint = "part of a name, or a hub name: org/name"
        run_latest(self, "models", self._load)

    def paint(self) -> None:
        """Redraw after the workbench state or the form changed."""
        model = self.models.choice
        title = f"Models: {len(self.models.choices)} of {len(self._all)}"
        self.models.border_title = Content(clean(f"{title} · chosen: {model.name}" if model is not None else title))
        if model is not None:
            self.preview.show(preview_model(model, find_folders().models, self.state.checked))
        for widget in (self.name_line, self.filter, self.models, self.sources):
            widget.paint()

    # ---- the models

    async def _load(self, chosen: str = "") -> None:
        """List the models, then ask the host one by one whether a run fits: with GPUs that takes a moment each."""
        self._all = await asyncio.to_thread(model_choices, find_folders().models)
        wanted = chosen or self.state.options.model
        self.models.choices, self.models.fits = narrow_choices(self._all, self.filter.text), self._fits
        self.models.at = next((at for at, each in enumerate(self.models.choices) if each.name == wanted), 0)
        self.paint()
        if self._due:
            self._due = False
            self._take_model()
        for choice in [each for each in self._all if each.here and not each.trouble and each.name not in self._fits]:
            ask = GetPreflight(options=RunOptions(model=choice.name), task=DEFAULT_TASK)
            try:
                self._fits[choice.name] = (await self.link.ask(ask, PreflightAnswer)).preflight
            except HeadcodeError:
                continue  # what a run needs stays unknown; the session can be made all the same
            self.models.paint()

    @on(LineEdit.Changed)
    def _narrow(self) -> None:
        if not self.filter.has_focus:
            return
        before = self.models.choice
        self.models.choices = narrow_choices(self._all, self.filter.text)
        kept = [at for at, each in enumerate(self.models.choices) if each == before]
        self.models.at = kept[0] if kept and not self.filter.text.strip() else 0
        self.paint()

    @on(ModelList.Picked)
    def _model_picked(self, message: ModelList.Picked) -> None:
        """Choose a clicked model; a second click goes on with it."""
        again, self.models.at = message.place == self.models.at, message.place
        self.filter.focus()
        if again:
            self._take_model()
        self.paint()

    def _take_model(self) -> None:
        """Go on with the chosen model; fetch it first if it is not here."""
        choice = self.models.choice
        self._due = not self._all  # enter came before the list was read
        if choice is None or self.models.fetching:
            return
        if choice.trouble:
            self.words.say(f"{choice.name} cannot be used: {choice.trouble}")
        elif choice.here:
            self.words.say("")
            self.sources.focus()
        elif choice.terms and self._agreed != choice.name:
            self._agreed = choice.name
            self.words.say(f"{choice.terms} Enter again fetches it.", "second")
        else:
            self.models.fetching = "starting"
            run_latest(self, "fetch", partial(self._fetch, choice.name))

    async def _fetch(self, name: str) -> None:
        def report(words: str) -> None:
            self.models.fetching = words
            self.models.paint()

        self.words.say(f"{name} is fetched once; {self.state.key('new-session:close')} stops it.", "dim")
        try:
            done = await fetch_in_process([name], report)
        except (HeadcodeError, OSError) as error:
            self.words.say(format_message(error.as_failure()) if isinstance(error, HeadcodeError) else str(error))
            return
        finally:
            self.models.fetching = ""
            self.paint()
        self.filter.put("")
        self.words.say(f"{done.name} is here.", "good")
        if self.filter.has_focus:
            self.sources.focus()
        run_latest(self, "models", partial(self._load, done.name))

    # ---- the questions, one after the other

    @on(LineEdit.Done)
    def _done(self, message: LineEdit.Done) -> None:
        if not message.again:
            self.action_close()
        elif self.name_line.has_focus:
            self.filter.focus()
        else:
            self._take_model()

    @on(FormLine.Moved)
    def _moved(self, message: FormLine.Moved) -> None:
        steps = (self.name_line, self.filter, self.sources)
        at = next((place for place, each in enumerate(steps) if each.has_focus), 0)
        if message.by > 0 and at == 1:
            self._take_model()
        else:
            steps[max(at + message.by, 0)].focus()

    @on(LineEdit.Left)
    def _left(self, message: LineEdit.Left) -> None:
        """Up and down of the lines move in the list of models."""
        if not self.models.fetching:
            self.models.at = min(max(self.models.at + message.by, 0), max(len(self.models.choices) - 1, 0))
        self.filter.focus()
        self.paint()

    @on(LineEdit.Pasted)
    def _pasted(self, message: LineEdit.Pasted) -> None:
        self._write(message.text)

    def on_paste(self, event: events.Paste) -> None:
        """Take a paste on the list of sources as the examples."""
        if self.sources.has_focus and event.text.strip():
            event.stop()
            self._write(event.text)

    def _write(self, text: str) -> None:
        self._make(begin=lambda screen: example_sources.add_text(screen, text))

    @on(LinePicked)
    def _picked(self, message: LinePicked) -> None:
        self.sources.at = message.place
        self.sources.focus()
        self.action_take()

    def action_choose(self, by: int) -> None:
        self.sources.at = min(max(self.sources.at + by, 0), len(self.sources.ways) - 1)
        self.sources.paint()

    def action_take(self) -> None:
        kind = self.sources.ways[self.sources.at][0]
        if kind == "own":
            self._make(begin=lambda screen: screen.action_add())
        elif kind == "file":
            title = "Examples from which file? Lines, JSONL or CSV."
            self.app.push_screen(FilePickerScreen(self.state, title, Path.cwd(), self._from_file))
        elif kind == "task":
            self.app.push_screen(TaskPickerScreen(self.state, lambda task, pairs: self._make(task=task, pairs=pairs)))
        else:
            task = _shown_task(self.state)
            own = () if task is not None else self.state.examples
            self._make(ask=CreateSession(model="", task=task, examples=tuple(own)))

    def _from_file(self, path: Path) -> None:
        self._make(name=path.stem, begin=lambda screen: example_sources.read(screen, path))

    def action_close(self) -> None:
        if self._creating:
            self.words.say("The session is being made …", "dim")  # it could not be taken back
        elif self.models.fetching:
            self.workers.cancel_group(self, "fetch")
            self.words.say("The fetch was stopped; nothing was kept.", "second")
        elif self.sources.has_focus:
            self.filter.focus()
        elif self.filter.has_focus:
            self.name_line.focus()
        else:
            self.dismiss()

    # ---- the session

    def _make(
        self,
        *,
        name: str = "",
        task: str | None = None,
        pairs: int = 0,
        begin: Begin | None = None,
        ask: CreateSession | None = None,
    ) -> None:
        """Create the session and open it. `name`: if none was typed."""
        choice = self.models.choice
        if choice is None or not choice.here or choice.trouble:
            self.words.say("Choose a model first: one that is here, or fetch it with enter.")
            self.filter.focus()
            return
        typed = self.name_line.text.strip() or name
        request = msgspec.structs.replace(
            ask or CreateSession(model="", task=task, pairs=pairs), name=typed or None, model=choice.name
        )
        if not self._creating:
            self._creating = True
            self.run_worker(self._create(request, begin), group="create", exit_on_error=True)

    async def _create(self, request: CreateSession, begin: Begin | None) -> None:
        try:
            made = (await self.link.ask(request, SessionAnswer)).session
        except HeadcodeError as error:
            self._creating = False
            self.words.say(format_message(error.as_failure()))
            self.name_line.focus()
            return
        self.dismiss()
        self.made(made.session_id, begin)


def _shown_task(state: WorkbenchState) -> str | None:
    """Return the task of the session; None for examples of the user's own, even if it started with a task."""
    return state.task if not state.examples or made_by(state.task, state.examples) else None


def _ways(state: WorkbenchState) -> tuple[tuple[str, str, str], ...]:
    """Return the sources of examples: kind, title, detail."""
    task, n = _shown_task(state), len(state.examples)
    here = f"task {task}" if task is not None else f"no task: {n} example{'s' * (n != 1)}, copied"
    return (
        ("own", "write or paste them", "no task: one line each, graded as you type; a paste works here, too"),
        ("file", "from a file", "no task: lines, JSONL or CSV; the session is named after it"),
        ("task", "a ready-made task", f"{len(TASKS)} tasks, their examples made for the model"),
        ("same", "those of this session", here),
    )
