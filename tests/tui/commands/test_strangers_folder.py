"""Test that no command executes anything from the current folder."""

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import typer

from engine.catalog.local_models import bundled_folder
from engine.machine import child_processes
from tui.cli import app

SETTING_OUT = """
import json, os, sys
import tui  # the stranger's would be found otherwise, as it is by any Python that is started there without -P

first, lines = sys.argv[1] == "first", json.load(open(sys.argv[2]))
if first:
    sys.path.insert(0, "")
else:
    sys.path[0:0] = [os.getcwd(), os.path.abspath("relative")]  # as Python makes the entries of PYTHONPATH
os.environ.update(json.load(open(sys.argv[3])))
from tui.cli import main

for line in lines:
    code = main(line)
    sys.stderr.write(f"\\n{line} ended with {code}\\n")
"""
"""A parent whose own start is over: what it and its children import from here on counts."""
LIGHT = [
    ["models", "list"],
    ["models", "show", "."],
    ["tasks"],
    ["keys"],
    ["probe", ".", "--dry-run"],
    ["examples", "new", "mine"],
    ["examples", "show", "mine"],
    ["examples", "export", "mine", "out.jsonl"],
    ["examples", "import", "mine", "out.jsonl"],
    ["examples", "expand", "mine"],
    ["examples", "undo", "mine"],
    ["examples", "redo", "mine"],
    ["sessions", "list"],
    ["sessions", "show", "mine"],
    ["sessions", "rename", "mine", "other"],
    ["sessions", "note", "other", "a word"],
    ["sessions", "tag", "other", "a-tag"],
    ["sessions", "search", "word"],
    ["sessions", "delete", "other"],
    ["sessions", "restore", "other"],
    ["sessions", "empty", "--yes"],
    ["runs", "list"],
    ["runs", "name", "latest", "a-name"],
    ["runs", "tag", "latest", "a-tag"],
    ["circuits", "list", "latest"],
    ["circuits", "show", "a"],
    ["circuits", "keep", "latest", "a", "--cut", "3"],
    ["circuits", "union", "a", "b", "c"],
    ["circuits", "intersect", "a", "b", "c"],
    ["circuits", "subtract", "a", "b", "c"],
    ["circuits", "drop", "a"],
    ["compare", "latest", "latest"],
    ["families", "latest"],
    ["replay", "latest", "--speed", "max"],
    ["verify", "latest"],
    ["export", "latest", "out.csv"],
    ["import", "out.csv"],
    ["sql", "SELECT 1"],
    ["atlas"],
    ["gc"],
    ["sweep", "list"],
    ["sweep", "show", "mine"],
    ["sweep", "status", "mine"],
    ["sweep", "log", "mine"],
    ["sweep", "export", "mine", "out.csv"],
    ["sweep", "gather", "mine", "."],
    ["sweep", "plot", "mine", "-", "--x", "seeds"],
    ["sweep", "births", "mine"],
    ["sweep", "retry", "mine"],
    ["sweep", "cancel", "mine"],
    ["host", "status"],
    ["host", "cancel"],
    ["host", "log"],
    ["--plain"],
    ["doctor", "--repair"],
    ["doctor", "--no-device-check"],
]
HEAVY = [
    ["doctor"],
    ["models", "import", ".", "--name", "taken"],
    ["models", "fetch", "smollm2-135m"],
    ["models", "fetch", "somebody/something"],
    ["probe", "ioi", "--model", "./", "--pairs", "12", "--quiet"],
    ["models", "check", "./"],
    ["cause", "latest", "--heads", "0.0"],
    ["places", "latest", "0.0"],
    ["through", "latest", "0.0"],
    ["ablate", "latest", "0.0"],
    ["steer", "latest", "--off", "0.0"],
    ["specificity", "latest"],
    ["report", "latest", "out.md"],
    ["sweep", "run", "--task", "ioi", "--model", "./", "--on", "local", "--pairs", "3"],
    ["neurons", "latest", "m0"],
    ["neuron", "./", "0.0"],
    ["explain", "latest", "0.0", "0"],
    ["atlas", "./", "--tokens", "300"],
    ["examples", "make", "latest", "ioi"],
    ["examples", "more", "latest"],
]
NOT_HERE = {"demo", "bench speed", "bench circuits", "host stop"}
"""The workbench starts what --plain starts; `bench` runs probes for minutes; a host is stopped at the end."""
EARLY = {"abc", "codecs", "encodings", "io", "os", "stat", "posixpath", "genericpath", "zipimport", "site"}
"""A Python that finds these in the current folder breaks down before it can leave a mark."""
NAMES = sorted(
    {name for name in {*packages_distributions(), *sys.stdlib_module_names} if name.isidentifier()} - EARLY
    | {"pip", "setuptools", "pkg_resources", "sitecustomize", "usercustomize", "evil", "engine", "sessions"}
)
PROGRAMS = ("nvidia-smi", "ldconfig", "gcc", "cc", "ld", "uname", "git", "sh", "sysctl", "python3", "pip")


