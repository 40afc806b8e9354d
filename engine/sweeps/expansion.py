"""Expand a specification into units: every combination of its values, with labels and content keys."""

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Protocol

import msgspec

from engine.catalog.checkpoint_folders import Checkpoint
from engine.catalog.local_models import BUNDLED, find_model, model_identity
from engine.catalog.recommended_config import resolve_config
from engine.errors import ConfigError
from engine.examples import Example, check_set, content_hash
from engine.planning.option_checks import check_options
from engine.planning.option_table import Option
from engine.planning.option_text import format_value, read_value
from engine.planning.run_options import RunOptions, value_of, with_value
from engine.sweeps.axes import option_word
from engine.sweeps.checkpoints import choose_checkpoints
from engine.sweeps.content_key import DecisiveVersions, content_key, content_of, installed_versions
from engine.sweeps.plan import MAX_UNITS, ExampleSource, Labels, PlannedUnit, SweepPlan
from engine.sweeps.spec import SweepSpec, options_given
from engine.tasks.registry import find_task

_MAX_NAME = 120
CHECKPOINT_PAIRS = 48
"""Pairs of a task at every checkpoint, unless --pairs is given.

Otherwise a run draws pairs that its model can do, so that each checkpoint would have others, and be right on all.
"""


class SweepInputs(Protocol):
    """What an expansion reads of this machine."""

    models: Path
    """Folder of fetched models."""

    def examples(self, name: str) -> tuple[Example, ...]:
        """Return the examples of a file. Raises ExampleError."""
        ...

    def checkpoints(self, model: str) -> Sequence[Checkpoint]:
        """Return the checkpoints of a model, in the order of their steps; none if they are not known."""
        ...


class _Model(msgspec.Struct, frozen=True):
    name: str
    """As a run names it, with its checkpoint."""
    labels: Labels
    identity: str


def expand(spec: SweepSpec, inputs: SweepInputs, versions: DecisiveVersions | None = None) -> SweepPlan:
    """Return the sweep: every combination of values once, units of one model together.

    Raises ConfigError, TaskError, ExampleError or ModelError for the first value that cannot be used, before anything
    runs.
    """
    versions = installed_versions() if versions is None else versions
    sources = _sources(spec, inputs)
    draws = _draws(spec, sources)
    given = options_given(spec)
    _refuse_many(spec, len(sources), len(draws), given)
    models = _models(spec, inputs)
    settings = list(_settings(given, inputs.models))
    _refuse_idle_effects(given, [options for options, _ in settings])
    number = len(models) * len(settings) * sum(len(draws) if source.task else 1 for source in sources)
    _refuse_more(number)
    options: dict[RunOptions, int] = {}
    units: list[PlannedUnit] = []
    for model in models:
        for setting, labels in settings:
            config = resolve_config(setting.config, model.name, inputs.models)
            own = msgspec.structs.replace(setting, config=config)
            place = options.setdefault(own, len(options))
            for number, source in enumerate(sources):
                for draw in draws if source.task else (0,):
                    content = content_of(source, own, draw=draw, identity=model.identity, versions=versions)
                    drawn: Labels = (("draw", str(draw)),) if "draws" in spec.axes and source.task else ()
                    kind = "task" if source.task else "examples"
                    units.append(
                        PlannedUnit(
                            key=content_key(content),
                            labels=((kind, source.label), *model.labels, *drawn, *labels),
                            model=model.name,
                            source=number,
                            options=place,
                            draw=draw,
                        )
                    )
    name = spec.name or _made_up(sources, models)
    return SweepPlan(name=name, sources=tuple(sources), options=tuple(options), units=tuple(units))


def _sources(spec: SweepSpec, inputs: SweepInputs) -> list[ExampleSource]:
    same = "checkpoint" in spec.axes and not spec.usable
    pairs = spec.pairs or (CHECKPOINT_PAIRS if same else 0)
    found = [
        ExampleSource(label=find_task(name).name, task=find_task(name).name, pairs=pairs, usable=spec.usable)
        for name in spec.axes.get("task", ())
    ]
    files = spec.axes.get("examples", ())
    for name, label in zip(files, _short_labels(files, paths=True), strict=True):
        examples = check_set(inputs.examples(name))
        found.append(ExampleSource(label=label, examples=examples, content_hash=content_hash(examples)))
    if not found:
        raise ConfigError("A sweep needs examples.", hint="Give --task ioi (headcode tasks) or --examples FILE.")
    return found


