"""`headcode cause`: measure the effects of a stored run's nodes on the answer, without training again."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.planning.option_table import OPTIONS
from tui.commands.node_names import parse_edges, parse_nodes
from tui.commands.option_parameters import Chosen, part_of, with_options
from tui.output.cli_options import ColourOption, JsonOption

if TYPE_CHECKING:
    from engine.config import EffectsConfig
    from engine.nodes import NodeId
    from tui.headless.measure_effects import MeasuredEffects


@with_options(
    *(option.path for option in OPTIONS if option.path.startswith("cause.") and option.path != "cause.method"),
    flags={
        "cause.replacement": ("--replace", "--ablation"),
        "cause.edges": ("--edges",),
        "cause.examples": ("--examples",),
    },
)
def cause(
    *,
    run: Annotated[str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id or a prefix of it, or latest.")],
    method: Annotated[
        str | None,
        typer.Option(
            help="attribution: all heads from one gradient. exact: patch every head, one at a time. combined: both, "
            "within the budget. circuit: combined, then check the circuit as a whole. [default: combined; exact with "
            "--heads, circuit with --smallest]"
        ),
    ] = None,
    heads: Annotated[
        str | None,
        typer.Option(metavar="L.H,...", help="Patch only these nodes, exactly: 2.3,4.1,m2,emb."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="CIRCUIT",
            help="Find backups: also measure every other node with this circuit replaced. circuit (the run's), "
            "the name of a saved circuit, or nodes: 2.3,4.1,m2",
        ),
    ] = None,
    paths: Annotated[
        str | None,
        typer.Option(metavar="L.H:L.H,...", help="Patch only these edges, exactly: 2.3:4.1,emb:m0."),
    ] = None,
    position: Annotated[
        str | None,
        typer.Option(
            help="Positions at which nodes are replaced: mean (all), last, at:N, token:TEXT. [default: the run's]"
        ),
    ] = None,
    chosen: Chosen,
    as_json: JsonOption = False,
    color: ColourOption = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing on stderr while it runs.")] = False,
) -> None:
    """Measure the effects of a stored run's nodes on the answer; nothing is trained again.

    The effects are stored with the run. Ctrl+C stops at the next head; what was measured is kept and printed, and the
    exit code is 130.
    """
    import asyncio

    from engine.machine.folders import find_folders
    from tui.headless.measure_effects import measure_again, refuse_unfinished
    from tui.output.console import detect_style, print_json
    from tui.output.progress import make_reporter

    output = detect_style(color)
    named = parse_nodes(heads, "--heads") if heads is not None else ()
    gone, gone_name = read_after(after)
    edges = parse_edges(paths, "--paths") if paths is not None else ()
    config = make_asked(method, heads=named, after=after is not None, paths=bool(edges), **part_of(chosen, "cause"))
    with make_reporter(quiet=quiet, color=color) as reporter:
        measured: MeasuredEffects = asyncio.run(
            measure_again(
                find_folders(),
                run,
                config,
                named,
                reporter,
                position=position,
                after=gone,
                after_name=gone_name,
                edges=edges,
            )
        )
    if as_json:
        from tui.output.json import cause_json

        whole = measured.picture
        print_json(cause_json(measured.found, measured.run, measured.state, whole.card, whole))
    else:
        from tui.output.run import print_cause

        print_cause(measured.found, measured.picture.card, measured.title, output)
    refuse_unfinished(measured)


def make_asked(
    method: str | None, *, heads: "tuple[NodeId, ...]", after: bool = False, paths: bool = False, **how: object
) -> "EffectsConfig":
    """Return the requested measurement. Raises ConfigError if the options contradict each other."""
    import msgspec

    from engine.config import EffectsConfig, check_smallest
    from engine.errors import ConfigError

    usual = "exact" if heads or after or paths else "circuit" if how.get("smallest") else "combined"
    method = method or usual
    if paths and (heads or after or how.get("edges")):
        raise ConfigError("--paths measures edges alone.", hint="Leave out --heads, --after and --edges.")
    if paths and method != "exact":
        raise ConfigError(f"--paths needs --method exact, not {method}.", hint="Omit --method, or give exact.")
    if after and method != "exact":
        raise ConfigError(f"--after needs --method exact, not {method}.", hint="Omit --method, or give exact.")
    if after and how.get("edges"):
        raise ConfigError(
            "--after measures heads and cannot be combined with --edges.", hint="Measure edges separately."
        )
    if method == "none":
        raise ConfigError("--method none measures nothing.", hint="Choose attribution, exact, combined or circuit.")
    if heads and method != "exact":
        raise ConfigError(f"--heads needs --method exact, not {method}.", hint="Omit --method, or give exact.")
    given = {name: value for name, value in how.items() if value is not None}
    config = msgspec.structs.replace(EffectsConfig(), method=method, **given)
    check_smallest(config)
    return config


def read_after(text: str | None) -> "tuple[tuple[NodeId, ...], str]":
    """Return the nodes of a list, or no nodes and the name of a circuit, which the host resolves.

    Raises ConfigError if the text is empty.
    """
    from engine.errors import ConfigError

    if text is None:
        return (), ""
    if not text.strip():
        raise ConfigError(
            "--after is empty.", hint="Give circuit (the run's own), the name of a saved circuit, or nodes: 2.3,4.1"
        )
    try:
        return parse_nodes(text, "--after"), ""
    except ConfigError:
        return (), text.strip()
