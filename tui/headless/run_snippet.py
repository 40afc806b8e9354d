"""A stored run as a Python script that loads its codes and activations, and repeats one patch with TransformerLens."""

import re

from engine.analysis.effects import primary, rank_effects
from engine.analysis.ranking import ranked
from engine.config import load_fields
from engine.events import EffectsMeasured
from engine.examples import write_jsonl
from engine.nodes import NodeId
from engine.results import NodeEffect
from tui.headless.run_command import file_name
from tui.headless.stored_run import StoredRun

MOST_EXAMPLES = 200_000
"""Characters of examples that are written into the script; more are read from a file."""
_SCRIPT = '''\
"""Run {number} of {session}, made with Headcode {version}: its codes, its activations, and one patch.

Needs Headcode in this Python (docs/api.md). The names are those of engine.api, which stay.
"""

import subprocess
import sys
from pathlib import Path

import torch

from engine.api import activations, answer, load, pair_rows, read_jsonl, stored_codes, tokens

RUN, SESSION = {run_id}, {session_id}
LAYER, HEAD = {layer}, {head}  # {why}
METRIC = {metric}

# The examples, as the run read them.
EXAMPLES = read_jsonl({examples})

# The model. Another identity means other weights, whose numbers differ.
model = load({model}{loading})
if model.info.identity != {identity}:
    print("These are not the weights of the run.", file=sys.stderr)

# Codes, from the stored session: one integer per seed, example and node; -1: it writes too little.
bundle = Path({bundle})
if not bundle.exists():
    subprocess.run([sys.executable, "-m", "tui.cli", "export", SESSION, str(bundle)], check=True, stdout=sys.stderr)
codes = stored_codes(bundle, RUN)
node = LAYER * model.info.n_heads + HEAD
print(f"codes of {{LAYER}}.{{HEAD}} in the first seed")
for code, example in zip(codes[0, :, node].tolist(), EXAMPLES, strict=True):
    print(f"{{code:5}} {{'+' if example.positive else '-'}} {{example.prompt!r}}")

# Activations: z of every head, [example, layer, head, d_head], pooled over each prompt's tokens.
z = activations(model, EXAMPLES).z
print(f"activations {{tuple(z.shape)}}; length of {{LAYER}}.{{HEAD}} on example 1: {{z[0, LAYER, HEAD].norm():.4f}}")

# One patch, as TransformerLens does it: on each positive, z of this head becomes what it is on the paired negative.
HOOK = f"blocks.{{LAYER}}.attn.hook_z"
effects, bases = [], []
for first, second in pair_rows(EXAMPLES).tolist():
    positive, negative = EXAMPLES[first], EXAMPLES[second]
    clean, other = tokens(model, positive.prompt), tokens(model, negative.prompt)
    if clean.shape != other.shape:
        continue  # sides of unequal length do not align
    with torch.inference_mode():
        kept = []
        model.bridge.run_with_hooks(other, fwd_hooks=[(HOOK, lambda z, hook: kept.append(z[:, :, HEAD].clone()))])

        def patch(z, hook):
            z = z.clone()
            z[:, :, HEAD] = kept[0]
            return z

        before = answer(model, model.bridge(clean), positive, METRIC)
        after = answer(model, model.bridge.run_with_hooks(clean, fwd_hooks=[(HOOK, patch)]), positive, METRIC)
    bases.append(before)
    effects.append(after - before)
n, how = max(len(effects), 1), f"{{METRIC}}, {{len(effects)}} pairs"
print(f"effect of {{LAYER}}.{{HEAD}} {{sum(effects) / n:.4f}} of {{sum(bases) / n:.4f}} ({{how}})")
{stored}'''


def run_snippet(facts: StoredRun) -> str:
    """Return the script. Every text of the run is written as a Python literal of ASCII characters."""
    picture = facts.picture
    assert picture.model is not None, facts.name
    cause, effect = _patched(facts)
    node = effect.id if effect is not None else _best_head(facts)
    metric = cause.metric if cause is not None and cause.metric != "kl" else "logit_difference"
    text = write_jsonl(picture.examples)
    examples = _lines(text) if len(text) <= MOST_EXAMPLES else f"Path({file_name(facts, '.jsonl')!a}).read_text()"
    stored = ""
    if cause is not None and effect is not None:
        stored = f'print("effect in the run {effect.effect:.4f} of {cause.base:.4f} ({cause.n_examples} pairs)")\n'
    return _SCRIPT.format(
        number=facts.run.number,
        session=_comment(facts.session.name),
        version=_comment(picture.versions.headcode if picture.versions is not None else ""),
        run_id=ascii(facts.run.run_id),
        session_id=ascii(facts.session.session_id),
        layer=node.layer,
        head=node.head,
        why="the head with the largest measured effect" if effect is not None else "the best head of the ranking",
        metric=ascii(metric),
        examples=examples,
        model=ascii(facts.run.model),
        loading=_loading(facts),
        identity=ascii(picture.model.identity),
        bundle=ascii(file_name(facts, ".headcode")),
        stored=stored,
    )


def _patched(facts: StoredRun) -> tuple[EffectsMeasured | None, NodeEffect | None]:
    """Return the head with the largest effect measured exactly by pairs everywhere; None if there is no such effect."""
    exact = {node.id for node in facts.picture.nodes if node.exact_effect is not None}
    for method in ("combined", "exact"):
        cause = primary(facts.picture.causes).get(method)
        if cause is not None and cause.replacement == "pair" and cause.position == "mean" and cause.metric != "kl":
            heads = [each for each in rank_effects(cause) if each.id.is_head and each.id in exact]
            if heads:
                return cause, heads[0]
    return None, None


def _best_head(facts: StoredRun) -> NodeId:
    return next(node.id for node in ranked(facts.picture.nodes) if node.id.is_head)


def _loading(facts: StoredRun) -> str:
    """Return the arguments of device and precision that are not their defaults."""
    if facts.queued is None:
        return ""
    given = load_fields(facts.queued)
    return "".join(f", {name}={given[name]!a}" for name in ("device", "dtype") if given[name] != "auto")


def _lines(text: str) -> str:
    """Return the text as literals of one line each, for between brackets."""
    return "\n".join(["", *(f"    {line!a}" for line in text.splitlines(keepends=True)), ""])


def _comment(text: str) -> str:
    """Return the text for a docstring: plain characters only."""
    return re.sub(r"[^A-Za-z0-9 .,+_-]", "?", text)[:80]
