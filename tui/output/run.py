"""A finished run as text: what was compared, the grid, the heads, and the evidence."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.analysis.ground_truth import agreement_with, covered
from engine.analysis.ranking import ranked
from engine.analysis.run_state import RunSnapshot
from engine.authoring.distinct_pairs import distinct_prompts, text_keys
from engine.measures import DEFAULT_MEASURE, MEASURES, Measure, value_of
from engine.nodes import format_count, names, only_heads
from engine.results import Card, DirectSum, NodeScores, Reference
from sessions.rows import RunRow, SessionRow
from tui.output.card import card_lines
from tui.output.console import OutputStyle, make_console
from tui.output.effects import cause_lines
from tui.output.grid import format_short, grid_lines
from tui.output.reported_effects import one_effect_per_head
from tui.terminal.sanitize import clean

if TYPE_CHECKING:
    from rich.table import Table

BEST_HEADS = 10
BEST_EDGES = 10
_COMPARED = tuple(
    measure for measure in MEASURES if measure.id not in ("unique_negative", "stability", "p_value", "backup")
)
"""Measures compared with a known circuit: codes first, then baselines without an SAE."""


class RunLabels(msgspec.Struct, frozen=True, kw_only=True):
    """Names of a run."""

    session: str
    session_id: str
    run_id: str
    number: int
    state: str = "done"
    seconds: float | None = None
    """From the run's start to its end, including the engine's start; the screen shows the same."""


def print_run(
    picture: RunSnapshot, labels: RunLabels | None, *, measure: Measure = DEFAULT_MEASURE, output: OutputStyle
) -> None:
    """Print the run on stdout."""
    from rich.text import Text

    console = make_console(output)
    strong = "bold" if output.colours != "none" else ""

    def line(text: str = "", style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    for text in header_lines(picture):
        line(text)
    node = _node(picture)
    if not picture.nodes:
        line("No scores yet: the run ended before its first ones.")
    else:
        circuit = picture.finished.circuit if picture.finished else ()
        line()
        for row in grid_lines(picture.nodes, measure, circuit, output):
            console.print(row, soft_wrap=True)
        if not picture.nodes_final:
            line("Partial: the run ended before its final scores; these are provisional.")
        if picture.finished:
            line()
            line(f"circuit by rank  {_heads(picture.finished.circuit)}")
            line(f"        softmax  {_heads(picture.finished.circuit_softmax)}")
        line()
        line(f"best {node}s ([ ] in the circuit; right of the bar: baselines without an SAE)", strong)
        console.print(_head_table(picture), soft_wrap=True)
        if picture.finished and picture.finished.direct is not None:
            line(_direct_line(picture.finished.direct, node))
        if picture.causes:
            line()
            line(f"effects of {node}s on the answer (below 0: the {node} helps)", strong)
            for text in cause_lines(one_effect_per_head(picture)):
                line("  " + text)
        if picture.reference is not None:
            line()
            _print_agreement(picture, picture.reference, line, strong)
        if picture.edges and picture.edges[0].score > 0:
            line()
            line("best edges (code pairs found only on positives)", strong)
            best = [
                f"{' -> '.join(names((e.source, e.target)))} {format_short(e.score)}"
                for e in picture.edges[:BEST_EDGES]
            ]
            for start in range(0, len(best), 5):
                line("  " + "   ".join(best[start : start + 5]))
    if picture.card is not None:
        line()
        line("evidence", strong)
        for text in card_lines(picture.card):
            line("  " + clean(text))
    line()
    for text in footer_lines(picture, labels):
        line(text)


def print_cause(found: RunSnapshot, card: Card | None, title: str, output: OutputStyle) -> None:
    """Print one effect measurement and the run's card on stdout."""
    from rich.text import Text

    console = make_console(output)
    strong = "bold" if output.colours != "none" else ""

    def line(text: str = "", style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    node = _node(found)
    line(f"effects of the {node}s of {clean(title)} on the answer (below 0: the {node} helps)", strong)
    lines = cause_lines(found)
    for text in lines:
        line("  " + text)
    if not lines:
        line("  Nothing was measured.")
    for notice in found.notices:
        line(f"  note: {clean(notice.message)} {clean(notice.hint)}".rstrip())
    if card is not None and lines:
        line()
        line("evidence", strong)
        for text in card_lines(card):
            line("  " + clean(text))


def header_lines(picture: RunSnapshot) -> list[str]:
    """Return what was compared, on what, and notices."""
    lines: list[str] = []
    if picture.model is not None:
        model = picture.model
        device = picture.versions.where if picture.versions else "?"
        warm = ", warm" if picture.warm else ""
        lines.append(
            f"model     {clean(model.name)}  {model.n_layers} layers x {model.layout.of_a_layer}, width {model.d_model}"
            f"  on {device}{warm}"
        )
    if picture.examples:
        positive = sum(example.positive for example in picture.examples)
        task = f"  ({clean(picture.task)})" if picture.task else ""
        distinct = sum(distinct_prompts(picture.examples, text_keys(picture.examples)))
        copies = f", {distinct} distinct" if distinct < len(picture.examples) else ""
        lines.append(f"examples  {positive} positive + {len(picture.examples) - positive} negative{copies}{task}")
    lines += broken_lines(picture)
    for notice in picture.notices:
        hint = f" {clean(notice.hint)}" if notice.hint else ""
        lines.append(f"note      {clean(notice.message)}{hint}")
    return lines


def broken_lines(picture: RunSnapshot) -> list[str]:
    """Return how many examples the model cannot do and why, most frequent reason first."""
    lines: list[str] = []
    for verdict in ("broken", "weak"):
        graded = [grade for grade in picture.grades if grade.verdict == verdict]
        if graded:
            reasons: dict[str, int] = {}
            for grade in graded:
                reasons[grade.reason] = reasons.get(grade.reason, 0) + 1
            common = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:3]
            why = "; ".join(f"{clean(reason)} ({count})" if count > 1 else clean(reason) for reason, count in common)
            more = f"; and {len(reasons) - 3} other reasons" if len(reasons) > 3 else ""
            lines.append(f"{verdict:<9} {len(graded)} of {len(picture.examples)}: {why}{more}")
    return lines


