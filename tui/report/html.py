"""A report as one HTML page: no scripts, no requests, everything inside."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from tui.report.blocks import Cell, Column, Document, Span, Text
from tui.terminal.sanitize import clean

if TYPE_CHECKING:
    import jinja2

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What the page allows itself: styles of its own, and pictures that are in it."""
_NUMBERED = 0.1
"""Share from which a token's share is written out."""


def html(report: Document) -> str:
    """Return the page. Every text is escaped by the template; control characters are made visible."""
    style = files("tui.report").joinpath("page.css").read_text(encoding="utf-8")
    return _template().render(report=report, style=_trusted(style), policy=POLICY)


@cache
def _template() -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tui.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(parts=_parts, drawing=_drawing, level=_level, number=_number, kind=_kind, marks=_marks)
    return environment.get_template("page.html.j2")


def _visible(value: object) -> object:
    """Make control and invisible characters visible; markup of our own, made below, passes."""
    return value if hasattr(value, "__html__") or not isinstance(value, str) else clean(value, lines=True)


def _trusted(text: str) -> object:
    from markupsafe import Markup

    return Markup(text)  # our own style sheet and drawings


def _parts(text: Text) -> tuple[Span, ...]:
    parts = (text,) if isinstance(text, str) else text
    return tuple(part if isinstance(part, Span) else Span(part, "plain") for part in parts)


def _marks(cell: Cell, column: Column) -> str:
    """Return the classes of a cell."""
    size = "n" if column.number else "w" if column.wide else ""
    names = (size, "" if cell.level is None else f"s{cell.level}", "in" if cell.marked else "")
    return " ".join(filter(None, names))


def _kind(block: object) -> str:
    return type(block).__name__


def _drawing(svg: str) -> object:
    """Return a drawing of edge_picture.py or grid_pictures.py, which escape their texts; the alt text is beside it."""
    return _trusted(svg.replace("<svg ", '<svg aria-hidden="true" ', 1))


def _level(share: float) -> int:
    return min(9, max(0, round(share * 9)))


def _number(share: float) -> str:
    return f"{share:.2f}".removeprefix("0") if share >= _NUMBERED else ""
