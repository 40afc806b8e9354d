"""Write a planted model into a folder: configuration, weights, tokenizer, circuits and version."""

import shutil
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.catalog.local_models import model_identity
from engine.catalog.planted_models import (
    CONTEXT,
    D_HEAD,
    D_MODEL,
    GIFTS,
    N_HEADS,
    NAMES,
    SPOTS,
    STAMP,
    THINGS,
    VERSION,
    PlantedModel,
    is_built,
)
from engine.install.staging import put_in_place, workshop
from engine.planted import tokenizer as words
from engine.planted.weights import EPSILON, GAIN, heads_of, mlps_of, position_table, token_tables
from engine.tasks import induction, ioi


def planted_folder(model: PlantedModel, models: Path) -> Path:
    """Return the model's folder in `models`; build it if it is missing or of another version.

    Raises ModelError if another process is building it.
    """
    folder = models / model.name
    if is_built(folder):
        return folder
    with workshop(models, model.name) as work:
        write_planted(model, work)
        if folder.exists():
            shutil.rmtree(folder)
        return put_in_place(work, models, model.name)


def write_planted(model: PlantedModel, folder: Path) -> None:
    """Write everything in a model's folder, the same bytes every time."""
    tokenizer = words.build(texts(), context=CONTEXT)
    words.save(tokenizer, folder)
    vocabulary = tokenizer.get_vocab()
    pieces = [str(tokenizer.decode([token], clean_up_tokenization_spaces=False)) for token in range(len(vocabulary))]
    state = {name: value.float().contiguous() for name, value in weights(model, pieces).items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", _config(model, len(vocabulary)))
    _write(folder / "circuits.json", _circuits(model, model_identity(folder)))
    _write(folder / STAMP, {"schema": "headcode.planted/1", "name": model.name, "version": VERSION})


def texts() -> list[str]:
    """Return text with every word that is one token: the same for all planted models."""
    filled = [
        template.format(first=NAMES[0], second=NAMES[1], giver=NAMES[0], place=SPOTS[0], object=GIFTS[0])
        for template in ioi.TEMPLATES
    ]
    spaced = [f" {word}" for word in (*NAMES, *THINGS, *GIFTS, *SPOTS)]
    return [*filled, induction.OPENING, *spaced]


def weights(model: PlantedModel, pieces: list[str]) -> dict[str, Tensor]:
    """Return all tensors under their GPT-2 names, in double precision."""
    written, unembedding = token_tables(pieces)
    state = {
        "transformer.wte.weight": written,
        "transformer.wpe.weight": position_table(),
        "lm_head.weight": unembedding,
        **_norm("transformer.ln_f"),
    }
    heads, mlps = heads_of(model), mlps_of(model)
    for layer in range(model.n_layers):
        own = [heads[layer, head] for head in range(N_HEADS)]
        at = f"transformer.h.{layer}"
        zero = torch.zeros(N_HEADS * D_HEAD, dtype=torch.float64)
        state |= {
            f"{at}.attn.c_attn.weight": torch.cat([getattr(head, part) for part in "qkv" for head in own], dim=1),
            f"{at}.attn.c_attn.bias": torch.cat([*(head.q_bias for head in own), zero, zero]),
            f"{at}.attn.c_proj.weight": torch.cat([head.o for head in own]),
            f"{at}.attn.c_proj.bias": torch.zeros(D_MODEL),
            f"{at}.mlp.c_fc.weight": mlps[layer].into,
            f"{at}.mlp.c_fc.bias": mlps[layer].bias,
            f"{at}.mlp.c_proj.weight": mlps[layer].out,
            f"{at}.mlp.c_proj.bias": torch.zeros(D_MODEL),
            **_norm(f"{at}.ln_1"),
            **_norm(f"{at}.ln_2"),
        }
    return state


def _norm(name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.full((D_MODEL,), GAIN), f"{name}.bias": torch.zeros(D_MODEL)}


def _config(model: PlantedModel, vocabulary: int) -> dict[str, object]:
    return {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.0,
        "bos_token_id": 0,
        "dtype": "float32",
        "embd_pdrop": 0.0,
        "eos_token_id": 0,
        "layer_norm_epsilon": EPSILON,
        "model_type": "gpt2",
        "n_embd": D_MODEL,
        "n_head": N_HEADS,
        "n_inner": model.inner,
        "n_layer": model.n_layers,
        "n_positions": CONTEXT,
        "pad_token_id": 0,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def _circuits(model: PlantedModel, identity: str) -> dict[str, object]:
    return {
        "schema": "headcode.circuits/1",
        "model": model.name,
        "identity": identity,
        "measured": "planted: the weights were written so; tests hold exact patching of every head and edge against it",
        "tasks": {
            circuit.task: {
                "planted": True,
                "heads": circuit.heads,
                "edges": circuit.edges,
                **({"mlps": [each.layer for each in circuit.mlps]} if circuit.mlps else {}),
            }
            for circuit in model.circuits
        },
    }


def _write(path: Path, value: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