def footer_lines(picture: RunSnapshot, labels: RunLabels | None) -> list[str]:
    """Return the timings and the names of the run."""
    lines: list[str] = []
    if picture.finished is not None:
        timings = msgspec.structs.asdict(picture.finished.timings)
        timings["total"] = timings.pop("total")  # the sum goes last
        parts = "  ".join(f"{stage} {seconds:.2f}" for stage, seconds in timings.items() if seconds or stage != "cause")
        if labels is not None and labels.seconds is not None:
            parts += f"  start to end {labels.seconds:.2f}"
        cached = "  (activations from the cache)" if picture.finished.cached else ""
        lines.append(f"seconds   {parts}{cached}")
    if labels is not None:
        lines.append(f"session   {clean(labels.session)}  {labels.session_id}")
        state = "" if labels.state == "done" else f"  {labels.state}"
        lines.append(f"run       {labels.number}  {labels.run_id}{state}")
        lines.append(f"open it   headcode --session {clean(_quoted(labels.session))}")
    return lines


def _node(picture: RunSnapshot) -> str:
    """Return what the run's nodes are called: head, if it has no others."""
    if picture.model is not None:
        return "head" if picture.model.nodes == "heads" else "node"
    return "head" if only_heads(node.id for node in picture.nodes) else "node"


def _direct_line(found: DirectSum, node: str) -> str:
    """Say what the direct effects add up to, and what the rest is."""
    rest = "biases" if node == "node" else "what the run did not look at"
    return (
        f"direct effects: all {node}s together write {found.nodes:.2f} of the answer's "
        f"{found.answer:.2f} logits (mean of {found.n_examples} positives); the rest is {rest}"
    )


