"""Imports of GGUF files: the model that comes out is the one that went in, or the file is refused, or it is said."""

from io import BytesIO
from pathlib import Path
from typing import Any

import gguf
import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from engine.catalog.fetch_messages import AnyFetchMessage, FetchNote
from engine.errors import ModelError
from engine.install.gguf_config import complete_config
from engine.install.gguf_file import GgufFile, read_gguf_file
from engine.install.gguf_import import from_gguf
from engine.install.gguf_rope import FACTORS, LONG, SHORT, llama3_factors
from engine.install.progress import ProgressWriter

from ..gguf_cases import CASES, RMS, Case, of, rope
from ..gguf_files import permuted, random_model, shape_keys, write_gguf


def imported(path: Path, made: Path) -> tuple[Any, list[str]]:
    """The model that an import makes of the file, and what it says meanwhile."""
    out = BytesIO()
    folder = from_gguf(path, made, ProgressWriter(out))
    words = [msgspec.json.decode(line, type=AnyFetchMessage) for line in out.getvalue().splitlines()]  # type: ignore[arg-type]
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    return model, [word.message for word in words if isinstance(word, FetchNote)]


def logits(model: Any, length: int = 24) -> Tensor:
    tokens = torch.randint(3, 259, (2, length), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found: Tensor = model(tokens).logits
    return found


def llama(**more: Any) -> tuple[Any, dict[str, Any]]:
    """A small Llama and its keys."""
    config = of(LlamaConfig, rms_norm_eps=1e-5, **{"rope_parameters": rope(1e4), **more})()
    return random_model(config), shape_keys(config) | RMS | {"rope.freq_base": 1e4}


@pytest.mark.parametrize("name", CASES)
def test_a_model_comes_out_as_it_went_in(name: str, tmp_path: Path) -> None:
    case: Case = CASES[name]
    source = random_model(case.config())
    extra = {}
    if name == "phi3 with two sets of factors":
        scaling = source.config.rope_parameters
        extra = {LONG: np.array(scaling["long_factor"]), SHORT: np.array(scaling["short_factor"])}
    path = write_gguf(tmp_path / "m.gguf", source, case.architecture, case.keys, layout=case.layout, extra=extra)
    model, notes = imported(path, tmp_path / "made")
    assert torch.allclose(logits(model), logits(source), atol=1e-4)
    if name != "mamba":
        assert torch.allclose(logits(model, 48), logits(source, 48), atol=1e-4)
    assert len(notes) == bool(case.message)
    assert all(case.message in note for note in notes)


@pytest.mark.parametrize("trained", [256, 8192])
@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_llama_3s_factors_become_its_rope_scaling(factor: float, trained: int, tmp_path: Path) -> None:
    asked = {"factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling = rope(5e5) | {"rope_type": "llama3", **asked, "original_max_position_embeddings": trained}
    source, keys = llama(rope_parameters=scaling, max_position_embeddings=2048, head_dim=32)
    plain, _ = llama(rope_parameters=rope(5e5), head_dim=32)
    # As llama.cpp writes them: by what each frequency is divided.
    factors = (plain.model.rotary_emb.inv_freq / source.model.rotary_emb.inv_freq).numpy()
    keys |= {"rope.freq_base": 5e5, "rope.dimension_count": 32}
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted, extra={FACTORS: factors})
    model, notes = imported(path, tmp_path / "made")
    found = model.config.rope_parameters
    assert (found["rope_type"], found["factor"], notes) == ("llama3", factor, [])
    assert torch.allclose(model.model.rotary_emb.inv_freq, source.model.rotary_emb.inv_freq, rtol=1e-6)
    assert torch.allclose(logits(model, 600), logits(source, 600), atol=2e-3)
    assert not torch.allclose(logits(plain, 600), logits(source, 600), atol=0.1)


def test_any_factors_of_frequencies_are_kept(tmp_path: Path) -> None:
    source, keys = llama()
    factors = np.array([1.0, 1.5, 7.0, 2.0, 3.0, 3.0, 1.0, 9.0])
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted, extra={FACTORS: factors})
    model, _ = imported(path, tmp_path / "made")
    wanted = source.model.rotary_emb.inv_freq / torch.tensor(factors)
    model(torch.tensor([[3, 4, 5]]))
    assert torch.allclose(model.model.rotary_emb.inv_freq.double(), wanted, rtol=1e-6)
    source.model.rotary_emb.inv_freq.copy_(wanted)
    assert torch.allclose(logits(model, 100), logits(source, 100), atol=1e-3)


