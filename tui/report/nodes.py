"""The strongest nodes: their numbers, their codes, and of heads where they attend on one prompt."""

from collections.abc import Sequence

from engine.measures import Measure, find_measure, value_of
from engine.results import NO_CODE, NodeScores
from sessions.protocol import HeadInspection
from tui.headless.stored_run import NodeFacts, example_codes
from tui.report.blocks import (
    Block,
    Cell,
    Column,
    Paragraph,
    Section,
    Table,
    TokenShares,
    Warn,
    code,
    join,
    numbers,
    row,
    shorten,
)
from tui.report.material import Material, describe, number, percent, scores_of, small
from tui.state.head_details import CodeCarriers, group_by_code

MOST_CODES, MOST_PROMPTS, MOST_TOKENS = 8, 2, 6
_EXCERPT = 160
_LAST_TOKENS = 120
"""TokenShares of a long prompt that are shown, those at its end."""


def nodes(material: Material) -> Section:
    """Return a table of the nodes and a part for each."""
    facts = material.facts
    told = [scores_of(facts, each.node) for each in material.nodes]
    caption = (
        f"The strongest {material.noun}s by {material.measure.title}, then by measured effect. Unique: how many codes "
        "occur on positives and on no negative, the mean over seeds. Share: of the positives, how many have such "
        "a code. "
        "Overlap: codes of both sides that are the same, 0 to 1. q: the expected share of false ones among all "
        "that are "
        "at least as significant; below .05 counts. Stable: share of the seeds in which it is in the circuit. "
        "Effect: share of the answer that it moves when replaced, if measured."
    )
    columns = (
        Column(material.noun.capitalize()),
        *numbers(material.measure.title.capitalize(), "Unique", "Share", "Overlap", "q", "Stable", "Effect"),
        Column("Circuit"),
    )
    rows = tuple(_row(node, material.measure, node.id in material.circuit) for node in told)
    parts = tuple(_node(material, each) for each in material.nodes)
    blocks: list[Block] = [Table(caption, columns, rows)]
    if material.missing.why:
        hint = material.missing.hint
        name = f"headcode report {facts.name} FILE --load-model"
        more = (" To have them, repeat the report with the model loaded: ", code(name), ".") if hint else (".",)
        blocks.append(Warn(("Where heads attend and what their codes write are missing: the model computes them. ",
                            material.missing.why, *more)))  # fmt: skip
    return Section(
        id=material.id("nodes"), title=f"The strongest {material.noun}s", blocks=tuple(blocks), sections=parts
    )


def _row(node: NodeScores, measure: Measure, inside: bool) -> tuple[Cell, ...]:
    return row(
        Cell(str(node.id), marked=inside),
        number(value_of(node, measure)),
        number(node.unique_positive),
        percent(node.unique_share),
        number(node.overlap),
        small(node.q_value),
        percent(node.stability),
        percent(value_of(node, find_measure("combined"))),
        "yes" if inside else "no",
    )


def _node(material: Material, facts: NodeFacts) -> Section:
    name = describe(facts.node)
    blocks: list[Block] = []
    if facts.codes is None:
        blocks.append(Paragraph("The run stored no codes of it."))
    else:
        blocks.append(_codes(material, facts))
    if facts.look is not None:
        blocks += _attention(facts, facts.look)
    elif facts.node.kind == "mlp":
        more = f"headcode neurons {material.facts.name} {facts.node}"
        blocks.append(Paragraph(("An MLP does not attend. Its neurons one by one: ", code(more), "."), quiet=True))
    return Section(id=material.id(f"node-{str(facts.node).replace('.', '-')}"), title=name[:1].upper() + name[1:],
                   blocks=tuple(blocks))  # fmt: skip


def _codes(material: Material, facts: NodeFacts) -> Table:
    """Return the node's codes with how many prompts of both sides have them."""
    examples = material.facts.picture.examples
    codes = facts.codes
    assert codes is not None, facts.node
    positive = [example.positive for example in examples]
    groups = group_by_code(codes.codes, positive)
    writes = {} if facts.look is None else {each.code: each for each in facts.look.writes}

    def told(group: CodeCarriers) -> tuple[Cell, ...]:
        prompts = [shorten(examples[index].prompt, _EXCERPT) for index in group.examples[:MOST_PROMPTS]]
        found = writes.get(group.code)
        kind = "–" if group.code == NO_CODE else ("positives", "negatives", "both")[group.kind]
        cells = (
            Cell("none" if group.code == NO_CODE else str(group.code)),
            Cell(kind),
            Cell(str(group.positive)),
            Cell(str(group.negative)),
            Cell("\n".join(prompts), code=True),
        )
        more = (Cell(_tokens(found.raises) if found is not None else ""),) if writes else ()
        return (*cells, *more)

    shown = groups[:MOST_CODES]
    own = codes.codes[facts.example] if facts.look is not None and facts.example < len(codes.codes) else None
    if all(group.code != own for group in shown):
        shown[-1:] = [group for group in groups if group.code == own] or shown[-1:]
    left = f" {len(groups) - len(shown)} more codes are not listed." if len(groups) > len(shown) else ""
    caption = (
        f"Its codes in seed {codes.seed}, and on how many of the {sum(positive)} positives and "
        f"{len(positive) - sum(positive)} negatives each occurs, with up to {MOST_PROMPTS} of these prompts. "
        f"“None”: it "
        f"writes too little to be coded.{' Raises: tokens that the code makes more likely.' if writes else ''}{left}"
    )
    columns = (Column("Code"), Column("Found on"), *numbers("Positives", "Negatives"), Column("Prompts", wide=True))
    return Table(caption, (*columns, *((Column("Raises", wide=True),) if writes else ())), tuple(map(told, shown)))


def _attention(facts: NodeFacts, look: HeadInspection) -> list[Block]:
    """Return where the head attends from the last token of one prompt."""
    weights = look.attention[-1] if look.attention else ()
    best = sorted(range(len(weights)), key=lambda place: -weights[place])[:MOST_TOKENS]
    best = [place for place in best if weights[place] >= 0.05]
    first = max(0, len(look.tokens) - _LAST_TOKENS)
    listed = join(
        [f"“{look.tokens[place].strip() or look.tokens[place]}” ({percent(weights[place])})" for place in best]
    )
    caption = (
        f"Attention of {facts.node} on example {facts.example + 1}, from its last token, where the model answers: "
        f"mostly "
        f"to {listed}. The numbers below tokens are shares of the attention from .10 up; they add up to 1 over "
        f"all tokens."
        f"{' Only the end of the prompt is shown.' if first or look.skipped else ''} Its code on this prompt is "
        f"{example_codes(facts)}."
    )
    tokens = tuple(zip(look.tokens[first:], weights[first:], strict=False))
    return [TokenShares(caption, tokens)]


def _tokens(found: Sequence[tuple[str, float]]) -> str:
    """Return the first tokens; those that are not words are quoted, as commas stand between them."""
    texts = [shorten(token.strip() or token, 30) for token, _ in found[:5]]
    return ", ".join(text if text.isalnum() else f"“{text}”" for text in texts)
