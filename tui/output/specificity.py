"""The specificity of a circuit, as a table and as JSON."""

import msgspec

from engine.analysis.effects import METRIC_WORDS
from engine.node_parts import TaskLoss
from engine.nodes import NodeId
from sessions.protocol import SpecificityOfRun
from tui.output.console import print_columns, print_line, shorten

SCHEMA = "headcode.specificity/1"
REMARK = (
    "Circuits of different tasks share heads (Merullo et al. 2024, arXiv:2310.08744), and removing another task's "
    "circuit often hurts as much: a loss on its own task alone does not show that a circuit is that task's."
)
_REASON = 100


def specificity_json(found: SpecificityOfRun) -> dict[str, object]:
    """Return the losses as JSON values, schema headcode.specificity/1."""
    return {
        "schema": SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        "nodes": [str(NodeId(*node)) for node in found.nodes],
        "own": _loss_json(found.own),
        "others": [_loss_json(loss) for loss in found.others],
        "left_out": found.left_out,
        "seconds": found.seconds,
    }


def print_specificity(found: SpecificityOfRun) -> None:
    """Print a row per task, the run's own first, and what was left out."""
    names = " ".join(str(NodeId(*node)) for node in found.nodes)
    print_line(f"{found.model.name} without {names}, replaced at all positions")
    rows = [_row(loss, name) for loss, name in _losses(found)]
    header = ("task", "metric", "pairs", "base", "without", "lost", "lost by random nodes")
    print_columns(rows, header=header, right=(2, 3, 4, 5, 6))
    print_line(_sentence(found))
    for line in _left_out(found):
        print_line(line)
    print_line(REMARK)


def specificity_lines(found: SpecificityOfRun) -> list[str]:
    """Return what the run's own and every other task lose, beside random nodes; fits a narrow sheet."""
    rows = [("", "lost", "by random nodes")]
    rows += [(name, f"{loss.share:.0%}", f"{loss.random_share:.0%}") for loss, name in _losses(found)]
    width = max(len(name) for name, *_ in rows)
    lines = [f"{name:<{width}}  {share:>5}  {random:>15}" for name, share, random in rows]
    return [*lines, _sentence(found), *_left_out(found), REMARK]


def _losses(found: SpecificityOfRun) -> list[tuple[TaskLoss, str]]:
    """Return the losses with the names of their tasks, the run's own first."""
    own = [(found.own, found.own.task or "the run's examples")]
    return own + [(loss, loss.task) for loss in found.others]


def _left_out(found: SpecificityOfRun) -> list[str]:
    return [f"left out: {task}: {shorten(why, _REASON)}" for task, why in found.left_out.items()]


def _sentence(found: SpecificityOfRun) -> str:
    if not found.others:
        return "The model can do no other ready-made task: nothing is known of the circuit's specificity."
    as_much = [loss.task for loss in found.others if loss.share >= found.own.share]
    if not as_much:
        worst = found.others[0]
        return f"No other task loses as much; the most, {worst.task}, loses {worst.share:.0%}."
    return f"As much or more is lost by {', '.join(as_much)}: the circuit is not specific to its task."


def _row(loss: TaskLoss, name: str) -> tuple[str, ...]:
    return (
        name,
        METRIC_WORDS[loss.metric],
        str(loss.pairs),
        f"{loss.base:.3g}",
        f"{loss.removed:.3g}",
        f"{loss.share:.0%}",
        f"{loss.random_share:.0%}",
    )


def _loss_json(loss: TaskLoss) -> dict[str, object]:
    return {**msgspec.to_builtins(loss), "share": loss.share, "random_share": loss.random_share}
