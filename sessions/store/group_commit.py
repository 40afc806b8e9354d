"""Commit changes of several clients in one transaction: a commit costs the same for one as for a hundred."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from sessions.store.recorder import RecordedEntry, Recorder

Work = Callable[[Recorder], tuple[Any, list[RecordedEntry]]]


class ChangeResult(msgspec.Struct, frozen=True):
    """A change's answer and recorded entries, or its error, after which nothing of it is stored."""

    answer: Any = None
    recorded: Sequence[RecordedEntry] = ()
    error: Exception | None = None


class BatchKind(msgspec.Struct, frozen=True):
    """A kind of change that is cheaper in a batch than one by one."""

    do: Callable[[Recorder, Sequence[Any]], Sequence[ChangeResult | None]]
    """Returns the result for each request; None if it cannot be done in the batch.

    An exception is not attributed to any request: each is then done by itself.
    """
    most: int
    """Maximum batch size: readers wait while a batch runs."""


class StoreChange(msgspec.Struct, frozen=True):
    """A function that reads, then appends.

    It may be called again: an attempt that was rolled back has left nothing.
    """

    work: Work
    kind: BatchKind | None = None
    request: Any = None
    """What `kind` receives in place of `work`."""
    alone: bool = False
    """Never in a group: it opens its own transaction, takes long, or must not be repeated."""


def commit_together(recorder: Recorder, changes: Sequence[StoreChange], *, within_s: float) -> dict[int, ChangeResult]:
    """Commit the changes and return their results by index; changes that found no time left have none.

    Each sees the effect of those before it; all changes of a kind are done when the first one is due. A failing
    change does not affect the others: if it had written something, everything is rolled back and repeated without
    it.
    """
    steps = _steps(changes)
    if len(changes) == 1:
        return _one_by_one(recorder, changes, steps[0])
    outcomes, at = _attempt(recorder, changes, steps, time.monotonic() + within_s)
    if at is None:
        return outcomes
    outcomes, again = _attempt(recorder, changes, steps[:at], None) if 0 < at < len(steps) else ({}, at)
    if again is None:  # all before it are done; it runs in its own transaction
        return outcomes | _one_by_one(recorder, changes, steps[at])
    return _one_by_one(recorder, changes, sorted(place for step in steps[: at + 1] for place in step))


def _steps(changes: Sequence[StoreChange]) -> list[list[int]]:
    """Group the indices of changes that are done as one batch, in the order of execution."""
    steps: list[list[int]] = []
    open_steps: dict[int, list[int]] = {}
    for place, change in enumerate(changes):
        step = open_steps.get(id(change.kind)) if change.kind is not None else None
        if step is None or change.kind is None or len(step) >= change.kind.most:
            step = []
            steps.append(step)
            if change.kind is not None:
                open_steps[id(change.kind)] = step
        step.append(place)
    return steps


def _attempt(
    recorder: Recorder, changes: Sequence[StoreChange], steps: Sequence[Sequence[int]], deadline: float | None
) -> tuple[dict[int, ChangeResult], int | None]:
    """Run the steps in one transaction, as far as time allows; return their results and None.

    On failure everything is rolled back, and the index of the failing step is returned: len(steps) for the commit.
    """
    outcomes: dict[int, ChangeResult] = {}
    at = 0
    try:
        with recorder.shared_transaction() as transaction:
            for step in steps:
                if outcomes and deadline is not None and time.monotonic() > deadline:
                    break
                left = list(step)
                kind = changes[step[0]].kind
                if kind is not None and len(step) > 1:
                    found = zip(step, kind.do(recorder, [changes[place].request for place in step]), strict=True)
                    done = {place: outcome for place, outcome in found if outcome is not None}
                    left = [place for place in step if place not in done]
                    outcomes |= done
                for place in left:
                    before = transaction.writes
                    try:
                        outcomes[place] = ChangeResult(*changes[place].work(recorder))
                    except Exception as error:
                        if transaction.writes != before or not transaction.sound:
                            raise
                        outcomes[place] = ChangeResult(error=error)
                at += 1
    except Exception:  # noqa: BLE001  # whose it is, whoever does each by itself finds out
        return {}, at
    return outcomes, None


def _one_by_one(recorder: Recorder, changes: Sequence[StoreChange], places: Sequence[int]) -> dict[int, ChangeResult]:
    outcomes: dict[int, ChangeResult] = {}
    for place in places:
        change = changes[place]
        try:
            if change.alone:
                outcomes[place] = ChangeResult(*change.work(recorder))
            else:
                with recorder.shared_transaction():
                    outcome = ChangeResult(*change.work(recorder))
                outcomes[place] = outcome
        except Exception as error:  # noqa: BLE001  # handed on to whoever asked
            outcomes[place] = ChangeResult(error=error)
    return outcomes
