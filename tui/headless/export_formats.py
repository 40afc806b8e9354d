"""The formats of `headcode export`, except bundles: one row each. The first one of a file's suffix is its default.

To add one: a function of ExportedRun that returns text or an ExportTable, and its row in EXPORT_FORMATS.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from engine.measures import find_measure, value_of
from engine.nodes import only_heads

if TYPE_CHECKING:
    from engine.results import EdgeScore
    from tui.headless.export_run import ExportedRun
    from tui.output.grid_pictures import PictureFormat
    from tui.output.tables import ExportTable


class ExportFormat(msgspec.Struct, frozen=True, kw_only=True):
    """A format: its name, how a file's name selects it, what it needs and what writes it."""

    name: str
    suffixes: tuple[str, ...]
    """Suffixes of file names, lower case, with the dot."""
    words: tuple[str, ...] = ()
    """Words in a file's name that select it among the formats of its suffix."""
    edges: bool = False
    """True if it needs the run's edges."""
    colours: bool = False
    """True if it contains colour sequences for terminals, which are not removed on stdout."""
    facts: bool = False
    """True if it needs all that is stored of the run."""
    text: "Callable[[ExportedRun], Iterable[str]] | None" = None
    """Returns the text in pieces; None for a table that the host writes as Parquet."""
    table: "Callable[[ExportedRun], ExportTable] | None" = None
    """Returns the table to write as Parquet."""


def _heads(run: "ExportedRun") -> "ExportTable":
    from tui.output.tables import heads_table

    return heads_table(run.side.nodes, run.circuit)


def _edges(run: "ExportedRun") -> "ExportTable":
    from tui.output.tables import edges_table

    return edges_table(run.edges, mixed=not only_heads(node.id for node in run.side.nodes))


def _csv(table: "Callable[[ExportedRun], ExportTable]", run: "ExportedRun") -> Iterable[str]:
    return [table(run).csv()]


def _json(table: "Callable[[ExportedRun], ExportTable]", run: "ExportedRun") -> Iterable[str]:
    return [table(run).json(run.about)]


def _grid(form: "PictureFormat", run: "ExportedRun") -> Iterable[str]:
    from tui.output.grid_pictures import GridPicture

    side = run.side
    picture = GridPicture(
        title=side.title,
        nodes=side.nodes,
        measure=run.measure,
        circuit=run.circuit,
        known=side.known.heads if side.known is not None else (),
    )
    return [picture.draw(form)]


def _importance(run: "ExportedRun") -> Iterable[str]:
    from sessions.comparison.comparison import CannotCompare
    from tui.output.importance_json import importance_json

    if run.side.model is None:
        raise CannotCompare(f"{run.side.title} failed before its model was loaded.", hint="Give a run with scores.")
    measured = _edge_effects(run) if run.measure.cause else ()
    # Effects are shares of the answer, as direct effects are; scores by codes have another unit.
    direct = (
        {node.id: value_of(node, find_measure("direct_effect")) or 0.0 for node in run.side.nodes} if measured else {}
    )
    edges = measured or run.edges
    return importance_json(run.side.model, run.side.nodes, run.measure, run.circuit, edges, into_logits=direct)


def _edge_effects(run: "ExportedRun") -> "Sequence[EdgeScore]":
    """Return the signed effects of the run's edges, exact if all were measured so, else estimated; empty if neither."""
    from engine.results import EdgeScore
    from tui.state.weighted_edges import weighted_edges

    for weight in ("exact", "attribution"):
        found = weighted_edges(run.picture, weight)
        if found and (weight == "attribution" or len(found) >= len(run.edges)):
            return [EdgeScore(source=each.source, target=each.target, score=each.weight) for each in found]
    return ()


def _graphml(run: "ExportedRun") -> Iterable[str]:
    from tui.headless.edge_picture import run_graphml

    return run_graphml(run.picture, run.drawing, run.circuit, run.side.title)


def _drawing(run: "ExportedRun") -> Iterable[str]:
    from tui.headless.edge_picture import edge_svg

    return [edge_svg(run.picture, run.drawing, run.circuit, run.side.title)]


def _command(run: "ExportedRun") -> Iterable[str]:
    from engine.machine.folders import find_folders
    from tui.headless.run_command import run_command

    return [run_command(run.told, find_folders().models).text, "\n"]


def _snippet(run: "ExportedRun") -> Iterable[str]:
    from tui.headless.run_snippet import run_snippet

    return [run_snippet(run.told)]


def _examples(run: "ExportedRun") -> Iterable[str]:
    from tui.headless.run_command import examples_text

    return [examples_text(run.told)]


_HEAD, _EDGE = ("head", "node"), ("edge",)
EXPORT_FORMATS: tuple[ExportFormat, ...] = (
    ExportFormat(name="heads-csv", suffixes=(".csv",), words=_HEAD, text=partial(_csv, _heads)),
    ExportFormat(name="heads-json", suffixes=(".json",), words=_HEAD, text=partial(_json, _heads)),
    ExportFormat(name="heads-parquet", suffixes=(".parquet",), words=_HEAD, table=_heads),
    ExportFormat(name="edges-csv", suffixes=(".csv",), words=_EDGE, edges=True, text=partial(_csv, _edges)),
    ExportFormat(name="edges-json", suffixes=(".json",), words=_EDGE, edges=True, text=partial(_json, _edges)),
    ExportFormat(name="edges-parquet", suffixes=(".parquet",), words=_EDGE, edges=True, table=_edges),
    ExportFormat(name="edges-graphml", suffixes=(".graphml",), edges=True, text=_graphml),
    ExportFormat(
        name="importance-json", suffixes=(".json",), words=("importance", "circuit"), edges=True, text=_importance
    ),
    ExportFormat(name="grid-txt", suffixes=(".txt",), text=partial(_grid, "txt")),
    ExportFormat(name="grid-md", suffixes=(".md",), text=partial(_grid, "md")),
    ExportFormat(name="grid-ansi", suffixes=(".ansi", ".ans"), colours=True, text=partial(_grid, "ansi")),
    ExportFormat(name="grid-svg", suffixes=(".svg",), text=partial(_grid, "svg")),
    ExportFormat(name="edges-svg", suffixes=(".svg",), words=(*_EDGE, "drawing"), edges=True, text=_drawing),
    ExportFormat(name="run-sh", suffixes=(".sh",), facts=True, text=_command),
    ExportFormat(name="run-py", suffixes=(".py",), facts=True, text=_snippet),
    ExportFormat(name="examples-jsonl", suffixes=(".jsonl",), facts=True, text=_examples),
)


def format_of_name(name: str, suffix: str) -> ExportFormat | None:
    """Return the format that a file's name selects; None if no format has its suffix.

    Among the formats of the suffix, the only one with a word in the name, else the first.
    """
    of_suffix = [each for each in EXPORT_FORMATS if suffix.lower() in each.suffixes]
    named = [each for each in of_suffix if any(word in name.lower() for word in each.words)]
    return named[0] if len(named) == 1 else next(iter(of_suffix), None)
