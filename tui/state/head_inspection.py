"""State of the head inspector: the selected prompt and token, what colours the tokens, the order of prompts."""

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
    """Selection and loaded data of the head inspector."""

    def __init__(self, state: WorkbenchState, depth: Depth) -> None:
        self.state = state
        self.depth = depth
        self.example = state.selected or 0
        self.token: int | None = None
        """None: the last token, after which the model continues."""
        self.colouring: Colouring = "fires"
        self.by_code = True
        """True: prompts are grouped by code; False: in their own order."""
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
        """Return the loaded inspection of the head on that prompt, or None."""
        key = self.key_of(example)
        found = self.looks.get(key) if key is not None else None
        return found if isinstance(found, HeadInspection) else None

    @property
    def rows(self) -> list[int | CodeCarriers]:
        """Rows of the prompt list: example indices counted from 0, each code before its examples."""
        codes = self.state.head_codes()
        if not self.by_code or not isinstance(codes, HeadCodes):
            return list(range(len(self.examples)))
        found: list[int | CodeCarriers] = []
        for group in group_by_code(codes.codes, [example.positive for example in self.examples]):
            found += [group, *group.examples]
        return found or list(range(len(self.examples)))

    def step(self, by: int) -> None:
        """Move to another prompt in list order, and select its last token."""
        order = [row for row in self.rows if isinstance(row, int)]
        place = order.index(self.example) if self.example in order else 0
        if order:
            self.example, self.token = order[min(max(place + by, 0), len(order) - 1)], None

    @property
    def look(self) -> HeadInspection | Failure | None:
        """The inspection of the selected prompt; None while it is loading."""
        return self.looks.get(self.key) if self.key is not None else None

    def chosen_token(self, look: HeadInspection) -> int:
        last = len(look.tokens) - 1
        return last if self.token is None else min(max(self.token, 0), last)

    def shares(self, look: HeadInspection) -> list[float]:
        """Return a number from 0 to 1 for each token, for its colour."""
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
        """Return the same for a prompt in the list; writing strength is relative to all prompts."""
        if self.colouring == "looks":
            return list(look.attention[-1]) if look.attention else []
        return [value / (top or 1.0) for value in look.strength] if self.colouring == "fires" else self.shares(look)
