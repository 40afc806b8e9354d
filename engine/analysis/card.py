"""The card every run ends with: evidence for the result, doubts about it, and a verdict."""

import re
from collections.abc import Sequence

import msgspec

from engine.analysis.baseline_comparison import BASELINES, RANDOM, Truth, compare_baselines, strongest_baseline
from engine.analysis.effects import FIELD, dormant_heads, effect_share, primary
from engine.analysis.ground_truth import covered, reference_for
from engine.analysis.ranking import (
    auc,
    can_enter,
    default_circuit_size,
    members,
    ranked,
    strengths,
    ties_at_cut,
)
from engine.events import CircuitChecked, EffectsMeasured
from engine.measures import DEFAULT_MEASURE, Measure
from engine.nodes import NodeId, only_heads
from engine.results import (
    Card,
    CardBaseline,
    CardNode,
    CardVerdict,
    CircuitStability,
    Difference,
    ExampleCount,
    NodeScores,
    Reference,
    Significance,
    Template,
)
from engine.sample_size import LEVEL, labellings_needed, pairs_needed, shuffles_for

MARGIN = 0.01
"""Difference in AUC by which a baseline must be better, with confidence, before it decides the verdict."""
STABLE_FROM = 0.4
"""Jaccard index of the circuit and its bootstrap circuits from which it counts as stable (the only such threshold).

A circuit of a tenth of the heads is often cut from among equals, so .8, as the literature asks, would refuse circuits
that hold only true heads (docs/lab/2026-11-29-verdicts.md).
"""
CROWD = 0.5
"""Share of significant heads beyond which the sides differ in more than the task."""
FEW = 8
"""Distinct examples of a side below which there are too few."""
_BROKEN = 0.25
_ROUNDING = 1e-4
"""Difference within pairs, as a share of a head's output, that is rounding error: both sides are the same prompts."""
_SHARED = 0.8
"""Jaccard index from which two circuits count as the same."""
_AREA = 0.75
"""AUC from which a ranking counts as informative."""


