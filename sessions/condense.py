"""What a log can do without at one moment. No database in here: the screen condenses too."""

from collections.abc import Iterable, Sequence

from sessions.events import LogEntry

_JUDGED = ("cause_scored", "circuit_checked")
"""What a run's card is written anew from, together with the scores there are then."""
WEIGHED = ("stage_started", "stage_progress", "scored", "edges_scored", "run_queued", *_JUDGED)
"""The kinds that `superseded` must be told of; all others stay."""


def superseded(index: Iterable[tuple[int, str | None, str]]) -> list[int]:
    """The entries, of (seq, run, kind) in the order of a log, that later ones of it replace wholly.

    Leaving them out and folding the rest gives the same picture: scores replace scores, progress replaces progress.
    """
    dropped: list[int] = []
    later: set[tuple[str | None, str]] = set()
    for seq, run, kind in sorted(index, reverse=True):
        if kind == "run_queued":
            # The cursor waits on the best head of the newest run: the last scores before another run still place it.
            later = {key for key in later if key[1] != "scored"}
            continue
        if kind not in WEIGHED:
            continue
        if kind in _JUDGED:
            later.discard((run, "scored"))
            continue
        if (run, kind) in later:
            dropped.append(seq)
        later.add((run, kind))
        if kind == "stage_started":
            later.add((run, "stage_progress"))
    return dropped


def condensed(entries: Sequence[LogEntry]) -> list[LogEntry]:
    """The entries without those that later ones among them replace."""
    index = ((entry.seq, entry.run_id, str(entry.event.__struct_config__.tag)) for entry in entries)
    dropped = set(superseded(index))
    return [entry for entry in entries if entry.seq not in dropped]
