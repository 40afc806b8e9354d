"""Provide two machines, a bundle from one of them, and a home for untrusted files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...torture.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Any]:
    home = Home(tmp_path / "one")
    yield home
    home.close()


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Any]:
    """Provide another machine."""
    home = Home(tmp_path / "two")
    yield home
    home.close()


@pytest.fixture
def file(home: Any, tmp_path: Path) -> Path:
    path = tmp_path / "mine.headcode"
    home.export(home.session(), path, sae=True)
    return path


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a valid bundle whose author no longer exists."""
    folder = tmp_path_factory.mktemp("honest")
    made = Home(folder / "maker")
    made.export(made.session(), folder / "mine.headcode", sae=True)
    made.close()
    return folder / "mine.headcode"


@pytest.fixture(scope="module")
def _wary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = Home(tmp_path_factory.mktemp("wary") / "home")
    yield home
    home.close()


@pytest.fixture
def wary(_wary: Any) -> Iterator[Any]:
    """Provide a home that several untrusted files try to enter; none may leave anything in it."""
    before = _wary.counts()
    yield _wary
    assert _wary.counts() == before
    assert list(_wary.spool.iterdir()) == []
    assert list(_wary.sae.iterdir()) == []
