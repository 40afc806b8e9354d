"""The Textual application around the workbench screen: link, themes, palette, signals."""

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import FrameType
from typing import ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from tui.actions import ACTIONS
from tui.keymap import with_keys
from tui.link import Connect, Link
from tui.model import Bench, Part
from tui.remember import keep_theme, keep_toured
from tui.screens.trouble import Trouble
from tui.screens.workbench import Workbench
from tui.sweep import Sweeper
from tui.themes import CHOICES, DEFAULT_INKS, NIGHT, SIXTEEN, THEMES, Depth, depth_of
from tui.widgets.progress import Clock

_LAST_WORD_S = 3.0
"""A terminal that no longer takes what is sent blocks the whole event loop; after this the process ends regardless."""


class HeadcodeApp(App[None]):
    """One screen, one link to the host."""

    TITLE = "headcode"
    CSS_PATH = ["widgets/ink.tcss", "screens/workbench.tcss"]  # noqa: RUF012  # Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = []
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    INHERIT_BINDINGS = False

    def __init__(
        self,
        connect: Connect,
        *,
        session: str | None = None,
        model: str,
        task: str,
        clock: Clock = time.time,
        theme: str | None = None,
        depth: Depth | None = None,
        keys: Mapping[str, tuple[str, ...]] | None = None,
        tour: bool = False,
    ) -> None:
        super().__init__()
        self.actions = with_keys(ACTIONS, keys or {})
        self.set_keymap({name: ",".join(own) for name, own in (keys or {}).items()})
        for own in THEMES:
            self.register_theme(own)
        self.depth = depth or depth_of(self.console.color_system, no_color=self.no_color)
        self.theme = theme or (SIXTEEN.name if self.depth == "16" else NIGHT.name)
        self.bench = Bench(model=model, task=task)
        self.link = Link(self.bench, connect, self._changed, session=session)
        self._clock = clock
        self._tour_due = tour
        self._workbench: Workbench | None = None
        self._sweeper: Sweeper | None = None

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return DEFAULT_INKS

    def get_default_screen(self) -> Screen[None]:
        self._workbench = Workbench(self.bench, self.link, self.depth, clock=self._clock, size=self.size)
        return self._workbench

    def on_mount(self) -> None:
        self._catch_signals()
        # The shell has drawn over everything meanwhile.
        self.app_resume_signal.subscribe(self, lambda _app: self.screen.refresh())
        # After the first frame: connecting may start a host, and nobody should wait for a picture meanwhile.
        self.call_after_refresh(self._start_link)

    async def on_unmount(self) -> None:
        await self.link.close()

    async def on_event(self, event: events.Event) -> None:
        if self._sweeper is not None and isinstance(event, events.InputEvent):
            self._sweeper.touched()
        await super().on_event(event)

    def _start_link(self) -> None:
        if self._sweeper is None and not self.is_headless:
            self._sweeper = Sweeper(self.set_interval)
        self.run_worker(self._follow(), group="link", exclusive=True, exit_on_error=True)

    async def _follow(self) -> None:
        await self.link.run()
        failure = self.bench.failure
        if failure is not None and self.is_running and self._workbench is not None:
            self._workbench.draw_now()
            self.push_screen(Trouble(failure), self._after_trouble)

    def _after_trouble(self, again: bool | None) -> None:
        if again:
            self.link.exit_code = 0
            self.bench.link, self.bench.failure, self.bench.link_words = "connecting", None, ""
            self._start_link()
        else:
            self.action_leave()

    def _changed(self, parts: frozenset[Part]) -> None:
        if self._workbench is not None:
            self._workbench.changed(parts)
            if self._tour_due:
                self._offer_tour()

    # ---- actions that belong to the program

    def action_leave(self) -> None:
        self.exit(return_code=self.link.exit_code)

    def action_keys(self) -> None:
        from tui.screens.keys import Keys

        self.push_screen(Keys(self.screen.table if isinstance(self.screen, Workbench) else self.actions))

    def action_tour(self) -> None:
        from tui.screens.tour import Stage, Tour

        bench = self._workbench
        if bench is not None and self.screen is bench:
            by_id = {action.id: action.call for action in self.actions}
            press = lambda name: self.run_worker(bench.run_action(by_id[name]), exit_on_error=True)  # noqa: E731
            self.push_screen(Tour(Stage(show_pane=bench.action_show_pane, press=press)))

    def _offer_tour(self) -> None:
        """To somebody who is here for the first time, once there is something to see."""
        run = self.bench.shown
        ready = run is not None and run.picture.nodes_final and self.bench.link == "live"
        if self._tour_due and ready and self.screen is self._workbench:
            self._tour_due = False
            keep_toured()
            self.action_tour()

    def action_theme(self) -> None:
        """Sixteen colours are the terminal's own, light or dark as its owner likes them."""
        if self.depth != "16":
            names = [each.name for each in CHOICES]
            self.theme = names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0]
            keep_theme(self.theme)

    def action_palette(self) -> None:
        self.action_command_palette()

    def action_suspend(self) -> None:
        self.action_suspend_process()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The table of actions, as far as each would do something now."""
        for action in getattr(screen, "table", self.actions):
            if action.id == "palette" or (isinstance(screen, Workbench) and not screen.possible(action)):
                continue
            call = action.call
            yield SystemCommand(
                f"{action.title}  ({action.key})",
                action.tooltip,
                lambda call=call: self.run_worker(screen.run_action(call), exit_on_error=True),
            )

    def _fatal_error(self) -> None:
        """The trace goes to the log; Textual would print it with every local variable, prompts and tokens included."""
        from rich.text import Text

        from engine.places import find_places
        from tui.text import clean

        folder = find_places().logs
        error = sys.exception() or self._exception
        words = f"headcode: the screen broke ({type(error).__name__}: {clean(str(error))[:200]})."
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "screen.log").open("a", encoding="utf-8") as log:
                log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n{''.join(traceback.format_exception(error))}\n")
            words += f" The trace is in {folder / 'screen.log'}."
        except OSError:
            words += " Its trace could not be kept."
        words += "\nNothing is lost: runs go on in the host. Start headcode again."
        self._exit_renderables.append(Text(words))
        self._close_messages_no_wait()

    # ---- signals

    def _catch_signals(self) -> None:
        """A closed terminal or a polite kill ends the screen in order; a stalled terminal cannot hold it."""
        if threading.current_thread() is not threading.main_thread() or self.is_headless:
            return
        loop = asyncio.get_running_loop()

        def handle(number: int, _frame: FrameType | None) -> None:
            def last_word() -> None:
                time.sleep(_LAST_WORD_S)
                os._exit(128 + number)

            threading.Thread(target=last_word, daemon=True).start()
            loop.call_soon_threadsafe(lambda: self.exit(return_code=128 + number))

        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, handle)
