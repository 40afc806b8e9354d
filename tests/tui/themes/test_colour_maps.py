"""Sixteen colours, no colours, themes: the values are read without telling one colour from another."""

from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from textual.theme import Theme

from engine.measures import find_measure
from tui.app.launch import choose_colours
from tui.settings.remembered import ScreenMemory, load_screen_memory
from tui.settings.settings import load
from tui.themes.colour_maps import MAPS, ColourMap, find_map, interpolate, mix
from tui.themes.diverging import diverging_colours
from tui.themes.themes import CHOICES, LEVELS, colour_depth, heat_colours, needs_dark_text
from tui.widgets.heat_cell import PLAIN, CellMark, CellSize, cell_rows, cell_size, format_value, level_of, palette

_GROUNDS = ("ink-ground", "ink-raised", "ink-chosen", "ink-line")


def lightness(colour: tuple[int, int, int]) -> float:
    red, green, blue = ((part / 255) ** 2.2 for part in colour)
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) ** (1 / 3)


@pytest.mark.parametrize("name", [each.id for each in MAPS])
@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("faded", [True, False])
def test_louder_is_always_lighter_on_dark_and_darker_on_light(name: str, dark: bool, faded: bool) -> None:
    values = [lightness(colour) for colour in heat_colours(dark=dark, faded=faded, name=name)[1:]]
    assert values == sorted(values, reverse=not dark)


@pytest.mark.parametrize("chosen", MAPS, ids=lambda each: each.id)
def test_maps_grow_evenly_in_lightness(chosen: ColourMap) -> None:
    steps = [cie_lightness(interpolate(chosen.points, share / 32)) for share in range(4, 33)]
    grown = [after - before for before, after in pairwise(steps)]
    assert max(grown) < 2.1 * min(grown)
    assert cie_lightness(heat_colours(dark=True, name=chosen.id)[1]) > cie_lightness(heat_colours(dark=True)[0]) + 6


@pytest.mark.parametrize("chosen", MAPS, ids=lambda each: each.id)
@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("eyes", ["protan", "deutan"])
def test_the_two_signs_of_a_difference_are_told_apart_by_colour_blind_eyes(
    chosen: ColourMap, dark: bool, eyes: str
) -> None:
    colours = diverging_colours(dark=dark, name=chosen.id)
    for level in (16, 32, 63):
        one, other = (blind(colours[place], eyes) for place in (level, LEVELS + level))
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 255 * 0.15 * level / 63


def test_an_unknown_map_is_the_first_one() -> None:
    assert find_map("of a later version") is MAPS[0]


def cie_lightness(colour: tuple[int, int, int]) -> float:
    """L* of CIE 1976, from 0 to 100."""
    return 116 * luminance("#{:02x}{:02x}{:02x}".format(*colour)) ** (1 / 3) - 16


_BLIND = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}
"""Machado, Oliveira and Fernandes (2009), severity 1, on linear light."""


def blind(colour: tuple[int, int, int], eyes: str) -> tuple[float, ...]:
    """The colour as those eyes see it, from 0 to 255."""
    light = [(part / 255) ** 2.2 for part in colour]
    seen = (sum(a * b for a, b in zip(row, light, strict=True)) for row in _BLIND[eyes])
    return tuple(255 * min(max(part, 0.0), 1.0) ** (1 / 2.2) for part in seen)


@pytest.mark.parametrize("dark", [True, False])
def test_numbers_can_be_read_on_every_colour(dark: bool) -> None:
    for colour in heat_colours(dark=dark):
        ink = 0.0 if needs_dark_text(colour) else 1.0
        ground = lightness(colour) ** 3
        contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
        assert contrast > 4


def test_only_silence_has_the_quiet_colour() -> None:
    assert level_of(0.0) == 0
    assert level_of(0.0001) == 1
    assert level_of(1.0) == LEVELS - 1
    assert level_of(None) == -1
    assert len(set(heat_colours(dark=True))) == LEVELS
    assert mix((0, 0, 0), (10, 20, 30), 0.5) == (5, 10, 15)


def test_without_colours_shades_and_digits_carry_the_value() -> None:
    size = CellSize(7, 1)
    quiet, middle, loud = ("".join(cell_rows("", level, size, PLAIN, True)[0]) for level in (0, 30, 63))
    assert (quiet, middle, loud) == ("       ", "▒▒▒▒▒▒▒", "███████")
    assert "".join(cell_rows("7", 63, size, CellMark(circuit=True), True)[0]) == "[█ 7 █]"
    styles = palette(dark=True, depth="none", faded=False)
    assert all(style.color is None and style.bgcolor is None for style in styles.cells)


