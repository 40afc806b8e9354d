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
from engine.nodes import NodeChoice, NodeId, NodeLayout, only_heads, parse_node
from engine.results import ModelInfo, NodeScores, Reference, Versions
from sessions.comparison.circuit_sets import intersection, jaccard, subtract
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
    nodes: tuple[NodeScores, ...] = ()
    """Empty for examples and circuits."""
    final: bool = True
    heads: tuple[tuple[int, int], ...] | None = None
    """The heads of a circuit; None for other sides."""
    scores: dict[str, float] | None = None
    """Another tool's scores by node (9.6, m8, emb); their signs are ignored."""
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
    covers: NodeChoice = "all"
    """Of a circuit: heads, if it says nothing about MLPs."""

    @property
    def shape(self) -> tuple[int, int] | None:
        return (self.n_layers, self.n_heads) if self.n_layers and self.n_heads else None

    @property
    def choice(self) -> NodeChoice | None:
        """Which nodes the side says something about; None: a saved circuit, which can stand beside both."""
        if self.heads is not None:
            return "heads" if self.covers == "heads" else None
        scored = [str(node.id) for node in self.nodes] if self.scores is None else [*self.scores]
        return "all" if any(node is not None and not node.is_head for node in map(parse_node, scored)) else "heads"


class HeadDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One node on both sides. None where the measure does not apply."""

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


class GridComparison(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    more_in_a: tuple[tuple[int, int], ...] = ()
    """Nodes that only A says something about: MLPs and embedding, beside a run of heads. They are not in `cells`."""
    more_in_b: tuple[tuple[int, int], ...] = ()


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
    shape = a.shape or b.shape
    places, more_in_a, more_in_b = _common_places(a, b, shape)
    a, b = _file_beside(a, b), _file_beside(b, a)
    circuit_a, circuit_b = (_judged(one, other, select_circuit(one, measure, cut)) for one, other in ((a, b), (b, a)))
    in_a, in_b = set(circuit_a), set(circuit_b)
    member = a.heads is not None or b.heads is not None
    foreign = a.scores is not None or b.scores is not None
    if member:
        values_a, values_b = _membership(in_a, places), _membership(in_b, places)
    elif foreign:
        values_a, values_b = _shares(a, measure, places), _shares(b, measure, places)
    else:
        values_a, values_b = _values(a, measure), _values(b, measure)
    cells = tuple(_cell(place, values_a.get(place), values_b.get(place)) for place in places)
    if foreign and not member and not only_heads(places):
        # Another tool ranks heads and MLPs together, by value.
        strengths_a, strengths_b = _known(values_a, places), _known(values_b, places)
    else:
        strengths_a, strengths_b = _strengths(a, measure, in_a, places), _strengths(b, measure, in_b, places)
    shared = [place for place in places if min(strengths_a[place], strengths_b[place]) > -math.inf]
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
        auc_a_finds_b=_auc(a, strengths_a, in_b, places),
        auc_b_finds_a=_auc(b, strengths_b, in_a, places),
        more_in_a=more_in_a,
        more_in_b=more_in_b,
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
            layout = NodeLayout(n_layers=shape[0], n_heads=shape[1], choice="all")
            outside = [NodeId(*head) for head in circuit.heads if head not in layout]
            if outside:
                kind = "head" if outside[0].is_head else "node"
                raise CannotCompare(
                    f"{circuit.title} has the {kind} {outside[0]}; {other.title} has {_format_shape(other)}.",
                    hint="It is a circuit of another model.",
                )


def select_circuit(
    side: ComparisonSide, measure: Measure = DEFAULT_MEASURE, cut: int | None = None
) -> tuple[NodeId, ...]:
    """Return the heads of the side's circuit: a circuit's own, else the best ones by the measure up to the cut."""
    if side.heads is not None:
        return tuple(dict.fromkeys(NodeId(*head) for head in side.heads))
    if side.scores is not None:
        own = _external_sizes(side)
        layout = NodeLayout(n_layers=side.n_layers, n_heads=side.n_heads, choice=side.choice or "heads")
        size = default_circuit_size(layout.n_members) if cut is None else max(cut, 1)
        members = [node for node in own if node.in_circuits]
        return tuple(sorted(members, key=lambda node: (-own[node], node))[:size])
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


# ---- helpers


def _common_places(
    a: ComparisonSide, b: ComparisonSide, shape: tuple[int, int] | None
) -> tuple[list[NodeId], tuple[NodeId, ...], tuple[NodeId, ...]]:
    """Return the nodes that both sides say something about, and those that only A, and only B does."""
    if shape is None:
        return [], (), ()
    heads, every = (NodeLayout(n_layers=shape[0], n_heads=shape[1], choice=choice) for choice in ("heads", "all"))
    others = every.ids[heads.n_nodes :]
    listed = [NodeId(*node) for side in (a, b) for node in side.heads or ()]
    if "heads" not in (a.choice, b.choice) and ("all" in (a.choice, b.choice) or not only_heads(listed)):
        return [*every.ids], (), ()
    more = [others if side.choice == "all" else () for side in (a, b)]
    return [*heads.ids], more[0], more[1]


def _judged(side: ComparisonSide, other: ComparisonSide, circuit: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
    """Return the side's circuit without nodes about which the other side, a circuit of heads, says nothing."""
    says_nothing = side.heads is None and other.heads is not None and other.covers == "heads"
    return tuple(node for node in circuit if node.is_head or not says_nothing)


