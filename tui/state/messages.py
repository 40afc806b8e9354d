"""Failures and notices as sentences."""

from engine.errors import Failure
from engine.events import Notice


def format_message(said: Failure | Notice) -> str:
    """Format a message and its hint as two sentences."""
    message = said.message.rstrip()
    stop = "" if message.endswith((".", "!", "?", ":")) else "."
    return f"{message}{stop} {said.hint}".strip()
