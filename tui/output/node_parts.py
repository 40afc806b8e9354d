"""Through whom a node acts, and the next token with nodes turned off, as tables and as JSON."""

import msgspec

from engine.nodes import NodeId
from sessions.protocol import Ablation, Through
from tui.output.console import narrate, print_columns, print_line
from tui.output.effects import REPLACED, format_signed
from tui.output.places import format_how, format_token, how_json

THROUGH_SCHEMA = "headcode.through/1"
ABLATION_SCHEMA = "headcode.ablation/1"


def through_rows(found: Through, most: int | None = None) -> list[tuple[str, ...]]:
    """Return node, effect and standard error, the largest effect first."""
    ordered = sorted(found.through, key=lambda one: (-abs(one.effect), one.layer, one.head))[:most]
    return [
        (
            str(NodeId(one.layer, one.head)),
            format_signed(one.effect),
            "" if one.error is None else format_signed(one.error).lstrip("+"),
        )
        for one in ordered
    ]


def through_json(found: Through, node: str) -> dict[str, object]:
    """Return the effects as JSON values, schema headcode.through/1, in the order of the model's nodes."""
    return {
        "schema": THROUGH_SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        "node": node,
        **how_json(found.how),
        "base": found.base,
        "positives": found.prompts,
        "through": [
            {
                "node": str(NodeId(one.layer, one.head)),
                "kind": NodeId(one.layer, one.head).kind,
                "layer": one.layer,
                "head": one.head if NodeId(one.layer, one.head).is_head else None,
                "effect": one.effect,
                "error": one.error,
            }
            for one in found.through
        ],
    }


def print_through(found: Through, node: str, *, most: int) -> None:
    """Print the later nodes with the largest effects."""
    for notice in found.how.notices:
        narrate(f"note: {notice}")
    print_line(
        f"{node} of {found.model.name}, read {REPLACED[found.how.replacement]} by one later node alone: "
        f"{len(found.through)} later nodes"
    )
    print_line(format_how(found.how, found.prompts, found.base))
    print_columns(through_rows(found, most), header=("through", "effect", "±"), right=(1, 2))


def ablation_json(found: Ablation) -> dict[str, object]:
    """Return the next tokens as JSON values, schema headcode.ablation/1."""
    how = how_json(found.how)
    del how["metric"]  # the distributions themselves are returned
    return {
        "schema": ABLATION_SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        "nodes": list(found.nodes),
        **how,
        "prompt": found.prompt,
        "other": found.other or None,
        "tokens": list(found.tokens),
        "kl": found.kl,
        "next_tokens": msgspec.to_builtins(found.next_tokens),
    }


def ablation_lines(found: Ablation) -> list[str]:
    """Return what was turned off on which prompt."""
    lines = [f"off: {' '.join(found.nodes)}, replaced {REPLACED[found.how.replacement]}"]
    lines.append(f"prompt: {format_line(found.prompt)}")
    if found.other:
        lines.append(f"values of: {format_line(found.other)}")
    return [*lines, f"KL divergence {found.kl:.3g} nats"]


def next_token_rows(found: Ablation) -> list[tuple[str, ...]]:
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
        for each in found.next_tokens
    ]


def print_ablation(found: Ablation) -> None:
    """Print the next tokens before and after."""
    for notice in found.how.notices:
        narrate(f"note: {notice}")
    for line in ablation_lines(found):
        print_line(line)
    header = ("next token", "before", "", "after", "", "change")
    print_columns(next_token_rows(found), header=header, right=(1, 3, 5))


def format_line(text: str) -> str:
    """Return a prompt on one line."""
    return repr(text)[1:-1]
