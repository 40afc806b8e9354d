"""The card every run ends with: what speaks for the result, what against it, and a verdict in words."""

from collections.abc import Sequence

import msgspec

from engine.analysis.baseline_comparison import BASELINES, RANDOM, compare_baselines, strongest_rival
from engine.analysis.effects import FIELD, dormant_heads, primary, share
from engine.analysis.ground_truth import truth_of
from engine.analysis.ranking import auc, default_circuit_size, ranked, speaks, strengths, ties_at_cut
from engine.events import CircuitChecked, EffectsMeasured
from engine.measures import DEFAULT_MEASURE, Measure
from engine.results import (
    Card,
    CardBaseline,
    CardHead,
    CardVerdict,
    CircuitStability,
    Difference,
    ExampleCount,
    HeadId,
    HeadScores,
    Reference,
    Significance,
    Template,
)
from engine.sample_size import LEVEL, labellings_needed, pairs_needed, shuffles_for

MARGIN = 0.01
"""Of AUC by which a baseline must surely be better before it decides the verdict: a hundredth decides nothing."""
STEADY = 0.4
"""Jaccard index of the circuit and those of other draws of the examples, from which it counts as the same one: the one
threshold of stability there is. A circuit of a tenth of the heads is often cut from among equals, so that .8, which the
literature asks for, would refuse circuits of true heads alone (docs/lab/2026-11-29-verdicts.md)."""
CROWD = 0.5
"""Share of all heads above chance beyond which the sides differ by more than what the task is about."""
FEW = 8
"""Distinct examples of a side below which there are too few."""
_BROKEN = 0.25
_ROUNDING = 1e-4
"""Difference within pairs, as a share of a head's output, that is rounding: both sides are the same prompts."""
_SHARED = 0.8
"""Jaccard index from which two circuits are called the same."""
_AREA = 0.75
"""AUC from which a ranking has found something."""


def write_card(
    nodes: Sequence[HeadScores],
    circuit: Sequence[tuple[int, int]],
    steadiness: CircuitStability,
    examples: ExampleCount,
    *,
    chance: Significance | None = None,
    reference: Reference | None = None,
    causes: Sequence[EffectsMeasured] = (),
    checks: Sequence[CircuitChecked] = (),
    diverged: bool = False,
    template: Template | None = None,
) -> Card:
    """The card of a run's final scores, with whatever cause is known by now.

    `chance`: what the p-values in `nodes` are about; None also for runs from before that was written down.
    `diverged`: whether training went nowhere. `template`: what most positives are copies of.
    """
    by_head = {node.id: node for node in nodes}
    inside = [by_head[HeadId(*place)] for place in circuit]
    shares = dict(zip(by_head, _shares(nodes, causes), strict=True))
    above = [node for node in ranked(nodes) if node.q_value is not None and node.q_value < LEVEL and speaks(node)]
    measured = any(node.p_value is not None for node in nodes)
    truth, words = _truth(list(shares.values()), reference, causes)
    areas = {measure.id: _auc(nodes, measure, truth) for measure in (DEFAULT_MEASURE, *BASELINES)}
    codes_auc = areas[DEFAULT_MEASURE.id]
    baselines = compare_baselines(nodes, inside, areas)
    rival = strongest_rival(nodes, codes_auc, baselines, truth, steadiness.resampled)
    effects = [effect for node in inside if (effect := _effect(shares[node.id])) is not None]
    # A few of the circuit's heads say nothing of the circuit.
    known = 2 * len(effects) >= len(inside) and bool(effects)
    movers = sum(effect >= LEVEL for effect in effects) / len(effects) if known else None
    measured_of = "heads" if len(effects) == len(inside) else f"{len(effects)} measured heads"
    moving = "" if movers is None else f"{movers:.0%} of its {measured_of} move the answer by a twentieth"
    against, advice = _doubts(
        inside,
        above,
        steadiness,
        examples,
        finer=_finer(nodes, chance, examples),
        measured=measured,
        movers=movers,
        moving=moving,
        codes_auc=codes_auc,
        checks=checks,
        n_heads=len(nodes),
        n_speaking=sum(speaks(node) for node in nodes),
    )
    dormant = dormant_heads(causes)
    verdict: CardVerdict
    if diverged or not inside:
        verdict = "nothing was coded"
        reasons, against, advice = _uncoded(nodes, diverged=diverged)
    elif measured and not above and not _finds(movers, codes_auc):
        verdict = "no better than chance"
        reasons = [_nobody(nodes, chance)]
        advice = [_finer(nodes, chance, examples) or "use more examples: chance is told apart by numbers", *advice]
    elif rival is not None and rival.low > MARGIN:
        verdict, reasons = "no better than a plain difference", [_beaten(rival, baselines, codes_auc, words)]
        patched = any(cause.method != "attribution" and cause.final for cause in causes)
        other = "look at the heads by effect" if patched else "measure the cause (--cause combined)"
        said = any(each.startswith(other) for each in advice)
        advice = ["rank by that baseline" if said else f"rank by that baseline, or {other}", *advice]
    elif against:
        verdict, reasons = "weak", []
    else:
        verdict, reasons = "believable", []
    spoken = (
        []
        if verdict == "nothing was coded"
        else _for(inside, above, steadiness, codes_auc, words, movers, moving=moving)
    )
    return Card(
        verdict=verdict,
        reasons=(
            *reasons,
            *against,
            *spoken,
            *_besides(
                baselines, rival, codes_auc, template, verdict, labels_tell=bool(above) or not measured, truth=words
            ),
        ),
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
        diverged=diverged,
        template=template,
        tied=ties_at_cut(nodes, len(circuit)),
        rival=rival,
        chance=chance if measured else None,
        dormant=None if dormant is None else tuple((layer, head) for layer, head in dormant[1]),
        dormant_after="" if dormant is None else dormant[0].after_name,
    )


