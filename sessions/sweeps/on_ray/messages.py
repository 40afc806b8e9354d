"""Messages between the host and the Ray driver, one line of JSON each; reports of units are those of the executor."""

import msgspec

from sessions.sweeps.executor import AnyReport, Pack, UnitLogged


class DriverPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver needs to know at its start: the first line that it reads."""

    folder: str
    """Where it puts the files of finished units."""
    models: str
    """The host's folder of fetched models."""
    address: str = ""
    """Of the cluster. Empty: RAY_ADDRESS, a cluster of this machine, or a new one; `local`: a new one here."""
    workers: int = 0
    """The most actors; 0: as many as there is room for."""
    peak_bytes: int | None = None
    """Most memory of a worker, by the memory plan; None: unknown."""
    connect_s: float = 60.0
    """Seconds to connect, or to start a cluster: Ray itself tries for 14 minutes where nothing listens."""
    device: str = "auto"
    """As the units ask for it: cpu takes no share of a GPU."""
    devices: int = 0
    """GPUs that a unit's model is split over; 0: as the memory plan says."""


class SubmitPacks(msgspec.Struct, frozen=True, tag="submit", tag_field="say"):
    """Run these units, too."""

    packs: tuple[Pack, ...]


class CancelUnits(msgspec.Struct, frozen=True, tag="cancel", tag_field="say"):
    """Stop these units."""

    run_ids: tuple[str, ...]


AnyOrder = SubmitPacks | CancelUnits
"""What the host says. The end of its lines means: stop everything and exit."""


class DriverReady(msgspec.Struct, frozen=True, tag="ready", tag_field="report"):
    """The driver is connected."""

    address: str


class DriverTrouble(msgspec.Struct, frozen=True, tag="trouble", tag_field="report"):
    """The driver cannot work at all, and exits."""

    message: str
    hint: str


AnyWord = AnyReport | DriverReady | DriverTrouble
"""What the driver says."""


class UnitEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor returns for a unit, beside the bytes of its bundle."""

    report: AnyReport
    """UnitDone or UnitFailed."""
    logged: tuple[UnitLogged, ...] = ()
