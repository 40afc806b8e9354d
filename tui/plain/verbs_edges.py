"""Verbs on the edges of a run and how they are drawn: list, weigh, prune, pin, group, measure."""

import msgspec

from engine.nodes import NodeId, names
from sessions.events import DrawingChanged, EdgeWeight
from tui.plain.workbench import NotAvailable, PlainWorkbench
from tui.state.edges_state import EdgesState
from tui.state.folded_groups import FoldedGraph, fold_by_name, folded_words
from tui.state.node_words import name_node
from tui.state.parsing import read_node
from tui.state.weighted_edges import (
    WEIGHT_WORDS,
    WEIGHTS,
    add_groups,
    measured_weights,
    name_trouble,
    put_in_group,
    rename_group,
    toggle_pin,
)
from tui.terminal.sanitize import clean

_EDGES = 10


class EdgeVerbs:
    """Verbs on edges; each prints its result. What they change is recorded and drawn on every screen."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.state, self.link = plain, plain.state, plain.link

    async def do_edges(self, rest: str) -> None:
        run, board = self.plain.run_for("edges"), self._board()
        word, _, value = rest.partition(" ")
        if word == "by":
            self._weigh(board, value)
        elif word == "from":
            share = _number(value)
            if share is None or not 0 <= share <= 1:
                raise NotAvailable("edges from: give a share of the strongest edge, 0 to 1.")
            self._change(board, msgspec.structs.replace(board.drawing, least=share))
        elif word == "draw":
            most = _number(value)
            if most is None or most < 1 or most % 1:
                raise NotAvailable("edges draw: give a number of edges.")
            self._change(board, msgspec.structs.replace(board.drawing, most=int(most)))
        else:
            most_listed = int(rest) if rest.isdecimal() else _EDGES
            graph, weight = FoldedGraph(board.every, board.drawing), board.drawing.weight
            found = graph.edges
            of = "" if weight == "codes" else f", {WEIGHT_WORDS[weight]}"
            self.plain.say(f"{len(found)} edges of run {run.number}, strongest first{of}.")
            for place, edge in enumerate(found[:most_listed], start=1):
                source, target = (_words(graph, node) for node in edge.nodes)
                number = f"{edge.weight:.2f}" if weight == "codes" else f"{edge.weight:+.3f}"
                signs = ", of both signs" if edge.mixed else ""
                number += f" ({edge.parts} edges summed{signs})" if edge.parts > 1 else ""
                self.plain.say(f"{place}. {source} to {target}: {number}")
            if len(found) > most_listed:
                self.plain.say(f"{len(found) - most_listed} more; edges {len(found)} lists them.")

    async def do_patch(self, _: str) -> None:
        self.plain.check("edges")
        self.plain.check("edges:patch")
        board = self._board()
        edges = [edge.nodes for edge in board.graph.parts(board.cut_off)]
        if await self.link.patch_edges(edges):
            self.plain.say(f"measuring the {len(edges)} drawn edges exactly; then edges by exact lists them.")

    async def do_pin(self, rest: str) -> None:
        self.plain.check("edges:pin")
        board = self._board()
        if rest:
            self._change(board, toggle_pin(board.drawing, self._nodes(rest)[0]))
        pinned = " ".join(names(board.drawing.pinned))
        self.plain.say(f"pinned: {pinned}." if pinned else "no node is pinned.")

    async def do_group(self, rest: str) -> None:
        self.plain.check("edges:group")
        board = self._board()
        word, _, name = (part.strip() for part in rest.partition(" "))
        if rest == "alike":
            nodes = {node for edge in board.cut_off for node in edge.nodes}
            found = await self.link.find_alike(nodes)
            if found is None:
                return
            self._change(board, add_groups(board.drawing, [group.nodes for group in found]))
        elif "=" in rest:
            name, _, listed = rest.partition("=")
            name = self._name(name)
            without = put_in_group(board.drawing, [], name)
            kept = tuple(group for group in without.groups if group.name != name)
            emptied = msgspec.structs.replace(board.drawing, groups=kept)
            self._change(board, put_in_group(emptied, self._nodes(listed) if listed.strip() else [], name))
        elif word in ("fold", "unfold"):
            self._known(board, name)
            self._change(board, fold_by_name(board.drawing, name, folded=word == "fold"))
        elif " as " in rest:
            name, _, new = rest.partition(" as ")
            self._known(board, name.strip())
            self._change(board, rename_group(board.drawing, name.strip(), self._name(new)))
        elif rest:
            raise NotAvailable(
                "group: NAME = 2.3 4.1 names nodes; NAME as NEW renames; fold NAME draws it as one box, unfold NAME as "
                "nodes; alike proposes groups."
            )
        for group in board.drawing.groups:
            self.plain.say(f"{clean(group.name)}{folded_words(group)}: {' '.join(names(sorted(group.nodes)))}")
        if not board.drawing.groups:
            self.plain.say("no groups; group alike looks for nodes that behave alike.")

    # ---- inside

    def _board(self) -> EdgesState:
        return EdgesState(self.state, self.link.record_drawing)

    def _change(self, board: EdgesState, drawing: DrawingChanged) -> None:
        board.change(drawing)
        self.plain.say(f"{len(board.cut_off)} of {len(board.all)} edges are drawn.")

    def _known(self, board: EdgesState, name: str) -> None:
        if not name:
            raise NotAvailable("name the group: group lists them.")
        if all(group.name != name for group in board.drawing.groups):
            raise NotAvailable(f"there is no group {name}: group lists them.")

    def _weigh(self, board: EdgesState, name: str) -> None:
        run = self.plain.run_for("edges")
        there = measured_weights(run.picture)
        weight: EdgeWeight | None = next((each for each in WEIGHTS if each == name.strip()), None)
        if weight is None or weight not in there:
            more = "" if weight is None else "; patch measures the drawn edges exactly"
            raise NotAvailable(f"edges by {name}: this run has {', '.join(there)}{more}.")
        self._change(board, msgspec.structs.replace(board.drawing, weight=weight))

    def _nodes(self, text: str) -> list[NodeId]:
        """Read the nodes of a list. Raises NoSuchNode, ConfigError."""
        places = self.state.places()
        if places is None:
            raise NotAvailable("there is no grid yet.")
        return list(dict.fromkeys(read_node(word, places) for word in text.replace(",", " ").split()))

    def _name(self, text: str) -> str:
        name = " ".join(text.split())
        if not name or name_trouble(name):
            raise NotAvailable(f"a group needs a name. {name_trouble(name)}".strip())
        return name


def _words(graph: FoldedGraph, node: NodeId) -> str:
    group = graph.groups.get(node)
    return name_node(node) if group is None else f"group {clean(group.name)}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
