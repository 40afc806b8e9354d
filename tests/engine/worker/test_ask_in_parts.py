"""What is asked for in parts is the whole; nodes turned off are turned off as a plain pass does it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import EffectsConfig, LoadOptions
from engine.errors import NoSuchNode
from engine.examples import Example
from engine.models.warm_model import WarmModel
from engine.nodes import EMBEDDING, NodeId, mlp
from engine.protocol import AblateNodes, MeasureGrid, MeasureThrough
from engine.tasks.registry import TASKS
from engine.worker.ablate_nodes import ablate_nodes
from engine.worker.measure_places import measure_grid_of
from engine.worker.measure_through import measure_through

PROMPT = "When Mary and John went to the park, John gave a ball to"
OTHER = "When Mary and John went to the park, Robert gave a ball to"


@pytest.fixture(scope="module")
def warm() -> WarmModel:
    return WarmModel()


def fields(warm: WarmModel, model: str = "toy", **given: Any) -> dict[str, Any]:
    loaded, _ = warm.take(model, Path("/nowhere"), LoadOptions(device="cpu"))
    asked = {
        "job": "p1",
        "model": model,
        "models": "/nowhere",
        "device": "cpu",
        "identity": loaded.info.identity,
        "examples": TASKS["ioi"].make(loaded, pairs=3, seed=0),
        "config": EffectsConfig(method="exact"),
        "task": "ioi",
    }
    return asked | given


def test_the_grid_in_parts_is_the_grid(warm: WarmModel, recorder: Any) -> None:
    whole = measure_grid_of(MeasureGrid(**fields(warm)), warm, recorder())
    parts = [measure_grid_of(MeasureGrid(**fields(warm, layers=(layer,))), warm, recorder()) for layer in range(4)]
    assert all(part.how.prepared == 0 for part in parts)
    for number, prompt in enumerate(whole.prompts):
        for kind, rows in prompt.effects.items():
            for layer, row in enumerate(rows):
                assert parts[layer].prompts[number].effects[kind] == (pytest.approx(row, abs=1e-4),)
    with pytest.raises(NoSuchNode, match="m4"):
        measure_grid_of(MeasureGrid(**fields(warm, layers=(4,))), warm, recorder())


def test_later_nodes_in_parts_are_all_later_nodes(warm: WarmModel, recorder: Any) -> None:
    def through(**given: Any) -> Any:
        asked = MeasureThrough(**fields(warm, layer=1, head=3, **given))
        return measure_through(asked, warm, recorder())

    whole, parts = through(), [through(layers=(layer,)) for layer in range(4)]
    assert [(one.layer, one.head) for one in whole.through if one.layer == 1] == [(1, -1)]  # its own layer's MLP
    assert len(whole.through) == 1 + 2 * 9
    joined = {(one.layer, one.head): one.effect for part in parts for one in part.through}
    assert joined == pytest.approx({(one.layer, one.head): one.effect for one in whole.through}, abs=1e-4)
    assert any(abs(one.effect) > 0.01 for one in whole.through)
    assert parts[0].through == ()


def test_a_planted_circuit_acts_through_its_own_edge(warm: WarmModel, recorder: Any) -> None:
    from engine.planted import PLANTED

    circuit = PLANTED["planted-ioi"].circuit("ioi")
    heads = sorted(circuit.heads)
    source, last = heads[0], heads[-1]
    asked = MeasureThrough(**fields(warm, "planted-ioi", layer=source[0], head=source[1]))
    found = measure_through(asked, warm, recorder())
    best = max(found.through, key=lambda one: abs(one.effect))
    assert (best.layer, best.head) in set(heads)
    assert (best.layer, best.head) != tuple(source)
    none_after = MeasureThrough(**fields(warm, "planted-ioi", layer=last[0], head=last[1], layers=(last[0],)))
    through = measure_through(none_after, warm, recorder()).through
    assert all(abs(one.effect) < 1e-3 for one in through)


def off(warm: WarmModel, recorder: Any, nodes: Any, replacement: str = "pair", **given: Any) -> Any:
    examples = (
        Example(prompt=PROMPT, polarity="positive", pair=1),
        Example(prompt=OTHER, polarity="negative", pair=1),
    )
    config = EffectsConfig(method="exact", metric="kl", replacement=replacement)  # type: ignore[arg-type]
    asked = fields(warm, examples=examples, task=None, config=config, nodes=nodes, **given)
    return ablate_nodes(AblateNodes(**asked), warm, recorder())


def test_the_next_token_with_nodes_off_is_that_of_a_plain_pass(warm: WarmModel, recorder: Any) -> None:
    model, _ = warm.take("toy", Path("/nowhere"), LoadOptions(device="cpu"))
    found = off(warm, recorder, ((3, -1), (2, 6)), "zero")
    tokens = torch.tensor([model.encode(PROMPT)[0]])
    n_heads = model.info.n_heads

    def without(z: torch.Tensor, hook: object) -> torch.Tensor:  # noqa: ARG001
        heads = z.view(*z.shape[:2], n_heads, -1).clone()
        heads[:, :, 6] = 0
        return heads.view(z.shape)

    hooks = [("blocks.2.attn.hook_z", without), (model.mlps.hook(3), lambda out, hook: torch.zeros_like(out))]  # noqa: ARG005
    with torch.no_grad():
        before = model.bridge(tokens, return_type="logits")[0, -1].float().softmax(-1)
        after = model.bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type="logits")[0, -1].float().softmax(-1)
    values = {each.token: (each.before, each.after) for each in found.next_tokens}
    for probabilities, place in ((before, 0), (after, 1)):
        for token in probabilities.topk(10).indices.tolist():
            assert values[model.token_words(token)][place] == pytest.approx(float(probabilities[token]), abs=1e-4)
    assert found.next_tokens[0].rank_before == 1
    assert found.kl == pytest.approx(float((before * (before / after).log()).sum()), rel=1e-2)


def test_all_that_is_read_off_is_the_other_prompt(warm: WarmModel, recorder: Any) -> None:
    every = off(warm, recorder, ((-1, -1),))
    own = off(warm, recorder, ((3, 7),), most=3)
    assert len(own.next_tokens) in range(3, 7)
    assert every.kl > own.kl >= 0
    with pytest.raises(NoSuchNode, match=r"9\.9"):
        off(warm, recorder, ((9, 9),))
    assert str(EMBEDDING) == "emb"
    assert (mlp(3), NodeId(2, 6)) == ((3, -1), (2, 6))
