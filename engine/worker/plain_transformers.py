"""A model as transformers runs it, without TransformerLens: one prompt a pass and hooks of torch, to compare with."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engine.errors import ModelError
from engine.models.loading import Model


class PlainModel:
    """The same weights in plain transformers, in float32."""

    def __init__(self, model: Model) -> None:
        """Load it. Raises ModelError if its output projections cannot be found among its modules."""
        from transformers import AutoModelForCausalLM

        self.n_heads, self.device = model.info.n_heads, model.device
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(model.folder),
            dtype=torch.float32,
            attn_implementation="eager",
            local_files_only=True,
            trust_remote_code=False,
        )
        self.model: Any = loaded.to(model.device).eval()
        self.outputs = self._output_projections(model)

    def run(
        self,
        ids: Sequence[int],
        head: tuple[int, int] | None = None,
        instead: Float[Tensor, "position d_head"] | None = None,
    ) -> tuple[Float[Tensor, " vocabulary"], list[Float[Tensor, "position head d_head"]]]:
        """Return the logits after the last token and every layer's z; with that head's z replaced at all positions."""
        kept: list[Tensor] = []

        def see(layer: int) -> Callable[..., Any]:
            def hook(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                z = given[0].clone().view(1, len(ids), self.n_heads, -1)
                if head is not None and head[0] == layer and instead is not None:
                    z[0, :, head[1]] = instead
                kept.append(z[0])
                return (z.view(given[0].shape), *given[1:])

            return hook

        handles = [each.register_forward_pre_hook(see(layer)) for layer, each in enumerate(self.outputs)]
        try:
            with torch.no_grad():
                tokens = torch.tensor([list(ids)], device=self.device)
                logits = self.model(input_ids=tokens, use_cache=False).logits[0, -1].float()
        finally:
            for handle in handles:
                handle.remove()
        return logits, kept

    def _output_projections(self, model: Model) -> list[nn.Module]:
        """Return every layer's output projection: the module that has the bridge's weight."""
        left = [each for each in self.model.modules() if isinstance(getattr(each, "weight", None), Tensor)]
        found = []
        for layer, block in enumerate(model.bridge.blocks):
            wanted = getattr(getattr(getattr(block.attn, "o", None), "original_component", None), "weight", None)
            same = (each for each in left if wanted is not None and _is_same(each.weight, wanted))
            module = next(same, None)
            if module is None:
                raise ModelError(f"layer {layer} has no module of its own that its heads write through")
            left.remove(module)
            found.append(module)
        return found


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.float().cpu(), other.float().cpu())