def _uncoded(nodes: Sequence[HeadScores], *, diverged: bool) -> tuple[list[str], list[str], list[str]]:
    """Why nothing was coded, nothing further against it, and what to change."""
    if diverged:
        why = "training diverged: the error ended more than ten times above where it began, or is no number"
        return [why], [], ["lower the learning rate (--learning-rate 0.001)"]
    if all(
        node.baseline_paired_difference is not None and node.baseline_paired_difference < _ROUNDING for node in nodes
    ):
        why = "nothing differs between the two sides: no head's output does"
        return [why], [], ["give the negatives another prompt than the positives"]
    silent = sum(node.silent >= 1.0 for node in nodes)
    if silent == len(nodes):
        return ["every head is silent on every example: lambda is too large"], [], ["lower lambda"]
    why = f"no head says different things on the two sides ({silent} of {len(nodes)} are silent throughout)"
    change = "change more of the negatives"
    return [why], [], [change if 2 * silent < len(nodes) else f"lower lambda, or {change}"]


def _nobody(nodes: Sequence[HeadScores], chance: Significance | None) -> str:
    """That no head stands above chance; and where none could, that too."""
    if chance is not None and chance.labellings * LEVEL <= 1:
        ways = "one way" if chance.labellings == 1 else f"{chance.labellings} ways"
        return f"so few examples can be labelled in only {ways}: no head could stand above chance"
    return f"no head stands above chance: not one of {len(nodes)} has q below .05"


def _finer(nodes: Sequence[HeadScores], chance: Significance | None, examples: ExampleCount) -> str | None:
    """What to change where the labellings are too few for one head alone to stand above chance among all."""
    needed = labellings_needed(len(nodes))
    if chance is None or chance.labellings >= needed:
        return None
    if examples.clusters is not None and examples.clusters < pairs_needed(len(nodes)) <= examples.positive:
        return (
            f"write pairs of prompts of their own, {pairs_needed(len(nodes))} or more: "
            f"those there are share prompts and count as {examples.clusters}"
        )
    said = "one labelling" if chance.labellings == 1 else f"{chance.labellings} labellings"
    shuffles = shuffles_for(None, len(nodes))
    return f"use {pairs_needed(len(nodes))} pairs or more and --shuffles {shuffles}: {said} cannot single out one head"


