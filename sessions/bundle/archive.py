"""Write and read plain zip files: deterministic when written, treated as hostile when read."""

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

import msgspec

from sessions.errors import BadBundle

MAX_FILE_BYTES = 2 << 30
"""Larger files would need zip64, which has often been exploited; no session comes near."""
MAX_MEMBERS = 10_000
MAX_NAME_BYTES = 200
_FREE_BYTES = 64 << 20
_MAX_RATIO = 200
"""Limit for all members unpacked: _FREE_BYTES, plus this many bytes for each byte of the file."""
_LEVEL = 6
_CHUNK = 1 << 18
_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ASK_AGAIN = "Ask for the file again: it was damaged on the way, or made by another program."


class ZipWriter:
    """Writes members in the given order, without times, owners and extra fields, at one compression level."""

    def __init__(self, out: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(out, "w", allowZip64=False)

    def add(self, name: str, source: bytes | Path, *, compress: bool = True) -> None:
        """Add the bytes, or the content of the file. Raises BadBundle if the zip grows too large."""
        info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info._compresslevel = _LEVEL  # type: ignore[attr-defined]  # its public name came with 3.13
        info.create_system = 3
        info.external_attr = 0o100644 << 16
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        info.file_size = size  # set in advance, so that no zip64 field is written
        try:
            with self._zip.open(info, "w") as member:
                if isinstance(source, bytes):
                    member.write(source)
                else:
                    with source.open("rb") as file:
                        while chunk := file.read(_CHUNK):
                            member.write(chunk)
        except (zipfile.LargeZipFile, RuntimeError) as error:
            raise BadBundle(
                f"{name} has {size} bytes: the file would pass {MAX_FILE_BYTES} bytes.",
                hint="Leave the SAE weights out: without --sae.",
            ) from error

    def close(self) -> None:
        self._zip.close()


class ZipMember(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the directory, checked against the member's own header."""

    name: str
    deflated: bool
    crc: int
    n_packed: int
    n_bytes: int
    start: int
    """Offset of its data in the file."""


class ZipReader:
    """Reads a zip file's directory and members. Raises BadBundle for any file that is not plain.

    Plain means: members one after another from the first byte, then the directory, then its end, and nothing else;
    stored or deflated; no encryption, comments, extra fields, zip64, links or repeated names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # Non-blocking: a pipe at that path must not block the host.
            self._file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115, PTH123
        except FileNotFoundError as error:
            raise BadBundle(f"There is no file {str(path)!r}.", hint="headcode export makes one.") from error
        except OSError as error:
            raise BadBundle(f"{path} cannot be read: {error.strerror}.", hint="Check its permissions.") from error
        try:
            found = os.fstat(self._file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadBundle(f"{path} is not a plain file.", hint="Choose a file written by headcode export.")
            self.size = found.st_size
            self.members = self._directory()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def chunks(self, member: ZipMember, *, most: int) -> Iterator[bytes]:
        """Yield the member's bytes, at most its stated size and `most`. Raises BadBundle naming the member."""
        if member.n_bytes > most:
            raise BadBundle(f"{member.name} has {member.n_bytes} bytes; the limit is {most}.", hint=_ASK_AGAIN)
        self._file.seek(member.start)
        inflate = zlib.decompressobj(-15) if member.deflated else None
        left, given, crc = member.n_packed, 0, 0
        try:
            while left or (inflate is not None and not inflate.eof):
                packed = self._file.read(min(left, _CHUNK))
                if left and not packed:
                    raise BadBundle(f"{member.name} is cut short.", hint=_ASK_AGAIN)
                left -= len(packed)
                for chunk in _decompress(member.name, inflate, packed, more=left > 0):
                    given += len(chunk)
                    if given > member.n_bytes:
                        raise BadBundle(
                            f"{member.name} unpacks to more than its stated {member.n_bytes} bytes.",
                            hint=_ASK_AGAIN,
                        )
                    crc = zlib.crc32(chunk, crc)
                    yield chunk
        except zlib.error as error:
            raise BadBundle(f"{member.name} cannot be unpacked: {error}.", hint=_ASK_AGAIN) from error
        except OSError as error:
            raise BadBundle(f"{self.path} cannot be read: {error.strerror}.", hint="Copy it again.") from error
        if given != member.n_bytes:
            raise BadBundle(
                f"{member.name} unpacks to {given} bytes, not its stated {member.n_bytes}.", hint=_ASK_AGAIN
            )
        if crc != member.crc:
            raise BadBundle(
                f"{member.name} is damaged: its checksum is {crc:08x}, not {member.crc:08x}.", hint=_ASK_AGAIN
            )

    def sha256(self) -> str:
        """Return the hash of the whole file."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def _directory(self) -> tuple[ZipMember, ...]:
        if self.size > MAX_FILE_BYTES:
            raise BadBundle(f"{self.path} has {self.size} bytes; the limit is {MAX_FILE_BYTES}.", hint=_ASK_AGAIN)
        if self.size < _END.size:
            raise BadBundle(f"{self.path} is not a Headcode bundle: it has {self.size} bytes.", hint=_ASK_AGAIN)
        mark, disk, first_disk, here, count, length, start, comment = _END.unpack(
            self._read_at(self.size - _END.size, _END.size)
        )
        if mark != b"PK\5\6":
            is_zip = self._read_at(0, 4) == b"PK\3\4"
            what = "is cut short, or has something after its end" if is_zip else "is not a Headcode bundle"
            raise BadBundle(f"{self.path} {what}.", hint=_ASK_AGAIN)
        if disk or first_disk or comment or here != count or start + length != self.size - _END.size:
            raise self._invalid("its end is not that of a plain zip file")
        if count > MAX_MEMBERS:
            raise BadBundle(f"{self.path} has {count} members; the limit is {MAX_MEMBERS}.", hint=_ASK_AGAIN)
        if length > count * (_CENTRAL.size + MAX_NAME_BYTES):
            raise self._invalid("its directory is longer than its members")
        members = self._members(self._read_at(start, length), count, start)
        if len({member.name.casefold() for member in members}) != len(members):
            raise self._invalid("it contains a name twice")
        total = sum(member.n_bytes for member in members)
        if total > _FREE_BYTES + _MAX_RATIO * self.size:
            raise BadBundle(
                f"{self.path} would unpack to {total} bytes from {self.size}: no session does that.", hint=_ASK_AGAIN
            )
        return members

    def _members(self, directory: bytes, count: int, end: int) -> tuple[ZipMember, ...]:
        """Return the entries, which must be adjacent from the first byte of the file up to `end`."""
        members = []
        at = place = 0
        for _ in range(count):
            if at + _CENTRAL.size > len(directory):
                raise self._invalid("its directory is cut short")
            mark, made, _, flags, method, *_, crc, packed, size, n_name, n_extra, n_comment, disk, _, mode, offset = (
                _CENTRAL.unpack_from(directory, at)
            )
            at += _CENTRAL.size
            raw = directory[at : at + n_name]
            at += n_name
            if mark != b"PK\1\2" or len(raw) != n_name or not 0 < n_name <= MAX_NAME_BYTES:
                raise self._invalid("its directory is damaged")
            name = raw.decode("ascii", "backslashreplace")
            if not raw.isascii() or not name.isprintable():
                raise self._invalid(f"the name {name!r} in it is not plain text")
            kind = stat.S_IFMT(mode >> 16) if made >> 8 == 3 else 0
            if flags or n_extra or n_comment or disk or method not in (0, 8) or kind not in (0, stat.S_IFREG):
                raise self._invalid(
                    f"{name!r} in it is not a plain file (encrypted, a link, or compressed in an unusual way)"
                )
            if offset != place or packed >= 2**32 - 1 or size >= 2**32 - 1:
                raise self._invalid(f"{name!r} in it is not at the expected offset")
            header = self._read_at(offset, _LOCAL.size + n_name)
            if len(header) != _LOCAL.size + n_name:
                raise self._invalid(f"{name!r} in it is cut short")
            mark, _, flags, local_method, _, _, *sizes, local_name, extra = _LOCAL.unpack_from(header)
            same = (local_method, *sizes, local_name, extra) == (method, crc, packed, size, n_name, 0)
            if mark != b"PK\3\4" or flags or not same or header[_LOCAL.size :] != raw:
                raise self._invalid(f"{name!r} in it has a header that contradicts its directory entry")
            if method == 0 and packed != size:
                raise self._invalid(f"{name!r} in it has two different sizes")
            start = offset + _LOCAL.size + n_name
            place = start + packed
            members.append(
                ZipMember(name=name, deflated=method == 8, crc=crc, n_packed=packed, n_bytes=size, start=start)
            )
        if at != len(directory) or place != end:
            raise self._invalid("it contains data that its directory does not list")
        return tuple(members)

    def _read_at(self, offset: int, length: int) -> bytes:
        try:
            self._file.seek(offset)
            return self._file.read(length)
        except OSError as error:
            raise BadBundle(f"{self.path} cannot be read: {error.strerror}.", hint="Copy it again.") from error

    def _invalid(self, what: str) -> BadBundle:
        return BadBundle(f"{self.path} is not a Headcode bundle: {what}.", hint=_ASK_AGAIN)


def _decompress(name: str, inflate: "zlib._Decompress | None", packed: bytes, *, more: bool) -> Iterator[bytes]:
    """Yield the unpacked content of a part of a member, in chunks of at most _CHUNK bytes."""
    if inflate is None:
        yield packed
        return
    while True:
        chunk = inflate.decompress(packed, _CHUNK)
        packed = inflate.unconsumed_tail
        if chunk:
            yield chunk
        if inflate.eof:
            if packed or inflate.unused_data or more:
                raise BadBundle(f"{name} has data after its end.", hint=_ASK_AGAIN)
            return
        if not chunk and not packed:
            if not more:
                raise BadBundle(f"{name} is cut short.", hint=_ASK_AGAIN)
            return
