"""Effects of heads on the answer as lines of text, for the command line and the screen."""

from collections.abc import Sequence

from engine.analysis.effects import METRIC_WORDS, MOVES, dormant_heads, effect_share, primary, rank_effects
from engine.analysis.run_state import RunSnapshot
from engine.events import SMALLEST, CircuitChecked, EffectsMeasured
from engine.nodes import format_count, names, only_heads
from engine.results import EdgeEffect, NodeEffect
from tui.output.card import format_list
from tui.output.grid import format_short
from tui.terminal.times import moment

MOST = 10
_BARS = "_▁▂▃▄▅▆▇█"
"""Bars for shares from 0 to 1."""
REPLACED = {
    "pair": "by their value on the paired negative",
    "mean": "by their mean over the negatives",
    "resample": "by their value on a negative drawn at random",
    "zero": "by zero",
}
_METHODS = {
    "attribution": "attribution",
    "exact": "exact patching",
    "combined": "combined",
    "backup": "backups",
}


def format_base(cause: EffectsMeasured, why: str = "") -> str:
    """Format metric, base and sample: logit difference, base 5.03, 10 pairs. `why` follows the metric."""
    sides = "pairs" if cause.replacement == "pair" else "positives"
    base = "" if cause.metric == "kl" else f", base {cause.base:.3g}"
    return f"{METRIC_WORDS[cause.metric]}{why}{base}, {cause.n_examples} {sides}"


def format_replacement(cause: EffectsMeasured | CircuitChecked) -> str:
    """Format how the heads were replaced."""
    return REPLACED[cause.replacement]


def format_signed(value: float) -> str:
    """Format a number with its sign; zero has none."""
    text = format_short(value)
    return f"+{text}" if value > 0 and text != "0" else text


def format_effect(effect: NodeEffect, cause: EffectsMeasured) -> str:
    """Format a head's signed effect with error and share: -.42 ±.05 (8 %).

    For a backup: alone, then without the circuit. For attribution the share is the mean size over pairs, by which heads
    are ranked.
    """
    if cause.method == "backup":
        alone, after = (
            format_signed(value) if cause.metric == "kl" else f"{effect_share(value, cause):.0%}"
            for value in (effect.alone or 0.0, effect.effect)
        )
        return f"{alone} -> {after}"
    error = f" ±{format_short(effect.error)}" if effect.error is not None else ""
    text = f"{format_signed(effect.effect)}{error}"
    if cause.method == "attribution" and effect.size is not None:
        size = format_short(effect.size) if cause.metric == "kl" else f"{effect_share(effect.size, cause):.0%}"
        return f"{text} ({size})"
    return text if cause.metric == "kl" else f"{text} ({effect_share(effect.effect, cause):.0%})"


def cause_lines(picture: RunSnapshot) -> list[str]:
    """Return the strongest heads of every method and every circuit check."""
    lines: list[str] = []
    shown = primary(picture.causes)
    for cause in picture.causes:
        lines += _cause_lines(cause, other=shown[cause.method] is not cause)
    if picture.edge_effects is not None:
        found = picture.edge_effects
        nodes = "heads" if only_heads(end for edge in found.edges for end in (edge.source, edge.target)) else "nodes"
        lines.append(
            f"attribution on edges: the largest of {found.n_pairs} pairs of {nodes}; {found.passes:.3g} forward passes"
        )
        lines += _edge_lines(found.edges)
    if picture.exact_edges is not None:
        exact = picture.exact_edges
        n_edges = f"{len(exact.edges)} edge{'s' * (len(exact.edges) != 1)}"
        metric = METRIC_WORDS[exact.metric]
        lines.append(f"exact patching of {n_edges}: {metric}, {exact.base:.3g}; {exact.passes:.3g} forward passes")
        lines += _edge_lines(exact.edges)
    for check in picture.checks:
        lines += check_lines(check)
    return lines


