"""State of the switch: which nodes are turned off, on which prompt, and by what they are replaced."""

from typing import Literal, get_args

from engine.errors import Failure
from engine.nodes import NodeId
from sessions.protocol import Ablation, GetAblation
from tui.state.workbench_state import WorkbenchState

SwitchKind = Literal["pair", "mean", "zero"]
SWITCH_KINDS: tuple[SwitchKind, ...] = get_args(SwitchKind)


class SwitchState:
    """The marked nodes, else the one at the cursor, on one example of the run."""

    def __init__(self, state: WorkbenchState) -> None:
        self.state = state
        self.example = state.selected or 0
        self.kind: SwitchKind = "pair" if self.paired else "mean"

    @property
    def paired(self) -> bool:
        """True if the example has a pair."""
        examples = self.state.examples
        return self.example < len(examples) and examples[self.example].pair is not None

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        return tuple(sorted(self.state.marked)) or (self.state.cursor,)

    @property
    def request(self) -> GetAblation | None:
        run = self.state.shown
        if run is None:
            return None
        names = tuple(map(str, self.nodes))
        return GetAblation(run=run.run_id, nodes=names, example=self.example, replacement=self.kind)

    @property
    def found(self) -> Ablation | Failure | None:
        return self.state.parts.get(self.request, Ablation)

    def turn(self, by: int) -> None:
        """Replace nodes by something else."""
        self.kind = SWITCH_KINDS[(SWITCH_KINDS.index(self.kind) + by) % len(SWITCH_KINDS)]

    def step_prompt(self, by: int) -> None:
        self.example = min(max(self.example + by, 0), max(len(self.state.examples) - 1, 0))
