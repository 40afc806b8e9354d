"""A report as GitHub-flavoured Markdown: the same content, tables as tables, drawings as Mermaid diagrams."""

import re
from collections.abc import Iterator

from tui.report.blocks import (
    Block,
    Cell,
    Code,
    Document,
    Items,
    Paragraph,
    Picture,
    Section,
    Span,
    Table,
    Text,
    TokenShares,
    Warn,
)
from tui.terminal.sanitize import clean

_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~&$@])")
_BEGINS = re.compile(r"^(\s*)([-+](?=\s|$)|[-=]+\s*$|\d+(?=[.)](?:\s|$)))", re.MULTILINE)
"""What begins a list, or makes a heading of the line before."""
_NUMBERED = 0.1


def markdown(report: Document) -> str:
    """Return the text. Signs that mean something in Markdown are escaped in every text."""
    lines = [f"# {_escape(report.title)}", "", _escape(report.about), ""]
    for section in report.sections:
        lines += _section(section, 2)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {_escape(section.title)}"
    yield ""
    for block in section.blocks:
        yield from _block(block)
        yield ""
    for inner in section.sections:
        yield from _section(inner, level + 1)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield _line(block.text)
        case Warn():
            yield "> [!NOTE]"
            yield f"> {_line(block.text)}"
        case Items():
            yield from (f"- {_line(item)}" for item in block.items)
        case Table():
            yield _line(block.caption)
            yield ""
            yield f"| {' | '.join(_escape(column.title) for column in block.columns)} |"
            yield f"|{'|'.join(' ---: ' if column.number else ' --- ' for column in block.columns)}|"
            yield from (f"| {' | '.join(map(_cell, row))} |" for row in block.rows)
        case Picture():
            yield "```mermaid"
            yield block.mermaid
            yield "```"
            yield ""
            yield _line(block.caption)
        case TokenShares():
            yield " ".join(
                f"{_code(text)}{f' ({_share(share)})' if share >= _NUMBERED else ''}" for text, share in block.tokens
            )
            yield ""
            yield _line(block.caption)
        case Code():
            fence = _fence(block.text, 3)
            yield f"{fence}{block.language}"
            yield clean(block.text, lines=True).rstrip("\n")
            yield fence


def _share(share: float) -> str:
    return f"{share:.2f}".removeprefix("0")


def _line(text: Text) -> str:
    """Return a text as one paragraph; its line breaks stay line breaks."""
    parts = (text,) if isinstance(text, str) else text
    return "".join(_span(part) if isinstance(part, Span) else _escape(part) for part in parts)


def _span(span: Span) -> str:
    if span.kind == "code":
        return _code(span.text)
    if span.kind != "strong" or not span.text.strip():
        return _escape(span.text)
    # Spaces at the ends stay outside: ** beside a space is no emphasis.
    text = _escape(span.text.strip())
    before, after = (" " * (span.text != stripped) for stripped in (span.text.lstrip(), span.text.rstrip()))
    return f"{before}**{text}**{after}"


def _cell(cell: Cell) -> str:
    text = _code(cell.text).replace("|", "\\|") if cell.code else _escape(cell.text).replace("\n", " ")
    text = f"**{text}**" if cell.marked and text else text
    return f"{text}: {_escape(cell.about)}" if cell.about else text


def _escape(text: str) -> str:
    found = _BEGINS.sub(r"\1\\\2", _SIGNS.sub(r"\\\1", clean(text, lines=True)))
    found = re.sub(r"^(\s*)\\(\d+)", r"\1\2\\", found, flags=re.MULTILINE)  # 1. becomes 1\.
    return found.strip("\n").replace("\n", "\\\n")


def _code(text: str) -> str:
    """Return the text between as many back quotes as it needs, on one line."""
    text = clean(text)
    if not text:
        return ""
    fence = _fence(text, 1)
    # Markdown takes one space from both ends if both have one, unless there is nothing else.
    ends = {text[0], text[-1]}
    space = " " if text.strip() and ("`" in ends or ends == {" "}) else ""
    return f"{fence}{space}{text}{space}{fence}"


def _fence(text: str, least: int) -> str:
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    return "`" * max(least, longest + 1)
