"""Tokens that are only part of a character, written as bytes and read back. Light to import."""

import re
from contextlib import suppress
from functools import cache

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
_BYTES = re.compile(r"<([0-9a-fA-F]{2}(?: [0-9a-fA-F]{2})*)>")
_NAMED_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""How sentencepiece vocabularies name a byte."""
SPACE_SIGN = "\u2581"
"""What sentencepiece vocabularies write for a space."""


def byte_words(piece: str) -> str | None:
    """Return the text of a vocabulary's piece: text if its bytes are whole characters, else <e6 97>.

    None if the piece is neither in the byte-level alphabet nor the name of a byte.
    """
    named = _NAMED_BYTE.fullmatch(piece)
    if named:
        return f"<{named[1].lower()}>"
    alphabet = _alphabet()
    if not piece or any(sign not in alphabet for sign in piece):
        return None
    raw = bytes(alphabet[sign] for sign in piece)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return written_bytes(raw)


def written_bytes(raw: bytes) -> str:
    """Return bytes as byte_words writes them: <e6 97>."""
    return f"<{raw.hex(' ')}>"


def read_bytes(text: str) -> bytes | None:
    """Return the bytes that a text like <e6 97> stands for; None for any other text."""
    found = _BYTES.fullmatch(text.strip())
    return bytes.fromhex(found[1]) if found else None


def pieces_of(raw: bytes) -> tuple[str, ...]:
    """Return how a vocabulary may spell a token of these bytes: byte-level, as a named byte, or as sentencepiece."""
    letters = {byte: sign for sign, byte in _alphabet().items()}
    found = ["".join(letters[byte] for byte in raw)]
    if len(raw) == 1:
        found.append(f"<0x{raw[0]:02X}>")
    with suppress(UnicodeDecodeError):
        found.append(raw.decode("utf-8").replace(" ", SPACE_SIGN))
    return tuple(found)


@cache
def _alphabet() -> dict[str, int]:
    """Return the alphabet of byte-level vocabularies (GPT-2's).

    Printable characters stand for themselves, the other bytes follow from U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
