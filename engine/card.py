"""The card every run ends with: what speaks for the result, what against it, and a verdict in words."""

import math
from collections.abc import Sequence

import msgspec

from engine.cause_fold import FIELD
from engine.events import CauseScored, CircuitChecked
from engine.measures import DEFAULT_MEASURE, MEASURES, Measure
from engine.ranking import auc, ranked, strength
from engine.results import (
    Card,
    CardBaseline,
    CardHead,
    CardVerdict,
    Chance,
    ExampleCount,
    HeadId,
    HeadScores,
    Reference,
    Steadiness,
)

LEVEL = 0.05
"""q below which a head stands above chance, and the share of the answer from which a head moves it."""
STEADY = 0.5
"""Jaccard index under which a circuit is another one next time. The literature asks for .8; published reach .67."""
_FEW = 8
_BROKEN = 0.25
_AREA = 0.75
"""AUC from which a ranking has found something."""
_BASELINES = tuple(measure for measure in MEASURES if measure.baseline)


def write_card(
    nodes: Sequence[HeadScores],
    circuit: Sequence[tuple[int, int]],
    steadiness: Steadiness,
    examples: ExampleCount,
    *,
    chance: Chance | None = None,
    reference: Reference | None = None,
    causes: Sequence[CauseScored] = (),
    checks: Sequence[CircuitChecked] = (),
) -> Card:
    """The card of a run's final scores, with whatever cause is known by now.

    `chance`: what the p-values in `nodes` are about; None also for runs from before that was written down.
    """
    by_head = {node.id: node for node in nodes}
    inside = [by_head[HeadId(*place)] for place in circuit]
    shares = dict(zip(by_head, _shares(nodes, causes), strict=True))
    above = [node for node in ranked(nodes) if node.q_value is not None and node.q_value < LEVEL]
    measured = any(node.p_value is not None for node in nodes)
    truth, words = _truth(list(shares.values()), reference, causes)
    codes_auc = _auc(nodes, DEFAULT_MEASURE, truth)
    baselines = _baselines(nodes, inside, truth)
    effects = [effect for node in inside if (effect := _effect(shares[node.id])) is not None]
    movers = sum(effect >= LEVEL for effect in effects) / len(effects) if effects else None
    against, advice = _doubts(
        inside,
        above,
        steadiness,
        examples,
        nobody=_nobody(nodes, chance) if measured and not above else None,
        finer=_finer(nodes, chance),
        measured=measured,
        movers=movers,
        codes_auc=codes_auc,
        checks=checks,
    )
    beaten = _beaten(codes_auc, baselines)
    verdict: CardVerdict
    if measured and not above and not _finds(movers, codes_auc):
        verdict = "no better than chance"
        reasons = [_nobody(nodes, chance)]
        advice = [_finer(nodes, chance) or "use more examples: chance is told apart by numbers", *advice]
    elif beaten:
        verdict, reasons = "no better than a plain difference", [beaten]
        patched = any(cause.method != "attribution" and cause.final for cause in causes)
        other = "look at the heads by effect" if patched else "measure the cause (--cause combined)"
        said = any(each.startswith(other) for each in advice)
        advice = ["rank by that baseline" if said else f"rank by that baseline, or {other}", *advice]
    elif against:
        verdict, reasons = "weak", []
    else:
        verdict, reasons = "believable", []
    return Card(
        verdict=verdict,
        reasons=(*reasons, *against, *_for(inside, above, steadiness, codes_auc, words, movers)),
        advice=tuple(dict.fromkeys(advice)),
        above_chance=tuple((node.layer, node.head) for node in above),
        expected_false=round(max((node.q_value or 0.0) for node in above) * len(above), 3)
        if above
        else (0.0 if measured else None),
        heads=tuple(
            CardHead(
                layer=node.layer,
                head=node.head,
                q_value=node.q_value,
                seeds=node.stability,
                bootstraps=steadiness.heads[nodes.index(node)],
                effect=_effect(shares[node.id] if _effect(shares[node.id]) is not None else node),
            )
            for node in inside
        ),
        steadiness=steadiness,
        truth=words,
        codes_auc=codes_auc,
        baselines=baselines,
        movers=movers,
        chance=chance if measured else None,
    )


