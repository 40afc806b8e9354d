"""Parsing of what is typed in text prompts: nodes, measures, positions."""

import re
from collections.abc import Callable

from engine.config import ProbeConfig
from engine.errors import ConfigError, HeadcodeError, NoSuchNode
from engine.measures import MEASURES, Measure
from engine.nodes import EMBEDDING, NodeId, mlp
from tui.state.grid_places import GridPlaces

_MLP = re.compile(r"m(?:lp)? *([0-9]{1,9})")
_LONGEST = 24
"""Characters of a name that errors repeat, and of the longest number in it."""


def read_node(text: str, places: GridPlaces) -> NodeId:
    """Parse a head (9.6, 9 6, 9,6 or L9H6), an MLP (m8, mlp 8) or the embedding (emb).

    Raises NoSuchNode if the grid does not have it, ConfigError if it is none of these.
    """
    plain, mlps = text.strip().lower(), places.others
    if plain in ("emb", "embedding"):
        places.layout.check(EMBEDDING)
        return EMBEDDING
    if (found := _MLP.fullmatch(plain)) is not None:
        node = mlp(int(found[1]))
        places.layout.check(node)
        return node
    parts = "".join(sign if sign.isdecimal() and sign.isascii() else " " for sign in text).split()
    if len(parts) != 2:
        raise ConfigError(
            f"{text[:_LONGEST]!r} is not a {'node' if mlps else 'head'}: heads are written layer.head"
            + (", MLPs m8, the embedding emb." if mlps else "."),
            hint=node_hint(places),
        )
    if len(text) > _LONGEST or int(parts[0]) >= places.n_layers or int(parts[1]) >= places.n_heads:
        raise NoSuchNode(text[:_LONGEST], places.n_layers, places.n_heads, mlps=mlps)
    return NodeId(int(parts[0]), int(parts[1]))


def node_hint(places: GridPlaces) -> str:
    """Return how to write a node of the grid."""
    if places.others:
        return "For example 1.3 (layer 1, head 3), m1 (the MLP of layer 1) or emb (the embedding)."
    return "For example 1.3: layer 1, head 3."


def guess_measure(text: str) -> Measure:
    """Find a measure by title or id: a full match, a prefix, or a part. Raises ConfigError."""
    wanted = " ".join(text.lower().replace("_", " ").split())
    titles = {measure: (measure.title.lower(), measure.id.replace("_", " ")) for measure in MEASURES}
    for fits in (str.__eq__, str.startswith, str.__contains__):
        for measure, names in titles.items():
            if wanted and any(fits(name, wanted) for name in names):
                return measure
    raise ConfigError(f"There is no measure {text!r}.", hint=", ".join(measure.title for measure in MEASURES))


def node_trouble(text: str, places: GridPlaces) -> str:
    """Return what is wrong with a node's name; empty if nothing is."""
    return _trouble(lambda: read_node(text, places))


def measure_trouble(text: str) -> str:
    """Return what is wrong with a measure's name; empty if nothing is."""
    return _trouble(lambda: guess_measure(text))


def position_trouble(text: str) -> str:
    """Return what is wrong with a position policy; empty if nothing is."""
    return _trouble(lambda: ProbeConfig(position=text.strip()))


def _trouble(read: Callable[[], object]) -> str:
    try:
        read()
    except HeadcodeError as error:
        return error.message
    return ""
