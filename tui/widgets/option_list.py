"""The options of the next run by group, one line each, with values edited in place."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from engine.errors import HeadcodeError
from engine.planning.option_table import OPTIONS, Option
from engine.planning.option_text import format_value, set_value
from engine.planning.run_options import (
    RunOptions,
    changed_options,
    defaults,
    reset,
    value_of,
    with_open_lambda,
    with_value,
)
from tui.editor.line_keys import edit_line
from tui.state.checked_models import INK
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import VirtualLineWidget
from tui.widgets.styled_line import StyledLine, fit

_TITLE = 24
_VALUE = 26
_DEFAULT = 18
_THREE = 4 + _TITLE + _VALUE + _DEFAULT + 12
"""Width from which defaults and published values have separate columns."""
_MOST = 400
"""Maximum characters of a value; a path may be long."""


def _columns(width: int) -> tuple[int, int]:
    """Return the widths of values and defaults; a wide list gives them more."""
    more = min(max((width - _THREE - 12) // 2, 0), 14)
    return _VALUE + more, _DEFAULT + more


class RunOptionList(VirtualLineWidget):
    """The list of options. The screen's keys move and edit; while a value is typed, it takes all keys."""

    can_focus = True

    class Changed(Message):
        """The selected option or a value changed."""

    def __init__(
        self,
        state: WorkbenchState,
        choose: Callable[[RunOptions], None],
        models: Path,
        *,
        id: str | None = None,  # noqa: A002  # Textual's name for it
    ) -> None:
        super().__init__(state, id=id)
        self.choose = choose
        self.models = models
        self.model_names: tuple[str, ...] = ()
        self.at = 0
        self.typed: str | None = None
        """Text being typed for the value; None while nothing is typed."""
        self.caret = 0
        self.trouble = ""
        """Error of the typed value."""
        self._rows: list[Option | str] = []
        for group, members in groupby(OPTIONS, key=lambda each: each.group):
            self._rows += [*([""] if self._rows else []), group, *members]

    # ---- state

    @property
    def option(self) -> Option:
        return OPTIONS[self.at]

    @property
    def options(self) -> RunOptions:
        return with_open_lambda(self.state.options, self.models)

    def differing(self) -> frozenset[str]:
        """Return the paths of the options that differ from their defaults."""
        return frozenset(
            each.path for each in changed_options(self.options, model=self.state.model, models=self.models)
        )

    def default_words(self, option: Option) -> str:
        """Format the default; for an unset option, the value it resolves to."""
        options = self.options
        if option.path == "sae.recipe":
            return format_value(option, value_of(RunOptions(), option.path))
        own = defaults(options, model=self.state.model, models=self.models)
        return format_value(option, value_of(own, option.path))

    # ---- drawing

    def count(self) -> int:
        return len(self._rows)

    def row(self, y: int, size: Size, /) -> Strip:
        option = self._rows[y]
        line = self.line()
        three = size.width >= _THREE
        value_width, default_width = _columns(size.width)
        if isinstance(option, str):
            line.add(f" {option}", "second")
            if y == 0:
                line.to(4 + _TITLE).add("value", "faint").to(4 + _TITLE + value_width)
                line.add("default".ljust(default_width) if three else "", "faint").add("published", "faint")
            return line.strip()
        on = option is self.option
        differs = option.path in self._differing
        line.add("▸" if on else " ", "accent").add(" ● " if differs else "   ", "second")
        line.add(fit(option.title, _TITLE - 1).ljust(_TITLE), "strong" if on else "text")
        if on and self.typed is not None:
            self._typing(line, size.width)
            return line.strip()
        value = value_of(self._shown, option.path)
        words = fit(clean(format_value(option, value)), value_width - 1)
        line.add(words, "accent" if differs else ("faint" if value is None else "text"))
        line.to(4 + _TITLE + value_width)
        if three:
            own = fit(clean(self.default_words(option)), default_width - 1)
            line.add(own.ljust(default_width), "dim" if differs else "faint")
        if option.kind == "model":
            self._checked(line, option, size.width)
        elif differs and not three:
            line.add("default ", "faint").add(clean(self.default_words(option)), "dim")
        else:
            line.add(fit(option.published, max(size.width - line.width, 0)), "faint")
        return line.strip().crop(0, size.width)

    def _checked(self, line: StyledLine, option: Option, width: int) -> None:
        """Add what the last check of the model found, behind the published value if there is room for both."""
        status, running = self.state.checked.of(self._shown.model), self.state.checked.running
        words, short, ink = status.words, status.short, INK[status.state]
        if running is not None and running.model == self._shown.model:
            words, short, ink = running.words, running.short, "second"
        if len(option.published) + len(words) + 3 <= width - line.width:
            line.add(option.published, "faint").add("   ")
        line.add(words if len(words) <= width - line.width else fit(short, max(width - line.width, 0)), ink)

    def lines(self, size: Size, /) -> list[Strip]:
        self._shown, self._differing = self.options, self.differing()
        return super().lines(size)

    def _typing(self, line: StyledLine, width: int) -> None:
        """Add the typed text with a cursor, and its error."""
        value_width, _ = _columns(width)
        text = clean(self.typed or "")
        room = max(min(value_width - 1, width - line.width - 1), 8)
        first = max(0, self.caret - room + 1)
        under = text[self.caret : self.caret + 1] or " "
        line.add(text[first : self.caret], "strong").add(under, "cursor").add(text[self.caret + 1 :][:room], "strong")
        line.to(4 + _TITLE + value_width)
        if self.trouble:
            line.add(" ").add(fit(f"✗ {clean(self.trouble)}", max(width - line.width - 1, 0)), "bad")

    # ---- moving and changing

    def step(self, by: int) -> None:
        self.put(min(max(self.at + by, 0), len(OPTIONS) - 1))

    def put(self, at: int) -> None:
        """Select an option and keep the name of its group visible."""
        self.at = at
        place = self._rows.index(OPTIONS[at])
        first = place - 1 if isinstance(self._rows[place - 1], str) else place
        self.show_lines(0 if at == 0 else first, place)
        self.refresh()
        self.paint()
        self.post_message(self.Changed())

    def pick(self, by: int) -> None:
        """Set the next or previous of the allowed or suggested values."""
        option, values = self.option, self.values(self.option)
        value = value_of(self.options, option.path)
        now = "" if value is None else format_value(option, value)
        if now in values:
            place = values.index(now) + by
        else:
            below = _below(values, now)
            place = below if by > 0 else below - 1
        if values:
            self.write(option, values[min(max(place, 0), len(values) - 1)])

    def values(self, option: Option) -> list[str]:
        """Return the values that the arrows step through."""
        if option.kind == "yes":
            return ["no", "yes"]
        if option.kind == "model":
            return list(self.model_names)
        return [*([""] if option.unset else []), *(option.choices or option.suggestions)]

    def write(self, option: Option, text: str) -> bool:
        """Set an option from text; return False if invalid, with the reason in `trouble`."""
        try:
            self.take(set_value(self.options, option, text, self.models))
        except HeadcodeError as error:
            self.trouble = f"{error.message} {error.hint}"
            self.paint()
            self.post_message(self.Changed())
            return False
        return True

    def take(self, options: RunOptions) -> None:
        self.trouble = ""
        self.choose(options)
        self.refresh()
        self.paint()
        self.post_message(self.Changed())

    def put_back(self) -> None:
        """Reset the selected option to its default."""
        self.take(reset(self.options, self.option.path, model=self.state.model))

    def put_all_back(self) -> None:
        self.take(RunOptions(model=self.state.model))

    # ---- typing

    def type(self) -> None:
        """Start typing the value; a yes/no option is toggled instead."""
        option = self.option
        value = value_of(self.options, option.path)
        if option.kind == "yes":
            self.take(with_value(self.options, option.path, not value))
            return
        self.typed = "" if value is None else format_value(option, value)
        self.caret, self.trouble = len(self.typed), ""
        self.paint()
        self.post_message(self.Changed())

    def on_key(self, event: events.Key) -> None:
        if self.typed is None:
            return
        event.stop()
        event.prevent_default()
        text, at = self.typed, self.caret
        match event.key:
            case "escape":
                self.typed, self.trouble = None, ""
            case "enter":
                if self.write(self.option, text):
                    self.typed = None
            case "tab" | "down" | "up" | "shift+tab":
                if self.write(self.option, text):
                    self.typed = None
                    self.step(-1 if event.key in ("up", "shift+tab") else 1)
            case key if (edited := edit_line(text, at, key)) is not None:
                self._put(*edited)
            case _ if event.is_printable and event.character:
                self._put(text[:at] + event.character + text[at:], at + 1)
        self.paint()
        self.post_message(self.Changed())

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if self.typed is not None:
            line = event.text.strip().split("\n")[0].strip()
            self._put(self.typed[: self.caret] + line + self.typed[self.caret :], self.caret + len(line))
            self.paint()
            self.post_message(self.Changed())

    def _put(self, text: str, at: int) -> None:
        """Set the typed text and check it."""
        self.typed, self.caret = text[:_MOST], min(at, _MOST)
        self.trouble = ""
        try:
            set_value(self.options, self.option, self.typed, self.models)
        except HeadcodeError as error:
            self.trouble = f"{error.message} {error.hint}"

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is None or self.typed is not None:
            return
        y = place.y + self.scroll_offset.y
        option = self._rows[y] if y < len(self._rows) else ""
        if isinstance(option, Option):
            again = option is self.option
            self.put(OPTIONS.index(option))
            if again:
                self.type()


def _below(values: list[str], now: str) -> int:
    """Return how many of the values are smaller than one that is not among them."""
    try:
        number = float(now)
        return sum(1 for value in values if not value or float(value) < number)
    except ValueError:
        return 0
