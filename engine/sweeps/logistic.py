"""Least-squares logistics in the logarithm of the step: midpoint, width and both levels.

Plain Python: clients of the store fit transitions, too.
"""

import itertools
import math
from collections.abc import Sequence
from operator import mul

import msgspec

TENTH_TO_NINE_TENTHS = 2 * math.log(9)
"""Length of the rise from 10 to 90 percent, in widths of the logistic."""
_MIDPOINTS, _WIDTHS, _REFINEMENTS = 60, 12, 40


class LogisticFit(msgspec.Struct, frozen=True):
    """One logistic in log steps and how well it fits."""

    middle: float
    width: float
    before: float
    after: float
    unexplained: float
    """Sum of squared errors."""
    errors: list[float]


class LogisticGrid:
    """Logistics over one set of log steps, made once for all curves over them."""

    def __init__(self, logs: Sequence[float]) -> None:
        self.logs = logs
        spans = [later - earlier for earlier, later in itertools.pairwise(logs)]
        self.first, self.last = logs[0], logs[-1]
        # From a rise that lies between two checkpoints to one that takes them all.
        self.narrowest = min(spans) / TENTH_TO_NINE_TENTHS
        self.widest = (self.last - self.first) / TENTH_TO_NINE_TENTHS
        ratio = (self.widest / self.narrowest) ** (1 / (_WIDTHS - 1))
        self.shapes = [
            (middle, width, *self._centred(middle, width))
            for width in (self.narrowest * ratio**place for place in range(_WIDTHS))
            for middle in (
                self.first + (self.last - self.first) * place / (_MIDPOINTS - 1) for place in range(_MIDPOINTS)
            )
        ]

    def fit(self, values: Sequence[float], near: LogisticFit | None = None) -> LogisticFit:
        """Return the least-squares logistic. `near`: start there as well as at the best of the grid."""
        middle, width, *_ = max(self.shapes, key=lambda shape: abs(sum(map(mul, shape[2], values))) / shape[3])
        best = self._solve(middle, width, values)
        if near is not None:
            best = min(best, self._solve(near.middle, near.width, values), key=lambda shape: shape.unexplained)
        damping = 1e-3
        for _ in range(_REFINEMENTS):
            move = self._newton(best, values, damping)
            found = None if move is None else self._solve(best.middle + move[0], best.width * math.exp(move[1]), values)
            if found is not None and found.unexplained < best.unexplained:
                done = best.unexplained - found.unexplained < 1e-10 * best.unexplained
                best, damping = found, damping / 4
                if done:
                    break
            elif damping > 1e4 or move is None:
                break
            else:
                damping *= 6
        return best

    def _newton(self, shape: LogisticFit, values: Sequence[float], damping: float) -> tuple[float, float] | None:
        """Return Levenberg and Marquardt's move of midpoint and log width; None where neither changes the errors."""
        h = 1e-5
        right = h if shape.middle + h < self.last else -h
        wider = h if shape.width * math.exp(h) < self.widest else -h
        shifted = self._solve(shape.middle + right, shape.width, values).errors
        widened = self._solve(shape.middle, shape.width * math.exp(wider), values).errors
        by_middle = [(there - here) / right for there, here in zip(shifted, shape.errors, strict=True)]
        by_width = [(there - here) / wider for there, here in zip(widened, shape.errors, strict=True)]
        mixed = sum(map(mul, by_middle, by_width))
        first, second = (
            (1 + damping) * sum(map(mul, by_middle, by_middle)),
            (1 + damping) * sum(map(mul, by_width, by_width)),
        )
        down, along = -sum(map(mul, by_middle, shape.errors)), -sum(map(mul, by_width, shape.errors))
        determinant = first * second - mixed * mixed
        if determinant <= 0:
            return None
        move = (down * second - along * mixed) / determinant, (along * first - down * mixed) / determinant
        limit = self.last - self.first
        return max(-limit, min(limit, move[0])), max(-2.0, min(2.0, move[1]))

    def _solve(self, middle: float, width: float, values: Sequence[float]) -> LogisticFit:
        """Return the logistic of that midpoint and width, kept within the checkpoints, with its best two levels."""
        middle = min(self.last, max(self.first, middle))
        width = min(self.widest, max(self.narrowest, width))
        centred, norm, mean_share = self._centred(middle, width)
        mean = math.fsum(values) / len(values)
        change = sum(map(mul, centred, values)) / (norm * norm)
        errors = [value - mean - change * share for value, share in zip(values, centred, strict=True)]
        before = mean - change * mean_share
        return LogisticFit(middle, width, before, before + change, math.fsum(map(mul, errors, errors)), errors)

    def _centred(self, middle: float, width: float) -> tuple[list[float], float, float]:
        """Return the shares of the change done at each step minus their mean, their norm, and that mean."""
        shares = [share_at(log, middle, width) for log in self.logs]
        mean = math.fsum(shares) / len(shares)
        centred = [share - mean for share in shares]
        return centred, math.sqrt(sum(map(mul, centred, centred))) or math.inf, mean


def share_at(log: float, middle: float, width: float) -> float:
    """Return the share of the change that is done at a log step."""
    z = (log - middle) / width
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


def step_at(log: float) -> float:
    """Return the step of a log step, ln(step + 1)."""
    return math.exp(log) - 1
