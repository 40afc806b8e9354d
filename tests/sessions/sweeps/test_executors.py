"""What runs units: one table, and what to install for a row of it."""

import importlib.util

import pytest

from engine.errors import ConfigError
from sessions.sweeps.executors import find_executor


@pytest.mark.parametrize(("name", "extra"), [("ray", "headcode[ray]"), ("slurm", "headcode[slurm]")])
def test_an_extra_that_is_missing_is_named_with_how_to_install_it(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(ConfigError) as refused:
        find_executor(name)
    assert name in refused.value.message
    assert extra in refused.value.message + refused.value.hint
    assert "pip" in refused.value.message + refused.value.hint
