"""Lists of runs over sessions."""

from sessions.rows import ListedRun
from sessions.store.database import Store
from sessions.store.queries import run_rows

MAX_RUNS = 10_000
"""Of one answer: with the runs before them some 30 MB, half of what a message may have."""


def recent_runs(
    store: Store, *, session_id: str | None = None, tag: str | None = None, limit: int, with_before: bool = False
) -> list[ListedRun]:
    """Return runs of one session, or of all outside the trash, the newest first; the id breaks ties.

    `with_before`: with the run before each in its session.
    """
    where = "trashed_us IS NULL" if session_id is None else "session.session_id = $session"
    values: dict[str, object] = {"limit": max(0, min(limit, MAX_RUNS))}
    values |= {} if session_id is None else {"session": session_id}
    if tag is not None:
        where += " AND list_contains(CAST(coalesce(run.tags, '[]') AS VARCHAR[]), $tag)"
        values["tag"] = tag
    listed = store.rows(
        "SELECT run.run_id, session.name, before.run_id FROM run "  # noqa: S608  # conditions of our own
        "JOIN session ON session.session_id = run.session_id "
        "LEFT JOIN run AS before ON before.session_id = run.session_id AND before.number = run.number - 1 "
        f"WHERE {where} ORDER BY run.queued_us DESC, run.run_id DESC LIMIT $limit",
        values,
    )
    ids = {str(run_id) for run_id, _, _ in listed}
    if with_before:
        ids |= {str(before) for _, _, before in listed if before is not None}
    runs = run_rows(store, sorted(ids))
    return [
        ListedRun(run=runs[run_id], session=name, before=runs.get(before) if with_before else None)
        for run_id, name, before in listed
    ]
