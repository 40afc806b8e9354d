"""Tokens that are no text by themselves, told byte by byte. Light to import."""

from functools import cache

UNREADABLE = "\N{REPLACEMENT CHARACTER}"


def byte_words(piece: str) -> str | None:
    """What a byte-level vocabulary's piece stands for: text where its bytes are whole characters, else <e6 97>.

    None where the piece is not written in that alphabet (as in vocabularies of sentencepiece, which name bytes).
    """
    alphabet = _alphabet()
    if not piece or any(sign not in alphabet for sign in piece):
        return None
    raw = bytes(alphabet[sign] for sign in piece)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return f"<{raw.hex(' ')}>"


@cache
def _alphabet() -> dict[str, int]:
    """The letters that byte-level vocabularies write bytes with (GPT-2's): printable ones are themselves, the others
    follow behind U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
