"""Steering against a model of transformers alone, with forward hooks written by hand and whole passes."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.catalog.local_models import bundled_folder
from engine.config import EffectsConfig
from engine.errors import ConfigError, EngineError, ExampleError, NoSuchNode
from engine.examples import Example
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.nodes import EMBEDDING, NodeId, mlp
from engine.patching.directions import random_directions
from engine.patching.forward import ForwardPasses
from engine.patching.generation import continues
from engine.protocol import SteerModel
from engine.steering import SteerPlan, SteerResult, summarise
from engine.worker.steer import steer

from ..by_hand import ioi

CODES = torch.nn.functional.normalize(torch.randn(5, 96, generator=torch.Generator().manual_seed(5)), dim=-1)
HEAD = NodeId(2, 6)


@pytest.fixture(scope="module")
def plain() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(bundled_folder())).eval()


@pytest.fixture
def sae(tmp_path: Path) -> str:
    path = tmp_path / "sae.safetensors"
    other = CODES.flip(0).contiguous()
    save_file({"W_d_T": torch.stack([CODES, CODES + 1]), "others.W_d_T": torch.stack([other, other])}, str(path))
    return str(path)


@pytest.fixture
def steered(model: Model, warm_model: WarmModel, sae: str, recorder: Any) -> Callable[..., SteerResult]:
    examples = ioi(model)

    def run(by: str = "zero", **plan: Any) -> SteerResult:
        plan = {"kind": "code", "nodes": (HEAD,), "code": 3, "seed": 0, "random": 3, "examples": 3} | plan
        request = SteerModel(
            job="k1",
            model="toy",
            models="/nowhere",
            device="cpu",
            identity=model.info.identity,
            examples=examples,
            config=EffectsConfig(method="exact", replacement=by, examples=plan["examples"]),
            task="ioi",
            plan=SteerPlan(**plan),
            sae=sae,
            nodes="all",
        )
        return steer(request, warm_model, recorder()).result

    return run


def module_of(plain: Any, node: NodeId) -> Any:
    layer = plain.transformer.h[node.layer]
    return layer.attn if node.is_head else layer.mlp


def adding(plain: Any, node: NodeId, vector: Tensor, places: slice | list[int]) -> AbstractContextManager[Any]:
    """Add the vector to what attention, an MLP or the embedding writes."""
    if node == EMBEDDING:

        def enter(_module: Any, args: Any, given: Any) -> Any:
            stream = (args[0] if args else given["hidden_states"]).clone()
            stream[:, places] += vector
            return ((stream, *args[1:]), given) if args else (args, given | {"hidden_states": stream})

        return plain.transformer.h[0].register_forward_pre_hook(enter, with_kwargs=True)  # type: ignore[no-any-return]

    def add(_module: Any, _args: Any, output: Any) -> Any:
        first = (output[0] if isinstance(output, tuple) else output).clone()
        first[:, places] += vector
        return (first, *output[1:]) if isinstance(output, tuple) else first

    return module_of(plain, node).register_forward_hook(add)  # type: ignore[no-any-return]


def silencing(plain: Any, keep: Sequence[NodeId], width: int = 12) -> ExitStack:
    """Zero every head and MLP that is not kept: heads where their layer's projection reads them."""
    stack = ExitStack()
    for number, layer in enumerate(plain.transformer.h):

        def cut(_module: Any, args: Any, number: int = number) -> Any:
            z = args[0].clone()
            for head in range(z.shape[-1] // width):
                if NodeId(number, head) not in keep:
                    z[..., head * width : (head + 1) * width] = 0
            return (z, *args[1:])

        stack.enter_context(layer.attn.c_proj.register_forward_pre_hook(cut))
        if mlp(number) not in keep:
            stack.enter_context(layer.mlp.register_forward_hook(lambda _module, _args, output: output * 0))
    return stack


def answer(plain: Any, ids: Sequence[int], *contexts: Any) -> Tensor:
    with torch.no_grad(), ExitStack() as stack:
        for each in contexts:
            stack.enter_context(each)
        return plain(torch.tensor([list(ids)])).logits[0, -1].double()


def probabilities(result: SteerResult, after: bool = True) -> dict[str, float]:
    return {each.token: each.after if after else each.before for each in result.next_tokens}


def expect(model: Model, result: SteerResult, logits: Tensor) -> None:
    wanted = logits.softmax(dim=-1)
    best = wanted.topk(5)
    found = probabilities(result)
    for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        assert found[model.token_words(token)] == pytest.approx(value, abs=2e-5)


@pytest.mark.parametrize("node", [HEAD, NodeId(0, 1), mlp(1), EMBEDDING], ids=str)
@pytest.mark.parametrize(("where", "places"), [("all", slice(None)), ("last", [-1]), ("place", [4])])
def test_a_codes_direction_is_added_to_what_its_node_writes(
    node: NodeId, where: str, places: Any, model: Model, plain: Any, steered: Callable[..., SteerResult]
) -> None:
    result = steered(nodes=(node,), where=where, place=4, strength=-12.0)
    ids, _ = model.encode(ioi(model)[0].prompt)
    direction = CODES[3] if node.is_head else CODES.flip(0)[3]
    expect(model, result, answer(plain, ids, adding(plain, node, -12.0 * result.unit * direction, places)))
    assert result.kl > 1e-6
    assert len(result.steered) == (len(ids) if where == "all" else 1)


def test_the_unit_is_the_mean_length_of_what_the_head_writes(
    model: Model, plain: Any, steered: Callable[..., SteerResult]
) -> None:
    lengths = []
    for example in [each for each in ioi(model) if each.positive][:4]:
        ids, _ = model.encode(example.prompt)
        found: list[Tensor] = []
        projection = plain.transformer.h[HEAD.layer].attn.c_proj
        with projection.register_forward_pre_hook(lambda _module, args, found=found: found.append(args[0])):
            answer(plain, ids)
        own = slice(HEAD.head * 12, (HEAD.head + 1) * 12)
        lengths += (found[0][0][:, own] @ projection.weight[own]).norm(dim=-1).tolist()
    assert steered(examples=4).unit == pytest.approx(sum(lengths) / len(lengths), rel=1e-4)


@pytest.mark.parametrize("where", ["all", "last"])
def test_the_curve_is_what_plain_hooks_give_and_so_are_the_random_directions(
    where: str, model: Model, plain: Any, steered: Callable[..., SteerResult], recorder: Any
) -> None:
    result = steered(where=where, strengths=(-2.0, 3.0), examples=4)
    random = random_directions(ForwardPasses(model, recorder()), HEAD, 3, 0, "stream")
    assert random.norm(dim=-1).tolist() == pytest.approx([1.0] * 3)
    places: Any = slice(None) if where == "all" else [-1]
    for point in result.points:
        effects: list[list[float]] = []
        for direction in (CODES[3], *random):
            vector = point.strength * result.unit * direction
            changes = []
            for example in [each for each in ioi(model) if each.positive]:
                ids, _ = model.encode(example.prompt)
                right, wrong = (
                    model.tokens.alone(" " + each[0].strip())[0] for each in (example.expected, example.foils)
                )
                clean, changed = answer(plain, ids), answer(plain, ids, adding(plain, HEAD, vector, places))
                changes.append(float((changed - clean)[right] - (changed - clean)[wrong]))
            effects.append(changes)
        means = [sum(each) / len(each) for each in effects]
        assert point.effect == pytest.approx(means[0], abs=2e-4)
        assert point.random == pytest.approx(means[1:], abs=2e-4)
        assert point.error == pytest.approx(float(torch.tensor(effects[0]).std()) / 2, abs=2e-4)
        assert point.outside == (not min(means[1:]) <= means[0] <= max(means[1:]))
    assert result.prompts == 4


def test_a_curve_in_parts_is_the_whole_curve(steered: Callable[..., SteerResult]) -> None:
    whole = steered(strengths=(-1.0, 2.0))
    parts = [steered(strengths=(each,)).points[0] for each in (-1.0, 2.0)]
    for one, other in zip(whole.points, parts, strict=True):
        assert one.effect == pytest.approx(other.effect, abs=1e-5)
        assert one.random == pytest.approx(other.random, abs=1e-5)


@pytest.mark.parametrize("where", ["all", "last", "generated"])
@pytest.mark.parametrize("lost", [False, True], ids=["cached", "lost"])
def test_new_tokens_are_those_of_whole_plain_passes(
    where: str, lost: bool, model: Model, plain: Any, steered: Callable[..., SteerResult], monkeypatch: Any
) -> None:
    if lost:  # what transformers 5.24 does to a bridge that looks for the old name
        monkeypatch.setattr(model, "continues", None)
        for block in model.bridge.blocks:
            monkeypatch.setitem(vars(block.attn), "_update_kv_cache", lambda keys, values, **_: (keys, values))
    result = steered(where=where, strength=8.0, generate=6)
    assert result.cached is not lost
    ids, _ = model.encode(ioi(model)[0].prompt)
    vector = 8.0 * result.unit * CODES[3]
    for text in result.texts:
        row = list(ids)
        for _ in range(6):
            steps: Any = {"all": slice(None), "last": [len(ids) - 1], "generated": slice(len(ids) - 1, None)}[where]
            hooks = [adding(plain, HEAD, vector, steps)] if text.strength else []
            row.append(int(answer(plain, row, *hooks).argmax()))
        assert text.tokens == tuple(map(model.token_words, row[len(ids) :]))
    assert [text.strength for text in result.texts] == [0.0, 8.0]
    assert result.texts[0].tokens != result.texts[1].tokens or where == "last"
    monkeypatch.undo()
    model.continues = None


def test_a_cache_lost_half_way_is_found_out(
    model: Model, steered: Callable[..., SteerResult], monkeypatch: Any, recorder: Any
) -> None:
    wanted = steered(strength=8.0, generate=5)
    assert continues(ForwardPasses(model, recorder()))  # the trial at the beginning passes ...
    forward = model.bridge.blocks[1].attn._update_kv_cache

    def forgets(keys: Tensor, values: Tensor, **given: Any) -> Any:
        keys, values = forward(keys, values, **given)
        return keys, values * (1.0 if keys.shape[2] == values.shape[2] < 18 else 0.0)

    monkeypatch.setitem(vars(model.bridge.blocks[1].attn), "_update_kv_cache", forgets)
    found = steered(strength=8.0, generate=5)
    assert wanted.cached
    assert not found.cached  # ... and the comparison at the end does not
    assert found.texts[0].tokens[:1] == wanted.texts[0].tokens[:1]


@pytest.mark.parametrize("kind", ["off", "only"])
def test_nodes_off_and_a_circuit_alone_are_zeroed_where_plain_hooks_zero_them(
    kind: str, model: Model, plain: Any, steered: Callable[..., SteerResult]
) -> None:
    chosen = (HEAD, NodeId(1, 2), mlp(3))
    every = [*(NodeId(layer, head) for layer in range(4) for head in range(8)), *map(mlp, range(4))]
    result = steered("zero", kind=kind, nodes=chosen, replacement="zero", generate=4)
    keep = list(chosen) if kind == "only" else [node for node in every if node not in chosen]
    ids, _ = model.encode(ioi(model)[0].prompt)
    expect(model, result, answer(plain, ids, silencing(plain, keep)))
    row = list(ids)
    for _ in range(4):
        row.append(int(answer(plain, row, silencing(plain, keep)).argmax()))
    assert result.texts[1].tokens == tuple(map(model.token_words, row[len(ids) :]))
    assert result.points == ()


def test_off_by_mean_puts_the_negatives_mean_in_place(
    model: Model, plain: Any, steered: Callable[..., SteerResult]
) -> None:
    result = steered("mean", kind="off", nodes=(HEAD,))
    projection, own = plain.transformer.h[HEAD.layer].attn.c_proj, slice(HEAD.head * 12, (HEAD.head + 1) * 12)
    kept: list[Tensor] = []
    for example in [each for each in ioi(model) if not each.positive]:
        ids, _ = model.encode(example.prompt)
        with projection.register_forward_pre_hook(lambda _module, args: kept.append(args[0][0][:, own])):
            answer(plain, ids)
    mean = torch.cat(kept).mean(dim=0)

    def put(_module: Any, args: Any) -> Any:
        z = args[0].clone()
        z[..., own] = mean
        return (z, *args[1:])

    ids, _ = model.encode(ioi(model)[0].prompt)
    expect(model, result, answer(plain, ids, projection.register_forward_pre_hook(put)))


@pytest.mark.parametrize("read", ["last", "mean"])
def test_a_contrast_of_the_stream_is_the_difference_of_hidden_states(
    read: str, model: Model, plain: Any, steered: Callable[..., SteerResult]
) -> None:
    result = steered(kind="contrast", nodes=(mlp(1),), source="stream", read=read, strength=1.5, where="last")
    means = []
    for positive in (True, False):
        rows = []
        for example in [each for each in ioi(model) if each.positive == positive]:
            ids, _ = model.encode(example.prompt)
            with torch.no_grad():
                states = plain(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0]
            rows.append(states[-1] if read == "last" else states.mean(dim=0))
        means.append(torch.stack(rows).mean(dim=0))
    vector = means[0] - means[1]
    assert result.unit == pytest.approx(float(vector.norm()), rel=1e-4)
    ids, _ = model.encode(ioi(model)[0].prompt)
    expect(model, result, answer(plain, ids, adding(plain, mlp(1), 1.5 * vector, [-1])))


def test_own_sets_and_what_a_text_loses(model: Model, plain: Any, steered: Callable[..., SteerResult]) -> None:
    prompts = [each.prompt for each in ioi(model)]
    text = prompts[5]
    result = steered(
        kind="contrast", nodes=(HEAD,), toward=(prompts[0],), away=(prompts[3],), strength=4.0, cost=True, text=text
    )
    assert result.cost is not None
    projection, own = plain.transformer.h[HEAD.layer].attn.c_proj, slice(HEAD.head * 12, (HEAD.head + 1) * 12)
    written = []
    for prompt in (prompts[0], prompts[3]):
        kept: list[Tensor] = []
        with projection.register_forward_pre_hook(lambda _module, args, kept=kept: kept.append(args[0])):
            answer(plain, model.encode(prompt)[0])
        written.append(kept[0][0, -1, own] @ projection.weight[own])
    vector = 4.0 * (written[0] - written[1])
    ids = torch.tensor(model.encode(text)[0])
    found = []
    for added in (0.0, 1.0):
        with torch.no_grad(), adding(plain, HEAD, added * vector, slice(None)):
            logs = plain(ids[None]).logits[0, :-1].log_softmax(dim=-1)
        found.append(float(logs.gather(1, ids[1:, None]).mean()))
    assert (result.cost.before, result.cost.after) == pytest.approx(found, abs=1e-4)
    assert result.cost.tokens == len(ids) - 1
    assert result.cost.ratio == pytest.approx(math.exp(found[0] - found[1]), rel=1e-3)


def test_a_model_that_knows_no_english_is_judged_by_the_tasks(steered: Callable[..., SteerResult]) -> None:
    result = steered(cost=True, strength=2.0)
    assert result.cost is not None
    assert result.cost.before > -3.0  # on the passage of English it is worse than chance
    assert any("does not know ordinary English" in notice for notice in result.notices)


def test_a_prompt_without_an_answer_is_measured_by_what_the_model_says(
    model: Model, plain: Any, steered: Callable[..., SteerResult]
) -> None:
    prompt = Example(prompt="When Mary and John went to the shop, John gave a book to", polarity="positive")
    result = steered(prompts=(prompt,), strengths=(5.0,), random=1)
    ids, _ = model.encode(prompt.prompt)
    clean = answer(plain, ids).log_softmax(dim=-1)
    changed = answer(plain, ids, adding(plain, HEAD, 5.0 * result.unit * CODES[3], slice(None))).log_softmax(dim=-1)
    best = int(clean.argmax())
    assert (result.metric, result.prompts) == ("log_probability", 1)
    assert result.base == pytest.approx(float(clean[best]), abs=1e-4)
    assert result.points[0].effect == pytest.approx(float(changed[best] - clean[best]), abs=2e-4)
    assert result.points[0].error is None


def test_rotary_models_with_grouped_heads_are_steered_and_continue(
    grouped: Model, recorder: Any, tmp_path: Path
) -> None:
    directions = torch.eye(32)[:2]
    path = tmp_path / "sae.safetensors"
    save_file({"W_d_T": directions[None].contiguous()}, str(path))
    examples = ioi(grouped)
    plan = SteerPlan(kind="code", nodes=(NodeId(1, 2),), code=1, seed=0, strength=2.0, generate=5, where="generated")
    request = SteerModel(
        job="k",
        model=str(grouped.folder),
        models=str(tmp_path),
        device="cpu",
        identity=grouped.info.identity,
        examples=examples,
        config=EffectsConfig(method="exact", replacement="zero", examples=2),
        plan=plan,
        sae=str(path),
    )
    result = steer(request, WarmModel(), recorder()).result
    assert result.cached
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(str(grouped.folder)).eval()
    ids, _ = grouped.encode(examples[0].prompt)
    row = list(ids)

    def add(_module: Any, _args: Any, output: Any) -> Any:
        first = output[0].clone()
        first[:, len(ids) - 1 :] += 2.0 * result.unit * directions[1]
        return (first, *output[1:])

    for _ in range(5):
        with torch.no_grad(), plain.model.layers[1].self_attn.register_forward_hook(add):
            row.append(int(plain(torch.tensor([row])).logits[0, -1].argmax()))
    assert result.texts[1].tokens == tuple(map(grouped.token_words, row[len(ids) :]))


@pytest.mark.parametrize(
    ("plan", "error", "words"),
    [
        ({"code": 5}, ConfigError, "codes 0 to 4"),
        ({"nodes": ((9, 0),)}, NoSuchNode, "9.0"),
        ({"where": "place", "place": 99}, ConfigError, "place 99"),
        ({"example": 99}, ExampleError, "no example 100"),
        ({"generate": 200}, ConfigError, "reads 128"),
        ({"kind": "contrast", "toward": ("a",), "away": ("a",)}, ExampleError, "do not differ"),
    ],
)
def test_what_cannot_be_steered_says_so(
    plan: dict[str, Any], error: type[EngineError], words: str, steered: Callable[..., SteerResult]
) -> None:
    with pytest.raises(error, match=words):
        steered(**plan)


def test_directions_a_head_can_write_are_in_the_image_of_its_projection(model: Model, recorder: Any) -> None:
    passes = ForwardPasses(model, recorder())
    found = random_directions(passes, HEAD, 4, 0, "head")
    matrix = model.head_weights[HEAD.layer][HEAD.head].T
    rest = found.T - matrix @ torch.linalg.lstsq(matrix, found.T).solution
    assert float(rest.norm()) < 1e-4
    assert found.norm(dim=-1).tolist() == pytest.approx([1.0] * 4)
    free = random_directions(passes, HEAD, 4, 0, "stream").T
    assert float((free - matrix @ torch.linalg.lstsq(matrix, free).solution).norm()) > 1


def test_a_slope_is_compared_with_those_of_random_directions(steered: Callable[..., SteerResult]) -> None:
    result = steered(strengths=(-2.0, -1.0, 1.0, 2.0), random=5)
    summary = summarise(result.points)
    assert summary is not None
    strengths = torch.tensor([point.strength for point in result.points])

    def slope(values: Sequence[float]) -> float:
        return float(torch.linalg.lstsq(strengths[:, None], torch.tensor(values)[:, None]).solution)

    own = slope([point.effect for point in result.points])
    random = [slope([point.random[place] for point in result.points]) for place in range(5)]
    assert summary.slope == pytest.approx(own, abs=1e-4)
    assert summary.random_slopes == pytest.approx(random, abs=1e-4)
    assert summary.p_slope == pytest.approx((1 + sum(abs(each) >= abs(own) for each in random)) / 6)
    effects = torch.tensor([[point.effect, *point.random] for point in result.points])
    sizes = effects.square().mean(dim=0).sqrt()
    assert (summary.size, *summary.random_sizes) == pytest.approx(sizes.tolist(), abs=1e-5)
    assert summary.p_size == pytest.approx((1 + int((sizes[1:] >= sizes[0]).sum())) / 6)
    assert msgspec.json.decode(msgspec.json.encode(result), type=SteerResult) == result
