"""What went wrong or is to be known, as sentences. No widget in here."""

from engine.errors import Failure
from engine.events import Notice


def format_message(said: Failure | Notice) -> str:
    """Message and hint as two sentences."""
    message = said.message.rstrip()
    stop = "" if message.endswith((".", "!", "?", ":")) else "."
    return f"{message}{stop} {said.hint}".strip()
