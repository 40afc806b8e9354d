"""Every screen and sheet: resized through any size while data arrives."""

from typing import Any

import pytest

from engine.examples import content_hash
from sessions.events import ExamplesSet
from sessions.rows import ComparisonChoice
from tui.actions.registry import all_tables

from ..visits import NODE_PAGES, WAYS, go, whole

SIZES = ((20, 5), (220, 70), (40, 10), (1, 1), (80, 24))
"""From one cell to the largest terminals; the last, where the way to the next screen begins, is the usual one: drawing
takes most of the time and grows with the cells."""
HALVES = (tuple(WAYS)[::2], tuple(WAYS)[1::2])


def test_every_screen_has_a_way_in() -> None:
    assert set(WAYS) == set(all_tables())


@pytest.mark.parametrize("names", HALVES, ids=["one half", "the other"])
async def test_any_size_at_any_time(names: tuple[str, ...], recorded: Any, open_screen: Any) -> None:
    host = recorded.host()
    run, examples = whole(recorded), recorded.examples(10)
    host.add(ExamplesSet(examples=examples, content_hash=content_hash(examples)), *run)
    host.choices = (ComparisonChoice(reference="a", group="Runs", title="run 1", detail="other"),)
    async with open_screen(host, size=SIZES[-1], notifications=True) as (app, pilot, until):
        for name in names:
            await until(lambda: app.state.last_seq == len(host.entries))
            await go(app, pilot, name)
            stack = [type(screen).__name__ for screen in app.screen_stack]
            news = iter(run)
            await host.tell(*(next(news) for _ in range(4)))  # a queued run takes the cursor away, by design
            await until(lambda: app.state.last_seq == len(host.entries))
            app.state.put_cursor(3, 5)
            for size in SIZES:
                await host.tell(next(news), next(news), next(news), next(news))
                await pilot.resize_terminal(*size)
                await pilot.pause()
                assert app.return_code is None, (name, size)
            await host.tell(*news)
            await until(lambda: app.state.last_seq == len(host.entries))
            # The page of a node goes when a run of heads takes the cursor away, labels with another size.
            gone = stack[:1] if name in NODE_PAGES or name == "jump" else stack
            assert [type(screen).__name__ for screen in app.screen_stack] in (stack, gone), name
            assert app.state.cursor == (3, 5), name
