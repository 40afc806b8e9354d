"""Tokens that may stand in the place of another: those that look alike to what a node reads."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from engine.models.contributions import norm_gain
from engine.models.head_layout import in_memory
from engine.models.loading import Model
from engine.nodes import NodeId

_TOKENS_AT_ONCE = 16_384
"""Of the vocabulary: the rows of all tokens may be gigabytes."""
_SHORTLIST = 8_192
"""Tokens nearest by their embeddings, among which those nearest for the node are found: with Gemma's 262,144 tokens a
hundredth of the time.
"""


class ReadTokens:
    """The embeddings of a model's tokens as a node reads them: through the norm's gain and its queries, keys, values.

    It says which tokens are alike before any layer has worked on them; whether a code is kept is measured.
    """

    def __init__(self, model: Model, node: NodeId) -> None:
        embed: Any = model.bridge.embed
        with in_memory(embed.original_component):
            weight: Tensor = embed.original_component.weight.detach()
            self._embedding = weight[: model.info.vocabulary]
        self._device, self._reads = model.device, _read_matrix(model, node, self._embedding.shape[1])
        self._kept: dict[int, Tensor] = {}
        self._lengths: Tensor | None = None

    def vectors(self, tokens: Sequence[int]) -> Float[Tensor, "token read"]:
        """Return what the node reads of each token, of length 1."""
        missing = sorted({token for token in tokens if token not in self._kept})
        if missing:
            for token, row in zip(missing, self._of(self._embedding[missing]), strict=True):
                self._kept[token] = row
        return torch.stack([self._kept[token] for token in tokens])

    def nearest(self, token: int, most: int) -> list[int]:
        """Return the tokens that are most alike to this one for the node, without itself."""
        with torch.no_grad():
            if self._lengths is None:
                self._lengths = torch.cat([rows.norm(dim=-1) for rows in self._rows()]).clamp_(min=1e-12)
            query = self._plain(self._embedding[[token]])[0]
            along = torch.cat([rows @ query for rows in self._rows()]) / self._lengths
            along[token] = -2.0
            near = along.topk(min(_SHORTLIST, len(along) - 1)).indices
            closest = (self._of(self._embedding[near]) @ self.vectors([token])[0]).topk(min(most, len(near))).indices
            return near[closest].tolist()

    def _rows(self) -> Iterator[Float[Tensor, "token d_model"]]:
        for rows in self._embedding.split(_TOKENS_AT_ONCE):
            yield rows.to(self._device, torch.float32)

    def _plain(self, rows: Tensor) -> Float[Tensor, "token d_model"]:
        return normalize(rows.to(self._device, torch.float32), dim=-1)

    def _of(self, rows: Tensor) -> Float[Tensor, "token read"]:
        with torch.no_grad():
            values = self._plain(rows)
            return normalize(values if self._reads is None else values @ self._reads, dim=-1)


def _read_matrix(model: Model, node: NodeId, width: int) -> Float[Tensor, "d_model read"] | None:
    """Return a head's queries, keys and values side by side, each at the same scale; None: as it is.

    For MLPs and the embedding, and where a family does not show these matrices or projects its embeddings.
    """
    if not node.is_head or width != model.info.d_model:
        return None
    block = model.bridge.blocks[node.layer]
    parts = []
    for name in ("W_Q", "W_K", "W_V"):
        try:
            matrices = getattr(block.attn, name).detach()
        except (AttributeError, NotImplementedError, RuntimeError):
            return None
        if matrices.dim() != 3 or matrices.shape[1] != width:
            return None
        # Under grouped queries several heads share keys and values.
        part = matrices[node.head * len(matrices) // model.info.n_heads].to(model.device, torch.float32)
        parts.append(part / part.norm().clamp(min=1e-12))
    gain = norm_gain(getattr(block, "ln1", None), width)
    matrix = torch.cat(parts, dim=1)
    return matrix if gain is None else matrix * gain.to(matrix.device)[:, None]
