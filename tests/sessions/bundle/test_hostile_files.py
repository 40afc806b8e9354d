"""Test untrusted files: an invalid one is refused with its reason and leaves nothing."""

import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sessions.errors import BadBundle, StoreError

from ...torture.bundles import torture
from ...torture.sealing import open_up, seal


def sealed(change: Callable[[list[Any]], object], honest: Path, goal: Path) -> Path:
    """Return the bundle with a changed log and a manifest that agrees with it."""
    parts = open_up(honest.read_bytes())
    lines = [json.loads(line) for line in parts["events.jsonl"].splitlines()]
    change(lines)
    output = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    goal.write_bytes(seal({**parts, "events.jsonl": output}))
    return goal


def first(lines: list[Any], kind: str) -> Any:
    return next(line for line in lines if line["event"]["kind"] == kind)


def put(kind: str, **values: Any) -> Callable[[list[Any]], object]:
    return lambda lines: first(lines, kind)["event"].update(values)


def drawn(*groups: dict[str, Any]) -> Callable[[list[Any]], object]:
    """A change of a log: the run's start becomes a drawing with these groups."""
    return lambda lines: first(lines, "run_started").update(event={"kind": "drawing_changed", "groups": groups})


def explained(**changed: Any) -> Any:
    """A change of a log: the run's start becomes an explanation of one of its codes, with these fields."""
    nothing = {"prompts": 0, "with_code": 0, "said": 0, "right": 0}
    rule = {"token": "a", "predicted": nothing}
    explanation = {
        "layer": 0,
        "head": 0,
        "code": 1,
        "paired": True,
        "examples": 2,
        "with_code": 1,
        "patterns": [],
        "salient": [],
        "held_out": "task",
        "same_kind": nothing,
        "contexts": nothing,
        "together": nothing,
        "frequent": rule,
        "best_token": rule,
        "passes": 1,
        "seconds": 1.0,
    } | changed

    def change(lines: list[Any]) -> None:
        seeds = first(lines, "run_queued")["event"]["config"]["seeds"]
        whole = {**explanation, "seed": changed.get("seed", seeds[0])}
        first(lines, "scored").update(event={"kind": "code_explained", "explanation": whole})

    return change


