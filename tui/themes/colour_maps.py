"""Colour maps for magnitudes, each with two end colours for signed differences.

All increase evenly in lightness, which every kind of colour vision and greyscale print preserves; tests check it.
"""

from collections.abc import Sequence

import msgspec

Rgb = tuple[int, int, int]


class ColourMap(msgspec.Struct, frozen=True, kw_only=True):
    """Evenly spaced colours from low to high, and the colours of both signs of a difference."""

    id: str
    """Its name in config.toml."""
    title: str
    points: tuple[Rgb, ...]
    start: float
    """Start of the map on a dark background: earlier colours are too close to the background."""
    more: tuple[Rgb, Rgb]
    """Colours for more in A: on a dark and on a light background."""
    less: tuple[Rgb, Rgb]
    """Colours for more in B."""


_BLUE: tuple[Rgb, Rgb] = ((0x6E, 0xC1, 0xFF), (0x0B, 0x5C, 0xA8))
_ORANGE: tuple[Rgb, Rgb] = ((0xFF, 0xB0, 0x4A), (0xA3, 0x52, 0x00))
_YELLOW: tuple[Rgb, Rgb] = ((0xF2, 0xDC, 0x5A), (0x6F, 0x5E, 0x00))
_VIOLET: tuple[Rgb, Rgb] = ((0xC3, 0xB2, 0xFF), (0x5B, 0x3F, 0xA8))

# Nine points of each; viridis and magma: van der Walt and Smith (2015), cividis: Nunez, Anderton and Renslow (2018).
VIRIDIS = ColourMap(
    id="viridis",
    title="viridis: violet, green, yellow",
    points=(
        (0x44, 0x01, 0x54),
        (0x47, 0x2D, 0x7B),
        (0x3B, 0x52, 0x8B),
        (0x2C, 0x72, 0x8E),
        (0x21, 0x91, 0x8C),
        (0x28, 0xAE, 0x80),
        (0x5E, 0xC9, 0x62),
        (0xAD, 0xDC, 0x30),
        (0xFD, 0xE7, 0x25),
    ),
    start=0.12,
    more=_BLUE,
    less=_ORANGE,
)
CIVIDIS = ColourMap(
    id="cividis",
    title="cividis: blue, grey, yellow; safe for red-green colour blindness",
    points=(
        (0x00, 0x20, 0x51),
        (0x11, 0x36, 0x6C),
        (0x3C, 0x4D, 0x6E),
        (0x62, 0x64, 0x6F),
        (0x7F, 0x7C, 0x75),
        (0x9A, 0x94, 0x78),
        (0xBB, 0xAF, 0x71),
        (0xE2, 0xCB, 0x5C),
        (0xFD, 0xEA, 0x45),
    ),
    start=0.1,
    more=_BLUE,
    less=_YELLOW,
)
MAGMA = ColourMap(
    id="magma",
    title="magma: violet, rose, cream",
    points=(
        (0x00, 0x00, 0x04),
        (0x1D, 0x11, 0x47),
        (0x51, 0x12, 0x7C),
        (0x83, 0x26, 0x81),
        (0xB6, 0x36, 0x79),
        (0xE6, 0x51, 0x64),
        (0xFB, 0x88, 0x61),
        (0xFE, 0xC2, 0x87),
        (0xFC, 0xFD, 0xBF),
    ),
    start=0.24,
    more=_VIOLET,
    less=_ORANGE,
)
GREYS = ColourMap(
    id="greys",
    title="greys: lightness alone",
    points=tuple((tone, tone, tone) for tone in (22, 45, 69, 96, 124, 153, 183, 214, 245)),
    start=0.16,
    more=_BLUE,
    less=_ORANGE,
)
MAPS = (VIRIDIS, CIVIDIS, MAGMA, GREYS)
DEFAULT_MAP = VIRIDIS.id


def find_map(name: str) -> ColourMap:
    """Return the map with that id; the default if unknown, as in settings of a later version."""
    return next((each for each in MAPS if each.id == name), VIRIDIS)


def chosen_map(program: object) -> str:
    """Return the id of the map that the application uses."""
    found: str = getattr(program, "colour_map", DEFAULT_MAP)
    return found


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """Interpolate between two colours; `share` 0 is the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def interpolate(points: Sequence[Rgb], share: float) -> Rgb:
    """Interpolate along the points; `share` is from 0 to 1."""
    where = min(max(share, 0.0), 1.0) * (len(points) - 1)
    low = min(int(where), len(points) - 2)
    return mix(points[low], points[low + 1], where - low)
