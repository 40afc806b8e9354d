"""Answer requests about bundles. The work is done in threads, so that other requests are answered meanwhile."""

import asyncio
import logging
from functools import partial
from pathlib import Path

from engine.errors import HeadcodeError
from sessions.files.disk_space import describe_os_error, staging_for
from sessions.handlers.context import Answer, HandlerContext
from sessions.protocol import (
    AdoptFirstSession,
    BundleExported,
    BundleImported,
    Done,
    ExportSession,
    ImportBundle,
    SessionsAnswer,
    WriteTable,
)
from sessions.store.queries import recent_sessions

log = logging.getLogger("headcode.bundles")


async def export_session(host: HandlerContext, request: ExportSession) -> BundleExported:
    """Read the session in batches, each a separate turn at the store, and write the file."""
    from sessions.bundle.export import BATCH, BundleWriter, find_range, read_log_rows, read_run_codes
    from sessions.files.atomic_write import cannot_write, check_goal

    goal = Path(request.path)
    await asyncio.to_thread(check_goal, goal, force=request.force)
    head = await host.writer.read(partial(find_range, reference=request.session))
    staging = await asyncio.to_thread(staging_for, host.places.spool, goal)
    try:
        writer = await asyncio.to_thread(BundleWriter, staging, head)
    except OSError as error:
        raise cannot_write(goal, error) from error
    try:
        for after in range(0, head.last_seq, BATCH):
            rows = await host.writer.read(
                partial(read_log_rows, session_id=head.session_id, after_seq=after, up_to=head.last_seq)
            )
            await asyncio.to_thread(writer.add, rows)
        for run_id in writer.codes_wanted:
            codes = await host.writer.read(partial(read_run_codes, run_id=run_id))
            await asyncio.to_thread(writer.add_codes, run_id, codes)
        sae = host.places.data / "sae" if request.sae else None
        return BundleExported(
            exported=await asyncio.to_thread(
                partial(writer.finish, goal, sae=sae, force=request.force, marks=host.places.parts)
            )
        )
    except OSError as error:
        raise cannot_write(goal, error) from error
    finally:
        await asyncio.to_thread(writer.__exit__)


async def import_bundle(host: HandlerContext, request: ImportBundle) -> BundleImported:
    """Check the whole file, then import it into the store."""
    from sessions.bundle.import_bundle import CheckedBundle, import_into_store

    spool = host.places.spool
    try:
        bundle = await asyncio.to_thread(CheckedBundle, Path(request.path), spool)
    except OSError as error:
        raise describe_os_error(error, spool) from error
    try:
        work = partial(
            import_into_store, bundle=bundle, name=request.name, as_copy=request.as_copy, sae=host.places.data / "sae"
        )
        return BundleImported(imported=await host.writer.change(work, alone=True))
    finally:
        await asyncio.to_thread(bundle.close)


async def adopt_first_session(host: HandlerContext, request: AdoptFirstSession) -> SessionsAnswer:
    """Adopt the recorded first session if the store never had one; return the store's sessions.

    A recording that cannot be used is logged, and the store stays as it was.
    """
    from sessions.bundle import first_session
    from sessions.bundle.import_bundle import CheckedBundle

    if await host.writer.read(first_session.is_untouched):
        sae = host.places.data / "sae"
        try:
            bundle = await asyncio.to_thread(CheckedBundle, first_session.RECORDING, host.places.spool)
            try:
                # Two clients may start at the same moment: the second finds the session of the first.
                await host.writer.change(partial(first_session.adopt, bundle=bundle, sae=sae), alone=True)
            finally:
                await asyncio.to_thread(bundle.close)
        except (HeadcodeError, OSError) as error:
            log.error("the recorded first session is not shown: %s", error)
    found = await host.writer.read(partial(recent_sessions, limit=request.limit))
    return SessionsAnswer(sessions=tuple(found))


async def write_table(host: HandlerContext, request: WriteTable) -> Done:
    """Write a client's table as Parquet: clients do not load DuckDB."""
    from sessions.bundle.parquet import write_parquet

    goal = Path(request.path)
    staging = await asyncio.to_thread(staging_for, host.places.spool, goal)
    work = partial(write_parquet, request.columns, request.rows, goal, staging, marks=host.places.parts)
    await asyncio.to_thread(partial(work, force=request.force))
    return Done()


ANSWERS: dict[type, Answer] = {
    ExportSession: export_session,
    ImportBundle: import_bundle,
    AdoptFirstSession: adopt_first_session,
    WriteTable: write_table,
}
SLOW: frozenset[type] = frozenset(ANSWERS)
