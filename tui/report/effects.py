"""Effects on the answer: every measurement as a table, and the circuit as a whole."""

from engine.analysis.effects import METRIC_WORDS, effect_share, rank_effects
from engine.events import CircuitChecked, EffectsMeasured
from engine.measures import find_measure
from engine.nodes import format_count
from tui.output.effects import circuit_title, format_circuit, format_replacement, format_signed
from tui.output.reported_effects import one_effect_per_head
from tui.report.blocks import Block, Cell, Code, Column, Paragraph, Section, Table, numbers, row
from tui.report.material import Material, listed, number, percent

MOST_EFFECTS = 15
_METRICS = {
    "logit_difference": "how much higher the model's score (logit) of the expected token is than that of the foil",
    "log_probability": "the logarithm of the probability of the expected token",
    "probability_mass": "the probability of all expected tokens less that of all foils",
    "kl": "how far the model's probabilities move from what they were, in nats",
}
_METHODS = {
    "attribution": "estimated from gradients, without replacing anything",
    "exact": "measured by replacing one at a time",
    "combined": "measured by replacing one at a time where the table says exact, else estimated from gradients",
    "backup": "measured one at a time, with a circuit replaced as well",
}
_TITLES = {"attribution": "Attribution", "exact": "Exact patching", "combined": "Combined", "backup": "Backups"}


def effects(material: Material) -> Section:
    """Return all that was measured of the answer."""
    picture = one_effect_per_head(material.facts.picture)
    blocks: list[Block] = []
    if not picture.causes and not picture.checks:
        blocks += [
            Paragraph("None were measured. They would show which of the nodes cause the answer:"),
            Code(f"headcode cause {material.facts.name} --cause combined"),
        ]
    for cause in picture.causes:
        blocks += _measured(material, cause)
    for check in picture.checks:
        blocks += _checked(check)
    direct = picture.finished.direct if picture.finished is not None else None
    if direct is not None:
        share = percent(direct.nodes / direct.answer) if direct.answer else "–"
        blocks.append(
            Paragraph(
                f"Directly, without the layers between, what all {material.noun}s write adds {direct.nodes:.2f} of the "
                f"answer's {direct.answer:.2f} logits ({share}; mean over {direct.n_examples} positives). The rest is "
                f"biases{'' if material.noun == 'node' else ' and what the run did not look at'}."
            )
        )
    return Section(id=material.id("effects"), title="Effects on the answer", blocks=tuple(blocks))


def _measured(material: Material, cause: EffectsMeasured) -> list[Block]:
    """Return one measurement."""
    noun, kl, backup = material.noun, cause.metric == "kl", cause.method == "backup"
    exact = find_measure("exact_effect").id
    measured = {node.id: getattr(node, exact) is not None for node in material.facts.picture.nodes}
    sides = "pairs of prompts" if cause.replacement == "pair" else "positives"
    base = "" if kl else f" With nothing replaced it is {cause.base:.3g}, the mean over {cause.n_examples} {sides}."
    gone = f" Also replaced: {format_circuit(cause)}." if backup else ""
    where = "" if cause.position == "mean" else f" at the position {cause.position}"
    text = (
        f"{_TITLES[cause.method]}: {METRIC_WORDS[cause.metric]}, {_METHODS[cause.method]}. The "
        f"{METRIC_WORDS[cause.metric]} "
        f"is {_METRICS[cause.metric]}.{base} Each {noun}'s output was replaced{where} "
        f"{format_replacement(cause)}.{gone}"
        f"{'' if cause.final else ' The measurement was stopped before all were done.'}"
    )
    ranked = rank_effects(cause)[:MOST_EFFECTS]
    caption = (
        f"The strongest {len(ranked)} of {format_count(each.id for each in cause.effects)}. Change: with it "
        f"replaced, minus "
        f"before; below 0 it helps the answer. ±: standard error of the mean. Share: size of the change relative "
        f"to the "
        f"answer."
    )
    columns = (Column(noun.capitalize()), *numbers("Change", "±"), *(() if kl else numbers("Share")))
    columns += (*(numbers("Alone") if backup else ()), Column("How"), Column("Circuit"))
    rows = tuple(
        (
            Cell(str(each.id)),
            Cell(format_signed(each.effect)),
            Cell(number(each.error)),
            *(() if kl else (Cell(percent(effect_share(each.effect, cause))),)),
            *((Cell(format_signed(each.alone or 0.0)),) if backup else ()),
            Cell("estimated" if cause.method == "attribution" or not (measured.get(each.id) or backup) else "exact"),
            Cell("yes" if each.id in material.circuit else "no"),
        )
        for each in ranked
    )
    return [Paragraph(text), Table(caption, columns, rows)]


def _checked(check: CircuitChecked) -> list[Block]:
    """Return how a circuit does alone, and the model without it."""
    chance = check.random_faithfulness
    beaten = sum(value < check.faithfulness for value in chance)
    middle = f" (their median keeps {percent(chance[len(chance) // 2])})" if chance else ""
    text = (
        f"The {circuit_title(check)} as a whole ({listed(check.heads)}): with everything else replaced "
        f"{format_replacement(check)}, it keeps {percent(check.faithfulness)} of the answer (100% is all of it); "
        f"with the circuit replaced instead, {percent(1 - check.completeness)} of the answer is left. "
        f"It keeps more than {beaten} of {len(chance)} random circuits of the same layers{middle}."
    )
    blocks: list[Block] = [Paragraph(text)]
    if check.curve:
        caption = (
            "The best ones of the same ranking, by number: share of the answer that they keep alone, and that is lost "
            "without them."
        )
        rows = tuple(
            row(str(each.size), percent(each.faithfulness), percent(each.completeness)) for each in check.curve
        )
        blocks.append(Table(caption, numbers("Best", "Kept alone", "Lost without"), rows))
    return blocks
