"""On what kind of file system a path lies, as far as Linux tells."""

import os
from pathlib import Path

NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "afpfs",
        "9p",
        "ceph",
        "glusterfs",
        "lustre",
        "gpfs",
        "beegfs",
        "pvfs2",
        "orangefs",
        "coda",
        "davfs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.s3fs",
        "fuse.rclone",
        "fuse.davfs2",
        "fuse.juicefs",
        "fuse.gcsfuse",
        "fuse.curlftpfs",
        "fuse.lizardfs",
        "fuse.mfs",
        "fuse.quobyte",
        "fuse.afp",
    }
)
"""File systems whose locks or writes another machine has a say in. virtiofs and overlay are not among them."""
MOUNTS = Path("/proc/self/mountinfo")
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


def network_file_system(path: Path, table: str | None = None) -> str | None:
    """The kind of network file system (nfs4, fuse.sshfs) the path lies on; None for a disk of this machine.

    A path that does not exist yet lies where its nearest folder lies. `table`: the text of mountinfo.
    """
    if table is None:
        try:
            table = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None  # no Linux: nobody tells
    place = os.path.realpath(path)
    best, kind = "", ""
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = fields[4]
        for code, character in _ESCAPES.items():
            point = point.replace(code, character)
        # The last mount on a point hides those before it.
        if len(point) >= len(best) and (place == point or place.startswith(point.rstrip("/") + "/")):
            best, kind = point, right.split(" ")[0]
    return kind if kind in NETWORK else None


def format_network(path: Path, kind: str) -> str:
    """What a person should know about a store there."""
    return (
        f"The store {path} lies on a network file system ({kind}): what was recorded can be lost or locked there when "
        "the connection breaks. HEADCODE_HOME=FOLDER moves it to a disk of this machine."
    )
