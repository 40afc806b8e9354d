"""`headcode compare` and `headcode circuits`: on output of every kind, and over a real host."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from engine.analysis.run_state import RunSnapshot
from engine.measures import find_measure
from sessions.comparison.comparison import ComparisonSide, compare
from tui.output.comparison import compare_json, difference_lines, print_comparison
from tui.output.console import OutputStyle
from tui.themes.diverging import diverging_colours, signed_level
from tui.themes.themes import LEVELS

UNIQUE = find_measure("unique_positive")


@pytest.fixture
def two(picture: RunSnapshot) -> tuple[ComparisonSide, ComparisonSide]:
    a = ComparisonSide(
        reference="r1",
        title="one/1",
        kind="run",
        n_layers=2,
        n_heads=4,
        nodes=picture.nodes,
        model=picture.model,
        examples=picture.examples,
        cut=3,
    )
    nodes = tuple(
        msgspec.structs.replace(node, unique_positive=3.0 - node.head if node.layer else float(node.head))
        for node in picture.nodes
    )
    return a, msgspec.structs.replace(a, title="two/1", nodes=nodes)


def test_the_grid_says_the_sign_without_colours(two: tuple[ComparisonSide, ComparisonSide]) -> None:
    grid = compare(*two, measure=UNIQUE).grid
    assert grid is not None
    lines = [line.plain for line in difference_lines(grid, UNIQUE, OutputStyle(colours="none", width=100))]
    assert lines[0] == "A - B  unique codes: codes seen on positives and on no negative"
    assert lines[2].split() == ["0", ".", ".", ".", ".b"]
    assert lines[3].translate({ord(shade): " " for shade in "░▒▓█"}).split() == ["1", "+1b", "+3=", "+5a", "+7a"]
    assert "more in A" in lines[-1]
    narrow = [line.plain for line in difference_lines(grid, UNIQUE, OutputStyle(colours="none", width=20))]
    assert "+9" in "".join(narrow)
    assert max(map(len, narrow[1:-1])) <= 20
    ascii_only = difference_lines(grid, UNIQUE, OutputStyle(colours="none", width=100, unicode=False))
    assert all(line.plain.isascii() for line in ascii_only)


@pytest.mark.parametrize("dark", [True, False])
def test_both_directions_grow_away_from_the_ground(dark: bool) -> None:
    colours = diverging_colours(dark=dark)
    assert len(colours) == 2 * LEVELS

    def light(colour: tuple[int, int, int]) -> float:
        return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]

    for start in (0, LEVELS):
        steps = [light(colour) for colour in colours[start : start + LEVELS]]
        assert steps == sorted(steps, reverse=not dark)
    more, less = colours[LEVELS - 1], colours[2 * LEVELS - 1]
    assert more[2] > more[0]  # blue
    assert less[0] > less[2]  # orange
    assert abs(light(more) - light(less)) < 40


def test_levels_follow_size_and_sign() -> None:
    assert signed_level(None, 2) == -1
    assert signed_level(0.0, 2) == signed_level(0.0, 0) == 0
    assert signed_level(2.0, 2) == LEVELS - 1
    assert signed_level(-2.0, 2) == 2 * LEVELS - 1
    assert signed_level(1e-9, 2) == 1
    assert signed_level(-1e-9, 2) == LEVELS + 1


def test_foreign_text_is_disarmed(
    two: tuple[ComparisonSide, ComparisonSide], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = two
    assert a.examples is not None
    wild = msgspec.structs.replace(a.examples[0], prompt="\x1b[31mred [bold]x[/bold]")
    b = msgspec.structs.replace(b, examples=(wild, a.examples[1]), title="\x1b]0;title\x07")
    print_comparison(a, b, compare(a, b), measure=UNIQUE, output=OutputStyle(colours="none", width=100))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]x[/bold]" in out


def test_json_holds_everything(two: tuple[ComparisonSide, ComparisonSide]) -> None:
    result = json.loads(msgspec.json.encode(compare_json(*two, compare(*two, measure=UNIQUE))))
    assert result["schema"] == "headcode.compare/1"
    assert set(result) == {"schema", "a", "b", "grid", "config", "model", "versions", "examples", "codes"}
    assert result["grid"]["cells"][4] == {"layer": 1, "head": 0, "a": 4.0, "b": 3.0, "difference": 1.0}
    assert result["examples"] == {"same": 2, "only_a": [], "only_b": [], "changed": [], "order": False}


def test_runs_seeds_and_circuits_over_a_real_host(at_home: Callable[..., Any]) -> None:
    quick = ("--pairs", "3", "--steps", "20", "--shuffles", "20", "-q")
    assert at_home("probe", "ioi", "--name", "one", "--seeds", "2", *quick).code == 0
    assert at_home("probe", "ioi", "--name", "two", "--seeds", "1", "--codes", "64", *quick).code == 0

    ran = at_home("compare", "one/1", "two/1")
    assert ran.code == 0, ran.err
    assert "A  one/1  toy 4 x 8 and MLPs  3 + 3 examples" in ran.out
    assert "sae.n_codes  200  ->  64" in ran.out
    assert "examples  the same 6" in ran.out
    assert "model     the same" in ran.out
    assert "\x1b" not in ran.out

    alone = json.loads(at_home("compare", "one/1@0", "one/1@0", "--json", "--cut", "5").out)
    assert alone["grid"]["jaccard"] == 1
    assert len(alone["grid"]["both"]) == 5
    assert {cell["difference"] for cell in alone["grid"]["cells"]} == {0.0}

    known = json.loads(at_home("compare", "one/1", "known", "--json").out)
    assert known["grid"]["measure"] == "membership"
    again = json.loads(at_home("compare", "one/1", "task:ioi", "--json").out)
    assert again["grid"] == known["grid"]

    kept = at_home("circuits", "keep", "one/1", "movers", "--cut", "4")
    assert kept.code == 0, kept.err
    assert kept.out.startswith("kept movers in one: 3 heads and 1 MLP  ")
    assert at_home("circuits", "keep", "one/1", "truth", "--heads", "1.0,1.1,3.7").code == 0
    both = json.loads(at_home("circuits", "union", "all", "movers", "truth", "--json").out)
    assert both["schema"] == "headcode.circuits/1"
    shared = json.loads(at_home("circuits", "intersect", "shared", "movers", "truth", "--json").out)
    rest = json.loads(at_home("circuits", "subtract", "rest", "movers", "truth", "--json").out)
    counts = [len(each["circuits"][0]["heads"]) for each in (both, shared, rest)]
    assert counts[0] == 7 - counts[1]
    assert counts[2] == 4 - counts[1]
    listed = at_home("circuits", "list")
    assert [line.split()[1] for line in listed.out.splitlines()[1:]] == ["movers", "truth", "all", "shared", "rest"]
    assert at_home("compare", "one/1", "circuit:truth").code == 0
    assert at_home("circuits", "drop", "rest").code == 0
    gone = at_home("circuits", "show", "rest")
    assert gone.code == 2
    assert "There is no circuit 'rest'" in gone.err

    for words, result in (
        (("compare", "one/1", "one/7"), "has no run 7"),
        (("compare", "one/1", "one/1", "--measure", "nonsense"), "no measure 'nonsense'"),
        (("circuits", "keep", "one/1", "x", "--heads", "9.9"), "no head 9.9"),
        (("circuits", "union", "x", "movers"), "at least two"),
    ):
        ran = at_home(*words)
        assert (ran.code, ran.out) == (2, "")
        assert result in ran.err