def _head_table(picture: RunSnapshot) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    columns = [
        f"  {_node(picture)}",
        "tv",
        "unique",
        "share",
        "overlap",
        "bits",
        "q",
        "stable",
        "flips",
        "| mean",
        "pair",
        "probe",
    ]
    known = set(picture.reference.heads) if picture.reference else None
    judged = {node.id for node in covered(picture.reference, picture.nodes)} if picture.reference else set()
    if known is not None:
        columns.append("moves" if picture.reference and picture.reference.kind == "effects" else "known")
    for name in columns:
        table.add_column(name, justify="left" if name == columns[0] else "right", no_wrap=True, header_style="")
    circuit = set(picture.finished.circuit) if picture.finished else set()
    for node in ranked(picture.nodes)[: max(BEST_HEADS, 0)]:
        head = f"[{node.id}]" if tuple(node.id) in circuit else f" {node.id}"
        cells = [
            " " + head,
            format_short(node.total_variation),
            format_short(node.unique_positive),
            format_short(node.unique_share),
            format_short(node.overlap),
            format_short(node.mutual_information),
            _small(node.q_value),
            format_short(node.stability),
            format_short(node.paired_flips),
            format_short(node.baseline_mean_difference),
            format_short(node.baseline_paired_difference),
            format_short(node.baseline_linear_probe),
        ]
        if known is not None:
            cells.append("-" if node.id not in judged else "yes" if node.id in known else "no")
        table.add_row(*cells)
    return table


def _print_agreement(picture: RunSnapshot, reference: Reference, line: Callable[..., None], strong: str) -> None:
    line(f"{_against_words(reference)}{clean(reference.name)}", strong)
    judged = format_count([node.id for node in covered(reference, picture.nodes)])
    line(f"  {len(reference.heads)} of {judged}; {clean(reference.source)}")
    if picture.finished is not None:
        found = agreement_with(reference, picture.nodes, picture.finished.circuit, DEFAULT_MEASURE)
        line(f"  circuit by rank: precision {format_short(found.precision)}, recall {format_short(found.recall)}")
    rows = compared(picture.nodes, reference)
    width = max(len(measure.title) for measure, _ in rows)
    line(f"  AUC against {clean(reference.name)} of")
    for measure, area in rows:
        line(f"  {measure.title.ljust(width)}  {format_short(area)}")
    codes = next(area for measure, area in rows if measure.id == DEFAULT_MEASURE.id)
    better = [
        measure.title
        for measure, area in rows
        if measure.baseline and area is not None and codes is not None and area > codes
    ]
    if better:
        line(f"  better than the codes here: {', '.join(better)}.")


def _against_words(reference: Reference) -> str:
    """Return the title of the comparison with this kind of reference."""
    return "compared with " if reference.kind == "effects" else "compared with the known circuit: "


def compared(nodes: Sequence[NodeScores], reference: Reference) -> list[tuple[Measure, float | None]]:
    """Return the AUC of each measure against the reference's heads."""
    return [
        (measure, agreement_with(reference, nodes, (), measure).auc)
        for measure in _COMPARED
        if any(value_of(node, measure) is not None for node in nodes)
    ]


def _heads(heads: Sequence[tuple[int, int]]) -> str:
    return " ".join(names(heads)) or "none"


def _small(value: float | None) -> str:
    """Format p and q with three decimals: .002."""
    if value is None:
        return "-"
    return "1.0" if value >= 0.9995 else f"{value:.3f}"[1:]


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)


def labels_of(session: SessionRow, run: RunRow) -> RunLabels:
    """Return the names of the run in its session."""
    return RunLabels(
        session=session.name,
        session_id=session.session_id,
        run_id=run.run_id,
        number=run.number,
        state=run.state,
        seconds=None if run.started_us is None or run.ended_us is None else (run.ended_us - run.started_us) / 1e6,
    )
