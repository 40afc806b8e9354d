"""Export of a run's heads, edges, grid or importances to a file (`headcode export`, except bundles)."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.analysis.run_state import RunSnapshot
from engine.errors import ConfigError
from engine.machine.folders import find_folders
from engine.machine.memory import format_bytes
from engine.machine.paths import path_of
from engine.measures import Measure, find_measure
from engine.nodes import NodeId
from engine.results import EdgeScore
from sessions.comparison.comparison import CannotCompare, ComparisonSide, select_circuit
from sessions.events import DrawingChanged
from sessions.files.atomic_write import apply_umask, check_goal, write_atomically
from tui.headless.export_formats import ExportFormat
from tui.headless.host_request import with_host
from tui.headless.stored_run import StoredRun, read_facts
from tui.output.console import narrate, print_json, print_line, write_data
from tui.output.node_json import node_pairs

if TYPE_CHECKING:
    from sessions.client.connection import HostClient
    from tui.output.tables import ExportTable

SCHEMA = "headcode.table/1"


class ExportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run to export, with its measure and circuit."""

    side: ComparisonSide
    measure: Measure
    circuit: tuple[NodeId, ...]
    edges: tuple[EdgeScore, ...] = ()
    """The stored edges, best first; empty if the format does not need them."""
    picture: RunSnapshot = RunSnapshot()
    """The run with all that was measured, and how its edges are drawn, if the format needs edges."""
    drawing: DrawingChanged = DrawingChanged()
    facts: StoredRun | None = None
    """All that is stored of the run, if the format needs it."""

    @property
    def told(self) -> StoredRun:
        """The facts. Raises CannotCompare for what is no run."""
        if self.facts is None:
            raise CannotCompare(f"{self.side.title} is no run.", hint="Give a run: NAME/2, or its id.")
        return self.facts

    @property
    def about(self) -> dict[str, object]:
        """Metadata of a JSON table."""
        return {
            "schema": SCHEMA,
            "title": self.side.title,
            "session_id": self.side.session_id,
            "run_id": self.side.run_id,
            "seed": self.side.seed,
            "model": msgspec.to_builtins(self.side.model),
            "measure": self.measure.id,
            "circuit": node_pairs(self.circuit),
        }


def write_run(
    what: str, file: str, form: ExportFormat, *, measure: str | None, cut: int | None, force: bool, as_json: bool
) -> None:
    """Write the file, or stdout for `-`. Raises ConfigError, NoSuchRecord, CannotWrite."""
    by = find_measure(measure) if measure is not None else None
    goal = None if file == "-" else Path.cwd() / path_of(file)
    if goal is None and (form.text is None or as_json):
        raise ConfigError(f"Neither {form.name} with --json nor Parquet can be written to stdout.", hint="Give a file.")
    if goal is not None:
        check_goal(goal, force=force)
    subject = with_host(lambda client: find_subject(client, what, by, cut, edges=form.edges, facts=form.facts))
    if form.table is not None and goal is not None:
        _parquet(form.table(subject), goal, force=force)
        n_bytes = goal.stat().st_size
    else:
        assert form.text is not None, form.name
        pieces = form.text(subject)
        if goal is None:
            for piece in pieces:
                # Colour sequences are wanted; the title beside them is sanitised already.
                if form.colours:
                    sys.stdout.write(piece)
                else:
                    write_data(piece)
            return
        n_bytes = write_text(goal, pieces, force=force)
    if as_json:
        print_json({"schema": "headcode.export/1", "path": str(goal), "format": form.name, "n_bytes": n_bytes})
        return
    print_line(str(goal))
    narrate(f"{subject.side.title}: {form.name}, {format_bytes(n_bytes)}")


def write_text(goal: Path, pieces: Iterable[str], *, force: bool) -> int:
    """Write the text to a temporary file and rename it; return its size in bytes. Raises CannotWrite."""

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="\n", errors="replace") as out:
            for piece in pieces:
                out.write(piece)

    return write_atomically(goal, write, force=force, marks=find_folders().parts)[1]


async def find_subject(
    client: "HostClient", what: str, measure: Measure | None, cut: int | None, *, edges: bool, facts: bool = False
) -> ExportedRun:
    """Return the named run with its scores. Raises NoSuchRecord, or CannotCompare if it has none."""
    from sessions.protocol import GetSides, SessionDetailAnswer, ShowSession, SidesAnswer
    from tui.headless.run_probe import read_drawn_run

    side = (await client.ask(GetSides(a=what, b=what), SidesAnswer)).a
    if not side.nodes:
        raise CannotCompare(f"{side.title} has no scores to export.", hint="Give a run: NAME/2, or its id.")
    by = measure or find_measure(side.measure or "total_variation")
    picture, drawing = RunSnapshot(), DrawingChanged()
    if edges and side.run_id is not None:
        detail = (await client.ask(ShowSession(session=side.session_id), SessionDetailAnswer)).detail
        run = next(run for run in detail.runs if run.run_id == side.run_id)
        picture, drawing = await read_drawn_run(client, side.session_id, run, detail.last_seq)
        picture = msgspec.structs.replace(picture, nodes=side.nodes)
    told = None
    if facts and side.run_id is not None:
        (told,) = await read_facts(client, side.session_id, {side.run_id})
    return ExportedRun(
        side=side,
        measure=by,
        circuit=select_circuit(side, by, cut),
        edges=picture.edges,
        picture=picture,
        drawing=drawing,
        facts=told,
    )


def _parquet(table: "ExportTable", goal: Path, *, force: bool) -> None:
    from sessions.protocol import Done, WriteTable

    request = WriteTable(columns=table.wire_columns(), rows=table.rows, path=str(goal), force=force)
    with_host(lambda client: client.ask(request, Done))
    apply_umask(goal)
