"""Files that sessions and tables go into and come from."""

from typing import Literal

import msgspec

from sessions.protocol.base import Message, Request
from sessions.protocol.bundle_manifest import ExportResult, ImportResult


class ExportSession(Request, tag="export_session", frozen=True, kw_only=True):
    """Write the session into one file. Answered by BundleExported."""

    session: str
    path: str
    """The whole path: the host stands elsewhere."""
    sae: bool = False
    """With the SAE weights of its runs, as far as they are there."""
    force: bool = False
    """Replace a file that is there."""


class BundleExported(Message, tag="bundle_exported", frozen=True, kw_only=True):
    exported: ExportResult


class ImportBundle(Request, tag="import_bundle", frozen=True, kw_only=True):
    """Take in a session from such a file. Answered by BundleImported."""

    path: str
    name: str | None = None
    """What to call it here; None: its own name, with a number where that is taken."""
    as_copy: bool = False
    """Under ids of its own, beside the session it may be here as already."""


class BundleImported(Message, tag="bundle_imported", frozen=True, kw_only=True):
    imported: ImportResult


class TableColumn(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: Literal["whole", "number", "yes"]
    """yes: true or false."""


class WriteTable(Request, tag="write_table", frozen=True, kw_only=True):
    """Write these rows as a Parquet file. Answered by Done."""

    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[bool | int | float | None, ...], ...]
    path: str
    force: bool = False
