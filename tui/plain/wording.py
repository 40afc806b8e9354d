"""The state as plain lines: no signs that need to be seen, and numbers before their meaning."""

import time
from collections import Counter
from collections.abc import Iterable

from engine.analysis.effects import FIELD
from engine.errors import Failure
from engine.examples import Example
from engine.measures import MEASURES, Measure, value_of
from engine.nodes import NodeId, format_count
from engine.results import NO_CODE, Grade, NodeScores
from sessions.rows import HeadCodes
from tui.output.effects import cause_lines
from tui.state.checked_models import shown_check
from tui.state.engine_status import blocking_work, format_silence, format_work, silent_work
from tui.state.grid_view import GridView, decimals_of
from tui.state.node_words import name_node, node_noun
from tui.state.notes import list_notes_at
from tui.state.run import SessionRun
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean

_MOST_PROMPT = 200
_MOST_CODES = 12


def status(state: WorkbenchState) -> list[str]:
    """Describe the session, the model, the current work and the view."""
    model = state.model_info
    shape = f", {model.n_layers} layers of {model.n_heads} heads" if model is not None else ""
    places = state.places()
    shape += " and an MLP each" if places is not None and places.others else ""
    check = shown_check(state)
    checked = f", {check.words}" if check is not None else ""
    lines = [f"session {clean(state.session_name)}. model {clean(state.model)}{shape}{checked}. host {state.link}."]
    positives = sum(1 for each in state.examples if each.positive)
    lines.append(f"examples: {positives} positive, {len(state.examples) - positives} negative.")
    run = state.shown
    if run is None:
        return [*lines, "no run yet; run starts one."]
    lines.append(f"run {run.number}: {state_of(state, run)}.")
    work = state.worker.at_work if state.worker is not None and state.link == "live" else None
    if work is not None and work.run_id != run.run_id:
        lines.append(f"the engine works on {format_work(work, _now_us())}.")
    if (silent := silent_work(state)) is not None:
        lines.append(format_silence(state, silent, _now_us()))
    view = state.view()
    if view is not None:
        circuit = f"{format_count(view.circuit)} in the circuit"
        lines.append(f"view: {view.measure.title}, {circuit}, cursor at {name_node(state.cursor)}.")
    return lines


def _now_us() -> int:
    return int(time.time() * 1e6)


def state_of(state: WorkbenchState, run: SessionRun) -> str:
    """Format the state of a run."""
    if (work := blocking_work(state, run)) is not None:
        return f"waits for {format_work(work, _now_us())}"
    if run.state == "running" and run.picture.stage is not None:
        picture = run.picture
        count = (
            f", {picture.stage_done} of {picture.stage_total} {clean(picture.stage_unit)}"
            if picture.stage_total
            else ""
        )
        return f"running, {picture.stage}{count}"
    return run.state


def examples(
    examples_: tuple[Example, ...], grades: dict[int, Grade], templates: dict[int, str] | None = None
) -> list[str]:
    """List the examples: number, side, pair, prompt, expected answer, verdict."""
    if not examples_:
        return ["no examples yet; add PROMPT => EXPECTED writes one."]
    notes = templates or {}
    return [
        f"{place + 1}. {example_words(each, grades.get(place))}" + (f". {notes[place]}" if place in notes else "")
        for place, each in enumerate(examples_)
    ]


def example_words(example: Example, grade: Grade | None) -> str:
    """Format one example with its grade."""
    prompt = clean(example.prompt)
    shown = prompt if len(prompt) <= _MOST_PROMPT else f"… {prompt[-_MOST_PROMPT:]}"
    parts = ["positive" if example.positive else "negative"]
    parts += [f"pair {example.pair}"] if example.pair is not None else []
    parts += ["disabled"] if not example.enabled else []
    words = f"{', '.join(parts)}: {shown}"
    if example.expected:
        words += f" => {', '.join(clean(each).strip() for each in example.expected)}"
    if grade is not None:
        chance = f", probability {grade.probability:.3f}" if grade.probability is not None else ""
        words += f". {grade.verdict}{chance}, {clean(grade.reason)}"
    return words


def heads(view: GridView, most: int | None) -> list[str]:
    """List the ranking: rank, node, value, and whether it is in the circuit."""
    final = "" if view.final else " These scores may change while the run continues."
    known = f" Compared with {clean(view.reference.name)}:" if view.reference is not None else ""
    auc = view.agreement
    agreed = ""
    if auc is not None:
        shown = [("AUC", auc.auc), ("precision", auc.precision), ("recall", auc.recall)]
        agreed = " " + (", ".join(f"{name} {value:.2f}" for name, value in shown if value is not None) or "–") + "."
    apart = " Heads and MLPs are ranked apart and merged by share." if view.ranked_apart else ""
    inside = f"{format_count(view.order)}, {len(view.circuit)} in the circuit"
    lines = [f"{view.measure.title}, {inside}.{apart}{final}{known}{agreed}"]
    for head in view.order[:most]:
        marks = [
            word for word, on in (("circuit", head in view.circuit), (view.reference_label(), head in view.known)) if on
        ]
        tail = f", {', '.join(marks)}" if marks else ""
        lines.append(f"{view.rank_of(head) or '–'}. {name_node(head)}: {value(view.values[head], view.measure)}{tail}")
    if most is not None and len(view.order) > most:
        lines.append(f"{len(view.order) - most} more; heads all lists them.")
    return lines


