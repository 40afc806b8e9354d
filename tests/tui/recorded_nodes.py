"""The recorded session with MLPs (recordings/README.md), in a real store that answers for codes and comparisons."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.events import ModelReady
from engine.nodes import NodeId
from sessions.bundle.import_bundle import CheckedBundle, import_into_store
from sessions.events import LogEntry
from sessions.handlers.drawing import group_nodes
from sessions.protocol import CodesAnswer, ComparisonChoices, FindAlike, GetCodes, GetSides, ListComparable, SidesAnswer
from sessions.store.comparison_choices import comparable_with
from sessions.store.comparison_sides import find_sides
from sessions.store.database import Store
from sessions.store.drawings import run_codes
from sessions.store.queries import head_codes
from sessions.store.recorder import Recorder

from .scripted import ScriptedHost

RECORDING = Path(__file__).parent / "recordings" / "nodes_all.headcode"


class NodesHost(ScriptedHost):
    """Two runs: one of all nodes, one of heads alone."""

    def __init__(self, store: Store, entries: list[LogEntry], folder: Path) -> None:
        super().__init__()
        self.store, self.folder = store, folder
        self.entries = entries
        ids = [entry.run_id for entry in entries if isinstance(entry.event, ModelReady)]
        self.with_mlps, self.heads_alone = (run_id for run_id in ids if run_id is not None)

    def only(self, run_id: str) -> "NodesHost":
        """Forget the other run."""
        self.entries = [
            LogEntry(session_id="s-1", seq=seq, at_us=entry.at_us, run_id=entry.run_id, event=entry.event)
            for seq, entry in enumerate((each for each in self.entries if each.run_id in (None, run_id)), start=1)
        ]
        return self

    def _answer(self, request: Any) -> Any:
        match request:
            case GetCodes():
                found = head_codes(self.store, request.run, layer=request.layer, head=request.head, seed=request.seed)
                return CodesAnswer(codes=found)
            case FindAlike():
                layout, codes = run_codes(self.store, request.run)
                return group_nodes(layout, codes, sorted(NodeId(*node) for node in request.nodes))
            case ListComparable():
                return ComparisonChoices(choices=tuple(comparable_with(self.store, request.run)))
            case GetSides():
                a, b = find_sides(self.store, request.a, request.b, self.folder)
                return SidesAnswer(a=a, b=b)
        return super()._answer(request)


@contextmanager
def nodes_session(folder: Path) -> Iterator[NodesHost]:
    """A host of the recorded session, whose store is in the folder."""
    store = Store.open(folder / "sessions.duckdb")
    with CheckedBundle(RECORDING, folder / "spool") as bundle:
        import_into_store(Recorder(store), bundle, name=None, as_copy=False, sae=folder)
        kept = {run_id: run_id for run_id in bundle.check.runs}
        entries = [entry for batch in bundle.batches("s-1", kept) for entry, _ in batch]
    yield NodesHost(store, entries, folder)
    store.close()
