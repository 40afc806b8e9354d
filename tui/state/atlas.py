"""The atlas of the shown run's model: what is fetched, how it is listed, and what is searched in it."""

from collections.abc import Sequence

import msgspec

from engine.analysis.atlas_search import AtlasHit, find_at_place, find_attenders, find_writers, read_tokens
from engine.analysis.head_kinds import KINDS, Unlike, kinds_of, unlike_text
from engine.errors import Failure
from engine.node_atlas import ATLAS_METRICS, Atlas, AtlasMetric, AtlasNode, PromptNode
from engine.nodes import NodeId
from sessions.protocol import AnyRequest, AtlasAnswer, AtlasProgress, GetAtlas, GetOnPrompts, OnPrompts, ReadOn
from tui.state.node_parts import parts_config
from tui.state.workbench_state import WorkbenchState

TOKENS = 20_000
EXAMPLES = 64
SEARCHES = ("writes", "attends", "at", "kind")


class AtlasSearch(msgspec.Struct, frozen=True):
    """What is searched for."""

    how: str
    """One of SEARCHES."""
    wanted: tuple[str, ...]
    """Tokens, a position from the end, or a kind of head."""

    def __str__(self) -> str:
        return f"{self.how} {', '.join(map(_written, self.wanted))}"


def _written(token: str) -> str:
    """Write a token as it is read: with its quotation marks, if it had some."""
    return token + token[0] if token[:1] in ("'", '"') else token


def read_search(text: str) -> AtlasSearch | None:
    """Return the search that is written so: writes are, was; attends Mary; at -4; kind induction. None for others."""
    how, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if how == "at":
        number = rest.removeprefix("-")
        return AtlasSearch("at", (f"-{int(number)}",)) if number.isdecimal() and 0 < int(number) < 10_000 else None
    if how == "kind":
        found = next((kind.name for kind in KINDS if rest and kind.name.startswith(rest)), None)
        return AtlasSearch("kind", (found,)) if found is not None else None
    if how in ("writes", "attends"):
        tokens = read_tokens(rest)
        return AtlasSearch(how, tokens) if tokens else None
    return None


