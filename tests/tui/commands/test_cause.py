"""`headcode cause` over a real host and a real worker: measured again, in part, stopped, refused; and its words."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from engine.config import EffectsConfig
from engine.errors import ConfigError
from engine.events import STAGES, CircuitChecked
from engine.nodes import NodeId
from engine.planted import PLANTED
from engine.results import CurvePoint, NodeEffect
from tui.commands.cause import make_asked
from tui.output.effects import check_lines
from tui.output.progress import _DOING

COMMAND = (sys.executable, "-m", "tui.cli")
QUICK = ("--steps", "5", "--shuffles", "0", "--seeds", "1", "-q")


def test_a_stored_run_is_measured_as_often_as_one_asks(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "planted-ioi", "--pairs", "4", "--name", "p", *QUICK).code == 0
    circuit = set(PLANTED["planted-ioi"].circuit("ioi").heads)

    ran = at_home("cause", "p/1", "--json", "-q")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["schema"], found["state"], found["run_number"]) == ("headcode.cause/1", "done", 1)
    assert [each["method"] for each in found["cause"]] == ["attribution", "exact", "combined"]
    effects = [each for each in found["cause"][-1]["effects"] if each["kind"] == "head"]
    sizes = {(each["layer"], each["head"]): abs(each["effect"]) for each in effects}
    assert set(sorted(sizes, key=sizes.__getitem__)[-len(circuit) :]) == circuit
    assert found["card"]["truth"] is not None
    assert found["seconds"] > 0

    ran = at_home("cause", "latest", "--heads", "3.4,0.1", "--metric", "kl", "--ablation", "zero", "--position", "last")
    assert ran.code == 0, ran.err
    assert "exact patching: KL divergence" in ran.out
    assert "heads replaced at last by zero" in ran.out
    assert "p/1: exact, without training again" in ran.err
    # Without its notices: the rest of what is told is what is stored.
    assert "KL divergence" in at_home("sessions", "show", "p").out

    ran = at_home("cause", "p/1", "--method", "attribution", "--gradient-steps", "4", "--edges", "--json", "-q")
    found = json.loads(ran.out)
    assert [each["method"] for each in found["cause"]] == ["attribution"]
    assert found["cause"][0]["passes"] > 4
    known = PLANTED["planted-ioi"].circuit("ioi").edges
    edges = [(tuple(edge["source"]), tuple(edge["target"])) for edge in found["cause_edges"]["edges"]]
    between_heads = [edge for edge in edges if None not in (*edge[0], *edge[1])]
    assert set(between_heads[: len(known)]) == set(known)

    # Nothing that was measured is lost: unlike settings stand side by side, each effect with when it was measured.
    sql = "SELECT method, metric, gradient_steps AS steps, count(measured) AS n FROM causes GROUP BY ALL"
    rows = json.loads(at_home("sql", sql, "--json").out)["rows"]
    result = {(row["method"], row["metric"], row["steps"]): row["n"] for row in rows}
    whole, n_exact = json.loads(ran.out)["run_cause"], result["exact", "logit_difference", 0]
    assert result == {
        ("attribution", "logit_difference", 0): 37,
        ("attribution", "logit_difference", 4): 37,
        ("combined", "logit_difference", 0): 37,
        ("exact", "logit_difference", 0): n_exact,
        ("exact", "kl", 0): 2,
    }
    assert {(each["method"], each["metric"]): each["shown"] for each in whole}["exact", "kl"] is False
    assert all(one["measured_us"] > 1_700_000_000_000_000 for each in whole for one in each["effects"])
    assert n_exact > len(circuit)

    # Heads measured once more replace themselves alone, and the card stands on all of them as before.
    ran = at_home("cause", "p/1", "--heads", "3.4", "--json", "-q")
    assert [len(each["effects"]) for each in json.loads(ran.out)["cause"]] == [1]
    again = json.loads(at_home("sql", sql, "--json").out)["rows"]
    assert {(row["method"], row["metric"], row["steps"]): row["n"] for row in again} in (
        result,
        result | {("exact", "logit_difference", 0): n_exact + 1},
    )
    assert json.loads(ran.out)["card"]["truth"] == found["card"]["truth"] == "effects measured in this run"

    ran = at_home("cause", "p/1", "--method", "circuit", "-q")
    assert "best heads keep" in ran.out
    assert "lost without" in ran.out
    assert "removing one head" in ran.out


def test_what_makes_no_sense_is_refused(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "induction", "--pairs", "3", "--name", "q", *QUICK).code == 0
    for words, result in (
        (("nope",), "There is no run"),
        (("q/1", "--heads", "9.9"), "9.9"),
        (("q/1", "--heads", "9"), "'9' is not a head"),
        (("q/1", "--heads", ","), "names no head"),
        (("q/1", "--heads", "0.1", "--method", "combined"), "needs --method exact"),
        (("q/1", "--method", "none"), "measures nothing"),
        (("q/1", "--method", "magic"), "magic"),
        (("q/1", "--position", "everywhere"), "position policy"),
        (("q/1", "--metric", "vibes"), "vibes"),
        (("q/1", "--budget", "-1"), "budget=-1"),
    ):
        ran = at_home("cause", *words)
        assert ran.code == 2, words
        assert result in ran.err
        assert ran.out == ""


def test_ctrl_c_keeps_what_is_measured_and_prints_it(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "induction", "--pairs", "300", "--name", "long", *QUICK).code == 0
    command = [*COMMAND, "cause", "long/1", "--method", "exact", "--examples", "300", "--metric", "kl"]
    with subprocess.Popen(
        command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        limit = threading.Timer(600, process.kill)
        limit.start()
        measured = 0
        while not measured and process.poll() is None:
            result = json.loads(at_home("sql", "SELECT count(*) AS n FROM causes", "--json").out)
            measured = result["rows"][0]["n"]
        process.send_signal(signal.SIGINT)
        out, message = process.communicate()
        limit.cancel()
    if process.returncode == 0:
        pytest.skip("measured before it could be stopped")
    assert process.returncode == 130, message
    assert "stopped after" in out
    assert "was stopped" in message
    kept = json.loads(at_home("sql", "SELECT final, count(*) AS n FROM causes GROUP BY final", "--json").out)["rows"]
    assert kept[0]["final"] is False
    assert 0 < kept[0]["n"] < 32


def test_the_method_follows_what_else_is_asked() -> None:
    assert make_asked(None, heads=()) == EffectsConfig(method="combined")
    assert make_asked(None, heads=(NodeId(0, 0),), budget=None) == EffectsConfig(method="exact")
    assert make_asked("attribution", heads=(), gradient_steps=5) == EffectsConfig(
        method="attribution", gradient_steps=5
    )
    assert make_asked(None, heads=(), smallest=0.9) == EffectsConfig(method="circuit", smallest=0.9)
    with pytest.raises(ConfigError, match="needs circuit checks; the method is combined"):
        make_asked("combined", heads=(), smallest=0.9)


def test_a_bar_has_words_for_every_stage() -> None:
    assert set(_DOING) == set(STAGES)


def test_a_checks_curve_and_minimality_are_told() -> None:
    check = CircuitChecked(
        name="codes",
        heads=((0, 1), (1, 2)),
        metric="logit_difference",
        replacement="pair",
        base=4.0,
        empty=0.0,
        n_examples=4,
        faithfulness=0.75,
        completeness=0.9,
        minimality=(NodeEffect(layer=0, head=1, effect=-1.5), NodeEffect(layer=1, head=2, effect=0.001)),
        random_faithfulness=(0.1, 0.2, 0.8),
        random_completeness=(0.1, 0.2, 0.3),
        curve=(
            CurvePoint(size=1, faithfulness=-0.001, completeness=0.5),
            CurvePoint(size=2, faithfulness=0.75, completeness=0.9),
            CurvePoint(size=4, faithfulness=1.2, completeness=1.0),
        ),
        area=0.6,
        passes=3.0,
    )
    lines = check_lines(check)
    assert "  best heads keep _▆█  1:0% 2:75% 4:120%" in lines
    assert "  lost without    ▄▇█  1:50% 2:90% 4:100%" in lines
    assert "  removing one head: 0.1 -1.5   1.2 0" in lines
    assert "  heads with an effect below 1 %: 1.2" in lines
    without = check_lines(msgspec.structs.replace(check, curve=(), minimality=()))
    assert not any("keep " in line or "taking" in line for line in without)
