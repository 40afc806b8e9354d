"""Parsing of what is typed in text prompts: heads, measures, positions."""

from collections.abc import Callable

from engine.config import ProbeConfig
from engine.errors import ConfigError, HeadcodeError, NoSuchNode
from engine.measures import MEASURES, Measure
from engine.results import HeadId


def read_head(text: str, shape: tuple[int, int]) -> HeadId:
    """Parse 9.6, 9 6, 9,6 or L9H6. Raises NoSuchNode if it is out of range, ConfigError if it is not a head."""
    parts = "".join(sign if sign.isdecimal() and sign.isascii() else " " for sign in text).split()
    if len(parts) != 2:
        raise ConfigError(
            f"{text[:24]!r} is not a head: heads are written layer.head.", hint="For example 1.3: layer 1, head 3."
        )
    if len(text) > 24 or int(parts[0]) >= shape[0] or int(parts[1]) >= shape[1]:
        raise NoSuchNode(text[:24], *shape)
    return HeadId(int(parts[0]), int(parts[1]))


def guess_measure(text: str) -> Measure:
    """Find a measure by title or id: a full match, a prefix, or a part. Raises ConfigError."""
    wanted = " ".join(text.lower().replace("_", " ").split())
    titles = {measure: (measure.title.lower(), measure.id.replace("_", " ")) for measure in MEASURES}
    for fits in (str.__eq__, str.startswith, str.__contains__):
        for measure, names in titles.items():
            if wanted and any(fits(name, wanted) for name in names):
                return measure
    raise ConfigError(f"There is no measure {text!r}.", hint=", ".join(measure.title for measure in MEASURES))


def head_trouble(text: str, shape: tuple[int, int]) -> str:
    """Return what is wrong with a head's name; empty if nothing is."""
    return _trouble(lambda: read_head(text, shape))


def measure_trouble(text: str) -> str:
    """Return what is wrong with a measure's name; empty if nothing is."""
    return _trouble(lambda: guess_measure(text))


def position_trouble(text: str) -> str:
    """Return what is wrong with a position policy; empty if nothing is."""
    return _trouble(lambda: ProbeConfig(position=text.strip()))


def _trouble(read: Callable[[], object]) -> str:
    try:
        read()
    except HeadcodeError as error:
        return error.message
    return ""