def _cause_lines(cause: EffectsMeasured, *, other: bool) -> list[str]:
    """Return how one setting was measured, and its strongest heads in ranking order.

    `other`: the measure shows another setting.
    """
    at = "" if cause.position == "mean" else f" at {cause.position}"
    title = _METHODS[cause.method]
    nodes = [one.id for one in cause.effects]
    node, measured = "head" if only_heads(nodes) else "node", format_count(nodes)
    partial = "" if cause.final else f", stopped after {measured}"
    if cause.method == "backup":
        left = "" if cause.left is None else f", which leaves {cause.left:.3g}"
        title = f"backups with {format_circuit(cause)} replaced{left}"
    why = f" ({cause.why})" if cause.why else ""
    sizes = cause.method == "attribution" and any(one.size is not None for one in cause.effects)
    brackets = "; in brackets the mean size over pairs" if sizes else ""
    lines = [
        f"{title}: {format_base(cause, why)}; {node}s replaced{at} {format_replacement(cause)}; "
        f"{_passes_words(cause)}{partial}{_measured_words(cause)}{brackets}"
    ]
    if other:
        lines.append(f"  of {measured}, while another setting has more")
    parts = [f"{each.id} {format_effect(each, cause)}" for each in rank_effects(cause)[:MOST]]
    lines += ["  " + "   ".join(parts[start : start + 5]) for start in range(0, len(parts), 5)]
    dormant = dormant_heads([cause])
    if dormant is not None:
        listed = format_list(list(map(str, dormant[1])), " ") or f"no {node}"
        lines.append(f"  dormant (no effect alone, at least {MOVES:.0%} of the answer without the circuit): {listed}")
    return lines


def format_circuit(cause: EffectsMeasured) -> str:
    """Format what was replaced in addition to each head: the circuit (4 heads)."""
    return f"{cause.after_name or 'a circuit'} ({format_count(cause.after)})"


def _passes_words(cause: EffectsMeasured) -> str:
    """Format the cost; with several measurements only the last one's is known."""
    several = len({one.measured_us for one in cause.effects}) > 1
    return f"{cause.passes:.3g} forward passes{' in the last measurement' if several else ''}"


def _measured_words(cause: EffectsMeasured) -> str:
    """Format the time span if the effects come from measurements more than a minute apart."""
    times = [one.measured_us for one in cause.effects if one.measured_us is not None]
    if not times or max(times) - min(times) < 60_000_000:
        return ""
    return f"; measured {moment(min(times))} to {moment(max(times))}"


def _edge_lines(edges: Sequence[EdgeEffect]) -> list[str]:
    parts = [_edge_words(edge) for edge in edges[:MOST]]
    return ["  " + "   ".join(parts[start : start + 5]) for start in range(0, len(parts), 5)]


def _edge_words(edge: EdgeEffect) -> str:
    return f"{' -> '.join(names((edge.source, edge.target)))} {format_signed(edge.effect)}"


def circuit_title(check: CircuitChecked) -> str:
    """Return what a checked circuit is called: circuit by codes, smallest circuit found."""
    return "smallest circuit found" if check.name == SMALLEST else f"circuit by {check.name}"


def check_lines(check: CircuitChecked) -> list[str]:
    """Return a circuit check: faithfulness, comparison with random circuits, curve, and effect of each head."""
    beaten = sum(value < check.faithfulness for value in check.random_faithfulness)
    middle = check.random_faithfulness[len(check.random_faithfulness) // 2] if check.random_faithfulness else None
    inactive = [one for one in check.minimality if abs(one.effect) < 0.01 * abs(check.base)]
    node = "head" if only_heads(check.heads) else "node"
    lines = [
        f"{circuit_title(check)} ({format_count(check.heads)}, all others replaced {format_replacement(check)})",
        f"  keeps {check.faithfulness:.0%} of the answer; without it {1 - check.completeness:.0%} is left; "
        f"area under the curve {format_short(check.area)}",
        f"  more faithful than {beaten} of {len(check.random_faithfulness)} random circuits of its layers "
        f"(median: {middle:.0%})"
        if middle is not None
        else "  no random circuits to compare with",
    ]
    lines += _curve_lines(check, node)
    most = sorted(check.minimality, key=lambda one: (-abs(one.effect), one.layer, one.head))[:MOST]
    if most:
        parts = [f"{one.id} {format_signed(one.effect)}" for one in most]
        lines.append(f"  removing one {node}: {'   '.join(parts)}")
    if inactive:
        lines.append(f"  {node}s with an effect below 1 %: {' '.join(str(one.id) for one in inactive)}")
    return lines


def _curve_lines(check: CircuitChecked, node: str) -> list[str]:
    """Return how much of the answer the best heads keep alone, and remove, by circuit size, as bars."""
    if not check.curve:
        return []
    lines = []
    for name, values in (
        (f"best {node}s keep", [point.faithfulness for point in check.curve]),
        ("lost without", [point.completeness for point in check.curve]),
    ):
        bars = "".join(_BARS[round(min(max(value, 0.0), 1.0) * (len(_BARS) - 1))] for value in values)
        text = " ".join(f"{point.size}:{round(100 * value)}%" for point, value in zip(check.curve, values, strict=True))
        lines.append(f"  {name:<15} {bars}  {text}")
    return lines
