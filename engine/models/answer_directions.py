"""From what a node writes to the logits: the final norm, with the divisor of the prompt itself, and the unembedding.

With that divisor both are linear, so a node's own output adds a number of its own to every logit, and the numbers of
all nodes and biases add up to it (direct logit attribution; Elhage et al. 2021, nostalgebraist 2020).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engine.models.contributions import FINAL_NORM, READOUT, RecordedPass
from engine.models.head_layout import in_memory, unembedding

_TOLERANCE = 1e-3
"""Largest error of the linear form, as a share of the largest number; half precision has its roundings beside it."""
_ROUNDINGS = 8


class AnswerDirections:
    """The final norm and the unembedding of a model, as directions in the residual stream."""

    def __init__(self, bridge: Any, record: RecordedPass) -> None:
        """Read both, and check in the recorded pass that they give its logits; `why_not` says what does not fit."""
        self.why_not = ""
        """The reason why nodes have no direct effects in this model; empty if they have."""
        self.capped = False
        """True if the model squashes its logits (soft cap): then directions give the logits before that."""
        norm = getattr(getattr(bridge, "ln_final", None), "original_component", None)
        matrix, bias = unembedding(bridge)
        if norm is None or matrix is None:
            self.why_not = "it has no final norm that can be followed to the logits"
            return
        self._unembed: Float[Tensor, "d_model vocabulary"] = matrix
        self._bias = bias
        self.scale = 1.0
        """The factor that the model applies to its logits."""
        width = matrix.shape[0]
        self.centred, self.gain, self.shift = _read_norm(norm, width)
        self._check(record)

    def of(self, expected: tuple[int, ...], foils: tuple[int, ...]) -> tuple[Float[Tensor, " d_model"], float]:
        """Return the direction and the constant of an answer: mean logit of the expected tokens less that of the foils.

        Without foils, less the mean of all logits. The direction holds the final norm's gain, not its divisor.
        """
        columns = self._unembed.float()
        direction = columns[:, list(expected)].mean(dim=1)
        direction = direction - (columns[:, list(foils)].mean(dim=1) if foils else columns.mean(dim=1))
        constant = float(self.shift @ direction.to(self.shift.device)) if self.shift is not None else 0.0
        if self._bias is not None:
            bias = self._bias.float()
            constant += float(bias[list(expected)].mean() - (bias[list(foils)].mean() if foils else bias.mean()))
        direction = direction.to(self.gain.device) * self.gain
        direction = direction - direction.mean() if self.centred else direction
        return direction * self.scale, constant * self.scale

    def divisor(
        self, entering: Float[Tensor, "row d_model"], leaving: Float[Tensor, "row d_model"]
    ) -> Float[Tensor, " row"]:
        """Return by what the final norm multiplies each row, beside its gain."""
        plain = entering.float() - entering.float().mean(dim=-1, keepdim=True) if self.centred else entering.float()
        plain = plain * self.gain.to(plain.device)
        found = leaving.float() - self.shift.to(plain.device) if self.shift is not None else leaving.float()
        return (found * plain).sum(dim=-1) / (plain * plain).sum(dim=-1).clamp(min=1e-30)

    def _check(self, record: RecordedPass) -> None:
        entering, leaving = (record.last(name) for name in (FINAL_NORM, READOUT))
        stream = record.last(f"blocks.{record.n_layers - 1}.hook_out")
        if entering is not None and stream is not None and not torch.allclose(stream.to(entering.device), entering):
            self.why_not = "something lies between its last layer and its final norm"
            return
        if entering is None or leaving is None or entering.shape != leaving.shape:
            self.why_not = "what its unembedding reads is not what its final norm writes"
            return
        rounding = _TOLERANCE + _ROUNDINGS * torch.finfo(record.logits.dtype).eps
        plain = entering - entering.mean(dim=-1, keepdim=True) if self.centred else entering
        again = plain * self.gain.to(plain.device) * self.divisor(entering, leaving)[:, None]
        again = again + self.shift.to(plain.device) if self.shift is not None else again
        if float((again - leaving).abs().max()) > rounding * float(leaving.abs().max()):
            self.why_not = "its final norm is not a norm with a gain, or something follows it"
            return
        logits = record.logits.flatten(0, 1).float()
        plain_logits = leaving.to(self._unembed.device) @ self._unembed.float()
        if self._bias is not None:
            plain_logits = plain_logits + self._bias.float()
        if plain_logits.shape != logits.shape:
            self.why_not = "its logits are not those of its unembedding"
            return
        logits = logits.to(plain_logits.device)
        scale = float((plain_logits * logits).sum() / (plain_logits * plain_logits).sum().clamp(min=1e-30))
        if float((logits - scale * plain_logits).abs().max()) <= rounding * float(logits.abs().max()):
            self.scale = scale if abs(scale - 1) > rounding else 1.0
            return
        # A soft cap keeps the order of logits.
        order = plain_logits.argsort(dim=-1)
        self.capped = bool((logits.gather(-1, order).diff(dim=-1) >= -rounding * logits.abs().max()).all())
        if not self.capped:
            self.why_not = "its logits are not those of its unembedding"


def _without_mean(width: int) -> Float[Tensor, " d_model"]:
    """Return numbers that add up to zero, none of them near zero."""
    wave = torch.ones(width)
    wave[1::2] = -1.0
    if width % 2 and width > 2:
        wave[-3:] = torch.tensor([1.0, 1.0, -2.0])
    return wave


def _read_norm(norm: Any, width: int) -> tuple[bool, Float[Tensor, " d_model"], Float[Tensor, " d_model"] | None]:
    """Return whether the norm takes the mean away, its gain, and what it adds, read from its answers.

    Families store the gain as it is, or less 1 (Gemma).
    """
    with in_memory(norm), torch.no_grad():
        place = next(
            (each for each in (*norm.parameters(), *norm.buffers()) if each.is_floating_point()), torch.zeros(1)
        )

        def answer(values: Float[Tensor, " d_model"]) -> Float[Tensor, " d_model"]:
            found: Tensor = norm(values.to(place.device, place.dtype)[None, None])
            return found[0, 0].float()

        wave = 1e3 * _without_mean(width)  # so large that the norm's epsilon is nothing
        shift = answer(torch.zeros(width))
        ones, moved = answer(torch.full((width,), 1e3)) - shift, answer(wave) - shift
        centred = bool(ones.abs().max() <= 1e-2 * moved.abs().max())
        if not centred:
            return False, ones, shift if bool(shift.any()) else None
        length = wave.square().mean().sqrt()
        return True, moved * (length / wave).to(moved.device), shift if bool(shift.any()) else None
