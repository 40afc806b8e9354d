"""Describe a bundle: its manifest, member names and limits.

docs/bundle-format.md describes the format for other tools.
"""

import re
from typing import Literal

import msgspec

from sessions.errors import BadBundle
from sessions.events import AnyEvent
from sessions.rows import SessionRow

FORMAT: Literal["headcode-bundle"] = "headcode-bundle"
VERSION = 1
MANIFEST = "manifest.json"
EVENTS = "events.jsonl"
MAX_MANIFEST = 8 << 20
MAX_EVENTS_BYTES = 1 << 30
MAX_ARRAY_BYTES = 2 << 30
MAX_CODES_BYTES = 256 << 20
"""Per run: 64 million codes, about ten times those of the largest models over 500 prompts and five seeds."""
_MEMBER = re.compile(
    r"events\.jsonl|codes/r[0-9a-z]{12}\.safetensors|sae/[0-9a-f]{64}\.safetensors|tables/[a-z_]{1,40}\.parquet"
)
_ID = r"^[sr][0-9abcdefghjkmnpqrstvwxyz]{12}$"


class BundleMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member other than the manifest."""

    name: str
    bytes: int
    """Unpacked size."""
    sha256: str


class BundleCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many entries, runs and files the bundle holds."""

    events: int
    runs: int
    codes: int
    """Runs whose codes are in the bundle."""
    sae: int
    """Files of SAE weights in the bundle."""


class BundledSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The session, for readers that only open the manifest."""

    id: str
    name: str
    model: str
    task: str | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of manifest.json."""

    format: Literal["headcode-bundle"] = FORMAT
    version: int = VERSION
    headcode: str
    """The version that wrote the bundle."""
    session: BundledSession
    counts: BundleCounts
    members: tuple[BundleMember, ...]
    """In the order in which they are stored in the zip."""


class BundleLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of events.jsonl: a log entry without the session id, which is in the manifest."""

    seq: int
    at_us: int
    run_id: str | None
    event: AnyEvent


class ExportResult(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle that was written."""

    path: str
    session_id: str
    n_bytes: int
    sha256: str
    manifest: Manifest
    sae_missing: int
    """Runs whose SAE weights were requested but are missing."""


Arrival = Literal["new", "same", "older"]
"""same: an identical session exists; older: the session exists and has newer entries."""


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """The session that was imported."""

    session: SessionRow
    arrival: Arrival
    bundle_sha256: str
    n_events: int
    n_runs: int
    n_sae: int


class _ManifestVersion(msgspec.Struct):
    """The fields that a manifest of any version has."""

    format: str
    version: int
    headcode: str = "a later version"


def write_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read_manifest(raw: bytes) -> Manifest:
    """Return the manifest.

    Raises BadBundle if it is damaged, of a later version, or names a member that no bundle has.
    """
    try:
        head = msgspec.json.decode(raw, type=_ManifestVersion)
        if head.format != FORMAT:
            raise BadBundle(f"{MANIFEST} says its format is {head.format[:40]!r}, not {FORMAT!r}.", hint=_OTHER)
        if head.version > VERSION:
            raise BadBundle(
                f"The bundle has format version {head.version}, written by Headcode {head.headcode[:40]}; "
                f"this Headcode knows versions up to {VERSION}.",
                hint="Upgrade Headcode.",
            )
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:  # ValueError: the text is not UTF-8
        raise BadBundle(f"{MANIFEST} is damaged: {error}.", hint=_OTHER) from error
    if manifest.version != VERSION:
        raise BadBundle(f"{MANIFEST} says its version is {manifest.version}.", hint=_OTHER)
    if not re.fullmatch(_ID, manifest.session.id) or manifest.session.id[0] != "s":
        raise BadBundle(f"{MANIFEST} says the session's id is {manifest.session.id[:40]!r}.", hint=_OTHER)
    for member in manifest.members:
        if not _MEMBER.fullmatch(member.name):
            raise BadBundle(f"{MANIFEST} names {member.name[:80]!r}, which is not a valid member name.", hint=_OTHER)
        if member.bytes < 0 or not re.fullmatch(r"[0-9a-f]{64}", member.sha256):
            raise BadBundle(f"{MANIFEST} is damaged: it has no size or checksum for {member.name}.", hint=_OTHER)
    return manifest


_OTHER = "Choose a file written by headcode export; if this is one, ask for it again."
