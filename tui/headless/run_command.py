"""A stored run as the command line that makes it again."""

import re
import shlex
from pathlib import Path

import msgspec

from engine.config import load_fields
from engine.examples import write_jsonl
from engine.planning.option_table import Option
from engine.planning.option_text import format_value
from engine.planning.run_options import RunOptions, changed_options, value_of, with_open_lambda
from tui.headless.stored_run import StoredRun


class RunCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The command of a run."""

    line: str
    """The command line."""
    file: str = ""
    """The examples that it reads, a file in the current folder; empty: the task makes them."""
    export: str = ""
    """The command that writes that file from the store."""

    @property
    def text(self) -> str:
        """All lines to type."""
        return "\n".join(filter(None, (self.export, self.line)))


def run_command(facts: StoredRun, models: Path) -> RunCommand:
    """Return the command, with the options that differ from their defaults.

    A task's examples are named by their number and seed; others, and those of a session that has been edited, by a file
    that is exported. `models`: the folder of fetched models, for what a model recommends.
    """
    created, task = facts.created, facts.picture.task
    words = ["headcode", "probe"]
    file = export = ""
    if task is not None and created is not None and facts.as_created:
        words.append(task)
        if created.pairs:
            words += ["--pairs", str(created.pairs)]
            # With or without --usable, these are the first pairs; with it, also where the task had made others.
            words += ["--usable"] if _all_usable(facts) else []
        words += ["--task-seed", str(created.task_seed)] if created.task_seed else []
    else:
        file = file_name(facts, ".jsonl")
        export = shlex.join(["headcode", "export", facts.name, file])
        words.append(file)
    queued = facts.queued
    if queued is not None and queued.known is not None:
        words += ["--known", queued.known]
    for option in changed(facts, models):
        words += _flag(option, value_of(options_of(facts), option.path))
    return RunCommand(line=shlex.join(words), file=file, export=export)


def options_of(facts: StoredRun) -> RunOptions:
    """Return the options of the run. Trust in a model's own code is not among them: it is given each time."""
    loading = load_fields(facts.queued, trusted=False) if facts.queued is not None else {}
    return RunOptions(config=facts.run.config, model=facts.run.model, **loading)


def changed(facts: StoredRun, models: Path) -> tuple[Option, ...]:
    """Return the options that a command has to name: all that are not what a new run has by itself."""
    options = with_open_lambda(options_of(facts), models)
    found = changed_options(options, model=RunOptions().model, models=models)
    return tuple(
        option for option in found if option.path != "sae.sparsity" or value_of(options, option.path) is not None
    )


def examples_text(facts: StoredRun) -> str:
    """Return the run's examples as JSONL."""
    return write_jsonl(facts.picture.examples)


def file_name(facts: StoredRun, suffix: str) -> str:
    """Return a file name for the run that is valid on every file system."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", facts.session.name).strip("-.")[:60] or "run"
    return f"{plain}-{facts.run.number}{suffix}"


def _flag(option: Option, value: object) -> list[str]:
    """Return the flag with its value as `headcode probe` takes it."""
    on, _, off = option.flag.partition("/")
    if isinstance(value, bool):
        return [on if value else off] if value or off else []
    text = (
        ",".join(map(str, value)) + "," * (len(value) == 1) if isinstance(value, tuple) else format_value(option, value)
    )
    return [on, repr(value) if isinstance(value, float) else text]


def _all_usable(facts: StoredRun) -> bool:
    """Return True if the model can do all pairs, as engine.grading.usable_pairs judges it."""
    examples, grades = facts.picture.examples, facts.picture.grades
    good = {True: ("ok",), False: ("ok", "weak")}
    return bool(grades) and all(grade.verdict in good[examples[grade.index].positive] for grade in grades)
