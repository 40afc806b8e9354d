"""A disk that really is full, a place that really is read-only: mounted for the test, where the machine allows it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MOUNT = ("unshare", "--user", "--map-root-user", "--mount")


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = "mount -t tmpfs -o size=1m none /mnt 2>/dev/null || mount -t tmpfs -o size=1m none /tmp"
    return subprocess.run([*MOUNT, "sh", "-c", probe], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _can_mount(), reason="this machine lets nobody mount")

SCENE = """
import json, os, subprocess, sys
from pathlib import Path

def headcode(*words):
    done = subprocess.run([sys.executable, "-m", "tui.cli", *words], capture_output=True, text=True, timeout=600)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}

home, data = Path(os.environ["HEADCODE_HOME"]), Path(os.environ["HEADCODE_HOME"]) / "data"
found = {}
exec(sys.argv[1])
found["stopped"] = headcode("host", "stop")["code"]
print(json.dumps(found))
"""


@pytest.fixture
def home() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="hc-"))
    (root / "data").mkdir()
    yield root
    shutil.rmtree(root)


def played(home: Path, mount: str, scene: str) -> dict[str, object]:
    """What came of the scene, played where data/ is what `mount` makes of it."""
    environment = {**os.environ, "HEADCODE_HOME": str(home), "OMP_NUM_THREADS": "1", "SCENE": SCENE}
    command = f'set -e; D={home}/data; {mount}; exec {sys.executable} -c "$SCENE" "$1"'
    done = subprocess.run(
        [*MOUNT, "sh", "-c", command, "sh", scene],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


FULL = """
found["first"] = headcode("probe", "ioi", "--steps", "20", "--seeds", "1", "--shuffles", "0", "--name", "before", "-q")
ballast = data / "ballast"
with ballast.open("wb") as file:
    try:
        while True:
            file.write(b"x" * 65536); file.flush()
    except OSError:
        pass
words = ("ioi", "--steps", "3000", "--lambda", "0", "--seeds", "3", "--shuffles", "0", "--name", "during", "-q")
found["during"] = headcode("probe", *words)
found["reading"] = headcode("sessions", "show", "before")
found["doctor"] = headcode("doctor", "--no-device-check")
ballast.unlink()
found["again"] = headcode("probe", "ioi", "--steps", "20", "--seeds", "1", "--shuffles", "0", "--name", "after", "-q")
headcode("host", "stop")
found["check"] = headcode("doctor", "--no-device-check")
found["sessions"] = headcode("sessions", "list", "--json")
"""


def test_a_full_disk_is_said_and_loses_nothing(home: Path) -> None:
    found = played(home, "mount -t tmpfs -o size=24m none $D", FULL)
    assert found["first"]["code"] == 0, found["first"]
    assert found["during"]["code"] == 4, found["during"]
    assert "The disk that holds" in found["during"]["err"]
    assert "full" in found["during"]["err"]
    assert "Free some space" in found["during"]["err"]
    assert found["reading"]["code"] == 0, found["reading"]
    assert "best nodes" in found["reading"]["out"]
    assert found["again"]["code"] == 0, found["again"]
    assert "sound" in found["check"]["out"]
    names = [row["name"] for row in json.loads(found["sessions"]["out"])["sessions"]]
    assert {"before", "after"} <= set(names)


READ_ONLY = """
found["reading"] = headcode("sessions", "list")
found["doctor"] = headcode("doctor", "--no-device-check")
"""


def test_a_read_only_place_is_said_with_the_way_out(home: Path) -> None:
    played(home, ":", 'found["first"] = headcode("sessions", "list")')
    before = (home / "data" / "sessions.duckdb").read_bytes()
    found = played(home, "mount --bind $D $D; mount -o remount,bind,ro $D", READ_ONLY)
    assert found["reading"]["code"] == 4
    assert "read-only" in found["reading"]["err"]
    assert "HEADCODE_HOME" in found["reading"]["err"]
    assert "Traceback" not in found["reading"]["err"]
    assert found["doctor"]["code"] == 1
    assert (home / "data" / "sessions.duckdb").read_bytes() == before
