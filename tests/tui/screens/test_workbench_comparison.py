"""Subtracting, laying over, keeping and verifying on the workbench."""

import re
from typing import Any

import msgspec
import pytest

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.nodes import NodeId
from sessions.comparison.comparison import ComparisonSide
from sessions.events import CircuitSaved, RunVerified, VerificationEnded, VerificationRequested
from sessions.rows import ComparisonChoice
from tui.screens.choice import ChoiceSheet
from tui.screens.circuits import CircuitsScreen
from tui.themes.themes import LEVELS
from tui.widgets.heat_cell import CellMark, CellSize, cell_rows, format_difference, signed_palette

SIZES = [(160, 48), (80, 24)]
SIZE_IDS = ["160x48", "80x24"]


def other_run(recorded: Any, **more: Any) -> ComparisonSide:
    """A run in which the known heads score eight less and 0.0 three more."""
    nodes = tuple(
        msgspec.structs.replace(
            node, total_variation=node.total_variation - 8 if node.id in recorded.known else node.total_variation + 3
        )
        if node.id in recorded.known or node.id == (0, 0)
        else node
        for node in recorded.nodes(6, 8)
    )
    about = {
        "reference": "r-9",
        "title": "other [bold]/3",
        "kind": "run",
        "n_layers": 6,
        "n_heads": 8,
        "nodes": nodes,
        "config": ProbeConfig(),
    }
    return ComparisonSide(**(about | more))


def host_with(recorded: Any, side: ComparisonSide) -> Any:
    host = recorded.host()
    host.add(*recorded.events())
    host.choices = (
        ComparisonChoice(reference="known:r", group="Known circuit", title="five known heads", detail="5 heads"),
        ComparisonChoice(
            reference="r-9", group="Runs of other sessions", title="other [bold]/3", detail="toy · \x1b[31mred"
        ),
    )
    host.sides = {"r-9": side}
    return host


