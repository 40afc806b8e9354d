"""Compare two runs, seeds, example sets, circuits or files; no database, for every client.

Differences are always A minus B.
"""

import math
from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from engine.analysis.rank_correlation import kendall, spearman
from engine.analysis.ranking import auc, circuit_by_rank, default_circuit_size, members, strength, strengths
from engine.config import ProbeConfig
from engine.examples import Example
from engine.measures import DEFAULT_MEASURE, Measure, value_of
from engine.nodes import NO_HEAD, NodeChoice, NodeLayout
from engine.results import HeadId, HeadScores, ModelInfo, Reference, Versions
from sessions.comparison.example_diff import ExamplesDifference, compare_examples
from sessions.errors import SessionError

Kind = Literal["run", "seed", "examples", "circuit", "file"]


class CannotCompare(SessionError):
    """The two sides cannot be compared."""

    family = "input"


class ComparisonSide(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison, with all its data."""

    reference: str
    """A permanent reference, made of ids."""
    title: str
    """A name for users."""
    kind: Kind
    session_id: str = ""
    run_id: str | None = None
    seed: int | None = None
    n_layers: int = 0
    """0: unknown, as for a circuit that came from no run."""
    n_heads: int = 0
    nodes: tuple[HeadScores, ...] = ()
    """Empty for examples and circuits."""
    final: bool = True
    heads: tuple[tuple[int, int], ...] | None = None
    """The heads of a circuit; None for other sides."""
    scores: dict[str, float] | None = None
    """Another tool's scores by "layer.head"; their signs are ignored."""
    source: str = ""
    """Describes where a circuit or a file comes from."""
    measure: str | None = None
    """The measure by which the run was last viewed, and the circuit size."""
    cut: int | None = None
    config: ProbeConfig | None = None
    asked: dict[str, str | None] = {}  # msgspec copies it
    """The requested model, task and device of the run."""
    examples: tuple[Example, ...] | None = None
    """None if there are none to compare: a circuit, or a run that did not get that far."""
    model: ModelInfo | None = None
    versions: Versions | None = None
    known: Reference | None = None
    """The run's own known circuit."""

    @property
    def shape(self) -> tuple[int, int] | None:
        return (self.n_layers, self.n_heads) if self.n_layers and self.n_heads else None


class HeadDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One head on both sides. None where the measure does not apply."""

    layer: int
    head: int
    a: float | None
    b: float | None
    difference: float | None
    """a - b."""


class FieldDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A field that differs, with both values as JSON values."""

    field: str
    a: object
    b: object


class GridComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The overlap of two sets of heads, and the signed difference of two grids."""

    measure: str
    """Id of the measure, or "membership" or "share".

    membership: one side is a circuit: 1 in it, 0 not. share: one is a file of another tool: both sides as shares of
    their largest value.
    """
    cells: tuple[HeadDifference, ...]
    """Layer by layer; empty if neither side knows its shape."""
    largest: float
    """The largest absolute difference."""
    circuit_a: tuple[tuple[int, int], ...]
    circuit_b: tuple[tuple[int, int], ...]
    only_a: tuple[tuple[int, int], ...]
    only_b: tuple[tuple[int, int], ...]
    both: tuple[tuple[int, int], ...]
    jaccard: float | None
    """Heads in both over heads in either; None if both are empty."""
    precision: float | None
    """Share of A's circuit that is in B's."""
    recall: float | None
    """Share of B's circuit that is in A's."""
    spearman: float | None
    kendall: float | None
    """tau-b."""
    auc_a_finds_b: float | None
    """How well A's ranking finds the circuit of B."""
    auc_b_finds_a: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in which two sides differ."""

    grid: GridComparison | None
    """None if a side is only a set of examples."""
    config: tuple[FieldDifference, ...] | None
    """None if a side has no settings (a circuit, a set of examples)."""
    model: tuple[FieldDifference, ...] | None
    versions: tuple[FieldDifference, ...] | None
    examples: ExamplesDifference | None


MEMBERSHIP = "membership"
SHARE = "share"


def compare(
    a: ComparisonSide, b: ComparisonSide, *, measure: Measure = DEFAULT_MEASURE, cut: int | None = None
) -> Comparison:
    """Compare two sides. `cut`: the size of both circuits; None: each side's own.

    Raises CannotCompare if their grids have different shapes, or nothing can be compared.
    """
    grid = None
    if "examples" not in (a.kind, b.kind):
        grid = compare_grids(a, b, measure=measure, cut=cut)
    elif a.examples is None or b.examples is None:
        without = a if a.examples is None else b
        raise CannotCompare(
            f"{without.title} has no examples to compare.", hint="Compare it with a run, or two runs with each other."
        )
    return Comparison(
        grid=grid,
        config=_settings_difference(a, b),
        model=struct_difference(a.model, b.model),
        versions=struct_difference(a.versions, b.versions),
        examples=compare_examples(a.examples, b.examples)
        if a.examples is not None and b.examples is not None
        else None,
    )


def compare_grids(
    a: ComparisonSide, b: ComparisonSide, *, measure: Measure = DEFAULT_MEASURE, cut: int | None = None
) -> GridComparison:
    """Compare two grids and the circuits selected from them. Raises CannotCompare."""
    check_shapes(a, b)
    circuit_a, circuit_b = select_circuit(a, measure, cut), select_circuit(b, measure, cut)
    in_a, in_b = set(circuit_a), set(circuit_b)
    member = a.heads is not None or b.heads is not None
    places = _places(a, b)
    foreign = a.scores is not None or b.scores is not None
    if member:
        values_a, values_b = _membership(in_a, places), _membership(in_b, places)
    elif foreign:
        values_a, values_b = _shares(a, measure), _shares(b, measure)
    else:
        values_a, values_b = _values(a, measure), _values(b, measure)
    cells = tuple(_cell(place, values_a.get(place), values_b.get(place)) for place in places)
    # Rankings are compared over the nodes that both sides have looked at; the embedding is in every circuit.
    seen = [{node.id for node in side.nodes} for side in (a, b) if side.nodes]
    judged = [place for place in places if place.in_circuits and all(place in nodes for nodes in seen)]
    strengths_a, strengths_b = _strengths(a, measure, in_a, judged), _strengths(b, measure, in_b, judged)
    shared = [place for place in judged if min(strengths_a[place], strengths_b[place]) > -math.inf]
    ranking_a, ranking_b = [strengths_a[place] for place in shared], [strengths_b[place] for place in shared]
    both = in_a & in_b
    return GridComparison(
        measure=MEMBERSHIP if member else SHARE if foreign else measure.id,
        cells=cells,
        largest=max((abs(cell.difference) for cell in cells if cell.difference is not None), default=0.0),
        circuit_a=circuit_a,
        circuit_b=circuit_b,
        only_a=subtract(circuit_a, circuit_b),
        only_b=subtract(circuit_b, circuit_a),
        both=intersection(circuit_a, circuit_b),
        jaccard=jaccard(circuit_a, circuit_b),
        precision=len(both) / len(in_a) if in_a else None,
        recall=len(both) / len(in_b) if in_b else None,
        spearman=spearman(ranking_a, ranking_b),
        kendall=kendall(ranking_a, ranking_b),
        auc_a_finds_b=_auc(a, strengths_a, in_b, judged),
        auc_b_finds_a=_auc(b, strengths_b, in_a, judged),
    )


def check_shapes(a: ComparisonSide, b: ComparisonSide) -> None:
    """Check that both sides have the same shape. Raises CannotCompare, naming both shapes."""
    for side in (a, b):
        if side.kind == "examples":
            raise CannotCompare(f"{side.title} has no grid.", hint="Name a run: SESSION/NUMBER.")
        if side.heads is None and not side.nodes and not side.scores:
            raise CannotCompare(f"{side.title} has no scores to compare.", hint="Finish the run.")
    if a.shape and b.shape and a.shape != b.shape:
        raise CannotCompare(
            f"{a.title} has {_format_shape(a)}, {b.title} has {_format_shape(b)}: their heads do not correspond.",
            hint="Compare runs of one model, or of models with the same number of layers and heads.",
        )
    for circuit, other in ((a, b), (b, a)):
        shape = circuit.shape or other.shape
        if circuit.heads is not None and shape is not None:
            # MLPs count as inside: a run with heads alone is told apart from one of another model.
            layout = NodeLayout(n_layers=shape[0], n_heads=shape[1], choice="all")
            outside = [node for head in circuit.heads if (node := HeadId(*head)) not in layout]
            if outside:
                kind = "head" if outside[0].is_head else "node"
                raise CannotCompare(
                    f"{circuit.title} has the {kind} {outside[0]}; {other.title} has {_format_shape(other)}.",
                    hint="It is a circuit of another model.",
                )


def select_circuit(
    side: ComparisonSide, measure: Measure = DEFAULT_MEASURE, cut: int | None = None
) -> tuple[HeadId, ...]:
    """Return the heads of the side's circuit: a circuit's own, else the best ones by the measure up to the cut."""
    if side.heads is not None:
        return tuple(dict.fromkeys(HeadId(*head) for head in side.heads))
    if side.scores is not None:
        own = _external_sizes(side)
        size = default_circuit_size(side.n_layers * side.n_heads) if cut is None else max(cut, 1)
        return tuple(sorted(own, key=lambda head: (-own[head], head))[:size])
    return tuple(circuit_by_rank(side.nodes, resolve_cut(side, measure, cut), measure))


def resolve_cut(side: ComparisonSide, measure: Measure, cut: int | None = None) -> int:
    """Return the circuit size: the requested one, else that of the run's last view by this measure, else the run's."""
    asked = cut
    if asked is None and side.cut is not None and side.measure in (None, measure.id):
        asked = side.cut
    if asked is None and side.config is not None:
        asked = side.config.circuit_size
    return default_circuit_size(len(members(side.nodes))) if asked is None else min(max(asked, 1), len(side.nodes))


def struct_difference(a: msgspec.Struct | None, b: msgspec.Struct | None) -> tuple[FieldDifference, ...] | None:
    """Return the fields in which two structs of a type differ; None if one is missing."""
    return None if a is None or b is None else _differences(msgspec.to_builtins(a), msgspec.to_builtins(b))


# ---- circuits as sets


def union(*circuits: Collection[tuple[int, int]]) -> tuple[HeadId, ...]:
    """Return the heads in any of them, in order of appearance, each once."""
    return tuple(dict.fromkeys(HeadId(*head) for circuit in circuits for head in circuit))


def intersection(first: Collection[tuple[int, int]], *others: Collection[tuple[int, int]]) -> tuple[HeadId, ...]:
    """Return the heads in all of them, in the order of the first."""
    others_sets = [set(map(tuple, other)) for other in others]
    return tuple(head for head in union(first) if all(tuple(head) in other for other in others_sets))


def subtract(first: Collection[tuple[int, int]], *others: Collection[tuple[int, int]]) -> tuple[HeadId, ...]:
    """Return the heads of the first that are in none of the others, in order."""
    removed = set(union(*others))
    return tuple(head for head in union(first) if head not in removed)


def jaccard(one: Collection[tuple[int, int]], other: Collection[tuple[int, int]]) -> float | None:
    """Return heads in both over heads in either; None if both are empty."""
    either = union(one, other)
    return len(intersection(one, other)) / len(either) if either else None


def has_mlps(side: ComparisonSide) -> bool:
    """Return True if the side has scores of MLPs and the embedding, or a circuit with MLPs."""
    return any(not node.id.is_head for node in side.nodes) or any(head[1] == NO_HEAD for head in side.heads or ())


# ---- helpers


def _places(a: ComparisonSide, b: ComparisonSide) -> list[HeadId]:
    """Return the nodes that either side has, heads first; none if neither side knows its shape."""
    shape = a.shape or b.shape
    if shape is None:
        return []
    choice: NodeChoice = "all" if has_mlps(a) or has_mlps(b) else "heads"
    return list(NodeLayout(n_layers=shape[0], n_heads=shape[1], choice=choice).ids)


def _values(side: ComparisonSide, measure: Measure) -> dict[HeadId, float | None]:
    found = {node.id: value_of(node, measure) for node in side.nodes}
    return {head: value if value is not None and math.isfinite(value) else None for head, value in found.items()}


def _external_sizes(side: ComparisonSide) -> dict[HeadId, float]:
    """Return the absolute scores of another tool's file."""
    found = {}
    for name, value in (side.scores or {}).items():
        layer, _, head = name.partition(".")
        found[HeadId(int(layer), int(head))] = abs(value)
    return found


def _shares(side: ComparisonSide, measure: Measure) -> dict[HeadId, float | None]:
    """Return every head's value as a share of the side's largest: scores of different tools have no common unit."""
    if side.scores is not None:
        own = _external_sizes(side)
        top = max(own.values(), default=0.0) or 1.0
        return {head: value / top for head, value in own.items()}
    values = _values(side, measure)
    far = {head: abs(value - measure.floor) for head, value in values.items() if value is not None}
    top = max(far.values(), default=0.0) or 1.0
    return {head: far[head] / top if head in far else None for head in values}


def _membership(circuit: Collection[HeadId], places: Sequence[HeadId]) -> dict[HeadId, float | None]:
    return {place: float(place in circuit) for place in places}


def _strengths(
    side: ComparisonSide, measure: Measure, circuit: Collection[HeadId], places: Sequence[HeadId]
) -> dict[HeadId, float]:
    """Return values that are higher for stronger heads; -inf where nothing is known."""
    if side.heads is not None:
        return {place: float(place in circuit) for place in places}
    if side.scores is not None:
        own = _external_sizes(side)
        return {place: own.get(place, -math.inf) for place in places}
    values = strengths(side.nodes, measure) if has_mlps(side) else [strength(node, measure) for node in side.nodes]
    found = dict(zip((node.id for node in side.nodes), values, strict=True))
    return {place: found.get(place, -math.inf) for place in places}


def _auc(
    side: ComparisonSide, strengths: dict[HeadId, float], truth: Collection[HeadId], places: Sequence[HeadId]
) -> float | None:
    if side.heads is not None or all(value == -math.inf for value in strengths.values()):
        return None  # a circuit gives no ranking, nor does a measure that does not apply
    return auc([strengths[place] for place in places], [place in truth for place in places])


def _cell(place: HeadId, a: float | None, b: float | None) -> HeadDifference:
    difference = None if a is None or b is None else round(a - b, 6) + 0.0  # no negative zero
    return HeadDifference(layer=place.layer, head=place.head, a=a, b=b, difference=difference)


def _settings_difference(a: ComparisonSide, b: ComparisonSide) -> tuple[FieldDifference, ...] | None:
    if a.config is None or b.config is None:
        return None
    one, other = _flatten(a.config) | dict(a.asked), _flatten(b.config) | dict(b.asked)
    if a.seed is not None:
        one["seed"] = a.seed
    if b.seed is not None:
        other["seed"] = b.seed
    return _differences(one, other)


def _differences(one: dict[str, object], other: dict[str, object]) -> tuple[FieldDifference, ...]:
    names = dict.fromkeys([*one, *other])
    return tuple(
        FieldDifference(field=name, a=one.get(name), b=other.get(name))
        for name in names
        if one.get(name) != other.get(name)
    )


def _flatten(config: ProbeConfig) -> dict[str, object]:
    """Return the settings by name; those of the autoencoder as sae.NAME."""
    fields: dict[str, object] = {}
    for name, value in msgspec.to_builtins(config).items():
        if isinstance(value, dict):
            fields.update({f"{name}.{inner}": each for inner, each in value.items()})
        else:
            fields[name] = value
    return fields


def _format_shape(side: ComparisonSide) -> str:
    model = f" ({side.model.name})" if side.model is not None else ""
    return f"{side.n_layers} layers x {side.n_heads} heads{model}"
