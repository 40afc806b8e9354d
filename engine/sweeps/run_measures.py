"""What a run of a sweep found, as one number per cell of a table or point of a curve."""

from typing import Literal

import msgspec

from engine.errors import ConfigError
from engine.measures import DEFAULT_MEASURE, Measure, find_measure


class RunMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """What one finished run of a sweep found."""

    run_id: str
    verdict: str | None
    auc: float | None
    """Of the codes, against effects measured in the run or the known circuit; None: neither, or undefined."""
    accuracy: float | None
    """Share of pairs that the model can do: graded ok on the positive, and not broken on the negative."""
    trained: float | None
    """The same over the pairs whose positive it was trained on, and over the others; None: not known, or none."""
    held_out: float | None
    examples: str
    """Content hash."""
    circuit: tuple[str, ...]
    values: tuple[float | None, ...] = ()
    """The measure by node, in the order of the answer's nodes; of an effect, in the metric's unit."""
    base: float | None = None
    """Of an effect: the metric without any replacement."""
    unit: float | None = None
    """Of an effect: what its size is shown as a share of (engine.sweeps.births.share_units)."""


CellKind = Literal["auc", "accuracy", "node", "jaccard", "verdict", "seconds"]
VERDICTS = ("nothing was coded", "no better than chance", "no better than a plain difference", "weak", "believable")
"""From the least to the best."""
VERDICT_WORDS = ("none", "chance", "plain", "weak", "good")


class CellMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell shows. `kind` node: the measure `of` at one node."""

    kind: CellKind
    title: str
    meaning: str
    of: Measure | None = None

    @property
    def id(self) -> str:
        """Return its name on the command line."""
        return self.of.id if self.of is not None else self.kind


MEASURES: tuple[CellMeasure, ...] = (
    CellMeasure(
        kind="auc", title="AUC", meaning="of the codes, against effects measured in the run, or a known circuit"
    ),
    CellMeasure(kind="node", title=DEFAULT_MEASURE.title, meaning=DEFAULT_MEASURE.meaning, of=DEFAULT_MEASURE),
    CellMeasure(
        kind="node",
        title=find_measure("exact_effect").title,
        meaning="share of the answer that changes when the node alone is replaced",
        of=find_measure("exact_effect"),
    ),
    CellMeasure(kind="jaccard", title="Jaccard", meaning="of the circuit with that of the cell to the left"),
    CellMeasure(kind="verdict", title="verdict", meaning="of the card: good, weak, plain, chance, none"),
    CellMeasure(kind="accuracy", title="pairs it can do", meaning="share of pairs: right on the positive, known apart"),
    CellMeasure(kind="seconds", title="seconds", meaning="of the run, started to ended"),
)


def find_cell_measure(name: str) -> CellMeasure:
    """Return the measure of that name: auc, accuracy, jaccard, verdict, seconds, or a measure of nodes.

    Raises ConfigError with the names.
    """
    own = {measure.id: measure for measure in MEASURES}
    if name in own:
        return own[name]
    try:
        measure = find_measure(name)
    except ConfigError as error:
        raise ConfigError(
            f"There is no measure {name!r}.",
            hint=f"Of a run: {', '.join(each.id for each in MEASURES if each.of is None)}. Of a node: {error.hint}",
        ) from error
    return CellMeasure(kind="node", title=measure.title, meaning=measure.meaning, of=measure)


def value_of_run(
    measure: CellMeasure, found: RunMeasures | None, *, seconds: float | None = None, place: int = 0
) -> float | None:
    """Return a run's value; None without one, and for Jaccard, which needs a neighbour. `place`: of the node."""
    if measure.kind == "seconds":
        return seconds
    if found is None:
        return None
    match measure.kind:
        case "auc":
            return found.auc
        case "accuracy":
            return found.accuracy
        case "verdict":
            return float(VERDICTS.index(found.verdict)) if found.verdict in VERDICTS else None
        case "node":
            return value_at_node(found, place)
        case "jaccard":
            return None


def jaccard(one: RunMeasures | None, other: RunMeasures | None) -> float | None:
    """Return the agreement of two circuits; None without both, or where both are empty."""
    if one is None or other is None or not (one.circuit or other.circuit):
        return None
    return len(set(one.circuit) & set(other.circuit)) / len({*one.circuit, *other.circuit})


def value_at_node(found: RunMeasures, place: int) -> float | None:
    """Return a run's value at a place of the answer's nodes; an effect as a share of the answer."""
    value = found.values[place] if 0 <= place < len(found.values) else None
    if value is None or found.base is None:
        return value
    return None if found.unit is None else abs(value) / found.unit