def _nobody(nodes: Sequence[HeadScores], chance: Chance | None) -> str:
    """That no head stands above chance; and where none could, that too."""
    if chance is not None and chance.labellings * LEVEL <= 1:
        ways = "one way" if chance.labellings == 1 else f"{chance.labellings} ways"
        return f"so few examples can be labelled in only {ways}: no head could stand above chance"
    return f"no head stands above chance: not one of {len(nodes)} has q below .05"


def _finer(nodes: Sequence[HeadScores], chance: Chance | None) -> str | None:
    """What to change where the labellings are too few for one head alone to stand above chance among all."""
    needed = len(nodes) / LEVEL
    if chance is None or chance.labellings >= needed:
        return None
    pairs = 1 + math.ceil(math.log2(needed))
    shuffles = math.ceil(needed / 1000) * 1000
    said = "one labelling" if chance.labellings == 1 else f"{chance.labellings} labellings"
    why = f"{said} cannot single out one head"
    return f"use {pairs} pairs or more and --shuffles {shuffles}: {why}"


def _truth(
    nodes: Sequence[HeadScores], reference: Reference | None, causes: Sequence[CauseScored]
) -> tuple[list[bool] | None, str | None]:
    """Which heads move the answer, as far as anybody measured: in this run first, else as it is known."""
    methods = {cause.method for cause in causes if cause.final and cause.metric != "kl"}
    known = [_effect(node) if "combined" in methods else node.exact_effect for node in nodes]
    sizes = [size for size in known if size is not None]
    if methods & {"combined", "exact"} and len(sizes) == len(nodes):
        return [size >= LEVEL for size in sizes], "effects measured in this run"
    if reference is not None:
        heads = set(map(tuple, reference.heads))
        return [tuple(node.id) in heads for node in nodes], reference.name
    return None, None


def _auc(nodes: Sequence[HeadScores], measure: Measure, truth: list[bool] | None) -> float | None:
    found = None if truth is None else auc([strength(node, measure) for node in nodes], truth)
    return None if found is None else round(found, 4)


def _baselines(
    nodes: Sequence[HeadScores], inside: Sequence[HeadScores], truth: list[bool] | None
) -> tuple[CardBaseline, ...]:
    circuit = {node.id for node in inside}
    found = []
    for measure in _BASELINES:
        if all(getattr(node, measure.id) is None for node in nodes):
            continue
        best = {node.id for node in ranked(nodes, measure)[: len(inside)]}
        shared = len(best & circuit) / max(1, len(best | circuit))
        found.append(CardBaseline(measure=measure.id, shared=round(shared, 4), auc=_auc(nodes, measure, truth)))
    return tuple(found)


def _beaten(codes: float | None, baselines: Sequence[CardBaseline]) -> str | None:
    """Why the codes add nothing, where they add nothing."""
    titles = {measure.id: measure.title.removesuffix(" (no SAE)") for measure in _BASELINES}
    # What is drawn at random beats nobody, even where it does: it is there to show how far luck goes.
    baselines = [each for each in baselines if each.measure != "baseline_random"]
    rivals = [(each.auc, titles[each.measure]) for each in baselines if each.auc is not None]
    if codes is not None and rivals:
        best, name = max(rivals)
        return (
            f"{name} finds the heads as well without an SAE: AUC {best:.2f}, codes {codes:.2f}"
            if best >= codes
            else None
        )
    same = [each for each in baselines if each.shared >= 0.8]
    return f"{titles[same[0].measure]} names the same heads without an SAE" if same else None


