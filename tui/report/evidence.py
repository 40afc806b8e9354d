"""The evidence card in words."""

from engine.analysis.card import STABLE_FROM
from engine.measures import DEFAULT_MEASURE, find_measure
from engine.nodes import NodeId
from engine.results import Card
from tui.output.card import format_advice
from tui.output.grid import format_short
from tui.report.blocks import Block, Cell, Column, Items, Paragraph, Section, Table, numbers, row, sentence, strong
from tui.report.material import Material, listed, number, percent, small

MOST_NODES = 60
"""Rows of the circuit's table."""


def evidence(material: Material) -> Section:
    """Return verdict, reasons and the numbers behind them, each in a sentence."""
    card = material.facts.picture.card
    title, name = "How far to believe it", material.id("evidence")
    if card is None:
        return Section(id=name, title=title, blocks=(Paragraph("The run ended before it could be judged."),))
    noun = material.noun
    blocks: list[Block] = [Paragraph((strong("Verdict: "), strong(card.verdict), "."))]
    if card.reasons:
        blocks += [Paragraph("Reasons:"), Items(tuple(map(sentence, card.reasons)))]
    if card.advice:
        blocks += [Paragraph("What would help:"), Items(tuple(sentence(format_advice(each)) for each in card.advice))]
    blocks += [Paragraph(text) for text in (_chance(card, noun), _stability(card), *_other(card, noun)) if text]
    blocks += [_nodes(card, noun), *_baselines(card)]
    return Section(id=name, title=title, blocks=tuple(blocks))


def _chance(card: Card, noun: str) -> str:
    if card.expected_false is None:
        return "Whether the ranking could be chance was not tested."
    n = len(card.above_chance)
    named = f": {listed(card.above_chance)}" if n else ""
    how = (
        f"separating the sides as consistently ({card.chance.statistic}) as under {card.chance.labellings:,} ways to "
        "shuffle which prompts are positive"
        if card.chance is not None
        else "having as many unique codes as with shuffled labels"
    )
    return (
        f"Chance. {n} {noun}{'' if n == 1 else 's'} {'is' if n == 1 else 'are'} significant (q below .05){named}; "
        f"{format_short(card.expected_false)} of them would be false on average. Tested against {how}."
    )


def _stability(card: Card) -> str:
    found = card.stability
    seeds = "" if found.seeds is None else f" Between two training seeds it is {found.seeds:.2f}."
    return (
        f"Stability. If the examples are drawn again with replacement ({found.n_bootstraps} times), the circuit "
        f"overlaps "
        f"with this one by {found.bootstraps:.2f} on average (Jaccard index: nodes in both over nodes in either; "
        f"{format_short(STABLE_FROM)} and more counts as stable).{seeds}"
    )


def _other(card: Card, noun: str) -> list[str]:
    texts = []
    if card.tied:
        texts.append(
            f"Ties. {card.tied} {noun}s have the same score as the last one in the circuit, some of them outside."
        )
    if card.template is not None:
        texts.append(
            f"Variety. {card.template.prompts} of {card.template.of} positives follow one template: "
            f"“{card.template.text}”."
        )
    if card.movers is not None:
        texts.append(
            f"Cause. {percent(card.movers)} of the circuit's {noun}s move the answer by at least 5% when replaced."
        )
    if card.dormant is not None:
        texts.append(
            f"Backups. Without effect alone, but with one once {card.dormant_after or 'the circuit'} is replaced: "
            f"{listed(card.dormant)}."
        )
    return texts


def _nodes(card: Card, noun: str) -> Table:
    caption = (
        "The circuit. Seeds and draws: share of training seeds, and of draws of the examples, in which it is in "
        "the circuit. "
        "Effect: share of the answer that it moves, if measured."
    )
    rows = tuple(
        row(
            Cell(str(NodeId(each.layer, each.head))),
            small(each.q_value),
            percent(each.seeds),
            percent(each.bootstraps),
            percent(each.effect),
        )
        for each in card.heads[:MOST_NODES]
    )
    return Table(caption, (Column(noun.capitalize()), *numbers("q", "Seeds", "Draws", "Effect")), rows)


def _baselines(card: Card) -> list[Block]:
    """Return how simpler rankings do."""
    if not card.baselines:
        return []
    truth = card.truth
    auc = (
        f" AUC: how well the ranking finds {truth}: .5 is chance, 1 perfect." if truth is not None else
        " There is nothing known to judge them by: no effects were measured."
    )  # fmt: skip
    caption = (
        "The same ranking by simpler means, without codes. Shared: how much of its best ones and the circuit is "
        "the same "
        f"(Jaccard index).{auc}"
    )
    rows = [row(f"codes ({DEFAULT_MEASURE.title})", percent(1.0), number(card.codes_auc))]
    rows += [
        row(find_measure(each.measure).title.removesuffix(" (no SAE)"), percent(each.shared), number(each.auc))
        for each in card.baselines
    ]
    return [Table(caption, (Column("Ranking"), *numbers("Shared", "AUC")), tuple(rows))]
