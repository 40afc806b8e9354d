"""A run in half precision, from the command line to another machine: recorded, measured, verified, compared, shared."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessions.verification.report import ROUNDING

QUICK = ("--pairs", "3", "--steps", "20", "--shuffles", "20", "--seeds", "2")


def test_a_run_in_half_precision_says_so_everywhere(at_home: Callable[..., Any], tmp_path: Path) -> None:
    assert at_home("probe", "ioi", "--name", "whole", "-q", *QUICK).code == 0
    ran = at_home("probe", "ioi", "--name", "half", "--dtype", "bfloat16", "--cause", "attribution", *QUICK)
    assert ran.code == 0, ran.err
    assert "), bfloat16" in ran.out
    assert "), bfloat16" in ran.err  # while it runs
    assert "), bfloat16" not in at_home("sessions", "show", "whole").out

    rows = json.loads(at_home("sql", "SELECT session, dtype FROM runs ORDER BY session", "--json").out)["rows"]
    assert rows == [{"session": "half", "dtype": "bfloat16"}, {"session": "whole", "dtype": "float32"}]
    compared = json.loads(at_home("compare", "whole/1", "half/1", "--json").out)["versions"]
    assert [(each["field"], each["a"], each["b"]) for each in compared] == [("dtype", "float32", "bfloat16")]

    # Measured after the run and repeated, in the run's precision.
    assert at_home("cause", "half/1", "--heads", "0.5,1.1").code == 0
    verified = json.loads(at_home("verify", "half/1", "--json", "-q").out)
    assert (verified["verdict"], verified["environment"]) == ("same", [])
    assert (verified["dtype"], verified["limits"]["probabilities"]) == ("bfloat16", ROUNDING["bfloat16"].probabilities)
    assert at_home("probe", "--again", "half/1", "-q").code == 0

    file = tmp_path / "half.headcode"
    assert at_home("export", "half", str(file)).code == 0
    assert at_home("import", str(file), "--as-copy", "--name", "copy").code == 0
    assert "bfloat16" in at_home("sessions", "show", "copy").out
    assert "bfloat16" in at_home("replay", "half", "--plain", "--speed", "max").err


def test_the_plan_counts_two_bytes_a_number(at_home: Callable[..., Any]) -> None:
    plans = [
        json.loads(at_home("probe", "ioi", "--dry-run", "--json", "--dtype", dtype).out)
        for dtype in ("auto", "float32", "float16")
    ]
    assert [plan["dtype"] for plan in plans] == ["float32", "float32", "float16"]
    model = [next(part["n_bytes"] for part in plan["parts"] if part["name"] == "model") for plan in plans]
    assert model[0] == model[1]
    # The numbers on disk are in memory until they are converted.
    assert abs(model[2] - 1.5 * model[0]) < 0.05 * model[0]
