"""`python on_a_full_disk.py FOLDER REPORT`: test a home on a full file system that is mounted here.

Run in a separate mount namespace (unshare -rm). Writes the observations into REPORT as JSON.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from engine.machine.folders import find_folders  # noqa: E402
from sessions.client.connection import HostClient, stop_host  # noqa: E402
from sessions.errors import Refusal  # noqa: E402
from sessions.protocol import (  # noqa: E402
    BundleExported,
    CreateSession,
    EmptyTrash,
    ExportSession,
    ImportBundle,
    ListSessions,
    SessionAnswer,
    SessionsAnswer,
    SessionsRemoved,
    TrashSession,
)

COMMAND = [sys.executable, "-P", str(HERE / "scripted_host.py")]


async def scene(disk: Path, elsewhere: Path) -> dict[str, object]:
    places = find_folders({"HEADCODE_HOME": str(disk / "home")})

    async def connect() -> HostClient:
        return await HostClient.connect(places, timeout_s=60, command=COMMAND)

    async def refusal(client: HostClient, request: object, answer: type) -> dict[str, str]:
        try:
            await client.ask(request, answer)  # type: ignore[arg-type]
        except Refusal as error:
            return {"message": error.failure.message, "hint": error.failure.hint}
        return {}

    seen: dict[str, object] = {}
    async with await connect() as client:
        for name in ("kept", "old", "older"):
            await client.ask(CreateSession(name=name, model="toy", task="ioi"), SessionAnswer)
        await client.ask(TrashSession(session="old"), SessionAnswer)
    await stop_host(places)
    # Nothing of a host is left, and there is no space to create anything.
    shutil.rmtree(places.runtime)
    shutil.rmtree(places.state)
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    seen["free"] = os.statvfs(disk).f_bavail
    async with await connect() as client:
        seen["listed"] = sorted(row.name for row in (await client.ask(ListSessions(), SessionsAnswer)).sessions)
        goal = elsewhere / "kept.headcode"
        await client.ask(ExportSession(session="kept", path=str(goal)), BundleExported)
        seen["exported"] = goal.stat().st_size
        seen["left beside it"] = sorted(set(os.listdir(elsewhere)) - {goal.name})  # noqa: PTH208
        seen["write"] = await refusal(client, CreateSession(name="new", model="toy", task="ioi"), SessionAnswer)
        seen["import"] = await refusal(client, ImportBundle(path=str(goal), as_copy=True), object)
        await client.ask(TrashSession(session="older"), SessionAnswer)
        emptied = await client.ask(EmptyTrash(), SessionsRemoved)
        seen["emptied"] = sorted(row.name for row in emptied.sessions)
        seen["left"] = sorted(row.name for row in (await client.ask(ListSessions(), SessionsAnswer)).sessions)
    await stop_host(places)
    (disk / "filling").unlink()
    async with await connect() as client:
        seen["after"] = sorted(row.name for row in (await client.ask(ListSessions(), SessionsAnswer)).sessions)
        made = await client.ask(CreateSession(name="new", model="toy", task="ioi"), SessionAnswer)
        seen["writes again"] = made.session.name
    await stop_host(places)
    return seen


def main(folder: Path, report: Path) -> None:
    disk, elsewhere = folder / "disk", folder / "elsewhere"
    disk.mkdir()
    elsewhere.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(disk)], check=True)
    try:
        report.write_text(json.dumps(asyncio.run(scene(disk, elsewhere))))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
