"""The command of a run: parsed again, it asks for the run that it was made of."""

import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from engine.analysis.run_state import RunSnapshot
from engine.config import DEFAULTS, PUBLISHED, EffectsConfig, ProbeConfig, SAEConfig
from engine.planning.option_table import OPTIONS
from sessions.events import RunQueued, SessionCreated
from tui.commands.probe import make_config, make_loading
from tui.headless.run_command import run_command
from tui.headless.run_snippet import run_snippet

from ..report.reported import facts_of, folded, material_of

NOWHERE = Path("/nowhere")


def changed(**fields: Any) -> ProbeConfig:
    return msgspec.structs.replace(DEFAULTS, **fields)


def parsed(line: str) -> dict[str, Any]:
    from tui.cli import app

    words = shlex.split(line)
    assert words[:2] == ["headcode", "probe"]
    command: Any = typer.main.get_command(app).commands["probe"]  # type: ignore[attr-defined]  # it is a group
    found: dict[str, Any] = command.make_context("probe", words[2:]).params
    return found


def chosen(found: dict[str, Any]) -> dict[str, Any]:
    paths = {option.path.replace(".", "_"): option.path for option in OPTIONS}
    return {path: found[name] for name, path in paths.items() if found.get(name) is not None}


@pytest.mark.parametrize(
    "config",
    [
        DEFAULTS,
        changed(seeds=(7,), nodes="heads", position="token:a b 'c'", grade=False, shuffles=0, theta=0.0123),
        changed(seeds=(0, 1, 2, 3), circuit_size=7, bootstraps=5),
        changed(sae=SAEConfig(n_codes=31, sparsity=0.123456789, steps=3, learning_rate=1e-4, scale=False)),
        changed(sae=msgspec.structs.replace(PUBLISHED, sparsity=0.02)),
        changed(
            cause=EffectsConfig(method="exact", metric="kl", replacement="zero", budget=2.5, edges=True, examples=3)
        ),
    ],
    ids=["defaults", "reading", "sizes", "autoencoder", "published", "effects"],
)
def test_the_command_asks_for_the_same_settings(config: ProbeConfig, picture: RunSnapshot) -> None:
    queued = RunQueued(config=config, model="toy", task="ioi", device="cpu", dtype="bfloat16", devices=2, known="ioi")
    facts = facts_of(picture, queued=queued)
    facts = msgspec.structs.replace(facts, run=msgspec.structs.replace(facts.run, config=config))
    found = parsed(run_command(facts, NOWHERE).line)
    asked = make_config(chosen(found))
    if config.sae.sparsity is None or asked.sae.sparsity is None:
        assert asked.sae.sparsity is None, "lambda is left to the recipe"
        config = msgspec.structs.replace(config, sae=msgspec.structs.replace(config.sae, sparsity=None))
    assert asked == config
    loading = make_loading(chosen(found))
    assert (loading.device, loading.dtype, loading.devices) == ("cpu", "bfloat16", 2)
    assert found["known"] == "ioi"
    assert found["target"] == "ioi"


def test_pairs_seed_and_model_are_named(picture: RunSnapshot) -> None:
    created = SessionCreated(name="mine", model="a folder/x", task="ioi", pairs=9, task_seed=4)
    facts = facts_of(picture, created=created)
    facts = msgspec.structs.replace(facts, run=msgspec.structs.replace(facts.run, model="a folder/x"))
    found = parsed(run_command(facts, NOWHERE).line)
    assert (found["pairs"], found["task_seed"], found["model"]) == (9, 4, "a folder/x")
    assert not found["usable"], "one of its pairs is broken"
    usable = tuple(msgspec.structs.replace(grade, verdict="ok") for grade in picture.grades)
    facts = msgspec.structs.replace(facts, picture=msgspec.structs.replace(picture, grades=usable))
    assert parsed(run_command(facts, NOWHERE).line)["usable"]


def test_examples_of_its_own_are_a_file(picture: RunSnapshot) -> None:
    own = facts_of(picture, name="x; rm -rf / 'y'\n", as_created=False)
    command = run_command(own, NOWHERE)
    assert command.file == "x-rm--rf-y-1.jsonl"
    assert parsed(command.line)["target"] == command.file
    export = shlex.split(command.export)
    assert export == ["headcode", "export", own.name, command.file]
    assert command.text == f"{command.export}\n{command.line}"
    assert command.file in material_of(own).command.text


@pytest.mark.parametrize("text", ['"""\nimport os\n', "'; import os; '", "\\", "{LAYER}", "a\x00b\u2028c\r\nd", "}}"])
def test_no_text_of_a_stranger_is_code_in_the_script(text: str, recorded: Any) -> None:
    from ..hostile_run import hostile_run

    picture = folded(hostile_run(recorded, text))
    facts = facts_of(picture, name=text, run_id=text)
    script = run_snippet(msgspec.structs.replace(facts, run=msgspec.structs.replace(facts.run, model=text)))
    assert script.isascii()
    import ast

    tree = ast.parse(script)
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"subprocess", "sys", "torch"}
    constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert text in constants
