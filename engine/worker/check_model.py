"""`python -m engine.worker.check_model NAME [--device auto] [--dtype bfloat16]`: check one model; JSON lines on stdout.

Started by `headcode models check`. The last line is a CheckDone or a CheckFailed.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import torch

from engine.catalog.check_report import (
    AnyCheckMessage,
    CheckDone,
    CheckFailed,
    CheckStarted,
    ModelCheck,
    ModelCheckReport,
    installed_versions,
    store_report,
)
from engine.config import Dtype, LoadOptions
from engine.errors import ConfigError, EngineError, HeadcodeError, TaskError
from engine.examples import Example
from engine.machine.folders import find_folders
from engine.models.loading import Model, load_model
from engine.tasks.registry import TASKS
from engine.worker.model_checks import CheckInputs, all_checks

DTYPES: tuple[Dtype, ...] = ("bfloat16", "float16", "float32")
_PAIRS = 10
_PLAIN_TOKENS = 12


def check_model(model: Model, dtype: Dtype, started: "Started") -> ModelCheckReport:
    """Return the report of all checks; `started` is called as each begins."""
    begun, inputs = time.perf_counter(), make_inputs(model, dtype)
    checks: list[ModelCheck] = []
    planned = all_checks()
    for done, (title, check) in enumerate(planned):
        started(CheckStarted(what=title, done=done, total=len(planned)))
        checks.append(check(inputs))
    return ModelCheckReport(
        model=model.info.name,
        identity=model.info.identity,
        device=str(model.device),
        dtype=dtype,
        versions=installed_versions(),
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=round(time.perf_counter() - begun, 1),
        checks=tuple(checks),
    )


def make_inputs(model: Model, dtype: Dtype) -> CheckInputs:
    """Return the prompts of the checks: pairs of the first ready-made task that the tokenizer can express."""
    examples, task = _task_examples(model)
    if examples:
        one, other = (tuple(model.encode(example.prompt)[0]) for example in examples[:2])
    else:
        # No words that are single tokens: any tokens will do for what needs no answers.
        n = min(_PLAIN_TOKENS, model.info.context)
        one, other = (tuple((7 * place + start) % model.info.vocabulary for place in range(n)) for start in (0, 3))
    return CheckInputs(model=model, rows=(one, other), examples=examples, task=task, dtype=dtype)


def _task_examples(model: Model) -> tuple[tuple[Example, ...], str]:
    for name, task in TASKS.items():
        try:
            examples = task.make(model, pairs=_PAIRS)
        except TaskError:
            continue
        if max(len(model.encode(each.prompt)[0]) for each in examples) <= model.info.context:
            return examples, name
    return (), ""


class Started:
    """Writes messages on stdout as lines of JSON."""

    def __init__(self) -> None:
        # Libraries print on stdout, which is for messages only.
        self.out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    def __call__(self, message: AnyCheckMessage) -> None:
        self.out.write(msgspec.json.encode(message) + b"\n")
        self.out.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the model, store the report and write it; return 0, or the exit code of the failure."""
    parser = argparse.ArgumentParser(prog="python -m engine.worker.check_model")
    parser.add_argument("name")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default=DTYPES[0])
    given = parser.parse_args(arguments)
    write = Started()
    try:
        if given.dtype not in DTYPES:
            raise ConfigError(f"--dtype {given.dtype!r} is no number format.", hint=f"There are: {', '.join(DTYPES)}.")
        models = find_folders().models
        write(CheckStarted(what="loading"))
        model = load_model(given.name, models, LoadOptions(device=given.device, dtype="float32"))
        report = check_model(model, given.dtype, write)
        not_stored = ""
        try:
            store_report(report, model.folder, models)
        except OSError as error:  # what was found is still shown
            not_stored = error.strerror or str(error)
        write(CheckDone(report=report, folder=str(model.folder), not_stored=not_stored))
    except HeadcodeError as error:
        write(CheckFailed(failure=error.as_failure()))
        return 1
    except OSError as error:
        failure = EngineError(f"The system reported: {error.strerror or error}.").as_failure()
        write(CheckFailed(failure=failure))
        return 1
    return 0


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    sys.exit(main())
