"""Colours and attributes as SGR codes: what a blank shows of them, and the shortest way from one look to another."""

from functools import lru_cache

_LINES = frozenset({"4", "7", "9", "21", "53"})
"""Underlined, reversed, struck, twice underlined, overlined: a blank shows them, and their colour."""


@lru_cache(maxsize=4_096)
def without_ink(codes: str) -> str:
    """What is seen of them on a blank."""
    attributes, _ink, ground = _parts(codes)
    return codes if attributes & _LINES else ground


@lru_cache(maxsize=4_096)
def on_ground(codes: str, blank: str) -> str:
    """The look nearest to `codes` that shows a blank as it should be; ink that it does not show stays."""
    attributes, ink, _ = _parts(codes)
    wanted, _, ground = _parts(blank)
    if wanted & _LINES or attributes & _LINES:
        return blank
    return ";".join((*sorted(attributes), *filter(None, (ink, ground))))


@lru_cache(maxsize=4_096)
def _parts(codes: str) -> tuple[frozenset[str], str, str]:
    """Attributes, ink and ground of SGR codes as Rich writes them."""
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
    """The shortest sequence from one look to another."""
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
