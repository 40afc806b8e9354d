"""How many workers a machine takes: from the memory of each, the cores and the units."""

import msgspec

from engine.machine.memory import format_bytes

_SHARE = 0.9
"""Share of free memory that the workers of a pool may use together."""


class PoolSize(msgspec.Struct, frozen=True, kw_only=True):
    """A number of workers and what limits it."""

    workers: int
    why: str


def pool_size(
    *, peak_bytes: int | None, free_bytes: int | None, cores: int, units: int, wanted: int | None = None
) -> PoolSize:
    """Return how many workers to use: at least one, at most one a core and one a unit, and as many as fit in memory.

    `peak_bytes`: of one worker; None if it is unknown, and then there is one worker. `wanted` is taken as it is.
    """
    if wanted is not None:
        return PoolSize(workers=max(1, min(wanted, max(1, units))), why="as asked for")
    limits = {f"{cores} cores": cores, f"{units} units": units}
    if peak_bytes is None:
        limits["the memory of a worker is unknown"] = 1
    elif free_bytes is not None:
        words = f"{format_bytes(peak_bytes)} a worker of {format_bytes(free_bytes)} free"
        limits[words] = int(_SHARE * free_bytes // max(1, peak_bytes))
    why, number = min(limits.items(), key=lambda limit: limit[1])
    return PoolSize(workers=max(1, number), why=why)
