"""The example buffer: the session's examples with the changes that are not recorded yet."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from engine.authoring.drafts import flaw
from engine.errors import Failure, HeadcodeError
from engine.examples import Example, content_hash
from sessions.errors import HostGone, StaleExamples
from sessions.protocol import AnyRequest, SessionAnswer, SetExamples, StepExamples
from tui.state.workbench_state import WorkbenchState

Examples = tuple[Example, ...]
Change = Callable[[Examples], Examples]
T = TypeVar("T")

_PATIENCE_S = 10.0
"""Maximum seconds to wait for the log to show what the host has recorded."""


class RequestSender(Protocol):
    """The interface of the link that the editor needs."""

    async def ask(self, request: AnyRequest, want: type[T], /) -> T: ...


class ExampleBuffer:
    """The examples, the current one, and the changes that are not recorded yet."""

    def __init__(self, state: WorkbenchState, link: RequestSender) -> None:
        self.state = state
        self.link = link
        self.at = 0
        """Index of the current example."""
        self.failure: Failure | None = None
        """Why examples could not be recorded or graded."""
        self._refused = False
        """Whether the host refused to record the pending changes."""
        self._pending: list[Change] = []
        self._base: Examples | None = None
        self._examples: Examples = ()
        self._flaws: dict[int, str] = {}
        self._pushing = asyncio.Lock()

    @property
    def examples(self) -> Examples:
        """The examples with every change made here, recorded or not."""
        base = self.state.session.examples.current
        if base is not self._base:
            self._base = base
            found = base
            for change in self._pending:
                found = change(found)
            self._take(found)
        return self._examples

    @property
    def flaws(self) -> dict[int, str]:
        """What is wrong with unreadable lines, by index."""
        _ = self.examples
        return self._flaws

    @property
    def chosen(self) -> Example | None:
        examples = self.examples
        self.at = min(max(self.at, 0), max(len(examples) - 1, 0))
        return examples[self.at] if examples else None

    @property
    def saved(self) -> bool:
        return not self._pending

    def partners(self, example: Example) -> list[Example]:
        if example.pair is None:
            return []
        return [each for each in self.examples if each.pair == example.pair]

    def change(self, change: Change) -> None:
        """Apply a change here at once; `push` records it."""
        examples = self.examples
        self._pending.append(change)
        self._take(change(examples))

    async def push(self) -> None:
        """Record all changes. Those refused stay pending, with the reason in `failure`."""
        async with self._pushing:
            while self._pending and await self._push_once():
                pass

    async def step(self, by: int) -> bool:
        """Undo or redo after recording all changes, and make the first line that differs the current one.

        Returns False if there is nothing to undo or redo.
        """
        before = self.examples
        done = await self._step(by)
        if done:
            self.at = _first_difference(before, self.examples)
        return done

    async def _step(self, by: int) -> bool:
        """Undo or redo; return False if there is nothing to undo or redo.

        If the host refused the newest change, undo removes it here; otherwise it could never be removed.
        """
        await self.push()
        if by < 0 and self._pending and self._refused:
            self._pending.pop()
            self._refused, self._base, self.failure = False, None, None
            return True
        if self._pending or self.state.session_id is None:
            return False
        history = self.state.session.examples
        before = history.version
        try:
            await self.link.ask(StepExamples(session=self.state.session_id, by=-1 if by < 0 else 1), SessionAnswer)
        except HeadcodeError as error:
            self.failure = error.as_failure()
            return False
        await self._wait_until(lambda: history.version != before or self.state.session.examples is not history)
        return True

    def _take(self, examples: Examples) -> None:
        self._examples = examples
        self._flaws = {
            place: words for place, each in enumerate(examples) if not each.enabled and (words := flaw(each))
        }

    async def _push_once(self) -> bool:
        session, history = self.state.session_id, self.state.session.examples
        if session is None:
            return False
        base, version, n_changes, examples = history.content_hash, history.version, len(self._pending), self.examples
        target = content_hash(examples)
        if target != base and (version or examples):
            try:
                await self.link.ask(SetExamples(session=session, examples=examples, over=base), SessionAnswer)
            except StaleExamples:
                # Another client was faster: the changes are applied on top of its version.
                return await self._wait_until(lambda: history.content_hash != base)
            except HostGone:
                return False
            except HeadcodeError as error:
                self.failure, self._refused = error.as_failure(), True
                return False
            if not await self._wait_until(lambda: target in history.hashes[version:]):
                return False
        self.failure, self._refused = None, False
        del self._pending[:n_changes]
        self._base = None
        return True

    async def _wait_until(self, holds: Callable[[], bool]) -> bool:
        """Wait until entries of the log make the condition true; False when that takes too long."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not holds():
                    await self.state.wait_for_entries()
        except TimeoutError:
            return False
        return True


def _first_difference(before: Examples, after: Examples) -> int:
    for place, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return place
    return max(min(len(before), len(after)) - (len(after) <= len(before)), 0)
