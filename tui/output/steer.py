"""What steering did, as text and as JSON."""

from collections.abc import Sequence

import msgspec

from engine.analysis.effects import METRIC_WORDS
from engine.node_parts import NextToken
from engine.nodes import names
from engine.steering import SteerResult, TextCost, format_plan, summarise
from sessions.protocol import Steering, SteeringsAnswer
from tui.output.console import narrate, print_columns, print_line
from tui.output.dose_strip import BAND, dose_strip, effect_span, format_summary
from tui.output.effects import format_signed
from tui.output.node_parts import format_line
from tui.output.places import format_token
from tui.terminal.times import moment

SCHEMA = "headcode.steer/1"
LIST_SCHEMA = "headcode.steerings/1"
_STRIP = 48


def steering_json(found: Steering) -> dict[str, object]:
    """Return what was asked for and what it did, schema headcode.steer/1."""
    plan, result = found.steered.plan, found.steered.result
    summary = summarise(result.points)
    values: dict[str, object] = msgspec.to_builtins(result)
    if result.cost is not None:
        values["cost"] = {**msgspec.to_builtins(result.cost), "perplexity_ratio": result.cost.ratio}
    values["points"] = [{**msgspec.to_builtins(each), "outside": each.outside} for each in result.points]
    asked = {name: getattr(plan, name) for name in plan.__struct_fields__ if name not in ("prompts", "most")}
    return {
        "schema": SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        "recorded_us": found.at_us,
        "note": found.note,
        "what": format_plan(plan),
        "plan": {**msgspec.to_builtins(asked), "nodes": names(plan.nodes)},
        **values,
        "summary": None
        if summary is None
        else {
            "slope": summary.slope,
            "p_slope": summary.p_slope,
            "size": summary.size,
            "p_size": summary.p_size,
            "random_slopes": summary.random_slopes,
            "random_sizes": summary.random_sizes,
            "strengths_outside": summary.outside,
            "strengths": summary.points,
        },
    }


def steerings_json(found: SteeringsAnswer) -> dict[str, object]:
    """Return all that is recorded of a run, schema headcode.steerings/1."""
    return {"schema": LIST_SCHEMA, "run_id": found.run.run_id, "steerings": [steering_json(x) for x in found.steerings]}


def print_steering(found: Steering) -> None:
    """Print the answer before and after, the curve, the texts and their cost."""
    plan, result = found.steered.plan, found.steered.result
    for notice in result.notices:
        narrate(f"note: {notice}")
    print_line(f"{found.model.name}: {format_plan(plan)}")
    if result.unit:
        print_line(f"strength 1 is {result.unit:.3g} long in the stream{_unit_words(plan.kind)}")
    print_line(f"prompt: {format_line(result.prompt)}")
    print_line(f"KL divergence {result.kl:.3g} nats")
    print_columns(
        token_rows(result.next_tokens), header=("next token", "before", "", "after", "", "change"), right=(1, 3, 5)
    )
    if result.points:
        print_line()
        for line in curve_lines(result, plan.control):
            print_line(line)
    if result.texts:
        print_line()
        rows: list[tuple[str, ...]] = [
            (text_label(each.strength, plan.kind), format_line("".join(each.tokens))) for each in result.texts
        ]
        print_columns(rows, header=("strength", "new tokens"), right=(0,))
        if not result.cached:
            narrate("note: every token was computed from the whole text: keys and values kept gave other answers.")
    if result.cost is not None:
        print_line()
        print_line(format_cost(result.cost))
    recorded = "not recorded" if found.at_us is None else f"recorded {moment(found.at_us)}"
    if found.note is not None:
        narrate(f"noted: {found.note}")
    narrate(f"{recorded}; {result.seconds:.2g} s, {result.passes:.3g} forward passes")


def print_steerings(found: SteeringsAnswer) -> None:
    """Print a line for each that is recorded."""
    if not found.steerings:
        narrate("Nothing is recorded. headcode steer RUN --code 9.6:12 steers by a code of head 9.6.")
        return
    rows: list[tuple[str, ...]] = []
    for number, each in enumerate(found.steerings, start=1):
        result = each.steered.result
        summary = summarise(result.points)
        numbers = ("", "", "", "")
        if summary is not None:
            chances = ("" if each is None else f"{each:.2g}" for each in (summary.p_slope, summary.p_size))
            p_slope, p_size = chances
            numbers = (format_signed(summary.slope), p_slope, f"{summary.size:.2g}", p_size)
        rows.append((str(number), format_plan(each.steered.plan), f"{result.kl:.3g}", *numbers))
    print_columns(rows, header=("", "steered", "KL", "slope", "p", "size", "p"), right=(0, 2, 3, 4, 5, 6))


def token_rows(tokens: Sequence[NextToken]) -> list[tuple[str, ...]]:
    """Return token, probability and rank before and after, and the change."""
    return [
        (
            format_token(each.token).strip() or repr(each.token),
            f"{each.before:.3f}",
            f"#{each.rank_before}",
            f"{each.after:.3f}",
            f"#{each.rank_after}",
            f"{each.after - each.before:+.3f}",
        )
        for each in tokens
    ]


def curve_lines(result: SteerResult, control: str) -> list[str]:
    """Return the curve: strength, effect, its error, the band of random directions, and a strip."""
    of = "" if result.metric == "kl" else f", base {result.base:.3g}"
    lines = [f"{METRIC_WORDS.get(result.metric, result.metric)}{of}, {result.prompts} prompts"]
    span = effect_span(result.points)
    random = any(point.random for point in result.points)
    header = f"{'strength':>8} {'effect':>8} {'±':>6}"
    scale = f"{header}  {span[0]:.2g} to {span[1]:.2g}"
    lines.append(f"{scale}; {BAND} random directions" if random else scale)
    for point in result.points:
        error = "" if point.error is None else format_signed(point.error).lstrip("+")
        strip = "".join(text for text, _ in dose_strip(point, span, _STRIP))
        outside = " outside" if point.outside else ""
        lines.append(
            f"{point.strength:>+8g} {format_signed(point.effect):>8} {error:>6}  {strip.rstrip()}{outside}".rstrip()
        )
    summary = summarise(result.points)
    return lines if summary is None else [*lines, format_summary(summary, control)]


def text_label(strength: float, kind: str) -> str:
    """Return the label of new tokens at a strength."""
    if not strength:
        return "as it is"
    return f"{strength:+g}" if kind in ("code", "contrast") else "steered"


def format_cost(cost: TextCost) -> str:
    """Say what steering every token costs ordinary text."""
    text = (
        f"ordinary text, every token steered: {cost.before:.3f} nats per token before, {cost.after:.3f} after "
        f"({cost.tokens} tokens); perplexity times {cost.ratio:.3g}"
    )
    if cost.random:
        text += f"; random directions {min(cost.random):.3f} to {max(cost.random):.3f}"
    return text


def _unit_words(kind: str) -> str:
    return ": the whole difference" if kind == "contrast" else ": the mean length of what the node writes on this run"
