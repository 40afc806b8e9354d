"""What a sweep is: sources of examples, settings, and one unit per run. Frozen values that are stored and sent."""

from collections.abc import Iterable

import msgspec

from engine.examples import Example
from engine.planning.run_options import RunOptions

MAX_UNITS = 100_000
"""Units of one sweep; more are a typing error."""

Labels = tuple[tuple[str, str], ...]
"""(axis, value) of a unit, in the order of the axes; the axis is named like its flag, without dashes."""


class ExampleSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the examples of units come from: a task that makes them, or a set that exists."""

    label: str
    """The task's name, or the file's."""
    task: str | None = None
    pairs: int = 0
    """Of a task; 0: as many as one head needs to be significant (engine.protocol.RunProbe)."""
    usable: bool = False
    """Of a task: only pairs that the model can do."""
    examples: tuple[Example, ...] = ()
    """The set; empty for a task, and in stored plans, whose session has them."""
    content_hash: str = ""
    """Of the set; empty for a task."""


class PlannedUnit(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a sweep, before it exists."""

    key: str
    """Of everything that decides its numbers (engine.sweeps.content_key).

    Units that are the same under two names share it, and share one run.
    """
    labels: Labels
    model: str
    """As a run names it; a checkpoint is named after an @."""
    source: int = 0
    """Index of its ExampleSource."""
    options: int = 0
    """Index of its RunOptions."""
    draw: int = 0
    """Seed of the task's examples."""


class SweepPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep: every unit with its labels, source and options."""

    name: str
    sources: tuple[ExampleSource, ...]
    options: tuple[RunOptions, ...]
    """All different; the model of a unit is its own, not that of its options."""
    units: tuple[PlannedUnit, ...]

    def options_of(self, unit: PlannedUnit) -> RunOptions:
        """Return the unit's options, its model included."""
        return msgspec.structs.replace(self.options[unit.options], model=unit.model)

    def source_of(self, unit: PlannedUnit) -> ExampleSource:
        return self.sources[unit.source]


def axes_of(units: "tuple[PlannedUnit, ...] | list[PlannedUnit]") -> dict[str, list[str]]:
    """Return the values of every axis in the order of their first unit, also of axes with one value."""
    return axes_of_labels(unit.labels for unit in units)


def axes_of_labels(labels: Iterable[Labels]) -> dict[str, list[str]]:
    """Return the values of every axis in the order in which they come."""
    axes: dict[str, list[str]] = {}
    for each in labels:
        for axis, value in each:
            values = axes.setdefault(axis, [])
            if value not in values:
                values.append(value)
    return axes
