"""Where the torture tests live, and how their hosts are started."""

from pathlib import Path

from engine.machine.child_processes import python_command
from engine.machine.folders import AppFolders, find_folders

SCRIPTED_HOST = Path(__file__).resolve().parents[1] / "sessions" / "scripted_host.py"


def places_of(home: Path) -> AppFolders:
    return find_folders({"HEADCODE_HOME": str(home)})


def host_command(real_worker: bool) -> list[str] | None:
    return None if real_worker else python_command(str(SCRIPTED_HOST))
