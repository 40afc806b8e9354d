"""A finished run made of real events, and the command line run in this process."""

import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from engine.analysis.ranking import circuit_by_rank, circuit_by_softmax
from engine.analysis.run_state import RunSnapshot, fold_event
from engine.config import ProbeConfig
from engine.events import (
    EdgesScored,
    EngineEvent,
    ExamplesMade,
    Graded,
    ModelReady,
    Notice,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    StageFinished,
    StageProgress,
    StageStarted,
    TrainStep,
)
from engine.examples import Example
from engine.results import (
    EdgeScore,
    ExampleCount,
    Grade,
    ModelInfo,
    NodeScores,
    Reference,
    Timings,
)
from sessions.rows import RunRow, SessionRow

from .recorded import VERSIONS

N_LAYERS, N_HEADS = 2, 4


def make_node(layer: int, head: int, n_heads: int = N_HEADS) -> NodeScores:
    """Scores that differ from head to head and are easy to predict."""
    number = layer * n_heads + head
    return NodeScores(
        layer=layer,
        head=head,
        unique_positive=float(number),
        unique_negative=0.5,
        unique_normalised=number / 10,
        overlap=1 - number / 10,
        mutual_information=number / 20 - 0.02,
        total_variation=number / 10,
        unique_share=number / 10,
        paired_flips=number / 10,
        from_edges=float(number),
        p_value=1 / (1 + number),
        q_value=1 / (1 + number),
        stability=1.0 if number > 4 else 0.0,
        silent=0.0,
        baseline_mean_difference=2.0 * number,
        baseline_paired_difference=0.1 * number,
        baseline_linear_probe=0.5 + number / 20,
        baseline_random=0.25,
        other={"code_accuracy": 0.5 + number / 20},
    )


def make_events(*, n_layers: int = N_LAYERS, n_heads: int = N_HEADS, prompt: str = "When A and B met, A gave B to"):
    """A whole run, first to last."""
    nodes = tuple(make_node(layer, head, n_heads) for layer in range(n_layers) for head in range(n_heads))
    examples = (
        Example(prompt=prompt, polarity="positive", expected=(" B",), foils=(" A",), pair=0),
        Example(prompt=prompt.replace("A", "C"), polarity="negative", expected=(" B",), foils=(" A",), pair=0),
    )
    events: list[EngineEvent] = [
        StageStarted(stage="load", total=0),
        StageFinished(stage="load", seconds=1.25),
        ModelReady(
            model=ModelInfo(
                name="toy",
                identity="ab" * 32,
                n_layers=n_layers,
                n_heads=n_heads,
                d_model=96,
                d_head=12,
                context=128,
                vocabulary=282,
            ),
            versions=VERSIONS,
            warm=False,
        ),
        ExamplesMade(examples=examples, content_hash="cd" * 16, task="ioi", made=True),
        ReferenceKnown(reference=Reference(name="ioi on toy", source="exact patching", heads=((1, 3), (0, 1)))),
        Graded(
            grades=(
                Grade(index=0, verdict="ok", reason="it says so", n_tokens=9, probability=0.9, rank=1, says=" B"),
                Grade(index=1, verdict="broken", reason="expected ' B' is two tokens", n_tokens=9),
            )
        ),
        Notice(message="One example is broken.", hint="See the grades."),
        StageStarted(stage="train", total=500, unit="steps"),
        StageProgress(stage="train", done=250, total=500),
        TrainStep(step=500, total=500, reconstruction=(0.03, None), sparsity=(0.001, None), moving=(3, 0)),
        StageFinished(stage="train", seconds=0.5),
        Scored(nodes=nodes, final=True),
        EdgesScored(
            edges=(EdgeScore(source=(0, 1), target=(1, 3), score=4.5),),
            n_pairs=16,
        ),
        ProbeFinished(
            examples=ExampleCount(positive=1, negative=1, broken=1),
            circuit=tuple(circuit_by_rank(nodes, 3)),
            circuit_softmax=tuple(circuit_by_softmax(nodes)),
            timings=Timings(load=1.25, grade=0.1, capture=0.1, train=0.5, codes=0.1, scores=0.1, total=2.15),
            cached=False,
        ),
    ]
    return events


@pytest.fixture
def events() -> Callable[..., list[EngineEvent]]:
    return make_events


@pytest.fixture
def picture() -> RunSnapshot:
    folded = RunSnapshot()
    for event in make_events():
        folded = fold_event(folded, event)
    return folded


@pytest.fixture
def session_row() -> SessionRow:
    return SessionRow(
        session_id="s0001",
        name="ioi friday",
        model="toy",
        task="ioi",
        created_us=0,
        updated_us=0,
        n_runs=1,
        n_positive=1,
        n_negative=1,
    )


@pytest.fixture
def run_row() -> RunRow:
    return RunRow(
        run_id="r0001",
        session_id="s0001",
        number=1,
        state="done",
        model="toy",
        model_info=None,
        task="ioi",
        config=ProbeConfig(),
        queued_us=0,
        started_us=1_000_000,
        ended_us=4_500_000,
        failure=None,
    )


class Ran(msgspec.Struct):
    """What one command did."""

    code: int
    out: str
    err: str


class _Typed(io.TextIOWrapper):
    """A stdin that is no terminal."""


@pytest.fixture
def headcode(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ran]:
    """Runs the command line in this process, with a home of its own."""
    monkeypatch.setenv("HEADCODE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLORTERM", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, stdin: bytes = b"") -> Ran:
        from tui.cli import main

        monkeypatch.setattr(sys, "stdin", _Typed(io.BytesIO(stdin), encoding="utf-8"))
        code = main(list(words))
        out, err = capsys.readouterr()
        return Ran(code=code, out=out, err=err)

    return run


@pytest.fixture
def at_home(headcode: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ran]]:
    """The command line with a real host, in a home whose path is short enough for a socket."""
    home = tempfile.mkdtemp(prefix="hc-")
    monkeypatch.setenv("HEADCODE_HOME", home)
    yield headcode
    headcode("host", "stop")
    shutil.rmtree(home, ignore_errors=True)