def test_factors_of_odd_settings_are_solved_for() -> None:
    from engine.install.gguf_rope import rope_parameters_of

    frequencies = [10_000.0 ** (-place / 64) for place in range(64)]
    factors = llama3_factors(frequencies, 5.0, 2.0, 7.0, 3000)
    found = rope_parameters_of({"factors": factors, "context": 77}, 10_000.0)
    assert (found["rope_type"], found["factor"]) == ("llama3", 5.0)
    again = llama3_factors(
        frequencies,
        found["factor"],
        found["low_freq_factor"],
        found["high_freq_factor"],
        found["original_max_position_embeddings"],
    )
    assert again == pytest.approx(factors, rel=1e-5)


def test_the_query_scalar_of_a_known_size_is_derived_without_a_word() -> None:
    from transformers import Gemma2Config

    published = {26: (2304, 8, 256, 256), 42: (3584, 16, 256, 256), 46: (4608, 32, 128, 144)}
    for layers, (width, heads, head, scalar) in published.items():
        config = Gemma2Config(num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, head_dim=head)
        config.query_pre_attn_scalar = 1
        keys = {"gemma2.block_count": layers, "gemma2.attention.key_length": head}
        file = GgufFile(path=Path("m.gguf"), architecture="gemma2", keys=keys, tensors=())
        assert complete_config(file, config) == []
        assert config.query_pre_attn_scalar == scalar


def test_a_part_of_several_files_is_refused_with_how_to_join_them(tmp_path: Path) -> None:
    source, keys = llama()
    whole = {"split.no": 1, "split.count": 3}
    path = write_gguf(tmp_path / "m-00002-of-00003.gguf", source, "llama", keys, layout=permuted, general=whole)
    with pytest.raises(ModelError, match="part 2 of 3") as caught:
        imported(path, tmp_path / "made")
    assert "llama-gguf-split --merge m-00001-of-00003.gguf" in caught.value.hint


def test_missing_and_unused_tensors_are_refused_by_name(tmp_path: Path) -> None:
    source, keys = llama()

    def without(name: str) -> bool:
        return name == "model.layers.1.mlp.up_proj.weight"

    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted, leave_out=without)
    with pytest.raises(ModelError, match=r"lacks 1 .*layers\.1\.mlp\.up_proj"):
        imported(path, tmp_path / "made")
    extra = {"blk.0.attn_q_norm.weight": np.ones(16)}
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted, extra=extra)
    with pytest.raises(ModelError, match=r"leaves out: blk\.0\.attn_q_norm\.weight"):
        imported(path, tmp_path / "made")


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        ("attention.novel_setting", 3, False),
        ("logit_scale", 0.25, True),
        ("residual_scale", 0.22, True),
        ("rope.scaling.type", "novel", True),
        ("attention.causal", False, True),
        ("attn_logit_softcapping", 30.0, True),
    ],
)
def test_a_key_that_is_not_carried_is_said_or_refused(key: str, value: Any, refused: bool, tmp_path: Path) -> None:
    source, keys = llama()
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys | {key: value}, layout=permuted)
    if refused:
        with pytest.raises(ModelError, match=str(value)) as caught:
            imported(path, tmp_path / "made")
        assert "Hugging Face folder" in caught.value.hint
        return
    _, notes = imported(path, tmp_path / "made")
    assert notes == [f"The key llama.{key} = {value} is not carried over."]


def test_shapes_that_do_not_fit_are_named(tmp_path: Path) -> None:
    source, keys = llama()
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys | {"feed_forward_length": 80}, layout=permuted)
    with pytest.raises(
        ModelError, match=r"mlp\.\w+\.weight is (96 x 64|64 x 96) in its weights, and (80 x 64|64 x 80)"
    ):
        imported(path, tmp_path / "made")


