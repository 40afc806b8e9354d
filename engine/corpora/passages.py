"""Cut a text into passages, and choose some that are spread over all of it."""

from collections.abc import Iterator, Sequence

PAGE = "\f"
"""Stands between pages: no passage reaches over it. So it is in text files since there are printers."""
_BREAKS = ("\n", ". ", " ")
"""Where a passage may end, the best first."""


def passages(texts: Sequence[str], length: int) -> list[str]:
    """Return passages of about `length` characters, which end where a line, a sentence or a word does.

    Passages shorter than a quarter of that are left out where a text has longer ones.
    """
    found: list[str] = []
    for text in texts:
        for page in text.split(PAGE):
            cut = [each for each in map(_trimmed, _cut(page, length)) if each]
            long = [each for each in cut if len(each) >= length / 4]
            found += long or cut
    return found


def spread(n: int, most: int) -> list[int]:
    """Return at most `most` of the numbers below n in order, evenly spread."""
    if n <= most:
        return list(range(n))
    return [(2 * place + 1) * n // (2 * most) for place in range(most)]


def _cut(page: str, length: int) -> Iterator[str]:
    begin = 0
    while begin < len(page):
        end = min(begin + length, len(page))
        if end < len(page):
            end = _end(page, begin + length // 2, end)
        yield page[begin:end]
        begin = end


def _end(page: str, least: int, most: int) -> int:
    """Return where to cut between these places: after the last break of the best kind; else at `most`."""
    for mark in _BREAKS:
        place = page.rfind(mark, least, most)
        if place >= 0:
            return place + len(mark)
    return most


def _trimmed(passage: str) -> str:
    """Return the passage without empty lines around it and spaces behind it; those before it indent code."""
    return passage.strip("\n").rstrip()
