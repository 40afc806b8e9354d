"""Several heads at once: marked with keys and mouse, then measured, kept, copied, summed up, and their edges shown."""

from typing import Any

from engine.events import EdgesScored
from engine.nodes import NodeId
from engine.results import EdgeScore
from tui.screens.workbench import WorkbenchScreen
from tui.state.grid_places import GridPlaces
from tui.state.marked_heads import MarkedHeads, sort_by_rank
from tui.widgets.heat_cell import CellMark, CellSize, cell_rows, significance_sign, stability_sign


async def test_keys_mark_heads_boxes_layers_and_the_circuit(recorded: Any, open_screen: Any, text_of: Any) -> None:
    """You should see double frames around the marked heads, and what they come to above the grid."""
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        state = app.state
        state.put_cursor(1, 1)
        await pilot.press("space", "right", "space")
        assert state.marked == {(1, 1), (1, 2)}
        await until(lambda: "2 marked" in text_of(app) and "╔" in text_of(app))
        await pilot.press("space", "j", "j", "shift+right", "shift+down")
        assert state.marked == {(1, 1), (3, 2), (3, 3), (4, 2), (4, 3)}
        assert state.cursor == (4, 3)
        await pilot.press("shift+left")
        assert state.marked == {(1, 1), (3, 2), (4, 2)}, "a box grows and shrinks"
        await pilot.press("u")
        assert not state.marked
        await until(lambda: "╔" not in text_of(app) and "marked" not in text_of(app))
        await pilot.press("a")
        assert state.marked == {(4, head) for head in range(8)}
        await pilot.press("a", "A")
        assert state.marked == state.view().circuit
        await until(lambda: f"{len(state.marked)} in the circuit" in text_of(app))
        await pilot.press("escape")
        assert not state.marked


