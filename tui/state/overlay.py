"""The circuit drawn over the grid: the run's reference, its task's known circuit, a saved one, or none."""

from collections.abc import Mapping

from engine.analysis.ground_truth import as_chosen
from engine.analysis.run_state import RunSnapshot
from engine.nodes import NodeId, format_count
from engine.results import Reference
from tui.state.grid_places import GridPlaces
from tui.state.session_state import SavedCircuit

KNOWN = "known"
"""The run's reference: effects measured in it, else the known circuit if it applies. A saved circuit of that name is
`kept:known`."""
TASK = "task"
"""The known circuit of the run's task, if the run has another reference or none."""
NONE = "none"


class Overlay:
    """The selection that `o` cycles through. Caches references, so that a view can see that nothing changed."""

    def __init__(self) -> None:
        self.chosen = KNOWN
        self._made: dict[str, tuple[object, Reference]] = {}

    def choose(self, name: str) -> None:
        """Select a saved circuit by name."""
        self.chosen = f"kept:{name}"

    def there(self, picture: RunSnapshot, circuits: Mapping[str, SavedCircuit]) -> list[str]:
        """Return the circuits available for the run's grid, in the order of the key."""
        own = [KNOWN] if picture.reference is not None else []
        task = [TASK] if picture.offered is not None and picture.offered is not picture.reference else []
        return [*own, *task, *(f"kept:{name}" for name in circuits)]

    def cycle(self, picture: RunSnapshot, circuits: Mapping[str, SavedCircuit]) -> None:
        """Select the next available circuit; after the last one, none."""
        there = [*self.there(picture, circuits), NONE]
        now = self.chosen if self.chosen in there else NONE
        self.chosen = there[(there.index(now) + 1) % len(there)]

    def reference(
        self, picture: RunSnapshot, circuits: Mapping[str, SavedCircuit], places: GridPlaces | None
    ) -> Reference | None:
        """Return the selected circuit for a grid with these nodes, or None. A deleted circuit gives None.

        Over heads alone, a circuit is drawn without its MLPs; its source says so.
        """
        if self.chosen == KNOWN:
            return picture.reference
        if self.chosen == TASK:
            return self._of_task(picture)
        circuit = circuits.get(self.chosen.removeprefix("kept:")) if self.chosen != NONE else None
        if circuit is None or places is None:
            return None
        key = f"{circuit.name}:{places.n_layers}:{places.n_heads}:{places.others}"
        made = self._made.get(key)
        if made is None or made[0] is not circuit:
            nodes = [NodeId(*node) for node in circuit.heads]
            if any(node.layer >= places.n_layers or node.head >= places.n_heads for node in nodes):
                return None  # a circuit of a model with another shape
            here = tuple(node for node in nodes if node in places)
            missing = [node for node in nodes if node not in places]
            without = f"; without {format_count(missing)}: this run has heads alone" if missing else ""
            made = (
                circuit,
                Reference(
                    name=circuit.name,
                    source=circuit.source + without,
                    heads=here,
                    kind="chosen",
                    covers="all" if any(not node.is_head for node in here) else "heads",
                ),
            )
            self._made[key] = made
        return made[1]

    def _of_task(self, picture: RunSnapshot) -> Reference | None:
        """Return the task's known circuit; for other examples than the task's it is marked as chosen."""
        offered = picture.offered
        if offered is None or picture.known is not None:
            return offered
        made = self._made.get("task:")
        if made is None or made[0] is not offered:
            made = self._made["task:"] = (offered, as_chosen(offered))
        return made[1]
