"""`headcode --plain` through the real command line, host and engine: lines in, lines out."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

COMMAND = (sys.executable, "-m", "tui.cli")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    environment = {**os.environ, "HEADCODE_HOME": str(tmp_path_factory.mktemp("home")), "OMP_NUM_THREADS": "1"}
    yield environment
    subprocess.run([*COMMAND, "host", "stop"], env=environment, check=True, capture_output=True, timeout=600)


def plain(home: dict[str, str], *lines: str, words: tuple[str, ...] = ("--plain",)) -> subprocess.CompletedProcess[str]:
    typed = "".join(f"{line}\n" for line in lines)
    return subprocess.run(
        [*COMMAND, *words], env=home, input=typed, capture_output=True, text=True, timeout=600, check=False
    )


def test_a_first_session_from_a_pipe(home: dict[str, str]) -> None:
    """What a person without a picture does: looks at the recorded run's heads, writes, keeps, runs."""
    ran = plain(
        home,
        "wait",
        "heads 3",
        "head 1.1",
        "card",
        "add + The cat sat on the => mat",
        "undo",
        "keep mine",
        "circuits",
        "mark circuit",
        "overlay mine",
        "difference seed 0",
        "combine mine & mine as again",
        "replay",
        "replay 1",
        "run",
        "wait",
        "leave",
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not ran.stderr
    for words in (
        r"run 1: Recorded 20\d\d-\d\d-\d\d, not computed here: run runs it here, verify compares\. Took [\d.]+ s on ",
        r"run 2: done; heads lists its heads\.",
        r"1\. head \d\.\d: [\d.]+, circuit",
        r"head 1\.1 of run 1, rank \d+ of 36\.",
        r"code \d+: \d+ positive, \d+ negative",
        r"undone; 22 examples",
        r"saved \d+ heads?( and \d+ MLPs?)? as mine\.",
        r"marked: ((\d\.\d|m\d), ){3}(\d\.\d|m\d)\. mean ",
        r"mine is drawn over the nodes: (\d\.\d|m\d)",
        r"the ranking finds them with AUC 1\.00, precision 1\.00, recall 1\.00\.",
        r"this run minus .*seed 0",
        r"1\. (head \d\.\d|MLP m\d|the embedding): [+-][\d.]+, [\d.]+ here, [\d.]+ there",
        r"saved again: ((\d\.\d|m\d), ){3}(\d\.\d|m\d)\.",
        r"replay 1 to \d+ shows the state then\.",
        r"\. then:",
        r"left\.",
    ):
        assert re.search(words, ran.stdout), words
    assert not re.findall("[\x1b\u2500-\u259f\u2800-\u28ff]", ran.stdout)
    assert max(map(len, ran.stdout.splitlines())) < 1000


def test_what_was_changed_last_is_there_the_next_time(home: dict[str, str]) -> None:
    plain(home, "wait", "options seeds 2", "group pair = 1.1 1.2", "group fold pair", "leave")
    later = plain(home, "group", "options", "group fold", "group unfold  pair ")
    assert "pair (folded): 1.1 1.2" in later.stdout, later.stdout
    assert re.search(r"seeds\W+2\b", later.stdout), later.stdout
    assert "error: name the group: group lists them." in later.stdout
    assert "\npair: 1.1 1.2\n" in later.stdout


def test_the_environment_asks_for_it_and_a_refused_line_is_exit_code_2(home: dict[str, str]) -> None:
    ran = plain({**home, "HEADCODE_PLAIN": "1", "TERM": "dumb"}, "status", "nonsense", words=())
    assert ran.returncode == 2
    assert "session first light. model toy" in ran.stdout
    assert "error: there is no verb 'nonsense'" in ran.stdout


def test_without_it_a_pipe_is_told_about_it(home: dict[str, str]) -> None:
    ran = plain(home, "status", words=())
    assert ran.returncode == 2
    assert "headcode --plain" in ran.stderr
