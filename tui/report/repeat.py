"""Settings, how to repeat the run, and notes."""

from engine.machine.folders import find_folders
from engine.nodes import NodeId
from engine.planning.option_table import OPTIONS
from engine.planning.option_text import format_value
from engine.planning.run_options import value_of
from sessions.rows import NoteRow
from tui.headless.run_command import changed, examples_text, options_of
from tui.report.blocks import (
    Block,
    Cell,
    Code,
    Column,
    Items,
    Paragraph,
    Section,
    Table,
    Text,
    code,
    row,
    shorten,
    strong,
)
from tui.report.material import Material
from tui.terminal.times import moment

MOST_NOTES, MOST_NOTE = 50, 4_000
_MOST_WORDS = 60_000
"""Characters of all notes that are shown."""
_KEY = " Also used by the `v` key."
_MOST_LINES = 40_000
"""Characters of the examples as lines to copy; longer sets are not repeated."""


def settings(material: Material) -> Section:
    """Return every option with its value, default and meaning."""
    facts = material.facts
    options = options_of(facts)
    different = {option.path for option in changed(facts, find_folders().models)}
    rows = tuple(
        (
            Cell(option.title, about=option.meaning.replace(_KEY, "")),
            Cell(shorten(format_value(option, value_of(options, option.path)), 120), marked=option.path in different),
            Cell("yes" if option.path in different else ""),
            Cell(option.default or option.unset),
        )
        for option in OPTIONS
    )
    caption = "Every option of the run. Changed: it is not what a new run has by itself."
    columns = (Column("Setting", wide=True), *map(Column, ("Value", "Changed", "By itself")))
    return Section(id=material.id("settings"), title="Settings", blocks=(Table(caption, columns, rows),))


def repeat(material: Material) -> Section:
    """Return the command, versions and identities."""
    facts, command = material.facts, material.command
    picture, model, versions = facts.picture, facts.picture.model, facts.picture.versions
    assert model is not None, facts.name
    blocks: list[Block] = []
    if command.file:
        text = examples_text(facts)
        where: Text = ("The run has examples of its own. With this store, the first line writes them to a file; ",
                       "the second runs them.")  # fmt: skip
        blocks.append(Paragraph(where))
        blocks.append(Code(command.text))
        if len(text) <= _MOST_LINES:
            blocks += [
                Paragraph(("Without the store: save these lines as ", code(command.file), " and run the second line.")),
                Code(text, "json"),
            ]
    else:
        blocks.append(Paragraph("This command makes the same examples and runs them with the same settings:"))
        blocks.append(Code(command.text))
    again = f"headcode probe --again {facts.run.run_id}"
    verify = f"headcode verify {facts.name}"
    blocks.append(
        Paragraph(
            ("On the machine that has this run: ", code(again), " repeats it, and ", code(verify),
             " repeats it and compares every number. The same model, examples, versions and machine give the same "
             "codes.")
        )
    )  # fmt: skip
    if facts.run.verified is not None:
        blocks.append(Paragraph(f"It was verified before: {facts.run.verified.words}"))
    rows = [
        row("Model", model.name),
        row("Identity of weights and tokenizer (sha256)", Cell(model.identity, code=True)),
    ]
    rows.append(row("Examples (hash of the set)", Cell(picture.content_hash, code=True)))
    if versions is not None:
        rows += [
            row("Headcode", versions.headcode),
            row("Python; torch; TransformerLens", f"{versions.python}; {versions.torch}; {versions.transformer_lens}"),
            row("Device and precision", f"{versions.device}, {versions.dtype}"),
        ]
    rows.append(row("Run", Cell(f"{facts.run.run_id} of session {facts.session.session_id}", code=True)))
    if facts.run.started_us is not None:
        rows.append(row("Started", moment(facts.run.started_us)))
    if picture.finished is not None:
        rows.append(row("Time of the engine", f"{picture.finished.timings.total:.2f} s"))
    blocks.append(Table("What it ran on.", (Column("What"), Column("Value", wide=True)), tuple(rows)))
    blocks += _notices(material)
    return Section(id=material.id("repeat"), title="How to repeat it", blocks=tuple(blocks))


def notes(material: Material) -> Section | None:
    """Return what people wrote about the run; None if nothing."""
    found = material.facts.notes
    if not found:
        return None
    blocks: list[Block] = []
    left = _MOST_WORDS
    for each in found[:MOST_NOTES]:
        text = shorten(each.text, MOST_NOTE)
        left -= len(text)
        if left < 0:
            break
        blocks.append(Paragraph((strong(f"{_place(each)}, {moment(each.written_us)}: "), text)))
    if len(found) > len(blocks):
        blocks.append(Paragraph(f"{len(found) - len(blocks)} more notes are not shown.", quiet=True))
    return Section(id=material.id("notes"), title="Notes", blocks=tuple(blocks))


def _place(note: NoteRow) -> str:
    if note.run_id is None:
        return "On the session"
    if note.layer is None or note.head is None:
        return "On the run"
    return f"On {NodeId(note.layer, note.head)}"


def _notices(material: Material) -> list[Block]:
    found = material.facts.picture.notices[:30]
    if not found:
        return []
    listed = tuple(shorten(f"{each.message} {each.hint}".strip(), 1_000) for each in found)
    return [Paragraph("What Headcode remarked during the run:"), Items(listed)]
