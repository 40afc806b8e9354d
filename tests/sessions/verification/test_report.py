"""Test runs repeated with the real bundled model and a real store, unchanged and tampered with."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.catalog.recommended_config import resolve_config
from engine.config import EffectsConfig, Precision, ProbeConfig, SAEConfig
from engine.events import ArrayReady, Event, ExamplesMade, ModelReady
from engine.models.warm_model import WarmModel
from engine.protocol import MeasureEffects, RunProbe
from engine.tensors.threads import limit_threads, most_threads
from engine.worker.effects_job import EffectsJob
from engine.worker.pipeline import ProbeJob
from sessions.events import ArrayStored, RunEnded, RunQueued, RunStarted, SessionCreated
from sessions.files.array_files import hash_file
from sessions.store.database import Store
from sessions.store.recorder import EventDraft, Recorder
from sessions.store.run_artifacts import ArtifactCollector, from_log, from_tables
from sessions.verification.artifacts import RunArtifacts
from sessions.verification.checks import run_checks
from sessions.verification.report import ROUNDING, VerificationReport, judge

SESSION, RUN = "s1", "r1"
PATHS = (((1, 2), (2, 6)), ((0, 3), (3, 1)))
"""Edges that are measured exactly, once the run is done."""


class Ears:
    """A Monitor that stores the events."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def report(self, event: Event, /) -> None:
        self.events.append(event)

    def cancelled(self) -> bool:
        return False


class Bench:
    """A store that holds one finished run of the bundled model, and what is needed to repeat it."""

    def __init__(self, folder: Path, warm_model: WarmModel) -> None:
        self.folder, self.warm_model = folder, warm_model
        self.config = resolve_config(
            ProbeConfig(
                seeds=(0, 3),
                sae=SAEConfig(steps=60),
                shuffles=50,
                cause=EffectsConfig(method="circuit", budget=8, edges=True, smallest=0.5),
            ),
            "toy",
            folder / "models",
        )
        self.store = Store.open(folder / "sessions.duckdb")

    def perform(self, name: str, **more: Any) -> tuple[list[Any], Path]:
        spool = self.folder / name
        request = RunProbe(
            **(
                {
                    "job": name,
                    "model": "toy",
                    "config": self.config,
                    "task": "ioi",
                    "pairs": 4,
                    "spool": str(spool),
                    "models": str(self.folder / "models"),
                    "activations": "",
                    "device": "cpu",
                }
                | more
            )
        )
        ears = Ears()
        ProbeJob(request, self.warm_model, ears).run()
        paths = MeasureEffects(
            job=name,
            model="toy",
            identity=next(event.model.identity for event in ears.events if isinstance(event, ModelReady)),
            config=EffectsConfig(method="exact"),
            examples=next(event.examples for event in ears.events if isinstance(event, ExamplesMade)),
            position="last",
            task="ioi",
            seed=0,
            edges=PATHS,
            models=request.models,
            device="cpu",
        )
        EffectsJob(paths, self.warm_model, ears).run()
        return ears.events, spool

    def record(self) -> None:
        events, spool = self.perform("first")
        recorder = Recorder(self.store)
        recorder.append([EventDraft(session_id=SESSION, event=SessionCreated(name="one", model="toy", task="ioi"))])
        output = [RunQueued(config=self.config, model="toy", task="ioi"), RunStarted(), *events]
        sae = hash_file(spool / "sae.safetensors")
        output += [ArrayStored(name="sae", sha256=sae, n_bytes=1), RunEnded(state="done")]
        recorder.append(
            [
                EventDraft(
                    session_id=SESSION,
                    run_id=RUN,
                    event=event,
                    spool=spool if isinstance(event, ArrayReady) else None,
                )
                for event in output
            ]
        )

    def again(self, **more: Any) -> RunArtifacts:
        events, spool = self.perform("again", **more)
        gathering = ArtifactCollector(spool)
        for event in events:
            gathering.take(event)
        return gathering.evidence()

    def judged(self, now: RunArtifacts) -> VerificationReport:
        return judge(RUN, "one/1", from_log(self.store, RUN)[0], from_tables(self.store, RUN), now)

    def change(self, sql: str, **values: object) -> None:
        with self.store.transaction() as con:
            con.execute(sql, values)


@pytest.fixture(scope="module")
def threads() -> Iterator[None]:
    before = most_threads()
    limit_threads(1)
    yield
    limit_threads(before)


@pytest.fixture(scope="module")
def done(threads: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, RunArtifacts]]:  # noqa: ARG001
    """Return a recorded run and one repetition, with which tampered stores are compared."""
    bench = Bench(tmp_path_factory.mktemp("verify"), WarmModel())
    bench.record()
    yield bench, bench.again()
    bench.store.close()


