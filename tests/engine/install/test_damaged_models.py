"""A damaged file of a model is called damaged, whichever of its bytes it is, and not a fault of program or memory."""

import os
import random
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from transformers import LlamaConfig

from engine.catalog.local_models import bundled_folder, check_folder
from engine.errors import InputError, ModelError
from engine.install.gguf_file import read_gguf_file
from engine.install.gguf_import import from_gguf
from engine.install.gguf_rope import FACTORS
from engine.install.progress import ProgressWriter
from engine.models.fetch import import_model

from ..gguf_cases import RMS, of, rope
from ..gguf_files import random_model, shape_keys, write_gguf


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small Llama with factors of its frequencies, the one tensor that is read by us."""
    config = of(LlamaConfig, rms_norm_eps=1e-5, rope_parameters=rope(1e4))()
    keys = shape_keys(config) | RMS | {"rope.freq_base": 1e4}
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    factors = {FACTORS: np.ones(8, dtype=np.float32)}
    return write_gguf(path, random_model(config), "llama", keys, extra=factors).read_bytes()


def end_of_header(content: bytes, path: Path) -> int:
    path.write_bytes(content)
    return min(tensor.begin for tensor in read_gguf_file(path).tensors)


def cut(content: bytearray, at: int, _: random.Random) -> None:
    del content[at:]


def flip(content: bytearray, at: int, chance: random.Random) -> None:
    content[at] = chance.randrange(256)


def spoil(content: bytearray, at: int, chance: random.Random) -> None:
    content[at : at + 8] = chance.choice([b"\xff" * 8, b"\0" * 8, b"\x7f" * 8, struct.pack("<Q", 1 << 40)])


def lose(content: bytearray, at: int, chance: random.Random) -> None:
    del content[at : at + chance.randrange(1, 9)]


def nest(content: bytearray, at: int, _: random.Random) -> None:
    content[at : at + 12] = struct.pack("<IQ", 9, 1)


@pytest.mark.parametrize("harm", [cut, flip, spoil, lose, nest])
def test_no_damage_of_a_gguf_file_escapes(
    harm: Callable[[bytearray, int, random.Random], None], whole: bytes, tmp_path: Path
) -> None:
    chance, path = random.Random(7), tmp_path / "m.gguf"
    header = end_of_header(whole, path)
    refused: list[ModelError] = []
    for _ in range(300):
        content = bytearray(whole)
        harm(content, chance.randrange(4, header), chance)
        path.write_bytes(content)
        try:
            found = read_gguf_file(path)
            if found.has(FACTORS):
                found.values(FACTORS)
        except ModelError as error:
            refused.append(error)
    assert refused
    assert {error.family for error in refused} == {"input"}  # exit code 2
    assert not [error.hint for error in refused if "memory" in error.hint]


def test_a_gguf_file_of_which_a_part_has_come_is_damaged(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    for length in (end_of_header(whole, path), len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="is beyond its end") as found:
            from_gguf(path, tmp_path / "made", ProgressWriter(BytesIO()))
        assert "damaged or incomplete" in found.value.hint


def test_a_gguf_file_that_speaks_of_more_than_it_has_is_damaged(tmp_path: Path) -> None:
    config = of(LlamaConfig, rms_norm_eps=1e-5, rope_parameters=rope(1e4))()
    model, keys = random_model(config), shape_keys(config) | RMS | {"rope.freq_base": 1e4}
    for name, value, words in (
        ("block_count", 1_000_000_000, "block_count = 1000000000, and that is too large for a model"),
        ("embedding_length", 1 << 31, "that is too large for a model"),
    ):
        path = write_gguf(tmp_path / "m.gguf", model, "llama", keys | {name: value})
        with pytest.raises(ModelError, match=words):
            from_gguf(path, tmp_path / "made", ProgressWriter(BytesIO()))


@pytest.mark.parametrize("error", [struct.error("short"), RecursionError("deep"), KeyError("gone"), EOFError()])
def test_whatever_breaks_a_reader_is_a_damaged_file(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Path:
        raise error

    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr("engine.install.convert.from_gguf", broken)
    with pytest.raises(ModelError, match=f"m.gguf cannot be read: {type(error).__name__}"):
        import_model(tmp_path / "m.gguf", tmp_path / "models", ProgressWriter(BytesIO()))
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "generation_config.json"])
def test_a_pipe_in_a_model_folder_holds_nobody(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    for file in bundled_folder().iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match=r"not a model|is incomplete|not a regular file"):
        import_model(folder, tmp_path / "models", ProgressWriter(BytesIO()))


def test_a_pipe_among_weights_that_no_index_names(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((bundled_folder() / name).read_bytes())
    os.mkfifo(tmp_path / "part.safetensors")
    with pytest.raises(ModelError, match=r"part\.safetensors"):
        check_folder(tmp_path)


def test_a_gguf_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.gguf")
    with pytest.raises((ModelError, OSError)):
        import_model(tmp_path / "m.gguf", tmp_path / "models", ProgressWriter(BytesIO()))
