"""Neurons of an MLP as tables and as JSON."""

import msgspec

from engine.node_parts import NeuronFacts, PromptActivations, RunNeuron, Tokens
from sessions.protocol import MlpInspection, NeuronInspection
from tui.output.console import narrate, print_columns, print_line, shorten
from tui.output.effects import REPLACED, format_signed
from tui.output.places import format_how, format_token, how_json

NEURONS_SCHEMA = "headcode.neurons/1"
NEURON_SCHEMA = "headcode.neuron/1"
_FEW = 3
_WORDS = 34


def neurons_json(found: MlpInspection, node: str, example: int) -> dict[str, object]:
    """Return the neurons as JSON values, schema headcode.neurons/1."""
    return {
        "schema": NEURONS_SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        "node": node,
        **how_json(found.how),
        "base": found.base,
        "positives": found.prompts,
        "n_neurons": found.n_neurons,
        "attribution": found.attribution,
        "example": example,
        "tokens": list(found.tokens),
        "neurons": msgspec.to_builtins(found.neurons),
    }


def neuron_json(found: NeuronInspection) -> dict[str, object]:
    """Return one neuron as JSON values, schema headcode.neuron/1."""
    facts: dict[str, object] = msgspec.to_builtins(found.facts)
    return {
        "schema": NEURON_SCHEMA,
        "model": found.model.name,
        "identity": found.model.identity,
        **facts,
        "prompt": None if found.on_prompt is None else msgspec.to_builtins(found.on_prompt),
    }


def print_neurons(found: MlpInspection, node: str, *, most: int) -> None:
    """Print the first neurons in the order in which they come."""
    for notice in found.how.notices:
        narrate(f"note: {notice}")
    shown = found.neurons[:most]
    print_line(
        f"{node} of {found.model.name}: {len(shown)} of {found.n_neurons} neurons, {REPLACED[found.how.replacement]}"
    )
    print_line(format_how(found.how, found.prompts, found.base))
    print_line(f"attribution of all neurons together {format_signed(found.attribution)}")
    measured = any(each.effect is not None for each in shown)
    header = (
        "neuron",
        "attribution",
        *(("exact", "±") if measured else ()),
        "difference",
        "fires",
        "",
        "raises",
        "lowers",
    )
    right = (0, 1, 2, 3, 4) if measured else (0, 1, 2)
    print_columns([_neuron_row(each, measured=measured) for each in shown], header=header, right=right)


def print_neuron(found: NeuronInspection) -> None:
    """Print what the weights say of the neuron, and its activations on the prompt."""
    facts = found.facts
    print_line(f"neuron {facts.layer}.{facts.neuron} of {found.model.name}: one of {facts.n_neurons} in m{facts.layer}")
    print_columns(_facts_rows(facts))
    if found.on_prompt is not None:
        print_line()
        print_columns(_activation_rows(found.on_prompt), header=("position", "token", "activation", ""), right=(0, 2))


def _neuron_row(neuron: RunNeuron, *, measured: bool) -> tuple[str, ...]:
    exact = (
        format_signed(neuron.effect or 0.0),
        "" if neuron.error is None else format_signed(neuron.error).lstrip("+"),
    )
    if neuron.effect is None:
        exact = ("-", "")
    return (
        str(neuron.neuron),
        _precise(neuron.attribution),
        *(exact if measured else ()),
        f"{neuron.difference:.3g}",
        f"{neuron.peak:.3g} > {neuron.peak_other:.3g}",
        f"{format_token(neuron.token)} ({neuron.example + 1}:{neuron.position + 1})",
        _few(neuron.raises),
        _few(neuron.lowers),
    )


def _facts_rows(facts: NeuronFacts) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("writes", f"norm {facts.norm:.3g}"),
        ("  raises", _all(facts.raises)),
        ("  lowers", _all(facts.lowers)),
    ]
    for read in facts.reads:
        rows += [
            (f"reads ({read.part})", f"norm {read.norm:.3g}"),
            ("  excited by", _all(read.excites)),
            ("  inhibited by", _all(read.inhibits)),
        ]
    if not facts.reads:
        rows.append(("reads", "TransformerLens does not show the rows that it reads by"))
    return rows


def _activation_rows(found: PromptActivations) -> list[tuple[str, ...]]:
    unit = max((abs(each) for each in found.activations), default=0.0) or 1.0
    return [
        (
            str(place + 1),
            format_token(token),
            f"{value:.3g}",
            ("-" if value < 0 else "+") * round(20 * abs(value) / unit),
        )
        for place, (token, value) in enumerate(zip(found.tokens, found.activations, strict=True))
    ]


def _precise(value: float) -> str:
    return f"{value:+.2g}" if value else "0"


def _few(tokens: Tokens) -> str:
    return shorten(" ".join(_word(token) for token, _ in tokens[:_FEW]), _WORDS)


def _all(tokens: Tokens) -> str:
    return "  ".join(f"{_word(token)} {value:+.2f}" for token, value in tokens)


def _word(token: str) -> str:
    return format_token(token).strip() or repr(token)
