"""The collector works in pauses: never under a key, and only on what came after the start."""

import gc
from collections.abc import Callable, Iterator

import pytest

from tui.terminal import idle_gc
from tui.terminal.idle_gc import IdleCollector


@pytest.fixture
def collections() -> Iterator[list[int]]:
    """The generations that are collected meanwhile; the collector is as it was afterwards."""
    before, seen = gc.get_threshold(), []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.set_threshold(*before)
    gc.unfreeze()


def busy() -> None:
    """As many collections of the middle generation as make a full one worth it."""
    for _ in range(idle_gc._MIN_COLLECTIONS + 1):
        gc.collect(1)


def test_nothing_is_swept_while_keys_come_and_all_of_it_in_a_pause(collections: list[int]) -> None:
    now = [100.0]
    asked: list[tuple[float, Callable[[], None]]] = []
    sweeper = IdleCollector(lambda seconds, what: asked.append((seconds, what)), clock=lambda: now[0])
    assert [seconds for seconds, _ in asked] == [idle_gc._EVERY_S]
    gc.collect()
    busy()
    collections.clear()
    sweeper.touched()
    asked[0][1]()
    assert collections == []
    now[0] += idle_gc._PAUSE_S
    asked[0][1]()
    assert collections == [2]
    asked[0][1]()
    assert collections == [2], "there is nothing new to sweep"


def test_what_the_start_made_is_not_looked_at_again(collections: list[int]) -> None:
    assert collections == []
    before = gc.get_freeze_count()
    IdleCollector(lambda *_: None)
    assert gc.get_freeze_count() > before + 10_000
    assert gc.get_threshold()[2] == idle_gc._MAX_COLLECTIONS
