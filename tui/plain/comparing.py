"""Verbs for differences, overlays, saved circuits, marks and replay."""

import re

from engine.nodes import NodeId
from sessions.protocol import (
    CircuitAnswer,
    CombineCircuits,
    ComparisonChoices,
    DeleteCircuit,
    Done,
    ListComparable,
    LogPiece,
    ReadLog,
    ReadTimeline,
    SetOperation,
    TimelineAnswer,
)
from tui.plain import wording
from tui.plain.workbench import PlainWorkbench
from tui.state.marked_heads import sort_by_rank, summarise_marked
from tui.state.overlay import KNOWN, NONE, TASK
from tui.state.parsing import read_node
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.terminal.times import moment

_SHOWN = 10
_SIGNS: dict[str, SetOperation] = {"+": "union", "&": "intersection", "-": "subtract"}


class ComparisonVerbs:
    """Verbs that compare; each prints its result."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.state, self.link = plain, plain.state, plain.link

    # ---- difference

    async def do_difference(self, rest: str) -> None:
        run = self.plain.run_for("difference")
        if rest in ("end", "none"):
            self.plain.say("the difference is off." if self.state.subtraction.end() else "nothing was subtracted.")
            return
        if not rest and self.state.against() is not None:
            self.plain.tell(wording.difference(self.state, _SHOWN))
            return
        found = await self.link.try_ask(ListComparable(run=run.run_id), ComparisonChoices)
        if found is None:
            return
        choices = found.choices
        if not rest:
            for number, each in enumerate(choices, start=1):
                self.plain.say(f"{number}. {clean(each.group)}: {clean(each.title)}. {clean(each.detail)}".rstrip(" ."))
            self.plain.say(
                f"difference 1 to {len(choices)} subtracts one." if choices else "there is nothing to subtract yet."
            )
            return
        wanted = rest.casefold()
        meant = (
            [choices[int(rest) - 1]]
            if rest.isdecimal() and 0 < int(rest) <= len(choices)
            else [each for each in choices if wanted in (each.title.casefold(), each.reference.casefold())]
            or [each for each in choices if wanted in each.title.casefold()]
        )
        if len(meant) != 1:
            self.plain.refuse(f"{rest} matches nothing, or several sides: difference lists all.")
            return
        if await self.link.subtract(meant[0].reference):
            self.plain.tell(wording.difference(self.state, _SHOWN))

    # ---- overlay and circuits

    async def do_overlay(self, rest: str) -> None:
        overlay, kept = self.state.overlay, self.state.session.circuits
        run = self.plain.run_for("cut.more" if rest else "overlay")
        if not rest:
            overlay.cycle(run.picture, kept)
        elif rest in kept:
            overlay.choose(rest)
        elif rest in (KNOWN, TASK, NONE):
            overlay.chosen = rest
        else:
            names = ", ".join([*kept, KNOWN, TASK, NONE])
            self.plain.refuse(f"there is no circuit {rest}; there are {names}.")
            return
        self.plain.tell(wording.overlay(self.state))

    async def do_combine(self, rest: str) -> None:
        """Combine circuits: `mine + yours as both`. Names may contain spaces, so the signs need spaces around them."""
        formula, _, name = rest.rpartition(" as ") if " as " in rest else (rest, "", rest)
        parts = re.split(r"\s+([+&-])\s+", formula.strip())
        names, signs = parts[::2], set(parts[1::2])
        if len(names) < 2 or len(signs) != 1 or self.state.session_id is None:
            self.plain.refuse("combine: give names with one sign between them: A + B, A & B or A - B, then as NAME.")
            return
        missing = [name for name in names if name not in self.state.session.circuits]
        if missing:
            self.plain.refuse(f"there is no circuit {missing[0]}; circuits lists them.")
            return
        operation = _SIGNS[signs.pop()]
        request = CombineCircuits(
            session=self.state.session_id, operation=operation, of=tuple(names), name=name.strip()
        )
        before = self.state.session.circuits.get(request.name)
        made = await self.link.try_ask(request, CircuitAnswer)
        if made is not None:
            await self.plain.wait_recorded(lambda: self.state.session.circuits.get(request.name) is not before)
            heads = ", ".join(str(NodeId(*each)) for each in made.circuit.heads) or "no heads"
            self.plain.say(f"saved {clean(made.circuit.name)}: {heads}.")

    async def do_drop(self, rest: str) -> None:
        if rest not in self.state.session.circuits or self.state.session_id is None:
            self.plain.refuse(f"circuit {rest or 'without a name'} does not exist; circuits lists them.")
        elif await self.link.try_ask(DeleteCircuit(session=self.state.session_id, name=rest), Done) is not None:
            await self.plain.wait_recorded(lambda: rest not in self.state.session.circuits)
            self.plain.say(f"removed {clean(rest)}; it stays in the log.")

    # ---- marks

    async def do_mark(self, rest: str) -> None:
        view, places, marks = self.plain.view_for("mark"), self.state.places(), self.state.marks
        if places is None:
            return
        if rest == "none":
            self.plain.say("no head is marked any more." if marks.clear() else "no head was marked.")
            return
        heads: list[NodeId] = []
        first, _, number = rest.partition(" ")
        if first == "circuit":
            heads = list(view.circuit)
        elif first == "layer":
            if not number.strip().isdecimal() or int(number) >= places.n_layers:
                self.plain.refuse(f"mark layer {number}: layers are 0 to {places.n_layers - 1}.")
                return
            heads = list(places.in_row(places.first_layer + int(number)))
        else:
            heads = [read_node(each, places) for each in rest.replace(",", " ").split()]
        if heads:
            marks.toggle(heads)
        marked = self.state.marked
        if not marked:
            self.plain.say("no head is marked; mark 1.3 2.6, mark layer 2 or mark circuit marks some.")
            return
        listed = ", ".join(map(str, sort_by_rank(marked, view)))
        self.plain.say(f"marked: {listed}. {', '.join(summarise_marked(marked, view)[1:])}.")

    # ---- replay

    async def do_replay(self, rest: str) -> None:
        """List the moments of the session with their numbers; with a number, show the state at that moment."""
        self.plain.check("replay")
        session = self.state.session_id or ""
        times = await self.link.try_ask(ReadTimeline(session=session), TimelineAnswer)
        if times is None:
            return
        moments = times.times.markers
        if not rest:
            for number, each in enumerate(moments, start=1):
                self.plain.say(f"{number}. {moment(each.at_us)} {clean(each.words)}")
            message = f"replay 1 to {len(moments)} shows the state then." if moments else "nothing has happened yet."
            self.plain.say(message)
            return
        if not rest.isdecimal() or not 0 < int(rest) <= len(moments):
            self.plain.refuse(f"there is no moment {rest}: they are 1 to {len(moments)}.")
            return
        then_at = moments[int(rest) - 1]
        then = await self._then(session, then_at.seq)
        if then is None:
            return
        self.plain.say(f"{moment(then_at.at_us)} {clean(then_at.words)}. then:")
        self.plain.tell(wording.status(then)[1:])
        view = then.view()
        if view is not None:
            self.plain.tell(wording.heads(view, _SHOWN))

    async def _then(self, session: str, seq: int) -> WorkbenchState | None:
        """Return a separate state, folded up to the entry."""
        then = WorkbenchState(model=self.state.model, task=self.state.task or "")
        then.session_id, then.session_name, then.key = session, self.state.session_name, self.state.key
        read = 0
        while read < seq:
            piece = await self.link.try_ask(ReadLog(session=session, after_seq=read, up_to=seq), LogPiece)
            if piece is None or piece.up_to <= read:
                return None
            then.fold(piece.entries)
            read = piece.up_to
        return then
