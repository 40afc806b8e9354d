"""The worker as its host meets it: a process with two pipes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.config import LoadOptions, ProbeConfig, SAEConfig
from engine.errors import ModelError
from engine.events import ProbeFinished, TrainStep
from engine.examples import Example
from engine.models.loading import load_model
from engine.protocol import (
    AnyWorkerMessage,
    CancelJob,
    ExamplesOf,
    GradePrompts,
    GradesMade,
    JobDone,
    JobEvent,
    JobFailed,
    MakeExamples,
    Quit,
    RunProbe,
    WorkerReady,
    WorkerRequest,
)


class Worker:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )

    def send(self, request: WorkerRequest) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(request) + b"\n")
        self.process.stdin.flush()

    def words(self) -> Iterator[AnyWorkerMessage]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield msgspec.json.decode(line, type=AnyWorkerMessage)

    def probe(self, job: str, **changes: object) -> None:
        given = {"model": "toy", "task": "induction", "pairs": 3, "config": ProbeConfig(sae=SAEConfig(steps=20))}
        folders = {"spool": str(self.folder / job), "models": str(self.folder), "activations": str(self.folder / "a")}
        self.send(RunProbe(job=job, **{**given, **folders, **changes}))  # type: ignore[arg-type]

    def grade(self, job: str, *prompts: str, **changes: object) -> None:
        examples = tuple(
            Example(prompt=prompt, polarity="positive", expected=("Mary",), foils=("John",)) for prompt in prompts
        )
        given = {"model": "toy", "examples": examples, "models": str(self.folder)}
        self.send(GradePrompts(job=job, **{**given, **changes}))  # type: ignore[arg-type]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()
    assert made.process.stdin is not None
    assert made.process.stdout is not None
    made.process.stdin.close()
    made.process.stdout.close()
    made.log.close()


def test_a_worker_runs_fails_stops_and_goes(worker: Worker) -> None:
    words = worker.words()
    worker.probe("first")
    assert isinstance(next(words), WorkerReady)
    output = list(until_the_end(words))
    assert output[-1] == JobDone(job="first")
    assert isinstance(output[-2].event, ProbeFinished)  # type: ignore[union-attr]

    worker.probe("bad", model="/nowhere/at/all")
    failed = next(word for word in words if isinstance(word, JobFailed))
    assert (failed.job, failed.failure.family, failed.failure.name) == ("bad", "input", "ModelError")

    assert worker.process.stdin is not None
    worker.process.stdin.write(b"this is no request\n")
    worker.probe("long", config=ProbeConfig(sae=SAEConfig(steps=1_000_000)))
    next(word for word in words if isinstance(word, JobEvent) and isinstance(word.event, TrainStep))
    worker.send(CancelJob(job="long"))
    stopped = next(word for word in words if isinstance(word, JobFailed))
    assert (stopped.job, stopped.failure.family) == ("long", "cancelled")

    worker.send(Quit())
    assert worker.process.wait(timeout=600) == 0


def until_the_end(words: Iterator[AnyWorkerMessage]) -> Iterator[AnyWorkerMessage]:
    for word in words:
        yield word
        if isinstance(word, JobDone | JobFailed):
            return


def test_a_worker_never_outlives_its_host(worker: Worker) -> None:
    worker.probe("long", config=ProbeConfig(sae=SAEConfig(steps=1_000_000)))
    next(word for word in worker.words() if isinstance(word, JobEvent) and isinstance(word.event, TrainStep))
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    assert worker.process.wait(timeout=600) == 0


def test_a_hub_name_fails_where_there_is_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="nobody/nothing") as caught:
        load_model("nobody/nothing", tmp_path, LoadOptions(device="cpu"))
    assert "toy" in caught.value.hint


def test_a_folder_that_only_looks_like_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "model.safetensors").write_bytes(b"not tensors at all")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        load_model(str(tmp_path), tmp_path / "models", LoadOptions(device="cpu"))


IOI = "When Mary and John went to the store, John gave a drink to"


def test_prompts_are_graded_without_a_run_and_what_cannot_be_read_says_why(worker: Worker) -> None:
    words = worker.words()
    worker.grade("g1", IOI, "word " * 3000, IOI, position="at:-2")
    assert isinstance(next(words), WorkerReady)
    made = next(words)
    assert isinstance(made, GradesMade)
    assert (made.job, made.model.name, [grade.index for grade in made.grades]) == ("g1", "toy", [0, 1, 2])
    good, long, again = made.grades
    assert (good.verdict, good.says) == ("ok", " Mary")
    assert (again.verdict, again.probability) == (good.verdict, good.probability)
    assert long.verdict == "broken"
    assert "shorten it" in long.reason
    assert "".join(made.tokens[0].texts).endswith(IOI)
    assert made.tokens[0].read.index(True) == len(made.tokens[0].texts) - 2
    assert sum(made.tokens[0].read) == 1

    worker.send(MakeExamples(job="m1", model="toy", task="ioi", pairs=2, models=str(worker.folder)))
    ready = next(words)
    assert isinstance(ready, ExamplesOf)
    assert [example.polarity for example in ready.examples] == ["positive", "negative"] * 2
    worker.grade("g2", "Mary", position="at:7")
    made = next(words)
    assert isinstance(made, GradesMade)
    assert "no position at:7" in made.grades[0].reason
    worker.grade("g3", IOI, model="/nowhere/at/all")
    failed = next(words)
    assert isinstance(failed, JobFailed)
    assert (failed.job, failed.failure.name) == ("g3", "ModelError")


def test_a_run_waits_for_no_grades_and_grades_for_no_run_of_the_same_model(worker: Worker) -> None:
    words = worker.words()
    worker.probe("long", config=ProbeConfig(sae=SAEConfig(steps=1_000_000)))
    next(word for word in words if isinstance(word, JobEvent) and isinstance(word.event, TrainStep))
    worker.grade("beside", IOI)
    worker.grade("elsewhere", IOI, model="/nowhere/at/all")
    made = next(word for word in words if isinstance(word, GradesMade | JobFailed))
    assert (made.job, type(made)) == ("beside", GradesMade)
    next(word for word in words if isinstance(word, JobEvent) and isinstance(word.event, TrainStep))
    worker.send(CancelJob(job="long"))
    ended = [next(word for word in words if isinstance(word, JobFailed)).job for _ in range(2)]
    assert ended == ["long", "elsewhere"]


def test_grades_that_nobody_wants_any_more_are_not_made(worker: Worker) -> None:
    words = worker.words()
    worker.probe("long", config=ProbeConfig(sae=SAEConfig(steps=1_000_000)))
    next(word for word in words if isinstance(word, JobEvent) and isinstance(word.event, TrainStep))
    worker.grade("late", IOI, model="/nowhere/at/all")
    worker.send(CancelJob(job="late"))
    failed = next(word for word in words if isinstance(word, JobFailed))
    assert (failed.job, failed.failure.family) == ("late", "cancelled")


def test_grades_change_nothing_of_a_run(worker: Worker) -> None:
    """The same codes, file for file, whether prompts are graded in between or not."""
    words = worker.words()
    config = ProbeConfig(sae=SAEConfig(steps=200))
    worker.probe("alone", config=config)
    list(until_the_end(words))
    worker.probe("visited", config=config)
    for number in range(8):
        worker.grade(f"g{number}", f"{IOI} {number}")
    made = sum(isinstance(word, GradesMade) for word in until_the_end(words))
    assert made > 0
    codes = [(worker.folder / run / "codes.safetensors").read_bytes() for run in ("alone", "visited")]
    assert codes[0] == codes[1]
