"""What the preview under a list says of the session, run or model at the cursor."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engine.authoring.drafts import text_of
from engine.catalog.local_models import find_model, read_summary
from engine.errors import HeadcodeError
from engine.examples import Example
from engine.machine.memory import format_bytes
from engine.nodes import NodeId
from engine.planning.option_text import format_changes, format_config, format_differences
from sessions.rows import NoteRow, RunRow, SessionDetail
from tui.state.checked_models import CheckedModels
from tui.state.grid_view import GridView
from tui.state.model_choices import ModelChoice
from tui.state.node_words import name_node
from tui.state.run import SessionRun
from tui.state.session_state import SessionNote
from tui.terminal.times import day_or_clock, moment

_RUNS, _EXAMPLES, _NOTES, _BEST = 3, 2, 2, 8


class PreviewLine(NamedTuple):
    """A line of a preview; all text is sanitised where it is drawn."""

    label: str
    text: str
    ink: str = "text"


def preview_session(detail: SessionDetail, examples: Sequence[Example]) -> list[PreviewLine]:
    """Return the session's newest runs, last notes and first examples, the most telling first."""
    row = detail.session
    about = (row.model, row.task or "no task", f"made {moment(row.created_us)}", row.session_id)
    found = [PreviewLine("session", " · ".join(about))]
    for place, run in enumerate(detail.runs[:_RUNS]):
        found.append(PreviewLine("runs" if not place else "", _run_line(run)))
    if len(detail.runs) > _RUNS:
        found.append(PreviewLine("", f"and {len(detail.runs) - _RUNS} more", "dim"))
    if not detail.runs:
        found.append(PreviewLine("runs", "none yet", "dim"))
    for place, note in enumerate(detail.notes[: -_NOTES - 1 : -1]):
        found.append(PreviewLine("notes" if not place else "", f"{_note_place(note)}: {note.text}"))
    one_of_each = [next((each for each in examples if each.positive is side), None) for side in (True, False)]
    shown = [each for each in one_of_each if each is not None][:_EXAMPLES]
    for place, example in enumerate(shown):
        found.append(PreviewLine("examples" if not place else "", text_of(example)))
    if not examples:
        made = f"made by the first run, from task {row.task}" if row.task is not None else "none yet"
        found.append(PreviewLine("examples", made, "dim"))
    return found


def preview_run(
    run: SessionRun,
    before: SessionRun | None,
    view: GridView | None,
    notes: Sequence[SessionNote],
    models: Path,
) -> list[PreviewLine]:
    """Return what is worth knowing of a run before it is shown: what differs, what it found, how sure, its notes."""
    found = []
    if run.name or run.tags:
        found.append(PreviewLine("called", " ".join([run.name, *(f"#{tag}" for tag in run.tags)]).strip(), "strong"))
    options = format_changes(run.options, model=run.model, models=models) or "every option at its default"
    found.append(PreviewLine("settings", f"{run.model}: {format_config(run.config)}; {options}"))
    if before is not None:
        found.append(PreviewLine("differs", f"from run {before.number}: {run_difference(before, run)}", "second"))
    if run.picture.examples:
        sides = [each.positive for each in run.picture.examples]
        graded = [grade.verdict for grade in run.picture.grades]
        weak = ", ".join(f"{graded.count(word)} {word}" for word in ("weak", "broken") if word in graded)
        counts = f"{sum(sides)} positive + {len(sides) - sum(sides)} negative{f', {weak}' if weak else ''}"
        found.append(PreviewLine("examples", f"{counts}: {text_of(run.picture.examples[0])}"))
    if view is not None:
        best = ", ".join(f"{node} {_value(view, node)}" for node in view.order[:_BEST])
        found.append(PreviewLine("best", f"by {view.measure.title}: {best}"))
    if run.picture.card is not None:
        card = run.picture.card
        found.append(PreviewLine("evidence", f"{card.verdict}: {'; '.join(card.reasons)}"))
    if run.failure is not None:
        found.append(PreviewLine("failed", f"{run.failure.message} {run.failure.hint}".strip(), "bad"))
    for note in sorted(notes, key=lambda each: -each.at_us)[:_NOTES]:
        on = f"{name_node(NodeId(*note.head))}: " if note.head is not None else ""
        found.append(PreviewLine("note", on + note.text))
    return found


def run_difference(before: SessionRun, run: SessionRun) -> str:
    """Return what differs between two runs: their examples and options."""
    examples = before.picture.examples, run.picture.examples
    words = ["other examples"] if examples[0] and examples[1] and examples[0] != examples[1] else []
    options = format_differences(before.options, run.options)
    return ", ".join([*words, *([options] if options else [])]) or "nothing: the same examples and options"


def preview_model(choice: ModelChoice, models: Path, checked: CheckedModels) -> list[PreviewLine]:
    """Return what the model's folder says of it; of one that is not here, what is known. Reads the folder."""
    if not choice.here:
        size = f"{choice.size} to download; " if choice.n_bytes else "size not known before; "
        found = [PreviewLine("not here", f"{size}choosing it fetches it from the {choice.source.split(', ')[-1]}")]
        return [*found, PreviewLine("terms", choice.terms, "second")] if choice.terms else found
    try:
        about = read_summary(find_model(choice.name, models))
    except HeadcodeError as error:
        return [PreviewLine("trouble", f"{error.message} {error.hint}", "bad")]
    shape = f"{about.architecture} · {about.n_layers} layers x {about.n_heads} heads · width {about.d_model}"
    sizes = f"{about.context} tokens of context · {about.vocabulary} words · {format_bytes(about.weights_bytes)}"
    found = [
        PreviewLine("model", f"{shape} · {sizes}"),
        PreviewLine("check", checked.of(choice.name).words),
        PreviewLine("from", about.path or "built on first use", "dim"),
    ]
    if about.checkpoints:
        found.insert(1, PreviewLine("checkpoints", f"{', '.join(about.checkpoints)}: {about.name}@STEP", "dim"))
    return found


def _run_line(run: RunRow) -> str:
    called = f" {run.name}" if run.name else ""
    tags = "".join(f" #{tag}" for tag in run.tags)
    counts = f" · {run.n_positive}+{run.n_negative}" if run.n_positive is not None else ""
    return (
        f"{run.number}{called} {run.state}{counts} · {format_config(run.config)} · {day_or_clock(run.queued_us)}{tags}"
    )


def _note_place(note: NoteRow) -> str:
    if note.run_number is None:
        return "session"
    node = f", {NodeId(note.layer, note.head)}" if note.layer is not None and note.head is not None else ""
    return f"run {note.run_number}{node}"


def _value(view: GridView, node: NodeId) -> str:
    value = view.values.get(node)
    return "" if value is None else f"{value:.2f}".lstrip("0")