@pytest.mark.parametrize("level", [1, 20, 40, LEVELS - 1])
def test_marks_leave_a_cell_its_shade(level: int) -> None:
    shade = "░▒▓█"[level * 4 // LEVELS]
    kinds = [
        CellMark(circuit, known, cursor, chosen) for circuit, known, cursor, chosen in product((False, True), repeat=4)
    ]
    for (width, height), mark in product(((7, 3), (7, 2), (5, 2), (4, 2), *((n, 1) for n in range(2, 8))), kinds):
        text = format_value(0.5, level, width)
        drawn = "".join("".join(row) for row in cell_rows(text, level, CellSize(width, height), mark, True))
        assert len(drawn) == width * height
        # The cursor's cell is reversed: the opposite shade looks as the shade does beside it.
        assert dict(zip("░▒▓█", "▓▒░ ", strict=True))[shade] in drawn if mark.cursor else shade in drawn


def test_a_loud_circuit_is_no_empty_box_in_two_columns() -> None:
    def drawn(mark: CellMark, level: int = LEVELS - 1) -> str:
        return "".join(cell_rows("", level, CellSize(2, 1), mark, True)[0])

    assert drawn(CellMark(circuit=True)) == "[█"
    assert drawn(CellMark(circuit=True, known=True)) == "◈█"
    assert drawn(CellMark(circuit=True), 0) == "[]"
    assert drawn(CellMark(cursor=True), 0) == "▸◂"


def test_sixteen_colours_colour_the_circuit_as_the_rest() -> None:
    styles = palette(dark=True, depth="16", faded=False)
    assert [style.color for style in styles.marked] == [style.color for style in styles.cells]


def test_marks_are_signs() -> None:
    frame = ["".join(row) for row in cell_rows("7", 40, CellSize(7, 3), CellMark(circuit=True, known=True), False)]
    assert frame == ["╭────◆╮", "│  7  │", "╰─────╯"]
    cursor = ["".join(row) for row in cell_rows("7", 40, CellSize(7, 3), CellMark(cursor=True), False)]
    assert cursor == ["┏     ┓", "   7   ", "┗     ┛"]
    assert "".join(cell_rows("", 40, CellSize(2, 1), CellMark(circuit=True, known=True), False)[0]) == "[◆"


@pytest.mark.parametrize(("room", "shape", "size"), [
    ((60, 34), (6, 8), CellSize(7, 3)),
    ((60, 34), (12, 12), CellSize(5, 2)),
    ((60, 34), (80, 64), CellSize(2, 1)),
    ((0, 0), (80, 64), CellSize(2, 1)),
])  # fmt: skip
def test_cells_are_as_large_as_fits(room: tuple[int, int], shape: tuple[int, int], size: CellSize) -> None:
    assert cell_size(*room, *shape) == size


def test_cell_numbers_are_short() -> None:
    assert [format_value(value, 9, 7) for value in (7.0, 6.333, 0.285, 12.5, 0.0)] == ["7", "6.3", ".28", "12", "0"]
    assert format_value(0.0, 0, 7) == "·"
    assert format_value(None, -1, 7) == ""


def test_the_terminal_decides_the_depth() -> None:
    assert colour_depth("truecolor", no_color=False) == "full"
    assert colour_depth("256", no_color=False) == "256"
    assert colour_depth("standard", no_color=False) == "16"
    assert colour_depth("truecolor", no_color=True) == "none"


def test_a_choice_of_colours_reaches_textual_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TEXTUAL_COLOR_SYSTEM", "auto")
    import os

    choose_colours("16")
    assert os.environ["TEXTUAL_COLOR_SYSTEM"] == "standard"
    choose_colours("none")
    assert "NO_COLOR" in os.environ
    monkeypatch.delenv("NO_COLOR")


@pytest.mark.parametrize("depth", ["16", "none"])
async def test_the_screen_reads_without_colours(depth: str, recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, depth=depth) as (app, pilot, _until):
        app.state.pick_measure(find_measure("unique_positive"))
        app.screen.drawing.now()
        await pilot.pause()
        text = text_of(app)
        for words in ("│ 6.3 │", "◆╮", "░ .39 ░", "✓ ok", "✗ broken", "~ weak", "only +"):
            assert words in text
        assert app.theme == ("sixteen" if depth == "16" else "night")
        await pilot.press("ctrl+t")
        await pilot.pause()
        assert app.theme == ("sixteen" if depth == "16" else "dusk")


async def test_changing_the_theme_colours_everything_anew(recorded: Any, open_screen: Any) -> None:
    pictures = []
    for theme, keys in (("day", ()), ("dusk", ("ctrl+t",))):
        host = recorded.host()
        host.add(*recorded.events())
        async with open_screen(host, theme=theme) as (app, pilot, until):
            await pilot.press(*keys)
            await until(lambda app=app: app.theme == "day")
            await pilot.pause()
            strips = app.screen._compositor.render_strips()
            pictures.append([[(segment.text, segment.style) for segment in strip] for strip in strips])
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("theme", [each for each in CHOICES if not each.ansi], ids=lambda theme: theme.name)
def test_inks_read_on_their_ground(theme: Theme) -> None:
    inks = theme.variables
    least = {"ink": 7.0, "ink-strong": 7.0, "ink-dim": 4.5}
    if theme.name == "contrast":
        least = {name: 7.0 for name in inks if name.startswith("ink") and name not in _GROUNDS}
    for name, asked in least.items():
        for ground in ("ink-ground", "ink-raised"):
            assert contrast(inks[name], inks[ground]) >= asked, f"{name} on {ground}"


def contrast(one: str, other: str) -> float:
    """WCAG 2: (lighter + .05) / (darker + .05)."""
    first, second = sorted(luminance(each) for each in (one, other))
    return (second + 0.05) / (first + 0.05)


def luminance(text: str) -> float:
    parts = [int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_themes_go_round_and_are_remembered(
    recorded: Any, open_screen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEADCODE_HOME", str(tmp_path))
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        seen = [app.theme]
        for _ in CHOICES:
            await pilot.press("ctrl+t")
            await until(lambda: app.theme != seen[-1])
            seen.append(app.theme)
            assert load(tmp_path / "config" / "config.toml", {})["screen.theme"] == app.theme
        assert seen == ["night", "dusk", "day", "contrast", "sixteen", "night"]
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / "screen.json").write_text("{")
    assert load_screen_memory() == ScreenMemory()
