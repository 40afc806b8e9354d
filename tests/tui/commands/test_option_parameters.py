"""Options of the table as parameters: each once, with its type, and only those given are handed on."""

import typer
from typer.testing import CliRunner

from engine.planning.option_table import OPTIONS
from tui.commands.option_parameters import Chosen, part_of, with_options


def test_every_option_is_a_parameter_and_only_what_is_given_is_handed_on() -> None:
    app, found = typer.Typer(), []

    @app.command()
    @with_options(*(option.path for option in OPTIONS), flags={"cause.edges": ("--edges",)})
    def command(*, word: str = "", chosen: Chosen) -> None:
        found.append((word, chosen))

    words = ["--word", "w", "--steps", "7", "--no-scale", "--edges", "--lambda", ".5", "--seeds", "4,8"]
    assert CliRunner().invoke(app, words).exit_code == 0
    given = {"sae.steps": 7, "sae.scale": False, "cause.edges": True, "sae.sparsity": 0.5, "seeds": "4,8"}
    assert found == [("w", given)]
    assert part_of(given, "sae") == {"steps": 7, "scale": False, "sparsity": 0.5}
    assert CliRunner().invoke(app, []).exit_code == 0
    assert found[1] == ("", {})
    assert CliRunner().invoke(app, ["--steps", "many"]).exit_code == 2
    help_text = CliRunner().invoke(app, ["--help"]).output
    for option in OPTIONS:
        flag = "--edges" if option.path == "cause.edges" else option.flag.partition("/")[0]
        assert flag in help_text
