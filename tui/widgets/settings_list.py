"""The list of settings: title, value, source; below, the meaning of the selected one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import msgspec
from rich.color import Color
from rich.style import Style
from textual import events
from textual.geometry import Size
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
from tui.widgets.line_widget import LinePicked, LineWidget
from tui.widgets.styled_line import StyledLine, fit, fit_end, wrap

_ABOUT = 7
"""Lines of the description below the list."""
_GROUPS = {"screen": "The screen", "host": "The host and the engine"}


class SettingsApp(Protocol):
    """The parts of the application that the list shows."""

    @property
    def settings(self) -> Settings: ...
    @property
    def problems(self) -> Sequence[HeadcodeError]: ...
    @property
    def own_keys(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def shown_depth(self) -> Depth: ...


class SettingsRow(msgspec.Struct, frozen=True):
    """One line of the list: a group title, a setting, remembered state or a file."""

    kind: str
    """head, setting, memory or file."""
    title: str
    value: str = ""
    source: str = ""
    about: str = ""
    setting: SettingSpec | None = None
    wrong: bool = False


class SettingsList(LineWidget):
    """The list. Arrows skip the group titles."""

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
        about = "Whether the tour was offered; change it to be offered the tour at the next start."
        rows += [
            *gap,
            SettingsRow("head", "Remembered"),
            SettingsRow("memory", "Tour", "offered" if toured else "offered at the next start", "screen.json", about),
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

    def find(self, name: str) -> None:
        """Select the setting with that name, such as screen.theme."""
        names = ["" if row.setting is None else row.setting.name for row in self.rows]
        if name in names:
            self.at = names.index(name)

    def say(self, words: str, ink: str = "dim") -> None:
        self.words, self.ink_of_words = words, ink
        self.paint()

    def turn_memory(self) -> None:
        """Toggle whether the tour counts as offered."""
        if self.rows[self.at].kind == "memory":
            record_toured(not load_screen_memory().toured)
            self.say("Saved.", "good")

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
        shown_source = row.source if width >= 100 else row.source.removeprefix("the ").removeprefix("config.toml, ")
        source = min(30, max(width - 66, 0)) if row.kind != "file" else 0
        room = width - line.width - source - 2
        if row.setting is not None and row.setting.key == "map":
            self._swatch(line, row.value.partition(":")[0])
            room = width - line.width - source - 2
        shown = fit_end(row.value, room) if row.kind == "file" else fit(row.value, room)
        own = row.source not in ("default", "")
        line.add(shown, "bad" if row.wrong else "accent" if own and row.kind == "setting" else "text" if on else "dim")
        if source:
            line.to(min(width - source - 1, 92), " ").add(fit(shown_source, source), "bad" if row.wrong else "faint")
        return line.strip()

    def _swatch(self, line: StyledLine, name: str) -> None:
        """Add the colours of a map from low to high."""
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
        """Make the description: meaning, values, place in the file, when it takes effect."""
        width = size.width - 3
        rule = self.line().add("─" * size.width, "groove")
        found = [(words, "text") for words in wrap(row.about, width, 2)]
        setting = row.setting
        if setting is not None:
            values = "" if isinstance(setting.default, bool) else f"Values: {setting.wanted}."
            path = fit_end(clean(str(self._program.settings.path)), max(width - len(setting.name) - 20, 20))
            usual = f"{values} Default: {setting.shown(setting.default)}.".strip()
            found += [
                *((words, "dim") for words in wrap(usual, width, max(_ABOUT - 4 - len(found), 1))),
                (f"[{setting.table}] {setting.key} in {path}", "dim"),
                (f"Takes effect {setting.when}.", "dim"),
            ]
        lines = [self.line().add(" ").add(fit(words, width), ink).strip() for words, ink in found[: _ABOUT - 2]]
        lines += [self.line().strip()] * (_ABOUT - 2 - len(lines))
        status = self.line().add(" ").add(fit(self.words, width), self.ink_of_words)
        return [rule.strip(), *lines, status.strip()]

    def _files(self) -> list[SettingsRow]:
        places, problems = find_folders(), [clean(problem.message) for problem in self._program.problems]

        def row(title: str, path: Path, about: str) -> SettingsRow:
            wrong = [words for words in problems if words.startswith(str(path))]
            there = "" if path.exists() else "  (not created yet)"
            errors = f"{wrong[0]} " + (f"{len(wrong) - 1} more. " if len(wrong) > 1 else "") if wrong else ""
            return SettingsRow("file", title, f"{clean(str(path))}{there}", "", errors + about, wrong=bool(wrong))

        changed, again = len(self._program.own_keys), self.state.key("settings:again")
        keys = f"{changed} key{'s' if changed != 1 else ''} changed. headcode keys prints a file with all keys."
        return [
            row("Settings", places.settings, f"These settings, also editable by hand: {again} reloads the file."),
            row("Keys", places.keys, f"{keys} {again} reloads the file."),
            row("Remembered", screen_memory_path(), "May be deleted any time."),
            row("Sessions", places.store, "The database of all sessions. HEADCODE_HOME moves all of these."),
            row("Logs", places.logs, "Full error logs of the screen, the host and the engine."),
        ]

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is not None and place.y < self.size.height - _ABOUT and self._first + place.y < len(self.rows):
            where = self._first + place.y
            if self.rows[where].kind != "head":
                self.post_message(LinePicked(where))
