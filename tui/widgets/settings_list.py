"""The settings as a list: title, value, where the value comes from; below, what the one at hand means."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import msgspec
from rich.color import Color
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from engine.errors import HeadcodeError
from engine.machine.folders import find_folders
from tui.settings.remembered import load_screen_memory, record_toured, screen_memory_path
from tui.settings.settings import Settings
from tui.settings.table import SETTINGS, SettingSpec, Value
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.themes.themes import LEVELS, Depth, heat_colours
from tui.widgets.heat_cell import SHADES
from tui.widgets.line_widget import LineWidget
from tui.widgets.styled_line import StyledLine, fit, fit_end, wrap

_ABOUT = 7
"""Lines below the list."""
_GROUPS = {"screen": "The screen", "host": "The host and the engine"}


class SettingsApp(Protocol):
    """Of the application, what stands in the list."""

    @property
    def settings(self) -> Settings: ...
    @property
    def problems(self) -> Sequence[HeadcodeError]: ...
    @property
    def own_keys(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def shown_depth(self) -> Depth: ...


class SettingsRow(msgspec.Struct, frozen=True):
    """A line of the list. One of a setting, of what is remembered, or of a file."""

    kind: str
    """head, setting, memory or file."""
    title: str
    value: str = ""
    source: str = ""
    about: str = ""
    setting: SettingSpec | None = None
    wrong: bool = False


class SettingsList(LineWidget):
    """The chosen line is marked; the arrows pass over heads."""

    class Picked(Message):
        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(state, id=id)
        self.at = 1
        self.words, self.ink_of_words = "", "dim"
        self._first = 0

    @property
    def _program(self) -> SettingsApp:
        return cast("SettingsApp", self.app)

    @property
    def rows(self) -> list[SettingsRow]:
        found = self._program.settings.found
        rows: list[SettingsRow] = []
        gap = [SettingsRow("head", "")] if self.size.height - _ABOUT > len(SETTINGS) + 13 else []
        for table, title in _GROUPS.items():
            rows += [*(gap if rows else []), SettingsRow("head", title)]
            for each in SETTINGS:
                if each.table == table:
                    now = found[each.name]
                    rows.append(
                        SettingsRow(
                            "setting",
                            each.title,
                            each.shown(now.value),
                            now.source,
                            each.meaning,
                            each,
                            "makes no sense" in now.source,
                        )
                    )
        toured = load_screen_memory().toured
        about = "Whether the tour for newcomers was offered; change it to be offered it when the screen starts next."
        rows += [
            *gap,
            SettingsRow("head", "Remembered"),
            SettingsRow(
                "memory", "Tour", "offered" if toured else "comes when the screen starts next", "screen.json", about
            ),
        ]
        return [*rows, *gap, SettingsRow("head", "Files"), *self._files()]

    @property
    def setting(self) -> SettingSpec | None:
        return self.rows[self.at].setting

    def value_of(self, setting: SettingSpec) -> Value:
        return self._program.settings[setting.name]

    def step(self, by: int) -> None:
        rows = self.rows
        place = self.at + by
        while 0 <= place < len(rows) and rows[place].kind == "head":
            place += 1 if by > 0 else -1
        if 0 <= place < len(rows):
            self.at = place
        self.say("")

    def say(self, words: str, ink: str = "dim") -> None:
        self.words, self.ink_of_words = words, ink
        self.paint()

    def turn_memory(self) -> None:
        """Forgets that the tour was offered, or knows it again."""
        if self.rows[self.at].kind == "memory":
            record_toured(not load_screen_memory().toured)
            self.say("Kept.", "good")

    def lines(self, size: Size, /) -> list[Strip]:
        rows = self.rows
        room = max(size.height - _ABOUT, 1)
        if self.at < self._first + 1:
            self._first = max(self.at - 1, 0)
        self._first = min(max(self._first, self.at - room + 1), max(len(rows) - room, 0))
        found = [self._one(place, rows[place], size.width) for place in range(self._first, len(rows))][:room]
        found += [self.line().strip()] * (room - len(found))
        return [*found, *self._about(rows[self.at], size)][: size.height]

    def _one(self, place: int, row: SettingsRow, width: int) -> Strip:
        if row.kind == "head":
            return self.line().add(f" {row.title}", "second").strip()
        on = place == self.at
        line = (
            self.line()
            .add(" ▸ " if on else "   ", "accent")
            .add(fit(row.title, 22 if width < 100 else 24), "strong" if on else "text")
        )
        line.to(min(28, width // 3), " ")
        told = row.source if width >= 100 else row.source.removeprefix("the ").removeprefix("config.toml, ")
        source = min(30, max(width - 66, 0)) if row.kind != "file" else 0
        room = width - line.width - source - 2
        if row.setting is not None and row.setting.key == "map":
            self._swatch(line, row.value.partition(":")[0])
            room = width - line.width - source - 2
        shown = fit_end(row.value, room) if row.kind == "file" else fit(row.value, room)
        own = row.source not in ("the usual value", "")
        line.add(shown, "bad" if row.wrong else "accent" if own and row.kind == "setting" else "text" if on else "dim")
        if source:
            line.to(min(width - source - 1, 92), " ").add(fit(told, source), "bad" if row.wrong else "faint")
        return line.strip()

    def _swatch(self, line: StyledLine, name: str) -> None:
        """The map from silent to loud."""
        depth = self._program.shown_depth
        colours = heat_colours(dark=self.app.current_theme.dark, name=name)
        for place in range(14):
            level = place * (LEVELS - 1) // 13
            if depth in ("16", "none"):
                line.add(SHADES[place * (len(SHADES) - 1) // 13], "text")
            else:
                line.add_styled(" ", Style(bgcolor=Color.from_rgb(*colours[level])))
        line.add("  ")

    def _about(self, row: SettingsRow, size: Size) -> list[Strip]:
        """What it means, what it can be, where it stands, when it takes effect."""
        width = size.width - 3
        rule = self.line().add("─" * size.width, "groove")
        found = [(words, "text") for words in wrap(row.about, width, 2)]
        setting = row.setting
        if setting is not None:
            values = "" if isinstance(setting.default, bool) else f"It is {setting.wanted}."
            path = fit_end(clean(str(self._program.settings.path)), max(width - len(setting.name) - 20, 20))
            usual = f"{values} Usual: {setting.shown(setting.default)}.".strip()
            found += [
                *((words, "dim") for words in wrap(usual, width, max(_ABOUT - 4 - len(found), 1))),
                (f"[{setting.table}] {setting.key} in {path}", "dim"),
                (f"Takes effect {setting.when}.", "dim"),
            ]
        lines = [self.line().add(" ").add(fit(words, width), ink).strip() for words, ink in found[: _ABOUT - 2]]
        lines += [self.line().strip()] * (_ABOUT - 2 - len(lines))
        said = self.line().add(" ").add(fit(self.words, width), self.ink_of_words)
        return [rule.strip(), *lines, said.strip()]

    def _files(self) -> list[SettingsRow]:
        places, problems = find_folders(), [clean(problem.message) for problem in self._program.problems]

        def row(title: str, path: Path, about: str) -> SettingsRow:
            wrong = [words for words in problems if words.startswith(str(path))]
            there = "" if path.exists() else "  (not there yet)"
            told = f"{wrong[0]} " + (f"{len(wrong) - 1} more. " if len(wrong) > 1 else "") if wrong else ""
            return SettingsRow("file", title, f"{clean(str(path))}{there}", "", told + about, wrong=bool(wrong))

        changed, again = len(self._program.own_keys), self.state.key("settings:again")
        keys = f"{changed} key{'s' if changed != 1 else ''} of your own. headcode keys prints all, to begin with."
        return [
            row("Settings", places.settings, f"This list, to be edited by hand too: {again} reads it again."),
            row("Keys", places.keys, f"{keys} {again} reads it again."),
            row("Remembered", screen_memory_path(), "What may be deleted any time."),
            row("Sessions", places.store, "Everything that was ever run. HEADCODE_HOME moves all of this."),
            row("Logs", places.logs, "What went wrong, in full: of the screen, the host and the engine."),
        ]

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and place.y < self.size.height - _ABOUT and self._first + place.y < len(self.rows):
            where = self._first + place.y
            if self.rows[where].kind != "head":
                self.post_message(self.Picked(where))