class AtlasState:
    """What the screens with the atlas show; answers are kept with those about the inside of nodes."""

    def __init__(self, state: WorkbenchState) -> None:
        self.state = state
        self.reading = False
        """Ask for the next part as long as it is on."""
        self.column: AtlasMetric | None = None
        """By which the list is sorted; None: as in the model."""
        self.turned = False
        self.search: AtlasSearch | None = None
        self.place: int | None = None
        """The marked position, counted from the end, 0 the last."""
        self.trouble: Failure | None = None
        """Why the last reading failed."""
        self.said = ""
        """What came of the last key that begins or stops a reading."""
        self._progress: AtlasProgress | None = None
        self._key = ""
        self._listed: tuple[object, list[NodeId]] = (None, [])
        self._by_node: tuple[object, dict[NodeId, AtlasNode]] = (None, {})

    # ---- what is fetched

    @property
    def request(self) -> GetAtlas | None:
        info = self.state.model_info
        if info is None:
            return None
        return GetAtlas(atlas=self._key or info.identity)

    @property
    def prompts_request(self) -> GetOnPrompts | None:
        run = self.state.shown
        if run is None or run.picture.model is None:
            return None
        return GetOnPrompts(run=run.run_id, config=parts_config(run, EXAMPLES))

    @property
    def read_request(self) -> ReadOn | None:
        """The next part of the reading; None while nothing is read."""
        return self._next_part if self.reading else None

    @property
    def _next_part(self) -> ReadOn | None:
        run = self.state.shown
        if run is None:
            return None
        return ReadOn(run=run.run_id, tokens=TOKENS, after=0 if self._progress is None else self._progress.done)

    @property
    def wanted(self) -> list[tuple[AnyRequest | None, type]]:
        """Return what is shown, as requests to the host with what answers them."""
        self._advance()
        return [
            (self.request, AtlasAnswer),
            (self.read_request, AtlasProgress),
            (self.prompts_request, OnPrompts),
        ]

    @property
    def stored(self) -> list[tuple[AnyRequest | None, type]]:
        """Return the same for screens that show the atlas beside other things: nothing is measured without one."""
        wanted: list[tuple[AnyRequest | None, type]] = [(self.request, AtlasAnswer)]
        return wanted + ([(self.prompts_request, OnPrompts)] if self.atlas is not None else [])

    def _advance(self) -> None:
        """Take up parts that were read, also one that came after a stop, so that the next one is asked for."""
        while (request := self._next_part) is not None:
            found = self.state.parts.answers.pop(request, None)
            if found is None:
                return
            if isinstance(found, Failure):
                self.reading, self.trouble = False, found
                return
            assert isinstance(found, AtlasProgress)
            self._progress = found
            if found.finished:
                self.reading, self._progress, self._key = False, None, found.key
                self._forget()

    def _forget(self) -> None:
        """Forget what was stored of this model before."""
        kept = self.state.parts.answers
        for request in [each for each in kept if isinstance(each, GetAtlas)]:
            del kept[request]

    def begin(self) -> None:
        """Read on, or begin to."""
        self.reading, self.trouble, self.said = True, None, ""

    def stop(self) -> None:
        """Ask for no further part; what is read is kept."""
        self.said = "stopped; what is read is kept" if self.reading else "nothing is being read"
        self.reading = False

    @property
    def progress(self) -> tuple[int, int] | None:
        """Tokens that are read and all; None if nothing is under way."""
        self._advance()
        return None if self._progress is None else (self._progress.done, self._progress.total)

    # ---- what is there

    @property
    def answer(self) -> AtlasAnswer | Failure | None:
        return self.state.parts.get(self.request, AtlasAnswer)

    @property
    def atlas(self) -> Atlas | None:
        found = self.answer
        return found.atlas if isinstance(found, AtlasAnswer) else None

    @property
    def prompts(self) -> tuple[PromptNode, ...]:
        """The nodes on the run's positives; empty before they are measured."""
        found = self.state.parts.get(self.prompts_request, OnPrompts)
        return found.nodes if isinstance(found, OnPrompts) else ()

    def on_text(self, node: NodeId) -> AtlasNode | None:
        atlas = self.atlas
        if atlas is None:
            return None
        if self._by_node[0] is not atlas:
            self._by_node = (atlas, {each.node: each for each in atlas.nodes})
        return self._by_node[1].get(node)

    def on_prompts(self, node: NodeId) -> PromptNode | None:
        return next((each for each in self.prompts if each.node == node), None)

    def unlike(self, node: NodeId) -> tuple[Unlike, ...]:
        """Return where the node does something else on these prompts than on ordinary text."""
        text, prompts = self.on_text(node), self.on_prompts(node)
        return () if text is None or prompts is None else unlike_text(prompts.metrics, text.metrics)

    # ---- the list

    def hits(self) -> list[AtlasHit]:
        """Return what the search found; empty without a search, and for kinds."""
        atlas, search = self.atlas, self.search
        if search is None:
            return []
        if search.how == "at":
            return find_at_place(self.prompts, int(search.wanted[0][1:]) - 1)
        if atlas is None:
            return []
        if search.how == "writes":
            return find_writers(atlas, search.wanted)
        return find_attenders(atlas, search.wanted) if search.how == "attends" else []

    def listed(self) -> list[NodeId]:
        """Return the nodes in the order of the list."""
        atlas = self.atlas
        key = (atlas and id(atlas), self.search, self.column and self.column.name, self.turned, id(self.prompts))
        if self._listed[0] != key:
            self._listed = (key, self._list())
        return self._listed[1]

    def _list(self) -> list[NodeId]:
        atlas, search = self.atlas, self.search
        if search is not None and search.how != "kind":
            return [hit.node for hit in self.hits()]
        nodes: Sequence[AtlasNode] = () if atlas is None else atlas.nodes
        if search is not None:
            nodes = [each for each in nodes if any(kind.name == search.wanted[0] for kind in kinds_of(each.metrics))]
        column = self.column
        if column is None:
            return [each.node for each in (reversed(nodes) if self.turned else nodes)]
        sign = 1 if self.turned else -1
        there = [each for each in nodes if column.name in each.metrics]
        return [each.node for each in sorted(there, key=lambda each: (sign * each.metrics[column.name], each.node))]

    def step_column(self, by: int) -> None:
        """Sort by the next metric; before the first comes the model's order."""
        place = -1 if self.column is None else ATLAS_METRICS.index(self.column)
        place = (place + 1 + by) % (len(ATLAS_METRICS) + 1) - 1
        self.column = None if place < 0 else ATLAS_METRICS[place]
