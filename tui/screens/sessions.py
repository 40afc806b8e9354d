"""All sessions: search, open, rename, tag, note, delete, restore."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content

from engine.errors import HeadcodeError
from sessions.protocol import (
    AnyRequest,
    ChangeTags,
    ExampleSet,
    GetExamples,
    ListSessions,
    NoteAnswer,
    RenameSession,
    RestoreSession,
    SearchResults,
    SearchSessions,
    SessionAnswer,
    SessionDetailAnswer,
    SessionsAnswer,
    ShowSession,
    TrashSession,
    WriteNote,
)
from sessions.rows import SessionRow
from tui.actions import screen_actions
from tui.connection.session_link import SessionLink
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.text_prompt import TextPromptSheet
from tui.state.messages import format_message
from tui.state.previews import PreviewLine, preview_session
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.latest_worker import run_latest
from tui.widgets.line_widget import LinePicked
from tui.widgets.preview_pane import PREVIEW_AFTER_S, PreviewPane
from tui.widgets.session_list import SessionList
from tui.widgets.styled_line import fit, fit_end, one_line

if TYPE_CHECKING:
    from tui.screens.new_session import Begin

ACTIONS = screen_actions(
    "Sessions",
    ("open", "", "enter", "Open", "Open this session", "open"),
    ("find", "", "slash,f", "Search", "Words in names, tags, notes, prompts, models and tasks", "search"),
    ("rename", "", "r", "Rename", "Give the session another name", "rename"),
    ("tags", "", "t", "Tags", "Change the session's tags", "tags"),
    ("note", "", "N,shift+n", "Note", "Write a note on the session", "note"),
    ("delete", "", "d,delete", "Delete", "Move the session to the trash, from where it can be restored", "delete"),
    ("restore", "", "u", "Restore", "Restore the session deleted last or, in the trash, the selected one", "undo"),
    ("trash", "", "T,shift+t", "Trash", "Show the trash, or the sessions again", "trash"),
    ("new", "", "n", "New session", "A session: its name, its model, and where its examples come from", "new"),
    ("close", "", "escape,S,shift+s,q", "Back", "Back to the workbench; after a search, to all sessions", "back"),
    ("step.down", "1", "down,j", "Next session", "One line down", ""),
    ("step.up", "-1", "up,k", "Previous session", "One line up", ""),
    ("step.page_down", "20", "pagedown", "Twenty lines down", "Twenty lines down", ""),
    ("step.page_up", "-20", "pageup", "Twenty lines up", "Twenty lines up", ""),
    ("step.first", "-1000000", "home", "First line", "To the first line", ""),
    ("step.last", "1000000", "end", "Last line", "To the last line", ""),
)
_MOST = 1_000
"""Maximum sessions listed; search finds the others."""


class SessionsScreen(SubScreen):
    """The screen. All changes go through the host, as on the command line."""

    CSS_PATH = "sessions.tcss"
    actions = ACTIONS
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState, link: SessionLink, write: "Callable[[str, Begin], None]") -> None:
        super().__init__(state)
        self.link = link
        self.write = write
        """Opens the write screen on a new session, as soon as the session is there."""
        self.list = SessionList(state, id="sessions")
        self.preview = PreviewPane(state)
        self._previewed: tuple[str, int] | None = None
        """The session in the preview, and its last change."""
        self.wanted = ""
        self._deleted: list[SessionRow] = []

    def compose(self) -> ComposeResult:
        yield self.list
        yield self.preview
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self._title()
        self._load()

    def paint(self) -> None:
        self._title()
        self.list.paint()
        row = self.list.row
        wanted = None if row is None else (row.session_id, row.updated_us)
        if wanted != self._previewed:
            self._previewed = wanted
            run_latest(self, "preview", partial(self._preview, row))

    async def _preview(self, row: SessionRow | None) -> None:
        """Show the session at the cursor; a cursor that moves on within a moment asks nothing."""
        if row is None:
            self.preview.border_title = ""
            self.preview.show(())
            return
        await asyncio.sleep(PREVIEW_AFTER_S)
        self.preview.border_title = Content(fit(clean(row.name), 70))
        try:
            detail = (await self.link.ask(ShowSession(session=row.session_id), SessionDetailAnswer)).detail
            found = await self.link.ask(GetExamples(session=row.session_id), ExampleSet)
        except HeadcodeError as error:
            self.preview.show([PreviewLine("trouble", error.message, "bad")])
            return
        self.preview.show(preview_session(detail, found.examples))

    # ---- the list

    def _load(self, keep: str | None = None) -> None:
        """Reload the list; the session with that id stays selected."""
        current = self.list.row.session_id if self.list.row is not None else self.state.session_id
        run_latest(self, "list", partial(self._fetch, keep or current))

    async def _fetch(self, keep: str | None) -> None:
        try:
            if self.wanted and not self.list.trash:
                found = await self.link.ask(SearchSessions(text=self.wanted, limit=_MOST), SearchResults)
                self.list.rows = tuple(hit.session for hit in found.hits)
                self.list.hits = {hit.session.session_id: hit for hit in found.hits}
            else:
                request = ListSessions(limit=_MOST, trashed=self.list.trash)
                self.list.rows, self.list.hits = (await self.link.ask(request, SessionsAnswer)).sessions, {}
        except HeadcodeError as error:
            self._say(format_message(error.as_failure()), "bad")
            return
        places = [place for place, row in enumerate(self.list.rows) if row.session_id == keep]
        if places:
            self.list.chosen = places[0]
        if not self.list.rows:
            self._say(self._nothing())
        self.paint()

    def action_step(self, by: int) -> None:
        self.list.chosen += by
        self._say("")

    def action_find(self) -> None:
        before = self.wanted

        def look(text: str) -> str:
            """Search while the user types."""
            self._look(text)
            return ""

        def answered(text: str | None) -> None:
            self._look(before if text is None else text)

        hint = "Words in names, tags, notes, prompts, models, tasks; all must match. Empty shows all."
        self.list.trash = False
        self.app.push_screen(TextPromptSheet("Search", hint, text=self.wanted, judge=look), answered)

    def _look(self, text: str) -> None:
        self.wanted = text.strip()[:200]
        self.list.chosen, self.list.words = 0, ""
        self._load()

    def action_trash(self) -> None:
        self.list.trash = not self.list.trash
        self.wanted, self.list.chosen = "", 0
        self._say(
            f"{self._key('restore')} restores one; headcode sessions empty deletes them for good."
            if self.list.trash
            else ""
        )
        self._load()

    def action_close(self) -> None:
        if self.wanted or self.list.trash:
            self.wanted, self.list.trash = "", False
            self._say("")
            self._load()
        else:
            self.dismiss()

    # ---- actions on one session

    def action_open(self) -> None:
        row = self.list.row
        if row is None:
            return
        if row.trashed_us is not None:
            self._say(f"It is in the trash: {self._key('restore')} restores it first.", "second")
            return
        if row.session_id != self.state.session_id:
            self.link.open(row.session_id)
        self.dismiss()

    def action_rename(self) -> None:
        row = self._active_row()
        if row is not None:
            self._ask(
                "Rename", "The new name.", row.name, lambda text: RenameSession(session=row.session_id, name=text)
            )

    def action_tags(self) -> None:
        row = self._active_row()
        if row is None:
            return

        def change(text: str) -> ChangeTags:
            now, old = {word.lstrip("#").lower() for word in text.split()}, set(row.tags)
            return ChangeTags(session=row.session_id, add=tuple(sorted(now - old)), remove=tuple(sorted(old - now)))

        self._ask("Tags", "Short words separated by spaces; empty removes all.", " ".join(row.tags), change)

    def action_note(self) -> None:
        row = self._active_row()
        if row is not None:
            title = f"Note on {row.name}"
            hint = "One line. Notes can be searched; headcode sessions show lists them."
            self._ask(title, hint, "", lambda text: WriteNote(session=row.session_id, text=text))

    def action_new(self) -> None:
        from tui.screens.new_session import NewSessionScreen

        self.app.push_screen(NewSessionScreen(self.state, self.link, self._made))

    def action_delete(self) -> None:
        row = self._active_row()
        if row is not None:
            self._do(lambda: self._delete(row))

    async def _delete(self, row: SessionRow) -> None:
        gone = (await self.link.ask(TrashSession(session=row.session_id), SessionAnswer)).session
        self._deleted.append(gone)
        self._say(f"{one_line(gone.name, 60)} is in the trash: {self._key('restore')} restores it.", "second")

    def action_restore(self) -> None:
        row = self.list.row if self.list.trash else (self._deleted[-1] if self._deleted else None)
        if row is None:
            self._say(f"Nothing was deleted here. {self._key('trash')} shows the trash.", "second")
        else:
            self._do(lambda: self._restore(row))

    async def _restore(self, row: SessionRow) -> None:
        self._deleted = [each for each in self._deleted if each.session_id != row.session_id]
        back = (await self.link.ask(RestoreSession(session=row.session_id), SessionAnswer)).session
        self._say(f"{one_line(back.name, 60)} is restored.", "good")

    # ---- helpers

    def _active_row(self) -> SessionRow | None:
        row = self.list.row
        if row is not None and row.trashed_us is not None:
            self._say(f"It is in the trash: {self._key('restore')} restores it first.", "second")
            return None
        return row

    def _ask(
        self,
        title: str,
        hint: str,
        text: str,
        make: Callable[[str], AnyRequest],
    ) -> None:
        """Ask for a line of text, send the request made of it, show the result."""

        async def send(request: AnyRequest) -> None:
            if isinstance(request, WriteNote):
                await self.link.ask(request, NoteAnswer)
            else:
                await self.link.ask(request, SessionAnswer)
            self._say("Saved.", "good")

        def answered(line: str | None) -> None:
            if line is not None:
                self._do(lambda: send(make(line.strip())))

        self.app.push_screen(
            TextPromptSheet(fit_end(clean(title), 60), hint, text=clean(text), judge=lambda _: ""), answered
        )

    def _made(self, session_id: str, begin: "Begin | None") -> None:
        self.dismiss()
        if begin is None:
            self.link.open(session_id)
        else:
            self.link.open_new(session_id)
            self.write(session_id, begin)

    def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        async def go() -> None:
            try:
                await work()
            except HeadcodeError as error:
                self._say(format_message(error.as_failure()), "bad")
            if self.is_current:
                self._load()

        self.run_worker(go(), group="ask", exit_on_error=True)

    def _key(self, name: str) -> str:
        return self.state.key(f"sessions:{name}")

    def _few_keys(self) -> str:
        return f"{self._key('trash')} trash · {self._key('new')} new · {self._key('close')} back"

    def _nothing(self) -> str:
        """Format why the list is empty."""
        if self.list.trash:
            return "The trash is empty."
        if not self.wanted:
            return f"No sessions: {self._key('new')} creates one."
        changes, all_ = self._key("find"), self._key("close")
        return f"No session matches {one_line(self.wanted, 60)}: {changes} changes the search, {all_} shows all."

    def _say(self, words: str, ink: str = "dim") -> None:
        self.list.words, self.list.ink_of_words = clean(words), ink
        if self.is_mounted:
            self.paint()

    def _title(self) -> None:
        count = len(self.list.rows)
        words = f"{count} session{'s' if count != 1 else ''}"
        if self.list.trash:
            words = f"Trash: {words}"
        elif self.wanted:
            words = f"{words} with {self.wanted}"
        # A narrow key line has no room for these keys.
        self.list.border_subtitle = Content(self._few_keys() if self.app.size.width < 100 else "")
        self.list.border_title = Content(fit(clean(words), 70))

    def on_line_picked(self, message: LinePicked) -> None:
        if message.place == self.list.chosen:
            self.action_open()
        else:
            self.list.chosen = message.place
            self.list.paint()
