"""A second copy of a model in another number format, and the scores of its heads."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engine.catalog.recommended_config import resolve_config
from engine.config import ProbeConfig
from engine.events import SilentMonitor
from engine.examples import Example
from engine.models.falcon import reordered_falcon
from engine.models.head_layout import output_matrices
from engine.models.loading import Model
from engine.results import HeadScores
from engine.sae.training import codes_of, contrast_lengths, prepare, train_saes
from engine.scoring.score_table import ScoreTable, pair_rows

NORM_AFTER = "ln1_post"
"""TransformerLens's name for a norm between attention and the stream."""


def second_copy(model: Model, dtype: torch.dtype) -> Any:
    """Return a bridge of the same weights in that number format. Raises RuntimeError if they stay in another."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge: Any = TransformerBridge.boot_transformers(
        str(model.folder),
        hf_model=reordered_falcon(model.folder, model.info.name, str(model.device), dtype),
        device=str(model.device),
        dtype=dtype,
    )
    bridge.eval()
    formats = {parameter.dtype for parameter in bridge.parameters()}
    if dtype not in formats:
        raise RuntimeError(f"it was loaded in {', '.join(sorted(map(str, formats)))}")
    return bridge


def scores_of(model: Model, bridge: Any, examples: Sequence[Example]) -> tuple[HeadScores, ...]:
    """Return the scores of a probe of these pairs, read at the mean over positions, one prompt a pass.

    `bridge`: the model, in any number format; what follows the pass is computed in float32.
    """
    config = resolve_config(ProbeConfig(shuffles=0), str(model.folder), model.folder)
    outputs = torch.stack([_written(model, bridge, example.prompt) for example in examples])
    shape = (pair_rows(examples).to(outputs.device), model.info.n_heads, config.sae)
    x = prepare(outputs, *shape)
    length = contrast_lengths(x, outputs, *shape)
    table, monitor = ScoreTable(outputs, examples, config, model.info.n_heads, length=length), SilentMonitor()
    saes = train_saes(x, table.positive, config, monitor, lambda _codes: None)
    return table.final(codes_of(saes, x), monitor)[0]


def _written(model: Model, bridge: Any, prompt: str) -> Float[Tensor, "node d_model"]:
    """Return what every head adds to the stream, as the mean over the prompt's own positions.

    Through a norm after attention, with the root mean square that all heads together gave it.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001
            found[name] = value.detach()[0].float()

        return hook

    ids, own = model.encode(prompt)
    layers = range(model.info.n_layers)
    names = [f"blocks.{layer}.{part}" for layer in layers for part in ("attn.hook_z", f"{NORM_AFTER}.hook_in")]
    hooks = [(name, keep(name)) for name in names if name in bridge.hook_dict]
    with torch.no_grad():
        bridge.run_with_hooks(torch.tensor([ids], device=model.device), fwd_hooks=hooks, return_type="logits")
    mine, outputs = torch.tensor(own, device=model.device), []
    for layer, matrices in enumerate(output_matrices(model.bridge, model.info.n_heads)):
        heads = found[f"blocks.{layer}.attn.hook_z"].view(len(ids), model.info.n_heads, -1)
        total = found.get(f"blocks.{layer}.{NORM_AFTER}.hook_in")
        if total is not None:
            heads = heads / total.pow(2).mean(dim=-1).sqrt()[:, None, None]
            norm = getattr(model.bridge.blocks[layer], NORM_AFTER).original_component
            with torch.no_grad():
                matrices = matrices * norm(torch.ones_like(total[0])).float()  # the gain: ones have a mean square of 1
        outputs.append(torch.einsum("hd,hdm->hm", heads[mine].mean(dim=0), matrices))
    return torch.cat(outputs)
