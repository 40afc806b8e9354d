"""The examples with their grades."""

from engine.examples import Example
from engine.results import Grade
from tui.report.blocks import Block, Cell, Column, Paragraph, Section, Table, row, shorten
from tui.report.material import MOST_PROMPT, Material, number

MOST_EXAMPLES = 60
"""Rows of the table; more are counted."""
_VERDICTS = {
    "ok": "ok",
    "weak": "weak",
    "broken": "broken",
    "ungraded": "not graded",
}


def examples(material: Material) -> Section:
    """Return the table of examples: prompt, answers, and what the model says."""
    picture = material.facts.picture
    grades = {grade.index: grade for grade in picture.grades}
    counts = {word: sum(grade.verdict == word for grade in picture.grades) for word in ("ok", "weak", "broken")}
    blocks: list[Block] = []
    if picture.grades:
        blocks.append(
            Paragraph(
                f"Before the run the model was asked what it would say after each prompt. A positive is ok if the "
                f"model "
                f"gives the expected answer, a negative if it does not; weak is in between; broken examples cannot be "
                f"used as they are. Here: {counts['ok']} ok, {counts['weak']} weak, {counts['broken']} broken."
            )
        )
    shown = picture.examples[:MOST_EXAMPLES]
    caption = (
        "+ positive, - negative; the number is the pair. Expected is the token that counts as the answer, foil the one "
        "it is compared with. P is the model's probability for the expected token right after the prompt, rank its "
        "place among all tokens (1 is the model's choice), says what the model finds most probable."
    )
    rows = tuple(_row(index, example, grades.get(index)) for index, example in enumerate(shown))
    columns = (
        *(Column(title, wide=title == "Prompt") for title in ("Pair", "Prompt", "Expected", "Foil", "Grade")),
        *(Column("P", number=True), Column("Rank", number=True), Column("Says")),
    )
    blocks.append(Table(caption, columns, rows))
    left = len(picture.examples) - len(shown)
    if left:
        blocks.append(Paragraph(f"{left:,} more examples are not listed.", quiet=True))
    reasons = [grade for grade in picture.grades if grade.verdict in ("weak", "broken") and grade.reason]
    if reasons:
        told = tuple(
            row(_sign(picture.examples[each.index], each.index), shorten(each.reason, MOST_PROMPT))
            for each in reasons[:20]
        )
        caption = f"Why examples are weak or broken{'' if len(reasons) <= 20 else ', the first 20'}."
        blocks.append(Table(caption, (Column("Example"), Column("Reason", wide=True)), told))
    return Section(id=material.id("examples"), title="Examples", blocks=tuple(blocks))


def _row(index: int, example: Example, grade: Grade | None) -> tuple[Cell, ...]:
    answers = [Cell(shorten(" / ".join(each[:6]), 80), code=True) for each in (example.expected, example.foils)]
    graded = [Cell("–"), Cell("–"), Cell("–"), Cell("–")]
    if grade is not None:
        graded = [
            Cell(_VERDICTS[grade.verdict]),
            Cell(number(grade.probability)),
            Cell("–" if grade.rank is None else str(grade.rank)),
            Cell(shorten(grade.says, 40), code=True),
        ]
    return (Cell(_sign(example, index)), Cell(shorten(example.prompt, MOST_PROMPT), code=True), *answers, *graded)


def _sign(example: Example, index: int) -> str:
    sign = "+" if example.positive else "-"
    return f"{sign}{index + 1 if example.pair is None else example.pair + 1 if example.pair >= 0 else -example.pair}"
