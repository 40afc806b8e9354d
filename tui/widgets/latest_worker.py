"""Work in the background of which only the newest counts: what its group is still at is given up for it."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from textual.dom import DOMNode


def run_latest(node: DOMNode, group: str, work: Callable[[], Awaitable[object]]) -> None:
    """Begins it. As a function: a coroutine that is given up before its turn comes would never be awaited."""
    node.run_worker(cast(Any, work), group=group, exclusive=True, exit_on_error=True)
