"""Compare backup heads with plain hooks, and with a model that was written to have one."""

from collections.abc import Collection
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.analysis.effects import MOVES, dormant_heads, merge_measurement, with_effects
from engine.catalog.local_models import bundled_folder
from engine.config import EffectsConfig, LoadOptions
from engine.errors import ExampleError, NoSuchNode
from engine.events import EffectsMeasured
from engine.examples import Example
from engine.models.loading import Model, load_model
from engine.nodes import NodeId
from engine.patching.effects_stage import EffectsStage
from engine.results import NodeEffect

from ...run_parts import effects_measured, scores_of
from ..by_hand import ioi

CIRCUIT = (NodeId(0, 5), NodeId(1, 1), NodeId(1, 3))


def backups(model: Model, examples: Any, circuit: Any, monitor: Any, **more: Any) -> dict[str, EffectsMeasured]:
    only = more.pop("only", ())
    found = EffectsStage(model, examples, EffectsConfig(method="exact", **more), monitor, position="mean", task=None)
    found.find_backups(circuit, name="some heads", only=only)
    return {cause.method: cause for cause in found.causes}


def test_effects_with_a_circuit_replaced_are_what_plain_hooks_find(model: Model, recorder: Any) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(str(bundled_folder())).eval()
    width, examples = plain.config.n_embd // plain.config.n_head, ioi(model, 3)

    def run(prompt: str, heads: Collection[NodeId], other: dict[int, Tensor]) -> tuple[Tensor, dict[int, Tensor]]:
        """The last logits with these heads' z taken from another prompt, and every layer's z."""
        seen: dict[int, Tensor] = {}

        def hook(layer: int) -> Any:
            def change(_module: Any, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                seen[layer] = given[0].clone()
                z = given[0].clone()
                for head in heads:
                    if head.layer == layer:
                        part = slice(head.head * width, (head.head + 1) * width)
                        z[..., part] = other[layer][..., part]
                return (z, *given[1:])

            return change

        handles = [
            block.attn.c_proj.register_forward_pre_hook(hook(layer)) for layer, block in enumerate(plain.transformer.h)
        ]
        with torch.no_grad():
            logits = plain(torch.tensor([model.encode(prompt)[0]])).logits[0, -1]
        for handle in handles:
            handle.remove()
        return logits, seen

    found = backups(model, examples, CIRCUIT, recorder(), metric="logit_difference")
    others = {NodeId(one.layer, one.head): one for one in found["backup"].effects}
    assert set(others) == {NodeId(layer, head) for layer in range(4) for head in range(8)} - set(CIRCUIT)
    assert found["backup"].after == CIRCUIT
    for head in (NodeId(0, 0), NodeId(1, 0), NodeId(2, 6), NodeId(3, 5)):
        after, alone, left = [], [], []
        for one, other in zip(examples[::2], examples[1::2], strict=True):
            yes, no = (model.tokens.alone(texts[0])[0] for texts in (one.expected, one.foils))
            _, there = run(other.prompt, (), {})

            def answer(*heads: NodeId, one: Example = one, there: Any = there, yes: Any = yes, no: Any = no) -> float:
                logits = run(one.prompt, heads, there)[0]
                return float(logits[yes] - logits[no])

            alone.append(answer(head) - answer())
            left.append(answer(*CIRCUIT))
            after.append(answer(*CIRCUIT, head) - answer(*CIRCUIT))
        output = others[head]
        assert output.effect == pytest.approx(sum(after) / 3, abs=2e-4)
        assert output.alone == pytest.approx(sum(alone) / 3, abs=2e-4)
        assert output.size == pytest.approx(sum(map(abs, after)) / 3, abs=2e-4)
        assert found["backup"].left == pytest.approx(sum(left) / 3, abs=2e-4)
    # What the heads do alone is an exact effect like any other, the circuit's own included.
    assert len(found["exact"].effects) == 32
    same = {NodeId(one.layer, one.head): one.effect for one in found["exact"].effects}
    assert all(one.alone == same[head] for head, one in others.items())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of two layers and two heads that repeats its first name. Head 0.0 copies it and raises a flag; head 1.0
    copies it, too, with .6 of the strength, but looks away while the flag is up. Heads 0.1 and 1.1 do nothing."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(str(bundled_folder()))
    n = len(tokenizer)
    width = 2 * n + 8  # what a token is, what is to be said, and a few signs
    flag, one, first, second = range(2 * n, 2 * n + 4)
    config = GPT2Config(
        vocab_size=n,
        n_embd=width,
        n_layer=2,
        n_head=2,
        n_inner=4,
        n_positions=16,
        layer_norm_epsilon=1e8,  # the norms do nothing but take off a mean of nearly nothing
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = GPT2LMHeadModel(config)
    place = len(tokenizer("Then")["input_ids"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.fill_(1e4)
        body, half = model.transformer, width // 2
        body.wte.weight[:, :n] = torch.eye(n)
        body.wpe.weight[:, one] = 1
        body.wpe.weight[place, first] = 1
        body.wpe.weight[place + 1, second] = 1
        model.lm_head.weight[:, n : 2 * n] = 10 * torch.eye(n)
        for layer, gain in ((0, 1.0), (1, 0.6)):
            attention = body.h[layer].attn
            q, k, v = (attention.c_attn.weight[:, start * width :][:, :half] for start in range(3))
            q[one, 0], k[first, 0] = 12 * half**0.5, 1  # everybody looks at the first name
            v[:n, :n] = torch.eye(n)
            attention.c_proj.weight[:n, n : 2 * n] = gain * torch.eye(n)
            if layer == 0:
                v[one, n] = attention.c_proj.weight[n, flag] = 1
            else:
                q[flag, 1], k[second, 1] = 36 * half**0.5, 1  # at the next token, where the flag is up
    folder = tmp_path_factory.mktemp("written")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(str(folder), folder, LoadOptions(device="cpu"))


def names(n: int = 4) -> tuple[Example, ...]:
    output = [("Mary", "John"), ("Sarah", "James"), ("Anna", "Robert"), ("Emma", "William")][:n]
    return tuple(
        Example(prompt=f"Then {name} gave a ring to", polarity=polarity, expected=(a,), foils=(b,), pair=pair)
        for pair, (a, b) in enumerate(output)
        for name, polarity in ((a, "positive"), (b, "negative"))
    )


def test_a_head_that_takes_over_by_construction_is_found_and_no_other(written: Model, recorder: Any) -> None:
    examples = tuple(
        example for example in names() if all(len(written.tokens.alone(f" {each}")) == 1 for each in example.expected)
    )
    assert len(examples) >= 4
    found = backups(written, examples, [NodeId(0, 0)], recorder(), replacement="zero", metric="logit_difference")
    clean = found["exact"].base
    assert clean == pytest.approx(10, rel=0.05)
    alone = {NodeId(one.layer, one.head): one.effect / clean for one in found["exact"].effects}
    # Of the circuit's head, which does all of it, only four tenths show: the backup hides the rest, and itself.
    assert alone[NodeId(0, 0)] == pytest.approx(-0.4, abs=0.05)
    assert abs(alone[NodeId(1, 0)]) < MOVES
    assert found["backup"].left == pytest.approx(6, rel=0.05)
    after = {NodeId(one.layer, one.head): one.effect / clean for one in found["backup"].effects}
    assert set(after) == {NodeId(0, 1), NodeId(1, 0), NodeId(1, 1)}
    assert after[NodeId(1, 0)] == pytest.approx(-0.6, abs=0.05)
    assert max(abs(after[NodeId(0, 1)]), abs(after[NodeId(1, 1)])) < 1e-6
    dormant = dormant_heads(list(found.values()))
    assert dormant is not None
    assert dormant[1] == [NodeId(1, 0)]
    nodes = tuple(scores_of(layer, head) for layer in range(2) for head in range(2))
    growth = {node.id: node.backup for node in with_effects(nodes, list(found.values()))}
    assert growth[NodeId(0, 0)] is None
    assert growth[NodeId(1, 0)] == pytest.approx(0.6, abs=0.05)
    assert growth[NodeId(0, 1)] == growth[NodeId(1, 1)] == pytest.approx(0, abs=1e-6)


def test_some_heads_alone_can_be_asked_for_and_nonsense_is_refused(model: Model, recorder: Any) -> None:
    found = backups(model, ioi(model), CIRCUIT, recorder(), only=[NodeId(2, 3), NodeId(0, 5)])
    assert [(one.layer, one.head) for one in found["backup"].effects] == [(2, 3)]
    with pytest.raises(ExampleError, match="in the circuit"):
        backups(model, ioi(model), CIRCUIT, recorder(), only=[NodeId(0, 5)])
    with pytest.raises(NoSuchNode):
        backups(model, ioi(model), [NodeId(9, 0)], recorder())


def test_an_effect_no_larger_than_its_error_makes_no_head_dormant() -> None:
    def cause(error: float, *, final: bool = True) -> EffectsMeasured:
        return effects_measured(
            (NodeEffect(layer=1, head=0, effect=-0.4, error=error, alone=0.1),),
            method="backup",
            passes=1.0,
            final=final,
            after=((0, 0),),
        )

    assert dormant_heads([cause(0.1)]) == (cause(0.1), [NodeId(1, 0)])
    assert dormant_heads([cause(0.3)]) == (cause(0.3), [])
    assert dormant_heads([cause(0.1, final=False)]) is None
    assert len(merge_measurement([cause(0.1)], cause(0.2))) == 1
