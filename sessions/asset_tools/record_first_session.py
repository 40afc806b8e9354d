"""Record the session that the workbench shows at its first start.

`.venv/bin/python -m sessions.asset_tools.record_first_session [FILE]`

A real host and worker compute it in a temporary home, exactly as the workbench would. Needed whenever the default run
of the bundled model gives other results: tests/sessions/bundle/test_first_session.py says so. Run it on a quiet
machine, as the screen shows how long the run took.
"""

import argparse
import asyncio
import getpass
import re
import socket
import tempfile
from pathlib import Path

from engine.machine.folders import find_folders
from sessions.bundle.archive import ZipReader
from sessions.bundle.first_session import RECORDING, SESSION_NAME
from sessions.client.connection import HostClient
from sessions.events import RunEnded
from sessions.protocol import (
    BundleExported,
    CreateSession,
    ExportSession,
    QueueRun,
    RunAnswer,
    SessionAnswer,
)


async def record(goal: Path) -> None:
    """Compute the session in a temporary home and write its bundle."""
    with tempfile.TemporaryDirectory(prefix="hc-") as home:
        client = await HostClient.foreground(find_folders({"HEADCODE_HOME": home}))
        try:
            # A throwaway run first: the recorded one then takes as long as any run after the engine's start.
            await _finished_run(client, await _new_session(client, "warm"))
            session = await _new_session(client, SESSION_NAME)
            await _finished_run(client, session)
            request = ExportSession(session=session, path=str(goal), sae=True, force=True)
            done = (await client.ask(request, BundleExported)).exported
        finally:
            await client.close()
    print(f"{goal}: {done.n_bytes:,} bytes, {done.manifest.counts.events} events")


def personal_words() -> list[str]:
    """Return what a bundle must not contain: names of this user, machine and its folders."""
    words = [socket.gethostname(), str(Path.home()), str(Path.cwd()), tempfile.gettempdir()]
    user = getpass.getuser()
    # A short user name such as "al" is part of many words.
    return [word for word in (*words, user) if len(word) > 3]


def check_private(path: Path) -> None:
    """Exit with an error if the bundle names this user, this machine or one of its folders."""
    with ZipReader(path) as zipped:
        for member in zipped.members:
            content = b"".join(zipped.chunks(member, most=64 << 20))
            for word in personal_words():
                if re.search(rb"(?<![\w-])" + re.escape(word.encode()) + rb"(?![\w-])", content):
                    path.unlink()
                    raise SystemExit(f"{member.name} contains {word!r}; the file was deleted.")


async def _new_session(client: HostClient, name: str) -> str:
    # The same request as tui.connection.session_link sends.
    request = CreateSession(name=name, model="toy", task="ioi")
    return (await client.ask(request, SessionAnswer)).session.session_id


async def _finished_run(client: HostClient, session: str) -> None:
    run = (await client.ask(QueueRun(session=session), RunAnswer)).run
    async for entries in client.follow(session):
        for entry in entries:
            if entry.run_id == run.run_id and isinstance(entry.event, RunEnded):
                if entry.event.state != "done":
                    raise SystemExit(f"The run is {entry.event.state}: {entry.event.failure}")
                return


def main() -> None:
    """Record, check and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=RECORDING)
    goal = parser.parse_args().file.absolute()
    asyncio.run(record(goal))
    check_private(goal)
    goal.chmod(0o644)  # the host writes for its user alone


if __name__ == "__main__":
    main()
