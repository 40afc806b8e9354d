"""What a bundle holds: its manifest, its members' names, its limits. docs/bundle-format.md says it to other tools."""

import re
from typing import Literal

import msgspec

from sessions.errors import BadBundle
from sessions.events import AnyEvent
from sessions.rows import SessionRow

FORMAT: Literal["headcode-bundle"] = "headcode-bundle"
VERSION = 1
SUFFIX = ".headcode"
MANIFEST = "manifest.json"
EVENTS = "events.jsonl"
MAX_MANIFEST = 8 << 20
MAX_EVENTS_BYTES = 1 << 30
MAX_ARRAY_BYTES = 2 << 30
MAX_CODES_BYTES = 256 << 20
"""Of one run: 64 million codes, some ten times those of the largest models over 500 prompts and five seeds."""
_MEMBER = re.compile(
    r"events\.jsonl|codes/r[0-9a-z]{12}\.safetensors|sae/[0-9a-f]{64}\.safetensors|tables/[a-z_]{1,40}\.parquet"
)
_ID = r"^[sr][0-9abcdefghjkmnpqrstvwxyz]{12}$"


class BundleMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member besides the manifest."""

    name: str
    bytes: int
    """Unpacked."""
    sha256: str


class BundleCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    events: int
    runs: int
    codes: int
    """Runs whose codes are here."""
    sae: int
    """Files of SAE weights that are here."""


class BundledSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The session, for whoever only looks into the manifest."""

    id: str
    name: str
    model: str
    task: str | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["headcode-bundle"] = FORMAT
    version: int = VERSION
    headcode: str
    """The version that wrote it."""
    session: BundledSession
    counts: BundleCounts
    members: tuple[BundleMember, ...]
    """In the order they lie in the zip."""


class BundleLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of events.jsonl: a log entry without the session's id, which the manifest has."""

    seq: int
    at_us: int
    run_id: str | None
    event: AnyEvent


class ExportResult(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was written."""

    path: str
    session_id: str
    n_bytes: int
    sha256: str
    manifest: Manifest
    sae_missing: int
    """Runs whose SAE weights were asked for and are not there."""


Arrival = Literal["new", "same", "older"]
"""same: the session is here already, entry for entry; older: it is here, and has gone on since."""


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    session: SessionRow
    arrival: Arrival
    bundle_sha256: str
    n_events: int
    n_runs: int
    n_sae: int


class _ManifestVersion(msgspec.Struct):
    """What a manifest of any version says."""

    format: str
    version: int
    headcode: str = "a later version"


def write_manifest(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read_manifest(raw: bytes) -> Manifest:
    """Raises BadBundle for one that is damaged, of a later version, or names what no bundle holds."""
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
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:  # ValueError: text that is no UTF-8
        raise BadBundle(f"{MANIFEST} is damaged: {error}.", hint=_OTHER) from error
    if manifest.version != VERSION:
        raise BadBundle(f"{MANIFEST} says its version is {manifest.version}.", hint=_OTHER)
    if not re.fullmatch(_ID, manifest.session.id) or manifest.session.id[0] != "s":
        raise BadBundle(f"{MANIFEST} says the session's id is {manifest.session.id[:40]!r}.", hint=_OTHER)
    for member in manifest.members:
        if not _MEMBER.fullmatch(member.name):
            raise BadBundle(f"{MANIFEST} names {member.name[:80]!r}, which no bundle holds.", hint=_OTHER)
        if member.bytes < 0 or not re.fullmatch(r"[0-9a-f]{64}", member.sha256):
            raise BadBundle(f"{MANIFEST} is damaged: it knows no size or checksum of {member.name}.", hint=_OTHER)
    return manifest


_OTHER = "Give a file that headcode export made; if it is one, ask for it again."
