"""`headcode steer`: add a direction, turn nodes off, keep a circuit alone, and show what the model says then."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.node_names import parse_nodes, parse_one_node
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from engine.examples import Example
    from engine.steering import SteerPlan
    from sessions.client.connection import HostClient
    from sessions.protocol import GetSteering, Steering


def steer(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    code: Annotated[
        str | None, typer.Option(metavar="NODE:CODE", help="Add a code's direction to what its node writes: 26.0:171.")
    ] = None,
    contrast: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER|NODE",
            help="Add the difference of two sets: in the stream after layer 14, or in what 26.0 or m8 writes.",
        ),
    ] = None,
    off: Annotated[str | None, typer.Option(metavar="NODES", help="Turn nodes off: 9.6,m8.")] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="NODES|NAME", help="Turn all others off: 9.6,m8; circuit: the run's; a saved one's name."),
    ] = None,
    strength: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Strengths: -4..4, -2..2:.5, 8. [default: -4..4; of a contrast -2..2]"),
    ] = None,
    show: Annotated[
        float | None, typer.Option(metavar="S", help="Strength of the answer shown. [default: the last of the list]")
    ] = None,
    at: Annotated[
        str, typer.Option(metavar="WHERE", help="all, last, generated, or a token's number: 3 from 0, -2 from the end.")
    ] = "all",
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="On this prompt; may have answers: 'text => expected | foil'. May be repeated."),
    ] = None,
    example: Annotated[int, typer.Option(metavar="N", help="Show the answer on this example, counted from 1.")] = 1,
    examples: Annotated[int, typer.Option(metavar="N", help="Positives of the run for the curve.")] = 8,
    generate: Annotated[int, typer.Option(metavar="N", help="Also generate N tokens, with and without.")] = 0,
    random: Annotated[int, typer.Option(metavar="N", help="Random directions of the same length.")] = 20,
    control: Annotated[
        str, typer.Option(help="Draw them from the stream, or from what the head can write: stream or head.")
    ] = "stream",
    toward: Annotated[
        str | None, typer.Option(metavar="FILE", help="Prompts of a contrast. [default: the run's positives]")
    ] = None,
    away: Annotated[str | None, typer.Option(metavar="FILE", help="[default: the run's negatives]")] = None,
    read: Annotated[str, typer.Option(help="Read them at their last token, or as the mean: last or mean.")] = "last",
    replace: Annotated[str, typer.Option("--with", help="Nodes are off by mean (over negatives) or zero.")] = "mean",
    cost: Annotated[
        bool | None,
        typer.Option("--cost/--no-cost", help="What ordinary text loses. [default: for a contrast, with --generate]"),
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="FILE", help="That text. [default: a passage of English]")] = None,
    seed: Annotated[int | None, typer.Option(help="Whose codes. [default: the run's first seed]")] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Tokens before, and as many after.")] = 10,
    recorded: Annotated[int | None, typer.Option(metavar="N", help="Show number N of what is recorded.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure again what is recorded.")] = False,
    note: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Write a note beside it: on the node, or on the run if several.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Steer a stored run's model: a code's direction, a contrast of two sets, nodes off, or a circuit alone.

    Shows the answer before and after and, for a direction, the dose-response curve beside random directions of the
    same length. It is recorded in the run's log. Without --code, --contrast, --off or --only: lists what is recorded.
    """
    from engine.errors import ConfigError
    from sessions.protocol import GetSteering, ListSteerings, SteeringsAnswer
    from tui.headless.host_request import with_host
    from tui.output.console import print_json
    from tui.output.steer import print_steering, print_steerings, steering_json, steerings_json

    kinds = {"code": code, "contrast": contrast, "off": off, "only": only}
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"--{given[0]} and --{given[1]} exclude each other.", hint="Give one of them.")
    if given and recorded is not None:
        raise ConfigError(f"--recorded shows what is recorded, --{given[0]} measures.", hint="Leave one of them out.")
    if not given:
        if note is not None:
            raise ConfigError(
                "--note is written beside a measurement, and none is asked for.",
                hint="Repeat its options with --note: what is recorded is not measured again.",
            )
        listed = with_host(lambda client: client.ask(ListSteerings(run=run), SteeringsAnswer))
        if recorded is None:
            print_json(steerings_json(listed)) if as_json else print_steerings(listed)
            return
        if not 1 <= recorded <= len(listed.steerings):
            raise ConfigError(
                f"--recorded {recorded}: {len(listed.steerings)} are recorded.", hint="headcode steer RUN lists them."
            )
        found = listed.steerings[recorded - 1]
    else:
        plan, circuit = _plan(given[0], kinds[given[0]] or "", strength=strength, show=show, at=at)
        prompts = _prompts(prompt or [])
        if not 1 <= example <= (len(prompts) or 1_000_000):
            raise ConfigError(f"--example {example}: a number from 1.", hint="Try 1.")
        plan = _replaced(
            plan,
            prompts=prompts,
            example=example - 1,
            examples=examples,
            generate=generate,
            random=random if plan.strengths else 0,
            control=_one_of("--control", control, ("stream", "head")),
            read=_one_of("--read", read, ("last", "mean")),
            replacement=_one_of("--with", replace, ("mean", "zero")),
            toward=_side("--toward", toward, plan),
            away=_side("--away", away, plan),
            cost=(plan.kind == "contrast" and generate > 0) or text is not None if cost is None else cost,
            text=_text(text),
            seed=seed,
            most=top,
        )
        found = with_host(
            lambda client: _measured(client, GetSteering(run=run, plan=plan, circuit=circuit, again=again, note=note))
        )
    print_json(steering_json(found)) if as_json else print_steering(found)


