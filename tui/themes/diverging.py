"""Colours for signed differences: blue for more in A, orange for more in B (by default), the background for equal.

All kinds of colour vision distinguish the two, and both increase equally in lightness.
"""

from tui.themes.colour_maps import DEFAULT_MAP, Rgb, find_map, mix
from tui.themes.themes import LEVELS

_QUIET_DARK: Rgb = (0x1C, 0x22, 0x29)
_QUIET_LIGHT: Rgb = (0xEC, 0xEF, 0xF3)
_LEAST = 0.18
"""Distance of the smallest difference from the background, so that it is visible."""


def diverging_colours(*, dark: bool, faded: bool = False, name: str = DEFAULT_MAP) -> tuple[Rgb, ...]:
    """Return 2 x LEVELS colours: more in A from level 0 (none) up, then more in B. Faded: mixed with the background."""
    quiet = _QUIET_DARK if dark else _QUIET_LIGHT
    found: list[Rgb] = []
    chosen = find_map(name)
    for side in (chosen.more, chosen.less):
        found.append(quiet)
        end = side[0 if dark else 1]
        for level in range(1, LEVELS):
            colour = mix(quiet, end, _LEAST + (1 - _LEAST) * level / (LEVELS - 1))
            found.append(mix(colour, quiet, 0.5) if faded else colour)
    return tuple(found)


def signed_level(difference: float | None, largest: float) -> int:
    """Return the level in `diverging_colours`; -1 if a side has no value."""
    if difference is None:
        return -1
    if not difference or not largest:
        return 0
    step = max(1, round(min(1.0, abs(difference) / largest) * (LEVELS - 1)))
    return step if difference > 0 else LEVELS + step
