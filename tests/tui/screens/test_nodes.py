"""A run with MLPs and the embedding on the screen: the recorded one, beside one of heads alone."""

import re
from typing import Any

import pytest
from textual.events import MouseDown, MouseMove, MouseUp

from engine.nodes import EMBEDDING, NodeId, mlp
from tui.screens.embedding_page import EmbeddingScreen
from tui.screens.head_inspector import HeadInspectorScreen
from tui.screens.mlp_inspector import MlpScreen
from tui.screens.workbench import WorkbenchScreen
from tui.state.parsing import guess_measure

from ..opening import at_rest
from ..visits import WAYS, go

_WITHOUT_NODES = {"write", "write-in-a-line", "negatives", "files", "tasks", "options", "settings", "log", "tour"}
NO_NODE = re.compile(r"\b\d+\.-1|-1\.-1|\bm-1")


def show(app: Any, run_id: str) -> WorkbenchScreen:
    app.state.show_run(run_id)
    screen = app.screen
    assert isinstance(screen, WorkbenchScreen)
    screen.drawing.now()
    return screen


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["nodes_wide", "nodes_small"])
async def test_the_grid_has_a_column_of_mlps_and_a_row_of_the_embedding(
    size: tuple[int, int], nodes_host: Any, open_screen: Any, text_of: Any, screenshot: Any
) -> None:
    """You should see mlp above a column apart, emb before the cell above layer 0, and effects scaled to the heads."""
    async with open_screen(nodes_host.only(nodes_host.with_mlps), size=size) as (app, pilot, until):
        app.state.pick_measure(guess_measure("exact effect"))
        await pilot.press("2", "home", "down", "right", "right", "right")
        app.screen.drawing.now()
        await until(lambda: "Nodes: exact effect" in text_of(app))
        text = text_of(app)
        assert re.search(r"7 +mlp", text)
        assert "emb" in text
        assert "largest head" in text
        await at_rest(app, pilot)
        screenshot(app)


async def test_heads_look_as_they_do_without_mlps(nodes_host: Any, open_screen: Any) -> None:
    """The embedding moves the whole answer; the scale ends at the largest head all the same."""
    async with open_screen(nodes_host) as (app, _pilot, _until):
        for measure in app.state.measures():
            app.state.pick_measure(measure)
            app.state.show_run(nodes_host.with_mlps)
            every = app.state.view()
            app.state.show_run(nodes_host.heads_alone)
            heads = app.state.view()
            assert not heads.others
            if measure.cause and measure.id != "attribution":
                assert every.top == heads.top
                assert every.by_heads
                assert every.intensity_of(EMBEDDING) == 1.0
            assert {every.values[head] for head in heads.order} >= {every.top} or measure.ceiling is not None


