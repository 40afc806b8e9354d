"""Check options: values that cannot work, and values far from anything that was measured."""

from engine.config import ProbeConfig
from engine.errors import ConfigError
from engine.planning.option_table import OPTIONS, Option


def check_options(config: ProbeConfig) -> None:
    """Refuse values that cannot work. Raises ConfigError with the value and what to use instead.

    Called when a run starts, not when a config is read: stored runs with such values stay readable.
    """
    for option, value in _numbers(config):
        if option.most is not None and value > option.most:
            raise ConfigError(
                f"{option.flag} {value:g} cannot work: {option.title.lower()} is {option.range}.",
                hint=f"Use {_suggested(option)}.",
            )


def option_warnings(config: ProbeConfig) -> tuple[str, ...]:
    """Return a sentence for every value outside the range that results were compared with ground truth in."""
    return tuple(
        f"{option.flag} {value:g} is far from anything that was measured ({_range(option.measured)})."
        for option, value in _numbers(config)
        if option.measured is not None and not option.measured[0] <= value <= option.measured[1]
    )


def _numbers(config: ProbeConfig) -> list[tuple[Option, float]]:
    found = []
    for option in OPTIONS:
        if option.most is not None or option.measured is not None:
            value: object = config
            for name in option.path.split("."):
                value = getattr(value, name)
            if isinstance(value, (int, float)):
                found.append((option, float(value)))
    return found


def _suggested(option: Option) -> str:
    return f"{option.suggestions[0]} to {option.suggestions[-1]}"


def _range(measured: tuple[float, float]) -> str:
    return f"{measured[0]:g} to {measured[1]:g}"
