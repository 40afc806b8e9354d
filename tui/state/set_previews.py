"""What the preview under a list says of the sweep or saved circuit at the cursor."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from engine.nodes import NodeId, format_count
from engine.planning.time_estimate import format_seconds
from engine.sweeps.plan import axes_of_labels
from engine.sweeps.run_measures import RunMeasures
from sessions.protocol import SweepDetail
from tui.state.grid_view import GridView
from tui.state.number_text import format_fixed
from tui.state.previews import PreviewLine
from tui.state.run import SessionRun
from tui.state.session_state import SavedCircuit
from tui.state.time_left import format_time_left
from tui.terminal.times import moment

_VALUES, _FAILURES, _SESSIONS = 6, 2, 3


def preview_sweep(detail: SweepDetail, runs: Sequence[RunMeasures]) -> list[PreviewLine]:
    """Return the sweep's axes, how far it is, what its finished runs found, and why others failed."""
    row, units, progress = detail.sweep, detail.units, detail.progress
    axes = axes_of_labels(unit.labels for unit in units)
    varied = [f"{axis} {_values(values)}" for axis, values in axes.items() if len(values) > 1]
    fixed = [f"{axis} {values[0]}" for axis, values in axes.items() if len(values) == 1]
    found = [PreviewLine("axes", " · ".join(varied) or "none: one unit", "strong")]
    if fixed:
        found.append(PreviewLine("all with", " · ".join(fixed)))
    counts = {word: n for word in ("done", "failed", "running", "interrupted") if (n := getattr(row, word))}
    waiting = row.units - sum(counts.values())
    states = [f"{n} {word}" for word, n in (counts | ({"waiting": waiting} if waiting > 0 else {})).items()]
    if progress.active:
        states.append(" ".join(["runs", f"on {progress.on}" * bool(progress.on), format_time_left(progress.left_s)]))
    seconds = [unit.seconds for unit in units if unit.seconds is not None and unit.state == "done"]
    if seconds:
        states.append(f"{format_seconds(median(seconds))} a unit (median)")
    found.append(PreviewLine("units", " · ".join(" ".join(each.split()) for each in states)))
    if runs:
        found.append(PreviewLine("found", _measured(detail, runs)))
    failures = Counter(unit.failure.message for unit in units if unit.failure is not None and unit.state == "failed")
    for place, (message, n) in enumerate(failures.most_common(_FAILURES)):
        found.append(PreviewLine("failed" if not place else "", f"{n} x {message}", "bad"))
    names = list(dict.fromkeys(unit.session for unit in units if unit.session))
    if names:
        more = f" and {len(names) - _SESSIONS} more" if len(names) > _SESSIONS else ""
        found.append(PreviewLine("sessions", ", ".join(names[:_SESSIONS]) + more))
    return [*found, PreviewLine("planned", f"{moment(row.planned_us)} · {row.sweep_id}", "dim")]


def _values(values: Sequence[str]) -> str:
    shown = values if len(values) <= _VALUES else [*values[: _VALUES - 2], "…", values[-1]]
    return f"{', '.join(shown)} ({len(values)})" if len(values) > _VALUES else ", ".join(shown)


def _measured(detail: SweepDetail, runs: Sequence[RunMeasures]) -> str:
    """Say how well the finished runs did: AUC with the best one's labels, pairs the model can do, verdicts."""
    words = []
    scored = [(run.auc, run) for run in runs if run.auc is not None]
    if scored:
        values = sorted(auc for auc, _ in scored)
        best = max(scored, key=lambda pair: pair[0])[1]
        unit = next((each for each in detail.units if each.run_id == best.run_id), None)
        axes = axes_of_labels(each.labels for each in detail.units)
        labels = () if unit is None else [f"{axis} {value}" for axis, value in unit.labels if len(axes[axis]) > 1]
        at = f" at {', '.join(labels)}" if labels else ""
        words.append(f"AUC {format_fixed(median(values), 2)} (median), best {format_fixed(values[-1], 2)}{at}")
    can = [run.accuracy for run in runs if run.accuracy is not None]
    if can:
        words.append(f"can do {format_fixed(min(can), 2)} to {format_fixed(max(can), 2)} of its pairs")
    verdicts = Counter(run.verdict for run in runs if run.verdict is not None)
    words += [f"{n} {verdict}" for verdict, n in verdicts.most_common()]
    return " · ".join(words) or "nothing was measured"


def preview_circuit(
    circuit: SavedCircuit, others: Sequence[SavedCircuit], run: SessionRun | None, view: GridView | None
) -> list[PreviewLine]:
    """Return the circuit's nodes with their values in the run that is shown, and what it shares with other circuits."""
    nodes = [NodeId(*each) for each in circuit.heads]
    found = [PreviewLine("circuit", f"{format_count(nodes)} · {circuit.source}")]
    if view is None or run is None:
        found.append(PreviewLine("nodes", " ".join(map(str, nodes)) or "none"))
    else:
        here = [node for node in view.order if node in nodes]
        listed = ", ".join(_ranked(view, node) for node in here)
        found.append(PreviewLine("nodes", f"by {view.measure.title} of {run.title}: {listed or 'none'}", "strong"))
        missing = [str(node) for node in nodes if node not in view.by_head]
        if missing:
            found.append(PreviewLine("", f"not in {run.title}: {' '.join(missing)}", "second"))
        found.append(PreviewLine("shares", f"{_shared(nodes, view.circuit)} with the circuit of {run.title}"))
        if run.picture.reference is not None:
            known = run.picture.reference
            found.append(PreviewLine("", f"{_shared(nodes, map(NodeId._make, known.heads))} with {known.name}"))
    nearest = max(others, key=lambda each: _jaccard(nodes, map(NodeId._make, each.heads)), default=None)
    if nearest is not None:
        found.append(PreviewLine("nearest", f"{_shared(nodes, map(NodeId._make, nearest.heads))} with {nearest.name}"))
    return [*found, PreviewLine("saved", moment(circuit.at_us), "dim")]


def _ranked(view: GridView, node: NodeId) -> str:
    value, rank = view.values.get(node), view.rank_of(node)
    return f"{node} {format_fixed(value)} (#{rank})" if rank is not None else str(node)


def _shared(nodes: Sequence[NodeId], other: Iterable[NodeId]) -> str:
    """Say how many nodes two circuits share: 3 of 5, Jaccard .43."""
    other = set(other)
    return f"{len(other & set(nodes))} of {len(nodes)} nodes, Jaccard {format_fixed(_jaccard(nodes, other))}"


def _jaccard(one: Iterable[NodeId], other: Iterable[NodeId]) -> float:
    one, other = set(one), set(other)
    return len(one & other) / len(one | other) if one | other else 0.0
