"""`headcode probe`: from prompts to a grid, in one command."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.options import ColourOption, JsonOption, read_seeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.config import CauseConfig, ProbeConfig
    from tui.commands.running import Outcome, ProbeOrder


def probe(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK|FILE|-",
            help="A ready-made task, a file of examples (JSONL, or lines: + prompt => expected | foil), "
            "or - for stdin. With --session it may be left out.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Bundled or fetched model, a Hugging Face folder, or a hub name. [default: toy]"),
    ] = None,
    pairs: Annotated[int | None, typer.Option(help="Pairs of examples a task makes. [default: 10]")] = None,
    task_seed: Annotated[int | None, typer.Option(help="Which examples a task makes. [default: 0]")] = None,
    seeds: Annotated[str, typer.Option(help="How many SAEs (3), or their seeds (4,8,15).")] = "3",
    recipe: Annotated[
        str | None,
        typer.Option(
            help="contrast: what sets an example apart from its pair. published: as in the paper. [default: contrast]"
        ),
    ] = None,
    codes: Annotated[int | None, typer.Option(help="Codes each SAE has.")] = None,
    sparsity: Annotated[
        float | None,
        typer.Option("--lambda", help="Weight of the L1 term. [default: 0.5; published: the model's own, else 0.2]"),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps at most.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Adam's step size.")] = None,
    train_examples: Annotated[int | None, typer.Option(help="Examples the SAEs are trained on.")] = None,
    position: Annotated[str | None, typer.Option(help="mean, last, at:N or token:TEXT.")] = None,
    shuffles: Annotated[int | None, typer.Option(help="Label shuffles behind p and q; 0 skips them.")] = None,
    circuit_size: Annotated[int | None, typer.Option(help="Heads in the circuit by rank.")] = None,
    theta: Annotated[float | None, typer.Option(help="Softmax share that makes a circuit.")] = None,
    measure: Annotated[str, typer.Option(help="What the printed grid shows: a field of nodes.")] = "unique_positive",
    cause: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Also change the model: attribution (one gradient), exact (every head replaced), "
            "combined (both, within --budget) or circuit (combined, then the circuit is checked whole).",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="What effects are measured in: logit_difference, log_probability, probability_mass, kl."),
    ] = None,
    replace: Annotated[
        str | None, typer.Option(help="What heads are replaced by: pair, mean, resample, zero. [default: pair]")
    ] = None,
    cause_edges: Annotated[
        bool, typer.Option("--cause-edges", help="With --cause: also what heads do through single later heads.")
    ] = False,
    budget: Annotated[float | None, typer.Option(help="Forward passes that combined may cost. [default: 30]")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new session.")] = None,
    session: Annotated[str | None, typer.Option(help="Add the run to this session: its name or id.")] = None,
    again: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="That run once more, with its own examples and settings: its id, SESSION/2 or latest."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    as_json: JsonOption = False,
    color: ColourOption = "auto",
    plain: Annotated[bool, typer.Option("--plain", help="No colours: the same as --color none.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr while it runs.")] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Host and worker end with this command (batch jobs, CI).")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let a model run code of its own from the hub.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 2 when the model cannot do some examples.")] = False,
) -> None:
    """Find the heads that say on the positives what they never say on the negatives."""
    from engine.measures import find_measure
    from tui.output import find_paper, print_json
    from tui.output_progress import make_narrator

    shown = find_measure(measure)
    choice = "none" if plain else color
    paper = find_paper(choice)
    config = make_config(
        seeds=seeds,
        recipe=recipe,
        n_codes=codes,
        sparsity=sparsity,
        steps=steps,
        learning_rate=learning_rate,
        training_examples=train_examples,
        position=position,
        shuffles=shuffles,
        circuit_size=circuit_size,
        theta=theta,
        cause=make_cause(cause, metric=metric, replacement=replace, budget=budget, edges=cause_edges or None),
    )
    if again is not None:
        given = {
            "TASK|FILE": target,
            "--model": model,
            "--pairs": pairs,
            "--task-seed": task_seed,
            "--name": name,
            "--session": session,
        }
        order = make_again(again, config, given, foreground=foreground)
    else:
        order = make_order(
            target,
            model=model,
            pairs=pairs,
            task_seed=task_seed,
            config=config,
            session=session,
            name=name,
            device=device,
            trust_remote_code=trust_remote_code,
            foreground=foreground,
        )
    with make_narrator(quiet=quiet, color=choice) as narrator:
        outcome = run_now(order, narrator)
    if as_json:
        from tui.output_json import probe_json

        print_json(probe_json(outcome.picture, outcome.run))
    else:
        from tui.output_probe import labels_of, print_run

        print_run(outcome.picture, labels_of(outcome.session, outcome.run), measure=shown, paper=paper)
    if strict:
        refuse_broken(outcome)


def run_now(order: "ProbeOrder", narrator: "object") -> "Outcome":
    """Runs the order over the host of this store, to its end."""
    import asyncio

    from engine.places import find_places
    from tui.commands.running import run_probe

    return asyncio.run(run_probe(find_places(), order, narrator))  # type: ignore[arg-type]


def make_config(
    *,
    seeds: str = "3",
    recipe: str | None = None,
    position: str | None = None,
    shuffles: int | None = None,
    circuit_size: int | None = None,
    theta: float | None = None,
    cause: "CauseConfig | None" = None,
    **sae: float | None,
) -> "ProbeConfig":
    """The config with the recipe's own defaults wherever nothing was given. Raises ConfigError."""
    import msgspec

    from engine.config import ProbeConfig, find_recipe

    given: dict[str, object] = {"seeds": read_seeds(seeds)}
    given["sae"] = msgspec.structs.replace(
        find_recipe(recipe), **{key: value for key, value in sae.items() if value is not None}
    )
    options = {"position": position, "shuffles": shuffles, "circuit_size": circuit_size, "theta": theta, "cause": cause}
    given.update({key: value for key, value in options.items() if value is not None})
    return msgspec.structs.replace(ProbeConfig(), **given)