class Folder:
    """A foreign model folder with a file named like every module and program that may be searched for."""

    def __init__(self, root: Path) -> None:
        self.path = root / "model"
        self.fired = root / "fired"
        self.home = root / "home"
        self.fired.mkdir()
        self.path.mkdir()
        (self.path / "relative").mkdir()
        for file in bundled_folder().iterdir():
            (self.path / file.name).write_bytes(file.read_bytes())
        config = json.loads((self.path / "config.json").read_text())
        config["auto_map"] = {"AutoConfig": "theirs.Config", "AutoModelForCausalLM": "theirs.Model"}
        (self.path / "config.json").write_text(json.dumps(config))
        for name in [*NAMES, "theirs", "headcode_startup"]:
            for folder in (self.path, self.path / "relative"):
                (folder / f"{name}.py").write_text(f"open({str(self.fired / name)!r}, 'w').close()\n")
        for name in PROGRAMS:
            for folder in (self.path, self.path / "relative"):
                (folder / name).write_text(f"#!/bin/sh\n: > '{self.fired / name}'\n")
                (folder / name).chmod(0o755)
        (self.path / "pip.conf").write_text("[global]\nno-such-option\n")

    def run(self, how: str, lines: list[list[str]], *, added: dict[str, str]) -> str:
        """What was said on stderr while a person in this folder typed those lines."""
        words, variables = self.fired.with_name("lines.json"), self.fired.with_name("variables.json")
        words.write_text(json.dumps(lines))
        variables.write_text(json.dumps({"HEADCODE_HOME": str(self.home), **added}))
        given = [how, str(words), str(variables)]
        command = [child_processes.PYTHON, "-P", "-c", SETTING_OUT, *given]
        if how == "first":
            command = [child_processes.PYTHON, "-c", f"import sys; del sys.path[0]\n{SETTING_OUT}", *given]
        done = subprocess.run(
            command,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=840,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def fired_names(self) -> list[str]:
        return sorted(file.name for file in self.fired.iterdir())


EVIL = {
    "PYTHONPATH": f":relative:.:{Path(__file__).parent}",
    "PYTHONSTARTUP": "headcode_startup.py",
    "PYTHONWARNINGS": "ignore::evil.Warning",
    "PYTHONBREAKPOINT": "evil.stop",
    "PYTHONPYCACHEPREFIX": "relative",
    "PATH": f".::relative:{os.environ.get('PATH', os.defpath)}",
    "LD_LIBRARY_PATH": ":relative",
    "PIP_CONFIG_FILE": "pip.conf",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_RETRIES": "0",
    "HF_ENDPOINT": "http://127.0.0.1:9",
}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory):
    found = Folder(tmp_path_factory.mktemp("s"))
    yield found
    environ = {**os.environ, "HEADCODE_HOME": str(found.home)}
    child_processes.run(
        child_processes.python_command("-m", "tui.cli", "host", "stop"), env=environ, capture_output=True, timeout=60
    )


@pytest.mark.timeout(900)  # three processes import torch; half a minute on an idle machine
def test_no_command_runs_what_lies_in_the_current_folder(folder: Folder) -> None:
    message = folder.run("named", [*LIGHT[:5], *HEAVY, *LIGHT[5:]], added=EVIL)
    assert folder.fired_names() == []
    # They came as far as they could: had nothing been started, nothing would be shown by this.
    for line, code in (
        (HEAVY[0], 0),
        (HEAVY[1], 0),
        (HEAVY[2], 2),
        (HEAVY[3], 2),
        (HEAVY[4], 0),
        (HEAVY[5], 0),
        (["gc"], 0),
    ):
        assert f"{line} ended with {code}" in message, message


def test_nor_where_python_itself_puts_the_current_folder_first(folder: Folder) -> None:
    message = folder.run("first", [["models", "list"], ["doctor", "--no-device-check"], ["--plain"]], added={})
    assert folder.fired_names() == []
    assert "['--plain'] ended with 0" in message, message


def test_the_markers_do_fire_where_nobody_takes_care(folder: Folder) -> None:
    subprocess.run([sys.executable, "-c", "import msgspec, torch"], cwd=folder.path, check=False, capture_output=True)
    assert {"msgspec", "torch"} <= set(folder.fired_names())


def test_every_command_is_typed_there() -> None:
    def leaves(command: object, before: str = "") -> set[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            return {before.strip()}
        return {leaf for name, each in inner.items() for leaf in leaves(each, f"{before} {name}")}

    typed = {" ".join(line) + " " for line in [*LIGHT, *HEAVY]}
    for leaf in leaves(typer.main.get_command(app)) - NOT_HERE:
        assert any(line.startswith(f"{leaf} ") for line in typed), leaf
