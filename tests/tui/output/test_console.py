"""What a finished run looks like: as text, in colours, as JSON."""

import re
from collections.abc import Callable

import msgspec
import pytest
from rich.style import Style

from engine.analysis.run_state import RunSnapshot, fold_event
from engine.events import EngineEvent
from engine.measures import MEASURES, find_measure
from sessions.rows import RunRow, SessionRow
from tui.output.console import OutputStyle, find_colours
from tui.output.grid import format_short, grid_lines
from tui.output.json import probe_json
from tui.output.run import labels_of, print_run

PLAIN = OutputStyle(colours="none", width=80)

GRID = """\
total variation: difference of code frequencies: 0 equal, 1 disjoint
layer     0     1     2     3
    0     .  ░.10  ░.20  ▒.30
    1  ▒.40 [▓.50][▓.60][▓.70]
░ ▒ ▓ █ from 0 to 1.0; . is 0; - does not apply; [ ] in the circuit
"""
HEAD = """\
model     toy  2 layers x 4 heads, width 96  on cpu
examples  1 positive + 1 negative  (ioi)
broken    1 of 2: expected ' B' is two tokens
note      One example is broken. See the grades.

"""
TAIL = """\
seconds   load 1.25  grade 0.10  capture 0.10  train 0.50  codes 0.10  scores 0.10  total 2.15  start to end 3.50
session   ioi friday  s0001
run       1  r0001
open it   headcode --session 'ioi friday'
"""


def printed(
    picture: RunSnapshot,
    session: SessionRow,
    run: RunRow,
    capsys: pytest.CaptureFixture[str],
    output: OutputStyle = PLAIN,
) -> str:
    print_run(picture, labels_of(session, run), output=output)
    return capsys.readouterr().out


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_the_whole_picture_in_plain_text(
    picture: RunSnapshot, session_row: SessionRow, run_row: RunRow, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(picture, session_row, run_row, capsys)
    assert text.startswith(HEAD + GRID + "\ncircuit by rank  1.3 1.2 1.1\n        softmax  1.3\n")
    assert text.endswith(TAIL)
    assert "\x1b" not in text
    assert " [1.3] .70    7.0   .70     .30  .33 .125    1.0   .70     14  .70   .85   yes\n" in text
    assert "  circuit by rank: precision .33, recall .50\n" in text
    assert "  0.1 -> 1.3 4.5\n" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("seconds", "note"))) <= 80


@pytest.mark.parametrize(("colours", "code"), [("truecolor", "48;2;"), ("256", "38;5;"), ("16", "36m")])
def test_colours_add_to_the_signs_and_never_replace_them(
    picture: RunSnapshot,
    session_row: SessionRow,
    run_row: RunRow,
    capsys: pytest.CaptureFixture[str],
    colours: str,
    code: str,
) -> None:
    plain = printed(picture, session_row, run_row, capsys)
    for remembered in (Style.parse, Style._add, Style.normalize):
        remembered.cache_clear()  # rich keeps the codes of the colour system that a style met first
    coloured = printed(picture, session_row, run_row, capsys, OutputStyle(colours=colours, width=80))  # type: ignore[arg-type]
    assert code in coloured
    assert [line.rstrip() for line in without_colours(coloured).splitlines()] == plain.splitlines()


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.id)
def test_every_measure_has_a_grid(picture: RunSnapshot, measure: object) -> None:
    lines = [line.plain for line in grid_lines(picture.nodes, measure, (), PLAIN)]  # type: ignore[arg-type]
    assert len(lines) == 5
    assert len({line.count("[") for line in lines[2:4]}) == 1


def test_many_heads_become_digits_in_blocks(events: Callable[..., list[EngineEvent]]) -> None:
    picture = RunSnapshot()
    for event in events(n_layers=3, n_heads=64):
        picture = fold_event(picture, event)
    lines = [line.plain for line in grid_lines(picture.nodes, MEASURES[0], ((2, 63),), PLAIN)]
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines if line.startswith("    2")][-1][-1] == "9*"
    assert sum(line.startswith("layer") for line in lines) == 3


def test_a_terminal_without_unicode_gets_ascii(picture: RunSnapshot) -> None:
    output = OutputStyle(colours="none", width=80, unicode=False)
    assert all(line.plain.isascii() for line in grid_lines(picture.nodes, MEASURES[0], (), output))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (0.0, "0"),
        (0.004, "0"),
        (0.996, "1.0"),
        (-0.04, "-.04"),
        (2.34, "2.3"),
        (9.96, "10"),
        (10_400.0, "10k"),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert format_short(value) == text