async def test_the_mouse_marks_by_drag_by_number_and_with_ctrl(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        screen = app.screen
        assert isinstance(screen, WorkbenchScreen)
        heatmap, state = screen.grid.heatmap, app.state

        def at(layer: int, head: int) -> tuple[int, int]:
            return (3 + head * heatmap.cell.width + 2, 1 + layer * heatmap.cell.height + 1)

        await pilot.mouse_down(heatmap, offset=at(1, 2))
        await pilot.hover(heatmap, offset=at(2, 3))
        await pilot.hover(heatmap, offset=at(3, 4))
        await pilot.mouse_up(heatmap, offset=at(3, 4))
        await until(lambda: len(state.marked) == 9)
        assert state.cursor == (3, 4)
        assert state.marked == {(layer, head) for layer in (1, 2, 3) for head in (2, 3, 4)}
        await pilot.click(heatmap, offset=at(5, 5))
        await until(lambda: state.cursor == (5, 5))
        assert len(state.marked) == 9, "a click alone marks nothing"
        await pilot.click(heatmap, offset=at(5, 6), control=True)
        await until(lambda: (5, 6) in state.marked)
        await pilot.press("u")
        await pilot.click(heatmap, offset=(1, at(4, 0)[1]))
        await until(lambda: state.marked == {(4, head) for head in range(8)})
        await pilot.click(heatmap, offset=(1, at(4, 0)[1]))
        await pilot.click(heatmap, offset=(at(0, 6)[0], 0))
        await until(lambda: state.marked == {(layer, 6) for layer in range(6)})


async def test_what_is_marked_is_what_is_measured_kept_copied_and_shown(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    events = recorded.events()
    edges = (EdgeScore(source=(0, 1), target=(2, 3), score=6.3), EdgeScore(source=(1, 1), target=(3, 2), score=5.1))
    host.add(*events[:-2], EdgesScored(edges=edges, n_pairs=960), *events[-2:])
    async with open_screen(host) as (app, pilot, until):
        app.state.marks.toggle([NodeId(1, 1), NodeId(4, 2)])
        await pilot.press("v")
        await until(lambda: host.of_kind("MeasureRunEffects"))
        asked = host.of_kind("MeasureRunEffects")[0]
        assert (asked.heads, asked.config.method) == (((1, 1), (4, 2)), "exact")

        await pilot.press("B")
        await until(lambda: len(host.of_kind("MeasureRunEffects")) == 2)
        gone = host.of_kind("MeasureRunEffects")[1]
        assert (gone.after, gone.after_name) == (((1, 1), (4, 2)), "the marked heads")
        assert (gone.heads, gone.config.method) == ((), "exact")

        await pilot.press("K")
        await until(lambda: "Keep these 2 heads" in text_of(app))
        await pilot.press("enter")
        await until(lambda: host.of_kind("SaveCircuit"))
        kept = host.of_kind("SaveCircuit")[0]
        assert set(kept.heads) == {(1, 1), (4, 2)}
        assert kept.source == "2 marked by hand in run 1"

        sent: list[str] = []
        app.copy_to_clipboard = sent.append
        await pilot.press("y")
        await until(lambda: "The marked heads" in text_of(app))
        await pilot.press("h")
        await until(lambda: bool(sent))
        assert sent == [" ".join(map(str, sort_by_rank(app.state.marked, app.state.view()))) + "\n"]
        await pilot.press("escape")

        await pilot.press("e")
        await until(lambda: "Circuit by layers" in text_of(app))
        assert [edge.weight for edge in app.screen.board.all] == [5.1]
        await pilot.press("c")
        assert [edge.weight for edge in app.screen.board.all] == [6.3, 5.1]


async def test_signs_of_chance_and_seeds_stand_in_the_cells(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        assert "● every seed" not in text_of(app)
        await pilot.press("g")
        await until(lambda: "● every seed" in text_of(app))
        view = app.state.view()
        grid = text_of(app).split("● every seed")[1].split(" cut [")[0]
        full = sum(node.stability >= 1 for node in view.nodes)
        assert grid.count("●") == full > 0
        await pilot.press("g")
        await until(lambda: "●" not in text_of(app))


def test_signs_are_shapes_and_leave_what_is_there() -> None:
    assert [significance_sign(value) for value in (None, 0.01, 0.05, 0.1, 0.5, float("nan"))] == [
        " ",
        "*",
        "*",
        "'",
        " ",
        " ",
    ]
    assert [stability_sign(value) for value in (1.0, 2 / 3, 1 / 3)] == ["●", "○", " "]
    both = CellMark(circuit=True, known=True, chosen=True, signs="*●")
    assert ["".join(row) for row in cell_rows("7", 40, CellSize(7, 3), both, False)] == [
        "╔════◆╗",
        "║  7  ║",
        "╚*═══●╝",
    ]
    assert "".join(cell_rows("7", 40, CellSize(2, 1), CellMark(signs="*○"), False)[0]) == "*○"
    assert "".join(cell_rows("", 40, CellSize(2, 1), CellMark(circuit=True, chosen=True), False)[0]) == "«»"
    assert "".join(cell_rows("7", 40, CellSize(6, 1), CellMark(chosen=True, signs="*●"), False)[0]) == "‹* 7●›"
    for size in (CellSize(2, 1), CellSize(3, 1), CellSize(5, 2), CellSize(6, 1), CellSize(7, 3)):
        for mark in (both, CellMark(signs="' "), CellMark(cursor=True, chosen=True)):
            assert all(len("".join(row)) == size.width for row in cell_rows("7", 40, size, mark, False))


def test_marks_of_another_shape_are_forgotten() -> None:
    marks = MarkedHeads()
    marks.toggle([NodeId(0, 0), NodeId(9, 9)])
    marks.fit(GridPlaces(4, 8))
    assert marks.heads == {(0, 0)}
    marks.toggle([NodeId(0, 0), NodeId(1, 1)])
    assert marks.heads == {(0, 0), (1, 1)}
    marks.toggle([NodeId(0, 0), NodeId(1, 1)])
    assert not marks.heads
