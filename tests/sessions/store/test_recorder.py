"""Test that events become rows: once each, in order, and the same again from the log alone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config import ProbeConfig
from engine.errors import Failure
from engine.events import ArrayReady, Notice, Scored, StageProgress
from engine.examples import Example, content_hash
from engine.protocol import RunProbe
from sessions.errors import BadArray, StoreError
from sessions.events import ExamplesSet, RunEnded, RunQueued, RunStarted, SessionCreated
from sessions.store.database import Store
from sessions.store.migrations import PROJECTIONS
from sessions.store.recorder import EventDraft, Recorder, rebuild, stored_lines

from ..drafts import run_drafts

HERE = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path: Path):
    store = Store.open(tmp_path / "sessions.duckdb")
    yield store
    store.close()


def tables(store: Store) -> dict[str, list[Any]]:
    return {name: store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in (*PROJECTIONS, "code")}  # noqa: S608


def session(recorder: Recorder, name: str = "s1") -> str:
    recorder.append([EventDraft(session_id=name, event=SessionCreated(name=name, model="toy", task="ioi"))])
    return name


def whole_run(
    script, tmp_path: Path, session_id: str, run_id: str, seeds: tuple[int, ...] = (4, 5)
) -> list[EventDraft]:
    config = ProbeConfig(seeds=seeds)
    spool = tmp_path / "spool" / run_id
    request = RunProbe(
        job=run_id, model="toy", task="ioi", pairs=2, config=config, spool=str(spool), models="", activations=""
    )
    events = [RunQueued(config=config, model="toy"), RunStarted(), *script.normal(request), RunEnded(state="done")]
    return run_drafts(session_id, run_id, events, spool)


def test_a_run_becomes_rows(store: Store, script, tmp_path: Path) -> None:
    recorder = Recorder(store)
    recorder.append(whole_run(script, tmp_path, session(recorder), "r1"))
    state, started, ended = store.rows("SELECT state, started_us, ended_us FROM run")[0]
    assert state == "done"
    assert started <= ended
    assert store.rows("SELECT count(*), min(seed), max(seed), max(step) FROM step") == [(10, 4, 5, 5)]
    assert store.rows("SELECT sparsity FROM step WHERE step = 1") == [(None,), (None,)]
    assert store.rows("SELECT count(*), bool_and(final), max(overlap) FROM node_score") == [(6, True, 2.0)]
    assert store.rows("SELECT source_layer, source_head, target_layer, target_head, score FROM edge_score") == [
        (0, 1, 1, 2, 3.0)
    ]
    assert store.rows("SELECT count(*) FROM grade") == [(4,)]
    assert store.rows("SELECT expected, foils FROM example WHERE position = 0") == [(["a", "b"], ["c"])]
    found = store.rows("SELECT seed, example, layer, head, code FROM codes ORDER BY ALL")
    wanted = [
        (seed, example, place // 3, place % 3, script.code(index, example, place))
        for index, seed in enumerate((4, 5))
        for example in range(4)
        for place in range(6)
    ]
    assert found == sorted(wanted)


def test_what_is_stored_is_told_again_word_for_word(store: Store, script, tmp_path: Path) -> None:
    recorder = Recorder(store)
    session_id = session(recorder)
    output = [each.line for each in recorder.append(whole_run(script, tmp_path, session_id, "r1"))]
    assert stored_lines(store, session_id, after_seq=1, up_to=10_000) == output


def test_half_a_runs_scores_are_kept_as_provisional(store: Store, script, tmp_path: Path) -> None:
    recorder = Recorder(store)
    drafts = whole_run(script, tmp_path, session(recorder), "r1")
    last = next(index for index, draft in enumerate(drafts) if isinstance(draft.event, Scored) and draft.event.final)
    recorder.append(drafts[:last])
    assert store.rows("SELECT count(*) FROM node_score") == [(0,)]
    failure = Failure(family="engine", name="WorkerDied", message="killed")
    Recorder(store).append([EventDraft(session_id="s1", run_id="r1", event=RunEnded(state="failed", failure=failure))])
    assert store.rows("SELECT count(*), bool_or(final), max(overlap) FROM node_score") == [(6, False, 1.0)]
    before = tables(store)
    rebuild(store)
    assert tables(store) == before


def test_numbers_go_on_after_a_restart(store: Store) -> None:
    session(Recorder(store))
    for number in (2, 3):
        (each,) = Recorder(store).append([EventDraft(session_id="s1", event=Notice(message="again"))])
        assert each.entry.seq == number


def test_no_entry_can_be_there_twice(store: Store) -> None:
    recorder = Recorder(store)
    session(recorder)
    stale = Recorder(store)
    assert stale.last_seq("s1") == 1
    recorder.append([EventDraft(session_id="s1", event=Notice(message="first"))])
    with pytest.raises(StoreError):
        stale.append([EventDraft(session_id="s1", event=Notice(message="second"))])
    # the number was looked up again
    (each,) = stale.append([EventDraft(session_id="s1", event=Notice(message="second"))])
    assert each.entry.seq == 3


def test_all_of_a_batch_or_nothing(store: Store, script, tmp_path: Path) -> None:
    recorder = Recorder(store)
    drafts = whole_run(script, tmp_path, session(recorder), "r1")
    broken = EventDraft(
        session_id="s1", run_id="r1", event=RunQueued(config=ProbeConfig(), model="toy")
    )  # r1 a second time
    before = tables(store)
    with pytest.raises(StoreError):
        recorder.append([*drafts, broken])
    assert tables(store) == before
    assert recorder.last_seq("s1") == 1


@pytest.mark.parametrize(
    "name", ["../codes.safetensors", "/etc/passwd", "", ".", "..", "a/b", "missing.safetensors", "nul\0l", "link"]
)
def test_only_a_plain_file_in_the_spool_is_read(store: Store, script, tmp_path: Path, name: str) -> None:
    recorder = Recorder(store)
    drafts = whole_run(script, tmp_path, session(recorder), "r1")
    spool = tmp_path / "spool" / "r1"
    (tmp_path / "spool" / "codes.safetensors").write_bytes((spool / "codes.safetensors").read_bytes())
    (spool / "link").symlink_to(spool / "codes.safetensors")
    announced = EventDraft(
        session_id="s1", run_id="r1", spool=spool, event=msgspec.structs.replace(array(drafts), file=name)
    )
    with pytest.raises(BadArray, match=r"plain file name|does not exist"):
        recorder.append([announced])


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4), (0, 4, 6), (-2, -4, 6), (2, 4, 6, 1), (1 << 40, 4, 6), (8, 6, 1)])
def test_codes_must_be_as_announced(store: Store, script, tmp_path: Path, shape: tuple[int, ...]) -> None:
    recorder = Recorder(store)
    drafts = whole_run(script, tmp_path, session(recorder), "r1")
    event = msgspec.structs.replace(array(drafts), shape=shape)
    with pytest.raises(BadArray):
        recorder.append([EventDraft(session_id="s1", run_id="r1", spool=tmp_path / "spool" / "r1", event=event)])


@pytest.mark.parametrize("damage", ["short", "empty", "long header", "no json", "other tensor", "other type"])
def test_a_damaged_file_of_codes_is_named(store: Store, script, tmp_path: Path, damage: str) -> None:
    recorder = Recorder(store)
    drafts = whole_run(script, tmp_path, session(recorder), "r1")
    path = tmp_path / "spool" / "r1" / "codes.safetensors"
    raw = path.read_bytes()
    path.write_bytes(
        {
            "short": raw[:-1],
            "empty": b"",
            "long header": b"\xff" * 8 + raw[8:],
            "no json": raw[:8] + b"x" * (len(raw) - 8),
            "other tensor": raw.replace(b'"codes"', b'"cakes"'),
            "other type": raw.replace(b'"I32"', b'"F32"'),
        }[damage]
    )
    with pytest.raises(BadArray, match=r"codes\.safetensors"):
        recorder.append(drafts)


def array(drafts: list[EventDraft]) -> ArrayReady:
    return next(draft.event for draft in drafts if isinstance(draft.event, ArrayReady) and draft.spool is not None)


ALPHABET = st.characters(codec="utf-8", exclude_characters="\0")
EXAMPLES = st.lists(
    st.builds(
        Example,
        prompt=st.text(ALPHABET, min_size=1).filter(str.strip),
        polarity=st.sampled_from(["positive", "negative"]),
        expected=st.lists(st.text(ALPHABET, max_size=5), max_size=2).map(tuple),
        pair=st.none() | st.integers(-(2**40), 2**40),
        enabled=st.booleans(),
    ),
    max_size=3,
).map(tuple)
STEPS = st.sampled_from(["queue", "start", "step", "score", "final", "end", "progress", "set", "stop"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(st.tuples(st.integers(0, 1), STEPS, EXAMPLES, st.booleans()), max_size=25))
def test_the_tables_can_be_made_again_from_the_log(store: Store, script, plan: list[Any]) -> None:
    with store.transaction() as con:
        for name in (*PROJECTIONS, "event", "code"):
            con.execute(f"DELETE FROM {name}")  # noqa: S608
    recorder = Recorder(store)
    for name in ("s0", "s1"):
        session(recorder, name)
    runs: dict[int, int] = {0: 0, 1: 0}
    batch: list[EventDraft] = []
    for which, step, examples, commit in plan:
        runs[which] += step == "queue"
        run = f"r{which}-{runs[which]}" if runs[which] and step != "set" else None
        if run is None and step != "set":
            continue
        event = {
            "queue": RunQueued(config=ProbeConfig(seeds=(9, 8)), model="toy"),
            "start": RunStarted(),
            "step": script.steps(ProbeConfig(seeds=(9, 8)), 2)[-1],
            "score": script.scores(0.5, final=False),
            "final": script.scores(0.75, final=True),
            "end": RunEnded(state="done"),
            "stop": RunEnded(state="stopped", failure=Failure(family="cancelled", name="Cancelled", message="x")),
            "progress": StageProgress(stage="train", done=1, total=2),
            "set": ExamplesSet(examples=examples, content_hash=content_hash(examples)),
        }[step]
        batch.append(EventDraft(session_id=f"s{which}", run_id=run, event=event))
        if commit:
            recorder.append(batch)
            batch = []
    if batch:
        recorder.append(batch)
    before = tables(store)
    assert rebuild(store) == store.rows("SELECT count(*) FROM event")[0][0]
    assert tables(store) == before


FULL_DISK = """
import random, resource, sys
from pathlib import Path
from engine.events import Notice
from sessions.errors import StoreError
from sessions.events import SessionCreated
from sessions.store.recorder import EventDraft, Recorder, rebuild
from sessions.store.database import Store

