"""`headcode probe --dry-run`: what a run would take, for a person and for a script; nothing is run."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec


def test_it_says_what_a_run_takes_and_runs_nothing(at_home: Callable[..., Any]) -> None:
    ran = at_home("probe", "ioi", "--dry-run")
    assert ran.code == 0, ran.err
    assert "fits: needs" in ran.out
    assert "a rough guess, no run so far" in ran.out
    output = msgspec.json.decode(at_home("probe", "ioi", "--pairs", "30", "--dry-run", "--json").out)
    assert (output["missing_pairs"], output["n_heads"]) == (0, 37)
    assert "pairs  " not in ran.out
    assert output["schema"] == "headcode.preflight/1"
    assert output["n_examples"] == 60
    assert output["fits"] is True
    assert {part["name"] for part in output["parts"]} >= {"program", "model", "activations", "SAE"}
    assert msgspec.json.decode(at_home("sessions", "list", "--json").out)["sessions"] == []


def test_a_set_that_is_too_small_says_so_before_it_is_run(at_home: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("{who} = Mary, Anna, Emma\n+1 {who#1} and {who#2} met => so\n-1 {who#1} or {who#2} met => so\n")
    ran = at_home("probe", str(file), "--dry-run")
    assert ran.code == 0, ran.err
    # Six pairs of three names; eleven are needed.
    assert re.search(r"(?m)^pairs +lacks 5 pairs for one node of 37 to reach significance$", ran.out)


def test_what_does_not_fit_is_exit_code_1_with_what_to_lower(at_home: Callable[..., Any]) -> None:
    ran = at_home(
        "probe", "ioi", "--pairs", "50", "--codes", "65536", "--seeds", "64", "--train-examples", "10000", "--dry-run"
    )
    assert ran.code == 1
    assert "does not fit" in ran.out
    assert "the codes from 65536 to" in ran.out


def test_a_run_done_again_has_no_preflight(at_home: Callable[..., Any]) -> None:
    ran = at_home("probe", "--again", "latest", "--dry-run")
    assert ran.code == 2
    assert "--again latest" in ran.err
