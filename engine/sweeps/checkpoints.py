"""Choose checkpoints of a model by name, step, range of steps, or all of them."""

from collections.abc import Sequence

from engine.catalog.checkpoint_folders import Checkpoint
from engine.errors import ConfigError
from engine.sweeps.values import expand_range, is_range

_SHOWN = 6


def choose_checkpoints(model: str, wanted: Sequence[str], known: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Return the wanted checkpoints in the order of their steps: `all`, names, steps, or ranges of steps.

    A range takes the checkpoints whose step is in it. A model whose checkpoints are not known is taken to name them as
    Pythia does (`step1000`). Raises ConfigError with those that exist.
    """
    chosen: dict[str, Checkpoint] = {}
    for text in wanted:
        if text == "all":
            found = list(known)
        elif is_range(text):
            steps = [int(step) for step in expand_range(text, axis="--checkpoint", whole=True)]
            there = set(steps)
            found = [each for each in known if each.step in there]
            if not known:
                found = [Checkpoint(name=f"step{step}", step=step) for step in steps]
        elif known:
            found = [each for each in known if text in (each.name, str(each.step))]
        else:
            found = [Checkpoint(name=text, step=None)]
        if not found:
            raise _unknown(model, text, known)
        chosen |= {each.name: each for each in found}
    return tuple(sorted(chosen.values(), key=lambda each: (-1 if each.step is None else each.step, each.name)))


def _unknown(model: str, text: str, known: Sequence[Checkpoint]) -> ConfigError:
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