def _doubts(
    inside: Sequence[HeadScores],
    above: Sequence[HeadScores],
    steadiness: Steadiness,
    examples: ExampleCount,
    *,
    nobody: str | None,
    finer: str | None,
    measured: bool,
    movers: float | None,
    codes_auc: float | None,
    checks: Sequence[CircuitChecked],
) -> tuple[list[str], list[str]]:
    """What speaks against believing it, and what to change."""
    against: list[str] = []
    advice: list[str] = []

    def doubt(why: str, change: str) -> None:
        against.append(why)
        advice.append(change)

    total = examples.positive + examples.negative
    if not measured:
        doubt("chance was not measured", "let labels be shuffled (--shuffles 1000)")
    carried = {node.id for node in above} & {node.id for node in inside}
    if nobody is not None and _finds(movers, codes_auc):
        doubt(
            f"{nobody}; its heads differ between the sides, each pair in its own way",
            finer or "use more examples, and trust the effects more than the codes",
        )
    elif measured and above and 2 * len(carried) < len(inside):
        doubt(
            f"{len(carried)} of the circuit's {len(inside)} heads stand above chance",
            finer or "take fewer heads into the circuit",
        )
    if min(examples.positive, examples.negative) < _FEW:
        doubt(
            f"{examples.positive} positives and {examples.negative} negatives are few",
            "write at least 10 of each side",
        )
    if examples.broken > _BROKEN * total:
        doubt(
            f"{examples.broken} of {total} examples are broken",
            "mend them or leave them out: negatives decide accuracy",
        )
    if steadiness.bootstraps < STEADY:
        doubt(
            f"other draws of these examples give other circuits (Jaccard {steadiness.bootstraps:.2f})",
            "use more examples",
        )
    if steadiness.seeds is not None and steadiness.seeds < STEADY:
        doubt(f"other seeds give other circuits (Jaccard {steadiness.seeds:.2f})", "use more seeds (--seeds 8)")
    if movers is not None and movers < 0.5:
        doubt(
            f"{movers:.0%} of its heads move the answer by a twentieth",
            "look at the heads by effect, or at another position",
        )
    for check in checks:
        if check.name == "codes" and check.random_faithfulness:
            beaten = sum(value < check.faithfulness for value in check.random_faithfulness)
            if beaten < 0.95 * len(check.random_faithfulness):
                doubt(
                    f"it is more faithful than only {beaten} of {len(check.random_faithfulness)} random circuits",
                    "take more heads into it",
                )
    return against, advice


def _for(
    inside: Sequence[HeadScores],
    above: Sequence[HeadScores],
    steadiness: Steadiness,
    codes_auc: float | None,
    truth: str | None,
    movers: float | None,
) -> list[str]:
    """What speaks for it."""
    told = []
    carried = {node.id for node in above} & {node.id for node in inside}
    if carried and 2 * len(carried) >= len(inside):
        told.append(f"{len(carried)} of the circuit's {len(inside)} heads stand above chance")
    if steadiness.bootstraps >= STEADY:
        told.append(f"other draws of these examples give much the same circuit (Jaccard {steadiness.bootstraps:.2f})")
    if movers is not None and movers >= 0.5:
        told.append(f"{movers:.0%} of its heads move the answer by a twentieth")
    if codes_auc is not None and truth is not None:
        told.append(f"AUC {codes_auc:.2f} against {truth}")
    return told


def _effect(node: HeadScores) -> float | None:
    """The best that was found of a head's effect. `combined` last: it holds what is to be expected elsewhere."""
    return next((each for each in (node.exact_effect, node.attribution, node.combined) if each is not None), None)


def _shares(nodes: Sequence[HeadScores], causes: Sequence[CauseScored]) -> list[HeadScores]:
    """The scores with those effects alone that are shares of an answer: KL divergences are nats, of none."""
    newest = {cause.method: cause.metric for cause in causes}
    nats: dict[str, float | None] = {FIELD[method]: None for method, metric in newest.items() if metric == "kl"}
    return [msgspec.structs.replace(node, **nats) for node in nodes]


def _finds(movers: float | None, codes_auc: float | None) -> bool:
    """Whether its heads are the right ones by another witness than the labels: effects, or a known circuit."""
    return (movers is not None and movers >= 0.5) or (codes_auc is not None and codes_auc >= _AREA)