def _file_beside(side: ComparisonSide, other: ComparisonSide) -> ComparisonSide:
    """Return the side; if it is a file beside a run of heads, with the scores of heads alone."""
    if side.scores is None or other.choice != "heads":
        return side
    scores = {name: score for name, score in side.scores.items() if (node := parse_node(name)) is None or node.is_head}
    return msgspec.structs.replace(side, scores=scores)


def _values(side: ComparisonSide, measure: Measure) -> dict[NodeId, float | None]:
    found = {node.id: value_of(node, measure) for node in side.nodes}
    return {head: value if value is not None and math.isfinite(value) else None for head, value in found.items()}


def _external_sizes(side: ComparisonSide) -> dict[NodeId, float]:
    """Return the absolute scores of another tool's file."""
    found = {}
    for name, value in (side.scores or {}).items():
        node = parse_node(name)
        if node is not None:
            found[node] = abs(value)
    return found


def _shares(side: ComparisonSide, measure: Measure, places: Sequence[NodeId]) -> dict[NodeId, float | None]:
    """Return these nodes' values as shares of the side's largest: scores of different tools have no common unit."""
    compared = set(places)
    if side.scores is not None:
        own = {node: size for node, size in _external_sizes(side).items() if node in compared}
        top = max(own.values(), default=0.0) or 1.0
        return {head: value / top for head, value in own.items()}
    values = {node: value for node, value in _values(side, measure).items() if node in compared}
    far = {head: abs(value - measure.floor) for head, value in values.items() if value is not None}
    top = max(far.values(), default=0.0) or 1.0
    return {head: far[head] / top if head in far else None for head in values}


def _membership(circuit: Collection[NodeId], places: Sequence[NodeId]) -> dict[NodeId, float | None]:
    return {place: float(place in circuit) for place in places}


def _known(values: dict[NodeId, float | None], places: Sequence[NodeId]) -> dict[NodeId, float]:
    """Return the values of these nodes; -inf where nothing is known."""
    return {place: -math.inf if (value := values.get(place)) is None else value for place in places}


def _strengths(
    side: ComparisonSide, measure: Measure, circuit: Collection[NodeId], places: Sequence[NodeId]
) -> dict[NodeId, float]:
    """Return values that are higher for stronger heads; -inf where nothing is known."""
    if side.heads is not None:
        return {place: float(place in circuit) for place in places}
    if side.scores is not None:
        own = _external_sizes(side)
        return {place: own.get(place, -math.inf) for place in places}
    if only_heads(places):
        found = {node.id: strength(node, measure) for node in side.nodes}
    else:  # heads and MLPs are compared each among their own (engine.analysis.ranking)
        found = dict(zip((node.id for node in side.nodes), strengths(side.nodes, measure), strict=True))
    return {place: found.get(place, -math.inf) for place in places}


def _auc(
    side: ComparisonSide, found: dict[NodeId, float], truth: Collection[NodeId], places: Sequence[NodeId]
) -> float | None:
    if side.heads is not None or all(value == -math.inf for value in found.values()):
        return None  # a circuit gives no ranking, nor does a measure that does not apply
    members = [place for place in places if place.in_circuits]
    return auc([found[place] for place in members], [place in truth for place in members])


def _cell(place: NodeId, a: float | None, b: float | None) -> HeadDifference:
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
