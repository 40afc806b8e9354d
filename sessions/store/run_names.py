"""Names of runs: one per run of a session, and how a run is found by it."""

from collections.abc import Callable

from sessions.errors import NoSuchRecord
from sessions.store.database import Store

_LISTED = 5


def run_by_name(store: Store, reference: str, find_session: Callable[[Store, str], str]) -> str | None:
    """Return the run called SESSION/NAME or NAME; None if there is none.

    Raises NoSuchRecord if runs of several sessions outside the trash have that name.
    """
    rows = store.rows(
        "SELECT r.run_id, r.session_id, s.name FROM run AS r JOIN session AS s ON s.session_id = r.session_id "
        "WHERE s.trashed_us IS NULL AND r.name IS NOT NULL AND (r.name = $it OR r.name = $last) "
        "ORDER BY r.queued_us DESC, r.run_id DESC",
        {"it": reference, "last": reference.rpartition("/")[2]},
    )
    if not rows:
        return None
    session, slash, _ = reference.rpartition("/")
    if slash:
        session_id = find_session(store, session)
        return next((str(run) for run, owner, _ in rows if owner == session_id), None)
    if len(rows) > 1:
        listed = ", ".join(f"{name}/{reference}" for _, _, name in rows[:_LISTED])
        raise NoSuchRecord(f"Runs of {len(rows)} sessions are called {reference!r}.", hint=f"Say which: {listed}.")
    return str(rows[0][0])


def run_with_name(store: Store, session_id: str, name: str) -> str | None:
    """Return the run of the session that has this name; None if there is none."""
    row = store.one(
        "SELECT run_id FROM run WHERE session_id = $session AND name = $name", {"session": session_id, "name": name}
    )
    return None if row is None else str(row[0])
