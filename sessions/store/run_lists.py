"""Lists of runs over sessions."""

from sessions.rows import ListedRun
from sessions.store.database import Store
from sessions.store.queries import run_rows


def recent_runs(store: Store, *, session_id: str | None = None, tag: str | None = None, limit: int) -> list[ListedRun]:
    """Return runs of one session, or of all outside the trash, the newest first; the id breaks ties."""
    where = "trashed_us IS NULL" if session_id is None else "session.session_id = $session"
    values: dict[str, object] = {"limit": max(0, min(limit, 100_000))}
    values |= {} if session_id is None else {"session": session_id}
    if tag is not None:
        where += " AND list_contains(CAST(coalesce(tags, '[]') AS VARCHAR[]), $tag)"
        values["tag"] = tag
    listed = store.rows(
        "SELECT run_id, session.name FROM run JOIN session ON session.session_id = run.session_id "  # noqa: S608
        f"WHERE {where} ORDER BY queued_us DESC, run_id DESC LIMIT $limit",
        values,
    )
    runs = run_rows(store, [run_id for run_id, _ in listed])
    return [ListedRun(run=runs[run_id], session=name) for run_id, name in listed]
