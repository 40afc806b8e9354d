"""What the host answers to those who name, tag, note, search, delete and restore sessions."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine.errors import HeadcodeError
from sessions.edits import garbage, metadata
from sessions.edits.trash import (
    SETTLED_S,
    nothing_in,
    old_trash,
    orphans,
    remove_files,
    remove_for_good,
    trash_bytes,
    whole_trash,
)
from sessions.handlers.context import Answer, Means
from sessions.handlers.freeing import freeing
from sessions.protocol import (
    AnyAnswer,
    AskSql,
    ChangeTags,
    CollectGarbage,
    DiscardSession,
    Emptied,
    EmptyTrash,
    Found,
    Garbage,
    Note,
    RemoveNote,
    RenameSession,
    RestoreSession,
    SearchSessions,
    Session,
    Table,
    TrashSession,
    WriteNote,
)
from sessions.rows import Pile, SessionRow, SqlTable
from sessions.store import sql_console
from sessions.store.database import Store
from sessions.store.group_commit import Kind
from sessions.store.queries import living_session
from sessions.store.recorder import Recorded, Recorder
from sessions.store.search import search_sessions

log = logging.getLogger("headcode.keep")

_DAY_S = 86_400
_SQL_THREADS = ThreadPoolExecutor(2, thread_name_prefix="sql")
"""Of their own: many long queries must not take the threads in which runs put their files away."""

T = TypeVar("T")
Work = Callable[[Recorder, Any], tuple[T, list[Recorded]]]


def _session(work: Work[SessionRow]) -> Callable[[Means, Any], Awaitable[AnyAnswer]]:
    async def answer(host: Means, request: object) -> Session:
        return Session(session=await host.ledger.change(lambda recorder: work(recorder, request)))

    return answer


def _note(work: Work[metadata.Noted], kind: Kind | None = None) -> Callable[[Means, Any], Awaitable[AnyAnswer]]:
    async def answer(host: Means, request: object) -> Note:
        note, session = await host.ledger.change(lambda recorder: work(recorder, request), kind=kind, request=request)
        return Note(note=note, session=session)

    return answer


async def search(host: Means, request: SearchSessions) -> Found:
    found = await host.ledger.read(lambda store: search_sessions(store, request.text, limit=request.limit))
    return Found(hits=tuple(found))


async def empty_trash(host: Means, request: EmptyTrash) -> Emptied:
    return await empty(host, lambda store: whole_trash(store, request.sessions))


async def discard(host: Means, request: DiscardSession) -> Emptied:
    """Removes the session if nothing came of it. Raises NoSuchRecord."""

    def choose(store: Store) -> list[str]:
        session_id = living_session(store, request.session)
        return [session_id] if nothing_in(store, session_id) else []

    return await empty(host, choose)


async def empty(host: Means, choose: Callable[[Store], list[str]]) -> Emptied:
    """Removes the chosen sessions of the trash for good, then the files that were theirs alone."""
    weights = host.places.data / "sae"
    removed = await host.ledger.change(
        lambda recorder: remove_for_good(recorder, choose(recorder.store), weights), alone=True
    )
    # A run that ends just now may have left the same weights again, and will name them in a moment.
    settled = SETTLED_S if host.runs.running is not None else 0
    n_bytes = await asyncio.to_thread(remove_files, removed.files, settled_s=settled)
    return Emptied(sessions=tuple(removed.sessions), n_bytes=n_bytes)


async def ask_sql(host: Means, request: AskSql) -> Table:
    """Beside everything else: on a cursor of its own, in a thread of its own, so that runs go on being recorded."""
    cursor = await host.ledger.read(lambda store: store.cursor())

    def work() -> SqlTable:
        try:
            return (
                sql_console.ask(cursor, request.sql, limit=request.limit)
                if request.sql.strip()
                else sql_console.overview(cursor)
            )
        finally:
            cursor.close()

    try:
        return Table(table=await asyncio.get_running_loop().run_in_executor(_SQL_THREADS, work))
    except asyncio.CancelledError:  # whoever asked has gone
        cursor.interrupt()
        raise


async def collect_garbage(host: Means, request: CollectGarbage) -> Garbage:
    """What lies about, then the trash that is old enough, with the SAE weights that belong to nobody then."""
    limits = garbage.Limits(cache_days=request.cache_days, cache_bytes=request.cache_bytes)
    weights, days = host.places.data / "sae", host.settings.trash_days

    def look(store: Store) -> tuple[list[Pile], list[str]]:
        all_of_it, old = whole_trash(store), old_trash(store, days=days)
        if not all_of_it:
            return [], []
        pile = Pile(
            kind="trash",
            about=f"deleted sessions, in the trash for {days:g} days" if days else "deleted sessions; trash_days is 0",
            path=str(host.places.store),
            n=len(all_of_it),
            n_bytes=trash_bytes(store, all_of_it, weights),
            goes=len(old),
            goes_bytes=trash_bytes(store, old, weights),
        )
        return [pile], old

    piles, old = await host.ledger.read(look)
    unowned = await host.ledger.read(lambda store: orphans(store, weights))

    def sweep() -> tuple[list[garbage.Found], int]:
        found = garbage.survey(host.places, unowned, limits, running=host.runs.running)
        return found, garbage.remove(found) if request.remove else 0

    found, n_bytes = await asyncio.to_thread(sweep)
    if request.remove and old:
        # After the files: on a full disk they make the room that the store needs to forget a session.
        await empty(host, lambda store: old_trash(store, days=days))
        n_bytes += sum(pile.goes_bytes for pile in piles)
    piles = [*(each.pile for each in found), *piles]
    return Garbage(piles=tuple(piles), removed=request.remove, removed_bytes=n_bytes)


async def keep_house(host: Means) -> None:
    """Once a day, beginning now: what has been in the trash for long enough is removed for good."""
    days = host.settings.trash_days
    while True:
        try:
            gone = await empty(host, lambda store: old_trash(store, days=days))
            if gone.sessions:
                log.info("%d sessions were in the trash for %g days and are removed", len(gone.sessions), days)
        except HeadcodeError as error:  # a full disk: tomorrow is another day
            log.error("the trash cannot be emptied: %s", error)
        await asyncio.sleep(_DAY_S)


ANSWERS: dict[type, Answer] = {
    SearchSessions: search,
    RenameSession: _session(metadata.rename_session),
    ChangeTags: _session(metadata.change_tags),
    TrashSession: freeing(_session(metadata.trash_session)),
    RestoreSession: _session(metadata.restore_session),
    WriteNote: _note(metadata.write_note, metadata.NOTES),
    RemoveNote: _note(metadata.remove_note),
    DiscardSession: freeing(discard),
    EmptyTrash: freeing(empty_trash),
    AskSql: ask_sql,
    CollectGarbage: freeing(collect_garbage),
}
SLOW: frozenset[type] = frozenset({AskSql, CollectGarbage})
"""Answered beside what is asked after them on the same connection."""
