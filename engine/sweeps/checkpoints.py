"""Choose checkpoints of a model by name, step, range of steps, or all of them."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from engine.sweeps.values import expand_range, is_range

_SHOWN = 6


class KnownCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint of a model."""

    name: str
    step: int
    folder: str = ""
    """Where it is a model folder of its own; empty: the model's loader finds it by name."""

    def of(self, model: str) -> str:
        """Return the checkpoint of `model` as a run names it."""
        return self.folder or f"{model}@{self.name}"


def choose_checkpoints(
    model: str, wanted: Sequence[str], known: Sequence[KnownCheckpoint]
) -> tuple[KnownCheckpoint, ...]:
    """Return the wanted checkpoints in the order of their steps: `all`, names, steps, or ranges of steps.

    A range takes the checkpoints whose step is in it. A model whose checkpoints are not known is taken to name them as
    Pythia does (`step1000`). Raises ConfigError with those that exist.
    """
    chosen: dict[str, KnownCheckpoint] = {}
    for text in wanted:
        if text == "all":
            found = list(known)
        elif is_range(text):
            steps = [int(step) for step in expand_range(text, axis="--checkpoint", whole=True)]
            there = set(steps)
            found = [each for each in known if each.step in there]
            if not known:
                found = [KnownCheckpoint(name=f"step{step}", step=step) for step in steps]
        elif known:
            found = [each for each in known if text in (each.name, str(each.step))]
        else:
            found = [KnownCheckpoint(name=text, step=-1)]
        if not found:
            raise _unknown(model, text, known)
        chosen |= {each.name: each for each in found}
    return tuple(sorted(chosen.values(), key=lambda each: (each.step, each.name)))


def checkpoint_folders(folder: Path) -> tuple[KnownCheckpoint, ...]:
    """Return the model folders inside a folder, by the number at the end of their names; none if it has none.

    A folder whose name ends in no number has the step -1.
    """
    if not folder.is_dir():
        return ()
    inside = [path for path in folder.iterdir() if not path.name.startswith(".") and (path / "config.json").is_file()]
    found = [KnownCheckpoint(name=path.name, step=step_of(path.name), folder=str(path.resolve())) for path in inside]
    return tuple(sorted(found, key=lambda each: (each.step, each.name)))


def step_of(name: str) -> int:
    """Return the number at the end of a checkpoint's name: 1800 of step-1800; -1 without one."""
    digits = name[len(name.rstrip("0123456789")) :]
    return int(digits) if digits and len(digits) <= 15 else -1


def _unknown(model: str, text: str, known: Sequence[KnownCheckpoint]) -> ConfigError:
    if not known:
        return ConfigError(
            f"The checkpoints of {model} are not known here, so --checkpoint {text} names none.",
            hint="Name them (step1000,step2000), give a range of steps (0..143000:1000), or a folder of model folders.",
        )
    names = [each.name for each in known]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ConfigError(
        f"{model} has no checkpoint {text!r}.", hint=f"It has {', '.join(names[:_SHOWN])}{more}; all takes every one."
    )