async def _measured(client: "HostClient", request: "GetSteering") -> "Steering":
    """Return what steering does; say what is measured once nothing stands against it."""
    from sessions.protocol import CheckSteering, Steering, SteeringsAnswer
    from tui.output.console import narrate

    plan = request.plan
    check = CheckSteering(run=request.run, plan=plan, circuit=request.circuit, again=request.again, note=request.note)
    known = await client.ask(check, SteeringsAnswer)
    if len(plan.strengths) > 1 and (request.again or not known.steerings):
        narrate(f"measuring {len(plan.strengths)} strengths of {1 + plan.random} directions ...")
    return await client.ask(request, Steering)


def _plan(kind: str, value: str, *, strength: str | None, show: float | None, at: str) -> "tuple[SteerPlan, str]":
    """Return the plan without prompts, and the name of a circuit for --only. Raises ConfigError."""
    from engine.errors import ConfigError
    from engine.nodes import mlp
    from engine.steering import STEER_PLACES, SteerPlan

    fields: dict[str, object] = {"kind": kind}
    circuit = ""
    if kind == "code":
        name, colon, number = value.partition(":")
        if not colon or not (number.isascii() and number.isdigit()) or len(number) > 9:
            raise ConfigError(f"--code {value[:40]!r} is no node and code.", hint="Write NODE:CODE, 26.0:171.")
        fields |= {"nodes": (parse_one_node(name),), "code": int(number)}
    elif kind == "contrast":
        if value.isascii() and value.isdigit():
            if len(value) > 5:
                raise ConfigError(f"--contrast {value[:40]!r} is no layer.", hint="A number such as 14, or a node.")
            fields |= {"nodes": (mlp(int(value)),), "source": "stream"}
        else:
            fields |= {"nodes": (parse_one_node(value),)}
    elif kind == "only" and not _names_nodes(value):
        circuit = value.strip()
        if not circuit:
            raise ConfigError("--only names nothing.", hint="circuit, a saved circuit's name, or nodes: 9.6,m8.")
    else:
        fields |= {"nodes": parse_nodes(value, f"--{kind}")}
    if kind in ("code", "contrast"):
        strengths = _strengths(strength or ("-4..4" if kind == "code" else "-2..2"))
        fields |= {"strengths": strengths, "strength": strengths[-1] if show is None else show}
    elif strength is not None or show is not None:
        raise ConfigError("Nodes that are turned off have no strength.", hint="Leave --strength and --show out.")
    if at in STEER_PLACES and at != "place":
        fields |= {"where": at}
    elif at.removeprefix("-").isdigit() and at.isascii() and len(at) < 8:
        fields |= {"where": "place", "place": int(at)}
    else:
        raise ConfigError(f"--at {at[:40]!r} is no place.", hint="all, last, generated, or a number such as -2.")
    return SteerPlan(**fields), circuit  # type: ignore[arg-type]  # built above


def _replaced(plan: "SteerPlan", **fields: object) -> "SteerPlan":
    import msgspec

    return msgspec.structs.replace(plan, **fields)


def _names_nodes(value: str) -> bool:
    from engine.nodes import parse_node

    return all(parse_node(word) is not None for word in value.replace(",", " ").split()) and bool(value.strip())


def _strengths(text: str) -> tuple[float, ...]:
    """Return the strengths other than 0, which is the model as it is. Raises ConfigError."""
    from engine.errors import ConfigError
    from engine.sweeps.values import read_values

    numbers = [float(each) for each in read_values(text, axis="--strength", whole=False, numbers=True)]
    found = tuple(each for each in numbers if each)
    if not found:
        raise ConfigError("--strength 0 changes nothing.", hint="-4..4, for example.")
    return found


def _prompts(texts: list[str]) -> "tuple[Example, ...]":
    from engine.authoring.text_format import read_examples
    from engine.errors import ConfigError

    found: list[Example] = []
    for place, text in enumerate(texts, start=1):
        if not text.strip():
            raise ConfigError(f"--prompt {place} is empty.", hint="Give a text, or leave it out.")
        line = " ".join(text.splitlines())
        found += read_examples(f"+ {line}", source=f"--prompt {place}")
    return tuple(found)


def _side(option: str, file: str | None, plan: "SteerPlan") -> tuple[str, ...]:
    """Return the prompts of a file, one a line or as examples. Raises ConfigError, ExampleError."""
    from engine.errors import ConfigError
    from tui.headless.read_examples import load_examples, read_text

    if file is None:
        return ()
    if plan.kind != "contrast":
        raise ConfigError(f"{option} is for --contrast.", hint="Leave it out.")
    lines = [line.strip() for line in read_text(file, plain=True).splitlines() if line.strip()]
    if lines and all(line.startswith(("+", "-", "{")) for line in lines):
        return tuple(each.prompt for each in load_examples(file))
    if not lines:
        raise ConfigError(f"{option} {file} has no prompts.", hint="Write one prompt on each line.")
    return tuple(lines)


def _text(file: str | None) -> str:
    from engine.errors import ConfigError
    from tui.headless.read_examples import read_text

    if file is None:
        return ""
    text = read_text(file)
    if not text.strip():
        raise ConfigError(f"--text {file} is empty.", hint="Give a file with some ordinary text.")
    return text


def _one_of(option: str, value: str, choices: tuple[str, ...]) -> str:
    from engine.errors import ConfigError

    if value not in choices:
        raise ConfigError(f"{option} {value[:40]!r}: there is no such choice.", hint=" or ".join(choices) + ".")
    return value
