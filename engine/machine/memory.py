"""The available memory, as reported by Linux, and what torch requested. Needs no torch."""

import re
import resource
from pathlib import Path

import msgspec

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_ASKED = re.compile(r"[Tt]ried to allocate (?P<number>[\d.]+) ?(?P<unit>bytes|KiB|MiB|GiB|TiB)")
_DEVICE = re.compile(
    r"total capacity of (?P<total>[\d.]+ [KMGT]iB) of which (?P<free>[\d.]+ (?:bytes|[KMGT]iB)) is free"
)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of this machine's memory, and of the share available to this process."""

    total: int
    available: int
    """What a new process can use without swapping."""
    limit: int | None = None
    """Limit of the control group (a container, a batch job) or of `ulimit -v`; None: no limit."""
    in_use: int | None = None
    """Used of that limit."""


def memory() -> Memory | None:
    """Return the memory of this machine; None if the system does not report it."""
    import psutil  # 7 ms, which a screen that only formats sizes need not wait for

    try:
        machine = psutil.virtual_memory()
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    total, available = machine.total, machine.available
    limits = [(limit, used) for limit, used in (*_limits(), *_own_limit()) if limit < total]
    if not limits:
        return Memory(total=total, available=available)
    limit, used = min(limits, key=lambda each: each[0] - each[1])
    return Memory(total=total, available=min(available, max(0, limit - used)), limit=limit, in_use=used)


def format_memory(found: Memory | None) -> str:
    """Describe the memory, as the end of a sentence."""
    if found is None:
        return "this system does not report how much there is"
    if found.limit is not None:
        used = f" ({format_bytes(found.in_use or 0)} in use)" if found.in_use is not None else ""
        return f"this process or its container is limited to {format_bytes(found.limit)}{used}"
    return f"{format_bytes(found.available)} of {format_bytes(found.total)} are free"


def oom_kills() -> int | None:
    """Return how many processes the kernel has killed here for lack of memory; None if unknown."""
    counted = []
    for folder in _folders():
        for name in ("memory.events", "memory.oom_control"):
            counted += _numbers(folder / name, "oom_kill")
    counted += _numbers(PROC / "vmstat", "oom_kill")
    return sum(counted) if counted else None


def resident_bytes(pid: int) -> int | None:
    """Return the resident memory of the process; None if it is gone or the system does not report it."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (OSError, ValueError, psutil.Error):
        return None


def format_requested(text: str) -> str:
    """Describe what torch requested and what its device has, from its error message; empty if it does not say."""
    found = _ASKED.search(text)
    if found is None:
        return ""
    words = f"{format_bytes(int(float(found['number']) * _UNITS[found['unit']]))} were requested at once"
    device = _DEVICE.search(text)
    return f"{words}; the device has {device['total']} ({device['free']} free)" if device else words


def format_bytes(count: int) -> str:
    """Format a size with two or three digits: 538 MB."""
    for unit, factor, whole_from in (("TB", 10**12, 100), ("GB", 10**9, 100), ("MB", 10**6, 10), ("kB", 10**3, 10)):
        if count >= factor:
            value = count / factor
            return f"{value:.1f} {unit}" if value < whole_from else f"{value:.0f} {unit}"
    return f"{count} B"


def _limits() -> list[tuple[int, int]]:
    """Return (limit, in use) of every control group of this process that has a limit."""
    found = []
    for folder in _folders():
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            try:
                limit, used = (folder / limit_name).read_text().strip(), (folder / used_name).read_text().strip()
                found.append((int(limit), int(used)))
            except (OSError, ValueError):
                continue  # "max": no limit
    return found


def _own_limit() -> list[tuple[int, int]]:
    """Return (limit, in use) of this process's address space, if `ulimit -v` sets one."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return []
    try:
        used = int((PROC / "self" / "statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return []
    return [(limit, used)]


def _folders() -> list[Path]:
    """Return the folders of this process's memory control groups and of their parents."""
    places: list[Path] = []
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            root = CGROUPS
        elif "memory" in controllers.split(","):
            root = CGROUPS / "memory"
        else:
            continue
        inner = root / path.strip("/")
        while True:
            places.append(inner)
            if inner == root or root not in inner.parents:
                break
            inner = inner.parent
    return places


def _numbers(path: Path, name: str) -> list[int]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) for line in lines if line.startswith(name + " ") and line.split()[1].isdecimal()]
