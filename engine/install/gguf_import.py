"""Convert a GGUF file to safetensors with its tokenizer. Everything in it is carried over, reported or refused."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError
from engine.install.gguf_config import complete_config
from engine.install.gguf_counts import check_counts
from engine.install.gguf_file import GgufFile, read_gguf_file
from engine.install.gguf_rope import FACTORS, LONG, SHORT
from engine.install.gguf_tokenizer import make_tokenizer
from engine.install.load_report import load_report, some_of

if TYPE_CHECKING:
    from engine.install.progress import ProgressWriter

_FOLDER_HINT = "Get the model as a Hugging Face folder with safetensors."
_OF_POSITIONS = (FACTORS, LONG, SHORT)
_IN_FILES = {"gpt_oss": "gpt-oss", "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "minimax_m2": "minimax-m2"}
"""Architectures that transformers' older loader names differently from files."""


def from_gguf(path: Path, made: Path, writer: "ProgressWriter") -> Path:
    """Convert the GGUF file to float32 safetensors with its tokenizer. Takes about 30 s and 2 GB for 135 M parameters.

    Raises ModelError for a damaged file, a part of one, an architecture or a quantisation that transformers cannot
    read, and for anything it would read as a different model.
    """
    file = read_gguf_file(path)
    writer.stage("convert", 0, "tensors")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    check_readable(file)
    check_counts(file)
    config, notices = _configure(file)
    tokenizer, more = make_tokenizer(file)
    model = _load(file, config, writer)
    for notice in [*notices, *more]:
        writer.note(notice)
    # The tensors are plain numbers now; the quantizer's label would prevent saving them.
    model.__dict__.pop("hf_quantizer", None)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    made.mkdir(exist_ok=True)
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


def check_readable(file: GgufFile) -> None:
    """Check that this transformers reads the architecture and every quantisation in the file. Raises ModelError."""
    old, new = _architectures()
    if file.architecture not in old | new:
        raise ModelError(
            f"{file.path.name} is a {file.architecture}, which this transformers does not read from GGUF.",
            hint=f"{_FOLDER_HINT} From GGUF it reads {', '.join(sorted(old | new))}.",
        )
    lacking = sorted({tensor.kind for tensor in file.tensors} - _kinds(of_new=file.architecture in new))
    if lacking:
        names = [tensor.name for tensor in file.tensors if tensor.kind == lacking[0]]
        read = sorted(kind for kind in _kinds(of_new=file.architecture in new) if kind[0] in "FBQ")
        raise ModelError(
            f"{file.path.name} has {len(names)} tensors in {lacking[0]} ({some_of(names)}), which transformers does "
            f"not read for {file.architecture}.",
            hint=f"Get the same model in another quantisation: for {file.architecture} it reads {', '.join(read)}.",
        )


def _architectures() -> tuple[set[str], set[str]]:
    """Return the architectures of transformers' older and newer loader, as files name them."""
    from transformers import modeling_gguf_pytorch_utils as older

    # Besides architectures it lists its tables of general and tokenizer keys.
    listed = set(older.GGUF_SUPPORTED_ARCHITECTURES) - {"general", "tokenizer"}
    old = {_IN_FILES.get(name, name) for name in listed}
    try:
        from transformers.integrations.gguf.gguf_conversion_mapping import GGUF_ARCHS
    except ImportError:
        return old, set()
    return old - set(GGUF_ARCHS), set(GGUF_ARCHS)


def _kinds(*, of_new: bool) -> set[str]:
    """Return the quantisations that a loader can unpack."""
    import gguf
    import numpy as np

    plain = {"F32", "F16", "BF16"}
    if of_new:
        from transformers.integrations.gguf.dequant import GGML_BLOCK

        return plain | {gguf.GGMLQuantizationType(number).name for number in GGML_BLOCK}
    found = set(plain)
    for kind, (_, n_bytes) in gguf.GGML_QUANT_SIZES.items():
        try:
            gguf.dequantize(np.zeros((1, n_bytes), dtype=np.uint8), kind)
        except (NotImplementedError, ValueError, KeyError):
            continue
        found.add(kind.name)
    return found


def _configure(file: GgufFile) -> tuple[Any, list[str]]:
    """Return the configuration from the file's keys, and notices for the user."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(file.path.parent), gguf_file=file.path.name, local_files_only=True)
        return config, complete_config(file, config)
    except ModelError:
        raise
    except Exception as error:  # what the loader raises for a file it does not understand differs between versions
        raise _not_converted(file, error) from error


def _load(file: GgufFile, config: Any, writer: "ProgressWriter") -> Any:
    """Return the model of that configuration with all of the file's weights."""
    import torch
    from transformers import AutoModelForCausalLM, modeling_gguf_pytorch_utils

    from engine.tensors.out_of_memory import is_out_of_memory

    # The only place that knows the progress of the conversion.
    setattr(modeling_gguf_pytorch_utils, "tqdm", _tensor_bar(writer))  # noqa: B010
    with load_report() as report:
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                str(file.path.parent),
                gguf_file=file.path.name,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            report.check(file.path.name)
            raise _not_converted(file, error) from error
    report.check(file.path.name)
    _check_used(file, model, report.unexpected)
    return model


def _not_converted(file: GgufFile, error: Exception) -> ModelError:
    lines = str(error).strip().splitlines()
    why = f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": .")
    return ModelError(
        f"{file.path.name} cannot be converted: {why[:300]}.",
        hint=f"This transformers lists {file.architecture} as readable from GGUF, but does not read this file. "
        f"{_FOLDER_HINT}",
    )


def _check_used(file: GgufFile, model: Any, unexpected: set[str]) -> None:
    """Check that every tensor of the file is in the model. Raises ModelError."""
    unused = [name for name in _unused(file, model, unexpected) if name not in _OF_POSITIONS]
    if unused:
        raise ModelError(
            f"{file.path.name} has {len(unused)} tensors that transformers leaves out: {some_of(unused)}.",
            hint=f"It would be a different model without them. {_FOLDER_HINT}",
        )


def _unused(file: GgufFile, model: Any, unexpected: set[str]) -> list[str]:
    from transformers import modeling_gguf_pytorch_utils as older

    if file.architecture in _architectures()[1]:
        # The newer loader reports them; what it drops by its own rules (draft heads) is not used in a forward pass.
        return sorted(unexpected)
    kind: Any = older.TENSOR_PROCESSORS.get(file.architecture, older.TensorProcessor)
    processor = kind(config=model.config.to_dict())
    weights_map: Any = older.get_gguf_hf_weights_map
    known = set(weights_map(model, processor))
    if not model.config.tie_word_embeddings:
        known.add("output.weight")
    return [
        tensor.name
        for tensor in file.tensors
        if tensor.name not in known and re.sub(r"\.weight$", "", tensor.name) not in known
    ]


def _tensor_bar(writer: "ProgressWriter") -> Any:
    """Return a replacement of tqdm that reports how many tensors are done."""

    def bar(tensors: Any, **_: object) -> Any:
        writer.stage("convert", len(tensors), "tensors")
        for done, tensor in enumerate(tensors, start=1):
            yield tensor
            writer.progress(done)

    return bar
