"""State of the explanation's screen: which code of the node at the cursor, and what is known of it."""

from collections import Counter

from engine.errors import Failure
from engine.results import NO_CODE
from sessions.protocol import Explained, GetExplanation
from sessions.rows import HeadCodes
from tui.state.workbench_state import WorkbenchState


class ExplainState:
    """The codes of the node at the cursor under the shown seed, the most frequent first, and the selected one."""

    def __init__(self, state: WorkbenchState, example: int) -> None:
        self.state = state
        self._example = example
        self._chosen: int | None = None
        self.first = 0
        """The first line in sight."""

    @property
    def codes(self) -> list[int]:
        found = self.state.head_codes()
        if not isinstance(found, HeadCodes):
            return []
        counts = Counter(code for code in found.codes if code != NO_CODE)
        return [code for code, _ in counts.most_common()]

    @property
    def code(self) -> int | None:
        """The selected code: the one of the example, else the most frequent one."""
        found = self.state.head_codes()
        if self._chosen is None and isinstance(found, HeadCodes):
            own = found.codes[self._example] if self._example < len(found.codes) else NO_CODE
            self._chosen = own if own != NO_CODE else next(iter(self.codes), None)
        return self._chosen

    @property
    def request(self) -> GetExplanation | None:
        run, code = self.state.shown, self.code
        if run is None or code is None:
            return None
        return GetExplanation(run=run.run_id, node=str(self.state.cursor), code=code, seed=self.state.seed)

    @property
    def found(self) -> Explained | Failure | None:
        return self.state.parts.get(self.request, Explained)

    def turn(self, by: int) -> None:
        """Select another code of the node."""
        codes = self.codes
        if codes and self.code in codes:
            self._chosen = codes[(codes.index(self.code) + by) % len(codes)]
            self.first = 0