def _draws(spec: SweepSpec, sources: Sequence[ExampleSource]) -> tuple[int, ...]:
    given = spec.axes.get("draws", ("0",))
    only_files = [source.label for source in sources if source.task is None]
    if len(sources) == len(only_files):
        for flag, value in (("--draws", "draws" in spec.axes), ("--pairs", spec.pairs), ("--usable", spec.usable)):
            if value:
                raise ConfigError(
                    f"{flag} cannot be used: {only_files[0]} has its examples already.",
                    hint="It applies only to ready-made tasks: --task.",
                )
    return tuple(int(draw) for draw in given)


def _models(spec: SweepSpec, inputs: SweepInputs) -> list[_Model]:
    given = spec.axes.get("model", (BUNDLED,))
    wanted = spec.axes.get("checkpoint", ())
    found: list[_Model] = []
    names = [_resolved(name, inputs.models, folders=bool(wanted)) for name in given]
    for name, label in zip(names, _short_labels(names, paths=False), strict=True):
        if not wanted:
            found.append(_Model(name, (("model", label),), identity_of(name, inputs.models)))
            continue
        for checkpoint in choose_checkpoints(label, wanted, inputs.checkpoints(name)):
            at = f"{name}@{checkpoint.name}"
            labels: Labels = (("model", label), ("checkpoint", checkpoint.name))
            found.append(_Model(at, labels, identity_of(at, inputs.models)))
    return found


def identity_of(model: str, models: Path) -> str:
    """Return the identity of a model's files; the name, where they are not on this machine. Raises ModelError."""
    source = find_model(model, models)
    return model_identity(source.folder) if source.folder is not None else f"name:{source.name}"


def _resolved(name: str, models: Path, *, folders: bool) -> str:
    """Return the model as a run on this machine names it: a folder by its absolute path. Raises ModelError."""
    if folders and Path(name).expanduser().is_dir() and not (Path(name).expanduser() / "config.json").is_file():
        return str(Path(name).expanduser().resolve())  # a folder of checkpoints
    source = find_model(name, models)
    return str(source.folder) if source.origin == "folder" else source.name


def _settings(given: Sequence[tuple[Option, tuple[str, ...]]], models: Path) -> Iterable[tuple[RunOptions, Labels]]:
    """Yield the options of every combination, with their labels."""
    for values in itertools.product(*(texts for _, texts in given)):
        options = RunOptions()
        # The recipe comes first: it moves the values that are its own.
        pairs = sorted(zip((option for option, _ in given), values, strict=True), key=_recipe_first)
        for option, text in pairs:
            options = with_value(options, option.path, read_value(option, text, models))
        check_options(options.config)
        yield options, tuple((option_word(option), label_of(options, option)) for option, _ in given)


def _recipe_first(pair: tuple[Option, str]) -> bool:
    return pair[0].path != "sae.recipe"


def label_of(options: RunOptions, option: Option) -> str:
    """Return the value of an option as a label: seeds one by one, numbers without an exponent."""
    value = value_of(options, option.path)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return format_value(option, value)


def _refuse_idle_effects(given: Sequence[tuple[Option, tuple[str, ...]]], options: Sequence[RunOptions]) -> None:
    effects = [option for option, _ in given if option.path.startswith("cause.") and option.path != "cause.method"]
    if effects and all(each.config.cause.method == "none" for each in options):
        raise ConfigError(
            f"{effects[0].flag} configures effects, but none are measured.",
            hint="Add --cause attribution, exact, combined or circuit.",
        )


def _refuse_many(spec: SweepSpec, sources: int, draws: int, given: Sequence[tuple[Option, tuple[str, ...]]]) -> None:
    """Refuse too many combinations before any of them is made."""
    counts = [sources, draws, len(spec.axes.get("model", ("",))), *(len(texts) for _, texts in given)]
    _refuse_more(math.prod(counts))


def _refuse_more(number: int) -> None:
    if number > MAX_UNITS:
        raise ConfigError(
            f"The axes make {number} units; {MAX_UNITS} are the maximum.", hint="Shorten a range, or sweep in parts."
        )


def _short_labels(names: Sequence[str], *, paths: bool) -> list[str]:
    """Return the last part of each path, or all of it where two would be the same.

    Not `paths`: only what begins like a path is one.
    """
    short = [(PurePath(name).name or name) if paths or name.startswith(("/", "~", ".")) else name for name in names]
    return [label if short.count(label) == 1 else name for label, name in zip(short, names, strict=True)]


def _made_up(sources: Sequence[ExampleSource], models: Sequence[_Model]) -> str:
    """Return a name for a sweep without one: its examples and models."""
    listed = list(dict.fromkeys(dict(model.labels)["model"] for model in models))
    return f"{_some([source.label for source in sources])} on {_some(listed)}"[:_MAX_NAME]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{', '.join(names[:2])} and {len(names) - 2} more"
