"""Rotary positions that depend on the length of a prompt (longrope, dynamic): each row by its own length.

transformers uses one set of frequencies for a whole batch, from its longest row, and with dynamic scaling remembers the
longest of earlier passes. So a short prompt would give other answers beside a long one, or after it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

_BY_LENGTH = ("longrope", "dynamic")


class RowLengths:
    """The lengths of the rows in a pass, for rotary embeddings that depend on them."""

    def __init__(self, model: nn.Module) -> None:
        """Patch the rotary embeddings of `model` (transformers') that depend on length; most models have none."""
        self._lengths: Tensor | None = None
        self.modules = [module for module in model.modules() if _kinds(module)]
        for module in self.modules:
            vars(module)["forward"] = self._by_row(module, module.forward)

    def __bool__(self) -> bool:
        """Return True if answers depend on lengths: results computed without them are invalid."""
        return bool(self.modules)

    @contextmanager
    def of(self, lengths: Int[Tensor, " row"]) -> Iterator[None]:
        """Within the context, passes have rows of these lengths, without right padding, with cached keys."""
        before, self._lengths = self._lengths, lengths
        try:
            yield
        finally:
            self._lengths = before

    def _by_row(self, module: nn.Module, plain: Callable[..., Any]) -> Callable[..., Any]:
        def forward(x: Tensor, position_ids: Tensor, *more: Any, **given: Any) -> tuple[Tensor, Tensor]:
            rows = len(x)
            if self._lengths is None or len(self._lengths) != rows:
                lengths = position_ids.amax(dim=-1).expand(rows) + 1
            else:
                lengths = self._lengths.to(position_ids.device)
            places = position_ids.expand(rows, -1)
            cos, sin = [], []
            # Rows of one length share their frequencies.
            known: dict[int, tuple[Tensor, Tensor]] = {}
            same = position_ids.shape[0] == 1
            for row, length in enumerate(lengths.tolist()):
                if not same or length not in known:
                    _forget(module)
                    end = torch.full_like(places[:1, :1], length - 1)
                    # The last position decides the frequencies; padding after the prompt must not.
                    asked = torch.cat([places[row : row + 1].clamp(max=length - 1), end], dim=1)
                    found = plain(x[:1], asked, *more, **given)
                    known[length] = (found[0][:, :-1], found[1][:, :-1])
                cos.append(known[length][0])
                sin.append(known[length][1])
            return torch.cat(cos), torch.cat(sin)

        return forward


def _kinds(module: nn.Module) -> list[str]:
    """Return the length-dependent kinds of scaling of a rotary embedding."""
    found = getattr(module, "rope_type", None)
    kinds = list(found.values()) if isinstance(found, dict) else [found] if isinstance(found, str) else []
    return [kind for kind in kinds if any(name in kind for name in _BY_LENGTH)]


def _forget(module: Any) -> None:
    """Reset what dynamic scaling stored from longer passes."""
    if hasattr(module, "original_max_seq_len"):
        module.max_seq_len_cached = module.original_max_seq_len
    for name, kept in [*module.named_buffers(recurse=False)]:
        if name.endswith("original_inv_freq"):
            place = name.replace("original_inv_freq", "inv_freq")
            setattr(module, place, kept.to(getattr(module, place).device).clone())
            longest = place.replace("inv_freq", "max_seq_len_cached")
            if hasattr(module, longest):
                setattr(module, longest, module.original_max_seq_len)
