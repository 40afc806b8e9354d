"""Every bad input the command line meets before anything is started: message, way out, exit code 2, stdout empty."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

GOOD = '{"prompt": "A met B and A gave B to", "polarity": "positive"}\n'
BAD = '{"prompt": "A met B and C gave B to", "polarity": "negative"}\n'


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["probe", "ioii"], "Did you mean ioi?"),
        (["probe"], "Nothing to probe"),
        (["probe", "ioi", "--seeds", "x"], "'x' is not a whole number"),
        (["probe", "ioi", "--seeds", "0"], "1 to 64 seeds"),
        (["probe", "ioi", "--seeds", "1,1"], "different seeds"),
        (["probe", "ioi", "--codes", "1"], "a head needs 2 to"),
        (["probe", "ioi", "--lambda", "nan"], "lambda is a finite number"),
        (["probe", "ioi", "--lambda", "-1"], "at least 0"),
        (["probe", "ioi", "--steps", "0"], "1 to 1000000 steps"),
        (["probe", "ioi", "--steps", "many"], "'--steps'"),
        (["probe", "ioi", "--learning-rate", "0"], "must be above 0"),
        (["probe", "ioi", "--train-examples", "1"], "one of each polarity"),
        (["probe", "ioi", "--position", "middle"], "not a position policy"),
        (["probe", "ioi", "--shuffles", "-1"], "0 to 1000000"),
        (["probe", "ioi", "--circuit-size", "0"], "at least one head"),
        (["probe", "ioi", "--theta", "2"], "between 0 and 1"),
        (["probe", "ioi", "--pairs", "0"], "is less than 1"),
        (["probe", "ioi", "--measure", "beauty"], "no measure 'beauty'"),
        (["probe", "ioi", "--color", "pink"], "no such mode"),
        (["probe", "ioi", "--model", "./nowhere"], "no folder './nowhere'"),
        (["probe", "ioi", "--model", "a b"], "neither a folder nor a model name"),
        (["probe", "ioi", "--model", ""], "not a model name"),
        (["probe", "ioi", "--name", "a", "--session", "b"], "existing one"),
        (["probe", "./nothing.jsonl"], "no file"),
        (["probe", "ioi", "--preset", "quik"], "quick, published, thorough"),
        (["probe", "ioi", "--preset", "published", "--recipe", "contrast"], "--recipe contrast was given too"),
        (["probe", "ioi", "--preset", "quick", "--gradient-steps", "3"], "--gradient-steps configures effects"),
        (["probe", "ioi", "--bootstraps", "0"], "1 to 10000"),
        (["probe", "ioi", "--dtype", "int8"], "One of auto, float32, bfloat16, float16"),
        (["probe", "ioi", "--device-map", "./nowhere.json"], "auto, balanced, or a JSON file"),
        (["probe", "ioi", "--device-map", '{"a": 0, "b": "disk"}'], "mixes GPUs with CPU or disk"),
        (["probe", "ioi", "--max-memory", "much"], "'much' is no limit"),
        (["probe", "--again", "latest", "--dtype", "bfloat16"], "cannot be combined with --dtype"),
        (["probe", "ioi", "--bogus"], "--bogus"),
        (["models", "show", "./nowhere"], "no folder"),
        (["models", "import", "/nowhere/at/all"], "no file or folder"),
        (["nonsense"], "nonsense"),
        ([], "needs a terminal"),
    ],
)
def test_bad_words(headcode: Callable[..., object], words: list[str], shown: str) -> None:
    ran = headcode(*words)
    assert ran.code == 2
    assert shown in ran.err
    assert ran.out == ""


def jsonl(line: str) -> str:
    return GOOD + BAD + line + "\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "holds no examples"),
        ("\n \n", "holds no examples"),
        (GOOD * 2, "There is no negative example"),
        (BAD, "There is no positive example"),
        (GOOD * 3 + BAD * 3 + "{broken\n", "line 7 is not JSON"),
        (jsonl('{"prompt": "x", "polarity": "neutral"}'), "'neutral' is neither positive nor negative"),
        (jsonl('{"prompt": "  ", "polarity": "positive"}'), "line 3: The prompt is empty"),
        (jsonl('{"polarity": "positive"}'), "missing required field `prompt`"),
        (jsonl('{"prompt": 3, "polarity": "positive"}'), "line 3"),
        (jsonl('{"prompt": "' + "x" * 200_001 + '", "polarity": "positive"}'), "200000 is the maximum"),
        ("+ a => b\n* c => d\n", "line 2: The line begins with '* c => d'"),
        ("+ a => b\n- => d\n", "line 2: The prompt is empty"),
        ("+ a =>\n- b => c\n", "line 1: There is no expected answer"),
        ('+ a => "b\n- b => c\n', 'line 1: A " is not closed'),
        ("+1 a => b\n+1 c => d\n- e => f\n", "Pair 1 has 2 examples"),
    ],
)
def test_bad_examples(headcode: Callable[..., object], tmp_path: Path, text: str, shown: str) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(text)
    for ran in (headcode("probe", str(file)), headcode("probe", "-", stdin=text.encode())):
        assert ran.code == 2
        assert shown in ran.err
        assert ran.out == ""


def test_a_folder_is_no_file(headcode: Callable[..., object], tmp_path: Path) -> None:
    ran = headcode("probe", str(tmp_path))
    assert (ran.code, "is a folder" in ran.err) == (2, True)


def test_bytes_that_are_not_utf8_are_named_by_line(headcode: Callable[..., object], tmp_path: Path) -> None:
    file = tmp_path / "latin.jsonl"
    file.write_bytes(GOOD.encode() + b"{'\xe9'}\n")
    ran = headcode("probe", str(file))
    assert ran.code == 2
    assert "line 2: byte 0xe9 is not UTF-8" in ran.err


def test_a_huge_file_is_not_read_whole(headcode: Callable[..., object], tmp_path: Path) -> None:
    file = tmp_path / "huge.jsonl"
    with file.open("wb") as sparse:
        sparse.truncate(40 << 20)
    ran = headcode("probe", str(file))
    assert (ran.code, "larger than 32 MB" in ran.err) == (2, True)


def test_a_model_folder_that_is_none(headcode: Callable[..., object], tmp_path: Path) -> None:
    ran = headcode("probe", "ioi", "--model", str(tmp_path))
    assert ran.code == 2
    assert "no config.json" in ran.err


def test_a_pickle_is_refused_with_the_command_that_converts_it(headcode: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    ran = headcode("probe", "ioi", "--model", str(tmp_path))
    assert ran.code == 2
    assert f"headcode models import {tmp_path}" in ran.err


def test_escape_sequences_never_reach_the_terminal(headcode: Callable[..., object]) -> None:
    ran = headcode("probe", "\x1b]52;c;aGk=\x07[/b]")
    assert ran.code == 2
    assert "\x1b" not in ran.err
    assert "\x07" not in ran.err
    assert "[/b]" in ran.err


def test_debug_shows_the_trace_wherever_it_stands(headcode: Callable[..., object]) -> None:
    for words in (["--debug", "probe", "ioii"], ["probe", "ioii", "--debug"]):
        ran = headcode(*words)
        assert ran.code == 2
        assert "Traceback" in ran.err
    assert "Traceback" not in headcode("probe", "ioii").err


@pytest.mark.parametrize("failure", [("input", 2), ("engine", 3), ("store", 4), ("host", 4), ("cancelled", 130)])
def test_every_family_has_its_exit_code(
    headcode: Callable[..., object], monkeypatch: pytest.MonkeyPatch, failure: tuple[str, int]
) -> None:
    from engine.errors import Failure
    from sessions.errors import Refusal
    from tui.headless import host_request

    family, code = failure

    def refuse(*_: object) -> None:
        raise Refusal(Failure(family=family, name="Any", message="It went wrong.", hint="Do this."))

    monkeypatch.setattr(host_request, "with_host", refuse)
    ran = headcode("sessions", "list")
    assert ran.code == code
    assert ran.err == "headcode: It went wrong.\n  hint: Do this.\n"


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (OSError(28, "No space left on device", "/x"), 4, "No space left on device (/x)"),
        (KeyboardInterrupt(), 130, ""),
        (RuntimeError("odd"), 3, "RuntimeError: odd"),
    ],
)
def test_what_nobody_foresaw_still_has_a_code(
    headcode: Callable[..., object], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, shown: str
) -> None:
    from tui.headless import host_request

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(host_request, "with_host", fail)
    ran = headcode("sessions", "list")
    assert ran.code == code
    assert shown in ran.err


def test_a_store_that_is_a_folder_is_found_by_the_doctor(headcode: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "home/data/sessions.duckdb").mkdir(parents=True)
    ran = headcode("doctor", "--no-device-check", "--json")
    report = msgspec.json.decode(ran.out)
    assert ran.code == 1
    assert report["schema"] == "headcode.doctor/1"
    assert report["works"] is False
    assert next(check for check in report["checks"] if check["name"] == "store")["verdict"] == "fail"


def test_a_store_of_another_kind_is_found_by_the_doctor(headcode: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "home/data").mkdir(parents=True)
    (tmp_path / "home/data/sessions.duckdb").write_text("not a database at all")
    ran = headcode("doctor", "--no-device-check")
    assert ran.code == 1
    assert "is not a DuckDB file" in ran.out


def test_a_healthy_place_passes(headcode: Callable[..., object]) -> None:
    ran = headcode("doctor", "--no-device-check")
    assert ran.code == 0, ran.out
    assert "fail" not in ran.out


@pytest.mark.parametrize(("entries", "verdict"), [(":/x", "warn"), ("lib", "warn"), ("", "ok"), ("/x:/y", "ok")])
def test_the_doctor_names_a_pythonpath_with_the_current_folder(
    entries: str, verdict: str, headcode: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", entries)
    ran = headcode("doctor", "--no-device-check", "--json")
    (found,) = [check for check in msgspec.json.decode(ran.out)["checks"] if check["name"] == "python"]
    assert (found["verdict"], "PYTHONPATH" in found["found"]) == (verdict, verdict == "warn")
