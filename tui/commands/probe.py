"""`headcode probe`: run a probe and print its grid."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.planning.option_table import OPTIONS, find_option
from tui.commands.option_parameters import Chosen, part_of, with_options
from tui.output.cli_options import ColourOption, JsonOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.config import LoadOptions, ProbeConfig
    from tui.headless.run_probe import ProbeOutcome, ProbeRequest

_LONGEST_STEM = 100
"""Characters of a file's name in a session's."""


@with_options(*(option.path for option in OPTIONS))
def probe(
    *,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK|FILE|-",
            help="A ready-made task, a file of examples (JSONL, or lines: + prompt => expected | foil), "
            "or - for stdin. With --session it may be left out.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(
            help="Number of example pairs of a task. [default: as many as one head needs to be significant, using only "
            "pairs the model can do]"
        ),
    ] = None,
    task_seed: Annotated[int | None, typer.Option(help="Seed of the task's examples. [default: 0]")] = None,
    usable: Annotated[
        bool | None,
        typer.Option("--usable", help="Use only task pairs the model can do; pairs are drawn until there are enough."),
    ] = None,
    known: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="Compare your own examples with the known circuit of this task (marked as chosen). By default a known "
            "circuit is used only for examples made by the task.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A set of options: quick, published or thorough. Options given explicitly override it.",
        ),
    ] = None,
    chosen: Chosen,
    measure: Annotated[
        str, typer.Option(help="Measure shown in the printed grid (a field of nodes).")
    ] = "total_variation",
    name: Annotated[str | None, typer.Option(help="Name of the new session.")] = None,
    session: Annotated[str | None, typer.Option(help="Add the run to this session: its name or id.")] = None,
    again: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Repeat this run with its examples and settings: its id, SESSION/2 or latest."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only estimate memory and time, and whether the run fits (exit code 1: it does not)."
        ),
    ] = False,
    as_json: JsonOption = False,
    color: ColourOption = "auto",
    plain: Annotated[bool, typer.Option("--plain", help="No colours, like --color none.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing on stderr while it runs.")] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stop host and worker with this command (batch jobs, CI).")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 2 if the model cannot do some of the examples.")
    ] = False,
) -> None:
    """Find the heads whose codes differ between positive and negative prompts."""
    from engine.measures import find_measure
    from tui.output.console import detect_style, print_json
    from tui.output.progress import make_reporter

    shown = find_measure(measure)
    choice = "none" if plain else color
    output = detect_style(choice)
    model = chosen.get("model")
    config = make_config(chosen, preset=preset)
    if again is not None:
        given = {
            "TASK|FILE": target,
            "--pairs": pairs,
            "--task-seed": task_seed,
            "--usable": usable,
            "--known": known,
            "--name": name,
            "--session": session,
            **{option.flag: chosen.get(option.path) for option in OPTIONS if option.group == "Machine"},
        }
        request = make_again(again, config, given, foreground=foreground)
    else:
        request = make_request(
            target,
            model=model,
            pairs=pairs,
            task_seed=task_seed,
            usable=bool(usable),
            known=known,
            config=config,
            session=session,
            name=name,
            loading=make_loading(chosen),
            foreground=foreground,
        )
    if dry_run:
        from tui.headless.dry_run import print_preflight

        print_preflight(request, as_json=as_json)
        return
    with make_reporter(quiet=quiet, color=choice) as reporter:
        outcome = run_now(request, reporter)
    if as_json:
        from tui.output.json import probe_json

        print_json(probe_json(outcome.picture, outcome.run))
    else:
        from tui.output.run import labels_of, print_run

        print_run(outcome.picture, labels_of(outcome.session, outcome.run), measure=shown, output=output)
    if strict:
        refuse_broken(outcome)


def run_now(request: "ProbeRequest", reporter: "object") -> "ProbeOutcome":
    """Run the request on this store's host until it has finished."""
    import asyncio

    from engine.machine.folders import find_folders
    from tui.headless.run_probe import run_probe

    return asyncio.run(run_probe(find_folders(), request, reporter))  # type: ignore[arg-type]


def make_config(chosen: Chosen | None = None, *, preset: str | None = None) -> "ProbeConfig":
    """Return the config: what was chosen, else the preset's values, else the recipe's. Raises ConfigError."""
    import msgspec

    from engine.config import DEFAULTS, EffectsConfig, ProbeConfig, check_smallest, find_recipe
    from engine.errors import ConfigError
    from engine.planning.option_text import read_seeds
    from engine.planning.presets import find_preset

    given = dict(chosen or {})
    recipe = given.pop("sae.recipe", None)
    base = msgspec.structs.replace(DEFAULTS, sae=find_recipe(recipe))
    if preset is not None:
        base = find_preset(preset).config
        if recipe not in (None, base.sae.recipe):
            raise ConfigError(
                f"--preset {preset} uses the {base.sae.recipe} recipe, and --recipe {recipe} was given too.",
                hint="Give only one of them.",
            )
    if "seeds" in given:
        given["seeds"] = read_seeds(given["seeds"])
    own = {path: value for path, value in given.items() if path in ProbeConfig.__struct_fields__}
    own["sae"] = msgspec.structs.replace(base.sae, **part_of(given, "sae"))
    effects = part_of(given, "cause")
    method = effects.pop("method", None)
    if method is None and base.cause.method != "none" and effects:
        method = base.cause.method
    if method in (None, "none") and effects:
        raise ConfigError(
            f"{find_option(f'cause.{next(iter(effects))}').flag} configures effects, but none are measured.",
            hint="Add --cause attribution, exact, combined or circuit.",
        )
    if method is not None:
        own["cause"] = msgspec.structs.replace(
            base.cause if method != "none" else EffectsConfig(), method=method, **effects
        )
        check_smallest(own["cause"])
    return msgspec.structs.replace(base, **own)


