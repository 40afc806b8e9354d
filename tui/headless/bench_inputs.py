"""Inputs of a benchmark: the models and tasks with a reference circuit, and why others are skipped."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from engine.catalog.local_models import find_model
from engine.catalog.planted_models import PLANTED
from engine.errors import ConfigError, ModelError
from engine.measures import MEASURES
from engine.references.ground_truth import (
    LEVEL_WORDS,
    LEVELS,
    GroundTruth,
    Level,
    at_levels,
    check_model,
    known_truths,
    reference_models,
)
from engine.references.published import names_of
from engine.tasks.registry import TASKS, find_task

SkippedInput = tuple[str, str, str]
"""(model, task or empty, reason)."""


DEFAULT_LEVELS: tuple[Level, ...] = ("heads", "edges")


class BenchInputs(msgspec.Struct, frozen=True, kw_only=True):
    """The models and tasks that can be evaluated."""

    truths: dict[tuple[str, str], tuple[GroundTruth, ...]]
    """By model and task."""
    left_out: tuple[SkippedInput, ...]

    @property
    def tasks(self) -> dict[str, list[str]]:
        """The tasks of each model, in the requested order."""
        found: dict[str, list[str]] = {}
        for model, task in self.truths:
            found.setdefault(model, []).append(task)
        return found

    @property
    def edges(self) -> frozenset[tuple[str, str]]:
        """Models and tasks with known edges."""
        return frozenset(key for key, truths in self.truths.items() if any(truth.level == "edges" for truth in truths))

    @property
    def mlps(self) -> frozenset[tuple[str, str]]:
        """Models and tasks whose MLPs are judged, as nodes or as ends of edges."""
        return frozenset(
            key
            for key, truths in self.truths.items()
            if any(truth.level in ("mlps", "nodes") or truth.covers == "all" for truth in truths)
        )


def find_bench_inputs(
    models: Sequence[str] | None,
    tasks: Sequence[str] | None,
    cuts: Sequence[float] | None,
    folder: Path,
    levels: Collection[Level] = DEFAULT_LEVELS,
) -> BenchInputs:
    """Find the references of these models and tasks, None meaning all on this machine. `folder`: the models folder.

    Raises ConfigError and TaskError for unknown names, ConfigError if nothing is left.
    """
    names = [_installed_name(check_model(name), folder) for name in models or ()]
    asked = tuple(dict.fromkeys(names)) if models else reference_models()
    wanted = tuple(dict.fromkeys(find_task(name).name for name in tasks)) if tasks else tuple(TASKS)
    truths: dict[tuple[str, str], tuple[GroundTruth, ...]] = {}
    left_out: list[SkippedInput] = []
    for model in asked:
        where = _folder(model, folder)
        if where is None and model not in PLANTED and not models:
            left_out.append((model, "", "not on this machine (name it with --models to fetch it)"))
            continue
        known = known_truths(model, where, cuts)
        for task in wanted:
            if task in known.truths and (judged := at_levels(known.truths[task], levels)):
                truths[model, task] = judged
            elif task in known.truths:
                unknown = " and ".join(LEVEL_WORDS[level] for level in levels)
                left_out.append((model, task, f"nothing is known about its {unknown}"))
            elif task in known.left_out:
                left_out.append((model, task, known.left_out[task]))
            elif tasks:
                left_out.append((model, task, "no reference"))
    if not truths:
        raise ConfigError(
            "No matching reference circuit: " + "; ".join(format_skipped(left_out)) + ".",
            hint="headcode bench circuits without --models and --tasks uses what is installed.",
        )
    return BenchInputs(truths=truths, left_out=tuple(left_out))


def how_to_install(model: str, folder: Path) -> str:
    """Return how a model with published circuits gets onto a machine without the hub; empty for other models.

    `folder`: the models folder.
    """
    names = names_of(model)
    hub = next((name for name in names if "/" in name), None)
    if hub is None:
        return ""
    return (
        f"Its published circuits need its weights. Where the hub can be reached: headcode models fetch {hub}. Then "
        f"copy that model's folder to {folder / names[0]} on this machine, or get its Hugging Face folder "
        f"(safetensors) and: headcode models import FOLDER --name {names[0]}"
    )


def format_skipped(left_out: Iterable[SkippedInput]) -> list[str]:
    """Format each skipped input as a sentence without a full stop."""
    return [f"{model}{f', {task}' if task else ''}: {why}" for model, task, why in left_out]


def check_measures(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names if all are measures. Raises ConfigError with the list."""
    from engine.analysis.benchmark import RANDOM, measure_names

    there = measure_names()
    known = [RANDOM if name == "baseline_random" else name for name in names]
    for name in known:
        if name not in there:
            raise ConfigError(f"There is no measure {name!r}.", hint=f"Measures: {', '.join(there)}.")
    return tuple(dict.fromkeys(known))


def wants_causes(measures: Sequence[str]) -> bool:
    """Return whether effects have to be measured; no measures means all of them."""
    causes = {measure.id for measure in MEASURES if measure.cause}
    return not measures or bool(causes & set(measures))


def parse_levels(text: str | None) -> tuple[Level, ...] | None:
    """Parse the levels to judge. Raises ConfigError with the list for another one."""
    found: list[Level] = []
    for part in split_list(text, "--level") or ():
        level = next((level for level in LEVELS if level == part), None)
        if level is None:
            raise ConfigError(f"--level {part[:40]}: there is no such level.", hint=f"Levels: {', '.join(LEVELS)}.")
        found.append(level)
    return tuple(dict.fromkeys(found)) or None


def split_list(text: str | None, option: str) -> tuple[str, ...] | None:
    """Split a comma-separated list. Raises ConfigError if it is empty."""
    if text is None:
        return None
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise ConfigError(f"{option} {text!r} is empty.", hint="Give names separated by commas.")
    return parts


def parse_pair_counts(text: str, option: str) -> tuple[int, ...]:
    """Parse numbers of pairs. Raises ConfigError for an invalid one."""
    found = []
    for part in split_list(text, option) or ():
        if not part.isdecimal() or not 1 <= int(part) <= 10_000:
            raise ConfigError(
                f"{option} {text}: {part!r} is not a number of pairs.", hint="Give 1 to 10000, as in 10,25,250."
            )
        found.append(int(part))
    return tuple(dict.fromkeys(found))


def parse_cuts(text: str | None) -> tuple[float, ...] | None:
    """Parse cuts, as shares of the base. Raises ConfigError for an invalid one."""
    found = []
    for part in split_list(text, "--cuts") or ():
        try:
            share = float(part)
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise ConfigError(
                f"--cuts {text}: {part!r} is not a share of the base.", hint="Give values between 0 and 1: .02,.05."
            )
        found.append(share)
    return tuple(found) or None


def _installed_name(model: str, models: Path) -> str:
    """Return the one of the model's names that is on this machine: gpt2 for openai-community/gpt2; else this one."""
    return next((name for name in (model, *names_of(model)) if _folder(name, models) is not None), model)


def _folder(model: str, models: Path) -> Path | None:
    try:
        return find_model(model, models).folder
    except ModelError:
        return None
