"""Test that files no session needs are found, counted and deleted, and that the others stay."""

import os
import time
from pathlib import Path

import pytest

from engine.machine.folders import AppFolders, find_folders
from sessions.edits import garbage
from sessions.protocol import CollectGarbage, GarbageReport, SessionAnswer, TrashSession

DAY = 86_400


@pytest.fixture
def places(tmp_path: Path) -> AppFolders:
    return find_folders({"HEADCODE_HOME": str(tmp_path)})


def lay(path: Path, n_bytes: int, *, days: float = 0) -> Path:
    """Write a file of that size, last touched so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * n_bytes)
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def old_folder(path: Path, n_bytes: int, *, days: float) -> Path:
    lay(path / "deep" / "file", n_bytes)
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def fill(places: AppFolders) -> tuple[set[Path], set[Path]]:
    """Create every kind of file; return those that stay and those that go."""
    kept = {
        lay(places.activations / "new.safetensors", 10, days=29),
        lay(places.activations / ".being-written.17", 10),
        lay(places.data / "sae" / "named.safetensors", 10, days=99),
        old_folder(places.spool / "r-running", 10, days=2),
        lay(places.spool / "fresh", 10),
        lay(places.models / "mine" / "model.safetensors", 10, days=999),
        old_folder(places.models / ".partial-young-1", 10, days=0.5),
        lay(places.logs / "host.log", 10, days=999),
        lay(places.logs / "host.log.1", 10, days=3),
        lay(places.store, 10, days=999),
        lay(places.store.with_name("sessions.duckdb.wal"), 10, days=999),
        lay(places.data / "sessions.schema-2.duckdb", 10, days=3),
        lay(places.data / "sessions.repaired.duckdb", 10, days=999),
        lay(places.data / "sessions.damaged-20260101-000000.duckdb", 10, days=999),
        old_folder(places.data / "repair-now", 10, days=0.5),
        lay(places.data / "notes of mine.txt", 10, days=999),
    }
    deletable = {
        lay(places.activations / "old.safetensors", 100, days=31),
        lay(places.activations / ".left.99", 100, days=1),
        lay(places.data / "sae" / "nobodys.safetensors", 1000),
        old_folder(places.spool / "r-gone", 100, days=2),
        old_folder(places.models / ".partial-old-2", 100, days=2),
        lay(places.logs / "worker.log.1", 100, days=31),
        lay(places.data / "sessions.schema-1.duckdb", 100, days=31),
        old_folder(places.data / "repair-killed", 100, days=2),
    }
    return kept, deletable


def test_each_kind_is_counted_and_only_what_is_old_goes(places: AppFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, deletable = fill(places)
    unowned = [places.data / "sae" / "nobodys.safetensors"]
    found = garbage.find_garbage(places, unowned, garbage.CacheLimits(), running=("r-running",))
    assert {path for each in found for path in each.deletable} == deletable
    piles = {each.pile.kind: each.pile for each in found}
    assert list(piles) == ["activations", "weights", "spool", "fetches", "logs", "set aside", "copies", "repairs"]
    cached = piles["activations"]
    assert (cached.n, cached.n_deletable, cached.deletable_bytes) == (4, 2, 200)
    assert (piles["weights"].n_bytes, piles["weights"].deletable_bytes) == (1010, 1000)
    assert piles["spool"].deletable_bytes >= 100
    # New weights may be named in a moment: they stay even if no run names them yet.
    assert garbage.remove(found) == sum(pile.deletable_bytes for pile in piles.values()) - 1000
    assert unowned[0].exists()
    monkeypatch.setattr(garbage, "SETTLED_S", 0)
    assert garbage.remove(garbage.find_garbage(places, unowned, garbage.CacheLimits(), running=("r-running",))) == 1000
    assert not any(path.exists() for path in deletable)
    assert all(path.exists() for path in kept)
    assert garbage.remove(garbage.find_garbage(places, [], garbage.CacheLimits(), running=("r-running",))) == 0


def test_the_activations_have_an_age_and_a_size(places: AppFolders) -> None:
    files = [lay(places.activations / f"{days}.safetensors", 100, days=days) for days in (40, 20, 10, 1)]
    survey = lambda limits: garbage.find_garbage(places, [], limits, running=())[0].deletable  # noqa: E731
    assert set(survey(garbage.CacheLimits())) == {files[0]}
    assert set(survey(garbage.CacheLimits(cache_days=15))) == set(files[:2])
    assert set(survey(garbage.CacheLimits(cache_days=0))) == set(files)
    assert set(survey(garbage.CacheLimits(cache_bytes=250))) == set(files[:2])
    assert set(survey(garbage.CacheLimits(cache_days=15, cache_bytes=1000))) == set(files[:2])
    assert set(survey(garbage.CacheLimits(cache_bytes=0))) == set(files)


def test_links_are_removed_and_never_followed(places: AppFolders, tmp_path: Path) -> None:
    mine = lay(tmp_path / "mine" / "precious", 10)
    places.spool.mkdir(parents=True)
    link = places.spool / "r-link"
    link.symlink_to(mine.parent)
    os.utime(link, (0, 0), follow_symlinks=False)
    places.models.mkdir(parents=True)
    partial = old_folder(places.models / ".partial-x", 10, days=9)
    (partial / "out").symlink_to(mine.parent)
    os.utime(partial, (0, 0))
    garbage.remove(garbage.find_garbage(places, [], garbage.CacheLimits(), running=()))
    assert not link.is_symlink()
    assert not partial.exists()
    assert mine.exists()


async def test_the_host_shows_first_and_removes_when_told(lab) -> None:
    client = await lab.connect()
    lay(lab.places.activations / "old.safetensors", 100, days=31)
    run = await lab.queue(client)
    await lab.finish(client, run)
    await client.ask(TrashSession(session=run.session_id), SessionAnswer)
    found = await client.ask(CollectGarbage(), GarbageReport)
    piles = {pile.kind: pile for pile in found.piles}
    assert (found.removed, found.removed_bytes) == (False, 0)
    assert (piles["trash"].n, piles["trash"].n_deletable) == (1, 0)  # it has not been there for 30 days
    assert piles["trash"].n_bytes > 0
    assert (piles["weights"].n, piles["weights"].n_deletable) == (1, 0)
    assert piles["activations"].n_deletable == 1
    found = await client.ask(CollectGarbage(remove=True), GarbageReport)
    assert (found.removed, found.removed_bytes) == (True, 100)
    assert not (lab.places.activations / "old.safetensors").exists()
    assert (await lab.detail(client, run.session_id)).session.trashed_us is not None
    assert len(list((lab.places.data / "sae").iterdir())) == 1


def test_stores_that_were_set_aside_are_listed_and_never_removed(places: AppFolders) -> None:
    """They may be the only copy of what was recorded."""
    store = places.store
    aside = [
        lay(store.with_name(name), 100, days=1000)
        for name in (
            "sessions.kept-20261130-120000.duckdb",
            "sessions.kept-20261130-120000.journal",
            "sessions.damaged-20261130-120000.duckdb",
            "sessions.damaged-20261130-120000.duckdb.wal",
            "sessions.repaired.duckdb",
            "sessions.repaired-2.duckdb",
            "sessions.duckdb.other",
        )
    ]
    lay(store, 100, days=1000)
    lay(store.with_name("sessions.reserve"), 100, days=1000)
    (found,) = garbage.find_garbage(places, [], garbage.CacheLimits(), running=())
    assert (found.pile.kind, found.pile.n, found.pile.n_bytes, found.pile.n_deletable) == ("set aside", 7, 700, 0)
    assert garbage.remove([found]) == 0
    assert all(path.exists() for path in aside)
