"""Filters for lists of nodes, as typed: `layer > 5, q < .05, known`."""

import re
from collections.abc import Callable, Collection, Mapping

from engine.errors import ConfigError
from engine.measures import MEASURES, value_of
from engine.nodes import NodeId, NodeKind, parse_node
from engine.results import NodeScores

Wanted = Callable[[NodeScores], bool]

_TERM = re.compile(r"(?P<name>[a-z][a-z_ .°-]*)(?P<sign><=|>=|<|>|=)\s*(?P<value>-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)")
_AND = re.compile(r",|\sand\s")
_LAYER = re.compile(r"(?P<layer>\d+)\.\*")
_KINDS: dict[str, NodeKind] = {"head": "head", "heads": "head", "mlp": "mlp", "mlps": "mlp"}
_ALIASES = {"mi": "mutual_information", "tv": "total_variation", "normalised": "unique_normalised"}
HINT = 'For example: q < .05, layer >= 5, unique > 2, known, circuit, marked, 9.6, 9.*; commas mean "and".'
_NODES_HINT = HINT.replace("9.6, 9.*", "heads, mlps, 9.6, 9.*, m9, emb")


def filter_hint(*, others: bool) -> str:
    """Return examples of filters. `others`: True if there are MLPs, too."""
    return _NODES_HINT if others else HINT


def read_filter(
    text: str,
    *,
    circuit: Collection[NodeId],
    known: Collection[NodeId],
    marked: Collection[NodeId] = (),
) -> Wanted:
    """Return a predicate for nodes; empty text accepts every node. Raises ConfigError naming the faulty part."""
    sets = {"circuit": circuit, "in circuit": circuit, "known": known, "marked": marked}
    parts = [_part(part.strip(), sets) for part in _AND.split(text.lower()) if part.strip()]
    return lambda node: all(part(node) for part in parts)


def _part(text: str, sets: Mapping[str, Collection[NodeId]]) -> Wanted:
    inverted = text.startswith("not ")
    if inverted:
        inner = _part(text.removeprefix("not ").strip(), sets)
        return lambda node: not inner(node)
    heads = sets.get(text)
    if heads is not None:
        return lambda node: node.id in heads
    if text in _KINDS:
        kind = _KINDS[text]
        return lambda node: node.id.kind == kind
    if (named := parse_node(text)) is not None:
        return lambda node: node.id == named
    if (of_layer := _LAYER.fullmatch(text)) is not None:
        layer = int(of_layer["layer"])
        return lambda node: node.layer == layer and node.id.is_head
    term = _TERM.fullmatch(text)
    if term is None:
        raise ConfigError(f"{text!r} is not a condition.", hint=HINT)
    value, name = float(term["value"]), term["name"].strip()
    take = _taker(name)

    def holds(node: NodeScores) -> bool:
        have = take(node)
        if have is None:
            return False
        return {"<": have < value, ">": have > value, "<=": have <= value, ">=": have >= value, "=": have == value}[
            term["sign"]
        ]

    return holds


def _taker(name: str) -> Callable[[NodeScores], float | None]:
    if name in ("layer", "head"):
        return lambda node: _number(node.layer if name == "layer" else node.head)
    wanted = _letters(_ALIASES.get(name, name))
    names = {measure: (_letters(measure.id), _letters(measure.title)) for measure in MEASURES}
    found = (
        [measure for measure in MEASURES if measure.short and _heading(measure.short) == _heading(name)]
        or [measure for measure in MEASURES if wanted in names[measure]]
        or [measure for measure in MEASURES if any(each.startswith(wanted) for each in names[measure])]
    )
    if not found:
        raise ConfigError(f"There is no measure {name!r}.", hint=HINT)
    return lambda node: value_of(node, found[0])


def _number(value: int) -> float | None:
    """Return a layer or head as a number; None for nodes that have none (NO_LAYER, NO_HEAD)."""
    return float(value) if value >= 0 else None


def _heading(name: str) -> str:
    """Normalise a column's heading: tot.var, mean° and "uniq -", whose sign distinguishes it from unique."""
    return re.sub("[^a-z-]", "", name)


def _letters(name: str) -> str:
    """Normalise the name of a measure: q-value or q_value."""
    return re.sub("[^a-z]", "", name)