async def test_a_run_of_heads_alone_shows_no_mlps(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        screen = show(app, nodes_host.heads_alone)
        await until(lambda: "Heads: " in text_of(app))
        assert "mlp" not in text_of(app)
        assert "emb " not in text_of(app)
        assert screen.grid.heatmap.geometry.label_width == 3
        await pilot.press("slash")
        await until(lambda: "Jump to head" in text_of(app))
        await pilot.press(*"m3", "enter")
        await until(lambda: "'m3' is not in this run, which has heads only" in text_of(app))


async def test_the_cursor_goes_to_mlps_and_the_embedding_and_back(
    nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        state = app.state
        state.put_cursor(1, 7)
        await pilot.press("right", "right")
        assert state.cursor == mlp(1)
        await pilot.press("left")
        assert state.cursor == (1, 7)
        state.put_cursor(0, 5)
        await pilot.press("up", "up", "left", "right")
        assert state.cursor == EMBEDDING
        await until(lambda: "in every circuit, not ranked" in text_of(app))
        await pilot.press("down")
        assert state.cursor == (0, 5)
        state.put_cursor(*mlp(0))
        await pilot.press("up", "down", "down")
        assert state.cursor == mlp(1)
        await pilot.press("home")
        assert state.cursor == state.view().order[0]
        for _ in range(40):
            await pilot.press("right_square_bracket")
        assert state.cursor == EMBEDDING  # the last of every ranking
        await pilot.press("left_square_bracket")
        assert state.cursor == state.view().order[-2]
        for text, node in (("m2", mlp(2)), ("emb", EMBEDDING), ("1.3", NodeId(1, 3))):
            await pilot.press("slash", *text.replace(".", "."), "enter")
            await until(lambda node=node: state.cursor == node)


async def test_mlps_are_marked_with_keys_and_mouse(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        heatmap = show(app, nodes_host.with_mlps).grid.heatmap
        state = app.state

        def at(node: NodeId) -> tuple[int, int]:
            region = heatmap.geometry.regions(node, heatmap.size, heatmap.scroll_offset)[0]
            return region.x + 1, region.y

        state.put_cursor(2, 6)
        await pilot.press("a")
        assert state.marked == {*(NodeId(2, head) for head in range(8)), mlp(2)}
        await pilot.press("a", "shift+right", "shift+right", "shift+down")
        assert state.marked == {NodeId(layer, head) for layer in (2, 3) for head in (6, 7, -1)}
        await until(lambda: "6 marked" in text_of(app))
        state.marks.clear()
        await pilot.click(heatmap, offset=at(mlp(1)))
        await until(lambda: state.cursor == mlp(1))
        await pilot.click(heatmap, offset=at(EMBEDDING))
        await until(lambda: state.cursor == EMBEDDING)
        await pilot.click(heatmap, offset=at(mlp(3)), control=True)
        await until(lambda: state.marked == {mlp(3)})
        column = at(mlp(0))[0]
        await pilot.click(heatmap, offset=(column, 0))
        await until(lambda: state.marked == set(map(mlp, range(4))))
        state.marks.clear()
        for kind, node in ((MouseDown, NodeId(1, 6)), (MouseMove, mlp(2)), (MouseUp, mlp(2))):
            await pilot._post_mouse_events([kind], heatmap, at(node), button=1)
            await pilot.pause()
        await until(lambda: state.marked == {NodeId(layer, head) for layer in (1, 2) for head in (6, 7, -1)})


async def test_a_circuit_is_kept_with_its_mlps_and_without_the_embedding(
    nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        app.state.marks.toggle([mlp(2), NodeId(1, 3), EMBEDDING])
        await pilot.press("K")
        await until(lambda: "Keep these 1 head and 1 MLP as a circuit" in text_of(app))
        await pilot.press("enter")
        await until(lambda: nodes_host.of_kind("SaveCircuit"))
        assert set(nodes_host.of_kind("SaveCircuit")[0].heads) == {(2, -1), (1, 3)}
        await pilot.press("v")
        await until(lambda: nodes_host.of_kind("MeasureRunEffects"))
        assert set(nodes_host.of_kind("MeasureRunEffects")[0].heads) == {(2, -1), (1, 3), (-1, -1)}


async def test_a_circuit_with_mlps_over_heads_alone_says_what_is_missing(nodes_host: Any, open_screen: Any) -> None:
    async with open_screen(nodes_host) as (app, _pilot, _until):
        show(app, nodes_host.with_mlps)
        app.state.overlay.choose("mixed")
        assert app.state.view().known == {mlp(3), NodeId(2, 6)}
        show(app, nodes_host.heads_alone)
        view = app.state.view()
        assert view.known == {NodeId(2, 6)}
        assert "without 1 MLP: this run has heads alone" in view.reference.source


async def test_a_walk_of_the_ranking_opens_the_page_of_every_kind_of_node(
    nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        await pilot.press("slash", *"m0", "enter")
        await until(lambda: app.state.cursor == mlp(0))
        await pilot.press("enter")
        await until(lambda: isinstance(app.screen, MlpScreen) and "MLP m0 neurons by attribution" in text_of(app))
        assert not nodes_host.of_kind("GetHeadInspection")
        kinds = {"head": HeadInspectorScreen, "mlp": MlpScreen, "embedding": EmbeddingScreen}
        for _ in range(len(app.state.view().order)):
            await pilot.press("right_square_bracket" if app.state.cursor.is_head else "n")
            await until(lambda: type(app.screen) is kinds[app.state.cursor.kind])
            assert len(app.screen_stack) == 2
        assert app.state.cursor == EMBEDDING  # the last of every ranking
        await until(lambda: "no attention and no neurons" in text_of(app))
        await pilot.press("N")
        await until(lambda: type(app.screen) is kinds[app.state.cursor.kind] is not EmbeddingScreen)


async def test_the_table_lists_nodes_and_writes_their_names(
    nodes_host: Any, open_screen: Any, text_of: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_screen(nodes_host) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        await pilot.press("L")
        await until(lambda: "37 nodes" in text_of(app))
        numbers = {"mlps": 4, "heads": 32, "m2": 1, "emb": 1, "2.*": 8, "layer <= 1": 18, "not heads": 5}
        for wanted, left in numbers.items():
            app.screen.table.wanted = wanted
            assert len(app.screen.table.rows) == left, wanted
        await pilot.press("w")
        await until(lambda: list(tmp_path.glob("*.csv")))
        lines = next(tmp_path.glob("*.csv")).read_text().splitlines()
        assert lines[0].startswith("node,layer,head,circuit")
        assert {line.split(",")[0]: line.split(",")[1:3] for line in lines[1:]} == {
            "emb": ["", ""], **{f"m{layer}": [str(layer), ""] for layer in range(4)}
        }  # fmt: skip


async def test_a_difference_says_what_only_one_run_has(nodes_host: Any, open_screen: Any, text_of: Any) -> None:
    async with open_screen(nodes_host) as (app, pilot, until):
        for shown, other, where in (
            (nodes_host.with_mlps, nodes_host.heads_alone, "here"),
            (nodes_host.heads_alone, nodes_host.with_mlps, "there"),
        ):
            show(app, shown)
            app.screen.subtract(other)
            await until(lambda where=where: f"MLPs only {where}" in text_of(app))
            against = app.state.against()
            assert set(against.order) == {NodeId(layer, head) for layer in range(4) for head in range(8)}
            await pilot.press("d")
            await until(lambda: app.state.against() is None)
        show(app, nodes_host.with_mlps)
        app.screen.subtract("circuit:mixed")
        await until(lambda: app.state.against() is not None)
        against = app.state.against()
        assert against.there[mlp(3)] == 1.0
        assert against.here[EMBEDDING] == against.there[EMBEDDING] == 0.0


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
@pytest.mark.parametrize("depth", ["full", "none"])
async def test_no_screen_writes_a_node_as_layer_and_head(
    size: tuple[int, int], depth: str, nodes_host: Any, open_screen: Any, text_of: Any
) -> None:
    async with open_screen(nodes_host, size=size, depth=depth) as (app, pilot, until):
        show(app, nodes_host.with_mlps)
        app.state.put_cursor(*mlp(3))
        app.state.marks.toggle([mlp(3), mlp(0)])
        for name in WAYS:
            if name in _WITHOUT_NODES:
                continue
            await go(app, pilot, name)
            await until(lambda: text_of(app).strip())
            assert not NO_NODE.search(text_of(app)), name
