"""Find the kind of file system that a path is on, as far as Linux tells."""

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
"""File systems on which other machines can lock or write. virtiofs and overlay are not among them."""
MOUNTS = Path("/proc/self/mountinfo")
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


def network_file_system(path: Path, table: str | None = None) -> str | None:
    """Return the kind of network file system (nfs4, fuse.sshfs) of a path; None for a local disk.

    A path that does not exist is on its nearest folder's file system. `table`: the text of mountinfo.
    """
    if table is None:
        try:
            table = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None  # not Linux: unknown
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
        # The last mount on a point hides earlier ones.
        if len(point) >= len(best) and (place == point or place.startswith(point.rstrip("/") + "/")):
            best, kind = point, right.split(" ")[0]
    return kind if kind in NETWORK else None


def format_network(path: Path, kind: str) -> str:
    """Return a warning about a store on a network file system."""
    return (
        f"The store {path} is on a network file system ({kind}): recorded data can be lost or locked when the "
        "connection breaks. HEADCODE_HOME=FOLDER moves it to a disk of this machine."
    )
