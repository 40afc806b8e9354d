"""Folders that hold a model folder per checkpoint, and names with a checkpoint: model@step1000."""

from pathlib import Path

import msgspec

from engine.errors import ModelError

_MOST_DIGITS = 15
_SHOWN = 8


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint of a model."""

    name: str
    """What follows the @ in a model's name: adder@250, EleutherAI/pythia-70m@step1000, ./runs@checkpoint-500."""
    step: int | None
    """Optimiser steps until it; None if its name does not end in a number."""


def split_checkpoint(name: str) -> tuple[str, str]:
    """Return a model's name and its checkpoint's, which is empty without one."""
    model, _, checkpoint = name.rpartition("@")
    return (model, checkpoint) if model and checkpoint else (name, "")


def step_of(name: str) -> int | None:
    """Return the number at the end of a checkpoint's name: 500 of checkpoint-500; None without one."""
    digits = name[len(name.rstrip("0123456789")) :]
    return int(digits) if digits.isascii() and 0 < len(digits) <= _MOST_DIGITS else None


def checkpoints_in(folder: Path) -> tuple[tuple[Checkpoint, Path], ...]:
    """Return the model folders inside a folder whose names end in a number, by that number; empty if there are none."""
    if not folder.is_dir() or (folder / "config.json").exists():
        return ()
    found = [
        (Checkpoint(name=path.name, step=step), path)
        for path in folder.iterdir()
        if not path.name.startswith(".") and (step := step_of(path.name)) is not None
        if (path / "config.json").is_file()
    ]
    return tuple(sorted(found, key=lambda each: (each[0].step or 0, each[0].name)))


def checkpoint_folder(model: str, folder: Path, checkpoint: str) -> Path:
    """Return the folder of a checkpoint, by its name or its step; empty: of the last one.

    Raises ModelError with those that exist.
    """
    known = checkpoints_in(folder)
    if not known:
        raise ModelError(
            f"{model} has no checkpoints: {folder} holds no model folders.",
            hint="A folder of checkpoints has a folder for each: step1000/, step2000/, or checkpoint-500/.",
        )
    if not checkpoint:
        return known[-1][1]
    step = int(checkpoint) if checkpoint.isascii() and checkpoint.isdecimal() else None
    found = [path for each, path in known if each.name == checkpoint or (step is not None and each.step == step)]
    if len(found) != 1:
        what = f"has no checkpoint {checkpoint!r}" if not found else f"has {len(found)} checkpoints of step {step}"
        raise ModelError(f"{model} {what}.", hint=f"It has {format_checkpoints([each for each, _ in known])}.")
    return found[0]


def format_checkpoints(known: list[Checkpoint]) -> str:
    """Return the names in a line, shortened in the middle."""
    names = [each.name for each in known]
    if len(names) <= 2 * _SHOWN:
        return ", ".join(names)
    return ", ".join([*names[:_SHOWN], f"... ({len(names)} in all)", names[-1]])
