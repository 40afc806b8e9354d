"""Which host serves a store, and where it is reached: found by the store's folder, whatever became of the socket's.

A host holds a lock on the folder itself, which nobody can delete while the store is there, and leaves its address in
it. The socket's folder may vanish meanwhile: a desktop's session manager removes it at the last logout.
"""

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from engine.machine.folders import AppFolders, private_temporary
from sessions.transport.socket_folder import FolderLock, peer_process

_STAT_BEGUN = 19
"""Which word after the program's name in /proc/PID/stat says when it began, in ticks since the machine did."""


class HostAddress(msgspec.Struct, frozen=True, kw_only=True):
    """What a host leaves beside its store."""

    pid: int
    begun: int | None
    """When the process began, as far as the system tells: a later process may have the number."""
    socket: str
    version: str


def address_file(places: AppFolders) -> Path:
    return places.data / "host.json"


def write_address(places: AppFolders, address: HostAddress) -> None:
    """Best effort: a full disk takes none, and then the socket's usual place has to do."""
    goal = address_file(places)
    part = goal.with_name(f".{goal.name}.{secrets.token_hex(4)}.part")
    with suppress(OSError):
        try:
            part.write_bytes(msgspec.json.encode(address))
            part.replace(goal)
        finally:
            part.unlink(missing_ok=True)


def read_address(places: AppFolders) -> HostAddress | None:
    """What the last host left; None where there is nothing, or nothing that can be read."""
    path = address_file(places)
    try:
        if not path.is_file() or path.stat().st_size > 10_000:
            return None
        return msgspec.json.decode(path.read_bytes(), type=HostAddress)
    except (OSError, msgspec.MsgspecError):
        return None


def own_address(place: Path, version: str) -> HostAddress:
    return HostAddress(pid=os.getpid(), begun=start_time(os.getpid()), socket=str(place), version=version)


def store_lock(places: AppFolders) -> FolderLock:
    """Held by whoever has the store open, for as long as it lives."""
    return FolderLock(places.data)


def sockets(places: AppFolders) -> list[Path]:
    """Where a host of this store may listen: the usual place, where it said, and where there is always room."""
    address = read_address(places)
    spare = private_temporary() / places.socket.name
    found = [places.socket, *([Path(address.socket)] if address is not None else []), spare]
    return list(dict.fromkeys(found))


def serves(places: AppFolders, place: Path, connection: socket.socket) -> bool:
    """Whether whoever listens at `place` is the host of this store: elsewhere than usual, it has to be who left the
    address. After a folder was moved its old socket may belong to another store's host."""
    if place.name == places.socket.name:
        return True
    address = read_address(places)
    _, pid = peer_process(connection)
    return address is not None and pid in (0, address.pid) and _is_it(address)


def find_holder(places: AppFolders) -> int | None:
    """The process id of the host that serves this store; None where none does.

    Found by the lock on the store's folder, then by DuckDB's on the file, which a host of an older version has.
    """
    if not places.data.is_dir():
        return None
    lock = store_lock(places)
    try:
        free = lock.take()
    except OSError:
        free = False
    if free:
        lock.release()
    else:
        address = read_address(places)
        if address is not None and _is_it(address):
            return address.pid
    lockers = _lockers(places.data) if not free else []
    return next((pid for pid in (*lockers, *_lockers(places.store)) if is_host(pid)), None)


def is_host(pid: int) -> bool:
    """Whether that process is a host of this user's."""
    try:
        if Path(f"/proc/{pid}").stat().st_uid != os.getuid():
            return False
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    program = any(word.endswith((b"host", b"host.py")) for word in words[:5])
    return program and any(word.startswith(b"--data=") for word in words)


def start_time(pid: int) -> int | None:
    """When that process began; None where it is gone, or the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    words = text.rpartition(")")[2].split()
    return int(words[_STAT_BEGUN]) if len(words) > _STAT_BEGUN else None


def _is_it(address: HostAddress) -> bool:
    """Whether the process that left the address is alive, and this user's."""
    try:
        if Path(f"/proc/{address.pid}").stat().st_uid != os.getuid():
            return False
    except OSError:
        pass  # gone, or a system without /proc: the next question tells
    if address.begun is not None:
        return start_time(address.pid) == address.begun
    try:
        os.kill(address.pid, 0)
    except OSError:
        return False
    return True


def _lockers(path: Path) -> list[int]:
    """The processes that hold a lock on the file or folder, as far as Linux tells."""
    try:
        found = path.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    mark = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    pids = []
    for line in lines:
        words = line.split()
        if mark in words and "->" not in words:  # an arrow marks one that waits
            pids.append(int(words[words.index(mark) - 1]))
    return [pid for pid in pids if pid > 0]
