"""SGR codes: their visible part on a blank, and the shortest change from one style to another."""

from functools import lru_cache

_LINES = frozenset({"4", "7", "9", "21", "53"})
"""Underline, reverse, strike, double underline, overline: visible on a blank, with their colour."""


@lru_cache(maxsize=4_096)
def without_ink(codes: str) -> str:
    """Return the codes that are visible on a blank."""
    attributes, _ink, ground = _parts(codes)
    return codes if attributes & _LINES else ground


@lru_cache(maxsize=4_096)
def on_ground(codes: str, blank: str) -> str:
    """Return the style nearest to `codes` that draws a blank like `blank`; an invisible foreground stays."""
    attributes, ink, _ = _parts(codes)
    wanted, _, ground = _parts(blank)
    if wanted & _LINES or attributes & _LINES:
        return blank
    return ";".join((*sorted(attributes), *filter(None, (ink, ground))))


@lru_cache(maxsize=4_096)
def _parts(codes: str) -> tuple[frozenset[str], str, str]:
    """Split SGR codes, as Rich writes them, into attributes, foreground and background."""
    attributes, ink, ground = set(), "", ""
    rest = iter(codes.split(";") if codes else ())
    for code in rest:
        number = int(code)
        if number in (38, 48):
            kind = next(rest)
            whole = ";".join((code, kind, *(next(rest) for _ in range(3 if kind == "2" else 1))))
            ink, ground = (whole, ground) if number == 38 else (ink, whole)
        elif 30 <= number <= 39 or 90 <= number <= 97:
            ink = code
        elif 40 <= number <= 49 or 100 <= number <= 107:
            ground = code
        else:
            attributes.add(code)
    return frozenset(attributes), "" if ink == "39" else ink, "" if ground == "49" else ground


_ENDS = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "6": "25", "7": "27", "8": "28", "9": "29"}


@lru_cache(maxsize=4_096)
def transition(before: str, after: str) -> str:
    """Return the shortest escape sequence from one style to another."""
    had, had_ink, had_ground = _parts(before)
    has, ink, ground = _parts(after)
    anew = f"\x1b[;{after}m" if after else "\x1b[m"
    gone = had - has
    if not gone <= _ENDS.keys():
        return anew
    ended = {_ENDS[code] for code in gone}
    come = {code for code in has if code not in had or _ENDS.get(code) in ended}
    codes = [*sorted(ended), *sorted(come)]
    if ink != had_ink:
        codes.append(ink or "39")
    if ground != had_ground:
        codes.append(ground or "49")
    if not codes:
        return ""
    step = f"\x1b[{';'.join(codes)}m"
    return step if len(step) <= len(anew) else anew
