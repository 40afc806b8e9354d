"""Measures of the run and metrics of the atlas as columns of one kind, for the table and the scatter."""

from collections.abc import Callable
from typing import Literal

import msgspec

from engine.measures import MEASURES, Measure, value_of
from engine.node_atlas import ATLAS_METRICS
from engine.nodes import NodeId
from engine.results import NodeScores
from tui.state.atlas import AtlasState
from tui.state.grid_view import decimals_of

Source = Literal["measure", "text", "prompts"]
_WORDS: dict[Source, str] = {"measure": "", "text": " (text)", "prompts": " (prompts)"}
_LONG: dict[Source, str] = {"measure": "", "text": ", on ordinary text", "prompts": ", on these prompts"}


class NodeColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One number that nodes have: a measure of the run, or a metric on ordinary text or on the run's prompts."""

    id: str
    source: Source
    title: str
    short: str
    meaning: str
    decimals: int
    measure: Measure | None = None


def _of_measure(measure: Measure) -> NodeColumn:
    return NodeColumn(
        id=measure.id,
        source="measure",
        title=measure.title,
        short=measure.short or measure.title,
        meaning=measure.meaning,
        decimals=decimals_of(measure),
        measure=measure,
    )


def _of_metrics(source: Source, mark: str) -> tuple[NodeColumn, ...]:
    return tuple(
        NodeColumn(
            id=f"{source}.{metric.name}",
            source=source,
            title=metric.title + _WORDS[source],
            short=mark + metric.title,
            meaning=metric.words + _LONG[source],
            decimals=metric.digits,
        )
        for metric in ATLAS_METRICS
        if source == "text" or metric.name not in ("induction", "duplicate")
    )


MEASURE_COLUMNS = tuple(map(_of_measure, MEASURES))
TEXT_COLUMNS = _of_metrics("text", "~")
"""On ordinary text: `~` before the name in a narrow column."""
PROMPT_COLUMNS = _of_metrics("prompts", "=")
"""On the run's prompts: `=` before the name."""
COLUMNS = (*MEASURE_COLUMNS, *TEXT_COLUMNS, *PROMPT_COLUMNS)


def find_column(name: str) -> NodeColumn | None:
    """Return the column with that id."""
    return next((each for each in COLUMNS if each.id == name), None)


def column_reader(atlas: AtlasState, column: NodeColumn) -> Callable[[NodeScores], float | None]:
    """Return the function that reads the column of a node; it gives None where it does not apply."""
    if column.measure is not None:
        measure = column.measure
        return lambda node: value_of(node, measure)
    name = column.id.partition(".")[2]
    numbers: dict[NodeId, float] = {}
    nodes = atlas.prompts if column.source == "prompts" else () if atlas.atlas is None else atlas.atlas.nodes
    for each in nodes:
        if name in each.metrics:
            numbers[each.node] = each.metrics[name]
    return lambda node: numbers.get(node.id)


def columns_there(atlas: AtlasState) -> tuple[NodeColumn, ...]:
    """Return the columns that have numbers now."""
    text = TEXT_COLUMNS if atlas.atlas is not None else ()
    return (*MEASURE_COLUMNS, *text, *(PROMPT_COLUMNS if atlas.prompts else ()))
