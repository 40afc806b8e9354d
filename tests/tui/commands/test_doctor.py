"""What the doctor says of kept keys and values: they are used, they are left out, or nothing works."""

import subprocess
import sys
from typing import Any

import pytest

from tui.commands.doctor import key_value_cache


def test_they_are_used_here() -> None:
    check = key_value_cache()
    assert (check.name, check.verdict) == ("kept keys", "ok")
    assert "are reused" in check.found


@pytest.mark.parametrize(
    ("code", "verdict", "words"),
    [
        ("print('some notice'); print('inf')", "warn", "do not reuse"),
        ("print('0.5')", "warn", "do not reuse"),
        ("raise ValueError('no such argument')", "fail", "no such argument"),
        ("import time; time.sleep(60)", "warn", "longer than"),
    ],
)
def test_what_else_there_is_to_say(code: str, verdict: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run

    def instead(_command: list[str], **given: Any) -> Any:
        return run([sys.executable, "-c", code], **given)

    monkeypatch.setattr("tui.commands.doctor.CACHE_LIMIT_S", 1 if "sleep" in code else 60)
    monkeypatch.setattr(subprocess, "run", instead)
    check = key_value_cache()
    assert (check.verdict, words in check.found, bool(check.todo)) == (verdict, True, True)
