"""Steering: what was added or turned off, and what the model said then."""

from engine.steering import format_plan, summarise
from sessions.events import SteeringRecorded
from tui.output.dose_strip import format_summary
from tui.output.effects import format_signed
from tui.output.steer import format_cost, text_label
from tui.report.blocks import Block, Cell, Column, Items, Paragraph, Section, Table, numbers, row, shorten, strong
from tui.report.material import Material

MOST = 12
"""Measurements, the newest."""
_MOST_TOKENS = 5
_MOST_WORDS = 400


def steering(material: Material) -> Section | None:
    """Return every recorded measurement; None if there is none."""
    recorded = material.facts.steerings
    if not recorded:
        return None
    words = (
        "A direction is added to what one node writes, or nodes are turned off, and the model answers again. A large "
        "effect alone says little: any vector that is long enough changes the answer. So the same is done with "
        "random directions of the same length."
    )
    blocks: list[Block] = [Paragraph(words, quiet=True)]
    if len(recorded) > MOST:
        blocks.append(Paragraph(f"The newest {MOST} of {len(recorded)} measurements."))
    parts = tuple(_measured(material, number, each) for number, each in list(enumerate(recorded, start=1))[-MOST:])
    return Section(id=material.id("steering"), title="Steering", blocks=tuple(blocks), sections=parts)


def _measured(material: Material, number: int, each: SteeringRecorded) -> Section:
    plan, result = each.plan, each.result
    blocks: list[Block] = [
        Paragraph(("On the prompt ", strong(shorten(result.prompt, _MOST_WORDS)), ":")),
        Table(
            f"The next token before and after. The distributions differ by {result.kl:.3g} nats (KL divergence).",
            (Column("Token"), *numbers("Before", "After", "Change")),
            tuple(
                row(shorten(one.token, 40), f"{one.before:.3f}", f"{one.after:.3f}", f"{one.after - one.before:+.3f}")
                for one in result.next_tokens[:_MOST_TOKENS]
            ),
        ),
    ]
    summary = summarise(result.points)
    if summary is not None:
        caption = (
            f"Change of the answer ({result.metric.replace('_', ' ')}, {result.base:.3g} as it is; mean over "
            f"{result.prompts} prompts) by strength; 1 is {result.unit:.3g} long in the stream. "
            f"{format_summary(summary, plan.control).capitalize()}."
        )
        rows = tuple(
            row(
                f"{point.strength:+g}",
                Cell(format_signed(point.effect), marked=point.outside),
                f"{format_signed(min(point.random))} to {format_signed(max(point.random))}" if point.random else "–",
                "yes" if point.outside else "",
            )
            for point in result.points
        )
        columns = (*numbers("Strength", "Change"), Column("Random directions"), Column("Beyond all"))
        blocks.append(Table(caption, columns, rows))
    if result.texts:
        items = tuple(
            (strong(text_label(one.strength, plan.kind)), f": {shorten(''.join(one.tokens), _MOST_WORDS)}")
            for one in result.texts
        )
        blocks += [Paragraph("What the model goes on with:"), Items(items)]
    if result.cost is not None:
        blocks.append(Paragraph(f"{format_cost(result.cost).capitalize()}."))
    title = format_plan(plan)
    return Section(id=material.id(f"steering-{number}"), title=title[:1].upper() + title[1:], blocks=tuple(blocks))
