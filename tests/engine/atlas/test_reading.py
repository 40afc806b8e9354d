"""What is read on passages: the numbers of loops over transformers' own attention; parts add up to the whole."""

from typing import Any

import pytest
import torch

from engine.analysis.atlas_search import find_writers
from engine.atlas.contexts import SAMPLED, TOP
from engine.atlas.passages import Passages, make_passages
from engine.atlas.reading import AtlasReader
from engine.atlas.sums import head_metrics, mlp_metrics
from engine.corpora.corpora import Corpus, read_corpus
from engine.errors import ConfigError
from engine.events import SilentMonitor
from engine.models.loading import Model
from engine.worker.make_atlas import make_atlas

from .plain_metrics import PlainPass, attention_metrics, copying, written_metrics


def read(model: Model, passages: Passages) -> AtlasReader:
    reader = AtlasReader(model, passages)
    while reader.done < reader.n_batches:
        reader.read_next(SilentMonitor())
    return reader


def some_passages(model: Model) -> Passages:
    return make_passages(model, read_corpus("toy"), 400)


def plain(model: Model) -> Any:
    """The same weights in transformers' own model, which returns its attention."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(model.folder), attn_implementation="eager").eval()


def check(model: Model, original: Any, projections: list[Any], matrices: list[torch.Tensor], final: Any) -> None:
    passages = some_passages(model)
    state = read(model, passages).state
    gain, unembed = final.weight.detach(), original.lm_head.weight.detach().T
    passes = [PlainPass(original, ids, projections) for ids in passages.text]
    repeated = [PlainPass(original, ids, projections) for ids in passages.random]
    on_random = {name.removeprefix("random_"): each for name, each in state.items() if name.startswith("random_")}
    width = model.info.d_head
    for layer in range(model.info.n_layers):
        for head in range(model.info.n_heads):
            matrix = matrices[layer][head * width : (head + 1) * width]
            wanted = attention_metrics(passes, layer, head) | written_metrics(passes, layer, head, matrix)
            wanted["copying"] = copying(passes, layer, head, matrix, gain, unembed, centred=model.directions.centred)
            assert head_metrics(state, layer, head) == pytest.approx(wanted, rel=1e-5, abs=1e-5), (layer, head)
            # The whole layer is one matrix here, so on random tokens the attention alone tells heads apart.
            twice = attention_metrics(repeated, layer, head)
            found = head_metrics(on_random, layer, head)
            assert {name: found[name] for name in twice} == pytest.approx(twice, rel=1e-5, abs=1e-5), (layer, head)


def test_metrics_are_those_of_their_definitions(model: Model) -> None:
    original = plain(model)
    projections = [block.attn.c_proj for block in original.transformer.h]
    check(model, original, projections, [each.weight.detach() for each in projections], original.transformer.ln_f)


def test_grouped_keys_and_rotary_positions_change_nothing(grouped: Model) -> None:
    original = plain(grouped)
    projections = [block.self_attn.o_proj for block in original.model.layers]
    check(grouped, original, projections, [each.weight.detach().T for each in projections], original.model.norm)


def test_what_an_mlp_writes_is_its_output(model: Model) -> None:
    passages = some_passages(model)
    state = read(model, passages).state
    norms = []
    for ids in passages.text:
        _, cache = model.bridge.run_with_cache(torch.tensor([ids]))
        norms += cache["blocks.2.hook_mlp_out"][0, 2:].norm(dim=-1).tolist()
    assert mlp_metrics(state, 2)["norm"] == pytest.approx(sum(norms) / len(norms), rel=1e-5)


def test_a_state_that_was_saved_goes_on_to_the_same_numbers(model: Model) -> None:
    passages = some_passages(model)
    whole = read(model, passages)
    begun = AtlasReader(model, passages)
    begun.read_next(SilentMonitor())
    other = AtlasReader(model, passages, {name: each.clone() for name, each in begun.state.items()})
    assert other.done == 1
    assert 0 < other.tokens_done < other.tokens_in_all
    while other.done < other.n_batches:
        other.read_next(SilentMonitor())
    assert all(torch.equal(other.state[name], each) for name, each in whole.state.items())


def test_contexts_are_the_places_where_a_head_writes_most(model: Model) -> None:
    passages = some_passages(model)
    state = read(model, passages).state
    best: list[tuple[float, int, int]] = []
    for number, ids in enumerate(passages.text):
        _, cache = model.bridge.run_with_cache(torch.tensor([ids]))
        z = cache["blocks.1.attn.hook_z"].view(len(ids), model.info.n_heads, -1)[:, 3]
        norms = (z @ model.head_weights[1][3]).norm(dim=-1)
        norm, place = norms[2:].max(dim=0)
        best.append((float(norm), number, int(place) + 2))
    best.sort(reverse=True)
    found = state["top_norm"][1, 3].tolist()
    assert found == pytest.approx([norm for norm, _, _ in best[:TOP]], rel=1e-4)
    assert state["top_place"][1, 3].tolist() == [[number, place] for _, number, place in best[:TOP]]
    number, place = state["top_place"][1, 3, 0].tolist()
    _, cache = model.bridge.run_with_cache(torch.tensor([passages.text[number]]))
    row = cache["blocks.1.attn.hook_pattern"][0, 3, place]
    assert state["top_attention"][1, 3, 0].tolist() == pytest.approx(row.topk(4).values.tolist(), abs=1e-5)


def test_attention_to_tokens_adds_up(model: Model) -> None:
    passages = some_passages(model)
    reader = read(model, passages)
    token = passages.text[0][5]
    wanted = 0.0
    for ids in passages.text:
        _, cache = model.bridge.run_with_cache(torch.tensor([ids]))
        row = cache["blocks.2.attn.hook_pattern"][0, 5]
        for query in range(2, len(ids)):
            wanted += sum(float(row[query, key]) for key in range(1, query) if ids[key] == token)
    place = reader.distinct.tolist().index(token)
    assert float(reader.state["received"][2, 5, place]) == pytest.approx(wanted, rel=1e-4)
    assert int(reader.state["occurrences"][place]) == sum(ids.count(token) for ids in passages.text)


def test_passages_are_spread_and_random_ones_come_twice(model: Model) -> None:
    passages = some_passages(model)
    n_own = sum(len(each) - passages.n_before for each in passages.text)
    assert 400 <= n_own < 400 + model.info.context
    for ids in passages.random:
        own = ids[passages.n_before :]
        assert own[: len(own) // 2] == own[len(own) // 2 :]
        assert len(set(own)) == len(own) // 2
    assert make_passages(model, read_corpus("toy"), 400).key == passages.key
    assert make_passages(model, read_corpus("toy"), 500).key != passages.key
    with pytest.raises(ConfigError, match="no passage") as refused:
        make_passages(model, Corpus(name="short", digest="", texts=("The",)), 400)
    assert refused.value.hint


def test_tokens_written_at_random_places_are_those_of_all_logits(model: Model) -> None:
    """At every random place and for every node, against transformers' own model and its whole vocabulary."""
    reader = read(model, make_passages(model, read_corpus("toy"), 3000))
    atlas = make_atlas(model, reader, ("toy", "0"))
    original = plain(model)
    blocks, last, gain = original.transformer.h, original.transformer.ln_f, original.transformer.ln_f.weight.detach()
    seen: dict[Any, torch.Tensor] = {}
    for layer, block in enumerate(blocks):
        block.attn.c_proj.register_forward_pre_hook(lambda _, given, layer=layer: seen.update({layer: given[0][0]}))
        block.mlp.register_forward_hook(lambda _, _given, out, layer=layer: seen.update({("mlp", layer): out[0]}))
    last.register_forward_pre_hook(lambda _, given: seen.update(final=given[0][0]))
    unembed = original.lm_head.weight.detach().T
    places = reader.state["sampled_place"][0, 0]
    assert len({int(passage) for passage, _ in places}) == len(places) == SAMPLED
    counted: dict[tuple[Any, str], int] = {}
    for number, (passage, position) in enumerate(places.tolist()):
        with torch.no_grad():
            original(torch.tensor([reader.passages.text[passage]]))
        scale = (seen["final"][position].var(unbiased=False) + last.eps).sqrt()
        for node in atlas.nodes:
            if node.node.is_head:
                own = slice(node.head * model.info.d_head, (node.head + 1) * model.info.d_head)
                written = seen[node.layer][position, own] @ blocks[node.layer].attn.c_proj.weight.detach()[own]
            else:
                written = seen["mlp", node.layer][position]
            logits = (written * gain / scale) @ unembed
            best = (logits - logits.mean()).topk(6)
            found = node.written[number]
            assert [value / 100 for _, value in found] == pytest.approx(best.values.tolist(), abs=0.006)
            wanted = {model.token_words(int(token)) for token in best.indices}
            assert len({atlas.words[word] for word, _ in found} & wanted) >= 5  # two that are equally high may swap
            for word in wanted:
                counted[node.node, word] = counted.get((node.node, word), 0) + 1
    # A search answers with the share of places; the node that raises a token at most of them comes first.
    for (node, word), n in sorted(counted.items(), key=lambda pair: -pair[1])[:20]:
        hits = find_writers(atlas, (f"'{word}",))
        assert next(hit for hit in hits if hit.node == node).score == pytest.approx(n / SAMPLED, abs=2 / SAMPLED)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
