"""The command line stays light: what it imports, and that a reader may leave."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "transformer_lens", "duckdb", "textual", "numpy", "asyncio", "rich")


def imported_by(words: list[str], names: tuple[str, ...]) -> list[str]:
    code = f"import sys; from tui.cli import main; main({words!r}); print([n for n in {names!r} if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[str] = eval(ran.stdout.splitlines()[-1], {})  # noqa: S307  # our own list
    return found


def test_help_imports_nothing_heavy() -> None:
    assert imported_by(["--help"], HEAVY) == []


@pytest.mark.parametrize("words", [["tasks"], ["models", "list"], ["doctor", "--no-device-check"], ["host", "status"]])
def test_no_command_imports_torch_or_duckdb_or_textual(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("HEADCODE_HOME", str(tmp_path))
    assert imported_by(words, HEAVY[:5]) == []


def test_the_check_can_fail() -> None:
    code = "import duckdb, sys; print('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    command = [sys.executable, "-m", "tui.cli", "tasks", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        message = process.stderr.read()
        assert process.wait() == 141
    assert message == b""


def test_the_version_is_said() -> None:
    ran = subprocess.run([sys.executable, "-m", "tui.cli", "--version"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert ran.stdout.startswith("headcode 0.")
