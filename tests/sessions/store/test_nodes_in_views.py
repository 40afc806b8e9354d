"""Runs with MLPs and the embedding in the store: names, kinds, places and codes as the engine gives them."""

import random
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.analysis.ranking import ranked
from engine.config import ProbeConfig
from engine.errors import NoSuchNode
from engine.events import ArrayReady, ModelReady, Scored
from engine.nodes import EMBEDDING, NodeId, NodeLayout, mlp
from engine.results import ModelInfo, NodeScores, Versions
from sessions.events import CircuitSaved, NoteWritten, RunEnded, RunQueued, RunStarted, SessionCreated
from sessions.store.database import Store
from sessions.store.queries import head_codes, run_layout
from sessions.store.recorder import EventDraft, Recorder

from ...run_parts import scores_of
from ..drafts import run_drafts

LAYOUT = NodeLayout(n_layers=3, n_heads=4, choice="all")
MODEL = ModelInfo(
    name="toy",
    identity="0" * 64,
    n_layers=3,
    n_heads=4,
    d_model=8,
    d_head=2,
    context=64,
    vocabulary=9,
    nodes="all",
    parallel_mlps=True,
)
VERSIONS = Versions(headcode="0.2.0", python="3.11.0", torch="2.13.0", transformer_lens="4.3.0", device="cpu")
CODES = np.arange(2 * LAYOUT.n_nodes, dtype=np.int32).reshape(1, 2, LAYOUT.n_nodes)


def scores(draw: int) -> tuple[NodeScores, ...]:
    """Scores with ties, and nodes that are silent or without signal."""
    chance, found = random.Random(draw), []
    for node in LAYOUT.ids:
        variation = chance.choice((0.0, 0.5, 0.5, 0.75, 1.0))
        length, p = chance.choice((0.5, 1.0, 2.0)), chance.choice((0.01, 0.5))
        silent = 0.0 if variation else chance.choice((0.5, 1.0))
        about = {"total_variation": variation, "contrast_length": length, "silent": silent, "p_value": p}
        found.append(scores_of(*node, **about))
    return tuple(found)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    store = Store.open(folder / "sessions.duckdb")
    recorder = Recorder(store)
    recorder.append([EventDraft(session_id="s1", event=SessionCreated(name="whole", model="toy", task="ioi"))])
    for number in range(20):
        spool = folder / f"spool{number}"
        spool.mkdir()
        save_file({"codes": CODES}, spool / "codes.safetensors")
        events = [
            RunQueued(config=ProbeConfig(seeds=(0,), nodes="all"), model="toy", task="ioi"),
            RunStarted(),
            ModelReady(model=MODEL, versions=VERSIONS, warm=True),
            ArrayReady(name="codes", file="codes.safetensors", shape=CODES.shape),
            Scored(nodes=scores(number), final=True),
            RunEnded(state="done"),
        ]
        recorder.append(run_drafts("s1", f"r{number}", events, spool))
    for event in (
        NoteWritten(note_id="n1", text="the lookup", head=mlp(2)),
        CircuitSaved(name="best", heads=((0, 1), mlp(1), (2, 3)), source="by hand"),
    ):
        recorder.append([EventDraft(session_id="s1", run_id="r0", event=event)])
    yield store
    store.close()


@pytest.mark.parametrize("number", range(20))
def test_the_place_of_a_node_is_that_of_the_ranking(number: int, store: Store) -> None:
    order = store.rows("SELECT node FROM nodes WHERE run_id = $run ORDER BY place", {"run": f"r{number}"})
    assert [node for (node,) in order] == [str(node.id) for node in ranked(scores(number))]


def test_what_is_no_head_has_no_head(store: Store) -> None:
    rows = store.rows("SELECT node, kind, layer, head FROM nodes WHERE run_id = 'r0' AND kind <> 'head' ORDER BY ALL")
    assert rows == [("emb", "embedding", None, None), *((f"m{layer}", "mlp", layer, None) for layer in range(3))]
    assert store.rows("SELECT layer, head FROM notes") == [(2, None)]
    assert [node for (node,) in store.rows("SELECT node FROM circuits ORDER BY node")] == ["0.1", "2.3", "m1"]


def test_every_code_is_that_of_its_node(store: Store) -> None:
    for place, node in enumerate(LAYOUT.ids):
        found = store.rows(
            "SELECT example, code FROM codes WHERE run_id = 'r3' AND node = $node ORDER BY example", {"node": str(node)}
        )
        assert found == [(example, int(CODES[0, example, place])) for example in range(2)], node
        one = head_codes(store, "r3", layer=node.layer, head=node.head, seed=None)
        assert one.codes == tuple(int(code) for code in CODES[0, :, place])
    with pytest.raises(NoSuchNode, match="Node 'm3' does not exist"):
        head_codes(store, "r3", layer=3, head=mlp(3).head, seed=None)


def test_a_stored_run_knows_its_nodes(store: Store) -> None:
    layout = run_layout(store, "r0")
    assert layout == msgspec.structs.replace(LAYOUT, parallel=True)
    assert layout is not None
    assert EMBEDDING in layout
    assert NodeId(2, 3) in layout
    assert run_layout(store, None) is None
