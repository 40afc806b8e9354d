"""Test the tables of a benchmark: positions, widths, bold cells."""

import re

import msgspec
import pytest

from engine.analysis.benchmark import BenchmarkRow
from engine.errors import ConfigError
from tui.output.bench import bench_json, bench_tables, check_quality, markdown, print_tables
from tui.output.console import OutputStyle

VALUES = {  # measure, recipe -> AUC on ioi and on sequence_continuation
    ("random", "none"): (0.5, 0.51),
    ("baseline_mean_difference", "none"): (0.9, 0.8),
    ("paired_flips", "published"): (0.7, 0.6),
    ("paired_flips", "contrast"): (0.95, 0.9),
    ("p_value", "contrast"): (0.4, 0.4),
    ("combined", "contrast"): (1.0, 0.99996),
}


def row(measure: str, recipe: str, task: str, auc: float, *, cut: float | None = 0.05, draws: int = 3) -> BenchmarkRow:
    several = draws > 1
    return BenchmarkRow(
        model="toy", task=task, level="heads", measure=measure, recipe=recipe, examples=10, auc=auc,
        average_precision=auc / 2, precision_at_size=0.5, f1=0.25, spread=0.012 if several else None, seconds=1.5,
        cut=cut, n_true=6, n_all=32, draws=draws, spreads={"auc": 0.012, "average_precision": 0.1} if several else {},
        truth="by hand",
    )  # fmt: skip


ROWS = [
    row(measure, recipe, task, auc)
    for (measure, recipe), both in VALUES.items()
    for task, auc in zip(("ioi", "sequence_continuation"), both, strict=True)
]


def printed(capsys: pytest.CaptureFixture[str], width: int, colours: str = "none") -> str:
    print_tables(bench_tables(ROWS), OutputStyle(colours=colours, width=width))  # type: ignore[arg-type]  # one of them
    return capsys.readouterr().out


def test_the_table_has_codes_by_recipe_then_effects_then_what_needs_no_sae(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, 100).splitlines()
    assert lines[0] == (
        "toy, heads: AUC for finding heads with an effect of at least 5% of the base; "
        "3 draws of 10 + 10 prompts; float32"
    )
    starts = [
        line.rstrip()
        for line in lines
        if line[:1].strip() and not line.startswith(("toy", "measure", "best", "paired_flips,"))
    ]
    assert starts == ["contrast recipe", "published recipe", "effects", "no SAE", "chance"]
    flips = next(line for line in lines if line.startswith(" paired_flips"))
    assert flips.split() == ["paired_flips", ".950±.01", ".900±.01", ".925", "1.5"]
    assert "p_value" not in "\n".join(lines)  # no ranking to choose a circuit by
    assert lines[-2] == "best: codes .925 (paired_flips, contrast); no SAE .850 (baseline_mean_difference); " + (
        "effects 1.0 (combined, contrast)."
    )
    assert lines[-1] == "paired_flips, contrast: above every measure without an SAE on 2 of 2 tasks."


def test_it_fits_and_leaves_spreads_out_where_it_would_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, printed(capsys, 100).splitlines()[1:-2])) <= 100
    narrow = printed(capsys, 50)
    assert "±" not in narrow
    assert max(map(len, narrow.splitlines()[1:-2])) <= 50


def test_markdown_marks_the_best_and_is_a_table() -> None:
    text = markdown(bench_tables(ROWS, only=("p_value",)))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "| combined | contrast | **1.0±.01** | **1.0±.01** | **1.0** | 1.5 |" in lines
    assert any(line.startswith("| p_value |") for line in lines)  # asked for
    other = markdown(bench_tables(ROWS, "average_precision"))
    assert "average precision for finding" in other
    assert "| .475±.10 |" in other


def test_a_task_without_a_number_leaves_no_mean() -> None:
    (table,) = bench_tables([*ROWS, row("total_variation", "contrast", "ioi", 0.99)])
    line = next(line for line in table.lines if line.measure == "total_variation")
    assert (line.values, line.mean) == ((0.99, None), None)


def test_cuts_and_numbers_of_examples_have_tables_of_their_own() -> None:
    tables = bench_tables([*ROWS, row("random", "none", "ioi", 0.5, cut=None, draws=1)])
    assert len(tables) == 2
    assert (
        tables[1].title
        == "toy, heads: AUC for finding the circuit's heads (by hand); 1 draw of 10 + 10 prompts; float32"
    )


def gpt2(*tasks: str, cut: float | None = None) -> list[BenchmarkRow]:
    """Rows of a benchmark of GPT-2 small, with numbers that no run has given."""
    return [
        msgspec.structs.replace(row("unique_positive", "published", task, 0.5, cut=cut), model="gpt2", n_all=144)
        for task in tasks
    ]


def test_the_papers_numbers_stand_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    rows = gpt2("ioi", "greater_than")
    tables = bench_tables(rows)
    print_tables(tables, OutputStyle(colours="16", width=100))
    out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    lines = [line.split() for line in out.splitlines()]
    ours = lines.index(["unique_positive", ".500±.01", ".500±.01", ".500", "1.5"])
    heading = lines.index(["in", "the", "paper"])
    assert ours < heading
    assert lines[heading + 1][:3] == ["unique_positive", ".868±.01", ".855±.04"]
    assert lines[heading + 2][:3] == ["from_edges", ".840±.02", ".873±.02"]
    assert ["ACDC", ".873", ".890"] in [line[:3] for line in lines]
    assert "the paper: O'Neill and Bui 2024, arXiv:2405.12522" in out
    assert "the paper, ioi: its circuit has head 11.3 where Wang et al. have 9.0." in out
    assert "best: codes .500 (unique_positive, published)." in out  # of what was run here
    text = markdown(tables)
    assert "| unique_positive | paper | .868±.01 | .855±.04 | " in text
    assert "| unique_positive | published | **.500±.01** | **.500±.01** | **.500** | 1.5 |" in text
    (only,) = bench_tables(rows, only=("unique_positive",))
    assert [line.measure for line in only.lines] == ["unique_positive", "unique_positive"]
    reported = bench_json(rows, session="s", session_id="s1", done=1, total=1, left_out=())["reported"]
    assert isinstance(reported, list)
    assert {(each["task"], each["method"], each["auc"]) for each in reported} > {("greater_than", "HISP", 0.384)}


def test_the_papers_numbers_belong_to_published_circuits_and_to_auc() -> None:
    for tables in (
        bench_tables(gpt2("ioi"), "f1"),  # which the paper does not report
        bench_tables(gpt2("ioi", cut=0.05)),  # another truth than the paper's
        bench_tables([row("unique_positive", "published", "ioi", 0.5, cut=None)]),  # another model
    ):
        assert [line.recipe for line in tables[0].lines] == ["published"]
        assert not tables[0].notes


def test_bold_where_there_are_colours(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b[1m" in printed(capsys, 100, "16")
    assert "\x1b" not in printed(capsys, 100)


def test_another_quality_is_refused() -> None:
    assert check_quality("f1") == "f1"
    with pytest.raises(ConfigError, match="--by beauty"):
        check_quality("beauty")
