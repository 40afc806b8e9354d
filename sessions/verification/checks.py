"""Compare a run with its repetition: one or more checks per stage, in the order of the stages."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from engine.analysis.effects import effect_share
from engine.events import EffectsMeasured, TrainStep
from engine.measures import NUMBERS, number_of
from engine.nodes import NodeId, only_heads
from engine.results import EFFECT_FIELDS, EdgeScore, Grade, HeadScores, ModelInfo, Versions

CheckedStage = Literal["load", "examples", "capture", "train", "codes", "scores", "cause"]
STAGES: tuple[CheckedStage, ...] = ("load", "examples", "capture", "train", "codes", "scores", "cause")

_BASELINES = tuple(name for name in NUMBERS if name.startswith(("baseline", "contrast")))
_MEASURES = tuple(name for name in NUMBERS if name not in EFFECT_FIELDS and name not in _BASELINES)
_SHAPE = ("n_layers", "n_heads", "d_model", "d_head", "context", "vocabulary")
_GRADE_NUMBERS = ("probability", "says_probability")


class RunArtifacts(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a run that are compared."""

    model: ModelInfo | None = None
    versions: Versions | None = None
    content_hash: str = ""
    grades: tuple[Grade, ...] = ()
    steps: tuple[TrainStep, ...] = ()
    nodes: tuple[HeadScores, ...] = ()
    edges: tuple[EdgeScore, ...] = ()
    circuit: tuple[tuple[int, int], ...] = ()
    circuit_softmax: tuple[tuple[int, int], ...] = ()
    sae_sha256: str | None = None
    codes: tuple[tuple[tuple[int, ...], ...], ...] = ()
    """[seed][example][head]"""
    causes: tuple[EffectsMeasured, ...] = ()
    """Measured effects: the last finished measurement of each method, methods by name."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check of one stage."""

    stage: CheckedStage
    witness: str
    compared: int
    """How many numbers, codes or names were compared."""
    differing: int
    largest: float = 0.0
    """The largest difference in the check's own unit; for codes and names, how many differ."""
    size: float = 0.0
    """The difference as it is judged: relative to the loss, as a share of all codes."""
    where: str = ""
    """The first place that differs."""


MEASURED_HEADS, MEASURED_NODES = "measured heads", "measured nodes"


class StageCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One check: which result of a stage it reads, and how two of them are compared."""

    stage: CheckedStage
    name: str
    read: Callable[[RunArtifacts], Sequence[object]]
    where: Callable[[RunArtifacts, int], str] | None = None
    """Describes a place in what was read."""
    numbers: Literal["absolute", "relative"] | None = None
    """How the size of a difference is judged; None: names, which are equal or not."""


def run_checks(then: RunArtifacts, now: RunArtifacts) -> list[CheckResult]:
    """Run every check, in the order of the stages, even after one that failed."""
    if then.nodes:
        now = msgspec.structs.replace(now, nodes=tuple(_recorded(node, then.nodes) for node in now.nodes))
    results = {each.name: _numbers(each, then, now) if each.numbers else _names(each, then, now) for each in CHECKS}
    found = [*results.values(), _codes(then, now)]
    return sorted(found, key=lambda each: STAGES.index(each.stage))


def _recorded(node: HeadScores, then: Sequence[HeadScores]) -> HeadScores:
    """Return the scores without those that the version of the recorded run did not compute."""
    other = {name: value for name, value in node.other.items() if any(name in each.other for each in then)}
    lengths = node.contrast_length if any(each.contrast_length is not None for each in then) else None
    return msgspec.structs.replace(node, contrast_length=lengths, other=other)


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
        if one == other and place < shared:
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


def _node_words(node: NodeId) -> str:
    """Name a node in a sentence: head 9.6, m8, emb."""
    return f"head {node}" if node.is_head else str(node)


def _format_place(then: RunArtifacts, place: int) -> str:
    return _node_words(then.nodes[place].id) if place < len(then.nodes) else f"place {place}"


def _format_heads(nodes: Sequence[HeadScores], place: int, names: Sequence[str]) -> str:
    head, name = divmod(place, len(names))
    return f"{names[name]} of {_node_words(nodes[head].id)}" if head < len(nodes) else names[name]


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


def _measured(side: RunArtifacts) -> Sequence[object]:
    """Return which heads were measured by which method, and how."""
    return [
        (cause.method, effect.layer, effect.head, cause.metric, cause.replacement, cause.position, cause.n_examples)
        for cause in side.causes
        for effect in cause.effects
    ]


def _format_measured(side: RunArtifacts, place: int) -> str:
    names = [f"{_node_words(effect.id)} by {cause.method}" for cause in side.causes for effect in cause.effects]
    return names[place] if place < len(names) else "one more"


def _effects(side: RunArtifacts) -> Sequence[object]:
    """Return each measurement's base, then each head's effect and error as shares of it."""
    found: list[object] = []
    for cause in side.causes:
        found.append(cause.base)
        for effect in cause.effects:
            found += [math.copysign(effect_share(effect.effect, cause), effect.effect)]
            found += [None if effect.error is None else effect_share(effect.error, cause)]
    return found


def _format_effect(side: RunArtifacts, place: int) -> str:
    for cause in side.causes:
        if place == 0:
            return f"the base of {cause.method}"
        if place <= 2 * len(cause.effects):
            effect = cause.effects[(place - 1) // 2]
            return f"{'effect' if place % 2 else 'error'} of {_node_words(effect.id)} by {cause.method}"
        place -= 1 + 2 * len(cause.effects)
    return "a measurement that is missing"


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
    StageCheck(stage="cause", name=MEASURED_HEADS, read=_measured, where=_format_measured),
    StageCheck(stage="cause", name="effects", read=_effects, where=_format_effect, numbers="absolute"),
)
"""All except the codes, which come between the SAE and the scores and are too many for a list."""
