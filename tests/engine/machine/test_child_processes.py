"""What a child process is started with, and that every one is started in one place."""

import ast
import os
import sys
from pathlib import Path

import pytest

from engine.machine import child_processes
from tui import current_folder

ROOT = Path(__file__).parents[3]
STARTERS = {
    "subprocess": {"run", "Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "pty": {"spawn"},
}
"""Functions that start a process, by module; of `os` by their beginnings, below."""
ALLOWED = {
    "engine/machine/child_processes.py",
    "sessions/services/die_with_parent.py",
    "sessions/sweeps/on_ray/survey.py",
}
"""die_with_parent.py already is the child, which only executes the given command; survey.py is sent to nodes alone."""


def starts(text: str) -> set[str]:
    """The ways in which a file starts processes, or names this Python."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            pairs = [(node.module or "", name.name) for name in node.names]
        elif isinstance(node, ast.Import):
            pairs = [(name.name.partition(".")[0], "") for name in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            pairs = [(node.value.id, node.attr)]
        elif isinstance(node, ast.Attribute) and node.attr == "subprocess_exec":
            pairs = [("asyncio", "create_subprocess_exec")]
        else:
            continue
        for module, name in pairs:
            in_os = module == "os" and name.startswith(("exec", "spawn", "posix_spawn", "system", "popen"))
            if in_os or name in STARTERS.get(module, ()) or (module, name) == ("sys", "executable"):
                found.add(f"{module}.{name}")
            elif module in ("multiprocessing", "runpy"):
                found.add(module)
    return found


def test_nobody_starts_a_process_otherwise() -> None:
    elsewhere = {}
    for package in ("engine", "sessions", "tui"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name not in ALLOWED and (found := starts(path.read_text(encoding="utf-8"))):
                elsewhere[name] = found
    assert elsewhere == {}


@pytest.mark.parametrize(
    "line",
    [
        "import subprocess; subprocess.run(['x'])",
        "from subprocess import Popen",
        "import asyncio\nasync def go(): await asyncio.create_subprocess_exec('x')",
        "import os; os.execv('x', ['x'])",
        "from os import system",
        "import sys; print(sys.executable)",
        "from multiprocessing import Process",
        "import os; os.posix_spawnp('x', ['x'], {})",
    ],
)
def test_that_check_can_fail(line: str) -> None:
    assert starts(line)


def test_only_absolute_folders_are_searched() -> None:
    given = {
        "PATH": f".:/usr/bin::bin:/bin:{os.pathsep}",
        "PYTHONPATH": ":/opt/module/lib:.:relative:~/x",
        "LD_LIBRARY_PATH": ":/usr/local/cuda/lib64",
        "DYLD_LIBRARY_PATH": ":",
        "LD_PRELOAD": "libjemalloc.so.2 ./theirs.so:/opt/own.so sub/theirs.so",
    }
    assert child_processes.environment(given) == {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": "/opt/module/lib",
        "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
        "LD_PRELOAD": "libjemalloc.so.2:/opt/own.so",
        "PYTHONSAFEPATH": "1",
    }
    assert child_processes.environment({"PATH": ".:"}) == {"PYTHONSAFEPATH": "1"}, "an empty PATH is the current folder"


def test_variables_that_run_or_import_something_are_not_handed_on() -> None:
    gone = ("STARTUP", "INSPECT", "BREAKPOINT", "WARNINGS", "PLATLIBDIR", "EXECUTABLE", "DEVMODE", "CASEOK", "NEWONE")
    stay = {"PYTHONUTF8": "1", "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "PYTHONIOENCODING": "utf-8"}
    folders = {"PYTHONHOME": "/opt/python", "PYTHONUSERBASE": "/home/me/.local", "PYTHONPYCACHEPREFIX": "/tmp/cache"}
    given = {f"PYTHON{name}": "1" for name in gone} | stay | folders | {"HOME": "/home/me"}
    assert child_processes.environment(given) == {**stay, **folders, "HOME": "/home/me", "PYTHONSAFEPATH": "1"}
    relative = dict.fromkeys(folders, "here")
    assert child_processes.environment(relative) == {"PYTHONSAFEPATH": "1"}


def test_relative_folders_of_our_own_go_on_meaning_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"HEADCODE_HOME": "home", "TMPDIR": "./tmp", "HF_HOME": "~/hf", "XDG_STATE_HOME": ""}
    home = os.path.expanduser("~")  # noqa: PTH111
    assert child_processes.environment(given) == {
        "HEADCODE_HOME": f"{tmp_path}/home",
        "TMPDIR": f"{tmp_path}/tmp",
        "HF_HOME": f"{home}/hf",
        "XDG_STATE_HOME": "",
        "PYTHONSAFEPATH": "1",
    }
    output = child_processes.run(
        child_processes.python_command("-c", "import os; print(os.getcwd(), os.environ['HEADCODE_HOME'])"),
        env=given,
        capture_output=True,
        text=True,
    )
    assert output.stdout == f"/ {tmp_path}/home\n"


def test_a_child_imports_nothing_from_here_and_finds_what_its_parent_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, module = tmp_path / "here", tmp_path / "module"
    for folder in (here, module):
        folder.mkdir()
        (folder / "whose.py").write_text(f"FOLDER = {folder.name!r}\n")
        (folder / "sitecustomize.py").write_text("")
    monkeypatch.chdir(here)
    asking = child_processes.python_command("-c", "import whose; print(whose.FOLDER)")
    found = child_processes.run(asking, env={"PYTHONPATH": f":.:{module}"}, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "module\n")
    lost = child_processes.run(asking, env={"PYTHONPATH": ":."}, capture_output=True, text=True)
    assert "No module named 'whose'" in lost.stderr


def test_programs_are_looked_for_in_absolute_folders_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "nvidia-smi").write_text("#!/bin/sh\n")
        (tmp_path / folder / "nvidia-smi").chmod(0o755)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", f".::{tmp_path}/there")
    assert child_processes.find_program("nvidia-smi") == f"{tmp_path}/there/nvidia-smi"
    monkeypatch.setenv("PATH", ".:")
    assert child_processes.find_program("nvidia-smi") is None
    with pytest.raises(FileNotFoundError):
        child_processes.start(["nvidia-smi"])


HERE, OWN, SITE = "/stranger", "/opt/headcode", "/usr/lib/python3.11"


@pytest.mark.parametrize(
    ("path", "pythonpath", "first", "left"),
    [
        (["", SITE], "", True, [SITE]),  # python -c
        ([HERE, SITE], "", True, [SITE]),  # python -m tui.cli
        (["/usr/bin", SITE], "", True, ["/usr/bin", SITE]),  # the script headcode, beside what it lies
        (["/usr/bin", HERE, "/x", SITE], ":/x", True, ["/usr/bin", "/x", SITE]),
        (["/usr/bin", HERE, SITE], ".", True, ["/usr/bin", SITE]),
        (["/usr/bin", f"{HERE}/lib", SITE], "lib", True, ["/usr/bin", SITE]),
        (["/usr/bin", HERE, SITE], HERE, True, ["/usr/bin", HERE, SITE]),  # named in full: the person's own choice
        (["/usr/bin", HERE, SITE], f"{HERE}:", True, ["/usr/bin", HERE, SITE]),
        ([HERE, SITE], ".", False, [SITE]),  # python -P
        (["lib", "", SITE], "", False, [SITE]),
    ],
)
def test_the_command_leaves_the_current_folder_out(
    path: list[str], pythonpath: str, first: bool, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_folder.os, "getcwd", lambda: HERE)
    monkeypatch.setenv("PYTHONPATH", pythonpath)
    monkeypatch.setenv("PATH", ".:/usr/bin:")
    current_folder.leave(path, os.environ, OWN, first=first, named=True)
    assert path == left
    assert os.environ["PATH"] == "/usr/bin"


def test_a_checkout_goes_on_running_from_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_folder.os, "getcwd", lambda: OWN)
    monkeypatch.setenv("PYTHONPATH", ":/x")
    path = [OWN, OWN, "/x", SITE]
    current_folder.leave(path, os.environ, OWN, first=True, named=True)
    assert path == [OWN, OWN, "/x", SITE]


def test_this_python_is_named_in_full() -> None:
    assert sys.executable == child_processes.PYTHON
    assert Path(child_processes.PYTHON).is_absolute()