@pytest.fixture
def tampered(done: tuple[Bench, RunArtifacts], tmp_path: Path) -> Iterator[Callable[[str], VerificationReport]]:
    """Judge a copy of the store after a change of it."""
    bench, now = done
    bench.store.checkpoint()
    shutil.copy(bench.store.path, tmp_path / "sessions.duckdb")
    copy = Bench(tmp_path, bench.warm_model)

    def change(sql: str) -> VerificationReport:
        copy.change(sql)
        return copy.judged(now)

    yield change
    copy.store.close()


def test_the_same_run_is_the_same_bit_for_bit(done: tuple[Bench, RunArtifacts]) -> None:
    bench, now = done
    report = bench.judged(now)
    assert (report.verdict, report.stage, report.largest) == ("same", "", 0.0)
    compared = {each.witness: each.compared for each in report.checks}
    assert compared["codes"] == 2 * 8 * 32
    assert compared["node scores"] == 15 * 32
    assert compared["baselines"] == 5 * 32
    assert compared["probabilities"] == 16
    assert compared["losses"] >= 2 * 2 * 3
    assert compared["edges"] == 384
    heads = compared["measured heads"]
    assert 2 * 32 < heads < 3 * 32  # attribution and combined of all, exact of some
    assert compared["effects"] == 3 * heads + 3  # each with its error and size, and three bases
    assert f"{heads} measured heads" in report.words
    assert compared["estimated edges"] == compared["estimates of edges"]  # as many pairs as numbers, and one more each
    assert compared["measured edges"] == 2
    assert compared["effects of edges"] == 2 + 1
    assert compared["checked circuits"] == 3
    assert compared["circuit checks"] > 3 * 200
    assert compared["direct effects"] == 3
    assert "2 measured edges, 3 checked circuits" in report.words
    of_host = {"steered texts", "steering", "explanations", "saliencies"}  # tests/tui/commands/test_verify.py
    assert {each.witness for each in report.checks if not each.compared} == of_host
    assert all(each.differing == 0 for each in report.checks)


def in_log(kind: str, path: str, value: object) -> str:
    """Return SQL that sets one value in the first event of a kind."""
    return (
        f"UPDATE event SET payload = json_set(payload, '{path}', '{json.dumps(value)}'::JSON) "  # noqa: S608
        f"WHERE seq = (SELECT min(seq) FROM event WHERE kind = '{kind}')"
    )


TAMPERED = [
    (
        "UPDATE code SET codes = list_concat([codes[1] + 1], codes[2:]) WHERE seed = 3 AND example = 5",
        "codes",
        "1 of 512 codes differ (first: seed 2, example 6, head 0.0)",
    ),
    ("DELETE FROM code WHERE seed = 3 AND example = 7", "codes", "32 of 512 codes differ"),
    (
        "UPDATE node_score SET unique_positive = unique_positive + .5 WHERE layer = 2 AND head = 1",
        "scores",
        "1 of 480 node scores differ, by at most 0.5 (first: unique_positive of head 2.1)",
    ),
    (
        """UPDATE event SET payload = replace(payload, '"unique_share":', '"unique_share":9')
        WHERE kind = 'scored' AND payload->>'$.final' = 'true'""",
        "scores",
        "node scores differ",
    ),
    ("UPDATE edge_score SET score = score + 1 WHERE place = 7", "scores", "(first: edge 8)"),
    ("UPDATE run SET circuit = '[[0,0]]'", "scores", "circuits differ"),
    (
        "UPDATE cause SET effect = effect + base / 8 WHERE layer = 2 AND head = 1 AND method = 'attribution'",
        "cause",
        "(first: effect of head 2.1 by attribution)",
    ),
    ("DELETE FROM cause WHERE method = 'attribution' AND layer = 3 AND head = 7", "cause", "measured heads differ"),
    (
        """UPDATE event SET payload = replace(payload, '"replacement":"pair"', '"replacement":"zero"')
        WHERE kind = 'cause_scored' AND payload->>'$.method' = 'exact'""",
        "cause",
        "measured heads differ (first: head",
    ),
    ("UPDATE grade SET probability = probability + 1e-9 WHERE example = 2", "capture", "(first: example 3)"),
    (
        "UPDATE node_score SET baseline_mean_difference = 9 WHERE layer = 2 AND head = 1",
        "capture",
        "baseline_mean_difference of head 2.1",
    ),
    ("UPDATE step SET sparsity = sparsity * 1.5 WHERE seed = 0 AND step > 20", "train", "(first: step 22)"),
    ("UPDATE run SET sae_sha256 = 'abc'", "train", "other SAE weights"),
    ("UPDATE run SET content_hash = 'abc'", "examples", "other content"),
    ("UPDATE run SET model_identity = 'abc'", "load", "other identity"),
    (
        "UPDATE cause SET size = size * 2 WHERE layer = 2 AND head = 1 AND method = 'attribution'",
        "cause",
        "size of head 2.1",
    ),
    ("UPDATE step SET moving = moving + 1 WHERE seed = 3 AND step > 20", "train", "moving heads differ"),
    (in_log("card_written", "$.card.steadiness.bootstraps", 0.123), "scores", "bootstraps differ, by at most"),
    (in_log("probe_finished", "$.direct.rest", 9.5), "capture", "direct effects differ, by at most"),
    (in_log("probe_finished", "$.direct.nodes", 9.5), "capture", "(first: nodes)"),
    (in_log("edges_attributed", "$.edges[4].effect", 9.5), "cause", "1 of 385 estimates of edges differ"),
    (in_log("edges_attributed", "$.edges[4].source", [0, 0]), "cause", "1 of 385 estimated edges differ"),
    (in_log("edges_patched", "$.edges[0].effect", 9.5), "cause", "1 of 3 effects of edges differ"),
    (in_log("edges_patched", "$.edges[0].target", [3, 3]), "cause", "measured edges differ"),
    (in_log("edges_patched", "$.replacement", "zero"), "cause", "measured edges differ"),
    (in_log("circuit_checked", "$.heads[0]", [3, 3]), "cause", "checked circuits differ (first: circuit codes"),
    (in_log("circuit_checked", "$.completeness", 0.5), "cause", "completeness, circuit codes"),
    (in_log("circuit_checked", "$.minimality[0].effect", 9.5), "cause", "the answer without head"),
    (in_log("circuit_checked", "$.random_faithfulness[99]", 9.5), "cause", "faithfulness of random circuits"),
    (in_log("circuit_checked", "$.curve[1].faithfulness", 9.5), "cause", "faithfulness of 2 nodes"),
    ("UPDATE circuit_check SET area = area + .5 WHERE name = 'smallest'", "cause", "area, circuit smallest"),
    ("DELETE FROM circuit_check WHERE name = 'smallest'", "cause", "checked circuits differ"),
]


