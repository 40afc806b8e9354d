"""Answer requests that name, tag, annotate, search, delete and restore sessions."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine.errors import HeadcodeError
from sessions.edits import garbage, metadata
from sessions.edits.trash import (
    SETTLED_S,
    find_orphans,
    is_empty,
    is_unused,
    old_trash,
    remove_files,
    remove_for_good,
    trash_bytes,
    whole_trash,
)
from sessions.handlers.births import birth_rows
from sessions.handlers.context import Answer, HandlerContext
from sessions.handlers.disk_reserve import with_reserve
from sessions.protocol import (
    AnyAnswer,
    ChangeTags,
    CollectGarbage,
    DiscardSession,
    EmptyTrash,
    GarbageReport,
    NoteAnswer,
    QuerySql,
    RemoveNote,
    RenameSession,
    RestoreSession,
    SearchResults,
    SearchSessions,
    SessionAnswer,
    SessionsRemoved,
    SqlAnswer,
    TrashSession,
    WriteNote,
)
from sessions.rows import FileGroup, SessionRow, SqlTable
from sessions.store import sql_console
from sessions.store.database import Store
from sessions.store.group_commit import BatchKind
from sessions.store.queries import active_session
from sessions.store.recorder import RecordedEntry, Recorder
from sessions.store.search import search_sessions

log = logging.getLogger("headcode.sessions")

_DAY_S = 86_400
_SQL_THREADS = ThreadPoolExecutor(2, thread_name_prefix="sql")
"""Separate threads: many long queries must not occupy those with which runs store their files."""

T = TypeVar("T")
Work = Callable[[Recorder, Any], tuple[T, list[RecordedEntry]]]


def _session(work: Work[SessionRow]) -> Callable[[HandlerContext, Any], Awaitable[AnyAnswer]]:
    async def answer(host: HandlerContext, request: object) -> SessionAnswer:
        return SessionAnswer(session=await host.writer.change(lambda recorder: work(recorder, request)))

    return answer


def _note(
    work: Work[metadata.Noted], kind: BatchKind | None = None
) -> Callable[[HandlerContext, Any], Awaitable[AnyAnswer]]:
    async def answer(host: HandlerContext, request: object) -> NoteAnswer:
        note, session = await host.writer.change(lambda recorder: work(recorder, request), kind=kind, request=request)
        return NoteAnswer(note=note, session=session)

    return answer


async def search(host: HandlerContext, request: SearchSessions) -> SearchResults:
    """Search sessions."""
    found = await host.writer.read(lambda store: search_sessions(store, request.text, limit=request.limit))
    return SearchResults(hits=tuple(found))


async def empty_trash(host: HandlerContext, request: EmptyTrash) -> SessionsRemoved:
    """Delete the sessions in the trash."""
    return await remove_trashed(host, lambda store: whole_trash(store, request.sessions))


async def discard(host: HandlerContext, request: DiscardSession) -> SessionsRemoved:
    """Delete the session if it was never used, or holds nothing. Raises NoSuchRecord."""

    def choose(store: Store) -> list[str]:
        session_id = active_session(store, request.session)
        unused = is_unused(store, session_id) or (request.edited and is_empty(store, session_id))
        return [session_id] if unused else []

    return await remove_trashed(host, choose)


async def remove_trashed(host: HandlerContext, choose: Callable[[Store], list[str]]) -> SessionsRemoved:
    """Delete the chosen sessions of the trash permanently, then the files that only they used."""
    weights = host.places.data / "sae"
    removed = await host.writer.change(
        lambda recorder: remove_for_good(recorder, choose(recorder.store), weights), alone=True
    )
    # A run that is ending may have written the same weights again and is about to record their name.
    settled = SETTLED_S if host.runs.running is not None else 0
    n_bytes = await asyncio.to_thread(remove_files, removed.files, settled_s=settled)
    return SessionsRemoved(sessions=tuple(removed.sessions), n_bytes=n_bytes)


async def ask_sql(host: HandlerContext, request: QuerySql) -> SqlAnswer:
    """Run a query on its own cursor and thread, so that runs are recorded meanwhile."""
    births = await birth_rows(host) if sql_console.names_births(request.sql) else None
    cursor = await host.writer.read(lambda store: store.cursor())

    def work() -> SqlTable:
        try:
            if births is not None:
                sql_console.fill_births(cursor, births)
            return (
                sql_console.ask(cursor, request.sql, limit=request.limit)
                if request.sql.strip()
                else sql_console.overview(cursor)
            )
        finally:
            cursor.close()

    try:
        return SqlAnswer(table=await asyncio.get_running_loop().run_in_executor(_SQL_THREADS, work))
    except asyncio.CancelledError:  # the client has gone
        cursor.interrupt()
        raise


async def collect_garbage(host: HandlerContext, request: CollectGarbage) -> GarbageReport:
    """List or delete files that are not needed, then sessions that were in the trash long enough.

    SAE weights that no session uses after that are deleted with them.
    """
    limits = garbage.CacheLimits(cache_days=request.cache_days, cache_bytes=request.cache_bytes)
    weights, days = host.places.data / "sae", host.settings.trash_days

    def look(store: Store) -> tuple[list[FileGroup], list[str]]:
        all_of_it, old = whole_trash(store), old_trash(store, days=days)
        if not all_of_it:
            return [], []
        pile = FileGroup(
            kind="trash",
            about=f"deleted sessions, in the trash for {days:g} days" if days else "deleted sessions; trash_days is 0",
            path=str(host.places.store),
            n=len(all_of_it),
            n_bytes=trash_bytes(store, all_of_it, weights),
            n_deletable=len(old),
            deletable_bytes=trash_bytes(store, old, weights),
        )
        return [pile], old

    piles, old = await host.writer.read(look)
    unowned = await host.writer.read(lambda store: find_orphans(store, weights))

    def sweep() -> tuple[list[garbage.DeletableGroup], int]:
        found = garbage.find_garbage(host.places, unowned, limits, running=host.runs.all_running)
        return found, garbage.remove(found) if request.remove else 0

    found, n_bytes = await asyncio.to_thread(sweep)
    if request.remove and old:
        # After the files: on a full disk they free the space that the store needs to delete a session.
        await remove_trashed(host, lambda store: old_trash(store, days=days))
        n_bytes += sum(pile.deletable_bytes for pile in piles)
    piles = [*(each.pile for each in found), *piles]
    return GarbageReport(piles=tuple(piles), removed=request.remove, removed_bytes=n_bytes)


async def empty_old_trash(host: HandlerContext) -> None:
    """Delete sessions that have been in the trash long enough, now and once a day."""
    days = host.settings.trash_days
    while True:
        try:
            removed = await remove_trashed(host, lambda store: old_trash(store, days=days))
            if removed.sessions:
                log.info("%d sessions were in the trash for %g days and are removed", len(removed.sessions), days)
        except HeadcodeError as error:  # a full disk: retried the next day
            log.error("the trash cannot be emptied: %s", error)
        await asyncio.sleep(_DAY_S)


ANSWERS: dict[type, Answer] = {
    SearchSessions: search,
    RenameSession: _session(metadata.rename_session),
    ChangeTags: _session(metadata.change_tags),
    TrashSession: with_reserve(_session(metadata.trash_session)),
    RestoreSession: _session(metadata.restore_session),
    WriteNote: _note(metadata.write_note, metadata.NOTES),
    RemoveNote: _note(metadata.remove_note),
    DiscardSession: with_reserve(discard),
    EmptyTrash: with_reserve(empty_trash),
    QuerySql: ask_sql,
    CollectGarbage: with_reserve(collect_garbage),
}
SLOW: frozenset[type] = frozenset({QuerySql, CollectGarbage})
"""Answered concurrently with later requests on the same connection."""
