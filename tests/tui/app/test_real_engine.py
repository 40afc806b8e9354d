"""The screen on a real host with the real engine: what is asked of heads and models is what is done."""

import shutil
from pathlib import Path
from typing import Any

import msgspec

import engine
from engine.machine.folders import AppFolders
from engine.nodes import NodeId
from sessions.client.connection import HostClient
from tui.app.app import HeadcodeApp
from tui.screens.write import WriteScreen

from ..real_host import wait


async def test_marked_heads_are_patched_and_the_next_runs_model_grades(
    places: AppFolders, text_of: Any, tmp_path: Path
) -> None:
    async def connect() -> HostClient:
        return await HostClient.connect(places)

    app = HeadcodeApp(connect, model="toy", task="ioi", depth="full")
    async with app.run_test(size=(160, 48)) as pilot:
        state = app.state
        await wait(pilot, lambda: state.shown is not None and state.shown.state == "done")

        # Whoever is here for the first time meets examples the bundled model can do; they become the session's.
        grades = state.shown.picture.grades  # type: ignore[union-attr]
        assert len(grades) == len(state.session.examples.current) == 22
        assert {grade.verdict for grade in grades} <= {"ok", "weak"}

        # Two heads are marked by hand; exactly these are replaced, one at a time.
        chosen = {NodeId(*state.view().order[0]), NodeId(*state.view().order[4])}  # type: ignore[union-attr]
        for head in sorted(chosen):
            state.put_cursor(*head)
            await pilot.press("space")
        assert state.marked == chosen
        await pilot.press("v")
        await wait(pilot, lambda: any(cause.final for cause in state.shown.picture.causes))  # type: ignore[union-attr]
        measured = {node.id for node in state.shown.picture.nodes if node.exact_effect is not None}  # type: ignore[union-attr]
        assert measured == chosen

        # Another model for the next run: it grades, from the moment that it is chosen.
        twin = tmp_path / "twin"
        shutil.copytree(Path(engine.__file__).parent / "assets" / "toy", twin)
        await pilot.press("w")
        await wait(pilot, lambda: isinstance(app.screen, WriteScreen) and app.screen.graded.grades)
        screen = app.screen
        assert isinstance(screen, WriteScreen)
        assert screen.graded.model is not None
        assert screen.graded.model.name == "toy"
        app.link.choose_options(msgspec.structs.replace(state.options, model=str(twin)))
        await wait(pilot, lambda: screen.graded.model is not None and screen.graded.model.name != "toy")
        assert screen.graded.model.name == "twin"
        await wait(pilot, lambda: len(screen.graded.grades) == len(screen.graded.examples))
        assert "the model of the next run" in text_of(app)