def overlay(state: WorkbenchState) -> list[str]:
    """Describe the circuit drawn over the heads and how well the ranking agrees with it."""
    view = state.view()
    if view is None or view.reference is None:
        return ["no circuit is drawn over the heads."]
    held = view.agreement
    shown = (("AUC", held.auc), ("precision", held.precision), ("recall", held.recall)) if held is not None else ()
    scores = ", ".join(f"{name} {value:.2f}" for name, value in shown if value is not None)
    heads = ", ".join(map(str, sorted(view.known)))
    name = f"{clean(view.reference.name)} is drawn over the {view.noun(2)}: {heads}."
    kept = state.session.circuits.get(view.reference.name)
    missing = [] if kept is None else [node for each in kept.heads if (node := NodeId(*each)) not in view.by_head]
    without = [f"without {', '.join(map(str, missing))}: this run has heads alone."] if missing else []
    return [name, *without, *([f"the ranking finds them with {scores}."] if scores else [])]


def difference(state: WorkbenchState, most: int) -> list[str]:
    """Describe what is subtracted, what both sides share, and the largest differences."""
    against = state.against()
    if against is None:
        return ["nothing is subtracted; difference lists the choices."]
    grid, title = against.grid, clean(against.side.title)
    what = "in the circuit or not" if against.member else state.measure.title
    in_here = [NodeId(*node) for node in grid.circuit_a]
    mixed = any(not node.is_head for node in (*against.order, *against.circuit, *in_here))
    nodes = node_noun(2, others=mixed)
    shared = f"{len(grid.both)} {nodes} in both circuits, {len(grid.only_a)} only here, {len(grid.only_b)} only there."
    words = [("Jaccard", grid.jaccard), ("AUC", grid.auc_a_finds_b)]
    words += (
        [("precision", grid.precision), ("recall", grid.recall)]
        if against.member
        else [("Spearman", grid.spearman), ("Kendall", grid.kendall)]
    )
    scores = ", ".join(f"{name} {value:.2f}" for name, value in words if value is not None)
    unshared = [f"{against.unshared}."] if against.unshared else []
    lines = [f"{what}: this run minus {title}.", *unshared, shared, *([f"{scores}."] if scores else [])]
    differing = [head for head in against.order if against.differences[head]]
    for place, head in enumerate(differing[:most], start=1):
        here, there = (value(each[head], state.measure) for each in (against.here, against.there))
        lines.append(f"{place}. {name_node(head)}: {against.differences[head]:+.2f}, {here} here, {there} there")
    rest = len(differing) - most
    lines += [f"{rest} more differ."] if rest > 0 else []
    return [*lines, "difference end turns it off."]


def value(number: float | None, measure: Measure) -> str:
    """Format a value of a measure."""
    return "does not apply" if number is None else f"{number:.{decimals_of(measure)}f}"


def head(state: WorkbenchState, view: GridView, found: HeadCodes | Failure | None) -> list[str]:
    """Describe a node: every measure, its codes with their counts on both sides, its notes."""
    where = state.cursor
    node = view.by_head[where]
    place = view.rank_of(where)
    rank = view.unranked_reason(where) if place is None else f"rank {place} of {view.n_ranked}"
    lines = [f"{name_node(where)} of run {state.shown.number if state.shown else 0}, {rank}."]
    lines += [f"{measure.title}: {value(value_of(node, measure), measure)}" for measure in measures_of(node)]
    if isinstance(found, Failure):
        lines.append(f"codes: {clean(found.message)} {clean(found.hint)}".rstrip())
    elif found is not None:
        lines += _codes(found, state.examples)
    lines += [f"note: {clean(note.text, lines=True)}" for note in list_notes_at(state, "head")]
    return lines


def measures_of(node: NodeScores) -> Iterable[Measure]:
    """Return the measures that have a value for this head."""
    return [measure for measure in MEASURES if measure.id not in FIELD.values() and value_of(node, measure) is not None]


def _codes(found: HeadCodes, examples_: tuple[Example, ...]) -> list[str]:
    sides = {True: Counter[int](), False: Counter[int]()}
    for code, example in zip(found.codes, examples_, strict=False):
        sides[example.positive][code] += 1
    lines = [f"codes under seed {found.seed}, codes of positives only first:"]
    codes = sorted(
        {*sides[True], *sides[False]} - {NO_CODE}, key=lambda code: (sides[False][code], -sides[True][code], code)
    )
    for code in codes[:_MOST_CODES]:
        on, off = sides[True][code], sides[False][code]
        only = ", only positives" if not off else ", only negatives" if not on else ""
        lines.append(f"code {code}: {on} positive, {off} negative{only}")
    if len(codes) > _MOST_CODES:
        lines.append(f"{len(codes) - _MOST_CODES} more codes.")
    silent = sides[True][NO_CODE] + sides[False][NO_CODE]
    return [*lines, f"silent on {silent} of {len(found.codes)} examples."]


def runs(state: WorkbenchState) -> list[str]:
    """List the runs of the session."""
    shown = state.shown
    return [
        f"run {run.number}: {state_of(state, run)}, model {clean(run.model)}, "
        f"seeds {', '.join(map(str, run.config.seeds))}"
        + (f", named {clean(run.name)}" if run.name else "")
        + "".join(f", tag {clean(tag)}" for tag in run.tags)
        + (", shown" if shown is not None and run.run_id == shown.run_id else "")
        for run in state.runs
    ] or ["no run yet; run starts one."]


def circuits(state: WorkbenchState) -> list[str]:
    """List the saved circuits."""
    return [
        f"{clean(circuit.name)}: {', '.join(str(NodeId(*each)) for each in circuit.heads)}. {clean(circuit.source)}"
        for circuit in state.session.circuits.values()
    ] or ["no saved circuits; keep NAME saves the circuit."]


def causes(run: SessionRun) -> list[str]:
    """Return the effects of a run as lines."""
    return [clean(line) for line in cause_lines(run.picture)]
