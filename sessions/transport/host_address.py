"""Find the host of a store and its socket through the store's folder, even if the socket's folder is gone.

A host holds a lock on the store's folder, which cannot be deleted while the store is in it, and writes its address
there. The socket's folder can vanish: a desktop's session manager removes it at the last logout.
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
"""Index of the start time among the fields after the program's name in /proc/PID/stat, in ticks since boot."""


class HostAddress(msgspec.Struct, frozen=True, kw_only=True):
    """What a host writes beside its store."""

    pid: int
    begun: int | None
    """When the process began, if the system tells: a later process may have the same number."""
    socket: str
    version: str


def address_file(places: AppFolders) -> Path:
    """Return the path of the address."""
    return places.data / "host.json"


def write_address(places: AppFolders, address: HostAddress) -> None:
    """Write the address if possible: on a full disk, clients have to find the socket at its default path."""
    goal = address_file(places)
    part = goal.with_name(f".{goal.name}.{secrets.token_hex(4)}.part")
    with suppress(OSError):
        try:
            part.write_bytes(msgspec.json.encode(address))
            part.replace(goal)
        finally:
            part.unlink(missing_ok=True)


def read_address(places: AppFolders) -> HostAddress | None:
    """Return the last host's address; None if there is none or it cannot be read."""
    path = address_file(places)
    try:
        if not path.is_file() or path.stat().st_size > 10_000:
            return None
        return msgspec.json.decode(path.read_bytes(), type=HostAddress)
    except (OSError, msgspec.MsgspecError):
        return None


def own_address(place: Path, version: str) -> HostAddress:
    """Return this process's address."""
    return HostAddress(pid=os.getpid(), begun=start_time(os.getpid()), socket=str(place), version=version)


def store_lock(places: AppFolders) -> FolderLock:
    """Return the lock that is held as long as the store is open."""
    return FolderLock(places.data)


def sockets(places: AppFolders) -> list[Path]:
    """Return where this store's host may listen.

    These are the default path, the path in the address, and the fallback that needs no space.
    """
    address = read_address(places)
    spare = private_temporary() / places.socket.name
    found = [places.socket, *([Path(address.socket)] if address is not None else []), spare]
    return list(dict.fromkeys(found))


def serves(places: AppFolders, place: Path, connection: socket.socket) -> bool:
    """Return whether the listener at `place` is the host of this store.

    At another than the default path it must be the process that left the address: after a folder was moved, its old
    socket may belong to another store's host.
    """
    if place.name == places.socket.name:
        return True
    address = read_address(places)
    _, pid = peer_process(connection)
    return address is not None and pid in (0, address.pid) and _is_it(address)


def find_holder(places: AppFolders) -> int | None:
    """Return the process id of the store's host; None if there is none.

    It is found by the lock on the store's folder, then by DuckDB's lock on the file, which hosts of older versions
    have.
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
    """Return whether the process is a host of this user."""
    try:
        if Path(f"/proc/{pid}").stat().st_uid != os.getuid():
            return False
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    program = any(word.endswith((b"host", b"host.py")) for word in words[:5])
    return program and any(word.startswith(b"--data=") for word in words)


def start_time(pid: int) -> int | None:
    """Return when the process began; None if it is gone or the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    words = text.rpartition(")")[2].split()
    return int(words[_STAT_BEGUN]) if len(words) > _STAT_BEGUN else None


def _is_it(address: HostAddress) -> bool:
    """Return whether the process that left the address is alive and belongs to this user."""
    try:
        if Path(f"/proc/{address.pid}").stat().st_uid != os.getuid():
            return False
    except OSError:
        pass  # gone, or a system without /proc: checked next
    if address.begun is not None:
        return start_time(address.pid) == address.begun
    try:
        os.kill(address.pid, 0)
    except OSError:
        return False
    return True


def _lockers(path: Path) -> list[int]:
    """Return the processes that hold a lock on the file or folder, as far as Linux tells."""
    try:
        found = path.stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    mark = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    pids = []
    for line in lines:
        words = line.split()
        if mark in words and "->" not in words:  # an arrow marks a waiting process
            pids.append(int(words[words.index(mark) - 1]))
    return [pid for pid in pids if pid > 0]
