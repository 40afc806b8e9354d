"""Every use of what Rich 15 keeps private; a test fails when a new version changes one of them."""

from rich.color import ColorSystem
from rich.console import Console


def colour_system(console: Console) -> ColorSystem:
    """Return the colours that the console's terminal has."""
    return console._color_system or ColorSystem.TRUECOLOR


def draw_as_terminal(console: Console) -> None:
    """Let the console move the cursor although it has no colours (Console(force_terminal=True) would colour it)."""
    console._force_terminal = True
