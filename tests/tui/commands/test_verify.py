"""`headcode verify` over a real host and a real worker, and its words."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.catalog.local_models import bundled_folder, model_identity
from engine.events import Event
from engine.machine.folders import find_folders
from sessions.client.connection import HostClient
from sessions.comparison.comparison import FieldDifference
from sessions.errors import Refusal
from sessions.events import RunVerified, VerificationEnded, VerificationProgress, VerificationRequested
from sessions.protocol import (
    CancelRun,
    Done,
    GetVerification,
    SessionDetailAnswer,
    ShowSession,
    VerificationAnswer,
    VerificationStarted,
    VerifyRun,
)
from sessions.store.database import Store
from sessions.verification.artifacts import CheckResult
from sessions.verification.report import VerificationReport
from tui.headless import watch_engine
from tui.output.console import OutputStyle
from tui.output.verification import format_verdict, print_report

QUICK = ("--pairs", "3", "--steps", "20", "--shuffles", "20", "--seeds", "2", "-q")


def test_a_model_that_changed_or_went_away_is_told(at_home: Callable[..., Any]) -> None:
    mine = find_folders().models / "mine"
    shutil.copytree(bundled_folder(), mine)
    identity = model_identity(mine)
    assert at_home("probe", "ioi", "--model", "mine", "--name", "one", *QUICK).code == 0

    ran = at_home("verify", "one/1")
    assert ran.code == 0, ran.err
    assert "one/1: the same, bit for bit: " in ran.out
    assert "capture" in ran.err
    assert "\x1b" not in ran.out
    result = json.loads(at_home("verify", "one/1", "--json", "-q").out)
    assert result["schema"] == "headcode.verify/1"
    assert (result["verdict"], result["stage"], result["environment"]) == ("same", "", [])
    assert result["identity_then"] == result["identity_now"] == identity
    assert "bit for bit" in at_home("sessions", "show", "one").out
    # Nothing is added to the session: verifying makes no run.
    assert len(json.loads(at_home("sessions", "show", "one", "--json").out)["runs"]) == 1

    # One bit of the weights, with the file's size and times as they were: a warm worker does not see it, we do.
    weights = mine / "model.safetensors"
    whole, times = weights.read_bytes(), weights.stat()
    weights.write_bytes(whole[:-7] + bytes([whole[-7] ^ 1]) + whole[-6:])
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    ran = at_home("verify", "one/1")
    assert ran.code == 1
    assert "impossible" in ran.out
    assert identity in ran.out
    assert model_identity(mine) in ran.out
    assert "headcode probe --again" in ran.out
    assert "impossible" in at_home("sessions", "show", "one").out

    weights.write_bytes(whole)
    assert at_home("verify", "one/1", "-q").code == 0
    tokenizer = mine / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert at_home("verify", "one/1", "-q").code == 1
    shutil.rmtree(mine)
    ran = at_home("verify", "one/1", "--json", "-q")
    assert ran.code == 1
    assert json.loads(ran.out)["verdict"] == "impossible"
    assert json.loads(ran.out)["identity_then"] == identity

    for words, code in ((("verify", "one/9"), 2), (("verify", "nowhere"), 2)):
        ran = at_home(*words)
        assert (ran.code, ran.out) == (code, "")


def test_effects_measured_in_the_run_and_after_it_are_measured_again(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "ioi", "--name", "one", "--cause", "attribution", *QUICK).code == 0
    assert at_home("cause", "one/1", "--heads", "0.1,2.3", "--position", "last", "-q").code == 0
    result = json.loads(at_home("verify", "one/1", "--json", "-q").out)
    assert (result["verdict"], result["stage"]) == ("same", "")
    compared = {check["witness"]: check["compared"] for check in result["checks"]}
    assert compared["measured nodes"] == 37 + 2
    ran = at_home("verify", "one/1")
    assert (ran.code, "39 measured nodes" in ran.out) == (0, True)
    assert "  cause     the same" in ran.out


def test_an_explanation_is_repeated_with_the_words_of_its_own_atlas(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "ioi", "--name", "one", *QUICK).code == 0
    codes = json.loads(at_home("sql", "SELECT node, code FROM codes WHERE layer = 2 AND code >= 0", "--json").out)
    node, code = codes["rows"][0].values()
    assert at_home("atlas", "toy", "--tokens", "1500").code == 0
    explained = json.loads(at_home("explain", "one/1", node, str(code), "--json").out)
    own = explained["atlas_key"]
    assert at_home("atlas", "toy", "--tokens", "2500").code == 0  # words would come from this one now

    result = json.loads(at_home("verify", "one/1", "--json", "-q").out)
    assert (result["verdict"], result["not_repeated"]) == ("same", [])
    assert {check["witness"]: check["compared"] for check in result["checks"]}["explanations"] > 0
    assert at_home("atlas", own[:12], "--delete").code == 0
    result = json.loads(at_home("verify", "one/1", "--json", "-q").out)
    assert result["verdict"] == "same"
    assert [words.partition(" (")[2] for words in result["not_repeated"]] == [f"There is no atlas {own[:12]})"]


def test_what_was_recorded_after_the_run_is_repeated_and_the_rest_is_named(
    at_home: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify() -> tuple[int, dict[str, Any]]:
        ran = at_home("verify", "one/1", "--json", "-q")
        return ran.code, json.loads(ran.out)

    def change(sql: str) -> None:
        at_home("host", "stop")
        opened = Store.open(find_folders().data / "sessions.duckdb")
        with contextlib.closing(opened) as store, store.transaction() as con:
            assert con.execute(sql).fetchall() == [(1,)]

    def set_in_log(kind: str, path: str, value: object) -> None:
        change(
            f"UPDATE event SET payload = json_set(payload, '{path}', '{json.dumps(value)}'::JSON) "  # noqa: S608
            f"WHERE seq = (SELECT max(seq) FROM event WHERE kind = '{kind}')"
        )

    assert at_home("probe", "ioi", "--name", "one", *QUICK).code == 0
    for request in (
        ("--paths", "0.1:2.3,1.2:m3", "--position", "last"),
        ("--paths", "m0:2.6"),  # at all positions: another setting, beside which the first is no longer shown
        ("--paths", "0.1:2.3"),
        ("--method", "attribution", "--edges"),
        ("--method", "circuit", "--budget", "4", "--smallest", "0.5"),
        ("--heads", "0.1", "--replace", "zero"),
    ):
        assert at_home("cause", "one/1", *request, "-q").code == 0, request
    codes = json.loads(at_home("sql", "SELECT node, code FROM codes WHERE layer = 2 AND code >= 0", "--json").out)
    node, code = codes["rows"][0].values()
    assert at_home("steer", "one/1", "--code", f"{node}:{code}", "--generate", "3", "--cost").code == 0
    assert at_home("steer", "one/1", "--off", "1.2,m0").code == 0
    assert at_home("explain", "one/1", node, str(code)).code == 0

    exit_code, result = verify()
    assert (exit_code, result["verdict"], result["not_repeated"]) == (0, "same", []), result["words"]
    compared = {check["witness"]: check["compared"] for check in result["checks"]}
    assert all(compared.values()), compared
    assert (compared["measured edges"], compared["checked circuits"]) == (2, 3)
    assert "2 measured edges, 3 checked circuits, " in result["words"]

    set_in_log("edges_patched", "$.edges[0].effect", 9.5)
    set_in_log("steered", "$.result.next_tokens[0].after", 0.123)
    set_in_log("code_explained", "$.explanation.same_kind.said", 99)
    exit_code, result = verify()
    assert (exit_code, result["verdict"], result["stage"]) == (1, "differs", "cause")
    wrong = {check["witness"]: check["where"] for check in result["checks"] if check["differing"]}
    assert wrong == {
        "effects of edges": "0.1 to 2.3",
        "steering": wrong["steering"],
        "explanations": f"same_kind of code {code} of head {node}",
    }
    assert wrong["steering"].startswith("the probability after of ")
    assert "with head 1.2, m0 off" in wrong["steering"]

    set_in_log("steered", "$.result.seconds", 61)
    set_in_log("code_explained", "$.explanation.seconds", 100.4)
    change(
        "UPDATE event SET payload = replace(payload, '9.5', '0') WHERE kind = 'edges_patched' AND payload LIKE '%9.5%'"
    )
    exit_code, result = verify()
    slow = [
        "steering by head 1.2, m0 off (it took 61 s)",
        f"the explanation of code {code} of head {node} (it took 100 s)",
    ]
    assert result["not_repeated"] == slow
    assert result["words"].endswith(f"; not repeated: {slow[0]} and 1 more")
    monkeypatch.setattr(watch_engine, "_FIRST_S", 0.0)
    monkeypatch.setattr(watch_engine, "_BETWEEN_S", 0.0)
    ran = at_home("verify", "one/1")
    for words in slow:
        assert f"  not repeated: {words}" in ran.out
    assert "repeating one/1" in ran.err
    assert "waiting for" not in ran.err  # it does not wait for its own steering
    assert {check["stage"] for check in result["checks"] if check["differing"]} == {"cause"}


def test_a_verification_can_be_stopped_while_it_waits_and_while_it_runs(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "ioi", "--name", "one", *QUICK).code == 0
    at_home("host", "stop")  # the next worker takes seconds to load torch: time to stop it

    async def stop(at: type[Event]) -> list[Event]:
        """Stop a verification once its log has an entry of that kind; return its entries."""
        async with await HostClient.connect(find_folders()) as client:
            started = await client.ask(VerifyRun(run="one/1"), VerificationStarted)
            with pytest.raises(Refusal, match="being verified already"):
                await client.ask(VerifyRun(run=started.run_id), VerificationStarted)
            found: list[Event] = []
            async with asyncio.timeout(600):
                async for entries in client.follow(started.session_id, after_seq=started.after_seq):
                    for entry in entries:
                        assert entry.run_id == started.run_id
                        found.append(entry.event)
                        if isinstance(entry.event, at):
                            await client.ask(CancelRun(run=started.run_id), Done)
                    if isinstance(found[-1], VerificationEnded):
                        break
            with pytest.raises(Refusal, match="no report of a verification"):
                await client.ask(GetVerification(run="one/1"), VerificationAnswer)
            detail = (await client.ask(ShowSession(session="one"), SessionDetailAnswer)).detail
            assert detail.runs[0].verified is None
            return found

    waiting = asyncio.run(stop(VerificationRequested))
    assert waiting[0] == VerificationRequested()
    assert waiting[-1] == VerificationEnded(state="stopped")
    running = asyncio.run(stop(VerificationProgress))
    assert running[-1] == VerificationEnded(state="stopped")
    assert any(isinstance(event, VerificationProgress) for event in running)
    ran = at_home("verify", "one/1")
    assert ran.code == 0
    assert "train" in ran.err


def report(**more: Any) -> VerificationReport:
    return VerificationReport(**({"run_id": "r1", "title": "one/1", "verdict": "same", "words": "the same"} | more))


def test_the_report_is_one_line_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    checks = (
        CheckResult(
            stage="capture", witness="probabilities", compared=20, differing=3, largest=2e-7, where="example 4"
        ),
        CheckResult(stage="codes", witness="codes", compared=100, differing=0),
    )
    found = report(
        verdict="rounding",
        words="the same to rounding\x1b[31m",
        checks=checks,
        environment=(FieldDifference(field="torch", a="2.12.0", b="2.13.0"),),
    )
    print_report(found, OutputStyle(colours="none", width=80))
    assert capsys.readouterr().out.splitlines() == [
        "≈ one/1: the same to rounding␛[31m",
        "  capture   3 of 20 probabilities differ, by at most 2e-07 (first: example 4)",
        "  codes     the same  (100 compared)",
        "  torch     2.12.0 then, 2.13.0 now",
    ]
    print_report(found, OutputStyle(colours="none", width=80, unicode=False))
    assert not capsys.readouterr().out.startswith("≈")


@pytest.mark.parametrize(
    ("verdict", "stage", "words"),
    [
        ("same", "", "bit for bit"),
        ("rounding", "train", "to rounding"),
        ("differs", "codes", "differs (codes)"),
        ("impossible", "load", "impossible"),
    ],
)
def test_a_verdict_in_few_words(verdict: Any, stage: str, words: str) -> None:
    assert format_verdict(RunVerified(verdict=verdict, words="", stage=stage)) == words
    assert format_verdict(None) == ""


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "added_tokens.json", "special_tokens_map.json"]
)
def test_weights_and_tokenizer_are_the_identity_to_the_last_bit(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(bundled_folder(), mine)
    before = model_identity(mine)
    assert before == model_identity(bundled_folder())
    (mine / "CARD.md").write_text("other words")
    (mine / "config.json").write_text((mine / "config.json").read_text() + "\n")
    assert model_identity(mine) == before
    whole = (mine / name).read_bytes() if (mine / name).exists() else b"{}"
    (mine / name).write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
    assert model_identity(mine) != before
    (mine / name).write_bytes(whole)
    if (bundled_folder() / name).exists():
        assert model_identity(mine) == before
        (mine / name).rename(mine / f"other-{name}")
        assert model_identity(mine) != before