def _truth(
    nodes: Sequence[HeadScores], reference: Reference | None, causes: Sequence[EffectsMeasured]
) -> tuple[list[bool] | None, str | None]:
    """Which heads move the answer, as far as anybody measured: in this run first, else as it is known."""
    truth = truth_of(causes, len(nodes), reference)
    if truth is not None:
        heads = set(map(tuple, truth.heads))
        return [tuple(node.id) in heads for node in nodes], truth.name
    return None, None


def _auc(nodes: Sequence[HeadScores], measure: Measure, truth: list[bool] | None) -> float | None:
    found = None if truth is None else auc(strengths(nodes, measure), truth)
    return None if found is None else round(found, 4)


def _beaten(rival: Difference, baselines: Sequence[CardBaseline], codes_auc: float | None, truth: str | None) -> str:
    """That a baseline finds the heads better, with both AUCs, what they are against, and the interval."""
    area = next(each.auc for each in baselines if each.measure == rival.measure)
    return (
        f"{_title(rival.measure)} finds the heads better without an SAE: AUC {area:.2f}, codes {codes_auc:.2f} "
        f"against {truth} (difference {rival.low:.2f} to {rival.high:.2f})"
    )


def _besides(
    baselines: Sequence[CardBaseline],
    rival: Difference | None,
    codes_auc: float | None,
    template: Template | None,
    verdict: CardVerdict,
    *,
    labels_tell: bool,
    truth: str | None,
) -> list[str]:
    """What speaks neither for nor against it, but a reader should know."""
    told: list[str] = []
    if verdict == "nothing was coded":
        return told
    if not labels_tell and verdict != "no better than chance":
        told.append("no head stands above chance: its heads differ between the sides, each pair in its own way")
    if rival is not None and rival.low <= 0:
        told.append(
            f"{_title(rival.measure)} may find the heads as well without an SAE: against {truth} its AUC is "
            f"{rival.mean:.2f} higher (interval {rival.low:.2f} to {rival.high:.2f})"
        )
    same = [each for each in baselines if each.shared >= _SHARED and each.measure != RANDOM]
    if codes_auc is None and same:
        told.append(f"{_title(same[0].measure)} names the same heads without an SAE")
    if template is not None:
        told.append(
            f"{template.prompts} of {template.of} positives are one template with one word changed: evidence about "
            f"“{_shortened(template.text)}” alone"
        )
    return told


def _title(measure: str) -> str:
    return next(each.title for each in BASELINES if each.id == measure).removesuffix(" (no SAE)")


def _shortened(text: str) -> str:
    """At most 60 characters around the open place."""
    if len(text) <= 60:
        return text
    at = max(0, min(text.index("___") - 28, len(text) - 58))
    return f"{'…' if at else ''}{text[at : at + 58]}{'…' if at + 58 < len(text) else ''}"


