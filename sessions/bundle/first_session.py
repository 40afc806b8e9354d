"""Adopt the recorded session that comes with Headcode into a store that never had a session."""

from pathlib import Path

from sessions.bundle.import_bundle import CheckedBundle, import_into_store
from sessions.store.database import Store
from sessions.store.recorder import RecordedEntry, Recorder

RECORDING = Path(__file__).parents[1] / "assets" / "first-session.headcode"
"""Made by sessions.asset_tools.record_first_session."""
SESSION_NAME = "first light"
_MARK = "first_session"
"""Key in the store's metadata: set once the session was adopted, so that it does not come back after its deletion."""


def is_untouched(store: Store) -> bool:
    """Return whether the store has no session, not even in the trash, and never adopted the recorded one."""
    return not store.rows(
        "SELECT 1 FROM session UNION ALL SELECT 1 FROM meta WHERE key = $mark LIMIT 1", {"mark": _MARK}
    )


def adopt(recorder: Recorder, bundle: CheckedBundle, sae: Path) -> tuple[bool, list[RecordedEntry]]:
    """Import the recorded session if the store is still untouched; return whether it was.

    It gets ids of its own: sessions that begin with this recording are then as different on two machines as any others
    and can be exchanged. Raises StoreError. `sae`: the folder for SAE weights.
    """
    if not is_untouched(recorder.store):
        return False, []
    _, recorded = import_into_store(recorder, bundle, name=None, as_copy=True, sae=sae)
    # A kill before this line leaves the session without its mark: it could come back after its permanent deletion.
    with recorder.store.transaction() as con:
        con.execute("INSERT OR REPLACE INTO meta VALUES ($mark, $version)", {"mark": _MARK, "version": bundle.sha256})
    return True, recorded
