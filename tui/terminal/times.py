"""Times as every face writes them: by the local clock, with its zone named. JSON and SQL have UTC (microseconds)."""

from datetime import datetime


def moment(us: int) -> str:
    """Format a time of the store with its day: 2026-11-29 20:05:23 CET."""
    return f"{_local(us):%Y-%m-%d %H:%M:%S %Z}"


def day(us: int) -> str:
    """Format the day alone: 2026-11-29."""
    return f"{_local(us):%Y-%m-%d}"


def clock(us: int) -> str:
    """Format the hour alone, where the day goes without saying: 20:05:23 CET."""
    return f"{_local(us):%H:%M:%S %Z}"


def day_clock(us: int) -> str:
    """Format the hour with a short day, for what lasts longer than one: 29 Nov 20:05:23 CET."""
    return f"{_local(us):%d %b %H:%M:%S %Z}"


def day_or_clock(us: int) -> str:
    """Format the hour of what happened today, else the day, for a narrow column that names the `zone` above."""
    then, now = _local(us), datetime.now().astimezone()
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d}"


def zone() -> str:
    """Return the name of the local zone as it is now: CET."""
    return f"{datetime.now().astimezone():%Z}"


def _local(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6).astimezone()
