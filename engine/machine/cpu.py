"""The processor of this machine, as far as it decides rounding."""

import platform
import re
import subprocess
from functools import cache
from pathlib import Path

from engine.machine import child_processes

_LONGEST = 30
_NOISE = re.compile(r"\(R\)|\(TM\)|\bCPU\b|\bProcessor\b|\b\d+-Core\b|@.*|\bwith Radeon.*", re.IGNORECASE)


@cache
def processor_name() -> str:
    """Return the processor's model in short, `AMD EPYC 7B13`; if unknown, its architecture: `x86_64`."""
    name = _from_linux("model name") or _from_macos()
    words = " ".join(_NOISE.sub(" ", name).split())
    return words[:_LONGEST].strip() or platform.machine()


@cache
def is_intel() -> bool:
    """Return whether this is an Intel processor; False if that is unknown."""
    return _from_linux("vendor_id") == "GenuineIntel"


def _from_linux(field: str) -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
    found = re.search(rf"^{field}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def _from_macos() -> str:
    if platform.system() != "Darwin":
        return ""
    try:
        done = child_processes.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
