"""The palette: everything that can be done or opened, found by what a person calls it."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

import msgspec
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.widgets import Input

from engine.catalog.local_models import local_models
from engine.errors import HeadcodeError
from engine.machine.folders import find_folders
from engine.nodes import NodeId
from sessions.protocol import ListRuns, ListSessions, RunsAnswer, SessionsAnswer
from sessions.rows import ListedRun, SessionRow
from tui.actions import ACTIONS, Action, with_own_keys
from tui.actions.synonyms import SYNONYMS
from tui.screens.panes import PanesScreen
from tui.settings.remembered import load_screen_memory, record_recent
from tui.settings.table import SETTINGS, SettingSpec, Value, find_setting
from tui.state.documents import DocumentPage
from tui.state.entry_search import EntryIndex, PaletteEntry
from tui.state.palette_entries import (
    document_entries,
    document_texts,
    model_entries,
    node_entries,
    other_run_entries,
    run_entries,
    session_entries,
)
from tui.themes.themes import CHOICES
from tui.widgets.action_keys import ActionKeys

OPENERS: Mapping[str, str] = {
    "write": "write",
    "negatives": "write",
    "sessions": "sessions",
    "options": "options",
    "progress": "progress",
    "runs": "runs",
    "sweeps": "sweeps",
    "circuits": "circuits",
    "edges": "edges",
    "table-of-heads": "table",
    "close-look": "close_up",
    "mlp-page": "close_up",
    "places-by-layer": "stream_grid",
    "side-by-side": "side_by_side",
    "switch-off": "switch_off",
    "steering": "close_up",
    "atlas": "atlas",
    "scatter": "scatter",
    "copy-the-grid": "copy",
    "replay": "replay",
    "log": "log",
    "settings": "settings",
}
"""By table of keys.toml, the action of the workbench that opens the screen with these keys."""
_AT_ONCE = frozenset(
    {"sessions:new", "sessions:find", "sessions:trash", "write:take", "write:read", "write:store", "write:position"}
    | {"table-of-heads:filter", "options:preset", "log:errors", "runs:newest"}
    | {"runs:name", "runs:tags", "write:outside"}
)
"""Actions that ask further, or change nothing that is stored: done as soon as their screen is open."""
_MOVES = re.compile(r"step|walk|choose|close|back|move|pan|page|scroll|kind|source|rank|keys|palette|help|prompt|end")
"""Methods of other screens that only move the cursor there, or are on the workbench, too."""
_SESSIONS = 2_000
"""Maximum sessions listed."""
_RUNS = 1_000
"""Maximum runs of other sessions listed, the newest."""
_MOST = 60
"""Results shown."""
_ELSEWHERE = 0.97
"""Weight of an action of another screen."""


class PaletteProgram(Protocol):
    """What the application does for the palette, beside what every Textual application does."""

    def with_own_keys(self, actions: Sequence[Action]) -> Sequence[Action]: ...

    def change(self, setting: SettingSpec, value: Value | None) -> str: ...

    def show_notice(self, words: str, *, title: str = "", severity: SeverityLevel = "information") -> None: ...

    def action_settings(self) -> None: ...


class PaletteContents:
    """The entries of the palette over one screen. What takes time to find is added while the palette is open."""

    def __init__(self, screen: Screen[Any], changed: Callable[[], None]) -> None:
        self.screen, self._changed = screen, changed
        self.app = screen.app
        self.program = cast("PaletteProgram", screen.app)
        self.recent = load_screen_memory().recent
        self._others: list[PaletteEntry] = []
        self._sessions: tuple[SessionRow, ...] = ()
        self._runs: tuple[ListedRun, ...] = ()
        self._texts: Mapping[str, frozenset[str]] = {}
        self._index: EntryIndex | None = None

    @property
    def _panes(self) -> PanesScreen | None:
        return self.screen if isinstance(self.screen, PanesScreen) else None

    @property
    def _live(self) -> bool:
        return self._panes is not None and self._panes.state.link == "live"

    async def load(self) -> None:
        """Add the actions of other screens, whose modules are imported for it, the texts of documents, the sessions."""
        from tui.actions.registry import all_tables

        if self._panes is not None:
            self._others = list(self._other_actions(await asyncio.to_thread(all_tables)))
        self._texts = await asyncio.to_thread(document_texts)
        self._index = None
        self._changed()
        if self._panes is not None and self._live:
            try:
                answer = await self._panes.link.ask(ListSessions(limit=_SESSIONS), SessionsAnswer)
            except HeadcodeError:
                return  # the workbench shows that the host is lost
            self._sessions, self._index = answer.sessions, None
            self._changed()
            try:
                runs = await self._panes.link.ask(ListRuns(limit=_RUNS), RunsAnswer)
            except HeadcodeError:
                return
            self._runs, self._index = runs.runs, None
            self._changed()

    def search(self, query: str) -> list[tuple[float, PaletteEntry]]:
        """Return what the query finds with its scores, the best first."""
        if self._index is None:
            self._index = EntryIndex(self.entries())
        found = self._index.search(query, limit=_MOST, recent=self.recent)
        if self._panes is not None:
            nodes = node_entries(self._panes.state, query, self._go)
            complete = bool(nodes) and nodes[0].id.partition(":")[2] == query.split()[-1].lower()
            best = found[0][0] if found else 0.0
            first = 1.5 if complete else min(0.8, best)
            found += [(first - place / 100, entry) for place, entry in enumerate(nodes)]
            found.sort(key=lambda pair: -pair[0])
        return found[:_MOST]

    def first(self) -> list[PaletteEntry]:
        """Return what is listed before anything is typed: recent ones, then the actions that can be done."""
        entries = list(self.entries())
        by_id = {entry.id: entry for entry in entries}
        recent = [by_id[name] for name in self.recent if name in by_id]
        actions = [entry for entry in self.actions() if entry.id not in self.recent]
        return recent + sorted(actions, key=lambda entry: entry.disabled)

    def entries(self) -> Iterator[PaletteEntry]:
        """Yield every entry except nodes, which are found by their names."""
        yield from self.actions()
        yield from self._others
        panes = self._panes
        if panes is not None:
            yield from run_entries(panes.state.runs, self._show_run)
        if panes is not None and self._live:
            yield from other_run_entries(self._runs, panes.state.session_id, panes.link.open_run)
            yield from session_entries(self._sessions, panes.state.session_id, panes.link.open)
            names = [source.name for source in local_models(find_folders().models)]
            yield from model_entries(names, panes.state.options.model, self._use_model)
        yield from self._settings()
        yield from document_entries(self._read, self._texts)

    def actions(self) -> Iterator[PaletteEntry]:
        """Yield the actions of the screen itself."""
        screen = self.screen
        table = screen.bound_actions if isinstance(screen, ActionKeys) else self.program.with_own_keys(ACTIONS)
        why: Callable[[Action], str] = getattr(screen, "disabled_reason", lambda _: "")
        for action in table:
            if action.id != "palette":
                reason = why(action)
                yield PaletteEntry(
                    id=action.full_id,
                    title=action.title,
                    label=f"{action.title}  – disabled" if reason else f"{action.title}  ({action.key})",
                    detail=reason or action.tooltip,
                    words=SYNONYMS.get(action.full_id, ()),
                    keys=(action.key,),
                    disabled=bool(reason),
                    do=partial(self._do, action.call, screen),
                )

    def _other_actions(self, tables: Mapping[str, Sequence[Action]]) -> Iterator[PaletteEntry]:
        panes = self._panes
        assert panes is not None
        mine = {action.id: action for action in panes.bound_actions}
        for scope, name in OPENERS.items():
            opener = mine.get(name)
            for action in with_own_keys(self.app, tables[scope]) if opener is not None else ():
                known = action.id in mine or _MOVES.match(action.id)
                if opener is None or (known and action.full_id not in SYNONYMS):
                    continue
                reason = panes.disabled_reason(opener)
                keys = f"{opener.key} {action.key}"
                yield PaletteEntry(
                    id=action.full_id,
                    title=action.title,
                    label=f"{action.title}  – disabled" if reason else f"{action.title}  ({keys}: {opener.title})",
                    detail=reason or action.tooltip,
                    words=SYNONYMS.get(action.full_id, ()),
                    keys=(keys,),
                    weight=_ELSEWHERE,
                    disabled=bool(reason),
                    do=partial(self._open_for, opener, action),
                )

    def _settings(self) -> Iterator[PaletteEntry]:
        for theme in CHOICES:
            yield PaletteEntry(
                id=f"theme:{theme.name}",
                title=f"Theme {theme.name}",
                detail="Use this theme; saved in the settings",
                words=("dark mode" if theme.dark else "light mode", "color scheme"),
                weight=0.9,
                do=partial(self._change, find_setting("screen.theme"), theme.name),
            )
        for setting in SETTINGS:
            yield PaletteEntry(
                id=f"setting:{setting.name}",
                title=f"Setting {setting.title}",
                label=f"Setting: {setting.title}  ({setting.name})",
                detail=setting.meaning,
                words=(setting.title, *_SETTING_WORDS.get(setting.name, ())),
                weight=0.9,
                do=partial(self._open_setting, setting.name),
            )

    # ---- what an entry does

    def choose(self, entry: PaletteEntry) -> None:
        """Do what the entry says, and list it first next time."""
        record_recent(entry.id)
        entry.do()

    def _do(self, call: str, screen: Screen[object]) -> None:
        self.app.run_worker(self.app.run_action(call, screen), exit_on_error=True)

    def _open_for(self, opener: Action, action: Action) -> None:
        """Open the screen of an action, then do it, or say its key if it changes what is stored."""

        async def go() -> None:
            before = self.app.screen
            await self.app.run_action(opener.call, self.screen)
            opened = self.app.screen
            if opened is before:
                return
            if action.full_id in _AT_ONCE:
                opened.call_after_refresh(self.app.run_action, action.call, opened)
            else:
                self.program.show_notice(f"{action.key}  {action.tooltip}.", title=action.title)

        self.app.run_worker(go(), exit_on_error=True)

    def _go(self, node: NodeId) -> None:
        panes = self._panes
        if panes is not None:
            if panes.state.put_cursor(*node):
                panes.drawing.cursor_moved()
            panes.action_show_pane("grid")

    def _show_run(self, run_id: str) -> None:
        panes = self._panes
        if panes is not None:
            panes.state.show_run(run_id)
            panes.drawing.now()

    def _use_model(self, name: str) -> None:
        panes = self._panes
        if panes is not None:
            options = panes.state.options
            panes.link.choose_options(msgspec.structs.replace(options, model=name))
            key = panes.state.key("run")
            self.program.show_notice(f"The next run reads {name}; {key} runs it.", title="Model")

    def _change(self, setting: SettingSpec, value: str) -> None:
        if words := self.program.change(setting, value):
            self.program.show_notice(words, severity="warning")

    def _open_setting(self, name: str) -> None:
        from tui.screens.settings import SettingsScreen

        if self._panes is not None:
            self.app.push_screen(SettingsScreen(self._panes.state, setting=name))
        else:
            self.program.action_settings()

    def _read(self, page: DocumentPage) -> None:
        from tui.screens.document import DocumentScreen

        self.app.push_screen(DocumentScreen(page))


class EntryProvider(Provider):
    """Textual's side of the palette."""

    async def startup(self) -> None:
        self._contents = PaletteContents(self.screen, self._search_again)
        self._loading = asyncio.create_task(self._contents.load())

    async def shutdown(self) -> None:
        self._loading.cancel()

    def _search_again(self) -> None:
        """Repeat the search of what is typed: there are more entries now."""
        palette = self.app.screen
        if isinstance(palette, CommandPalette):
            line = palette.query_one(Input)
            if line.value:
                line.post_message(Input.Changed(line, line.value))

    async def search(self, query: str) -> Hits:
        for score, entry in self._contents.search(query):
            yield Hit(
                score,
                self._shown(entry, query),
                partial(self._contents.choose, entry),
                text=entry.shown,
                help=cast("str", Content(entry.detail)),  # Textual reads a str as markup, and a name may contain some
            )

    async def discover(self) -> Hits:
        for entry in self._contents.first():
            yield DiscoveryHit(
                Content(entry.shown),
                partial(self._contents.choose, entry),
                text=entry.shown,
                help=cast("str", Content(entry.detail)),
            )

    def _shown(self, entry: PaletteEntry, query: str) -> Content:
        """Return the label with the words underlined that the query begins."""
        content, words = Content(entry.shown), query.lower().split()
        for found in re.finditer(r"[\w.]+", entry.shown):
            typed = max((len(word) for word in words if found[0].lower().startswith(word)), default=0)
            if typed and self.match_style is not None:
                content = content.stylize(self.match_style, found.start(), found.start() + typed)
        return content


_SETTING_WORDS: Mapping[str, tuple[str, ...]] = {
    "screen.theme": ("dark mode", "light mode", "color scheme"),
    "screen.map": ("colormap", "color map", "color blind", "viridis", "heatmap colours", "palette"),
    "screen.colours": ("colours", "true color", "256 colours", "monochrome"),
    "screen.mouse": ("mouse", "click", "select text"),
    "screen.plain": ("screen reader", "accessibility", "plain text"),
    "screen.signs": ("significance",),
    "screen.motion": ("animation", "reduce motion"),
    "screen.redraws": ("frame rate", "slow connection", "ssh", "lag"),
    "host.store_memory": ("memory", "database memory"),
    "host.store_threads": ("cores", "threads"),
    "host.trash_days": ("trash",),
}
