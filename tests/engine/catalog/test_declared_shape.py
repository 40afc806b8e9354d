"""Model folders whose settings are not those of their weights, or are none: refused before anything is built."""

import json
import os
import random
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import gguf
import pytest

from engine.catalog.local_models import ModelSource, bundled_folder, read_summary
from engine.catalog.model_shape import shape_of
from engine.catalog.safetensors_headers import read_headers
from engine.config import LoadOptions
from engine.errors import ModelError
from engine.install.gguf_import import from_gguf
from engine.install.progress import ProgressWriter
from engine.install.weights_check import bounded, check_agreement
from engine.models.fetch import import_model
from engine.models.loading import load_model

from ...torture.hostile_models import FAMILIES, attempt, make_family, spoil
from ..gguf_files import write_gguf
from ..install.test_gguf_import import llama as gguf_llama

LAYERS, KEYS = "num_hidden_layers", "num_key_value_heads"
OF_LLAMA = (
    (LAYERS, 10**9, "num_hidden_layers = 1000000000, and its weights hold 2 layers"),
    (LAYERS, 3, "num_hidden_layers = 3, and its weights hold 2 layers"),
    (LAYERS, 1, r"1 layers more in its weights than its settings say: layers\.1"),
    (LAYERS, 0, "there must be at least one"),
    (LAYERS, -(10**9), "there must be at least one"),
    (LAYERS, "2", "num_hidden_layers = '2', which is not a whole number"),
    (LAYERS, True, "which is not a whole number"),
    (LAYERS, 2.0, "which is not a whole number"),
    (LAYERS, 10**400, "and its weights hold 2 layers"),
    ("sliding_window_size", 10**400, "that is too large for a model"),
    (LAYERS, float("nan"), "num_hidden_layers = nan, which is not a number"),
    ("rms_norm_eps", float("inf"), "rms_norm_eps = inf, which is not a number"),
    ("hidden_size", 24, r"16 in its weights, and .* 24 by its settings"),
    ("hidden_size", 20, "hidden_size = 20, and no tensor of its weights has that side: "),
    ("vocab_size", 10**12, "that is too large for a model"),
    ("vocab_size", 24, "5 x 16 in its weights, and 24 x 16 by its settings"),
    ("intermediate_size", 10**7, "16 x 24 in its weights, and 16 x 10000000 by its settings"),
    ("num_attention_heads", 3, "not a multiple of the number of attention heads"),
    ("num_attention_heads", 17, "17 heads in a width of 16"),
    (KEYS, 0, "num_key_value_heads = 0; there must be at least one"),
    (KEYS, 4, "8 x 16 in its weights, and 16 x 16 by its settings"),
    ("head_dim", 8, "8 x 16 in its weights, and 16 x 16 by its settings"),
    ("rope_parameters", {"rope_type": "yarn", "factor": "x"}, "cannot be loaded"),
    ("text_config", {LAYERS: 10**9}, "text_config.num_hidden_layers = 1000000000"),
)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("families")
    for family in FAMILIES:
        make_family(family, root / family)
    return root


@pytest.fixture
def llama(families: Path, tmp_path: Path) -> Path:
    return shutil.copytree(families / "llama", tmp_path / "llama")


def change(folder: Path, key: str, value: Any) -> Path:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, key: value}))
    return folder


def refused(folder: Path, words: str) -> None:
    """By import and by loading alike, with nothing left of it."""
    models = folder.parent / "models"
    with pytest.raises(ModelError, match=words) as caught:
        import_model(folder, models, ProgressWriter(BytesIO()))
    assert caught.value.hint
    assert not models.exists() or list(models.iterdir()) == []
    with pytest.raises(ModelError, match=words):
        load_model(str(folder), models, LoadOptions(device="cpu"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_agrees_with_itself_is_taken(family: str, families: Path, tmp_path: Path) -> None:
    assert attempt(families / family, tmp_path / "models") == "loaded"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_spoiled_is_refused_in_words_or_loads_as_its_weights_are(
    seed: int, families: Path, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    folder = shutil.copytree(families / rng.choice(FAMILIES), tmp_path / "spoiled")
    spoil(folder, rng)
    assert attempt(folder, tmp_path / "models") in ("loaded", "refused at import", "refused at loading")


@pytest.mark.parametrize(("key", "value", "words"), OF_LLAMA)
def test_a_setting_that_is_not_of_the_weights_is_named(key: str, value: Any, words: str, llama: Path) -> None:
    refused(change(llama, key, value), words)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_settings_nested_too_deeply_or_too_large_are_named(name: str, llama: Path) -> None:
    whole = (llama / name).read_bytes()
    depth = 100_000
    (llama / name).write_text('{"x": ' + "[" * depth + "]" * depth + "}")
    refused(llama, f"{name} is nested too deeply")
    (llama / name).write_bytes(whole)
    os.truncate(llama / name, 1 << 30)  # takes no room on the disk
    refused(llama, f"{name} has 1024 MB")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_only_regular_files_are_read(name: str, llama: Path) -> None:
    (llama / name).unlink()
    os.mkfifo(llama / name)  # nobody writes into it: whoever opens it waits
    refused(llama, r"not a regular file|no config\.json")


def test_the_list_of_models_and_the_size_of_a_run_say_it_too(llama: Path) -> None:
    change(llama, LAYERS, 10**9)
    with pytest.raises(ModelError, match="its weights hold 2 layers"):
        shape_of(str(llama), llama.parent)
    (llama / "config.json").write_text('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(ModelError, match="nested too deeply"):
        read_summary(ModelSource(name="x", origin="folder", folder=llama))


def test_parts_and_tables_that_no_file_holds_are_bounded() -> None:
    import torch

    with pytest.raises(ModelError, match="more than 10064 parts"), bounded(1):
        torch.nn.ModuleList(torch.nn.Identity() for _ in range(20_000))
    with pytest.raises(ModelError, match="tables of more than 4 GB"), bounded(1):
        torch.nn.Module().register_buffer("mask", torch.empty(100_000, 100_000, device="meta"))
    assert len(torch.nn.ModuleList(torch.nn.Identity() for _ in range(20_000))) == 20_000  # and nobody else is


def test_headers_are_read_as_safetensors_reads_them() -> None:
    from safetensors import safe_open

    with safe_open(bundled_folder() / "model.safetensors", framework="numpy") as file:
        by_library = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    assert {name: tensor.shape for name, tensor in read_headers(bundled_folder()).items()} == by_library


def test_the_bundled_model_agrees_with_itself() -> None:
    check_agreement(bundled_folder(), "toy")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("block_count", 10**9, r"block_count = 1000000000, and"),
        ("block_count", 4, r"block_count = 4, and it holds the tensors of 3 layers"),
        ("block_count", 0, "there must be at least 1"),
        ("block_count", "3", "that is not a whole number"),
        ("embedding_length", 32, r"embedding_length = 32, and its token_embd\.weight is \d+ x 64"),
        ("attention.head_count", 0, "it holds the tensors of attention"),
        ("attention.head_count", 65, "its width is 64"),
        ("attention.head_count", 3, "cannot be converted|does not fit"),
        ("context_length", 2**31, "that is too large for a model"),
    ],
)
def test_a_gguf_key_that_is_not_of_its_tensors_is_named(key: str, value: Any, words: str, tmp_path: Path) -> None:
    model, keys = gguf_llama()
    path = write_gguf(tmp_path / "m.gguf", model, "llama", {**keys, key: value})
    assert gguf.GGUFReader(path).tensors
    with pytest.raises(ModelError, match=words):
        from_gguf(path, tmp_path / "made", ProgressWriter(BytesIO()))
