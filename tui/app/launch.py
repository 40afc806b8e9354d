"""Entry points of the full-screen workbench. Imports textual only when called."""

import asyncio
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.connection.requests import HostConnection
    from tui.settings.settings import Settings


def run_workbench(
    *, session: str | None, model: str, task: str, asked: bool = False, colours: str | None = None
) -> int:
    """Run the workbench until the user quits and return the exit code.

    `asked`: True if the user named the model or the task.
    `colours`: truecolor, 256, 16 or none; None detects what the terminal supports.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        print("headcode: the workbench needs a terminal; `headcode probe` works without one.", file=sys.stderr)
        return 2
    _start_host_early()
    from engine.machine.folders import find_folders
    from tui.settings.settings import load

    settings = load(find_folders().settings)
    choose_colours(colours, settings)
    from tui.actions.keymap import load_keys
    from tui.app.app import HeadcodeApp
    from tui.settings.remembered import load_screen_memory

    own = load_keys(find_folders().keys)
    app = HeadcodeApp(
        _connect,
        session=session,
        model=model,
        task=task,
        asked=asked,
        settings=settings,
        keys=own.keys,
        problems=(*settings.problems, *own.problems),
        # A user who names a session has used the workbench before.
        tour=session is None and not load_screen_memory().toured,
    )
    app.run(mouse=bool(settings["screen.mouse"]))
    run = app.state.shown
    if run is not None and run.active and app.state.link == "live":
        print("The run continues; `headcode` shows it again.", file=sys.stderr)
    if app.return_code and app.state.failure is not None and app.link.exit_code:
        from tui.terminal.sanitize import clean

        print(f"headcode: {clean(app.state.failure.message)} {clean(app.state.failure.hint)}".rstrip(), file=sys.stderr)
    return app.return_code or 0


def run_plain_workbench(*, session: str | None, model: str, task: str, asked: bool = False) -> int:
    """Answer lines on stdin until they end and return the exit code. Needs no terminal."""
    from tui.plain.loop import run_plain

    return asyncio.run(run_plain(_connect, session=session, model=model, task=task, asked=asked))


def run_replay(session: str, *, start: str | None, speed: float, colours: str | None = None) -> int:
    """Run the replay of a session or run until the user quits and return the exit code."""
    from engine.machine.folders import find_folders
    from tui.settings.settings import load

    settings = load(find_folders().settings)
    choose_colours(colours, settings)
    from tui.actions.keymap import load_keys
    from tui.app.replay_app import ReplayApp

    own = load_keys(find_folders().keys)
    problems = (*settings.problems, *own.problems)
    app = ReplayApp(
        _connect, session=session, start=start, speed=speed, settings=settings, keys=own.keys, problems=problems
    )
    app.run(mouse=bool(settings["screen.mouse"]))
    return app.return_code or 0


def choose_colours(choice: str | None, settings: "Settings | None" = None) -> None:
    """Set the colour depth in the environment, before textual is imported. NO_COLOR overrides the settings."""
    if choice is None and settings is not None and not os.environ.get("NO_COLOR"):
        own = settings.text("screen.colours")
        choice = own if own != "auto" else None
    if choice is None and os.environ.get("TERM") in {
        None,
        "dumb",
        "unknown",
        "vt100",
        "vt102",
        "vt220",
        "vt52",
        "ansi-m",
    }:
        choice = "none"
    if choice == "none":
        os.environ["NO_COLOR"] = "1"
    elif choice is not None:
        os.environ["TEXTUAL_COLOR_SYSTEM"] = "standard" if choice == "16" else choice
        os.environ.pop("NO_COLOR", None)


def _start_host_early() -> None:
    """Start the host, if there is none, while this process imports textual and draws its first frame.

    Errors are left to the screen, which connects by itself and shows them.
    """

    async def start() -> None:
        await (await _connect()).close()

    def work() -> None:
        with suppress(Exception):
            asyncio.run(start())

    threading.Thread(target=work, daemon=True, name="start host").start()


async def _connect() -> "HostConnection":
    from engine.machine.folders import find_folders
    from sessions.client.connection import HostClient

    return await HostClient.connect(find_folders())
