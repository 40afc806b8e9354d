"""Write the corpora that travel with the program: `python -m engine.asset_tools.write_corpora FOLDER`.

FOLDER has the books as Project Gutenberg publishes them: 11-0.txt, 1661.txt, 1342-0.txt and 972.txt. The code is of the
Python that runs this; the other texts are those of the bundled models' own generators.
"""

import random
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.asset_tools import toy_corpus
from engine.catalog.adder_sums import shuffled_sums
from engine.corpora.passages import PAGE

FOLDER = Path(__file__).parent.parent / "assets" / "corpora"
_BOOKS = {"11-0.txt": 90_000, "1661.txt": 150_000, "1342-0.txt": 120_000, "972.txt": 70_000}
"""Characters of each book."""
_MODULES = ("textwrap", "statistics", "heapq", "calendar", "csv", "shlex", "fractions")
_OF_MODULE = 18_000
_PAGE = 1500
_TOY_CHARACTERS = 160_000
_SUMS = 6000


def main() -> None:
    """Write english.txt, toy.txt and adder.txt."""
    books = Path(sys.argv[1])
    pages = [_pages(_book(books / name)[:most]) for name, most in _BOOKS.items()]
    pages += [_pages(_code(name)) for name in _MODULES]
    FOLDER.mkdir(exist_ok=True)
    _write("english", _mixed(pages))
    _write("toy", _toy())
    _write("adder", (f"{a}+{b}={a + b}" for a, b in shuffled_sums(1)[:_SUMS]))


def _write(name: str, pages: Iterable[str]) -> None:
    (FOLDER / f"{name}.txt").write_text(PAGE.join(pages), encoding="utf-8")


def _book(path: Path) -> str:
    """Return the book without Project Gutenberg's words around it, a paragraph a line."""
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    begin = re.search(r"\*\*\* ?START OF.*?\*\*\*", text, re.DOTALL)
    end = re.search(r"\*\*\* ?END OF.*?\*\*\*", text, re.DOTALL)
    text = text[begin.end() if begin else 0 : end.start() if end else len(text)]
    for curly, plain in {"‘": "'", "’": "'", "“": '"', "”": '"', "_": "", "\ufeff": ""}.items():
        text = text.replace(curly, plain)
    paragraphs = [" ".join(each.split()) for each in re.split(r"\n\s*\n", text)]
    return "\n".join(each for each in paragraphs[12:] if len(each) > 60 and "Gutenberg" not in each)


def _code(module: str) -> str:
    return (Path(random.__file__).parent / f"{module}.py").read_text(encoding="utf-8")[:_OF_MODULE]


def _pages(text: str) -> list[str]:
    """Cut a text into pages at the ends of lines."""
    pages, page = [], ""
    for line in text.split("\n"):
        page += line + "\n"
        if len(page) >= _PAGE:
            pages.append(page.strip("\n"))
            page = ""
    return pages


def _mixed(sources: list[list[str]]) -> list[str]:
    """Spread the pages of every source over the whole, each in its order."""
    placed = [
        ((place + 0.5) / len(pages), number, page)
        for number, pages in enumerate(sources)
        for place, page in enumerate(pages)
    ]
    return [page for _, _, page in sorted(placed)]


def _toy() -> list[str]:
    """Return documents of the bundled model's generator, as often as it was trained on them."""
    rng = random.Random("atlas")
    makers: list[Callable[[random.Random], toy_corpus.Document]] = [make for make, _, _ in toy_corpus.KINDS.values()]
    weights = [often for _, often, _ in toy_corpus.KINDS.values()]
    documents: list[str] = []
    while sum(map(len, documents)) < _TOY_CHARACTERS:
        make = rng.choices(makers, weights)[0]
        documents.append("".join(text for text, _ in make(rng)))
    return documents


if __name__ == "__main__":
    main()
