"""Keys that move the cursor in a line of text or delete from it."""

from collections.abc import Callable


def edit_line(text: str, at: int, key: str) -> tuple[str, int] | None:
    """Return text and cursor after a key; None if the key neither moves nor deletes."""
    if key in _MOVES:
        return text, _MOVES[key](text, at)
    if key in _CUTS:
        begin, end = _CUTS[key](text, at)
        return text[:begin] + text[end:], begin
    return None


def _word_left(text: str, at: int) -> int:
    while at and not text[at - 1].isalnum():
        at -= 1
    while at and text[at - 1].isalnum():
        at -= 1
    return at


def _word_right(text: str, at: int) -> int:
    while at < len(text) and not text[at].isalnum():
        at += 1
    while at < len(text) and text[at].isalnum():
        at += 1
    return at


_MOVES: dict[str, Callable[[str, int], int]] = {
    "left": lambda _, at: max(at - 1, 0),
    "right": lambda text, at: min(at + 1, len(text)),
    "home": lambda *_: 0,
    "ctrl+a": lambda *_: 0,
    "end": lambda text, _: len(text),
    "ctrl+e": lambda text, _: len(text),
    "ctrl+left": _word_left,
    "alt+b": _word_left,
    "ctrl+right": _word_right,
    "alt+f": _word_right,
}
_CUTS: dict[str, Callable[[str, int], tuple[int, int]]] = {
    "backspace": lambda _, at: (max(at - 1, 0), at),
    "delete": lambda text, at: (at, min(at + 1, len(text))),
    "ctrl+d": lambda text, at: (at, min(at + 1, len(text))),
    "ctrl+w": lambda text, at: (_word_left(text, at), at),
    "ctrl+backspace": lambda text, at: (_word_left(text, at), at),
    "ctrl+u": lambda _, at: (0, at),
    "ctrl+k": lambda text, at: (at, len(text)),
}
"""First and end of what is deleted."""
