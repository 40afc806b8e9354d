"""State of heads side by side: which heads, on which prompt, and how many fit."""

from collections.abc import Sequence

from engine.errors import Failure
from engine.nodes import NodeId
from sessions.protocol import GetHeadInspection, HeadInspection
from tui.state.workbench_state import WorkbenchState

FEW = 4
"""Heads of the ranking that are shown where fewer than two are marked."""


class PanelsState:
    """The marked heads, else the best of the ranking, with their attention on one prompt."""

    def __init__(self, state: WorkbenchState) -> None:
        self.state = state
        self.example = state.selected or 0
        self.token: int | None = None
        """The token whose attention is shown in words; None: the last."""
        self.first = 0
        """The first head in sight."""

    @property
    def marked(self) -> tuple[NodeId, ...]:
        return tuple(sorted(node for node in self.state.marked if node.is_head))

    @property
    def heads(self) -> tuple[NodeId, ...]:
        """The marked heads; the head at the cursor and the best of the ranking if fewer than two are marked."""
        if len(self.marked) > 1:
            return self.marked
        view = self.state.view()
        best = [node for node in view.order if node.is_head] if view is not None else []
        own = [*self.marked, *([self.state.cursor] if self.state.cursor.is_head else [])]
        return tuple(dict.fromkeys([*own, *best]))[:FEW]

    def request(self, head: NodeId) -> GetHeadInspection | None:
        run = self.state.shown
        if run is None:
            return None
        return GetHeadInspection(
            run=run.run_id, layer=head.layer, head=head.head, example=self.example, seed=self.state.seed
        )

    def look(self, head: NodeId) -> HeadInspection | Failure | None:
        """Return the head on the prompt; None before it is here."""
        return self.state.parts.get(self.request(head), HeadInspection)

    def chosen_token(self, tokens: Sequence[str]) -> int:
        last = len(tokens) - 1
        return last if self.token is None else min(max(self.token, 0), last)

    def step_prompt(self, by: int) -> None:
        self.example = min(max(self.example + by, 0), max(len(self.state.examples) - 1, 0))
        self.token = None

    def step_token(self, by: int) -> None:
        found = next((look for head in self.heads if isinstance(look := self.look(head), HeadInspection)), None)
        if found is not None:
            self.token = min(max(self.chosen_token(found.tokens) + by, 0), len(found.tokens) - 1)

    def page(self, by: int, room: int) -> None:
        """Show the heads after or before those in sight, of which there are `room`."""
        last = max((len(self.heads) - 1) // room * room, 0)
        self.first = min(max(self.first + by * room, 0), last)
