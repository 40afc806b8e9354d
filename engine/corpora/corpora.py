"""The corpora by name, and a user's text or JSONL file as one."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.errors import ConfigError

ASSETS = Path(__file__).parent.parent / "assets" / "corpora"
_OWN = {"toy": "toy", "adder": "adder"}
"""The bundled models that have a corpus of their own: what their generators make."""
MOST_BYTES = 256 << 20
LEAST_TOKENS, MOST_TOKENS = 200, 2_000_000
"""Of a corpus, for an atlas."""
_TEXT_FIELDS = ("text", "prompt", "content")


class BundledCorpus(msgspec.Struct, frozen=True, kw_only=True):
    """A corpus that travels with the program."""

    name: str
    words: str
    """What it is."""
    licence: str


BUNDLED = {
    each.name: each
    for each in (
        BundledCorpus(
            name="english",
            words="pages of Alice's Adventures in Wonderland, The Adventures of Sherlock Holmes, Pride and Prejudice, "
            "The Devil's Dictionary, and Python's standard library",
            licence="books: public domain in the USA (Project Gutenberg 11, 1661, 1342, 972); code: Python Software "
            "Foundation License 2",
        ),
        BundledCorpus(
            name="toy",
            words="made by the generator of the bundled model's training text",
            licence="Apache-2.0, as Headcode",
        ),
        BundledCorpus(name="adder", words="sums of two two-digit numbers", licence="Apache-2.0, as Headcode"),
    )
}


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """Texts, and what they are known by."""

    name: str
    """Of a bundled corpus, or of the file."""
    digest: str
    """sha256 of its bytes."""
    texts: tuple[str, ...]


def default_corpus(model: str) -> str:
    """Return the name of the bundled corpus that suits the model, as a user names it."""
    return _OWN.get(model.split("@")[0], "english")


def check_corpus(name: str) -> str:
    """Return the corpus's name, or the absolute path of the file. Raises ConfigError if there is neither."""
    if name in BUNDLED:
        return name
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"There is no corpus and no file {name[:200]!r}.",
            hint=f"A text or JSONL file, or one of {', '.join(BUNDLED)}.",
        )
    found = str(path.resolve())
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"The path {ascii(found)[:200]} is not UTF-8.", hint="Rename the file.") from error
    return found


def check_tokens(tokens: int) -> None:
    """Raise ConfigError for a number of tokens that no atlas is read from."""
    if not LEAST_TOKENS <= tokens <= MOST_TOKENS:
        raise ConfigError(
            f"An atlas of {tokens:,} tokens: {LEAST_TOKENS:,} to {MOST_TOKENS:,} are read.",
            hint="20000 is enough for most metrics.",
        )


def read_corpus(name: str) -> Corpus:
    """Read a bundled corpus or a file: text (UTF-8), or JSONL with a text, prompt or content in every line.

    Raises ConfigError for a file that does not exist, is too large, or has no text.
    """
    checked = check_corpus(name)
    path = ASSETS / f"{checked}.txt" if checked in BUNDLED else Path(checked)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(
                f"{path.name} has {path.stat().st_size >> 20} MiB; at most {MOST_BYTES >> 20} are read.",
                hint=f"Take a part of it: head -c {MOST_BYTES >> 20}M FILE > part.txt",
            )
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", hint="Give a readable text file.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path.name} is not UTF-8 text (byte {error.start}).", hint="Convert it: iconv -t utf-8 FILE > text.txt"
        ) from error
    texts = tuple(_json_texts(text, path.name)) if path.suffix in (".jsonl", ".ndjson") else (text,)
    texts = tuple(each.replace("\r\n", "\n") for each in texts if each.strip())
    if not texts:
        raise ConfigError(f"{path.name} has no text.", hint="Give a text file, or JSONL with a text in every line.")
    return Corpus(
        name=checked if checked in BUNDLED else path.name, digest=hashlib.sha256(data).hexdigest(), texts=texts
    )


def _json_texts(text: str, name: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(
                f"{name}, line {number}, is not JSON: {error}.", hint="One object or text a line."
            ) from error
        found = row if isinstance(row, str) else None
        if isinstance(row, dict):
            found = next((row[field] for field in _TEXT_FIELDS if isinstance(row.get(field), str)), None)
        if found is None:
            raise ConfigError(
                f"{name}, line {number}, has no text.", hint=f"Every line has one of {', '.join(_TEXT_FIELDS)}."
            )
        yield found
