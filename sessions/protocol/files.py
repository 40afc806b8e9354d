"""Requests that read or write files for the user."""

from typing import Literal

import msgspec

from sessions.protocol.base import Message, Request
from sessions.protocol.bundle_manifest import ExportResult, ImportResult


class ExportSession(Request, tag="export_session", frozen=True, kw_only=True):
    """Write the session to one file. Answered by BundleExported."""

    session: str
    path: str
    """An absolute path: the host has another working directory."""
    sae: bool = False
    """Include the SAE weights of its runs, where they exist."""
    force: bool = False
    """Replace an existing file."""


class BundleExported(Message, tag="bundle_exported", frozen=True, kw_only=True):
    """The bundle that was written."""

    exported: ExportResult


class ImportBundle(Request, tag="import_bundle", frozen=True, kw_only=True):
    """Import a session from a bundle. Answered by BundleImported."""

    path: str
    name: str | None = None
    """The name of the session here; None: its own name, with a number added if that is taken."""
    as_copy: bool = False
    """Import under new ids, beside a copy of the session that may already exist."""


class BundleImported(Message, tag="bundle_imported", frozen=True, kw_only=True):
    """The session that was imported."""

    imported: ImportResult


class TableColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a table to write."""

    name: str
    kind: Literal["whole", "number", "yes", "text"]
    """yes: true or false."""


class WriteTable(Request, tag="write_table", frozen=True, kw_only=True):
    """Write these rows as a Parquet file. Answered by Done."""

    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[bool | int | float | str | None, ...], ...]
    path: str
    force: bool = False