@pytest.mark.parametrize("size", SIZES, ids=SIZE_IDS)
async def test_d_subtracts_what_is_chosen_and_d_again_ends_it(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = host_with(recorded, other_run(recorded))
    async with open_screen(host, size=size) as (app, pilot, until):
        plain = text_of(app)
        await pilot.press("d")
        await until(lambda: isinstance(app.screen, ChoiceSheet))
        await pilot.press(*"OTHER")
        await pilot.pause()
        listed = text_of(app)
        assert "other [bold]/3" in listed
        assert "five known heads" not in listed
        assert "\x1b" not in listed
        await pilot.press("enter")
        await until(lambda: app.state.against() is not None)
        against = app.state.against()
        assert against is not None
        assert against.differences[NodeId(0, 0)] == -3
        assert all((against.differences[NodeId(*head)] or 0) > 0 for head in recorded.known)
        assert against.order[0] in {NodeId(*head) for head in recorded.known}
        assert len([head for head, value in against.differences.items() if value]) == 6

        app.state.put_cursor(0, 0)
        screen = app.screen_stack[0]
        screen.drawing.now()
        await pilot.pause()
        shown = text_of(app)
        assert "this run minus other [bold]/3" in shown
        assert "+ higher here, - higher there" in shown
        assert re.search(r"total variation \S+ - \S+ = -3", shown)
        assert "in both" in shown
        assert "Jaccard" in shown

        # The measure cycles on, and the cut moves, under the difference.
        await pilot.press("m", "t")
        await until(lambda: "unique codes: this run minus" in text_of(app))
        await pilot.press("M", "d")
        await until(lambda: app.state.against() is None)
        await pilot.press("T")
        app.state.put_cursor(*app.state.view().order[0])
        screen.drawing.now()
        await pilot.pause()
        assert "less other" not in text_of(app)
        assert "difference of code frequencies" in plain


@pytest.mark.parametrize("depth", ["full", "256", "16", "none"])
async def test_the_sign_is_there_without_colours(depth: str, recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = host_with(recorded, other_run(recorded))
    async with open_screen(host, depth=depth) as (app, pilot, until):
        app.screen.subtract("r-9")
        await until(lambda: app.state.against() is not None)
        await until(lambda: "-3" in text_of(app) and re.search(r"\+\d", text_of(app)))
        await pilot.press("escape")
        await until(lambda: app.state.against() is None)


async def test_the_page_shows_both_values(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = host_with(recorded, other_run(recorded))
    async with open_screen(host) as (app, pilot, until):
        app.screen.subtract("r-9")
        await until(lambda: app.state.against() is not None)
        app.state.put_cursor(0, 0)
        app.screen.drawing.now()
        await until(lambda: "here   there     diff" in text_of(app))
        assert re.search(r"▸ total variation +(\S+) +(\S+) +-3\.00", text_of(app))
        await pilot.press("right_square_bracket")
        await until(lambda: app.state.cursor == app.state.against().order[app.state.against().rank[NodeId(0, 0)]])


async def test_a_circuit_is_subtracted_as_membership(recorded: Any, open_screen: Any, text_of: Any) -> None:
    circuit = ComparisonSide(
        reference="c", title="circuit mine", kind="circuit", heads=((2, 3), (0, 0)), source="by hand"
    )
    host = host_with(recorded, circuit)
    host.sides = {"r-9": circuit}
    async with open_screen(host) as (app, _, until):
        app.screen.subtract("r-9")
        await until(lambda: app.state.against() is not None)
        text = text_of(app)
        assert "in the circuit or not: this run minus circuit mine" in text
        assert "precision" in text
        assert set(app.state.against().differences.values()) == {-1.0, 0.0, 1.0}


async def test_another_shape_is_refused_in_words(recorded: Any, open_screen: Any, text_of: Any) -> None:
    small = other_run(recorded, n_layers=2, n_heads=2, nodes=recorded.nodes(2, 2))
    host = host_with(recorded, small)
    async with open_screen(host) as (app, _, until):
        app.screen.subtract("r-9")
        await until(lambda: app.state.failure is not None)
        assert app.state.against() is None
        assert "2 layers x 2 heads" in text_of(app)


async def test_o_cycles_known_kept_and_none(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(
        *recorded.events(),
        CircuitSaved(name="mine", heads=((0, 0), (2, 3)), source="by hand"),
        CircuitSaved(name="elsewhere", heads=((9, 9),), source="another model"),
    )
    async with open_screen(host) as (app, pilot, until):
        assert app.state.view().known == {NodeId(*head) for head in recorded.known}
        await pilot.press("o")
        await until(lambda: app.state.view().known == {(0, 0), (2, 3)})
        assert "◆ mine" in text_of(app)
        assert "precision" in text_of(app)
        await pilot.press("o")  # a circuit that does not fit this model lies nowhere
        await until(lambda: not app.state.view().known)
        await pilot.press("o")
        await until(lambda: app.state.overlay.chosen == "none")
        assert "o shows a circuit" in text_of(app)
        await pilot.press("o")
        await until(lambda: len(app.state.view().known) == 5)


async def test_k_keeps_the_cut_and_circuits_are_combined(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("t")
        inside = set(app.state.view().circuit)
        await pilot.press("K")
        await pilot.pause()
        await pilot.press("ctrl+u", *"movers", "enter")
        await until(lambda: "movers" in app.state.session.circuits)
        assert set(map(NodeId._make, app.state.session.circuits["movers"].heads)) == inside
        asked = host.of_kind("SaveCircuit")[0]
        assert asked.source == f"{len(inside)} best by total variation of run 1"
        await pilot.press("K", "enter")
        await until(lambda: len(app.state.session.circuits) == 2)

        await pilot.press("C")
        await until(lambda: isinstance(app.screen, CircuitsScreen))
        text, view = text_of(app), app.state.view()
        assert "2 saved circuits" in text
        best = next(node for node in view.order if node in inside)
        assert f"nodes     by total variation of run 1: {best} " in text
        assert f"{len(inside)} of {len(inside)} nodes, Jaccard 1.00 with the circuit of run 1" in text
        known = set(app.state.shown.picture.reference.heads)
        both = f"{len(known & inside) / len(known | inside):.2f}".removeprefix("0")
        assert f"{len(known & inside)} of {len(inside)} nodes, Jaccard {both} with " in text
        assert "with run 1 total variation" in text  # the nearest
        await pilot.press("u")  # nothing is marked yet
        assert isinstance(app.screen, CircuitsScreen)
        await pilot.press("space", "down", "space", "minus")
        await pilot.pause()
        await pilot.press("enter")
        await until(lambda: host.of_kind("CombineCircuits"))
        made = host.of_kind("CombineCircuits")[0]
        assert (made.operation, made.of, made.name) == (
            "subtract",
            ("movers", "run 1 total variation"),
            "movers - run 1 total variation",
        )
        await until(lambda: "3 saved circuits" in text_of(app))
        await pilot.press("x")
        await until(lambda: "2 saved circuits" in text_of(app))
        await pilot.press("enter")
        await until(lambda: app.state.overlay.chosen == "kept:movers - run 1 total variation")
        assert app.state.view().known == {(0, 0)}


async def test_v_verifies_and_the_run_line_says_so(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    host.verdict = None
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("V")
        await until(lambda: "Verifying run 1: train 25 of 500" in text_of(app))
        await pilot.press("x")
        await until(lambda: "Stopping" in text_of(app))
        assert [(request.run, request.force) for request in host.of_kind("CancelRun")] == [("run-1", False)]
        await host.tell(VerificationEnded(state="stopped"))
        await until(lambda: not app.state.verifying)
        assert app.state.stopping is None  # the next one is not ended by force at the first key
        assert app.state.failure is None
        why = Failure(family="engine", name="ModelError", message="The model is gone.", hint="Fetch it.")
        await host.tell(VerificationRequested())
        await until(lambda: "Verifying run 1: waiting" in text_of(app))  # whoever asked for it
        await host.tell(VerificationEnded(state="failed", failure=why))
        await until(lambda: "The model is gone." in text_of(app))
        host.verdict = RunVerified(verdict="same", words="the same")
        await pilot.press("V")
        await until(lambda: "verified, bit for bit" in text_of(app))
        await host.tell(RunVerified(verdict="differs", words="differs first in codes: \x1b[31m1 of 9", stage="codes"))
        await until(lambda: "differs first in codes" in text_of(app))
        assert "\x1b" not in text_of(app)


@pytest.mark.parametrize("width", range(2, 8))
@pytest.mark.parametrize("value", [2.5, -2.5, 0.083, -12.0, 0.0, None])
def test_a_sign_fits_in_every_cell(width: int, value: float | None) -> None:
    level = 0 if value == 0 else -1 if value is None else 5 if value > 0 else LEVELS + 5
    text = format_difference(value, level, width)
    assert len(text) <= max(width - 2, 1)
    for mark in (CellMark(), CellMark(circuit=True), CellMark(cursor=True), CellMark(known=True)):
        for height in range(1, 4):
            if height > 1 and width < 4:
                continue
            rows = cell_rows(text, level, CellSize(width, height), mark, False)
            assert all(len("".join(row)) == width for row in rows)
            if value and not (mark.known and width < 5):
                assert any(("+" if value > 0 else "-") in "".join(row) for row in rows)


def test_palettes_have_a_style_for_every_level() -> None:
    for depth in ("full", "256", "16", "none"):
        found = signed_palette(dark=True, depth=depth, faded=False)
        assert len(found.cells) == len(found.marked) == 2 * LEVELS + 1
