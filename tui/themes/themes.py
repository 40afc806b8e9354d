"""Themes (dark, light, contrast, 16 colours) and heat map colours that colour-blind people can read."""

from functools import lru_cache
from typing import Literal

from textual.theme import Theme

from tui.themes.colour_maps import DEFAULT_MAP, Rgb, find_map, interpolate, mix

Depth = Literal["full", "256", "16", "none"]
"""Colour depth of the terminal; with 16 or none, shade characters show the values."""

LEVELS = 64

_DARK_INKS = {
    "ink": "#cfd5dd",
    "ink-strong": "#f2f5f9",
    "ink-dim": "#8a94a3",
    "ink-faint": "#566070",
    "ink-accent": "#6cb8e6",
    "ink-second": "#e9b35f",
    "ink-good": "#7fc8a0",
    "ink-bad": "#ef8a80",
    "ink-line": "#2b333e",
    "ink-raised": "#1c2229",
    "ink-chosen": "#243242",
    "ink-ground": "#12161b",
}
_DUSK_INKS = {
    "ink": "#d8d0c4",
    "ink-strong": "#f7f1e6",
    "ink-dim": "#9c9285",
    "ink-faint": "#665e55",
    "ink-accent": "#8ab8d8",
    "ink-second": "#e8a05c",
    "ink-good": "#9cc48a",
    "ink-bad": "#f08c7c",
    "ink-line": "#3a342e",
    "ink-raised": "#26221e",
    "ink-chosen": "#3b3128",
    "ink-ground": "#1a1714",
}
"""Warmer and softer than night, with less blue."""
_LIGHT_INKS = {
    "ink": "#2b323b",
    "ink-strong": "#0d1116",
    "ink-dim": "#5d6875",
    "ink-faint": "#97a1ad",
    "ink-accent": "#0b6aa6",
    "ink-second": "#a05a00",
    "ink-good": "#1d7a4c",
    "ink-bad": "#b3362b",
    "ink-line": "#ccd3db",
    "ink-raised": "#eceff3",
    "ink-chosen": "#d8e6f3",
    "ink-ground": "#fafbfc",
}
_CONTRAST_INKS = {
    "ink": "#ffffff",
    "ink-strong": "#ffffff",
    "ink-dim": "#d0d0d0",
    "ink-faint": "#a8a8a8",
    "ink-accent": "#66d9ff",
    "ink-second": "#ffd24d",
    "ink-good": "#7dff9e",
    "ink-bad": "#ff9b8f",
    "ink-line": "#808080",
    "ink-raised": "#1a1a1a",
    "ink-chosen": "#00395c",
    "ink-ground": "#000000",
}
"""Every colour has a contrast of at least 7 to its background (WCAG AAA)."""
_ANSI_INKS = {
    "ink": "ansi_default",
    "ink-strong": "ansi_default",
    "ink-dim": "ansi_default",
    "ink-faint": "ansi_bright_black",
    "ink-accent": "ansi_cyan",
    "ink-second": "ansi_yellow",
    "ink-good": "ansi_green",
    "ink-bad": "ansi_red",
    "ink-line": "ansi_bright_black",
    "ink-raised": "ansi_default",
    "ink-chosen": "ansi_default",
    "ink-ground": "ansi_default",
}


_ANSI_EXTRAS = {
    "ansi-background": "ansi_black",
    "ansi-foreground": "ansi_white",
    "border-blurred": "ansi_black",
    "input-cursor-background": "ansi_black",
    "input-cursor-foreground": "ansi_bright_white",
    "input-cursor-text-style": "none",
    "input-selection-background": "ansi_bright_blue",
    "input-selection-foreground": "ansi_black",
    "screen-selection-background": "ansi_bright_blue",
    "screen-selection-foreground": "ansi_black",
}
"""Variables that Textual's own widgets need in an ANSI theme."""


def _theme(name: str, inks: dict[str, str], *, dark: bool, ansi: bool = False) -> Theme:
    return Theme(
        name=name,
        primary=inks["ink-accent"],
        secondary=inks["ink-second"],
        accent=inks["ink-second"],
        warning=inks["ink-second"],
        error=inks["ink-bad"],
        success=inks["ink-good"],
        foreground=inks["ink"],
        background=inks["ink-ground"],
        surface=inks["ink-ground"],
        panel=inks["ink-raised"],
        boost=inks["ink-raised"] if ansi else None,
        dark=dark,
        ansi=ansi,
        variables=inks
        | {
            "block-cursor-background": inks["ink-accent"],
            "block-cursor-foreground": "ansi_black" if ansi else inks["ink-ground"],
            "border": inks["ink-line"],
            "scrollbar": inks["ink-line"],
            "scrollbar-hover": inks["ink-faint"],
            "scrollbar-active": inks["ink-dim"],
            "scrollbar-background": inks["ink-ground"],
            "scrollbar-background-hover": inks["ink-ground"],
            "scrollbar-background-active": inks["ink-ground"],
            "scrollbar-corner-color": inks["ink-ground"],
        }
        | (_ANSI_EXTRAS if ansi else {}),
    )


NIGHT = _theme("night", _DARK_INKS, dark=True)
DAY = _theme("day", _LIGHT_INKS, dark=False)
DUSK = _theme("dusk", _DUSK_INKS, dark=True)
CONTRAST = _theme("contrast", _CONTRAST_INKS, dark=True)
SIXTEEN = _theme("sixteen", _ANSI_INKS, dark=True, ansi=True)
THEMES = (NIGHT, DUSK, DAY, CONTRAST, SIXTEEN)
CHOICES = THEMES
"""Themes that the theme key cycles through; 16-colour terminals only use `sixteen`, in their own colours."""
DEFAULT_INKS = _DARK_INKS
"""Defaults for themes that do not define our variables."""

_QUIET_DARK = (0x1C, 0x22, 0x29)
_QUIET_LIGHT = (0xEC, 0xEF, 0xF3)


@lru_cache(maxsize=32)
def heat_colours(*, dark: bool, faded: bool = False, name: str = DEFAULT_MAP) -> tuple[Rgb, ...]:
    """Return one colour per level; level 0 is the background.

    On a light background the map is reversed: high values are dark. Faded: half-way to the background, for provisional
    scores.
    """
    quiet = _QUIET_DARK if dark else _QUIET_LIGHT
    chosen = find_map(name)
    colours = [quiet]
    for level in range(1, LEVELS):
        loud = chosen.start + (1 - chosen.start) * level / (LEVELS - 1)
        if dark:
            colours.append(interpolate(chosen.points, loud))
        else:
            # Yellow on white is too bright: low values of the light map fade into the background instead.
            fading = 0.75 * (1 - level / (LEVELS - 1)) ** 1.5
            colours.append(mix(interpolate(chosen.points, 1 - loud), quiet, fading))
    return tuple(mix(colour, quiet, 0.55) if faded else colour for colour in colours)


def needs_dark_text(ground: Rgb) -> bool:
    """Return True if black text is easier to read on this background than white (WCAG relative luminance)."""
    red, green, blue = (float((part / 255) ** 2.2) for part in ground)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.19


def colour_depth(color_system: str | None, *, no_color: bool) -> Depth:
    """Return the colour depth from Textual's colour system."""
    if no_color or color_system is None:
        return "none"
    if color_system == "truecolor":
        return "full"
    return "256" if color_system == "256" else "16"
