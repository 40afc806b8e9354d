"""Test that the program accepts every command line in README.md and docs/, and that README's examples are graded ok."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from engine.authoring.text_format import read_examples
from engine.catalog.local_models import bundled_folder
from engine.config import LoadOptions
from engine.examples import MAX_EXAMPLES
from engine.nodes import parse_node
from engine.tasks.registry import TASKS

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
"""Lab notes are left out: they have commands of earlier versions."""
_ENDS = re.compile(r"\s+(?:\||<|>>?|&&|;|2>)(?:\s|$)")
_VARIABLES = re.compile(r"^(?:\w+=\S*\s+)*")
_GAP = re.compile(r"\s{2,}#|\s#\s")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*(?:/[A-Z0-9]+)?")


def written() -> Iterator[tuple[str, int, str]]:
    """Yield page, line and text of every command line in code blocks and back quotes."""
    for path in PAGES:
        fenced = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if line.startswith("```"):
                fenced = not fenced
            if fenced or line.startswith("    "):
                found = re.split(r" \| ", line.strip().removeprefix("$ "))
            else:
                found = re.findall(r"`([^`]+)`", line.replace("\\|", "|"))
            for text in found:
                text = _VARIABLES.sub("", text.strip())
                if text == "headcode" or text.startswith("headcode "):
                    yield path.name, number, text


def alternatives(text: str) -> list[list[str]]:
    """Return the words of each command that a line describes, without comments, redirections and brackets.

    `undo|redo` describes two, `[--json]` for a line with it.
    """
    text = _ENDS.split(_GAP.split(text)[0])[0]
    if "[" in text and '"' not in text:
        text = text.replace("[", "").replace("]", "")
    words = shlex.split(text.replace("…", ""))[1:]
    found: list[list[str]] = [[]]
    for word in words:
        choices = word.split("|") if re.fullmatch(r"[\w-]+(?:\|[\w-]+)+", word) else [word]
        found = [[*one, choice] for one in found for choice in choices]
    return found


COMMANDS = [
    pytest.param(words, id=f"{page}:{number} {' '.join(words)[:60]}")
    for page, number, text in written()
    for words in alternatives(text)
]


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the words select, and its remaining words."""
    from tui.cli import app

    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        default = getattr(command, "default_command", None)
        assert words[0] in command.commands or default, f"there is no command {words[0]!r}: {sorted(command.commands)}"
        if words[0] not in command.commands:
            return command.commands[default], words
        command, words = command.commands[words[0]], words[1:]
    if words and words[0].startswith("--") and hasattr(command, "default_command") and words[0] != "--help":
        return command.commands[command.default_command], words
    return command, words


def flags_of(command: Any) -> dict[str, Any]:
    return {
        flag: each
        for each in command.params
        if each.param_type_name == "option"
        for flag in (*each.opts, *each.secondary_opts)
    }


def test_there_are_command_lines_to_check() -> None:
    pages = {page for page, _, _ in written()}
    assert {"README.md", "cause.md", "sessions.md", "examples.md", "first-hour.md"} <= pages
    assert len(COMMANDS) > 120


@pytest.mark.parametrize("words", COMMANDS)
def test_the_program_takes_the_line(words: list[str]) -> None:
    command, rest = resolved(words)
    flags = flags_of(command)
    given: list[str] = []
    wanted: Any = None
    for word in rest:
        if wanted is not None:
            # A word in capitals stands for a value; 1 is one, of a number as well.
            given.append("1" if _PLACEHOLDER.fullmatch(word) else word)
            wanted = None
            continue
        given.append(word)
        if word.startswith("--"):
            name = word.partition("=")[0]
            assert name in flags or name in ("--help", "--debug"), f"{command.name} has no {name}: {sorted(flags)}"
            option = flags.get(name)
            if option is not None and not option.is_flag and "=" not in word:
                wanted = option
    if wanted is not None:  # `--model M` of a sentence that stops there
        return
    if rest and "--help" not in rest and not hasattr(command, "commands"):
        # Values are converted, choices checked, arguments counted; nothing is run.
        command.make_context(str(command.name), list(given))


@pytest.mark.parametrize("words", [each for each in COMMANDS if {"--heads", "--head"} & {*each.values[0]}])
def test_heads_that_are_named_are_the_bundled_models(words: list[str]) -> None:
    if "--model" in words:
        return
    config = msgspec.json.decode((bundled_folder() / "config.json").read_bytes())
    for place, word in enumerate(words[:-1]):
        if word in ("--heads", "--head") and not _PLACEHOLDER.fullmatch(words[place + 1]):
            for name in words[place + 1].split(","):
                node = parse_node(name)
                assert node is not None, name
                assert node.layer < config["n_layer"], name
                assert node.head < config["n_head"], name


@pytest.mark.parametrize("words", [each for each in COMMANDS if each.values[0][:1] == ["probe"]])
def test_tasks_and_measures_that_are_named_exist(words: list[str]) -> None:
    from engine.measures import find_measure
    from engine.planted import PLANTED

    target = words[1] if len(words) > 1 and re.fullmatch(r"[a-z][a-z_-]+", words[1]) else None
    assert target is None or target in TASKS or target in PLANTED
    if "--measure" in words:
        find_measure(words[words.index("--measure") + 1])


def readme_examples(kind: str) -> str:
    """A code block of README that holds examples: lines or JSON."""
    blocks = re.findall(r"```\w*\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if block.startswith(kind))


def test_readmes_own_examples_are_graded_ok_by_the_bundled_model(tmp_path: Path) -> None:

    from engine.capture.head_outputs import read_examples as read_prompts
    from engine.config import ProbeConfig
    from engine.grading.rules import grade_examples
    from engine.models.loading import load_model

    class Deaf:
        def report(self, event: object, /) -> None: ...
        def cancelled(self) -> bool:
            return False

    lines = read_examples(readme_examples("+1"))
    assert 2 <= len(lines) < MAX_EXAMPLES
    assert lines == read_examples(readme_examples('{"prompt"'))
    model = load_model("toy", tmp_path, LoadOptions(device="cpu"))
    grades = grade_examples(model, list(lines), read_prompts(model, list(lines), ProbeConfig(), Deaf(), None))
    assert [grade.verdict for grade in grades] == ["ok"] * len(lines), [grade.reason for grade in grades]