@pytest.mark.parametrize(("sql", "stage", "words"), TAMPERED)
def test_what_was_tampered_with_is_named(
    tampered: Callable[[str], VerificationReport], sql: str, stage: str, words: str
) -> None:
    report = tampered(sql)
    assert (report.verdict, report.stage) == ("differs", stage), report.words
    assert words in report.words
    assert report.largest > 0
    assert report.environment == ()


def test_the_earliest_stage_is_named_first(tampered: Callable[[str], VerificationReport]) -> None:
    tampered("UPDATE node_score SET overlap = 9")
    tampered("UPDATE code SET codes = list_reverse(codes)")
    report = tampered("UPDATE step SET reconstruction = 0 WHERE step = 1")
    assert report.stage == "train"
    assert {each.stage for each in report.checks if each.differing} == {"train", "codes", "scores"}
    assert "the store's tables differ from its log" in report.words


def test_other_threads_are_named_and_the_bundled_model_does_not_care(done: tuple[Bench, RunArtifacts]) -> None:
    bench, _ = done
    limit_threads(2)
    try:
        report = bench.judged(bench.again())
    finally:
        limit_threads(1)
    assert report.verdict == "same"
    assert "though 1 thread then, 2 threads now" in report.words
    assert [each.field for each in report.environment] == ["device"]


def test_rounding_needs_a_reason_and_a_measure(done: tuple[Bench, RunArtifacts]) -> None:
    bench, now = done
    stored = from_log(bench.store, RUN)[0]
    assert now.versions is not None

    def nudged(by: float, *, device: str | None = None) -> VerificationReport:
        grades = tuple(msgspec.structs.replace(each, probability=(each.probability or 0) + by) for each in now.grades)
        versions = msgspec.structs.replace(now.versions, device=device or now.versions.device)
        other = msgspec.structs.replace(now, grades=grades, versions=versions)
        return judge(RUN, "one/1", stored, stored, other)

    other = now.versions.device.replace("1 thread", "7 threads")
    assert other != now.versions.device
    small = nudged(1e-7, device=other)
    assert (small.verdict, small.stage) == ("rounding", "capture")
    assert small.words.startswith("the same to rounding: 1 thread then, 7 threads now; first in capture: ")
    assert small.largest == pytest.approx(1e-7, rel=1e-3)
    assert nudged(1e-7).verdict == "differs"  # on the same machine with the same versions nothing may differ
    assert nudged(2 * ROUNDING["float32"].probabilities, device=other).verdict == "differs"
    cuda = nudged(1e-7, device="cuda (NVIDIA H200)")
    assert cuda.verdict == "rounding"
    assert "then, cuda (NVIDIA H200) now" in cuda.words


