"""Requests for runs, effects, circuits, differences, verifications and notes."""

from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec

from engine.config import EffectsConfig, PatchingMethod, load_fields
from sessions.comparison.comparison import CannotCompare, check_shapes
from sessions.protocol import (
    AlikeGroup,
    AlikeNodes,
    CancelRun,
    CircuitAnswer,
    Done,
    FindAlike,
    GetSides,
    MeasureRunEffects,
    NoteAnswer,
    QueueRun,
    RemoveNote,
    RunAnswer,
    SaveCircuit,
    SidesAnswer,
    VerificationStarted,
    VerifyRun,
    WriteNote,
)
from sessions.rows import CircuitRow
from tui.connection.requests import HostRequests
from tui.state.node_words import members_of
from tui.state.notes import Place
from tui.state.session_state import SessionNote
from tui.state.subtraction import side_of


class RunRequests(HostRequests):
    """Results arrive in the log; refusals are stored in the state."""

    async def queue_run(self) -> None:
        """Queue a run of the session with the chosen options, or repeat the run that failed."""
        state, last = self.state, self.state.shown
        if state.session_id is None:
            return
        options = state.options
        request = QueueRun(
            session=state.session_id,
            config=options.config,
            model=options.model,
            **load_fields(options),
        )
        if last is not None and state.can_retry:
            request = QueueRun(session=state.session_id, config=last.config, again=last.run_id)
        await self.try_ask(request, RunAnswer)

    async def stop_run(self) -> None:
        """Ask the active run to stop; the second time, end its engine.

        A shown run that waits behind another one leaves the queue instead.
        """
        shown = self.state.shown
        if shown is not None and shown.state == "queued" and shown is not self.state.active:
            await self.cancel_run(shown.run_id)
            return
        run = self.state.active or self.state.measured or self.state.verified
        if run is None:
            return
        force = self.state.stopping == run.run_id
        self.state.stopping = run.run_id
        self._changed(frozenset({"progress"}))
        await self.try_ask(CancelRun(run=run.run_id, force=force), Done)

    async def cancel_run(self, run_id: str) -> None:
        """Remove a waiting run from the queue."""
        await self.try_ask(CancelRun(run=run_id), Done)

    async def request_effects(self) -> None:
        """Measure the effects of the shown run's heads; if they are known, check its circuit as a whole.

        Marked heads are measured exactly. The effect options chosen in `O`, if changed, apply here, too, including the
        method.
        """
        run = self.state.shown
        if run is None:
            return
        asked = any(cause.method == "combined" and cause.final for cause in run.picture.causes)
        method: PatchingMethod = "circuit" if asked else "combined"
        chosen = self.state.options.config.cause
        if chosen.method not in ("none", "combined"):
            method = chosen.method
        how = run.config.cause if chosen == EffectsConfig() else chosen
        marked = self.state.marked
        if marked:
            method = "exact"
        heads = tuple((head.layer, head.head) for head in sorted(marked))
        config = msgspec.structs.replace(how, method=method)
        await self.try_ask(MeasureRunEffects(run=run.run_id, config=config, heads=heads), Done)

    async def request_backups(self) -> None:
        """Measure every other head with the marked heads, else the circuit, replaced."""
        run, view = self.state.shown, self.state.view()
        if run is None or view is None:
            return
        marked = self.state.marked
        gone = sorted(members_of(marked)) if marked else [head for head in view.order if head in view.circuit]
        name = f"the marked {view.noun(2)}" if marked else f"the circuit by {view.measure.title}"
        chosen = self.state.options.config.cause
        how = run.config.cause if chosen == EffectsConfig() else chosen
        await self.try_ask(
            MeasureRunEffects(
                run=run.run_id,
                config=msgspec.structs.replace(how, method="exact"),
                after=tuple((head.layer, head.head) for head in gone),
                after_name=name,
            ),
            Done,
        )

    async def patch_edges(self, edges: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> bool:
        """Measure these edges of the shown run exactly; return False if that was refused."""
        run = self.state.shown
        if run is None:
            return False
        chosen = self.state.options.config.cause
        how = run.config.cause if chosen == EffectsConfig() else chosen
        request = MeasureRunEffects(
            run=run.run_id, config=msgspec.structs.replace(how, method="exact"), edges=tuple(edges)
        )
        return await self.try_ask(request, Done) is not None

    async def find_alike(self, nodes: Collection[tuple[int, int]]) -> tuple[AlikeGroup, ...] | None:
        """Return the groups of these nodes of the shown run that behave alike; None if that was refused."""
        run = self.state.shown
        if run is None:
            return None
        answer = await self.try_ask(FindAlike(run=run.run_id, nodes=tuple(sorted(nodes))), AlikeNodes)
        return None if answer is None else answer.groups

    async def save_circuit(self, name: str) -> CircuitRow | None:
        """Save the marked nodes, else those inside the cut, under a name; return them, or None if refused.

        The embedding is left out: it is in every circuit, unlisted.
        """
        run, view = self.state.shown, self.state.view()
        if run is None or view is None or self.state.session_id is None:
            return None
        marked = self.state.marked
        kept = members_of(marked or view.circuit)
        heads = tuple((head.layer, head.head) for head in view.order if head in kept)
        how = "marked by hand in" if marked else f"best by {view.measure.title} of"
        source = f"{len(heads)} {how} run {run.number}"
        request = SaveCircuit(session=self.state.session_id, run=run.run_id, name=name, heads=heads, source=source)
        answer = await self.try_ask(request, CircuitAnswer)
        return None if answer is None else answer.circuit

    async def subtract(self, reference: str) -> bool:
        """Begin the difference between the shown run and another side; return False if that was refused."""
        run, view = self.state.shown, self.state.view()
        if run is None or view is None:
            return False
        found = await self.try_ask(GetSides(a=run.run_id, b=reference), SidesAnswer)
        if found is None:
            return False
        try:
            check_shapes(side_of(view), found.b)
        except CannotCompare as error:
            self.state.failure = error.as_failure()
            return False
        self.state.subtraction.begin(found.b)
        return True

    async def verify_run(self) -> None:
        """Verify the shown run. Progress and result arrive in the log."""
        if self.state.shown is not None:
            await self.try_ask(VerifyRun(run=self.state.shown.run_id), VerificationStarted)

    def note_writer(self, place: Place, old: SessionNote | None) -> Callable[[str], Awaitable[None]]:
        """Return a function that saves a text as a note on the current place, even if the cursor moves meanwhile."""
        run, session = self.state.shown, self.state.session_id
        run_id = run.run_id if run is not None and place != "session" else None
        head = (self.state.cursor.layer, self.state.cursor.head) if place == "head" else None

        async def write(text: str) -> None:
            if session is None or (not text and old is None):
                return
            if text:
                note_id = old.note_id if old is not None else None
                asked = WriteNote(session=session, text=text, run=run_id, head=head, note=note_id)
                await self.try_ask(asked, NoteAnswer)
            elif old is not None:
                await self.try_ask(RemoveNote(session=session, note=old.note_id), NoteAnswer)

        return write
