"""The circuit drawn over the grid: the run's reference, its task's known circuit, a saved one, or none."""

from collections.abc import Mapping

from engine.analysis.ground_truth import as_chosen
from engine.analysis.run_state import RunSnapshot
from engine.results import Reference
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
        self, picture: RunSnapshot, circuits: Mapping[str, SavedCircuit], shape: tuple[int, int] | None
    ) -> Reference | None:
        """Return the selected circuit for a grid of that shape, or None. A deleted circuit gives None."""
        if self.chosen == KNOWN:
            return picture.reference
        if self.chosen == TASK:
            return self._of_task(picture)
        circuit = circuits.get(self.chosen.removeprefix("kept:")) if self.chosen != NONE else None
        if circuit is None or shape is None:
            return None
        if any(layer >= shape[0] or head >= shape[1] for layer, head in circuit.heads):
            return None  # a circuit of a model with another shape
        made = self._made.get(circuit.name)
        if made is None or made[0] is not circuit:
            made = (circuit, Reference(name=circuit.name, source=circuit.source, heads=circuit.heads, kind="chosen"))
            self._made[circuit.name] = made
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
