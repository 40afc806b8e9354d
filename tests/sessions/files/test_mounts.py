"""Test the warning about a store on a network disk."""

import sys
from pathlib import Path

import pytest

from sessions.files import mounts
from sessions.files.mounts import network_file_system

TABLE = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /home rw shared:5 master:1 - nfs4 server:/home rw,vers=4.2
31 30 0:27 / /home/me/local\\040disk rw - xfs /dev/sdb rw
32 22 0:28 / /mnt/far rw - fuse.sshfs me@there:/data rw
33 22 0:29 / /mnt/over rw - nfs old:/ rw
34 22 0:30 / /mnt/over rw - ext4 /dev/sdc rw
35 22 0:31 / /lustre rw - lustre 10.0.0.1@tcp:/work rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/x.duckdb", None),
        ("/home/me/.local/share/headcode/sessions.duckdb", "nfs4"),
        ("/home/me/local disk/sessions.duckdb", None),
        ("/homes/me/sessions.duckdb", None),
        ("/mnt/far", "fuse.sshfs"),
        ("/mnt/over/sessions.duckdb", None),
        ("/lustre/group/me/sessions.duckdb", "lustre"),
    ],
)
def test_the_deepest_and_last_mount_decides(path: str, kind: str | None) -> None:
    assert network_file_system(Path(path), TABLE) == kind


def test_without_a_table_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert network_file_system(tmp_path) is None
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "none")
    assert network_file_system(tmp_path) is None


HOST = """
import sys
from pathlib import Path
from sessions.files import mounts
from sessions.host.__main__ import main

mounts.MOUNTS = Path(sys.argv.pop(1))
sys.exit(main())
"""


async def test_the_host_tells_every_face_and_how_to_move_it(lab) -> None:
    table = lab.places.data.parent / "mountinfo"
    table.write_text(f"22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:26 / {lab.places.data.parent} rw - nfs4 s:/ rw\n")
    lab.command = [sys.executable, "-P", "-c", HOST, str(table)]
    client = await lab.connect()
    assert "network file system (nfs4)" in client.welcome.notice
    assert "HEADCODE_HOME=" in client.welcome.notice
