"""Ask the host for the births of a sweep."""

from engine.errors import ConfigError
from sessions.protocol import GetBirths, SweepBirths
from tui.headless.host_request import with_host


def fetch_births(sweep: str, measure: str) -> SweepBirths:
    """Return the births. Raises ConfigError for a sweep without checkpoints, and the host's refusals."""
    found = with_host(lambda client: client.ask(GetBirths(sweep=sweep, measure=measure), SweepBirths))
    if not found.tables:
        raise ConfigError(
            f"{found.sweep.name} has no finished run at a checkpoint with a step.",
            hint="headcode sweep --task addition --model adder --checkpoint all --draws 3",
        )
    return found
