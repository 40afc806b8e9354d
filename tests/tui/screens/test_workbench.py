"""What a person sees from the first start to a lost host."""

from typing import Any

import msgspec
import pytest

from engine.errors import Failure
from sessions.errors import HostError, NoSuchRecord, Refusal, StoreTooNew
from sessions.events import RunEnded
from tui.screens.error import ErrorSheet
from tui.screens.workbench import WorkbenchScreen

WIDE, SMALL = (160, 48), (80, 24)


async def test_the_first_start_makes_a_session_and_runs_it(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host(session=None)
    host.script = recorded.events()
    async with open_screen(host) as (app, _pilot, until):
        await until(lambda: app.state.view() is not None)
        created = host.of_kind("CreateSession")[0]
        assert (created.name, created.model, created.task, created.pairs) == ("first light", "toy", "ioi", 0)
        assert len(host.of_kind("QueueRun")) == 1
        assert "first light" in text_of(app)
        assert "toy 6x8 · cpu · warm" in text_of(app)


async def test_a_later_start_shows_the_newest_session_and_runs_nothing(recorded: Any, open_screen: Any) -> None:
    host = recorded.host(session="friday")
    host.add(*recorded.events())
    async with open_screen(host) as (app, _pilot, _until):
        assert app.state.session_name == "friday"
        assert not host.of_kind("QueueRun")
        assert not host.of_kind("CreateSession")


async def test_another_model_or_task_gets_a_session_of_its_own(recorded: Any, open_screen: Any) -> None:
    host = recorded.host(session="friday")
    async with open_screen(host, task="docstring"):
        created = host.of_kind("CreateSession")[0]
        assert (created.name, created.task) == (None, "docstring")


async def test_the_default_model_is_meant_where_it_is_named(recorded: Any, open_screen: Any) -> None:
    host = recorded.host(session="friday")
    host.session = msgspec.structs.replace(host.session, model="smollm2-135m")
    async with open_screen(host) as (app, _pilot, _until):
        assert app.state.session_name == "friday"
    async with open_screen(host, asked=True):
        created = host.of_kind("CreateSession")[0]
        assert (created.model, created.task) == ("toy", "ioi")


async def test_the_screen_is_drawn_before_the_host_answers(text_of: Any) -> None:
    from tui.app.app import HeadcodeApp

    async def never() -> Any:
        import asyncio

        await asyncio.Event().wait()

    app = HeadcodeApp(never, model="toy", task="ioi", depth="full")
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        text = text_of(app)
        for words in (
            "connecting",
            "1 Examples",
            "2 Heads: total variation",
            "3 Head",
            "r run",
            "Connecting to the host",
        ):
            assert words in text
        await pilot.press("r", "x", "m", "t", "right", "]", "s", "3", "1", "down", "2", "q")


async def test_a_run_is_watched_from_the_queue_to_its_end(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    events = recorded.events()
    async with open_screen(host) as (app, _pilot, until):
        assert "No run yet: r runs the probe." in text_of(app)
        await host.tell(*events[:3])
        await until(lambda: "load" in text_of(app) and "loading" in text_of(app))
        train = next(i for i, event in enumerate(events) if type(event).__name__ == "TrainStep" and event.step == 220)
        await host.tell(*events[3 : train + 1])
        await until(lambda: "220/500 steps" in text_of(app))
        text = text_of(app)
        for words in ("provisional ~ still training", "codes still changing in 10 heads", "✓ ok", "✗ broken", "~ weak"):
            assert words in text
        assert not app.state.view().final
        await host.tell(*events[train + 1 :])
        await until(lambda: "✓ done" in text_of(app))
        text = text_of(app)
        assert "provisional" not in text
        assert "AUC 1.00  precision 1.00  recall 1.00" in text
        assert "3 of 3 seeds" in text
        assert "only +" in text


async def test_a_head_page_has_every_measure_and_codes_with_their_prompts(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=(160, 70)) as (app, pilot, until):
        await pilot.press("right", "left")
        await until(lambda: "code    +    -" in text_of(app))
        text = text_of(app)
        for words in (
            "total variation",
            "overlap",
            "p-value",
            "q-value",
            "stability",
            "linear probe",
            "paired difference",
        ):
            assert words in text
        for words in ("only +", "only -", "silent", "gave a ball to → John"):
            assert words in text
        seeds = {key[3] for key in app.state.codes}
        await pilot.press("s")
        await until(lambda: {key[3] for key in app.state.codes} > seeds)


async def test_stopping_asks_once_then_forces(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("x")
        await until(lambda: "Stopping" in text_of(app))
        await pilot.press("x")
        await until(lambda: len(host.of_kind("CancelRun")) == 2)
        assert [request.force for request in host.of_kind("CancelRun")] == [False, True]
        await host.tell(RunEnded(state="stopped"))
        await until(lambda: "stopped, results kept" in text_of(app))


async def test_a_failed_run_says_why_and_what_to_do(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    failure = Failure(family="engine", name="OutOfMemory", message="It needs 14 GB.", hint="Use fewer examples.")
    async with open_screen(host) as (app, pilot, until):
        await until(lambda: app.state.shown.active)
        await host.tell(RunEnded(state="failed", failure=failure))
        await until(lambda: "✗ failed: r repeats it" in text_of(app))
        assert "It needs 14 GB. Use fewer examples." in text_of(app)
        await pilot.press("r")
        await until(lambda: host.of_kind("QueueRun"))
        assert host.of_kind("QueueRun")[0].again == app.state.shown.run_id


@pytest.mark.parametrize("size", [WIDE, SMALL], ids=["160x48", "80x24"])
async def test_a_failed_run_is_said_aloud_and_the_strip_is_not_covered(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events(until="train"))
    failure = Failure(family="engine", name="OutOfMemory", message="It needs 14 GB.", hint="Use fewer examples.")
    async with open_screen(host, size=size, notifications=True) as (app, _pilot, until):
        await until(lambda: app.state.shown.active)
        await host.tell(RunEnded(state="failed", failure=failure))
        strip = ("✗ failed: r repeats it", "It needs 14 GB. Use fewer examples.", "? keys")
        await until(lambda: all(words in text_of(app) for words in ("The run failed", *strip)))


async def test_a_refused_wish_is_shown(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.refuse = Refusal(Failure(family="input", name="ExampleError", message="No negatives.", hint="Add one."))
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("r")
        await until(lambda: "No negatives. Add one." in text_of(app))


async def test_a_lost_host_is_said_and_found_again_without_a_gap(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    events = recorded.events()
    host.add(*events[:12])
    async with open_screen(host) as (app, pilot, until):
        host.refuse_connect = HostError("No host could be started.")
        await host.go_away()
        await until(lambda: "Reconnecting" in text_of(app))
        assert "host lost" in text_of(app)
        await pilot.press("right", "r", "x", "m")
        host.add(*events[12:])
        host.refuse_connect = None
        await until(lambda: app.state.link == "live" and app.state.last_seq == len(host.entries))
        assert host.connections >= 2
        assert len(app.state.shown.picture.steps) == 25
        assert "✓ done" in text_of(app)


async def test_a_store_that_cannot_be_opened_is_told_whole_and_leaves_with_4(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    words = "The store /home/ada/[b]x[/b]/sessions.duckdb was written by Headcode 0.9, which is later than this one."
    host.refuse_connect = StoreTooNew(words, hint="Update Headcode.")
    host.entries.clear()
    async with open_screen(host, size=SMALL) as (app, pilot, until):
        await until(lambda: isinstance(app.screen, ErrorSheet))
        seen = " ".join(line.strip(" │╭╮╰╯─").strip() for line in text_of(app).splitlines())
        assert "sessions.duckdb was written" in seen
        assert "Update Headcode." in seen
        await pilot.press("r")
        await until(lambda: host.connections == 2 and isinstance(app.screen, ErrorSheet))
        await pilot.press("q")
        await pilot.pause()
        assert app.return_code == 4


async def test_a_folder_that_cannot_be_written_says_which_and_what_to_do(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.refuse_connect = OSError(30, "Read-only file system", "/home/ada/run/host.start")
    host.entries.clear()
    async with open_screen(host, size=SMALL) as (app, _, until):
        await until(lambda: isinstance(app.screen, ErrorSheet))
        seen = " ".join(line.strip(" │╭╮╰╯─").strip() for line in text_of(app).splitlines())
        assert "The system refused: Read-only file system (/home/ada/run/host.start)." in seen
        assert "headcode doctor" in seen
        assert "Errno" not in seen


async def test_a_session_that_is_not_there_leaves_with_2(recorded: Any, open_screen: Any) -> None:
    host = recorded.host(session=None)
    async with open_screen(host, session="nope") as (app, pilot, until):
        await until(lambda: isinstance(app.screen, ErrorSheet))
        assert app.screen.failure.name == NoSuchRecord.__name__
        await pilot.press("q")
        await pilot.pause()
        assert app.return_code == 2


async def test_the_mouse_picks_heads_examples_panes_and_keys(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, until):
        screen = app.screen
        assert isinstance(screen, WorkbenchScreen)
        heatmap = screen.grid.heatmap
        place = (3 + 5 * heatmap.cell.width + 1, 1 + 4 * heatmap.cell.height + 1)
        await pilot.click(heatmap, offset=place)
        await until(lambda: app.state.cursor == (4, 5))
        await pilot.click(screen.examples, offset=(5, 4))
        await until(lambda: app.state.selected == 1)
        assert screen.pane == "examples"
        expected = app.state.view().order[screen.grid.ranking.first + 1]
        await pilot.click(screen.grid.ranking, offset=(5, 1))
        await until(lambda: app.state.cursor == expected)
        measure = app.state.measure
        end = next(end for end, action in screen.keyline.spots if action.id == "measure.next")
        await pilot.click(screen.keyline, offset=(end - 1, 0))
        await until(lambda: app.state.measure is not measure)
    async with open_screen(host, size=SMALL) as (app, pilot, until):
        await pilot.click(app.screen.tabs, offset=(6, 0))
        await until(lambda: app.screen.pane == "examples")


async def test_resizing_at_any_time_changes_between_panes_and_tabs(recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, pilot, _until):
        screen = app.screen
        assert all(widget.display for widget in (screen.examples, screen.grid, screen.head))
        for size in (SMALL, (121, 30), (1, 1), (20, 6), (200, 60), (40, 60), (300, 5), WIDE):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            shown = [widget.id for widget in (screen.examples, screen.grid, screen.head) if widget.display]
            assert shown == (["grid"] if size[0] < 122 else ["examples", "grid", "head"])
        assert app.state.cursor in app.state.view().rank


async def test_a_grid_of_80_layers_by_64_heads_scrolls_with_the_cursor(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events(n_layers=80, n_heads=64))
    for size in (WIDE, SMALL):
        async with open_screen(host, size=size) as (app, pilot, until):
            heatmap = app.screen.grid.heatmap
            app.state.put_cursor(78, 62)
            await pilot.press("down", "right", "right")
            await until(lambda: app.state.cursor == (79, 63))
            assert heatmap.scroll_offset.y > 0
            assert heatmap.scroll_offset.x > 0
            assert "79.63 total variation" in text_of(app)
            labels = text_of(app)
            assert " 79 " in labels
            assert "63" in labels
            await pilot.press("T")
            await until(lambda: app.state.view().cut == 512 + 51)


async def test_a_crash_leaves_a_trace_in_the_log_and_no_locals_on_the_terminal(
    recorded: Any, tmp_path: Any, monkeypatch: Any, capsys: Any
) -> None:
    from tui.app.app import HeadcodeApp

    monkeypatch.setenv("HEADCODE_HOME", str(tmp_path))
    host = recorded.host()
    app = HeadcodeApp(host.connect, model="toy", task="ioi", depth="full")

    def crash() -> None:
        secret = "hf_token"  # noqa: F841  # what a trace with locals would show
        raise RuntimeError("a widget of ours broke")

    with pytest.raises(RuntimeError):  # noqa: PT012  # the crash comes out of the block's end
        async with app.run_test(size=WIDE) as pilot:
            app.call_later(crash)
            await pilot.pause()
    assert app.return_code == 1
    log = (tmp_path / "state" / "logs" / "screen.log").read_text()
    assert "a widget of ours broke" in log
    assert "hf_token\n" not in log
    output = capsys.readouterr().err
    assert "hf_token" not in output


async def test_a_failure_told_in_one_batch_with_its_start_is_said_aloud(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    failure = Failure(family="engine", name="EngineError", message="It [/b] broke.", hint="Try again.")
    old = Failure(family="engine", name="EngineError", message="An old one.", hint="")
    host.add(*recorded.events(until="load"), RunEnded(state="failed", failure=old))
    async with open_screen(host, notifications=True) as (app, pilot, until):
        assert "The run failed" not in text_of(app)  # what failed before nobody was here to see
        await host.tell(*recorded.events(until="load"), RunEnded(state="failed", failure=failure))
        await until(lambda: "The run failed" in text_of(app))
        assert "It [/b] broke." in text_of(app)
        assert app.state.just_ended == []
        await pilot.pause()


async def test_the_engines_state_is_told_when_it_changes(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host) as (app, _pilot, until):
        await until(lambda: "warm" in text_of(app).split("\n")[0])
        for state, word in (("none", "idle"), ("starting", "loading"), ("busy", "busy"), ("warm", "warm")):
            host.worker_state = state
            await host.tell()
            await until(lambda: word in text_of(app).split("\n")[0])  # noqa: B023
        assert len(host.of_kind("FollowEngine")) == 6  # five answers, and one that waits
