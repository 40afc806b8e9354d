"""Sanitise foreign text (prompts, tokens, names, errors, log lines) before it reaches a terminal."""

from collections.abc import Callable

REPLACED = "\N{REPLACEMENT CHARACTER}"
_SUBSTITUTE_DELETE = 0x2421
_SILENT = (
    range(0x80, 0xA0),  # C1 controls: one of them starts an escape sequence
    (0xAD, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0),  # invisible, or marks of direction
    range(0x200B, 0x2010),  # zero-width, left-to-right and right-to-left marks
    range(0x2028, 0x202F),  # line and paragraph separators, embeddings and overrides
    range(0x2060, 0x2070),  # word joiner, invisible operators, isolates
    range(0xFFF9, 0xFFFC),  # interlinear annotations
    range(0xD800, 0xE000),  # surrogates: cannot be encoded as UTF-8
    (0x034F,),  # joins graphemes, invisible
    (*range(0x13430, 0x13440), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B)),  # formats of rare scripts
    range(0xE0000, 0xE1000),  # tags and variants: invisible text
)


def _surrogates(code: int) -> tuple[int, int]:
    high, low = divmod(code - 0x10000, 0x400)
    return 0xD800 + high, 0xDC00 + low


def _symbol(code: int) -> int | str:
    """Return what is shown for a character: itself if it is harmless."""
    if code < 0x20:
        return 0x2400 + code
    if code == 0x7F:
        return _SUBSTITUTE_DELETE
    return REPLACED if any(code in codes for codes in _SILENT) else code


def _escape(code: int) -> int | str:
    """Return the character as JSON escapes it, or itself if it is harmless."""
    if _symbol(code) == code:
        return code
    return "".join(f"\\u{unit:04x}" for unit in ([code] if code < 0x10000 else _surrogates(code)))


class _Table(dict[int, int | str]):
    """A table for str.translate that is filled with the characters that occur: a whole one takes 10 ms at the start."""

    def __init__(self, shown: Callable[[int], int | str], **kept: int) -> None:
        super().__init__({code: code for code in kept.values()})
        self._shown = shown

    def __missing__(self, code: int) -> int | str:
        self[code] = shown = self._shown(code)
        return shown


_TABLE = _Table(_symbol)
_LINES_TABLE = _Table(_symbol, line_feed=0x0A)
_ESCAPED_TABLE = _Table(_escape)


def clean(text: str, *, lines: bool = False) -> str:
    """Replace every control, direction and invisible character by a visible one.

    Without `lines` the result is one line, with a symbol for each line break. With `lines`, breaks stay and tabs become
    spaces. Markup is not escaped: pass the result to Content(...) or Text(...), or pass markup=False.
    """
    if lines:
        return text.replace("\r\n", "\n").expandtabs(4).translate(_LINES_TABLE)
    return text.translate(_TABLE)


def escaped(text: str, *, lines: bool = False) -> str:
    r"""Escape each such character as in JSON: \u202e. With `lines`, breaks stay."""
    if lines:
        return "\n".join(part.translate(_ESCAPED_TABLE) for part in text.split("\n"))
    return text.translate(_ESCAPED_TABLE)
