"""`headcode circuits`: save sets of heads under names and combine them."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.nodes import format_count, names
from tui.commands.node_names import parse_nodes
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessions.client.connection import HostClient
    from sessions.rows import CircuitRow

SCHEMA = "headcode.circuits/1"

app = typer.Typer(help="Save circuits under names and combine them.", no_args_is_help=True, rich_markup_mode=None)

_SessionOption = Annotated[
    str | None, typer.Option(help="The session of the circuit; needed only if several have a circuit of that name.")
]
_Name = Annotated[str, typer.Argument(help="Name of the circuit.")]
_NewName = Annotated[str, typer.Argument(help="Name to save it under; an existing circuit of that name is replaced.")]
_Of = Annotated[list[str], typer.Argument(help="Two or more saved circuits.")]


@app.command("list")
def list_circuits(
    session: Annotated[str | None, typer.Argument(help="Only circuits of this session.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the saved circuits."""
    from tui.headless.host_request import with_host
    from tui.output.console import narrate, print_columns
    from tui.terminal.times import moment

    rows = with_host(lambda client: _all(client, session))
    if as_json:
        _print_json(rows)
        return
    if not rows:
        narrate("No circuits yet. headcode circuits keep SESSION/1 NAME saves the circuit of a run.")
        return
    table: list[tuple[str, ...]] = [
        (row.session, row.name, str(len(row.heads)), moment(row.kept_us), row.source) for row in rows
    ]
    print_columns(table, header=("session", "circuit", "heads", "kept", "made from"))


@app.command("show")
def show_circuit(name: _Name, session: _SessionOption = None, as_json: JsonOption = False) -> None:
    """Show the heads of a saved circuit."""
    from tui.headless.host_request import with_host
    from tui.output.console import print_line

    row = with_host(lambda client: _one(client, name, session))
    if as_json:
        _print_json([row])
        return
    print_line(f"{row.name}  {format_count(row.heads)}  {row.session}  {row.source}")
    print_line(" ".join(names(row.heads)) or "none")


@app.command("keep")
def keep(
    side: Annotated[
        str, typer.Argument(metavar="RUN", help="SESSION/2, a run's id, a seed SESSION/2@0, known:RUN, circuit:NAME.")
    ],
    name: _NewName,
    cut: Annotated[
        int | None, typer.Option(help="Number of heads. [default: the run's circuit size]", min=1, show_default=False)
    ] = None,
    measure: Annotated[str, typer.Option(help="Measure to rank heads by (a field of nodes).")] = "total_variation",
    heads: Annotated[
        str | None, typer.Option(help="Save these heads and MLPs instead, for example 9.6,10.0,m8.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Save the best heads of a run, or given heads, as a circuit."""
    from engine.measures import find_measure
    from sessions.comparison.comparison import check_shapes, select_circuit
    from sessions.protocol import CircuitAnswer, GetSides, SaveCircuit, SidesAnswer
    from tui.headless.host_request import with_host

    by = find_measure(measure)
    given = parse_nodes(heads, "--heads") if heads is not None else None

    async def question(client: "HostClient") -> "CircuitRow":
        found = (await client.ask(GetSides(a=side, b=side), SidesAnswer)).a
        if given is None:
            check_shapes(found, found)
        chosen = given if given is not None else select_circuit(found, by, cut)
        if given is not None:
            source = f"by hand, for {found.title}"
        elif found.heads is not None:
            source = found.title
        else:
            source = f"{len(chosen)} best by {by.title} of {found.title}"
        request = SaveCircuit(
            session=found.session_id,
            name=name,
            heads=tuple((layer, head) for layer, head in chosen),
            source=source,
            run=found.run_id,
        )
        return (await client.ask(request, CircuitAnswer)).circuit

    _kept(with_host(question), as_json)


@app.command("union")
def union(name: _NewName, of: _Of, session: _SessionOption = None, as_json: JsonOption = False) -> None:
    """Save the heads that are in any of the circuits."""
    _combine("union", name, of, session, as_json)


@app.command("intersect")
def intersect(name: _NewName, of: _Of, session: _SessionOption = None, as_json: JsonOption = False) -> None:
    """Save the heads that are in all of the circuits."""
    _combine("intersection", name, of, session, as_json)


@app.command("subtract")
def subtract(name: _NewName, of: _Of, session: _SessionOption = None, as_json: JsonOption = False) -> None:
    """Save the heads of the first circuit that are in none of the others."""
    _combine("subtract", name, of, session, as_json)


@app.command("drop")
def drop(name: _Name, session: _SessionOption = None) -> None:
    """Remove a saved circuit; the session's log still has it."""
    from sessions.protocol import DeleteCircuit, Done
    from tui.headless.host_request import with_host
    from tui.output.console import narrate

    async def question(client: "HostClient") -> "CircuitRow":
        row = await _one(client, name, session)
        await client.ask(DeleteCircuit(session=row.session_id, name=row.name), Done)
        return row

    row = with_host(question)
    narrate(f"Dropped {row.name} of {row.session}.")


def _combine(
    operation: Literal["union", "intersection", "subtract"],
    name: str,
    of: "Sequence[str]",
    session: str | None,
    as_json: bool,
) -> None:
    from sessions.protocol import CircuitAnswer, CombineCircuits
    from tui.headless.host_request import with_host

    async def question(client: "HostClient") -> "CircuitRow":
        first = await _one(client, of[0], session)
        request = CombineCircuits(session=session or first.session_id, operation=operation, of=tuple(of), name=name)
        return (await client.ask(request, CircuitAnswer)).circuit

    _kept(with_host(question), as_json)


async def _all(client: "HostClient", session: str | None) -> "Sequence[CircuitRow]":
    from sessions.protocol import CircuitsAnswer, ListCircuits

    return (await client.ask(ListCircuits(session=session), CircuitsAnswer)).circuits


async def _one(client: "HostClient", name: str, session: str | None) -> "CircuitRow":
    """Return the circuit of that name. Raises NoSuchRecord if there is none, or several and no session was given."""
    from sessions.errors import NoSuchRecord

    rows = [row for row in await _all(client, session) if name in (row.name, f"{row.session}/{row.name}")]
    if len(rows) == 1:
        return rows[0]
    if rows:
        there = ", ".join(repr(row.session) for row in rows[:5])
        raise NoSuchRecord(f"Several sessions have a circuit {name!r}: {there}.", hint="Choose one with --session.")
    raise NoSuchRecord(f"There is no circuit {name!r}.", hint="headcode circuits list shows the saved circuits.")


def _kept(row: "CircuitRow", as_json: bool) -> None:
    from tui.output.console import print_line

    if as_json:
        _print_json([row])
        return
    heads = " ".join(names(row.heads)) or "none"
    print_line(f"kept {row.name} in {row.session}: {format_count(row.heads)}  {heads}")


def _print_json(rows: "Sequence[CircuitRow]") -> None:
    from tui.output.console import print_json
    from tui.output.node_json import circuits_json

    print_json({"schema": SCHEMA, "circuits": circuits_json(rows)})
