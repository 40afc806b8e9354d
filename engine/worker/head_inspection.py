"""Inspect one head: its attention and output on one prompt, and what its codes write."""

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from engine.capture.prompts import encode_prompt
from engine.errors import EngineError, NoSuchNode
from engine.examples import Example
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.protocol import CodeWrites, HeadInspected, InspectHead
from engine.sae.stored import code_directions
from engine.worker.written_tokens import NORM_SCALE, written_tokens

MOST_TOKENS = 256
"""Of a longer prompt only the attention among its last tokens is returned: its size grows quadratically."""
MOST_CODES = 24


class Inspector:
    """Answers InspectHead requests with the warm model."""

    def __init__(self, warm_model: WarmModel) -> None:
        self.warm_model = warm_model

    def answer(self, request: InspectHead) -> HeadInspected:
        """Inspect the head. Raises ModelError, NoSuchNode, ExampleError, and EngineError for unreadable SAE weights."""
        model, _ = self.warm_model.take(request.model, Path(request.models), request)
        info = model.info
        if not (0 <= request.layer < info.n_layers and 0 <= request.head < info.n_heads):
            raise NoSuchNode(f"{request.layer}.{request.head}", info.n_layers, info.n_heads)
        ids, own = encode_prompt(model, 0, Example(prompt=request.prompt, polarity="positive"))
        pattern, outputs, scale = _capture_head(model, ids, request.layer, request.head)
        first = max(0, len(ids) - MOST_TOKENS)
        return HeadInspected(
            job=request.job,
            model=info,
            tokens=model.prompt_words(ids, own)[first:],
            skipped=first,
            strength=tuple(round(value, 5) for value in outputs.norm(dim=-1)[first:].tolist()),
            attention=tuple(
                tuple(round(value, 4) for value in row[first : first + place + 1])
                for place, row in enumerate(pattern[first:].tolist())
            ),
            writes=_writes(model, request, outputs[first:], scale) if request.sae and request.codes else (),
        )


def _capture_head(
    model: Model, ids: list[int], layer: int, head: int
) -> tuple[Float[Tensor, "query key"], Float[Tensor, "position d_model"], float]:
    """Return the head's attention pattern, its contribution at every position, and the last scale of the final norm."""
    found: dict[str, Tensor] = {}

    def keep(name: str, take: Callable[[Tensor], Tensor]) -> Callable[..., None]:
        def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            found[name] = take(value).detach().to(model.device, torch.float32)

        return hook

    n_heads = model.info.n_heads
    hooks = [
        (f"blocks.{layer}.attn.hook_pattern", keep("pattern", lambda value: value[0, head])),
        (
            f"blocks.{layer}.attn.hook_z",
            keep("z", lambda z: z.view(*z.shape[:2], n_heads, -1)[0, :, head]),
        ),
    ]
    factors: dict[int, Tensor] = {}
    hooks += model.contributions.position_hooks(factors.__setitem__)
    if NORM_SCALE in model.bridge.hook_dict:  # a model may have no final norm
        hooks.append((NORM_SCALE, keep("scale", lambda scale: scale[0, -1])))
    with torch.inference_mode(), model.threads_for(len(ids)):
        tokens = torch.tensor([ids], device=model.device)
        model.bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type=None)
        scale = float(found["scale"]) if "scale" in found else 1.0
        z = found["z"] * factors[layer][0, :, None] if layer in factors else found["z"]
        return found["pattern"], z @ model.head_weights[layer][head], scale


def _writes(
    model: Model, request: InspectHead, outputs: Float[Tensor, "position d_model"], scale: float
) -> tuple[CodeWrites, ...]:
    """Return, per code, the tokens its decoder direction raises and lowers most, and its cosine with the output.

    The direction's unit vector at the prompt's end goes straight through the final norm, which divides by `scale`
    there, and the unembedding. The cosine is between direction and head output at each position.
    """
    directions = code_directions(Path(request.sae), request.seed_index)
    n_codes, d_model = directions.shape
    wanted = [code for code in request.codes[:MOST_CODES] if 0 <= code < n_codes]
    if d_model != model.info.d_model:
        raise EngineError(
            f"The SAE of this run is {d_model} wide and {model.info.name} {model.info.d_model}.",
            hint="It belongs to another model: run the probe again.",
        )
    chosen = directions[wanted].to(model.device)
    with torch.inference_mode():
        along = torch.nn.functional.normalize(outputs, dim=-1) @ chosen.T
    return tuple(
        CodeWrites(
            code=code,
            raises=written.raises,
            lowers=written.lowers,
            along=tuple(round(value, 4) for value in along[:, place].tolist()),
        )
        for place, (code, written) in enumerate(zip(wanted, written_tokens(model, chosen, scale), strict=True))
    )
