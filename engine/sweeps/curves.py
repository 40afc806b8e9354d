"""A measure along an axis of a sweep: one curve per node, or per combination of the other axes; draws are averaged."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from engine.catalog.checkpoint_folders import step_of
from engine.errors import ConfigError
from engine.sweeps.plan import Labels
from engine.sweeps.series import DRAW

MOST_CURVES = 8
_AVERAGED = (DRAW, "seeds")
_LOG_FROM = 100
"""Ratio of the largest to the smallest value on the axis from which a logarithm shows more."""


class AxisCurve(msgspec.Struct, frozen=True, kw_only=True):
    """One curve of a chart."""

    name: str
    values: tuple[float | None, ...]
    """A value per place on the axis, the mean over draws; None: not measured."""
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    """Smallest and largest draw."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Curves over the values of an axis."""

    title: str
    axis: str
    labels: tuple[str, ...]
    """The values of the axis as text."""
    places: tuple[float, ...]
    """Where they are, from 0 to 1: numbers by size, or by the logarithm of the number + 1 if they span much."""
    curves: tuple[AxisCurve, ...]
    left_out: int = 0
    """Curves left out: so many could not be told apart."""


def chart_along(
    title: str, axis: str, values: Sequence[str], points: Sequence[tuple[Labels, Mapping[str, float | None]]]
) -> Chart:
    """Return the chart of the points, each with a unit's labels and its values by curve name.

    Several values per point (nodes) are a curve each; other axes that vary make further curves. Raises ConfigError for
    an axis that no unit has.
    """
    if not any(axis == name for labels, _ in points for name, _ in labels):
        known = dict.fromkeys(name for labels, _ in points for name, _ in labels)
        raise ConfigError(f"This sweep has no axis {axis!r}.", hint=f"Axes: {', '.join(known) or 'none'}.")
    same = set(points[0][0]).intersection(*(labels for labels, _ in points))
    found: dict[str, dict[str, list[float]]] = {}
    for labels, each in points:
        own = dict(labels)
        others = [f"{name} {value}" for name, value in labels if name not in (axis, *_AVERAGED)]
        others = [text for text, pair in zip(others, _rest(labels, axis), strict=True) if pair not in same]
        for name, value in each.items():
            curve = ", ".join([*([name] if name else []), *others])
            if value is not None and math.isfinite(value) and axis in own:
                found.setdefault(curve, {}).setdefault(own[axis], []).append(value)
            else:
                found.setdefault(curve, {})
    curves = [
        AxisCurve(
            name=name,
            values=tuple(math.fsum(of[value]) / len(of[value]) if of.get(value) else None for value in values),
            low=tuple(min(of[value]) if of.get(value) else None for value in values),
            high=tuple(max(of[value]) if of.get(value) else None for value in values),
        )
        for name, of in found.items()
    ]
    return Chart(
        title=title,
        axis=axis,
        labels=tuple(values),
        places=_places(values),
        curves=tuple(curves[:MOST_CURVES]),
        left_out=max(0, len(curves) - MOST_CURVES),
    )


def _rest(labels: Labels, axis: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in labels if name not in (axis, *_AVERAGED)]


def _places(values: Sequence[str]) -> tuple[float, ...]:
    numbers = [_number(value) for value in values]
    known = [number for number in numbers if number is not None and number >= 0]
    if len(known) < len(values) or len(set(known)) < 2:
        last = max(len(values) - 1, 1)
        return tuple(place / last for place in range(len(values)))
    positive = [number for number in known if number > 0]
    far = len(positive) > 1 and max(positive) > _LOG_FROM * min(positive)
    logs = [math.log1p(number) for number in known] if far else known
    low, high = min(logs), max(logs)
    return tuple((log - low) / (high - low) for log in logs)


def _number(value: str) -> float | None:
    try:
        found = float(value)
    except ValueError:
        step = step_of(value)
        found = math.nan if step is None else float(step)
    return found if math.isfinite(found) else None
