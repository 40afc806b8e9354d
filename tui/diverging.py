"""Colours for signed differences: blue for more in A, orange for more in B, the ground where they are equal.

Blue against orange is told apart by every kind of colour blindness, and both sides grow equally in lightness.
"""

from tui.themes import LEVELS, Rgb, mix

_MORE_DARK: Rgb = (0x6E, 0xC1, 0xFF)
_LESS_DARK: Rgb = (0xFF, 0xB0, 0x4A)
_QUIET_DARK: Rgb = (0x1C, 0x22, 0x29)
_MORE_LIGHT: Rgb = (0x0B, 0x5C, 0xA8)
_LESS_LIGHT: Rgb = (0xA3, 0x52, 0x00)
_QUIET_LIGHT: Rgb = (0xEC, 0xEF, 0xF3)
_LEAST = 0.18
"""How far from the ground the smallest difference stands, so that it can be told from none."""


def shades(*, dark: bool, faded: bool = False) -> tuple[Rgb, ...]:
    """2 x LEVELS colours: more in A from level 0 (none) on, then more in B. Faded: half-way to the ground."""
    quiet = _QUIET_DARK if dark else _QUIET_LIGHT
    found: list[Rgb] = []
    for end in (_MORE_DARK, _LESS_DARK) if dark else (_MORE_LIGHT, _LESS_LIGHT):
        found.append(quiet)
        for level in range(1, LEVELS):
            colour = mix(quiet, end, _LEAST + (1 - _LEAST) * level / (LEVELS - 1))
            found.append(mix(colour, quiet, 0.5) if faded else colour)
    return tuple(found)


def signed_level(difference: float | None, largest: float) -> int:
    """The step in `shades`; -1 where there is no difference to speak of because a side has no value."""
    if difference is None:
        return -1
    if not difference or not largest:
        return 0
    step = max(1, round(min(1.0, abs(difference) / largest) * (LEVELS - 1)))
    return step if difference > 0 else LEVELS + step
