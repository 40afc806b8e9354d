"""Compare a run with its repetition: one or more checks per stage, in the order of the stages."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from engine.events import TrainStep
from engine.measures import NUMBERS, number_of
from engine.nodes import only_heads
from engine.results import EFFECT_FIELDS, CircuitStability, NodeScores
from sessions.verification.artifacts import (
    MEASURED_HEADS,
    MEASURED_NODES,
    STAGES,
    CheckResult,
    RunArtifacts,
    StageCheck,
    check_rows,
)
from sessions.verification.measured_checks import CHECKS as MEASURED_CHECKS
from sessions.verification.measured_checks import Row, node_words, recorded_effects

_BASELINES = tuple(name for name in NUMBERS if name.startswith(("baseline", "contrast")))
_MEASURES = tuple(name for name in NUMBERS if name not in EFFECT_FIELDS and name not in _BASELINES)
_SHAPE = ("n_layers", "n_heads", "d_model", "d_head", "context", "vocabulary")
_GRADE_NUMBERS = ("probability", "says_probability")


def run_checks(then: RunArtifacts, now: RunArtifacts) -> list[CheckResult]:
    """Run every check, in the order of the stages, even after one that failed."""
    if then.nodes:
        now = msgspec.structs.replace(now, nodes=tuple(_recorded(node, then.nodes) for node in now.nodes))
    now = msgspec.structs.replace(
        now,
        causes=recorded_effects(now.causes, then.causes),
        stability=_recorded_stability(now.stability, then.stability),
        direct=None if then.direct is None else now.direct,
    )
    results = {each.name: _numbers(each, then, now) if each.numbers else _names(each, then, now) for each in CHECKS}
    found = [*results.values(), _codes(then, now)]
    return sorted(found, key=lambda each: STAGES.index(each.stage))


def _recorded(node: NodeScores, then: Sequence[NodeScores]) -> NodeScores:
    """Return the scores without those that the version of the recorded run did not compute."""
    other = {name: value for name, value in node.other.items() if any(name in each.other for each in then)}
    lengths = node.contrast_length if any(each.contrast_length is not None for each in then) else None
    return msgspec.structs.replace(node, contrast_length=lengths, other=other)


def _recorded_stability(now: CircuitStability | None, then: CircuitStability | None) -> CircuitStability | None:
    if now is None or then is None:
        return now if then is not None else None
    return now if then.resampled else msgspec.structs.replace(now, resampled=())


def _witness(check: StageCheck, then: RunArtifacts) -> str:
    """Return the check's name; what is measured are nodes, not heads, if the run has others."""
    if check.name == MEASURED_HEADS and not only_heads(node.id for node in then.nodes):
        return MEASURED_NODES
    return check.name


def _names(check: StageCheck, a: RunArtifacts, b: RunArtifacts) -> CheckResult:
    then, now = check.read(a), check.read(b)
    n, shared = max(len(then), len(now)), min(len(then), len(now))
    differing = [place for place in range(n) if place >= shared or then[place] != now[place]]
    return CheckResult(
        stage=check.stage,
        witness=_witness(check, a),
        compared=n,
        differing=len(differing),
        largest=float(len(differing)),
        size=len(differing) / max(1, n),
        where=check.where(a, differing[0]) if differing and check.where is not None else "",
    )


def _numbers(check: StageCheck, a: RunArtifacts, b: RunArtifacts) -> CheckResult:
    """Compare numbers, which are equal to the last bit or not. A missing one differs by infinity."""
    then, now = check.read(a), check.read(b)
    shared = min(len(then), len(now))
    n_differing, first, largest, size = 0, -1, 0.0, 0.0
    for place in range(max(len(then), len(now))):
        one, other = (side[place] if place < len(side) else None for side in (then, now))
        if place < shared and (one == other or (_is_nan(one) and _is_nan(other))):
            continue
        n_differing, first = n_differing + 1, place if first < 0 else first
        known = isinstance(one, float | int) and isinstance(other, float | int)
        gap = abs(one - other) if known else float("inf")  # type: ignore[operator]
        largest = max(largest, gap)
        # Differences of numbers below a thousandth are judged absolutely: relative to almost nothing, anything is
        # large.
        scale = max(abs(one), abs(other), 1e-3) if known and check.numbers == "relative" else 1.0  # type: ignore[arg-type]
        size = max(size, gap / scale)
    return CheckResult(
        stage=check.stage,
        witness=check.name,
        compared=max(len(then), len(now)),
        differing=n_differing,
        largest=largest,
        size=size,
        where=check.where(a, first) if first >= 0 and check.where is not None else "",
    )


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _codes(then: RunArtifacts, now: RunArtifacts) -> CheckResult:
    compared, n_differing, where = 0, 0, ""
    for seed, example, a, b in _rows(then.codes, now.codes):
        n = max(len(a), len(b))
        compared += n
        if a == b:
            continue
        places = [place for place in range(n) if place >= min(len(a), len(b)) or a[place] != b[place]]
        n_differing += len(places)
        if not where:
            where = f"seed {seed + 1}, example {example + 1}, {_format_place(then, places[0])}"
    return CheckResult(
        stage="codes",
        witness="codes",
        compared=compared,
        differing=n_differing,
        largest=float(n_differing),
        size=n_differing / max(1, compared),
        where=where,
    )


