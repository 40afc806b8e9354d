"""What every node's own output adds to the answer, read in the forward pass: no gradient and no patch."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.capture.prompts import AnswerIds
from engine.models.contributions import FINAL_NORM, READOUT
from engine.models.loading import Model


class DirectEffectsReader:
    """The direct effects of one batch, taken layer by layer during the forward pass."""

    def __init__(self, model: Model, answers: Sequence[AnswerIds], last: Int[Tensor, " row"], *, outputs: bool) -> None:
        """`answers`: of each row. `last`: position of each row's last token. `outputs`: embedding and MLPs follow."""
        info = model.info
        self._model, self._last = model, last
        self._layout = model.layout("all" if outputs else "heads")
        self._weights = model.head_weights
        self._direction = torch.zeros(len(answers), info.d_model, device=model.device)
        self._constant = torch.full((len(answers),), torch.nan, device=model.device)
        for row, answer in enumerate(answers):
            if answer.expected:
                direction, constant = model.directions.of(answer.expected, answer.foils)
                self._direction[row], self._constant[row] = direction.to(model.device), constant
        self._ends: dict[str, Tensor] = {}
        self.of_nodes: Float[Tensor, "row node"] = torch.zeros(len(answers), self._layout.n_nodes, device=model.device)
        """Complete after `finish`; NaN for rows without an expected token."""
        self.answer: Float[Tensor, " row"] = self._constant.clone()
        """The answer's logit, before a soft cap."""

    def heads(self, layer: int, z: Float[Tensor, "row position head d_head"]) -> None:
        """Record z of a layer's heads, times the factor of a norm after attention."""
        # The direction is carried back through W_O once, instead of every head's output forward.
        written = torch.einsum("hdm,rm->rhd", self._weights[layer][:, : z.shape[-1]], self._direction)
        n = self._layout.n_heads
        self.of_nodes[:, layer * n : (layer + 1) * n] = (self._at_last(z) * written).sum(dim=-1)

    def output(self, place: int, output: Float[Tensor, "row position d_model"]) -> None:
        """Record what the embedding (place 0) or the MLP of layer `place - 1` writes."""
        own = self._layout.n_heads_in_all + place
        self.of_nodes[:, own] = (self._at_last(output) * self._direction).sum(dim=-1)

    def final_hooks(self) -> list[tuple[str, Callable[..., None]]]:
        """Return hooks that read the stream on both sides of the final norm."""
        return [(name, self._keep(name)) for name in (FINAL_NORM, READOUT)]

    def finish(self) -> None:
        """Divide by the final norm's divisors."""
        entering, leaving = self._ends[FINAL_NORM], self._ends[READOUT]
        divisor = self._model.directions.divisor(entering, leaving)
        self.answer += divisor * (entering * self._direction).sum(dim=-1)
        self.of_nodes *= divisor[:, None]
        self.of_nodes[self._constant.isnan()] = torch.nan

    def _keep(self, name: str) -> Callable[..., None]:
        def hook(stream: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            # The last call counts: NanoChat normalises its embedding with the same module.
            self._ends[name] = self._at_last(stream.to(self._model.device, torch.float32))

        return hook

    def _at_last(self, values: Tensor) -> Tensor:
        """Return each row's values at its last token: [row, position, ...] -> [row, ...]."""
        if values.shape[1] == 1:
            return values[:, 0]  # a later hook leaves only the last token
        return values[torch.arange(len(values), device=values.device), self._last.to(values.device)]
