"""Find the log entries that later ones replace. No database here: the screen uses this too."""

from collections.abc import Iterable, Sequence

from sessions.events import LogEntry

_JUDGED = ("cause_scored", "circuit_checked")
"""Kinds that update a run's report, together with the scores at that moment."""
_VERIFICATIONS = ("verify_asked", "verify_ended")
WEIGHED = (
    *("stage_started", "stage_progress", "scored", "edges_scored", "run_queued", "verify_progress", "drawing_changed"),
    *_JUDGED,
    *_VERIFICATIONS,
)
"""The kinds that `superseded` has to see; entries of other kinds always stay."""


def superseded(index: Iterable[tuple[int, str | None, str]]) -> list[int]:
    """Return the entries, given as (seq, run, kind) in log order, that later ones replace completely.

    Folding the log without them gives the same state: scores replace scores, progress replaces progress.
    """
    dropped: list[int] = []
    later: set[tuple[str | None, str]] = set()
    for seq, run, kind in sorted(index, reverse=True):
        if kind == "run_queued":
            # The cursor is placed on the best head of the newest run, so the last scores before another run still
            # matter.
            later = {key for key in later if key[1] != "scored"}
            continue
        if kind not in WEIGHED:
            continue
        if kind in _VERIFICATIONS:
            later.add((run, "verify_progress"))
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
    """Return the entries without those that later ones among them replace."""
    index = ((entry.seq, entry.run_id, str(entry.event.__struct_config__.tag)) for entry in entries)
    dropped = set(superseded(index))
    return [entry for entry in entries if entry.seq not in dropped]
