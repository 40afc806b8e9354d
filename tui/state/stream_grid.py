"""State of the grid of layers and positions: what is measured so far, what is replaced, the cursor."""

from typing import get_args

from engine.errors import Failure
from engine.node_parts import GridKind, PlaceEffect, PromptGrid, mean_places
from sessions.protocol import GetGrid, StreamGrid
from tui.state.node_parts import parts_config
from tui.state.token_columns import ROUNDING
from tui.state.workbench_state import WorkbenchState

KINDS: tuple[GridKind, ...] = get_args(GridKind)
EXAMPLES = 8
"""Positives that it is measured on: it costs some dozens of forward passes of them."""
Row = tuple[PlaceEffect, ...]


class GridState:
    """The grid of the shown run. It is asked for layer by layer, so that it appears while it is measured."""

    def __init__(self, state: WorkbenchState) -> None:
        self.state = state
        self.kind: GridKind = "stream"
        self.layer, self.from_end = 0, 0
        """The cursor: 0 is the last token."""
        self.prompt: int | None = None
        """Which of the measured prompts is shown; None: the mean over them."""
        self._made: tuple[object, dict[GridKind, list[Row | None]]] = (None, {})

    @property
    def n_layers(self) -> int:
        info = self.state.model_info
        return 0 if info is None else info.n_layers

    @property
    def requests(self) -> list[GetGrid]:
        """One request per layer."""
        run = self.state.shown
        if run is None:
            return []
        config = parts_config(run, EXAMPLES)
        return [GetGrid(run=run.run_id, config=config, layers=(layer,)) for layer in range(self.n_layers)]

    @property
    def answers(self) -> list[StreamGrid | None]:
        """What is measured, by layer."""
        found = [self.state.parts.get(request, StreamGrid) for request in self.requests]
        return [None if isinstance(each, Failure) else each for each in found]

    @property
    def failure(self) -> Failure | None:
        """Why the next layer could not be measured; the layers after it are not asked then."""
        found = (self.state.parts.get(request, StreamGrid) for request in self.requests)
        return next((each for each in found if isinstance(each, Failure)), None)

    @property
    def done(self) -> int:
        return sum(each is not None for each in self.answers)

    @property
    def kinds(self) -> tuple[GridKind, ...]:
        """What can be replaced in this model; all kinds before that is known."""
        first = next((each for each in self.answers if each is not None and each.prompts), None)
        return KINDS if first is None else tuple(kind for kind in KINDS if kind in first.prompts[0].effects)

    @property
    def prompts(self) -> tuple[PromptGrid, ...]:
        """The prompts that it is measured on, with the effects of one layer."""
        return next((each.prompts for each in self.answers if each is not None), ())

    def rows(self, kind: GridKind) -> list[Row | None]:
        """Return the effects by layer, the first position first; None for layers that are not measured yet."""
        answers = self.answers
        key = (self.prompt, tuple(map(id, answers)))
        if self._made[0] != key:
            self._made = (key, {})
        if kind not in self._made[1]:
            self._made[1][kind] = [None if each is None else self._row(each, kind) for each in answers]
        return self._made[1][kind]

    def _row(self, answer: StreamGrid, kind: GridKind) -> Row | None:
        chosen = answer.prompts if self.prompt is None else answer.prompts[self.prompt : self.prompt + 1]
        return mean_places([each.at(kind, 0) for each in chosen if kind in each.effects]) or None

    @property
    def columns(self) -> list[PlaceEffect]:
        """The positions at which anything changes in the layers measured so far, in order."""
        rows = [row for kind in self.kinds for row in self.rows(kind) if row is not None]
        if not rows:
            return []
        least = ROUNDING * max(abs(each.effect) for row in rows for each in row)
        changed = {each.from_end for row in rows for each in row if abs(each.effect) > least}
        return [each for each in rows[0] if each.from_end in changed or each.from_end == 0]

    def at(self, kind: GridKind, layer: int, from_end: int) -> PlaceEffect | None:
        """Return one cell; None if it is not measured."""
        rows = self.rows(kind)
        row = rows[layer] if 0 <= layer < len(rows) else None
        return next((each for each in row or () if each.from_end == from_end), None)

    @property
    def largest(self) -> float:
        """The largest effect of the shown kind."""
        return max((abs(each.effect) for row in self.rows(self.kind) for each in row or ()), default=0.0)

    def move(self, layers: int, positions: int) -> None:
        self.layer = min(max(self.layer + layers, 0), max(self.n_layers - 1, 0))
        there = [each.from_end for each in self.columns]
        if there:
            place = there.index(self.from_end) if self.from_end in there else len(there) - 1
            self.from_end = there[min(max(place + positions, 0), len(there) - 1)]

    def turn(self, by: int) -> None:
        """Show another kind."""
        kinds = self.kinds
        self.kind = kinds[(kinds.index(self.kind) + by) % len(kinds)] if self.kind in kinds else kinds[0]

    def step_prompt(self, by: int) -> None:
        """Show the next prompt; the mean comes before the first."""
        place = -1 if self.prompt is None else self.prompt
        place = min(max(place + by, -1), len(self.prompts) - 1)
        self.prompt = None if place < 0 else place
