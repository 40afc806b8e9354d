"""Failures and notices as sentences."""

from engine.errors import Failure
from engine.events import Notice


def format_message(notice: Failure | Notice) -> str:
    """Format a message and its hint as two sentences."""
    message = notice.message.rstrip()
    stop = "" if message.endswith((".", "!", "?", ":")) else "."
    return f"{message}{stop} {notice.hint}".strip()
