"""Make ids for sessions and runs: short, and sorted by the time they were made."""

import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in ASCII order: no i, l, o or u, which are easily misread."""
_EPOCH_MS = 1_767_225_600_000
"""2026-01-01 UTC. Forty bits of milliseconds last until 2060."""
_ID = re.compile(f"[a-z][{_ALPHABET}]{{12}}")

_last_ms = 0


def new_id(letter: str) -> str:
    """Return a letter, eight digits of time and four random ones; ids of one process sort by time."""
    global _last_ms
    _last_ms = max(_last_ms + 1, time.time_ns() // 1_000_000)
    return letter + _digits(_last_ms - _EPOCH_MS, 8) + _digits(secrets.randbits(20), 4)


def is_id(text: str) -> bool:
    """Return whether the text has the form of an id."""
    return _ID.fullmatch(text) is not None


def _digits(number: int, width: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(width)))


_RESERVED = frozenset("/@:")
"""Signs of references: SESSION/RUN, RUN@SEED, circuit:NAME."""


def name_trouble(name: str) -> str:
    """Return why a run cannot have this name; empty if it can."""
    if name.strip().isdecimal():
        return "A number alone is a run's place in its session"
    if name in ("latest", "known"):
        return f"{name} means another run"
    found = sorted(_RESERVED.intersection(name))
    return f"{found[0]} has a meaning of its own where a run is named" if found else ""
