"""What the edges screen shows: the run's edges, which of them are drawn, the selected edge and node."""

from collections.abc import Callable

import msgspec

from engine.nodes import NodeId
from sessions.events import DrawingChanged, NodeGroup
from tui.state.folded_groups import FoldedGraph, toggle_fold
from tui.state.inactive_heads import idle_heads
from tui.state.node_signs import IDLE, KNOWN, PINNED
from tui.state.weighted_edges import (
    WeightedEdge,
    cut_edges,
    effects_of,
    group_letter,
    group_of,
    measured_weights,
    toggle_pin,
    weighted_edges,
)
from tui.state.workbench_state import WorkbenchState


class EdgesState:
    """Shared state of the list and the drawing."""

    def __init__(self, state: WorkbenchState, record: Callable[[], None] = lambda: None) -> None:
        self.state = state
        self._record = record
        self.chosen = 0
        self.end = 0
        """The selected node: 0 for the source of the selected edge, 1 for its target."""
        self.inside = False
        self.of_marked = bool(state.marked)
        """Show only edges from or to marked heads."""
        self.pan = (0, 0)
        """Offset of the drawing by the pan keys, in cells."""
        self._idle: tuple[object, object, frozenset[NodeId]] = (None, None, frozenset())
        # What was last made, and what of: one drawing asks for these thousands of times.
        self._every: tuple[object, str, tuple[WeightedEdge, ...]] = (None, "", ())
        self._kept: tuple[object, object, tuple[WeightedEdge, ...]] = (None, None, ())
        self._graph = FoldedGraph((), DrawingChanged())
        self._folded: tuple[object, object] = (None, None)

    @property
    def drawing(self) -> DrawingChanged:
        """How the run is drawn: as changed here, else as recorded."""
        return self.state.drawing

    def change(self, drawing: DrawingChanged) -> None:
        """Draw in another way from now on, and have it recorded."""
        if self.state.change_drawing(drawing):
            self._record()

    @property
    def every(self) -> tuple[WeightedEdge, ...]:
        """All edges of the run by the current weight, strongest first."""
        run, weight = self.state.shown, self.drawing.weight
        if run is None:
            return ()
        measured = run.picture.edges if weight == "codes" else effects_of(run.picture, weight)
        if self._every[0] is not measured or self._every[1] != weight:
            self._every = measured, weight, weighted_edges(run.picture, weight)
        return self._every[2]

    @property
    def graph(self) -> FoldedGraph:
        """The filtered edges with folded groups as boxes."""
        edges, drawing = self._filtered, self.drawing
        if self._folded[0] is not edges or self._folded[1] != drawing:
            self._graph, self._folded = FoldedGraph(edges, drawing), (edges, drawing)
        return self._graph

    @property
    def all(self) -> tuple[WeightedEdge, ...]:
        """The edges of the list: filtered, those of a folded group summed; strongest first."""
        return self.graph.edges

    @property
    def _filtered(self) -> tuple[WeightedEdge, ...]:
        edges, marked = self.every, self.state.marked if self.of_marked else frozenset()
        view = self.state.view() if self.inside and not marked else None
        if not marked and view is None:
            return edges
        by = ("marked", frozenset(marked)) if view is None else ("inside", frozenset(view.circuit))
        if self._kept[0] is not edges or self._kept[1] != by:
            found = (edge for edge in edges if not marked.isdisjoint(edge.nodes))
            if view is not None:
                found = (edge for edge in edges if view.circuit.issuperset(edge.nodes))
            self._kept = edges, by, tuple(found)
        return self._kept[2]

    @property
    def cut_off(self) -> tuple[WeightedEdge, ...]:
        """The edges that the cut, the threshold and the pins leave."""
        graph = self.graph
        found, pinned = cut_edges(graph.edges, graph.drawing), graph.drawing.pinned
        if not pinned:
            return found
        # A pinned node stays even if the filter leaves none of its edges.
        there = {node for edge in found for node in edge.nodes}
        missing = tuple(node for node in pinned if NodeId(*node) not in there)
        only = DrawingChanged(most=1, least=1.0, pinned=missing)
        more = cut_edges(FoldedGraph(self.every, self.drawing).edges, only) if missing else ()
        wanted = {NodeId(*node) for node in missing}
        return (*found, *(edge for edge in dict.fromkeys(more) if not wanted.isdisjoint(edge.nodes)))

    @property
    def drawn(self) -> tuple[WeightedEdge, ...]:
        """The drawn edges, with the selected one."""
        found, chosen = self.cut_off, self.chosen_edge
        return found if chosen is None or chosen in found else (*found, chosen)

    @property
    def alone(self) -> tuple[NodeId, ...]:
        """Pinned nodes that no edge of this weight touches."""
        graph = self.graph
        joined = {graph.box_of(node) for edge in self.every for node in edge.nodes}
        return tuple(node for each in graph.drawing.pinned if (node := NodeId(*each)) not in joined)

    @property
    def chosen_edge(self) -> WeightedEdge | None:
        edges = self.all
        return edges[self.chosen] if self.chosen < len(edges) else None

    @property
    def chosen_node(self) -> NodeId | None:
        edge = self.chosen_edge
        return None if edge is None else edge.nodes[self.end]

    @property
    def groups(self) -> tuple[tuple[str, NodeGroup], ...]:
        """The groups with their letters."""
        return tuple((group_letter(place), group) for place, group in enumerate(self.drawing.groups))

    def signs(self, node: NodeId) -> str:
        """Return all symbols of a node besides the circuit's frame: known or idle, pinned, its group's letter.

        Of a box: pinned; its name has the letter.
        """
        pinned = PINNED if node in map(tuple, self.graph.drawing.pinned) else ""
        if node in self.graph.groups:
            return pinned
        letter = next((letter for letter, group in self.groups if node in map(tuple, group.nodes)), "")
        return f"{self.sign(node)}{pinned}{letter}"

    def members(self, node: NodeId) -> frozenset[NodeId]:
        """Return the nodes of a box; of a single node, itself."""
        group = self.graph.groups.get(node)
        return frozenset([node] if group is None else (NodeId(*each) for each in group.nodes))

    def sign(self, head: NodeId) -> str:
        """Return whether a node is known, else whether it is idle."""
        view = self.state.view()
        if view is not None and head in view.known:
            return KNOWN
        return IDLE if head in self.idle else ""

    @property
    def idle(self) -> frozenset[NodeId]:
        """Heads with a measured effect near zero, except known ones."""
        run = self.state.shown
        if run is None:
            return frozenset()
        nodes, causes, found = self._idle
        if nodes is not run.picture.nodes or causes is not run.picture.causes:
            nodes, causes = run.picture.nodes, run.picture.causes
            found = idle_heads(nodes, causes)
            self._idle = nodes, causes, found
        view = self.state.view()
        return found if view is None else found - view.known

    @property
    def parallel(self) -> bool:
        """True if the model's MLPs do not read their layer's heads."""
        run = self.state.shown
        return run is not None and run.picture.model is not None and run.picture.model.parallel_mlps

    @property
    def noun(self) -> str:
        """What the ends of edges are: heads or nodes."""
        view = self.state.view()
        return "heads" if view is None else view.noun(2)

    def step(self, by: int) -> None:
        self.chosen = min(max(self.chosen + by, 0), max(len(self.all) - 1, 0))
        self.pan = (0, 0)

    def settle(self) -> None:
        """Keep the selection inside the list after it changed."""
        self.chosen = min(self.chosen, max(len(self.all) - 1, 0))

    def fold(self) -> bool:
        """Fold the selected node's group into one box, or unfold it; return False if it is in none."""
        node = self.chosen_node
        if node is None or group_of(self.drawing, node) is None:
            return False
        self.change(toggle_fold(self.drawing, node))
        box = self.graph.box_of(node)
        places = (place for place, edge in enumerate(self.all) if box in edge.nodes)
        self.chosen, self.end = next(places, 0), 0
        edge = self.chosen_edge
        if edge is not None and box in edge.nodes:
            self.end = edge.nodes.index(box)
        return True

    def toggle_pin(self, node: NodeId) -> None:
        """Pin a node or release it; a box is released with all of its members."""
        there = self.members(node).intersection(NodeId(*each) for each in self.drawing.pinned)
        drawing = self.drawing
        for each in there or {node}:
            drawing = toggle_pin(drawing, each)
        self.change(drawing)

    def cut(self, by: int) -> None:
        """Draw more or fewer edges."""
        n_edges = max(len(self.all), 1)
        most = min(max(min(self.drawing.most, n_edges) + by, 1), n_edges)
        self.change(msgspec.structs.replace(self.drawing, most=most))

    def weigh(self) -> bool:
        """Weigh the edges by the next of what was measured; return False if there is nothing else."""
        run = self.state.shown
        weights = () if run is None else measured_weights(run.picture)
        others = [weight for weight in weights if weight != self.drawing.weight]
        if not others:
            return False
        later = weights[weights.index(self.drawing.weight) + 1 :] if self.drawing.weight in weights else weights
        self.change(msgspec.structs.replace(self.drawing, weight=later[0] if later else weights[0]))
        self.chosen = 0
        return True
