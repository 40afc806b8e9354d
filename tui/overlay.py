"""Which circuit lies over the grid: the run's known one, a kept one, or none. No widget in here."""

from collections.abc import Mapping

from engine.results import Reference
from tui.kept import Circuit

KNOWN = "known"
"""The run's own known circuit, as far as there is one; a kept circuit of that name is `kept:known`."""
NONE = "none"


class Overlay:
    """What `o` cycles through. Keeps what it makes, so that a view can see that nothing has changed."""

    def __init__(self) -> None:
        self.chosen = KNOWN
        self._made: dict[str, tuple[Circuit, Reference]] = {}

    def choose(self, name: str) -> None:
        """A kept circuit by its name."""
        self.chosen = f"kept:{name}"

    def cycle(self, known: Reference | None, circuits: Mapping[str, Circuit]) -> None:
        """The next of: the known circuit, each kept one, none."""
        there = [*([KNOWN] if known is not None else []), *(f"kept:{name}" for name in circuits), NONE]
        now = self.chosen if self.chosen in there else NONE
        self.chosen = there[(there.index(now) + 1) % len(there)]

    def reference(
        self, known: Reference | None, circuits: Mapping[str, Circuit], shape: tuple[int, int] | None
    ) -> Reference | None:
        """The circuit that lies over a grid of that shape; None where none does. One that was dropped lies nowhere."""
        if self.chosen == KNOWN:
            return known
        circuit = circuits.get(self.chosen.removeprefix("kept:")) if self.chosen != NONE else None
        if circuit is None or shape is None:
            return None
        if any(layer >= shape[0] or head >= shape[1] for layer, head in circuit.heads):
            return None  # a circuit of another model
        made = self._made.get(circuit.name)
        if made is None or made[0] is not circuit:
            made = (circuit, Reference(name=circuit.name, source=circuit.source, heads=circuit.heads))
            self._made[circuit.name] = made
        return made[1]