def _doubts(
    inside: Sequence[HeadScores],
    above: Sequence[HeadScores],
    steadiness: CircuitStability,
    examples: ExampleCount,
    *,
    finer: str | None,
    measured: bool,
    movers: float | None,
    moving: str,
    codes_auc: float | None,
    checks: Sequence[CircuitChecked],
    n_heads: int,
    n_speaking: int,
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
    # Where effects or a known circuit vouch for its heads, labels that cannot tell them are no doubt: heads may differ
    # between the sides in every pair, each time in another way.
    found = _finds(movers, codes_auc)
    if measured and above and not found and 2 * len(carried) < len(inside):
        doubt(
            f"{len(carried)} of the circuit's {len(inside)} heads stand above chance",
            finer or "take fewer heads into the circuit",
        )
    positive, negative = _distinct(examples)
    if len(above) > CROWD * n_heads and not found:
        doubt(
            f"{len(above)} of {n_heads} heads tell the sides apart: more differs between them than the task",
            "change less between the sides, or measure the cause (--cause combined)",
        )
    if n_speaking < default_circuit_size(n_heads):
        doubt(f"only {n_speaking} of {n_heads} heads say anything: lambda is large", "lower lambda")
    if 2 * len(inside) > n_heads:
        doubt(
            f"{len(inside)} of {n_heads} heads are in the circuit: one of most heads is always the same one",
            "take fewer heads into the circuit",
        )
    if min(positive, negative) < FEW:
        copies = "distinct " if positive + negative < total else ""
        doubt(f"{positive} + {negative} {copies}examples are few", "write at least 10 of each side")
    if examples.broken > _BROKEN * total:
        doubt(
            f"{examples.broken} of {total} examples are broken",
            "mend them or leave them out: negatives decide accuracy",
        )
    if steadiness.bootstraps < STEADY:
        doubt(f"the circuit changes under bootstrap ({_jaccard(steadiness.bootstraps)})", "use more examples")
    if movers is not None and movers < 0.5:
        doubt(moving, "look at the heads by effect, or at another position")
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
    steadiness: CircuitStability,
    codes_auc: float | None,
    truth: str | None,
    movers: float | None,
    *,
    moving: str,
) -> list[str]:
    """What speaks for it; and how many of its heads stand above chance, where that is no doubt."""
    told = []
    carried = {node.id for node in above} & {node.id for node in inside}
    if above and (2 * len(carried) >= len(inside) or _finds(movers, codes_auc)):
        told.append(f"{len(carried)} of the circuit's {len(inside)} heads stand above chance")
    if steadiness.bootstraps >= STEADY:
        told.append(f"the circuit holds under bootstrap ({_jaccard(steadiness.bootstraps)})")
    if movers is not None and movers >= 0.5:
        told.append(moving)
    if codes_auc is not None and truth is not None:
        told.append(f"AUC {codes_auc:.2f} against {truth}")
    return told


def _distinct(examples: ExampleCount) -> tuple[int, int]:
    """Different prompts of each side; runs from before they were counted have none but distinct ones."""
    positive, negative = examples.distinct_positive, examples.distinct_negative
    return examples.positive if positive is None else positive, examples.negative if negative is None else negative


def _jaccard(value: float) -> str:
    return f"Jaccard {value:.2f}; {STEADY:g} is the bar".replace(" 0.", " .")


def _effect(node: HeadScores) -> float | None:
    """The best that was found of a head's effect. `combined` last: it holds what is to be expected elsewhere."""
    return next((each for each in (node.exact_effect, node.attribution, node.combined) if each is not None), None)


def _shares(nodes: Sequence[HeadScores], causes: Sequence[EffectsMeasured]) -> list[HeadScores]:
    """The scores with those effects alone that are shares of an answer (KL divergences are nats, of none), and of the
    mean over examples: attribution ranks by the sizes pair by pair, which are no effect on the answer as a whole."""
    there = primary(causes)
    nats: dict[str, float | None] = {FIELD[method]: None for method, cause in there.items() if cause.metric == "kl"}
    promised = there.get("attribution")
    means = {} if promised is None else {HeadId(one.layer, one.head): one for one in promised.effects}
    found = []
    for node in nodes:
        own: dict[str, float | None] = {}
        if promised is not None and node.id in means:
            own = {"attribution": share(means[node.id].effect, promised)}
        found.append(msgspec.structs.replace(node, **{**own, **nats}))
    return found


def _finds(movers: float | None, codes_auc: float | None) -> bool:
    """Whether its heads are the right ones by another witness than the labels: effects, or a known circuit."""
    return (movers is not None and movers >= 0.5) or (codes_auc is not None and codes_auc >= _AREA)