def write_card(
    nodes: Sequence[NodeScores],
    circuit: Sequence[tuple[int, int]],
    stability: CircuitStability,
    examples: ExampleCount,
    *,
    chance: Significance | None = None,
    reference: Reference | None = None,
    causes: Sequence[EffectsMeasured] = (),
    checks: Sequence[CircuitChecked] = (),
    diverged: bool = False,
    template: Template | None = None,
) -> Card:
    """Return the card of a run's final scores, with the effects measured so far.

    `chance`: what the p-values in `nodes` test; None also for runs that did not record it. `diverged`: training
    diverged. `template`: the template most positives share.
    """
    by_head = {node.id: node for node in nodes}
    steady = dict(zip(by_head, stability.heads, strict=False))
    inside = [by_head[NodeId(*place)] for place in circuit]
    shares = dict(zip(by_head, _shares(nodes, causes), strict=True))
    above = [node for node in ranked(nodes) if node.q_value is not None and node.q_value < LEVEL and can_enter(node)]
    measured = any(node.p_value is not None for node in nodes)
    truth, words = _true_heads(list(shares.values()), reference, causes)
    areas = {measure.id: _auc(nodes, measure, truth) for measure in (DEFAULT_MEASURE, *BASELINES)}
    codes_auc = areas[DEFAULT_MEASURE.id]
    baselines = compare_baselines(nodes, inside, areas)
    rival = strongest_baseline(nodes, codes_auc, baselines, truth, stability.resampled)
    effects = [effect for node in inside if (effect := _effect(shares[node.id])) is not None]
    # Effects of less than half of the circuit's heads do not describe the circuit.
    known = 2 * len(effects) >= len(inside) and bool(effects)
    movers = sum(effect >= LEVEL for effect in effects) / len(effects) if known else None
    measured_of = "heads" if len(effects) == len(inside) else f"{len(effects)} measured heads"
    moving = "" if movers is None else f"{movers:.0%} of its {measured_of} move the answer by a twentieth"
    against, advice = _doubts(
        inside,
        above,
        stability,
        examples,
        finer=_advice_for_labellings(nodes, chance, examples),
        measured=measured,
        movers=movers,
        moving=moving,
        codes_auc=codes_auc,
        checks=checks,
        n_heads=len(members(nodes)),
        n_speaking=sum(can_enter(node) for node in nodes),
    )
    dormant = dormant_heads(causes)
    verdict: CardVerdict
    if diverged or not inside:
        verdict = "nothing was coded"
        reasons, against, advice = _reasons_not_coded(nodes, diverged=diverged)
    elif measured and not above and not _confirmed(movers, codes_auc):
        verdict = "no better than chance"
        reasons = [_none_significant(nodes, chance)]
        advice = [_advice_for_labellings(nodes, chance, examples) or "use more examples", *advice]
    elif rival is not None and rival.low > MARGIN:
        verdict, reasons = "no better than a plain difference", [_beaten_by(rival, baselines, codes_auc, words)]
        patched = any(cause.method != "attribution" and cause.final for cause in causes)
        other = "rank the heads by effect" if patched else "measure effects (--cause combined)"
        repeated = any(each.startswith(other) for each in advice)
        advice = ["rank by that baseline" if repeated else f"rank by that baseline, or {other}", *advice]
    elif against:
        verdict, reasons = "weak", []
    else:
        verdict, reasons = "believable", []
    spoken = (
        []
        if verdict == "nothing was coded"
        else _support(inside, above, stability, codes_auc, words, movers, moving=moving)
    )
    remarks = _remarks(baselines, rival, codes_auc, verdict, labels_tell=bool(above) or not measured, truth=words)
    wording = str if only_heads(by_head) else _of_nodes
    return Card(
        verdict=verdict,
        reasons=(
            *(wording(each) for each in (*reasons, *against, *spoken, *remarks)),
            *_template_remarks(template, verdict),
        ),
        advice=tuple(dict.fromkeys(wording(each) for each in advice)),
        above_chance=tuple((node.layer, node.head) for node in above),
        expected_false=round(max((node.q_value or 0.0) for node in above) * len(above), 3)
        if above
        else (0.0 if measured else None),
        heads=tuple(
            CardNode(
                layer=node.layer,
                head=node.head,
                q_value=node.q_value,
                seeds=node.stability,
                bootstraps=steady[node.id],
                effect=_effect(shares[node.id] if _effect(shares[node.id]) is not None else node),
            )
            for node in inside
        ),
        stability=stability,
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


def _reasons_not_coded(nodes: Sequence[NodeScores], *, diverged: bool) -> tuple[list[str], list[str], list[str]]:
    """Return why nothing was coded, no doubts, and advice."""
    if diverged:
        why = "training diverged: the error ended more than ten times above its first value, or is not finite"
        return [why], [], ["lower the learning rate (--learning-rate 0.001)"]
    if all(
        node.baseline_paired_difference is not None and node.baseline_paired_difference < _ROUNDING for node in nodes
    ):
        why = "nothing differs between the two sides: no head's output changes"
        return [why], [], ["give the negatives another prompt than the positives"]
    silent = sum(node.silent >= 1.0 for node in nodes)
    if silent == len(nodes):
        return ["every head is silent on every example: lambda is too large"], [], ["lower lambda"]
    why = f"no head has different codes on the two sides ({silent} of {len(nodes)} are silent throughout)"
    change = "change more of the negatives"
    return [why], [], [change if 2 * silent < len(nodes) else f"lower lambda, or {change}"]


def _none_significant(nodes: Sequence[NodeScores], chance: Significance | None) -> str:
    """State that no head is significant and, where none could be, why."""
    if chance is not None and chance.labellings * LEVEL <= 1:
        ways = "one way" if chance.labellings == 1 else f"{chance.labellings} ways"
        return f"the few examples can be labelled in only {ways}: no head could be significant"
    return f"no head is significant: none of {len(nodes)} has q < .05"


def _advice_for_labellings(
    nodes: Sequence[NodeScores], chance: Significance | None, examples: ExampleCount
) -> str | None:
    """Return advice for runs with too few labellings for a single head to be significant; None for other runs."""
    needed = labellings_needed(len(nodes))
    if chance is None or chance.labellings >= needed:
        return None
    if examples.clusters is not None and examples.clusters < pairs_needed(len(nodes)) <= examples.positive:
        return (
            f"write {pairs_needed(len(nodes))} or more pairs that share no prompts: "
            f"the present ones share prompts and count as {examples.clusters}"
        )
    ways = "one labelling" if chance.labellings == 1 else f"{chance.labellings} labellings"
    shuffles = shuffles_for(None, len(nodes))
    return f"use {pairs_needed(len(nodes))} pairs or more and --shuffles {shuffles}: {ways} cannot single out one head"


def _true_heads(
    nodes: Sequence[NodeScores], reference: Reference | None, causes: Sequence[EffectsMeasured]
) -> tuple[Truth | None, str | None]:
    """Return which heads move the answer, and by what source: effects of this run, else the known circuit."""
    truth = reference_for(causes, len(nodes), reference)
    if truth is not None:
        heads, judged = set(map(tuple, truth.heads)), {node.id for node in covered(truth, nodes)}
        return [tuple(node.id) in heads if node.id in judged else None for node in nodes], truth.name
    return None, None


def _auc(nodes: Sequence[NodeScores], measure: Measure, truth: Truth | None) -> float | None:
    if truth is None:
        return None
    judged = [(value, true) for value, true in zip(strengths(nodes, measure), truth, strict=True) if true is not None]
    found = auc([value for value, _ in judged], [true for _, true in judged])
    return None if found is None else round(found, 4)


def _beaten_by(rival: Difference, baselines: Sequence[CardBaseline], codes_auc: float | None, truth: str | None) -> str:
    """State that a baseline finds the heads better, with both AUCs, the ground truth and the interval."""
    area = next(each.auc for each in baselines if each.measure == rival.measure)
    return (
        f"{_title(rival.measure)} finds the heads better without an SAE: AUC {area:.2f}, codes {codes_auc:.2f} "
        f"against {truth} (difference {rival.low:.2f} to {rival.high:.2f})"
    )


def _remarks(
    baselines: Sequence[CardBaseline],
    rival: Difference | None,
    codes_auc: float | None,
    verdict: CardVerdict,
    *,
    labels_tell: bool,
    truth: str | None,
) -> list[str]:
    """Return remarks that are neither evidence nor doubts."""
    remarks: list[str] = []
    if verdict == "nothing was coded":
        return remarks
    if not labels_tell and verdict != "no better than chance":
        remarks.append("no head is significant: heads differ between the sides, but in another way in each pair")
    if rival is not None and rival.low <= 0:
        remarks.append(
            f"{_title(rival.measure)} may find the heads as well without an SAE: against {truth} its AUC is "
            f"{rival.mean:.2f} higher (interval {rival.low:.2f} to {rival.high:.2f})"
        )
    same = [each for each in baselines if each.shared >= _SHARED and each.measure != RANDOM]
    if codes_auc is None and same:
        remarks.append(f"{_title(same[0].measure)} names the same heads without an SAE")
    return remarks


def _template_remarks(template: Template | None, verdict: CardVerdict) -> list[str]:
    if template is None or verdict == "nothing was coded":
        return []
    return [
        f"{template.prompts} of {template.of} positives are one template with one word changed: the result is "
        f"evidence about “{_shortened(template.text)}” only"
    ]


def _of_nodes(text: str) -> str:
    """Return a reason or advice that speaks of heads, for a run with MLPs, whose circuit can hold both."""
    return re.sub(r"\b(no )?head(s|'s)?\b", lambda found: f"{found[1] or ''}node{found[2] or ''}", text)


def _title(measure: str) -> str:
    return next(each.title for each in BASELINES if each.id == measure).removesuffix(" (no SAE)")


def _shortened(text: str) -> str:
    """Return at most 60 characters around the open slot."""
    if len(text) <= 60:
        return text
    at = max(0, min(text.index("___") - 28, len(text) - 58))
    return f"{'…' if at else ''}{text[at : at + 58]}{'…' if at + 58 < len(text) else ''}"


def _significant(n_significant: int, n_heads: int) -> str:
    return f"{n_significant} of {n_heads} circuit heads {'is' if n_significant == 1 else 'are'} significant (q < .05)"


def _doubts(
    inside: Sequence[NodeScores],
    above: Sequence[NodeScores],
    stability: CircuitStability,
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
    """Return the doubts about the result, and advice."""
    against: list[str] = []
    advice: list[str] = []

    def doubt(why: str, change: str) -> None:
        against.append(why)
        advice.append(change)

    total = examples.positive + examples.negative
    if not measured:
        doubt("significance was not tested", "test it (--shuffles 1000)")
    carried = {node.id for node in above} & {node.id for node in inside}
    # Where effects or a known circuit confirm its heads, labels that cannot do so are no doubt: heads may differ
    # between the sides in every pair, each time in another way.
    found = _confirmed(movers, codes_auc)
    if measured and above and not found and 2 * len(carried) < len(inside):
        doubt(
            _significant(len(carried), len(inside)),
            finer or "take fewer heads into the circuit",
        )
    positive, negative = _distinct(examples)
    if len(above) > CROWD * n_heads and not found:
        doubt(
            f"{len(above)} of {n_heads} heads tell the sides apart: the sides differ in more than the task",
            "change less between the sides, or measure effects (--cause combined)",
        )
    if n_speaking < default_circuit_size(n_heads):
        doubt(f"only {n_speaking} of {n_heads} heads are active: lambda is large", "lower lambda")
    if 2 * len(inside) > n_heads:
        doubt(
            f"{len(inside)} of {n_heads} heads are in the circuit: a circuit of most heads is always stable",
            "take fewer heads into the circuit",
        )
    if min(positive, negative) < FEW:
        copies = "distinct " if positive + negative < total else ""
        doubt(f"{positive} + {negative} {copies}examples are few", "write at least 10 of each side")
    if examples.broken > _BROKEN * total:
        doubt(
            f"{examples.broken} of {total} examples are broken",
            "fix them or leave them out: negatives decide accuracy",
        )
    if stability.bootstraps < STABLE_FROM:
        doubt(f"the circuit changes under bootstrap ({_jaccard(stability.bootstraps)})", "use more examples")
    if movers is not None and movers < 0.5:
        doubt(moving, "rank the heads by effect, or try another position")
    for check in checks:
        if check.name == "codes" and check.random_faithfulness:
            beaten = sum(value < check.faithfulness for value in check.random_faithfulness)
            if beaten < 0.95 * len(check.random_faithfulness):
                doubt(
                    f"it is more faithful than only {beaten} of {len(check.random_faithfulness)} random circuits",
                    "take more heads into it",
                )
    return against, advice


def _support(
    inside: Sequence[NodeScores],
    above: Sequence[NodeScores],
    stability: CircuitStability,
    codes_auc: float | None,
    truth: str | None,
    movers: float | None,
    *,
    moving: str,
) -> list[str]:
    """Return the evidence for the result; with the number of significant heads, where that is no doubt."""
    remarks = []
    carried = {node.id for node in above} & {node.id for node in inside}
    if above and (2 * len(carried) >= len(inside) or _confirmed(movers, codes_auc)):
        remarks.append(_significant(len(carried), len(inside)))
    if stability.bootstraps >= STABLE_FROM:
        remarks.append(f"the circuit holds under bootstrap ({_jaccard(stability.bootstraps)})")
    if movers is not None and movers >= 0.5:
        remarks.append(moving)
    if codes_auc is not None and truth is not None:
        remarks.append(f"AUC {codes_auc:.2f} against {truth}")
    return remarks


def _distinct(examples: ExampleCount) -> tuple[int, int]:
    """Count distinct prompts of each side; runs that did not count them had only distinct ones."""
    positive, negative = examples.distinct_positive, examples.distinct_negative
    return examples.positive if positive is None else positive, examples.negative if negative is None else negative


def _jaccard(value: float) -> str:
    return f"Jaccard {value:.2f}; {STABLE_FROM:g} is the bar".replace(" 0.", " .")


def _effect(node: NodeScores) -> float | None:
    """Return the best estimate of a head's effect. `combined` comes last: it estimates the effect on other prompts."""
    return next((each for each in (node.exact_effect, node.attribution, node.combined) if each is not None), None)


def _shares(nodes: Sequence[NodeScores], causes: Sequence[EffectsMeasured]) -> list[NodeScores]:
    """Return the scores with only those effects that are shares of an answer, means over examples.

    KL divergences are in nats and are removed. Attribution ranks heads by the mean of sizes over pairs, which is no
    effect on the answer as a whole; here it is the size of the mean effect.
    """
    there = primary(causes)
    nats: dict[str, float | None] = {FIELD[method]: None for method, cause in there.items() if cause.metric == "kl"}
    promised = there.get("attribution")
    means = {} if promised is None else {NodeId(one.layer, one.head): one for one in promised.effects}
    found = []
    for node in nodes:
        own: dict[str, float | None] = {}
        if promised is not None and node.id in means:
            own = {"attribution": effect_share(means[node.id].effect, promised)}
        found.append(msgspec.structs.replace(node, **{**own, **nats}))
    return found


def _confirmed(movers: float | None, codes_auc: float | None) -> bool:
    """Return True if effects or a known circuit, evidence other than the labels, confirm the heads."""
    return (movers is not None and movers >= 0.5) or (codes_auc is not None and codes_auc >= _AREA)