LIES: dict[str, tuple[Callable[[list[Any]], object], str]] = {
    "a gap": (lambda lines: lines.pop(3), "line 4, has the number 5"),
    "doubled": (lambda lines: lines.insert(3, lines[3]), "line 5, has the number 4"),
    "no time": (lambda lines: lines[2].update(at_us=-1), "line 3, has an impossible time"),
    "another field": (lambda lines: lines[2].update(path="/etc/passwd"), "line 3, is not a log entry"),
    "another kind": (lambda lines: lines[2]["event"].update(kind="boom"), "line 3, is not a log entry"),
    "a run of nobody": (lambda lines: lines[8].update(run_id="r0000000000000"[:13]), "never queued"),
    "a path as a run": (lambda lines: lines[8].update(run_id="../../x"), "not a valid run id"),
    "head outside": (
        lambda lines: first(lines, "scored")["event"]["nodes"][0].update(layer=10**9),
        "names the node 1000000000.0",
    ),
    "edge outside": (
        lambda lines: first(lines, "edges_scored")["event"]["edges"][0].update(source=[-1, 0]),
        "the node -1.0",
    ),
    "effect outside": (
        lambda lines: first(lines, "cause_scored")["event"]["effects"][0].update(head=99),
        "the node 0.99",
    ),
    "a part of fewer effects": (
        lambda lines: first(lines, "cause_scored")["event"].update(
            parts=[{"n_examples": 1, "base": 0.0, "effects": []}]
        ),
        "a number of effects of a part of 0",
    ),
    "a part of no examples": (
        lambda lines: first(lines, "cause_scored")["event"].update(
            effects=[], parts=[{"n_examples": 0, "base": 0.0, "effects": []}]
        ),
        "a number of examples of 0",
    ),
    "a drawing of another model": (
        lambda lines: first(lines, "run_started").update(event={"kind": "drawing_changed", "pinned": [[10**9, 0]]}),
        "the node 1000000000.0",
    ),
    "a drawing below nothing": (
        lambda lines: first(lines, "run_started").update(event={"kind": "drawing_changed", "least": -1.0}),
        "from -1.0 of the strongest",
    ),
    "a folded group of nothing": (
        drawn({"name": "a", "nodes": [], "folded": True}),
        "a number of nodes in a group of 0",
    ),
    "a node in two groups": (
        drawn({"name": "a", "nodes": [[0, 0]]}, {"name": "b", "nodes": [[0, 0], [0, 1]]}),
        "a node in two groups",
    ),
    "two groups of one name": (
        drawn({"name": "a", "nodes": [[0, 0]]}, {"name": "a", "nodes": [[0, 1]]}),
        "two groups of the same name",
    ),
    "an explanation by no atlas": (explained(atlas_key="../../x"), "whose key is not one"),
    "an explanation by a corpus without end": (explained(atlas_corpus="x" * 10**6), "a corpus's name of 1000000"),
    "an explanation of another model": (explained(layer=10**9), "the node 1000000000.0"),
    "an explanation of another seed": (explained(seed=2**40), "of the seed 1099511627776"),
    "an explanation of a word that is not there": (
        explained(
            patterns=[
                {
                    "words": [],
                    "places": [{"own": 3, "other": None, "saliency": 1.0}],
                    "example": None,
                    "covers": 0,
                    "wrong": 0,
                    "latent": 1.0,
                    "used": True,
                }
            ]
        ),
        "a word of a pattern of 3",
    ),
    "huge model": (
        lambda lines: first(lines, "model_ready")["event"]["model"].update(n_layers=10**9),
        "a number of layers of 1000000000",
    ),
    "other examples under a known name": (
        lambda lines: first(lines, "examples_set")["event"]["examples"][0].update(prompt="swapped"),
        "which is not their hash",
    ),
    "a version there is not": (put("examples_stepped", version=7), "a version of 7"),
    "an array by path": (put("array_kept", sha256="../../x"), "without a checksum"),
    "a run without end": (put("run_ended", state="running"), "which is not a final state"),
    "a cut file": (put("array_ready", shape=[9, 9, 9]), "announces codes of the shape"),
    "an empty name": (put("session_created", name=" "), "a name of 1 characters"),
    "a number beyond": (put("session_created", task_seed=2**70), "hold values that no session can"),
    "a config that is none": (lambda lines: first(lines, "run_queued")["event"]["config"].update(seeds=[]), "seeds="),
    "two beginnings": (
        lambda lines: lines[1].update(event=lines[0]["event"]),
        "creates the session again",
    ),
    "an import at the end": (
        lambda lines: lines[-1].update(
            run_id=None,
            event={"kind": "session_imported", "bundle_sha256": "", "from_session": "", "headcode": ""},
        ),
        "ends the log with an import",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_log_that_cannot_be_is_refused(lie: str, wary: Any, honest: Path, tmp_path: Path) -> None:
    change, words = LIES[lie]
    path = sealed(change, honest, tmp_path / "lie.headcode")
    with pytest.raises(BadBundle, match=re.escape(words)) as refused:
        wary.take(path)
    assert refused.value.message.startswith("events.jsonl")


def test_an_untouched_log_sealed_the_same_way_is_taken(away: Any, honest: Path, tmp_path: Path) -> None:
    assert away.take(sealed(lambda _: None, honest, tmp_path / "truth.headcode")).arrival == "new"


@pytest.mark.parametrize("member", ["codes", "sae", "tables/nodes", "events", "manifest"])
def test_a_damaged_member_is_named(member: str, wary: Any, honest: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(honest) as zipped:
        info = next(info for info in zipped.infolist() if info.filename.startswith(member))
    raw = bytearray(honest.read_bytes())
    raw[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0x55
    path = tmp_path / "damaged.headcode"
    path.write_bytes(raw)
    with pytest.raises(BadBundle, match=re.escape(info.filename)):
        wary.take(path)


def test_arrays_that_lie_are_named(wary: Any, honest: Path, tmp_path: Path) -> None:
    parts = open_up(honest.read_bytes())
    codes = next(name for name in parts if name.startswith("codes/"))
    path = tmp_path / "lie.headcode"
    for raw in (
        parts[codes][:-4],
        parts[codes].replace(b"I32", b"F32"),
        b"\xff" * 8,
        parts[codes][:-4] + b"\0\0\0\x7f",
    ):
        path.write_bytes(seal({**parts, codes: raw}))
        with pytest.raises(BadBundle, match=re.escape(codes)):
            wary.take(path)
    weights = next(name for name in parts if name.startswith("sae/"))
    path.write_bytes(seal({**parts, weights: parts[weights][:-1] + b"x"}))
    with pytest.raises(BadBundle, match="does not match the hash in its name"):
        wary.take(path)


def test_consent_to_run_code_does_not_travel(away: Any, honest: Path, tmp_path: Path) -> None:
    """Repeating the run would execute code from the hub that another user trusted."""
    path = sealed(
        put("run_queued", trust_remote_code=True, model="/tmp/evil/model"), honest, tmp_path / "evil.headcode"
    )
    away.take(path)
    found = away.store.rows("SELECT payload FROM event WHERE kind = 'run_queued' ORDER BY seq LIMIT 1")
    output = json.loads(found[0][0])
    assert (output["trust_remote_code"], output["model"]) == (False, "model")


def test_tables_are_never_read(away: Any, honest: Path, tmp_path: Path) -> None:
    """Tables are for other tools: whatever they contain, only the log is read."""
    parts = open_up(honest.read_bytes())
    output = {name: b"PAR1 nonsense" if name.startswith("tables/") else data for name, data in parts.items()}
    path, again = tmp_path / "odd.headcode", tmp_path / "again.headcode"
    path.write_bytes(seal(output))
    session = away.take(path).session.session_id
    away.export(session, again, sae=True)
    assert again.read_bytes() == honest.read_bytes()


def test_a_bomb_is_not_unpacked(wary: Any, honest: Path, tmp_path: Path) -> None:
    parts = open_up(honest.read_bytes())
    path = tmp_path / "bomb.headcode"
    path.write_bytes(seal({**parts, "tables/nodes.parquet": bytes(90_000_000)}))
    assert path.stat().st_size < 400_000
    with pytest.raises(BadBundle, match="no session does that"):
        wary.take(path)


def test_a_later_format_says_what_to_do(wary: Any, honest: Path, tmp_path: Path) -> None:
    parts = open_up(honest.read_bytes())
    later = json.loads(parts["manifest.json"]) | {"version": 2, "headcode": "9.0"}
    path = tmp_path / "later.headcode"
    path.write_bytes(seal({**parts, "manifest.json": json.dumps(later).encode()}))
    with pytest.raises(BadBundle, match=r"format version 2, written by Headcode 9\.0") as refused:
        wary.take(path)
    assert refused.value.hint == "Upgrade Headcode."


@pytest.mark.parametrize("raw", [b'{"format": "\xed\xa0\x80"}', b"[" * 100_000, b"", b"null", b'{"format": 1}'])
def test_a_manifest_that_is_none_is_named(raw: bytes, wary: Any, honest: Path, tmp_path: Path) -> None:
    parts = open_up(honest.read_bytes())
    path = tmp_path / "odd.headcode"
    path.write_bytes(seal({**parts, "manifest.json": raw}, honest=False))
    with pytest.raises(BadBundle, match=r"manifest\.json"):
        wary.take(path)


def test_a_pipe_or_a_folder_is_no_bundle(wary: Any, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/null")):
        with pytest.raises(BadBundle):
            wary.take(path)


def test_a_write_that_fails_leaves_nothing(away: Any, honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last statement of the transaction fails: nothing is stored, and the weights are removed again."""
    from sessions.store import recorder

    real, seen = recorder.append_rows, []

    def failing(con: Any, table: str, rows: Any) -> None:
        seen.append(table)
        real(con, table, rows)
        if table == "code" and seen.count("code") == 2:
            raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(recorder, "append_rows", failing)
    counts = away.counts()
    with pytest.raises(StoreError, match="full"):
        away.take(honest)
    monkeypatch.undo()
    assert away.counts() == counts
    assert list(away.sae.iterdir()) == []
    assert away.take(honest).arrival == "new"


def test_hostile_files_do_no_harm(tmp_path: Path) -> None:
    """Tries fifty of the five thousand; all of them: tests/torture/bundles.py."""
    found = torture(tmp_path / "watched", range(50), seed=7)
    assert found["troubles"] == []
    assert sum(found["refused"].values()) > 30
    assert found["accepted"]
