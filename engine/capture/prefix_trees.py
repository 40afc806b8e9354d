"""Read prompts with common beginnings in one pass: tokens that several of them share are computed once.

A row holds a tree of prompts. Each token sees the tokens on its way from the root, and has the position that it has in
its prompt; so a causal model computes for every token what it would in the prompt alone.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from engine.capture.layer_hooks import head_hooks, stream_hooks
from engine.events import SilentMonitor
from engine.models.contributions import Hooks
from engine.models.loading import Model
from engine.tensors.generators import generator

_WIDTH = 128
"""Tokens of a row at most: attention compares each with all others of its row, and some families see no further."""
_TOLERANCE = 1e-4
"""Error of a pass over trees, as a share of the largest number. Float32 gives 1e-6, a token that is not seen 1e-1."""


class PackedPrompts(NamedTuple):
    """Prompts in rows."""

    tokens: Int[Tensor, "row place"]
    rows: list[int]
    """Of each prompt."""
    places: list[list[int]]
    """Of each prompt: where its tokens stand in the row."""
    positions: Int[Tensor, "row place"] | None = None
    """None: every row is one prompt, padded on the right."""
    sees: Bool[Tensor, "row place place"] | None = None

    def arguments(self, model: Model) -> dict[str, Tensor]:
        """Return what a forward pass needs beside the tokens."""
        if self.positions is None or self.sees is None:
            return {}
        dtype = next(model.bridge.original_model.parameters()).dtype
        hidden = torch.zeros(self.sees.shape, dtype=dtype).masked_fill_(~self.sees, torch.finfo(dtype).min)
        return {
            "position_ids": self.positions.to(model.device),
            "attention_mask": hidden[:, None].to(model.device),
        }


class PrefixTree:
    """A tree of prompts that grows."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self._children: dict[tuple[int, int], int] = {}

    def missing(self, prompt: Sequence[int]) -> int:
        """Return how many tokens a prompt would add."""
        place = -1
        for at, token in enumerate(prompt):
            found = self._children.get((place, token))
            if found is None:
                return len(prompt) - at
            place = found
        return 0

    def add(self, prompt: Sequence[int]) -> list[int]:
        """Add a prompt; return the places of its tokens."""
        places, place = [], -1
        for token in prompt:
            found = self._children.get((place, token))
            if found is None:
                found = self._children[place, token] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(place)
            place = found
            places.append(place)
        return places


def pack(prompts: Sequence[Sequence[int]], width: int = _WIDTH) -> PackedPrompts:
    """Return the prompts as trees, in rows of at most `width` tokens or one prompt."""
    trees = [PrefixTree()]
    rows, places = [0] * len(prompts), [[0]] * len(prompts)
    for number in sorted(range(len(prompts)), key=lambda each: tuple(prompts[each])):
        tree = trees[-1]
        if tree.tokens and len(tree.tokens) + tree.missing(prompts[number]) > width:
            trees.append(tree := PrefixTree())
        rows[number], places[number] = len(trees) - 1, tree.add(prompts[number])
    longest = max(len(tree.tokens) for tree in trees)
    tokens, positions = (np.zeros((len(trees), longest), dtype=np.int64) for _ in range(2))
    # Padding sees itself: a softmax over nothing would be no number.
    sees = np.tile(np.eye(longest, dtype=bool), (len(trees), 1, 1))
    for row, tree in enumerate(trees):
        tokens[row, : len(tree.tokens)] = tree.tokens
        for place, parent in enumerate(tree.parents):
            if parent >= 0:
                positions[row, place] = positions[row, parent] + 1
                sees[row, place] |= sees[row, parent]
    return PackedPrompts(torch.from_numpy(tokens), rows, places, torch.from_numpy(positions), torch.from_numpy(sees))


def in_rows(prompts: Sequence[Sequence[int]]) -> PackedPrompts:
    """Return the prompts in rows of their own, padded on the right."""
    longest = max(map(len, prompts))
    tokens = torch.tensor([[*each, *[0] * (longest - len(each))] for each in prompts])
    return PackedPrompts(tokens, [*range(len(prompts))], [[*range(len(each))] for each in prompts])


_known: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def reads_trees(model: Model) -> bool:
    """Return True if the model answers in a tree as it does for the prompts alone; tried once for each loaded model.

    Families differ: some take no mask or positions, some see a window of a row only, or nothing but the row's order.
    """
    if model.bridge not in _known:
        _known[model.bridge] = not model.lengths and _same_in_tree(model)
    return _known[model.bridge]


def width_for(model: Model) -> int:
    """Return how many tokens a row of trees has at most."""
    return min(_WIDTH, model.info.context)


def _same_in_tree(model: Model) -> bool:
    """Return whether two prompts that fill a row, parting early, give the same in a tree as alone."""
    width = width_for(model)
    if width < 8:
        return False
    drawn = torch.randint(model.info.vocabulary, (width,), generator=generator(0, "prefix tree")).tolist()
    prompts = [drawn[:-3], [*drawn[:2], *drawn[-3:]]]
    tree = pack(prompts, width)
    try:
        alone, in_tree = (_everything(model, packed) for packed in (in_rows(prompts), tree))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, NotImplementedError):
        return False
    dtype = next(model.bridge.original_model.parameters()).dtype
    allowed = max(_TOLERANCE, 8 * torch.finfo(dtype).eps)
    for one, other in zip(alone, in_tree, strict=True):
        for row, prompt in enumerate(prompts):
            expected, got = one[row, : len(prompt)], other[tree.rows[row]][tree.places[row]]
            if not bool((expected - got).abs().max() <= allowed * one.abs().max()):
                return False
    return True


def _everything(model: Model, packed: PackedPrompts) -> list[Tensor]:
    """Return z of all heads and the stream, layer by layer, on the CPU: a large model leaves a GPU no room for them."""
    kept: list[Tensor] = []

    def keep(_: int, value: Tensor) -> None:
        kept.append(value.flatten(2).cpu())

    layers = range(model.info.n_layers)
    hooks = head_hooks(model, layers, keep, SilentMonitor()) + stream_hooks(model, layers, keep)
    run_until(model, packed, hooks, len(layers) - 1)
    return kept


def run_until(model: Model, packed: PackedPrompts, hooks: Hooks, last: int) -> None:
    """Run a pass with these hooks that ends after the layer `last`."""

    def stop(_: int, __: Tensor) -> None:
        raise _Stopped

    lengths = torch.full((len(packed.tokens),), packed.tokens.shape[1])
    if packed.sees is None:
        lengths = torch.tensor([len(each) for each in packed.places])
    ending = stream_hooks(model, [last], stop)
    tokens = packed.tokens.to(model.device)
    with suppress(_Stopped), torch.inference_mode(), model.lengths.of(lengths.to(model.device)):
        model.bridge.run_with_hooks(
            tokens, fwd_hooks=[*hooks, *ending], return_type="logits", **packed.arguments(model)
        )


class _Stopped(Exception):
    """Raised by a hook once nothing more is read."""
