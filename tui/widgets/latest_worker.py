"""Background workers: a new one cancels the earlier one of its group."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from textual.dom import DOMNode


def run_latest(node: DOMNode, group: str, work: Callable[[], Awaitable[object]]) -> None:
    """Run a background worker; cancel any earlier one in the same group.

    Takes a function, because a coroutine cancelled before it starts would never be awaited.
    """
    node.run_worker(cast(Any, work), group=group, exclusive=True, exit_on_error=True)