def _rows(
    then: Sequence[Sequence[tuple[int, ...]]], now: Sequence[Sequence[tuple[int, ...]]]
) -> Iterable[tuple[int, int, tuple[int, ...], tuple[int, ...]]]:
    for seed in range(max(len(then), len(now))):
        one = then[seed] if seed < len(then) else ()
        other = now[seed] if seed < len(now) else ()
        for example in range(max(len(one), len(other))):
            a = one[example] if example < len(one) else ()
            yield seed, example, a, other[example] if example < len(other) else ()


def _format_place(then: RunArtifacts, place: int) -> str:
    return node_words(then.nodes[place].id) if place < len(then.nodes) else f"place {place}"


def _format_heads(nodes: Sequence[NodeScores], place: int, names: Sequence[str]) -> str:
    head, name = divmod(place, len(names))
    return f"{names[name]} of {node_words(nodes[head].id)}" if head < len(nodes) else names[name]


def _format_step(steps: Sequence[TrainStep], place: int) -> str:
    for step in steps:
        n = len(step.reconstruction) + len(step.sparsity)
        if place < n:
            return f"step {step.step}"
        place -= n
    return "a later step"


def _shape(side: RunArtifacts) -> Sequence[object]:
    return [getattr(side.model, name, None) for name in _SHAPE]


def _probabilities(side: RunArtifacts) -> Sequence[object]:
    return [getattr(grade, name) for grade in side.grades for name in _GRADE_NUMBERS]


def _grades(side: RunArtifacts) -> Sequence[object]:
    return [(each.verdict, each.rank, each.says, each.n_tokens) for each in side.grades]


def _losses(side: RunArtifacts) -> Sequence[object]:
    return [value for step in side.steps for parts in (step.reconstruction, step.sparsity) for value in parts]


def _circuits(side: RunArtifacts) -> Sequence[object]:
    by_rank = [("rank", *head) for head in side.circuit]
    by_softmax = [("softmax", *head) for head in side.circuit_softmax]
    return [*by_rank, *by_softmax, *((*edge.source, *edge.target) for edge in side.edges)]


def _stability(side: RunArtifacts) -> list[Row]:
    """Return how stable the circuit is, and the ranks on bootstraps as shares of the best."""
    found = side.stability
    if found is None:
        return []
    rows: list[Row] = [("seeds", found.seeds), ("bootstraps", found.bootstraps), ("draws", found.n_bootstraps)]
    rows += [(_format_place(side, place), value) for place, value in enumerate(found.heads)]
    return rows + [(f"ranks by {one.measure}", rank / 255) for one in found.resampled for rank in one.ranks]


def _direct(side: RunArtifacts) -> list[Row]:
    """Return the answer's logit and what writes it. The rest is a small difference, judged beside the answer."""
    found = side.direct
    if found is None:
        return []
    return [("answer", found.answer), ("nodes", found.nodes), ("rest", found.answer - found.rest)]


CHECKS: tuple[StageCheck, ...] = (
    StageCheck(
        stage="load", name="identity", read=lambda side: [side.model.identity if side.model is not None else ""]
    ),
    StageCheck(stage="load", name="shape", read=_shape),
    StageCheck(stage="examples", name="content", read=lambda side: [side.content_hash]),
    StageCheck(
        stage="capture",
        name="probabilities",
        read=_probabilities,
        where=lambda _, place: f"example {place // len(_GRADE_NUMBERS) + 1}",
        numbers="absolute",
    ),
    StageCheck(stage="capture", name="grades", read=_grades, where=lambda _, place: f"example {place + 1}"),
    StageCheck(
        stage="capture",
        name="baselines",
        read=lambda side: [number_of(node, name) for node in side.nodes for name in _BASELINES],
        where=lambda side, place: _format_heads(side.nodes, place, _BASELINES),
        numbers="relative",
    ),
    StageCheck(
        stage="train",
        name="losses",
        read=_losses,
        where=lambda side, place: _format_step(side.steps, place),
        numbers="relative",
    ),
    check_rows("capture", "direct effects", _direct, "relative"),
    StageCheck(
        stage="train", name="moving heads", read=lambda side: [count for step in side.steps for count in step.moving]
    ),
    StageCheck(stage="train", name="SAE weights", read=lambda side: [side.sae_sha256]),
    StageCheck(
        stage="scores",
        name="node scores",
        read=lambda side: [number_of(node, name) for node in side.nodes for name in _MEASURES],
        where=lambda side, place: _format_heads(side.nodes, place, _MEASURES),
        numbers="absolute",
    ),
    StageCheck(
        stage="scores",
        name="edges",
        read=lambda side: [edge.score for edge in side.edges],
        where=lambda _, place: f"edge {place + 1}",
        numbers="absolute",
    ),
    StageCheck(stage="scores", name="circuits", read=_circuits),
    check_rows("scores", "bootstraps", _stability, "absolute"),
    *MEASURED_CHECKS,
)
"""All except the codes, which come between the SAE and the scores and are too many for a list."""
NAMES: frozenset[str] = frozenset({"codes", MEASURED_NODES, *(check.name for check in CHECKS if not check.numbers)})
"""Checks of names, which are equal or not; the others compare numbers."""
