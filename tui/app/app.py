"""The Textual application around the workbench: connection, themes, palette, signals."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import ClassVar

import msgspec
from textual import events
from textual.actions import ActionParseResult
from textual.binding import BindingType
from textual.command import Provider
from textual.dom import DOMNode
from textual.notifications import SeverityLevel
from textual.screen import Screen

from engine.errors import Failure, HeadcodeError
from engine.machine.folders import find_folders
from tui.actions import ACTIONS, Action
from tui.actions.key_labels import key_label
from tui.actions.keymap import load_keys, with_keys
from tui.app.crash_guard import CrashGuard
from tui.app.escape_key import SplitEscape
from tui.connection.requests import Connect
from tui.connection.session_link import SessionLink
from tui.screens.error import ErrorSheet
from tui.screens.panes import PanesScreen
from tui.screens.workbench import WorkbenchScreen
from tui.settings.remembered import record_toured
from tui.settings.settings import Settings, SettingValue, change, load
from tui.settings.table import SettingSpec, Value, find_setting
from tui.state import screen_log
from tui.state.recorded_run import format_origin
from tui.state.workbench_state import Part, WorkbenchState
from tui.terminal.diff_renderer import DiffApp
from tui.terminal.idle_gc import IdleCollector
from tui.terminal.sanitize import clean
from tui.themes.themes import CHOICES, DEFAULT_INKS, SIXTEEN, THEMES, Depth, colour_depth
from tui.widgets.action_keys import ActionKeys
from tui.widgets.error_boundary import ErrorBoundary, MessageErrorBoundary
from tui.widgets.latest_worker import run_latest
from tui.widgets.line_widget import LineWidget, ScrollingLineWidget
from tui.widgets.progress_strip import Clock
from tui.widgets.styled_line import wrap

_FORCED_EXIT_S = 3.0
"""Seconds until the process exits regardless: a terminal that accepts no output blocks the event loop."""

_MOST_PROBLEMS = 3
"""Maximum number of config problems shown one by one; more would cover the screen."""
_SILENT_IDS = frozenset({"end_difference"})
"""Actions that show no notice while disabled: escape is often pressed when there is nothing to leave."""
_REPEAT_AFTER_S = 4.0


def palette_provider() -> type[Provider]:
    """Return what fills the palette; imported when it is opened first."""
    from tui.screens.palette import EntryProvider

    return EntryProvider


class HeadcodeApp(SplitEscape, MessageErrorBoundary, CrashGuard, DiffApp):
    """The application: one workbench screen, one connection to the host."""

    TITLE = "headcode"
    CSS_PATH = ["../widgets/styled_line.tcss", "../screens/workbench.tcss"]  # noqa: RUF012  # Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = []
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    COMMANDS = {palette_provider}  # noqa: RUF012  # Textual declares it so

    def __init__(
        self,
        connect: Connect,
        *,
        session: str | None = None,
        model: str,
        task: str,
        asked: bool = False,
        clock: Clock = time.time,
        theme: str | None = None,
        depth: Depth | None = None,
        settings: Settings | None = None,
        keys: Mapping[str, tuple[str, ...]] | None = None,
        problems: Sequence[HeadcodeError] = (),
        tour: bool = False,
    ) -> None:
        super().__init__()
        self._keys = keys or {}
        self._problems = problems
        self._last_notice = ("", 0.0)
        for own in THEMES:
            self.register_theme(own)
        self.depth = depth or colour_depth(self.console.color_system, no_color=self.no_color)
        self.settings = load(find_folders().settings, {}) if settings is None else settings
        self._use_settings()
        if theme is not None:
            self.theme = theme
        self.state = WorkbenchState(model=model, task=task)
        self.state.key = self.key
        self.link = SessionLink(self.state, connect, self._changed, session=session, asked=asked)
        self._clock = clock
        self._tour_due = tour
        self._workbench: PanesScreen | None = None
        self._sweeper: IdleCollector | None = None

    def with_own_keys(self, actions: Sequence[Action]) -> Sequence[Action]:
        """Return a table of actions with the user's keys."""
        return with_keys(actions, self._keys)

    def key(self, full_id: str) -> str:
        """Return the display name of an action's key. Raises KeyError."""
        return key_label(full_id, self._keys)

    @property
    def own_keys(self) -> Mapping[str, tuple[str, ...]]:
        """The user's keys, by full id."""
        return self._keys

    def use_keys(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        """Apply other keys to all open screens."""
        self._keys = keys
        for screen in self.screen_stack:
            for node in (screen, *screen.query("*")):
                if isinstance(node, ActionKeys):
                    node.apply_keys()
            screen.refresh()

    def change(self, setting: SettingSpec, value: Value | None) -> str:
        """Apply and save a setting; None resets it to the default. Return why it was not saved, else ''."""
        words = ""
        try:
            change(self.settings.path, setting, value)
            self.settings = load(self.settings.path)
        except HeadcodeError as error:
            words = f"{error.message} {error.hint} Applies until you quit."
            found = SettingValue(setting, setting.default if value is None else value, "until you quit", own=True)
            self.settings = msgspec.structs.replace(self.settings, found=self.settings.found | {setting.name: found})
        self._take_settings()
        return words

    def reload_files(self) -> Sequence[HeadcodeError]:
        """Reload config.toml and keys.toml and return their problems."""
        self.settings, own = load(self.settings.path), load_keys(find_folders().keys)
        self._problems = (*self.settings.problems, *own.problems)
        self.use_keys(own.keys)
        self._take_settings()
        return self._problems

    @property
    def problems(self) -> Sequence[HeadcodeError]:
        """Problems of config.toml and keys.toml when they were last read."""
        return self._problems

    def _use_settings(self) -> None:
        self.colour_map = self.settings.text("screen.map")
        self.frame_s = 1 / max(self.settings.number("screen.redraws"), 1)
        self.motion = bool(self.settings["screen.motion"])
        self.signs = bool(self.settings["screen.signs"])
        self.theme = SIXTEEN.name if self.depth == "16" else self.settings.text("screen.theme")

    def _take_settings(self) -> None:
        """Apply changed settings. The signs shown in cells are reset only if their setting changed."""
        before = self.signs
        self._use_settings()
        for screen in self.screen_stack if self.signs != before else ():
            if isinstance(screen, PanesScreen):
                screen.state.signs = self.signs
                screen.drawing.marks_changed()
        self._draw_all()

    def _draw_all(self) -> None:
        """Redraw everything whose look depends on settings rather than on CSS."""
        if self._workbench is not None:
            self._workbench.show_depth(self.shown_depth)
        for screen in self.screen_stack:
            for node in screen.query("*"):
                if isinstance(node, LineWidget | ScrollingLineWidget) and node.size:
                    node.paint()

    @property
    def shown_depth(self) -> Depth:
        """Colour depth in use; the theme with the terminal's own colours counts as 16."""
        return "16" if self.theme == SIXTEEN.name and self.depth != "none" else self.depth

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return DEFAULT_INKS

    def get_default_screen(self) -> Screen[None]:
        self._workbench = WorkbenchScreen(self.state, self.link, self.shown_depth, clock=self._clock, size=self.size)
        return self._workbench

    def on_mount(self) -> None:
        self.survives_errors = not self.is_headless
        self._catch_signals()
        # The shell has drawn over the screen.
        self.app_resume_signal.subscribe(self, lambda _app: self.redraw_all())
        # After the first frame, because connecting may start a host.
        self.call_after_refresh(self._start_link)
        for problem in self._problems[:_MOST_PROBLEMS]:
            self.show_notice(
                f"{problem.message}\n{problem.hint}", title="Invalid setting", severity="warning", timeout=20
            )
        if more := len(self._problems[_MOST_PROBLEMS:]):
            self.show_notice(f"And {more} more: headcode keys and headcode doctor list them all.", severity="warning")

    async def on_unmount(self) -> None:
        await self.link.close()

    async def on_event(self, event: events.Event) -> None:
        if self._sweeper is not None and isinstance(event, events.InputEvent):
            self._sweeper.touched()
        await super().on_event(event)

    def _start_link(self) -> None:
        if self._sweeper is None and not self.is_headless:
            self._sweeper = IdleCollector(self.set_interval)
        run_latest(self, "link", self._follow)

    async def _follow(self) -> None:
        try:
            await self.link.run()
        except Exception as error:
            if not self.survives_errors:
                raise
            again = self.key("trouble:answer.again")
            hint = f"{again} tries again and reloads the session; a run continues in the host."
            message = self.report_error(error, "reading events from the host", aloud=False)
            self.state.failure = Failure(family="engine", name=type(error).__name__, message=message, hint=hint)
            self.state.forget()
        failure = self.state.failure
        if failure is not None and self.is_running and self._workbench is not None:
            self._workbench.drawing.now()
            self.push_screen(ErrorSheet(failure), self._after_trouble)

    def _after_trouble(self, again: bool | None) -> None:
        if again:
            self.link.exit_code = 0
            self.state.link, self.state.failure, self.state.link_words = "connecting", None, ""
            self._start_link()
        else:
            self.action_leave()

    def _changed(self, parts: frozenset[Part]) -> None:
        if self._workbench is not None:
            self._workbench.drawing.soon(parts)
            if self._tour_due:
                self._offer_tour()

    def show_notice(
        self, words: str, *, title: str = "", severity: SeverityLevel = "information", timeout: float = 6
    ) -> None:
        """Show a notice for `timeout` seconds; the text is sanitised."""
        lines = "\n".join(wrap(words.strip(), 56, 8))
        self.notify(lines, title=clean(title), severity=severity, timeout=timeout, markup=False)

    async def run_action(
        self,
        action: "str | ActionParseResult",
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Run the action, or show why it is disabled."""
        screen = self.screen
        if isinstance(action, str) and isinstance(screen, PanesScreen):
            known = next((each for each in screen.bound_actions if each.call == action), None)
            reason = screen.disabled_reason(known) if known is not None else ""
            if known is not None and reason and known.id not in _SILENT_IDS:
                self._notice_once(f"{known.title}: {reason}.")
                return True
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except Exception as error:
            if not self.survives_errors:
                raise
            self.report_error(error, f"the action {action}")
            return True

    def _notice_once(self, words: str) -> None:
        """Show a notice, but not again while a key repeats."""
        now = time.monotonic()
        if self._last_notice[0] != words or now - self._last_notice[1] > _REPEAT_AFTER_S:
            self.show_notice(words, timeout=_REPEAT_AFTER_S)
        self._last_notice = (words, now)

    # ---- actions that belong to the program

    def action_leave(self) -> None:
        self.exit(return_code=self.link.exit_code)

    async def action_quit(self) -> None:
        """Quit on Textual's own ctrl+q, which cannot be rebound, with the same exit code as q."""
        self.action_leave()

    def action_keys(self) -> None:
        from tui.screens.help import HelpSheet

        self.push_screen(
            HelpSheet(self.screen.bound_actions if isinstance(self.screen, ActionKeys) else self.with_own_keys(ACTIONS))
        )

    def action_settings(self) -> None:
        from tui.screens.settings import SettingsScreen

        if not any(isinstance(screen, SettingsScreen) for screen in self.screen_stack):
            self.push_screen(SettingsScreen(self.state))

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a notice as Textual does and write it to the screen log."""
        level = {"error": "ERROR", "warning": "WARNING"}.get(severity, "INFO")
        screen_log.write(level, f"{title}: {' '.join(message.split())}" if title else " ".join(message.split()))
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    def action_log(self) -> None:
        from tui.screens.log import LogScreen

        self.push_screen(LogScreen(self.state))

    def action_tour(self) -> None:
        from tui.screens.tour import TourSheet, TourTarget

        state = self._workbench
        if state is not None and self.screen is state:
            by_id = {action.id: action.call for action in ACTIONS}
            press = lambda name: self.run_worker(state.run_action(by_id[name]), exit_on_error=True)  # noqa: E731
            self.push_screen(TourSheet(TourTarget(state.action_show_pane, press, format_origin(self.state))))

    def _offer_tour(self) -> None:
        """Start the tour on the first visit, as soon as a grid is shown."""
        run = self.state.shown
        ready = run is not None and run.picture.nodes_final and self.state.link == "live"
        if self._tour_due and ready and self.screen is self._workbench:
            self._tour_due = False
            record_toured()
            self.action_tour()

    def action_theme(self) -> None:
        """Switch to the next theme; not on 16-colour terminals, which use their own colours."""
        if self.depth != "16":
            names = [each.name for each in CHOICES]
            name = names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0]
            if words := self.change(find_setting("screen.theme"), name):
                self.show_notice(words, severity="warning")

    def action_reopen(self) -> None:
        """Reopen failed panes and redraw the screen, for example after output of another program."""
        for node in self.screen.query("*"):
            if isinstance(node, ErrorBoundary) and node.failed:
                node.reopen()
        self.redraw_all()

    def action_palette(self) -> None:
        self.action_command_palette()

    def action_suspend(self) -> None:
        self.action_suspend_process()

    # ---- signals

    def _catch_signals(self) -> None:
        """Exit cleanly on SIGHUP and SIGTERM, and force the exit if the terminal blocks."""
        if threading.current_thread() is not threading.main_thread() or self.is_headless:
            return
        loop = asyncio.get_running_loop()

        def handle(number: int, _frame: FrameType | None) -> None:
            def force_exit() -> None:
                time.sleep(_FORCED_EXIT_S)
                os._exit(128 + number)

            threading.Thread(target=force_exit, daemon=True).start()
            loop.call_soon_threadsafe(lambda: self.exit(return_code=128 + number))

        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, handle)