@pytest.mark.parametrize("name", ["llama", "lfm2"])
def test_a_quantisation_that_the_loader_lacks_is_named(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    source = random_model(case.config())

    def quantise(name: str, values: Any) -> Any:
        return gguf.GGMLQuantizationType.Q5_0 if values.ndim == 2 and "ffn" in name else None

    path = write_gguf(tmp_path / "m.gguf", source, case.architecture, case.keys, layout=case.layout, quantise=quantise)
    if name == "llama":
        model, _ = imported(path, tmp_path / "made")
        assert float((logits(model) - logits(source)).abs().mean()) < 0.5
        return
    with pytest.raises(ModelError, match=r"9 tensors in Q5_0 .*not read for lfm2") as caught:
        imported(path, tmp_path / "made")
    assert "Q4_0" in caught.value.hint
    assert "Q5_0" not in caught.value.hint


def test_an_architecture_that_is_not_read_is_named(tmp_path: Path) -> None:
    source, keys = llama()
    path = write_gguf(tmp_path / "m.gguf", source, "granite", keys, layout=permuted)
    with pytest.raises(ModelError, match="is a granite, which") as caught:
        imported(path, tmp_path / "made")
    assert "gemma2" in caught.value.hint


def test_falcons_shared_keys_are_refused_where_llama_cpp_moves_them(tmp_path: Path) -> None:
    case = CASES["falcon"]
    keys = case.keys | {"attention.head_count_kv": 2}
    path = write_gguf(tmp_path / "m.gguf", random_model(case.config()), "falcon", keys)
    with pytest.raises(ModelError, match="head_count_kv = 2"):
        imported(path, tmp_path / "made")


def test_a_tokenizer_that_cannot_be_built_is_a_tokenizer_error(tmp_path: Path) -> None:
    source, keys = llama()
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted, tokenizer={"model": "novel"})
    with pytest.raises(ModelError, match=r"tokenizer of m\.gguf cannot be built \(novel\)") as caught:
        imported(path, tmp_path / "made")
    assert "memory" not in caught.value.hint


@pytest.mark.parametrize(("prefix", "tokens"), [(True, ["▁ab", "▁a"]), (False, ["ab", "▁a"])])
def test_a_space_in_front_is_put_as_the_file_says(prefix: bool, tokens: list[str], tmp_path: Path) -> None:
    source, keys = llama()
    settings = {"add_space_prefix": prefix, "add_bos_token": True}
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted, tokenizer=settings)
    imported(path, tmp_path / "made")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made")
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab a")["input_ids"]) == ["<s>", *tokens]


@pytest.mark.parametrize(
    ("way", "numbers", "text"),
    [
        ("gpt-2", ["Ġ12"], False),
        ("llama-bpe", ["Ġ", "12"], False),
        ("smollm", ["Ġ12"], True),  # puts every digit by itself, and this vocabulary has 12
        ("novel-bpe", ["Ġ12"], True),
    ],
)
def test_how_a_text_is_divided_is_known_or_said(way: str, numbers: list[str], text: bool, tmp_path: Path) -> None:
    source, keys = llama()
    settings = {"model": "gpt2", "pre": way, "add_bos_token": True}
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted, tokenizer=settings)
    _, notes = imported(path, tmp_path / "made")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made")
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab 12")["input_ids"]) == ["<s>", "ab", *numbers]
    assert [way in note for note in notes] == [True] * text


@pytest.mark.parametrize("eos", [True, False])
@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_tokens_are_added_around_a_text_as_the_file_says(kind: str, bos: bool, eos: bool, tmp_path: Path) -> None:
    source, keys = llama()
    settings = {"model": kind, "add_bos_token": bos, "add_eos_token": eos}
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted, tokenizer=settings)
    _, notes = imported(path, tmp_path / "made")
    ids = AutoTokenizer.from_pretrained(tmp_path / "made")("ab")["input_ids"]
    assert (ids[0] == 1, ids[-1] == 2, notes) == (bos, eos, [])


@pytest.mark.parametrize("damage", ["half of the header", "an unknown version", "no architecture"])
def test_a_damaged_header_is_said(damage: str, tmp_path: Path) -> None:
    source, keys = llama()
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted)
    content = path.read_bytes()
    if damage == "half of the header":
        content = content[:500]
    elif damage == "an unknown version":
        content = content[:4] + b"\x09" + content[5:]
    else:
        content = content.replace(b"general.architecture", b"general.architectura")
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.gguf cannot be read"):
        read_gguf_file(path)


def test_the_header_is_what_the_gguf_package_reads(tmp_path: Path) -> None:
    source, keys = llama()
    path = write_gguf(tmp_path / "m.gguf", source, "llama", keys, layout=permuted)
    mine, theirs = read_gguf_file(path), gguf.GGUFReader(path)
    for tensor, other in zip(mine.tensors, theirs.tensors, strict=True):
        assert (tensor.name, tensor.kind) == (other.name, other.tensor_type.name)
        assert (tensor.shape, tensor.begin) == (tuple(reversed(other.shape.tolist())), other.data_offset)
    for key, value in mine.keys.items():
        assert value == theirs.fields[key].contents()
    norm = source.model.norm.weight.detach().numpy()
    assert mine.values("output_norm.weight") == pytest.approx(norm.tolist())
