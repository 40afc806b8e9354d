"""What a list of runs says of each: counts, time, and what differs from the run before."""

from engine.planning.option_text import format_differences
from engine.planning.run_options import RunOptions
from engine.planning.time_estimate import format_seconds
from sessions.rows import ListedRun, RunRow


def format_counts(run: RunRow) -> str:
    """Format the examples that a run used: 11+11; - until that is known."""
    return "-" if run.n_positive is None or run.n_negative is None else f"{run.n_positive}+{run.n_negative}"


def format_seconds_of(run: RunRow) -> str:
    """Format how long a run took; - until it ended."""
    if run.started_us is None or run.ended_us is None:
        return "-"
    return format_seconds((run.ended_us - run.started_us) / 1e6)


def what_differs(listed: ListedRun) -> str:
    """Return what differs from the run before in its session; "first" for the first, empty for no difference."""
    return "first" if listed.before is None else _difference(listed.before, listed.run)


def _difference(before: RunRow, run: RunRow) -> str:
    options = format_differences(
        RunOptions(config=before.config, model=before.model), RunOptions(config=run.config, model=run.model)
    )
    hashes = before.examples_hash, run.examples_hash
    examples = "other examples" if None not in hashes and hashes[0] != hashes[1] else ""
    return ", ".join(part for part in (examples, options) if part)
