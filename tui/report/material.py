"""What the sections of a run's report are made of, and words that they share."""

import math
from collections.abc import Collection

import msgspec

from engine.analysis.ranking import circuit_by_rank, default_circuit_size, members, ranked
from engine.measures import DEFAULT_MEASURE, Measure, find_measure, value_of
from engine.nodes import NodeId, names, only_heads
from engine.results import NodeScores
from tui.headless.run_command import RunCommand
from tui.headless.stored_run import MissingLooks, NodeFacts, StoredRun
from tui.output.grid import format_short

BEST_BY_CODES, BEST_BY_EFFECT = 6, 4
"""Nodes that get a page of their own: the best by the measure, then by effect."""
MOST_PROMPT = 400
"""Characters of a prompt that are shown."""


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """A run, how it is viewed, and what was read for its strongest nodes."""

    facts: StoredRun
    measure: Measure
    circuit: tuple[NodeId, ...]
    """By the measure and the cut, best first."""
    nodes: tuple[NodeFacts, ...] = ()
    missing: MissingLooks = MissingLooks()
    command: RunCommand
    prefix: str = ""
    """Begin of section ids; empty if the report has one run."""

    @property
    def noun(self) -> str:
        """head, or node if the run has MLPs."""
        return "head" if only_heads(node.id for node in self.facts.picture.nodes) else "node"

    def id(self, name: str) -> str:
        return self.prefix + name


def view_of(facts: StoredRun) -> tuple[Measure, tuple[NodeId, ...]]:
    """Return measure and circuit by which the run was last viewed, else those of the run."""
    nodes = facts.picture.nodes
    by = find_measure(facts.view.measure) if facts.view is not None else DEFAULT_MEASURE
    cut = facts.view.cut if facts.view is not None else facts.run.config.circuit_size
    return by, tuple(circuit_by_rank(nodes, cut or default_circuit_size(len(members(nodes))), by))


def shown_nodes(facts: StoredRun, measure: Measure) -> tuple[NodeId, ...]:
    """Return the nodes with a page of their own: the best by the measure, then the best by measured effect."""
    nodes = facts.picture.nodes
    best = [node.id for node in ranked(nodes, measure)][:BEST_BY_CODES]
    effect = find_measure("combined")
    by_effect = [
        node.id for node in ranked(nodes, effect) if value_of(node, effect) is not None and node.id.in_circuits
    ]
    return tuple(dict.fromkeys((*best, *by_effect[:BEST_BY_EFFECT])))


def scores_of(facts: StoredRun, node: NodeId) -> NodeScores:
    """Return the node's scores."""
    return next(each for each in facts.picture.nodes if each.id == node)


def describe(node: NodeId) -> str:
    """Return what a node is: head 6 of layer 2 (2.6)."""
    match node.kind:
        case "head":
            return f"head {node.head} of layer {node.layer} ({node})"
        case "mlp":
            return f"the MLP of layer {node.layer} ({node})"
        case "embedding":
            return "the embedding (emb)"


def number(value: float | None) -> str:
    """Format a number; a dash if there is none."""
    return format_short(value) if value is None or abs(value) < 0.995 else f"{value:.2f}".rstrip("0").rstrip(".")


def small(value: float | None) -> str:
    """Format p and q with three decimals."""
    if value is None:
        return "–"
    return "below .001" if value < 0.0005 else f"{value:.3f}".removeprefix("0")


def percent(share: float | None) -> str:
    """Format a share."""
    if share is None or not math.isfinite(share):
        return "–"
    text = f"{share:.0%}"
    return "0%" if text == "-0%" else text


def listed(nodes: Collection[tuple[int, int]], most: int = 40) -> str:
    """Return the names of the nodes, the first ones of many; "none" without any."""
    found = names(list(nodes)[:most])
    more = f" and {len(nodes) - most} more" if len(nodes) > most else ""
    return (", ".join(found) or "none") + more