def make_cause(method: str | None, **how: object) -> "CauseConfig | None":
    """What was asked of the heads' effects; None: nothing. Raises ConfigError."""
    import msgspec

    from engine.config import CauseConfig
    from engine.errors import ConfigError

    given = {name: value for name, value in how.items() if value is not None}
    if method is None or method == "none":
        if given:
            options = {"metric": "--metric", "replacement": "--replace", "budget": "--budget", "edges": "--cause-edges"}
            raise ConfigError(
                f"{options[next(iter(given))]} says how a cause is measured, and none is asked for.",
                hint="Add --cause attribution, exact, combined or circuit.",
            )
        return None
    return msgspec.structs.replace(CauseConfig(), method=method, **given)


def make_order(
    target: str | None,
    *,
    model: str | None,
    pairs: int | None,
    task_seed: int | None,
    config: "ProbeConfig",
    session: str | None,
    name: str | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    foreground: bool = False,
) -> "ProbeOrder":
    """What to run, with everything refused that can be seen to be wrong from here, before torch is loaded."""
    from engine.errors import ConfigError, TaskError
    from engine.examples import Example, check_set
    from tui.commands.reading import load_examples, looks_like_file
    from tui.commands.running import ProbeOrder

    task: str | None = None
    examples: tuple[Example, ...] = ()
    if target is None:
        if session is None:
            raise ConfigError("There is nothing to probe.", hint="Give a task (headcode tasks), a file, or --session.")
    else:
        from engine.tasks.registry import TASKS, find_task

        if target in TASKS or not looks_like_file(target):
            try:
                task = find_task(target).name
            except TaskError as error:
                raise TaskError(f"{error.message[:-1]}, and no such file.", hint=error.hint) from error
        else:
            examples = load_examples(target)
            check_set(examples)
    if session is not None and name is not None:
        raise ConfigError("--name names a new session, --session an old one: give one.", hint="Leave one of them out.")
    if task is None or session is not None:
        for option, value in (("--pairs", pairs), ("--task-seed", task_seed)):
            if value is not None:
                raise ConfigError(
                    f"{option} {value}: the examples are there already.", hint="It is for a ready-made task."
                )
    if pairs is not None and pairs < 1:
        raise ConfigError(f"--pairs {pairs}: a task makes at least one pair.", hint="10 is the default.")
    return ProbeOrder(
        model=model_name(model) if model is not None else None,
        task=task,
        examples=examples,
        pairs=10 if pairs is None else pairs,
        task_seed=task_seed or 0,
        config=config,
        session=session,
        name=name,
        device=device,
        trust_remote_code=trust_remote_code,
        foreground=foreground,
    )


def make_again(
    run: str, config: "ProbeConfig", given: "Mapping[str, object]", *, foreground: bool = False
) -> "ProbeOrder":
    """A run once more. Raises ConfigError where something was given that it has of its own."""
    from engine.errors import ConfigError
    from tui.commands.running import ProbeOrder

    settings = {"a setting": None if config == make_config() else config}
    for option, value in ({**given, **settings}).items():
        if value is not None:
            raise ConfigError(
                f"--again {run} takes everything from that run, and {option} was given too.",
                hint=f"Leave it out; for other settings: headcode probe --session {run.partition('/')[0]}",
            )
    return ProbeOrder(model=None, again=run, foreground=foreground)


def model_name(given: str) -> str:
    """The model as the host must be told it: a folder by its whole path, because the host stands elsewhere.

    Raises ModelError for what can be no model.
    """
    from engine.catalog import find_model
    from engine.places import find_places

    source = find_model(given, find_places().models)
    return str(source.folder) if source.origin == "folder" else source.name


def refuse_broken(outcome: "Outcome") -> None:
    """Raises ExampleError when the model could not do some of the examples."""
    from engine.errors import ExampleError

    finished = outcome.picture.finished
    if finished is not None and finished.examples.broken:
        broken = [grade for grade in outcome.picture.grades if grade.verdict == "broken"]
        first = f" Example {broken[0].index + 1}: {broken[0].reason}." if broken else ""
        raise ExampleError(
            f"{finished.examples.broken} of {finished.examples.positive + finished.examples.negative} examples "
            f"are broken.{first}",
            hint="Change them or leave them out; without --strict the run counts as done.",
        )
