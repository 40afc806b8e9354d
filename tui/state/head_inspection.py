"""A close look at one head: which prompt and token is at hand, what colours tokens, in what order prompts stand."""

from typing import Literal, get_args

from engine.errors import Failure
from engine.examples import Example
from sessions.protocol import HeadInspection
from sessions.rows import HeadCodes
from tui.state.head_details import CodeCarriers, group_by_code
from tui.state.workbench_state import SessionRun, WorkbenchState
from tui.themes.themes import Depth

Colouring = Literal["fires", "looks", "code"]
COLOURINGS: tuple[Colouring, ...] = get_args(Colouring)
WORDS: dict[Colouring, str] = {
    "fires": "coloured by how much the head writes at each token",
    "looks": "coloured by where the marked token looks",
    "code": "coloured by how far the head points along this prompt's code",
}
Key = tuple[str, int, int, int, int]
"""Run, layer, head, example, seed."""


class InspectorState:
    """What is looked at."""

    def __init__(self, state: WorkbenchState, depth: Depth) -> None:
        self.state = state
        self.depth = depth
        self.example = state.selected or 0
        self.token: int | None = None
        """None: the last one, which is what the model continues."""
        self.colouring: Colouring = "fires"
        self.by_code = True
        """The prompts stand by the code they carry, else as they were written."""
        self.looks: dict[Key, HeadInspection | Failure] = {}

    @property
    def run(self) -> SessionRun | None:
        return self.state.shown

    @property
    def examples(self) -> tuple[Example, ...]:
        return self.state.examples

    @property
    def key(self) -> Key | None:
        return self.key_of(self.example)

    def key_of(self, example: int) -> Key | None:
        run, head = self.run, self.state.cursor
        if run is None or not self.examples:
            return None
        return (run.run_id, head.layer, head.head, example, self.state.seed)

    def look_at(self, example: int) -> HeadInspection | None:
        """The head on that prompt, where it is known already."""
        key = self.key_of(example)
        found = self.looks.get(key) if key is not None else None
        return found if isinstance(found, HeadInspection) else None

    @property
    def rows(self) -> list[int | CodeCarriers]:
        """The list of prompts: examples, counted from 0, each code before those that carry it."""
        codes = self.state.head_codes()
        if not self.by_code or not isinstance(codes, HeadCodes):
            return list(range(len(self.examples)))
        found: list[int | CodeCarriers] = []
        for group in group_by_code(codes.codes, [example.positive for example in self.examples]):
            found += [group, *group.examples]
        return found or list(range(len(self.examples)))

    def step(self, by: int) -> None:
        """To another prompt, in the order they stand in; the chosen token is the last one again."""
        order = [row for row in self.rows if isinstance(row, int)]
        place = order.index(self.example) if self.example in order else 0
        if order:
            self.example, self.token = order[min(max(place + by, 0), len(order) - 1)], None

    @property
    def look(self) -> HeadInspection | Failure | None:
        """None while it is fetched."""
        return self.looks.get(self.key) if self.key is not None else None

    def chosen_token(self, look: HeadInspection) -> int:
        last = len(look.tokens) - 1
        return last if self.token is None else min(max(self.token, 0), last)

    def shares(self, look: HeadInspection) -> list[float]:
        """For each token a number from 0 to 1: what colours it."""
        token = self.chosen_token(look)
        if self.colouring == "looks":
            row = look.attention[token] if token < len(look.attention) else ()
            return [*row, *([0.0] * (len(look.tokens) - len(row)))]
        if self.colouring == "code":
            own = next((each.along for each in look.writes if each.code == look.code), ())
            return [max(0.0, min(value, 1.0)) for value in own] or [0.0] * len(look.tokens)
        top = max(look.strength, default=0.0) or 1.0
        return [value / top for value in look.strength]

    def shares_beside(self, look: HeadInspection, top: float) -> list[float]:
        """The same for a prompt of the list: how much is written there is told against all of them."""
        if self.colouring == "looks":
            return list(look.attention[-1]) if look.attention else []
        return [value / (top or 1.0) for value in look.strength] if self.colouring == "fires" else self.shares(look)
