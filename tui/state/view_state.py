"""How a grid is viewed: measure, cut, cursor, overlay and subtraction."""

from collections.abc import Sequence

from engine.analysis.effects import FIELD
from engine.analysis.ranking import can_enter
from engine.measures import DEFAULT_MEASURE, MEASURES, Measure, find_measure, value_of
from engine.nodes import NodeId
from engine.results import ModelInfo, NodeScores
from sessions.events import DrawingChanged, ViewChanged
from tui.actions.key_labels import KeyLabel, key_label
from tui.state.grid_places import GridPlaces, places_of
from tui.state.grid_view import GridView, make_grid_view
from tui.state.marked_heads import MarkedHeads
from tui.state.overlay import Overlay
from tui.state.run import SessionRun
from tui.state.session_state import SessionState
from tui.state.subtraction import GridDifference, Subtraction

_VIEWS = 4
"""Number of measures whose views are cached; each takes a megabyte for a large grid."""


class ViewState:
    """The viewer's part of the state, which keys change and the log does not."""

    session: SessionState

    def __init__(self) -> None:
        self.key: KeyLabel = key_label
        """Returns the name of an action's key here; the screen knows the user's own keys."""
        self.measure: Measure = DEFAULT_MEASURE
        self.cursor = NodeId(0, 0)
        self._column = 0
        """The column to which the cursor returns from the embedding's row, which has only one cell."""
        self.cursor_moved = False
        """Until the user moves it, the cursor stays on the best head of the run."""
        self.overlay = Overlay()
        self.subtraction = Subtraction()
        self.marks = MarkedHeads()
        self.signs = False
        """Whether cells show signs for q-values and for agreement of seeds."""
        self.n_looks_made = 0
        """How often the user changed measure or cut on this screen."""
        self._expected_effects: tuple[str, Measure] | None = None
        """The run whose effects were requested on this screen, and the measure shown then."""
        self._cuts: dict[str, int] = {}
        self._own_looks: dict[str, Measure] = {}
        self.own_drawings: dict[str, DrawingChanged] = {}
        """Drawings changed here that the log does not have yet, by run."""
        """Runs whose measure or cut the user changed on this screen; recorded views of other screens do not apply to
        them."""
        self._view: GridView | None = None
        self._views: dict[str, GridView] = {}
        """Views of the same scores, by measure."""
        self._offered: tuple[Sequence[NodeScores], tuple[Measure, ...]] = ((), ())
        self._places: tuple[Sequence[NodeScores], GridPlaces] = ((), GridPlaces())

    @property
    def shown(self) -> SessionRun | None:
        """The run that is shown."""
        raise NotImplementedError

    @property
    def model_info(self) -> ModelInfo | None:
        """The model, if known before the first scores."""
        raise NotImplementedError

    def view(self) -> GridView | None:
        """Return the grid under the chosen measure and cut; None while nothing is scored."""
        run = self.shown
        if run is None or not run.picture.nodes:
            return None
        self._view = self._look(run, self.measure)
        return self._view

    def _look(self, run: SessionRun, measure: Measure) -> GridView:
        nodes = run.picture.nodes
        if self._views and next(iter(self._views.values())).nodes is not nodes:
            self._views.clear()
        made = make_grid_view(
            nodes,
            measure=measure,
            cut=self.cut_of(run),
            reference=self.overlay.reference(run.picture, self.session.circuits, self.places()),
            final=run.picture.nodes_final,
            before=self._views.get(measure.id, self._view),
        )
        if len(self._views) >= _VIEWS:
            self._views.pop(next(iter(self._views)))
        self._views[measure.id] = made
        return made

    def next_view(self) -> GridView | None:
        """Prepare the view under the next measure, so that the key for it responds at once."""
        run = self.shown
        final = run is not None and run.picture.nodes_final
        return self._look(run, self._measure_after(1)) if run is not None and final else None

    def against(self) -> GridDifference | None:
        """Return the shown grid minus what is subtracted; None if nothing is."""
        return self.subtraction.of(self.view()) if self.subtraction.side is not None else None

    def cut_of(self, run: SessionRun) -> int | None:
        """Return the circuit size of the run on this screen; None: the default for its shape."""
        return self._cuts.get(run.run_id, run.config.circuit_size)

    def shape(self) -> tuple[int, int] | None:
        """Return layers and heads of the grid; None until the model is known."""
        places = self.places()
        return (places.n_layers, places.n_heads) if places is not None else None

    def places(self) -> GridPlaces | None:
        """Return the places of the grid's nodes; None until the model is known."""
        run = self.shown
        if run is not None and run.picture.nodes:
            nodes = run.picture.nodes
            if self._places[0] is not nodes:
                # Requested at every key; a large grid has five thousand nodes.
                self._places = (nodes, places_of(nodes))
            return self._places[1]
        info = self.model_info
        if info is None:
            return None
        return GridPlaces(info.n_layers, info.n_heads, run is not None and run.config.nodes == "all")

    # ---- what the keys change

    def move_cursor(self, layers: int, heads: int) -> bool:
        """Move the cursor, stopping at the edges; return whether it moved.

        Right of the last head is the layer's MLP; above layer 0 is the embedding, from which the way down leads back
        to the column one came from.
        """
        places = self.places()
        if places is None:
            return False
        row, column = places.place(self.cursor)
        if self.cursor.kind == "embedding":
            column, heads = self._column, 0
        return self.put_cursor(*places.node(row + layers, column + heads))

    def put_cursor(self, layer: int, head: int) -> bool:
        """Move the cursor to a node, or to the nearest one of the grid; return whether it moved."""
        places = self.places()
        if places is None:
            return False
        place = NodeId(layer, head)
        if place not in places:
            place = NodeId(min(max(layer, 0), places.n_layers - 1), min(max(head, 0), places.n_heads - 1))
        self.cursor_moved = True
        moved = place != self.cursor
        self.cursor = place
        if place.kind != "embedding":
            self._column = places.place(place)[1]
        return moved

    @property
    def marked(self) -> frozenset[NodeId]:
        """The marked heads that the grid has."""
        self.marks.fit(self.places())
        return self.marks.heads

    def mark_box(self, layers: int, heads: int) -> bool:
        """Move the cursor and mark the box up to it; the first step begins the box."""
        begin, places = self.cursor, self.places()
        moved = self.move_cursor(layers, heads)
        if places is not None:
            self.marks.box_to(self.cursor, begin=begin, places=places)
        return moved

    def walk_ranking(self, by: int) -> bool:
        """Move the cursor `by` places down the ranking."""
        view = self.view()
        if view is None:
            return False
        listed = self.against() or view
        rank = listed.rank.get(self.cursor, 0)
        return self.put_cursor(*listed.order[min(max(rank - 1 + by, 0), len(listed.order) - 1)])

    def measures(self) -> tuple[Measure, ...]:
        """Return the measures available for the shown run: effects only if they were measured."""
        nodes = self.shown.picture.nodes if self.shown is not None else ()
        if not self._offered[1] or self._offered[0] is not nodes:
            there = (
                each
                for each in MEASURES
                if not each.of_answer or any(value_of(node, each) is not None for node in nodes)
            )
            self._offered = (nodes, tuple(there))
        return self._offered[1]

    def cycle_measure(self, by: int) -> None:
        self.pick_measure(self._measure_after(by))

    def _measure_after(self, by: int) -> Measure:
        offered = self.measures()
        place = offered.index(self.measure) if self.measure in offered else 0
        return offered[(place + by) % len(offered)]

    def pick_measure(self, measure: Measure) -> None:
        self.measure = measure
        self._mark_look_as_own()

    def expect_effects(self) -> None:
        """Show the effects requested now as soon as they are there."""
        if self.shown is not None:
            self._expected_effects = (self.shown.run_id, self.measure)

    def _show_expected_effects(self, run: SessionRun) -> None:
        """Switch to the measure of the expected effects, unless the user has changed the view meanwhile."""
        due, self._expected_effects = self._expected_effects, None
        causes = [cause for cause in run.picture.causes if cause.final and cause.method in FIELD]
        if due == (run.run_id, self.measure) and run is self.shown and causes:
            self.pick_measure(find_measure(FIELD[causes[-1].method]))

    def move_cut(self, by: int) -> bool:
        """Change the number of heads in the circuit, on a large grid by a hundredth of it."""
        run, view = self.shown, self.view()
        if run is None or view is None:
            return False
        # From the heads in sight: a cut beyond the last head with a signal would leave the opposite key without effect.
        return self.put_cut(len(view.circuit) + by * max(1, len(view.order) // 100))

    def put_cut(self, size: int) -> bool:
        """Set the number of heads in the circuit."""
        run, view = self.shown, self.view()
        if run is None or view is None:
            return False
        if size > len(view.circuit):
            size = min(size, sum(can_enter(node, view.measure) for node in view.nodes))
            if size <= len(view.circuit):
                return False  # every node with a signal is in it
        size = max(size, 1)
        self._cuts[run.run_id] = size
        self._mark_look_as_own()
        return size != view.cut

    @property
    def drawing(self) -> DrawingChanged:
        """How the edges of the shown run are drawn: as changed here, else as recorded."""
        run = self.shown
        if run is None:
            return DrawingChanged()
        return self.own_drawings.get(run.run_id, run.drawing)

    def change_drawing(self, drawing: DrawingChanged) -> bool:
        """Draw the edges of the shown run in another way; return False if nothing changes."""
        if self.shown is None or drawing == self.drawing:
            return False
        self.own_drawings[self.shown.run_id] = drawing
        return True

    def current_look(self) -> ViewChanged | None:
        """Return the current view of the shown run as an event; None while nothing is scored."""
        view = self.view()
        return ViewChanged(measure=self.measure.id, cut=view.cut) if view is not None else None

    def _mark_look_as_own(self) -> None:
        self.n_looks_made += 1
        if self.shown is not None:
            self._own_looks[self.shown.run_id] = self.measure