chance = random.Random(0)
store = Store.open(Path(sys.argv[1]))
recorder = Recorder(store)
recorder.append([EventDraft(session_id="s", event=SessionCreated(name="s", model="toy"))])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
acknowledged, words = 1, ""
for number in range(4000):
    try:
        message = chance.randbytes(int(sys.argv[3]) // 2).hex()
        recorder.append([EventDraft(session_id="s", event=Notice(message=message))])
        acknowledged += 1
    except StoreError as error:
        words = error.message
        break
readable = store.rows("SELECT count(*) FROM event")[0][0]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
(after,) = recorder.append([EventDraft(session_id="s", event=Notice(message="again"))])
store.close()
Path(sys.argv[4]).write_text(f"{acknowledged} {readable} {after.entry.seq} {words}")
"""


@pytest.mark.parametrize(
    ("limit", "size"),
    [
        pytest.param(900_000, 5_000, id="while the journal grows"),
        # At 16 MB the journal is written into the file, the second time beyond the limit: DuckDB then shuts itself
        # down.
        pytest.param(18 << 20, 1_000_000, id="while the journal is written into the file"),
    ],
)
def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path, limit: int, size: int) -> None:
    path = tmp_path / "sessions.duckdb"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(limit), str(size), str(tmp_path / "found")],
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    acknowledged, readable, after, words = (tmp_path / "found").read_text().split(" ", 3)
    assert "disk that holds" in words
    assert int(readable) == int(acknowledged)
    assert int(after) == int(acknowledged) + 1
    store = Store.open(path)
    assert store.rows("SELECT count(*), max(seq) FROM event") == [(int(after), int(after))]
    assert rebuild(store) == int(after)
    store.close()
