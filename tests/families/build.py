"""Build a family's tiny random model, in which whatever the family has matters."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..engine.plain import AfterAttention, Plain, byte_level

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
_USUAL = AfterAttention()


@dataclass(frozen=True)
class Family:
    """How a family's model is made, and how plain transformers says what its heads add to the stream."""

    config: str
    """The configuration's class in transformers."""
    settings: dict[str, Any] = field(default_factory=dict)
    after: AfterAttention = _USUAL
    shape: dict[str, Any] = field(default_factory=lambda: SHAPE)
    images: dict[str, Any] = field(default_factory=dict)
    """Settings of the part that reads images; empty: there is none."""


def build(family: Family, vocabulary: int) -> Any:
    """A random model of the family, in which biases, gains and buffers matter, too."""
    import transformers

    given = {"vocab_size": vocabulary, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    settings = {**given, **family.shape, **family.settings}
    if family.images:
        settings = {"text_config": settings, "vision_config": family.images, "image_token_id": 290}
    config = getattr(transformers, family.config)(**settings)
    torch.manual_seed(3)
    auto = transformers.AutoModelForImageTextToText if family.images else transformers.AutoModelForCausalLM
    model = auto.from_config(config, attn_implementation="eager").eval()
    stored = model.state_dict()
    with torch.no_grad():
        for name, values in [*model.named_parameters(), *model.named_buffers()]:
            if name not in stored or not values.is_floating_point():
                continue
            if values.dim() >= 2:
                values.normal_(0, 0.5 if re.search("embed|wte|wpe", name) else 0.25)
            elif name.endswith("bias") or "sinks" in name:
                values.normal_(0, 0.2)
            else:
                values.add_(0.3 * torch.randn_like(values))
    return model


def write(family: Family, folder: Path) -> None:
    """Write the family's model and a tokenizer of bytes and words into the folder."""
    tokenizer = byte_level(folder)
    build(family, len(tokenizer)).save_pretrained(folder)


def saved(family: Family, folder: Path) -> Plain:
    """Write the model; return it as transformers reads it."""
    write(family, folder)
    return Plain(folder, after=family.after, images=bool(family.images))
