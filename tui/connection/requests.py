"""Requests to the host, and the handling of answers and refusals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from engine.errors import Failure, HeadcodeError
from engine.nodes import NodeId
from sessions.errors import HostError, HostGone, Refusal, error_from
from sessions.events import LogEntry
from sessions.protocol import AnyRequest, CodesAnswer, GetCodes, GetHeadInspection, HeadInspection, Welcome
from tui.state import screen_log
from tui.state.workbench_state import Part, WorkbenchState

T = TypeVar("T")


class HostConnection(Protocol):
    """The interface of a connection to the host."""

    welcome: Welcome

    async def ask(self, request: AnyRequest, want: type[T], /) -> T: ...

    def follow(
        self, session: str, /, *, after_seq: int = 0, run: str | None = None
    ) -> AsyncIterator[tuple[LogEntry, ...]]: ...

    async def close(self) -> None: ...


Connect = Callable[[], Awaitable[HostConnection]]
Changed = Callable[[frozenset[Part]], None]


class HostRequests:
    """Sends requests for a state. Failures of a key's request are stored in the state."""

    def __init__(self, state: WorkbenchState, changed: Changed) -> None:
        self.state = state
        self._changed = changed
        self._host: HostConnection | None = None
        self._background: set[asyncio.Task[None]] = set()

    async def ask(self, request: AnyRequest, want: type[T], /) -> T:
        """Return the answer. Raises the host's refusal in its own class, or HostGone."""
        if self._host is None:
            raise HostGone("There is no host to ask.", hint="It is being looked for.")
        try:
            return await self._host.ask(request, want)
        except Refusal as error:
            raise error_from(error.failure) from None
        except (OSError, EOFError) as error:
            raise connection_error(error) from error

    def follow(self, session: str, /) -> AsyncIterator[tuple[LogEntry, ...]]:
        """Return the log of a session from its beginning, as the host sends it. Raises HostGone."""
        if self._host is None:
            raise HostGone("There is no host to ask.", hint="It is being looked for.")
        return self._host.follow(session)

    async def try_ask(self, request: AnyRequest, want: type[T]) -> T | None:
        """Return the answer to a key's request, or None.

        A refusal is stored in the state; a host lost meanwhile is handled by the loop.
        """
        state, connected = self.state, self._host is not None
        state.failure = None
        answer: T | None = None
        try:
            answer = await self.ask(request, want)
        except HeadcodeError as error:
            if connected and isinstance(error, HostGone):
                return None
            state.failure = error.as_failure()
            screen_log.write_failure(state.failure)
        self._changed(frozenset({"progress", "header"}))
        return answer

    async def fetch_codes(self) -> None:
        """Load the codes of the current head, unless they are loaded."""
        key = self.state.codes_key()
        if key is None or key in self.state.codes:
            return
        run_id, layer, head, seed = key
        try:
            answer = await self.ask(GetCodes(run=run_id, layer=layer, head=head, seed=seed), CodesAnswer)
        except HostGone:
            return
        except HeadcodeError as error:
            self.state.keep_codes(key, error.as_failure())
        else:
            self.state.keep_codes(key, answer.codes)
        if NodeId(layer, head) == self.state.cursor:
            self._changed(frozenset({"head", "examples"}))

    async def look_at_head(self, request: GetHeadInspection) -> HeadInspection | Failure:
        """Return the inspection of the head on the prompt, or the failure."""
        return await self.ask_or_failure(request, HeadInspection)

    async def ask_or_failure(self, request: AnyRequest, want: type[T]) -> T | Failure:
        """Return the answer, or why there is none: for a screen that shows either."""
        try:
            return await self.ask(request, want)
        except HeadcodeError as error:
            return error.as_failure()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def connection_error(error: OSError | EOFError) -> HeadcodeError:
    """Return the error that broke or prevented the connection; one with a file name is an error of the system."""
    if isinstance(error, OSError) and error.filename:
        return HostError(
            f"The system refused: {error.strerror or error} ({error.filename}).",
            hint="Check free space and permissions: headcode doctor",
        )
    return HostGone(f"The connection to the host broke: {error}.")
