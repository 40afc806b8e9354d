"""Test the hover texts of fields, tabs, measures, heads, layers and columns."""

import re
from typing import Any

import msgspec
import pytest
from textual.widgets import Tooltip

from engine.measures import MEASURES
from engine.nodes import NodeId
from tui.widgets.tooltips import tip

WORST = "[/b] [@click=app.quit]go[/] \x1b[2J\x1b]0;owned\x07 \u202e \x9b31m"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


async def output(pilot: Any, widget: Any, x: int, y: int) -> str:
    """Return the hover text at a position of the widget's content."""
    gutter = widget.gutter
    await pilot.hover(widget, offset=(x + gutter.left, y + gutter.top))
    await pilot.pause()
    tooltip = widget.tooltip
    return "" if tooltip is None else tooltip.plain


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_the_top_line_and_the_tabs_are_told(size: tuple[int, int], recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=size, tooltips=True) as (app, pilot, until):
        top = app.screen.top
        text = "".join(segment.text for segment in top.render_line(0))
        assert "S lists all sessions" in await output(pilot, top, text.index("first light"), 0)
        assert "6 layers of 8 heads, 128 tokens" in await output(pilot, top, text.index("toy"), 0)
        assert "The model is loaded" in await output(pilot, top, text.index("warm"), 0)
        assert "Everything is saved automatically" in await output(pilot, top, text.index("saved") + 2, 0)
        assert not await output(pilot, top, text.index("saved") - 6, 0)
        await pilot.hover(top, offset=(text.index("toy"), 0))
        await until(lambda: app.screen.get_child_by_type(Tooltip).display)
        if size[0] < 100:
            assert "Head page" in await output(pilot, app.screen.tabs, app.screen.tabs._ends[1][0] + 4, 0)
            assert "Examples" in await output(pilot, app.screen.tabs, 3, 0)


async def test_the_grid_is_told_cell_by_cell(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, tooltips=True) as (app, pilot, until):
        heatmap, view = app.screen.grid.heatmap, app.state.view()
        cell, label = heatmap.cell, heatmap.geometry.label_width
        words = await output(pilot, heatmap, label + 3 * cell.width + 1, 1 + 2 * cell.height)
        assert words.startswith(f"2.3  {view.measure.title} ")
        assert f"rank {view.rank[NodeId(2, 3)]} of 48" in words
        assert "in the circuit" in words
        assert "q .198" in words
        assert "in 100% of the seeds' circuits" in words
        column = await output(pilot, heatmap, label + 3 * cell.width + cell.width // 2, 0)
        assert column.startswith("Head 3 of every layer")
        layer = await output(pilot, heatmap, 1, 1 + 2 * cell.height)
        assert layer.startswith("Layer 2")
        assert "a too" in layer
        # What changes under a resting mouse is told anew.
        await output(pilot, heatmap, label + 1, 1)
        before = heatmap.tooltip.plain
        assert before.startswith(f"0.0  {view.measure.title}")
        await pilot.press("m")
        await until(lambda: heatmap.tooltip.plain.startswith(f"0.0  {app.state.measure.title}"))
        assert heatmap.tooltip.plain != before


async def test_names_of_measures_and_what_stands_beside_the_grid_are_told(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, tooltips=True) as (app, pilot, until):
        grid, view = app.screen.grid, app.state.view()
        assert "m shows the next measure" in await output(pilot, grid.meaning, 3, 0)
        assert f"{len(view.circuit)} heads are the circuit" in await output(pilot, grid.scale, 8, 2)
        assert "exact patching" in await output(pilot, grid.scale, grid.scale.size.width - 3, 2)
        assert (await output(pilot, grid.ranking, 8, 1)).startswith(str(view.order[1]))
        head = app.screen.head
        rows = ["".join(segment.text for segment in strip) for strip in head._strips]
        named = [each for each in MEASURES if not each.cause]
        assert len(named) > 10
        for measure in named:
            row = next(
                y
                for y, text in enumerate(rows)
                if text[:42].lstrip(" ▸·").startswith(measure.title.removesuffix(" (no SAE)"))
            )
            if row < head.size.height:
                assert measure.title in await output(pilot, head, 4, row)
        example = await output(pilot, app.screen.examples, 6, 0)
        assert example.startswith(app.state.examples[0].prompt)
        await pilot.press("L")
        await until(lambda: len(app.screen_stack) == 2)
        table = app.screen.table
        await until(lambda: table.size.height > 4)
        assert "values are evidence for a head" in await output(pilot, table, 18, 0)
        assert (await output(pilot, table, 5, 2)).startswith(str(table.rows[1].id))


async def test_foreign_text_is_told_harmless(recorded: Any, open_screen: Any) -> None:
    host = recorded.host(session=WORST)
    examples = tuple(msgspec.structs.replace(each, prompt=f"{WORST} {each.prompt}") for each in recorded.examples(3))
    host.add(*recorded.events(examples=examples))
    async with open_screen(host, tooltips=True) as (app, pilot, until):
        for widget, x in ((app.screen.examples, 6), (app.screen.top, 14)):
            words = await output(pilot, widget, x, 0)
            assert "[@click=app.quit]go[/]" in words
            assert not RAW.search(words)
        await until(lambda: app.screen.get_child_by_type(Tooltip).display)
        await pilot.pause()
        for strip in app.screen._compositor.render_strips():
            for segment in strip:
                assert not RAW.search(segment.text)
                assert segment.style is None or "quit" not in str(segment.style.meta.get("@click"))
        assert app.return_code is None


async def test_a_mouse_that_rests_or_stays_in_a_cell_changes_nothing(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, tooltips=True) as (app, pilot, until):
        heatmap = app.screen.grid.heatmap
        label = heatmap.geometry.label_width
        await output(pilot, heatmap, label + 1, 1)
        await until(lambda: app.screen.get_child_by_type(Tooltip).display)
        before = heatmap.tooltip
        heatmap.update_hover_text()
        await output(pilot, heatmap, label + 2, 1)
        assert heatmap.tooltip is before


def test_a_long_title_is_cut_and_empty_lines_are_left_out() -> None:
    assert len(tip("x" * 10_000).plain) < 500
    assert tip("a", "", "b").plain == "a\nb"
