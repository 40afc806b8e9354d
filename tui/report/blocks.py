"""What a report is made of: sections of paragraphs, tables, pictures and code, without any format.

Texts are as they were written by people and models; html.py and markdown.py escape every one of them.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

LEVELS = 9
"""Shades of a table's cell: 0, no signal, to 9."""


class Span(msgspec.Struct, frozen=True):
    """A part of a text that is set apart."""

    text: str
    kind: Literal["strong", "code", "plain"] = "strong"


Text: TypeAlias = str | tuple[str | Span, ...]
"""A text, or its parts in order."""


class Paragraph(msgspec.Struct, frozen=True, tag=True):
    """A paragraph. `quiet`: an explanation, set smaller."""

    text: Text
    quiet: bool = False


class Warn(msgspec.Struct, frozen=True, tag=True):
    """What a reader has to know before believing what follows."""

    text: Text


class Items(msgspec.Struct, frozen=True, tag=True):
    """A list."""

    items: tuple[Text, ...]


class Cell(msgspec.Struct, frozen=True):
    """A cell of a table."""

    text: str
    level: int | None = None
    """Shade, 0 to LEVELS; None: not shaded."""
    marked: bool = False
    """Framed and bold: in the circuit."""
    about: str = ""
    """An explanation below the text."""
    code: bool = False
    """True for prompts and tokens, whose spaces count."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table."""

    title: str
    number: bool = False
    """True: aligned to the right."""
    wide: bool = False
    """True for prompts and sentences: not narrower than some words."""


class Table(msgspec.Struct, frozen=True, tag=True):
    """A table with a caption that explains its numbers. The first cell of a row is the row's header."""

    caption: Text
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    dense: bool = False
    """True for a grid of many narrow columns."""


class Picture(msgspec.Struct, frozen=True, tag=True):
    """A drawing. `svg` is ours, its texts escaped already."""

    svg: str
    alt: str
    caption: Text
    mermaid: str
    """The same for Markdown, as a Mermaid diagram; its texts must be ours."""


class TokenShares(msgspec.Struct, frozen=True, tag=True):
    """The tokens of a prompt, each with a share from 0 to 1 that is written beside it where it counts."""

    caption: Text
    tokens: tuple[tuple[str, float], ...]


class Code(msgspec.Struct, frozen=True, tag=True):
    """Lines to copy."""

    text: str
    language: str = "sh"


Block: TypeAlias = Paragraph | Warn | Items | Table | Picture | TokenShares | Code


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A section. Its id is unique within the report and made of letters, digits and hyphens."""

    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    sections: "tuple[Section, ...]" = ()


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report."""

    title: str
    about: str
    """One sentence under the title."""
    sections: tuple[Section, ...]
    language: str = "en"


def strong(text: object) -> Span:
    """Return the text in bold."""
    return Span(str(text))


def code(text: object) -> Span:
    """Return the text as code."""
    return Span(str(text), "code")


def numbers(*titles: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(title, number=True) for title in titles)


def sentence(text: str) -> str:
    """Return the text with a capital at the beginning and a full stop at the end."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def row(*cells: str | Cell) -> tuple[Cell, ...]:
    """Return a row; texts become plain cells."""
    return tuple(each if isinstance(each, Cell) else Cell(each) for each in cells)


def shorten(text: str, most: int) -> str:
    """Return the text, or its beginning and how much was left out."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


def join(words: Sequence[str] | Iterable[str], last: str = "and") -> str:
    """Return one, two and three; "none" for nothing."""
    listed = list(words)
    if len(listed) < 2:
        return listed[0] if listed else "none"
    return f"{', '.join(listed[:-1])} {last} {listed[-1]}"