@pytest.mark.parametrize(
    ("environ", "terminal", "colours"),
    [
        ({"TERM": "xterm-256color"}, False, "none"),
        ({"TERM": "xterm-256color"}, True, "256"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, "truecolor"),
        ({"TERM": "xterm"}, True, "16"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, True, "none"),
        ({}, True, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True, "none"),
    ],
)
def test_colours_are_what_the_terminal_says(environ: dict[str, str], terminal: bool, colours: str) -> None:
    assert find_colours("auto", terminal=terminal, environ=environ) == colours
    assert find_colours("16", terminal=terminal, environ=environ) == "16"


def test_markup_and_escapes_in_prompts_and_names_are_text(
    events: Callable[..., list[EngineEvent]],
    session_row: SessionRow,
    run_row: RunRow,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from engine.events import Notice

    picture = RunSnapshot()
    for event in [*events(), Notice(message="[b]bold[/b] [/red] \x1b[2J \x07")]:
        picture = fold_event(picture, event)
    session = msgspec.structs.replace(session_row, name="[/b]\x1b]0;x\x07")
    text = printed(picture, session, run_row, capsys)
    assert "[b]bold[/b] [/red]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_run_without_scores_says_so(
    session_row: SessionRow, run_row: RunRow, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = msgspec.structs.replace(run_row, state="stopped")
    text = printed(RunSnapshot(), session_row, stopped, capsys)
    assert "No scores yet" in text
    assert "r0001  stopped" in text


NUMBER = (int, float)
MAYBE = (int, float, type(None))
NODE = {
    "layer": int,
    "head": int,
    "unique_positive": NUMBER,
    "unique_negative": NUMBER,
    "overlap": NUMBER,
    "mutual_information": NUMBER,
    "total_variation": NUMBER,
    "unique_share": NUMBER,
    "paired_flips": MAYBE,
    "p_value": MAYBE,
    "q_value": MAYBE,
    "stability": NUMBER,
    "baseline_mean_difference": NUMBER,
    "baseline_paired_difference": MAYBE,
}
TOP = {
    "schema": str,
    "run_id": str,
    "session_id": str,
    "model": {"name": str, "identity": str, "n_layers": int, "n_heads": int, "d_model": int, "d_head": int},
    "examples": {"positive": int, "negative": int, "broken": int},
    "config": {"seeds": list, "position": str, "sae": dict},
    "nodes": [NODE],
    "edges": [{"source": list, "target": list, "score": NUMBER}],
    "circuit": [list],
    "reference": {"auc": MAYBE, "precision": MAYBE, "recall": MAYBE},
    "timings_s": dict.fromkeys(("load", "grade", "capture", "train", "codes", "scores", "total"), NUMBER),
    "warm": bool,
}


def check_shape(value: object, shape: object, where: str) -> None:
    """Fails where the value lacks a field of the shape, has them in another order first, or of another type."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert list(value)[: len(shape)] == list(shape) or where == "$.config", where
        for key, inner in shape.items():
            check_shape(value[key], inner, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        assert value, where
        for number, item in enumerate(value):
            check_shape(item, shape[0], f"{where}[{number}]")
    else:
        assert isinstance(value, shape), (where, value)  # type: ignore[arg-type]


def test_the_json_has_its_fields_in_their_order_and_type(picture: RunSnapshot, run_row: RunRow) -> None:
    text = msgspec.json.encode(probe_json(picture, run_row)).decode()
    value = msgspec.json.decode(text)
    check_shape(value, TOP, "$")
    assert value["schema"] == "headcode.probe/1"
    assert len(value["nodes"]) == 8
    assert value["circuit"] == [[1, 3], [1, 2], [1, 1]]
    assert value["edges"] == [{"source": [0, 1], "target": [1, 3], "score": 4.5}]
    assert value["reference"]["precision"] == pytest.approx(1 / 3)


def test_numbers_that_are_none_become_null(picture: RunSnapshot, run_row: RunRow) -> None:
    nodes = (msgspec.structs.replace(picture.nodes[0], overlap=float("nan")), *picture.nodes[1:])
    value = probe_json(msgspec.structs.replace(picture, nodes=nodes, reference=None), run_row)
    assert value["nodes"][0]["overlap"] is None  # type: ignore[index]
    assert value["reference"] is None


def test_half_a_result_has_no_json(picture: RunSnapshot, run_row: RunRow) -> None:
    with pytest.raises(ValueError, match="not finished"):
        probe_json(msgspec.structs.replace(picture, finished=None), run_row)


def test_the_measure_that_is_shown_can_be_chosen(picture: RunSnapshot, capsys: pytest.CaptureFixture[str]) -> None:
    print_run(picture, None, measure=find_measure("overlap"), output=PLAIN)
    assert "overlap: Jaccard index of the codes of both sides" in capsys.readouterr().out
