"""Read a stored run's results twice: from its log, which screens show, and from the projected tables."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.analysis.effects import setting_of
from engine.analysis.run_state import RunSnapshot, fold_event
from engine.events import (
    ArrayReady,
    CircuitChecked,
    EdgesPatched,
    EffectsMeasured,
    EngineEvent,
    TrainStep,
)
from engine.explanations import CodeExplanation
from engine.results import EdgeEffect, EdgeScore, Grade
from sessions.events import ArrayStored, ExplanationRecorded, RunQueued, SteeringRecorded
from sessions.files.array_files import hash_file, read_codes, spool_file
from sessions.store.comparison_sides import run_side, stored_codes
from sessions.store.database import Store
from sessions.store.effects import stored_effects
from sessions.store.projections import GRADE_COLUMNS, event_decoder
from sessions.verification.artifacts import RunArtifacts


def from_log(store: Store, run_id: str) -> tuple[RunArtifacts, RunQueued]:
    """Return what the log holds, and the run's RunQueued. Codes came as a file, so they are read from the table."""
    rows = store.rows(
        "SELECT payload FROM event WHERE run_id = $run AND (kind <> 'scored' OR payload->>'$.final' = 'true') "
        "ORDER BY seq",
        {"run": run_id},
    )
    picture, sae, asked = RunSnapshot(), None, None
    steered, explained = dict[bytes, SteeringRecorded](), dict[tuple[int, int, int, int], CodeExplanation]()
    for (payload,) in rows:
        event = event_decoder.decode(payload)
        match event:
            case RunQueued():
                asked = event
            case ArrayStored(name="sae"):
                sae = event.sha256
            case SteeringRecorded():
                steered[msgspec.json.encode(event.plan)] = event
            case ExplanationRecorded(explanation=found):
                explained[found.layer, found.head, found.code, found.seed] = found
            case _ if isinstance(event, EngineEvent):
                picture = fold_event(picture, event)
            case _:
                pass
    assert asked is not None
    artifacts = artifacts_of_state(picture, sae, _stored_codes(store, run_id, asked.config.seeds))
    more = {"steered": tuple(steered.values()), "explained": tuple(explained.values())}
    return msgspec.structs.replace(artifacts, **more), asked


def from_tables(store: Store, run_id: str) -> RunArtifacts:
    """Return what the tables hold."""
    side = run_side(store, run_id)
    assert side.config is not None
    columns = ", ".join(GRADE_COLUMNS)
    grades = store.rows(
        f"SELECT example, {columns} FROM grade WHERE run_id = $run ORDER BY example",  # noqa: S608  # names of our own
        {"run": run_id},
    )
    edges = store.rows(
        "SELECT source_layer, source_head, target_layer, target_head, score FROM edge_score WHERE run_id = $run "
        "ORDER BY place",
        {"run": run_id},
    )
    row = store.rows(
        "SELECT content_hash, circuit, circuit_softmax, sae_sha256 FROM run WHERE run_id = $run", {"run": run_id}
    )[0]
    return RunArtifacts(
        model=side.model,
        versions=side.versions,
        content_hash=row[0] or "",
        grades=tuple(Grade(index=each[0], **dict(zip(GRADE_COLUMNS, each[1:], strict=True))) for each in grades),
        steps=_steps(store, run_id, side.config.seeds),
        nodes=side.nodes,
        edges=tuple(EdgeScore(source=(each[0], each[1]), target=(each[2], each[3]), score=each[4]) for each in edges),
        circuit=_heads(row[1]),
        circuit_softmax=_heads(row[2]),
        sae_sha256=row[3],
        codes=_stored_codes(store, run_id, side.config.seeds),
        causes=_whole(stored_effects(store.connection(), run_id)),
        checks=_checks(store, run_id),
    )


class ArtifactCollector:
    """Collects what a repeated run reports; nothing of it is recorded."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self.picture = RunSnapshot()
        self.codes: tuple[tuple[tuple[int, ...], ...], ...] = ()
        self.sae: str | None = None

    def take(self, event: EngineEvent) -> None:
        """Add an event. Raises BadArray for a file that does not match its description."""
        self.picture = fold_event(self.picture, event)
        if isinstance(event, ArrayReady) and event.name == "codes":
            seeds: dict[int, list[tuple[int, ...]]] = {}
            for seed, _, codes in read_codes(self._spool, event).rows:
                seeds.setdefault(seed, []).append(tuple(codes))
            self.codes = tuple(tuple(seeds[seed]) for seed in sorted(seeds))
        elif isinstance(event, ArrayReady):
            self.sae = hash_file(spool_file(self._spool, event.file))

    def evidence(self) -> RunArtifacts:
        return artifacts_of_state(self.picture, self.sae, self.codes)


def artifacts_of_state(
    picture: RunSnapshot, sae: str | None, codes: tuple[tuple[tuple[int, ...], ...], ...]
) -> RunArtifacts:
    """Return the artifacts in a run's folded state."""
    finished = picture.finished
    return RunArtifacts(
        model=picture.model,
        versions=picture.versions,
        content_hash=picture.content_hash,
        grades=picture.grades,
        steps=picture.steps,
        nodes=picture.nodes if picture.nodes_final else (),
        edges=picture.edges,
        circuit=finished.circuit if finished is not None else (),
        circuit_softmax=finished.circuit_softmax if finished is not None else (),
        sae_sha256=sae,
        codes=codes,
        causes=_whole(picture.causes),
        stability=picture.card.stability if picture.card is not None else None,
        direct=finished.direct if finished is not None else None,
        estimated_edges=picture.edge_effects,
        measured_edges=_in_order(picture.exact_edges),
        checks=tuple(sorted(picture.checks, key=lambda check: check.name)),
    )