def test_half_precision_rounds_more_and_is_named(done: tuple[Bench, RunArtifacts]) -> None:
    bench, now = done
    assert now.versions is not None
    half = msgspec.structs.replace(now.versions, dtype="bfloat16")
    stored = msgspec.structs.replace(from_log(bench.store, RUN)[0], versions=half)

    def nudged(by: float) -> VerificationReport:
        grades = tuple(msgspec.structs.replace(each, probability=(each.probability or 0) + by) for each in now.grades)
        elsewhere = msgspec.structs.replace(half, device="cpu (another)")
        other = msgspec.structs.replace(now, grades=grades, versions=elsewhere)
        return judge(RUN, "one/1", stored, stored, other)

    limits = ROUNDING["bfloat16"]
    assert limits.probabilities > 5 * ROUNDING["float32"].probabilities
    report = nudged(limits.probabilities / 2)
    assert (report.verdict, report.dtype, report.limits) == ("rounding", "bfloat16", limits)
    assert report.words.startswith("the same to the rounding of bfloat16: device ")
    assert nudged(2 * limits.probabilities).verdict == "differs"


@pytest.mark.parametrize(("then", "again"), [("float32", "bfloat16"), ("bfloat16", "float32"), ("float16", "bfloat16")])
def test_another_precision_is_named_and_judged_by_the_coarser(
    done: tuple[Bench, RunArtifacts], then: Precision, again: Precision
) -> None:
    bench, now = done
    assert now.versions is not None
    versions = {dtype: msgspec.structs.replace(now.versions, dtype=dtype) for dtype in (then, again)}
    stored = msgspec.structs.replace(from_log(bench.store, RUN)[0], versions=versions[then])

    def nudged(by: float) -> VerificationReport:
        grades = tuple(msgspec.structs.replace(each, probability=(each.probability or 0) + by) for each in now.grades)
        return judge(
            RUN, "one/1", stored, stored, msgspec.structs.replace(now, grades=grades, versions=versions[again])
        )

    limits = ROUNDING["bfloat16"]
    report = nudged(limits.probabilities / 2)
    assert (report.verdict, report.dtype, report.limits) == ("rounding", "bfloat16", limits)
    assert report.words.startswith(f"the same to the rounding of bfloat16: dtype {then} then, {again} now; first in")
    assert [(each.field, each.a, each.b) for each in report.environment] == [("dtype", then, again)]
    larger = nudged(2 * limits.probabilities)
    assert larger.verdict == "differs"
    assert f"dtype {then} then, {again} now" in larger.words


def test_effects_may_differ_by_a_hundredth_of_the_answer_elsewhere(done: tuple[Bench, RunArtifacts]) -> None:
    bench, now = done
    stored = from_log(bench.store, RUN)[0]
    assert now.versions is not None
    elsewhere = msgspec.structs.replace(now.versions, device="cuda (NVIDIA H200)")

    def moved(share: float) -> VerificationReport:
        cause = now.causes[0]
        first = msgspec.structs.replace(cause.effects[0], effect=cause.effects[0].effect - share * cause.base)
        other = msgspec.structs.replace(cause, effects=(first, *cause.effects[1:]))
        changed = msgspec.structs.replace(now, causes=(other, *now.causes[1:]), versions=elsewhere)
        return judge(RUN, "one/1", stored, stored, changed)

    assert moved(0.0001).verdict == "rounding"
    assert moved(0.0001).stage == "cause"
    assert moved(2 * ROUNDING["float32"].effects).verdict == "differs"


def test_other_examples_settings_or_weights_differ_where_they_must(done: tuple[Bench, RunArtifacts]) -> None:
    bench, now = done
    stored = from_log(bench.store, RUN)[0]

    def stage(other: RunArtifacts) -> str:
        return judge(RUN, "one/1", stored, stored, other).stage

    assert stage(bench.again(task_seed=1)) == "examples"
    longer = msgspec.structs.replace(bench.config, sae=msgspec.structs.replace(bench.config.sae, learning_rate=2e-3))
    assert stage(bench.again(config=longer)) == "train"
    last = msgspec.structs.replace(bench.config, position="last")
    assert stage(bench.again(config=last)) == "capture"
    wider = msgspec.structs.replace(bench.config, circuit_size=9)
    assert stage(bench.again(config=wider)) == "scores"
    assert stage(msgspec.structs.replace(now, codes=now.codes[:1])) == "codes"


def test_a_missing_number_is_infinitely_different(done: tuple[Bench, RunArtifacts]) -> None:
    _, now = done
    grades = (msgspec.structs.replace(now.grades[0], probability=None), *now.grades[1:])
    found = {each.witness: each for each in run_checks(now, msgspec.structs.replace(now, grades=grades))}
    assert found["probabilities"].largest == float("inf")
    assert found["probabilities"].differing == 1
