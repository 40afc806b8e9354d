"""Workbench actions with other runs and circuits: subtract, overlay, keep, combine, verify."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sessions.protocol import (
    CircuitAnswer,
    CombineCircuits,
    ComparisonChoices,
    DeleteCircuit,
    Done,
    ListComparable,
    SetOperation,
)
from tui.state.disabled_reasons import disabled_reason
from tui.state.workbench_state import Part, WorkbenchState
from tui.widgets.latest_worker import run_latest

if TYPE_CHECKING:
    from textual.screen import Screen

    from tui.connection.session_link import SessionLink

    Base = Screen[None]
else:
    Base = object

_GRID: frozenset[Part] = frozenset({"grid", "head", "progress"})


class ComparisonActions(Base):
    """Mixin of the workbench: one method per action id of tui.actions.comparing."""

    state: WorkbenchState
    link: "SessionLink"
    draw_now: Callable[..., None]

    def _enabled(self, action: str) -> bool:
        return not disabled_reason(self.state, action)

    # ---- subtract

    def action_difference(self) -> None:
        """Open the choice of what to subtract, or end the current difference."""
        if self.state.subtraction.end():
            self.draw_now(_GRID)
        elif self._enabled("difference"):
            run_latest(self, "difference", self._choose_difference)

    def action_end_difference(self) -> None:
        """End the difference; if there is none, clear the marks."""
        if self.state.subtraction.end() or self.state.marks.clear():
            self.draw_now(_GRID)

    async def _choose_difference(self) -> None:
        from tui.screens.choice import ChoiceItem, ChoiceSheet

        run = self.state.shown
        if run is None:
            return
        found = await self.link.try_ask(ListComparable(run=run.run_id), ComparisonChoices)
        if found is None:
            return
        entries = [
            ChoiceItem(id=each.reference, group=each.group, title=each.title, detail=each.detail)
            for each in found.choices
        ]
        empty = "Nothing to subtract yet: no other run of this shape, no circuit, one seed."
        self.app.push_screen(
            ChoiceSheet(f"Subtract from run {run.number}", entries, empty=empty), self._difference_chosen
        )

    def _difference_chosen(self, reference: str | None) -> None:
        if reference is not None:
            self.subtract(reference)

    def subtract(self, reference: str) -> None:
        run_latest(self, "difference", partial(self._subtract, reference))

    async def _subtract(self, reference: str) -> None:
        await self.link.subtract(reference)
        self.draw_now()

    # ---- overlay

    def action_overlay(self) -> None:
        run = self.state.shown
        if run is not None and self._enabled("overlay"):
            self.state.overlay.cycle(run.picture, self.state.session.circuits)
            self.draw_now(_GRID)

    # ---- keep and combine

    def action_keep(self) -> None:
        from tui.screens.text_prompt import TextPromptSheet

        run, view = self.state.shown, self.state.view()
        if run is None or view is None or not self._enabled("keep"):
            return
        names = ", ".join(self.state.session.circuits) or "none yet"
        suggestion = f"run {run.number} {view.measure.title}"
        marked = self.state.marked
        title = f"Keep these {len(marked or view.circuit)} heads as a circuit"
        if marked:
            suggestion = f"run {run.number} marked"
        ask = TextPromptSheet(title, f"A name; an existing one is replaced. Kept: {names}", text=suggestion)
        self.app.push_screen(ask, self._keep)

    def _keep(self, name: str | None) -> None:
        if name:
            self.run_worker(self.link.save_circuit(name), group="ask", exit_on_error=True)

    def action_circuits(self) -> None:
        from tui.screens.circuits import CircuitsScreen

        if self._enabled("circuits"):
            self.app.push_screen(CircuitsScreen(self.state, self), lambda _: self.draw_now())

    def combine(self, operation: SetOperation, names: tuple[str, ...], name: str) -> None:
        """Keep the result of a set operation on saved circuits."""
        if self.state.session_id is not None:
            request = CombineCircuits(session=self.state.session_id, operation=operation, of=names, name=name)
            self.run_worker(self.link.try_ask(request, CircuitAnswer), group="ask", exit_on_error=True)

    def drop(self, name: str) -> None:
        if self.state.session_id is not None:
            request = DeleteCircuit(session=self.state.session_id, name=name)
            self.run_worker(self.link.try_ask(request, Done), group="ask", exit_on_error=True)

    # ---- verify

    def action_verify(self) -> None:
        if self._enabled("verify"):
            run_latest(self, "verify", self.link.verify_run)