def only_recorded(stored: RunArtifacts, now: RunArtifacts) -> RunArtifacts:
    """Return the artifacts without effects that the stored run lacks, by setting and head, and without such edges.

    The stored measurements of those were stopped early.
    """
    heads = {setting_of(cause): {(one.layer, one.head) for one in cause.effects} for cause in stored.causes}
    remaining = []
    for cause in now.causes:
        known = heads.get(setting_of(cause))
        if known is not None:
            effects = tuple(one for one in cause.effects if (one.layer, one.head) in known)
            remaining.append(msgspec.structs.replace(cause, effects=effects))
    edges = now.measured_edges
    if edges is not None:
        known_edges = {(edge.source, edge.target) for edge in _edges_of(stored.measured_edges)}
        kept = tuple(edge for edge in edges.edges if (edge.source, edge.target) in known_edges)
        edges = msgspec.structs.replace(edges, edges=kept)
    return msgspec.structs.replace(now, causes=tuple(remaining), measured_edges=edges)


def _edges_of(measured: EdgesPatched | None) -> tuple[EdgeEffect, ...]:
    return () if measured is None else measured.edges


def _in_order(measured: EdgesPatched | None) -> EdgesPatched | None:
    """Return the edges in the order of their nodes: a set that was chosen, not a ranking."""
    ordered = sorted(_edges_of(measured), key=lambda edge: (edge.source, edge.target))
    return None if measured is None else msgspec.structs.replace(measured, edges=tuple(ordered))


def _checks(store: Store, run_id: str) -> tuple[CircuitChecked, ...]:
    """Return the checks of circuits as the table has them, by name."""
    rows = store.rows(
        "SELECT name, faithfulness, completeness, area, found FROM circuit_check WHERE run_id = $run ORDER BY name",
        {"run": run_id},
    )
    found = []
    for *values, payload in rows:
        check = event_decoder.decode(payload)
        assert isinstance(check, CircuitChecked)
        columns = dict(zip(("name", "faithfulness", "completeness", "area"), values, strict=True))
        found.append(msgspec.structs.replace(check, **columns))
    return tuple(found)


def _whole(causes: Sequence[EffectsMeasured]) -> tuple[EffectsMeasured, ...]:
    """Return the finished measurements in the order of their settings, without their times and costs."""
    whole = sorted((cause for cause in causes if cause.final), key=setting_of)
    return tuple(
        msgspec.structs.replace(
            cause,
            passes=0.0,
            seconds=0.0,
            effects=tuple(msgspec.structs.replace(one, measured_us=None) for one in cause.effects),
        )
        for cause in whole
    )


def _stored_codes(store: Store, run_id: str, seeds: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    return tuple(tuple(map(tuple, stored_codes(store, run_id, seed))) for seed in seeds)


def _steps(store: Store, run_id: str, seeds: tuple[int, ...]) -> tuple[TrainStep, ...]:
    rows = store.rows(
        "SELECT step, seed, reconstruction, sparsity, moving FROM step WHERE run_id = $run ORDER BY step",
        {"run": run_id},
    )
    found: dict[int, dict[int, tuple[float | None, float | None, int]]] = {}
    for step, seed, reconstruction, sparsity, moving in rows:
        found.setdefault(step, {})[seed] = (reconstruction, sparsity, moving)
    total = max(found, default=0)
    return tuple(
        TrainStep(
            step=step,
            total=total,
            reconstruction=tuple(parts[seed][0] for seed in seeds if seed in parts),
            sparsity=tuple(parts[seed][1] for seed in seeds if seed in parts),
            moving=tuple(parts[seed][2] for seed in seeds if seed in parts),
        )
        for step, parts in found.items()
    )


def _heads(text: str | None) -> tuple[tuple[int, int], ...]:
    return () if text is None else msgspec.json.decode(text, type=tuple[tuple[int, int], ...])
