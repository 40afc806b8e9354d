"""The explanation of a code as text and as JSON."""

import msgspec

from engine.explanations import CodeExplanation, SalientPrompt
from engine.nodes import NodeId
from sessions.protocol import Explained
from tui.output.console import narrate, print_columns, print_line
from tui.output.explanation_tree import summary, tree_rows, word_sources
from tui.output.places import format_token

SCHEMA = "headcode.explanation/1"
_BAR = 8


def explanation_json(found: Explained) -> dict[str, object]:
    """Return the explanation as JSON values, schema headcode.explanation/1."""
    explanation = found.explanation
    values: dict[str, object] = msgspec.to_builtins(explanation)
    for name in ("same_kind", "contexts", "together"):
        values[name] = _predicted(explanation, name)
    for name in ("frequent", "best_token"):
        rule = getattr(explanation, name)
        values[name] = {"token": rule.token, **_numbers(rule.predicted)}
    return {
        "schema": SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        "node": str(NodeId(explanation.layer, explanation.head)),
        "recorded": found.recorded,
        **values,
    }


def print_explanation(found: Explained) -> None:
    """Print the tree, the tokens that matter, and how well it predicts."""
    explanation = found.explanation
    for notice in explanation.notices:
        narrate(f"note: {notice}")
    print_line(title(explanation, found.model.name))
    print_line()
    print_line("shortest prompts that keep the code, read from their end; without any one of these tokens it is lost")
    rows: list[tuple[str, ...]] = []
    for row in tree_rows(explanation):
        tokens = " | ".join(
            f"{format_token(text).strip()}{f' ({letter})' if letter else ''}"
            for text, letter in ((row.own, row.letter), (row.other, row.other_letter))
            if text
        )
        words = " | ".join(filter(None, (row.words, row.other_words)))
        rows.append((row.branches + tokens, bar(row.saliency), words, row.ends))
    print_columns(rows, header=("token", "saliency", "what else can stand there", ""))
    print_line(word_sources(explanation))
    print_line()
    print_line(held_out(explanation))
    print_columns(
        summary(explanation),
        header=("", "precision", "recall", ""),
        right=(1, 2),
    )
    same, contexts = explanation.same_kind, explanation.contexts
    print_line(
        f"  of the same kind: right for {same.right} of {same.with_code}, wrong for {same.said - same.right}; "
        f"of other tasks: right for {contexts.right} of {contexts.with_code}, "
        f"wrong for {contexts.said - contexts.right}"
    )
    for each in explanation.salient:
        print_line()
        print_line(f"example {each.example + 1}: how much of the code each token carries")
        print_columns(_salient_rows(each), right=(1,))
    how = "as recorded" if found.recorded else "now recorded with the run"
    print_line()
    print_line(f"{explanation.passes} prompts through the model, {explanation.seconds:.1f} s; {how}")


def title(explanation: CodeExplanation, model: str) -> str:
    """Return what is explained."""
    node = NodeId(explanation.layer, explanation.head)
    return (
        f"code {explanation.code} of {node}, {model}, seed {explanation.seed}: "
        f"{explanation.with_code} of {explanation.examples} examples have it"
    )


def held_out(explanation: CodeExplanation) -> str:
    """Return what the prediction is judged by."""
    kind = "new prompts of the run's task" if explanation.held_out == "task" else "examples that were kept aside"
    return (
        f"predicts the code on {explanation.same_kind.prompts} {kind} and {explanation.contexts.prompts} of other tasks"
    )


def bar(saliency: float) -> str:
    """Draw a saliency from 0 to 1."""
    return "#" * round(_BAR * min(max(saliency, 0.0), 1.0))


def _salient_rows(prompt: SalientPrompt) -> list[tuple[str, ...]]:
    return [(format_token(token), f"{value:.2f}", bar(value)) for token, value in prompt.tokens]


def _predicted(explanation: CodeExplanation, name: str) -> dict[str, object]:
    return _numbers(getattr(explanation, name))


def _numbers(predicted: object) -> dict[str, object]:
    values: dict[str, object] = msgspec.to_builtins(predicted)
    return {**values, "precision": predicted.precision, "recall": predicted.recall}  # type: ignore[attr-defined]
