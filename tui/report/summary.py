"""The first sections: what was asked and found, and the words that the rest uses."""

from engine.analysis.effects import METRIC_WORDS, effect_share, primary, rank_effects
from engine.nodes import format_count
from engine.tasks.registry import TASKS
from tui.report.blocks import Block, Items, Paragraph, Section, Text, Warn, strong
from tui.report.material import Material, describe, listed, percent

_VERDICTS = {
    "believable": "The checks that Headcode makes found no reason to doubt the ranking.",
    "weak": "There are reasons to doubt the ranking; the section on evidence lists them.",
    "no better than a plain difference": "A simple comparison of activations, without codes, does better.",
    "no better than chance": "Shuffled labels give results as good as these.",
    "nothing was coded": "The method found nothing to describe on these prompts.",
}


def summary(material: Material) -> Section:
    """Return question and result in a few sentences."""
    facts = material.facts
    picture, model = facts.picture, facts.picture.model
    assert model is not None, facts.name
    positive = sum(example.positive for example in picture.examples)
    blocks: list[Block] = [Paragraph(_question(material))]
    blocks.append(
        Paragraph(
            (
                "It was put to the model ",
                strong(model.name),
                f" ({model.n_layers} layers of {model.layout.of_a_layer}, {model.layout.members} in all) with "
                f"{positive} prompts on which the model should do the task (positives) and "
                f"{len(picture.examples) - positive} minimally changed ones on which it cannot (negatives).",
            )
        )
    )
    if material.circuit:
        blocks.append(
            Paragraph(
                (
                    strong("Result. "),
                    f"Ranked by {material.measure.title} ({material.measure.meaning}), the best "
                    f"{len(material.circuit)} of {model.layout.members} form the circuit: ",
                    strong(listed(material.circuit)),
                    ".",
                )
            )
        )
    if picture.card is not None:
        found = picture.card.verdict
        blocks.append(Paragraph((strong("Evidence: "), strong(found), f". {_VERDICTS.get(found, '')}")))
    blocks.append(_effect(material))
    if not picture.nodes_final:
        blocks.append(Warn(f"The run ended ({facts.run.state}) before its final scores: all numbers are provisional."))
    return Section(id=material.id("summary"), title="In short", blocks=tuple(blocks))


def _question(material: Material) -> Text:
    task = TASKS.get(material.facts.picture.task or "")
    ask = (
        f"Question. Which {material.noun}s of a language model tell two kinds of prompts apart, and so may do the task?"
    )
    if task is None:
        return (strong(ask), " The prompts were written for this question; they are listed below.")
    return (strong(ask), f" The task is “{task.title}”: {task.description}")


def _effect(material: Material) -> Block:
    """Return the strongest measured effect, or that none was measured."""
    found = primary(material.facts.picture.causes)
    cause = found.get("combined") or found.get("exact") or found.get("attribution")
    members = [] if cause is None else [effect for effect in rank_effects(cause) if effect.id.in_circuits]
    if cause is None or not members:
        return Warn(
            f"No effects on the answer were measured. A ranking by codes says which {material.noun}s behave "
            f"differently, "
            "not which of them cause the answer."
        )
    how = "Estimated from gradients, " if cause.method == "attribution" else ""
    effect = members[0]
    size = f"{abs(effect.effect):.3g} nats of KL divergence"
    if cause.metric != "kl":
        share = percent(abs(effect_share(effect.effect, cause)))
        size = f"{share} of the model's {METRIC_WORDS[cause.metric]}"
    verb = "takes away" if effect.effect < 0 else "adds"
    return Paragraph(
        (
            strong("Effect. "),
            f"{how}{'r' if how else 'R'}eplacing what {describe(effect.id)} writes {verb} {size}: the largest effect "
            f"of the {format_count(each.id for each in members)} looked at.",
        )
    )


def words(noun: str) -> Section:
    """Return the words that a reader needs."""
    items: list[Text] = [
        (strong("Layer, head. "), "A transformer is a stack of layers. Each has attention heads, which move "
        "information "
         "between the tokens of a prompt. 2.6 is head 6 of layer 2; both count from 0."),
        (strong("Positive, negative. "), "A positive prompt has what the task needs; its negative is changed in "
        "as little "
         "as possible so that it has not. Both are shown to the same model."),
        (strong("Code. "), f"A small sparse autoencoder, trained on what the {noun}s write, turns each {noun}'s "
        f"output on "
         "a prompt into one whole number, its code. The number itself means nothing; equal numbers mean similar "
         "output."),
        (strong("Unique code. "), "A code that occurs on positives and on no negative."),
        (strong("Circuit. "), f"The best {noun}s of the ranking, up to a cut. It is a proposal, to be checked by "
        f"effects."),
        (strong("Effect. "), f"How the model's answer changes when a {noun}'s output is replaced, for instance by "
        f"what it "
         "writes on the paired negative (patching). Unlike a ranking, this shows cause."),
    ]  # fmt: skip
    if noun == "node":
        items.insert(
            1,
            (strong("MLP, embedding, node. "), "m8 is the MLP (feed-forward network) of layer 8; emb is the embedding, "
             "which turns tokens into vectors. Heads, MLPs and the embedding are called nodes."),
        )  # fmt: skip
    return Section(id="words", title="Words used here", blocks=(Items(tuple(items)),))


def titles(material: Material) -> str:
    """Return what a run's report is called."""
    facts = material.facts
    task = TASKS.get(facts.picture.task or "")
    what = task.title if task is not None else "own examples"
    model = facts.picture.model.name if facts.picture.model is not None else facts.run.model
    name = f" ({facts.run.name})" if facts.run.name else ""
    return f"{facts.session.name}, run {facts.run.number}{name}: {what} on {model}"