def make_loading(chosen: Chosen) -> "LoadOptions":
    """Return how the model is to be loaded. Raises ConfigError."""
    from engine.catalog.device_maps import read_max_memory
    from engine.config import LoadOptions
    from engine.planning.option_text import read_map

    given = {name: chosen[name] for name in LoadOptions.__struct_fields__ if name in chosen}
    if "device_map" in given:
        given["device_map"] = read_map(given["device_map"])
    read_max_memory(given.get("max_memory", ""))
    return LoadOptions(**given)


def name_from_file(target: str) -> str | None:
    """Return the name that a session of a file's examples gets; None for stdin and pipes, which have none."""
    from pathlib import Path

    stem = Path(target).stem[:_LONGEST_STEM]
    return stem if Path(target).is_file() and any(map(str.isalnum, stem)) else None


def make_request(
    target: str | None,
    *,
    model: str | None,
    pairs: int | None,
    task_seed: int | None,
    usable: bool = False,
    known: str | None = None,
    config: "ProbeConfig",
    session: str | None,
    name: str | None = None,
    loading: "LoadOptions | None" = None,
    foreground: bool = False,
) -> "ProbeRequest":
    """Return the request. Raises on everything that can be checked before torch is loaded."""
    from engine.catalog.planted_models import PLANTED
    from engine.config import load_fields
    from engine.errors import ConfigError, TaskError
    from engine.examples import Example, check_set
    from tui.headless.read_examples import load_examples, looks_like_file
    from tui.headless.run_probe import ProbeRequest

    if target in PLANTED:  # a planted model's name also selects the task it was made for
        model, target = model or target, PLANTED[target].tasks[0]
    task: str | None = None
    examples: tuple[Example, ...] = ()
    if target is None:
        if session is None:
            raise ConfigError("Nothing to probe.", hint="Give a task (headcode tasks), a file, or --session.")
    else:
        from engine.tasks.registry import TASKS, find_task

        if target in TASKS or not looks_like_file(target):
            try:
                task = find_task(target).name
            except TaskError as error:
                raise TaskError(f"{error.message[:-1]}, and there is no such file.", hint=error.hint) from error
        else:
            examples = load_examples(target)
            check_set(examples)
            if name is None and session is None:
                name = name_from_file(target)
    if known is not None:
        from engine.tasks.registry import find_task

        known = find_task(known).name
    if session is not None and name is not None:
        raise ConfigError("--name is for a new session, --session for an existing one.", hint="Give only one of them.")
    if task is None or session is not None:
        for option, value in (("--pairs", pairs), ("--task-seed", task_seed), ("--usable", usable or None)):
            if value is not None:
                raise ConfigError(
                    f"{option}{'' if value is True else f' {value}'} cannot be used: the examples already exist.",
                    hint="It applies only to ready-made tasks.",
                )
    if pairs is not None and pairs < 1:
        raise ConfigError(
            f"--pairs {pairs} is less than 1.",
            hint="Without --pairs a task makes as many pairs as one head needs to be significant.",
        )
    return ProbeRequest(
        model=model_name(model) if model is not None else None,
        task=task,
        examples=examples,
        pairs=pairs or 0,
        task_seed=task_seed or 0,
        usable=usable,
        known=known,
        config=config,
        session=session,
        name=name,
        **({} if loading is None else load_fields(loading)),
        foreground=foreground,
    )


def make_again(
    run: str, config: "ProbeConfig", given: "Mapping[str, object]", *, foreground: bool = False
) -> "ProbeRequest":
    """Return a request to repeat a run. Raises ConfigError if an option of that run was given."""
    from engine.errors import ConfigError
    from tui.headless.run_probe import ProbeRequest

    settings = {"a setting": None if config == make_config() else config}
    for option, value in ({**given, **settings}).items():
        if value is not None:
            raise ConfigError(
                f"--again {run} uses the settings of that run and cannot be combined with {option}.",
                hint=f"Omit it; for other settings: headcode probe --session {run.partition('/')[0]}",
            )
    return ProbeRequest(model=None, again=run, foreground=foreground)


def model_name(given: str) -> str:
    """Return the model's name for the host; a folder as an absolute path, as the host runs in another folder.

    Raises ModelError if there is no such model.
    """
    from engine.catalog.local_models import find_model
    from engine.machine.folders import find_folders

    source = find_model(given, find_folders().models)
    return str(source.folder) if source.origin == "folder" else source.name


def refuse_broken(outcome: "ProbeOutcome") -> None:
    """Raise ExampleError if the model could not do some of the examples."""
    from engine.errors import ExampleError

    finished = outcome.picture.finished
    if finished is not None and finished.examples.broken:
        broken = [grade for grade in outcome.picture.grades if grade.verdict == "broken"]
        first = f" Example {broken[0].index + 1}: {broken[0].reason}." if broken else ""
        raise ExampleError(
            f"{finished.examples.broken} of {finished.examples.positive + finished.examples.negative} examples "
            f"are broken.{first}",
            hint="Change or disable them; without --strict the run succeeds.",
        )
