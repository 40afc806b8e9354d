"""The logs of host, worker, screen and a sweep's units: the end of their files, followed as they grow."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.machine.folders import find_folders
from sessions.rows import SweepUnitRow
from tui.actions import screen_actions
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.text_prompt import TextPromptSheet
from tui.state.log_tail import LogLine, LogTail, UnitLogsTail
from tui.state.screen_log import screen_log
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LineWidget, VirtualLineWidget
from tui.widgets.styled_line import fit

ACTIONS = screen_actions(
    "Log",
    ("close", "", "escape,G,shift+g,q", "Back", "Back to the workbench", "back"),
    ("source.right", "1", "right,l,tab", "Next log", "Host, worker, screen, units of sweeps", "log"),
    ("source.left", "-1", "left,h,shift+tab", "Previous log", "Units of sweeps, screen, worker, host", ""),
    ("walk.down", "1", "down,j", "Line down", "One line down", "line"),
    ("walk.up", "-1", "up,k", "Line up", "One line up; stops following", ""),
    ("walk.page_down", "20", "pagedown,space", "Page down", "Twenty lines down", ""),
    ("walk.page_up", "-20", "pageup", "Page up", "Twenty lines up", ""),
    ("walk.first", "-1000000", "home", "First line", "To the oldest line", ""),
    ("follow", "", "end", "Follow", "Go to the newest line and follow new ones", "follow"),
    ("errors", "", "e", "Errors only", "Only errors and tracebacks; again: everything", "errors"),
    ("filter", "", "slash,f", "Filter", "Only lines that contain these words", "filter"),
)
_POLL_S = 0.5
_LEVELS = {"ERROR": "bad", "CRITICAL": "bad", "WARNING": "second"}


class LogList(VirtualLineWidget):
    """Lines of one log, wrapped; while following, the newest is visible."""

    can_focus = True

    def __init__(
        self,
        state: WorkbenchState,
        *,
        units: Sequence[SweepUnitRow] | None = None,
        id: str | None = None,  # noqa: A002  # Textual's name for it
    ) -> None:
        """`units`: whose logs to show; None: those of the units that logged last."""
        super().__init__(state, id=id)
        places = find_folders()
        self.tails: dict[str, LogTail | UnitLogsTail] = {
            "host": LogTail(places.logs / "host.log"),
            "worker": LogTail(places.logs / "worker.log"),
            "screen": LogTail(screen_log()),
            "units": UnitLogsTail(places.logs, units),
        }
        self.source = "host" if units is None else "units"
        self.following = self.tail.from_the_end
        self.errors_only = False
        self.words = ""
        self._rows: list[tuple[LogLine, str, bool]] = []
        self._made_of: object = None

    @property
    def tail(self) -> LogTail | UnitLogsTail:
        return self.tails[self.source]

    def read(self) -> bool:
        """Read new lines of all logs; return True if the shown one has grown."""
        return [tail.read() for tail in self.tails.values()][list(self.tails).index(self.source)]

    def wanted(self) -> Sequence[LogLine]:
        """Return the lines that match the filter."""
        words = self.words.casefold().split()
        return [
            line
            for line in self.tail.lines
            if (line.grave or not self.errors_only)
            and all(word in f"{line.clock} {line.who} {line.text}".casefold() for word in words)
        ]

    def count(self) -> int:
        return max(len(self._folded(self.room.width)), 1)

    def row(self, y: int, size: Size, /) -> Strip:
        rows = self._folded(size.width)
        if not rows:
            return self.line().add(f" {self._nothing()}", "dim").strip()
        line, text, first = rows[min(y, len(rows) - 1)]
        drawn = self.line()
        ink = _LEVELS.get(line.level, "text" if line.clock else "dim")
        if first and self.tail.from_the_end:
            drawn.add(f" {line.clock:<8} ", "faint").add(fit(clean(line.who), 9), "second")
        return drawn.to(self._indent).add(text, ink).strip()

    def show_end(self) -> None:
        """Redraw and, while following, scroll to the newest line."""
        self.paint()
        if self.following:
            self.show_lines(self.count() - 1, self.count() - 1)
            self.paint()

    def walk(self, by: int) -> None:
        top = min(max(self.scroll_offset.y + by, 0), max(self.count() - self.room.height, 0))
        self.following = top >= self.count() - self.room.height
        self.scroll_to(y=top, animate=False, force=True, immediate=True)
        self.paint()

    @property
    def _indent(self) -> int:
        """Lines of units have neither a clock nor a source."""
        return 20 if self.tail.from_the_end else 1

    def _nothing(self) -> str:
        if not self.tail.lines:
            return f"Nothing logged yet: {clean(str(self.tail.path))}"
        return "No errors." if self.errors_only and not self.words else "No line contains these words."

    def _folded(self, width: int) -> list[tuple[LogLine, str, bool]]:
        """Return all lines in pieces of that width, each flagged if it is the first of its line."""
        made_of = (self.source, self.errors_only, self.words, width, len(self.tail.lines), self.tail.dropped)
        if made_of != self._made_of:
            self._made_of, room = made_of, max(width - self._indent - 1, 10)
            self._rows = []
            for line in self.wanted():
                text = clean(line.text.expandtabs(4))
                pieces = [text[at : at + room] for at in range(0, len(text), room)] or [""]
                self._rows += [(line, piece, not at) for at, piece in enumerate(pieces)]
        return self._rows


class LogSourceLine(LineWidget):
    """One line with the four logs and the active filters."""

    log_list: LogList

    def lines(self, size: Size, /) -> list[Strip]:
        line = self.line().add(" ")
        for name, tail in self.log_list.tails.items():
            on = name == self.log_list.source
            line.add(" ▸" if on else "  ", "accent").add(name, "strong" if on else "text")
            # Lines without a clock belong to the one above them, apart from those of units.
            wrong = sum(1 for each in tail.lines if each.grave and (each.clock or not tail.from_the_end))
            line.add(f" {len(tail.lines)}", "faint").add(f" {wrong} ✗" if wrong else "", "bad").add("  ")
        what = ["errors only"] if self.log_list.errors_only else []
        what += [f"with {self.log_list.words}"] if self.log_list.words else []
        follows = f"paused: {self.state.key('log:follow')} follows"
        what += ["following" if self.log_list.following else follows]
        line.add("  ").add(fit(clean(", ".join(what)), max(size.width - line.width - 1, 0)), "dim")
        return [line.strip()]


class LogScreen(SubScreen):
    """The screen. It reads the log files directly, because the host may be gone."""

    CSS_PATH = "log.tcss"
    actions = ACTIONS
    AUTO_FOCUS = "#log"

    def __init__(self, state: WorkbenchState, *, units: Sequence[SweepUnitRow] | None = None) -> None:
        super().__init__(state)
        self.log_list = LogList(state, units=units, id="log")
        self.sources = LogSourceLine(state, id="sources")
        self.sources.log_list = self.log_list

    def compose(self) -> ComposeResult:
        yield self.sources
        yield self.log_list
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self._poll()
        self.call_after_refresh(self.paint)
        self.set_interval(_POLL_S, self._poll)

    def paint(self) -> None:
        self.log_list.border_title = Content(fit(clean(str(self.log_list.tail.path)), 100).replace("[", "("))
        self.log_list.show_end()
        self.sources.paint()

    def _poll(self) -> None:
        if self.log_list.read():
            self.paint()

    def action_source(self, by: int) -> None:
        names = list(self.log_list.tails)
        self.log_list.source = names[(names.index(self.log_list.source) + by) % len(names)]
        self._from_the_end()
        if not self.log_list.tail.from_the_end:
            self.action_walk(-self.log_list.count())

    def action_walk(self, by: int) -> None:
        self.log_list.walk(by)
        self.sources.paint()

    def action_follow(self) -> None:
        self._from_the_end()

    def action_errors(self) -> None:
        self.log_list.errors_only = not self.log_list.errors_only
        self._from_the_end()

    def action_filter(self) -> None:
        ask = TextPromptSheet("Only lines with", "Words in a line; empty shows all.", text=self.log_list.words)
        self.app.push_screen(ask, self._filtered)

    def _filtered(self, text: str | None) -> None:
        if text is not None:
            self.log_list.words = text.strip()
        self._from_the_end()

    def _from_the_end(self) -> None:
        self.log_list.following = True
        self.log_list.refresh()
        self.paint()
