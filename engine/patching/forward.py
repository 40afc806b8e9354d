"""Forward passes that start where they need to and let heads be replaced on the way."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.errors import Cancelled
from engine.events import Monitor
from engine.models.loading import Model

Edit = Callable[[int, Float[Tensor, "row position head d_head"]], Tensor]
"""(layer, its heads' z) -> the z that takes its place."""

Slope = Callable[[Float[Tensor, "row vocabulary"]], Float[Tensor, " row"]]
"""What gradients are taken of."""

TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 65_536}


class CleanPass(msgspec.Struct, frozen=True, kw_only=True):
    """What one undisturbed pass left behind."""

    logits: Tensor
    """Float [row, vocabulary], after each row's last token."""
    z: list[Tensor]
    """Float [row, position, head, d_head], one a layer."""
    residual: list[Tensor]
    """Float [row, position, d_model] that enters each layer, as many as were asked for."""
    gradients: list[Tensor] | None = None
    """d slope / d z, one a layer; None where no slope was asked for."""

    def rows(self, part: slice) -> "CleanPass":
        """The same for some of the rows."""
        return CleanPass(
            logits=self.logits[part],
            z=[each[part] for each in self.z],
            residual=[each[part] for each in self.residual],
            gradients=None if self.gradients is None else [each[part] for each in self.gradients],
        )

    @staticmethod
    def joined(parts: "Sequence[CleanPass]") -> "CleanPass":
        """The parts' rows one after another."""
        if len(parts) == 1:
            return parts[0]
        slopes = [part.gradients for part in parts if part.gradients is not None]
        return CleanPass(
            logits=torch.cat([part.logits for part in parts]),
            z=_by_layer([part.z for part in parts]),
            residual=_by_layer([part.residual for part in parts]),
            gradients=_by_layer(slopes) if slopes else None,
        )


class PrefixCache(msgspec.Struct, frozen=True, kw_only=True):
    """Keys and values of positions that no replacement changes, so that passes begin behind them."""

    length: int
    keys: list[Tensor]
    """Float [row, key head, position, d_head], one a layer."""
    values: list[Tensor]

    def part(self, rows: slice) -> "PrefixCache":
        """The same for some of the rows."""
        return PrefixCache(
            length=self.length, keys=[each[rows] for each in self.keys], values=[each[rows] for each in self.values]
        )

    def repeated(self, many: int) -> Any:
        """The same for `many` copies of the rows, as transformers' attention takes it."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            cache.update(keys.repeat(many, 1, 1, 1), values.repeat(many, 1, 1, 1), layer)
        return cache


class _StopAtReadout(Exception):
    """What the logits are read from is here; the vocabulary need not be gone through."""


class ForwardPasses:
    """Runs a model's forward pass, whole or from a layer on, and counts what that cost."""

    def __init__(self, model: Model, monitor: Monitor) -> None:
        self.model = model
        self.monitor = monitor
        self.n_layers = model.info.n_layers
        self._n_heads = model.info.n_heads
        self._pack: Callable[[Tensor], object] = lambda stream: stream
        """What a block returns for the stream it leaves: that alone, or in front of other things."""
        self._skips: bool | None = None
        """Whether blocks can be left out: not where later ones read more of them than the stream. None: not known."""
        self.work = 0
        """Tokens times layers computed so far: one pass over n prompts of m tokens costs n * m * n_layers."""
        # Gradients are asked with regard to activations only.
        for parameter in model.bridge.parameters():
            parameter.requires_grad_(False)

    def rows_at_once(self, width: int) -> int:
        """How many rows of that many tokens go into one pass."""
        return max(1, TOKENS_AT_ONCE.get(self.model.device.type, 2048) // width)

    def clean(
        self,
        tokens: Int[Tensor, "row position"],
        last: Int[Tensor, " row"],
        *,
        residuals: int = 0,
        slope: Slope | None = None,
        begin: Callable[[Tensor], Tensor] | None = None,
    ) -> CleanPass:
        """An undisturbed pass over these rows; keeps what enters the first `residuals` layers.

        With `slope`, the gradients of its sum come from the same pass. `begin` changes what enters the first layer.
        Raises Cancelled within a block.
        """
        z: list[Tensor] = [torch.empty(0)] * self.n_layers
        entering: list[Tensor] = [torch.empty(0)] * residuals

        def keep_z(layer: int, heads: Tensor) -> Tensor:
            z[layer] = heads if slope else heads.clone()
            return heads

        def enter(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
            stream = stream if begin is None else begin(stream)
            # Parameters are frozen: the graph begins here.
            return stream.detach().requires_grad_(True) if slope else stream

        hooks: list[tuple[str, Callable[..., Any]]] = [("blocks.0.hook_in", enter)]
        hooks += [(f"blocks.{layer}.hook_in", _keep(entering, layer)) for layer in range(residuals)]
        with torch.set_grad_enabled(slope is not None):
            logits = self.run(tokens, last, edit=keep_z, more_hooks=hooks)
            gradients = None
            if slope is not None:
                gradients = list(torch.autograd.grad(slope(logits).sum(), z))
                self.work += tokens.numel() * self.n_layers  # the way back, without parameters, costs as much as forth
        return CleanPass(
            logits=logits.detach(), z=[each.detach() for each in z], residual=entering, gradients=gradients
        )

    def prefix(self, tokens: Int[Tensor, "row position"], lengths: Int[Tensor, " row"]) -> PrefixCache | None:
        """What these positions leave to those behind them; None where the model's attention does not tell.

        `lengths`: of the whole prompts.
        """
        from transformers import DynamicCache

        cache: Any = DynamicCache()
        with torch.no_grad(), self.model.lengths.of(lengths):
            self.model.bridge(tokens, use_cache=True, **{self.model.cache_argument: cache})
        self.work += tokens.numel() * self.n_layers
        found = [layer for layer in cache.layers if getattr(layer, "keys", None) is not None]
        if len(found) != self.n_layers or any(layer.keys.shape[2] != tokens.shape[1] for layer in found):
            return None
        return PrefixCache(
            length=tokens.shape[1],
            keys=[layer.keys for layer in found],
            values=[layer.values for layer in found],
        )

    def run(
        self,
        tokens: Int[Tensor, "row position"],
        last: Int[Tensor, " row"],
        *,
        edit: Edit | None = None,
        edited: Collection[int] | None = None,
        first: int = 0,
        residual: Float[Tensor, "row position d_model"] | None = None,
        prefix: Any = None,
        more_hooks: list[tuple[str, Callable[..., Any]]] | None = None,
        readout: bool = False,
    ) -> Float[Tensor, "row vocabulary"]:
        """The logits after each row's last token; with `readout`, what they are read from: [row, d_model].

        `edit` sees the z of the `edited` layers (all, where that is None). `residual` stands for what the layers before
        `first` would have written; they are not computed, where they need not be. With `prefix` (Prefix.repeated), the
        rows are what comes behind it. Raises Cancelled within a block.
        """
        rows = torch.arange(len(tokens), device=tokens.device)
        read: list[Tensor] = []

        def only_last(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
            if readout:
                read.append(stream[rows, last])
                raise _StopAtReadout
            return stream[rows, last].unsqueeze(1)

        def last_for_all(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001
            # Of the last MLP only the last token's output is read; added to every position, it does no harm.
            return stream[rows, last].unsqueeze(1)

        hooks: list[tuple[str, Callable[..., Any]]] = list(more_hooks or ())
        hooks += [(f"blocks.{layer}.attn.hook_z", self._at(layer, edit, edited)) for layer in range(self.n_layers)]
        hooks.append(("unembed.hook_in", only_last))
        ending = f"blocks.{self.n_layers - 1}.mlp.hook_in"
        if readout and ending in self.model.bridge.hook_dict:
            hooks.append((ending, last_for_all))
        skipped = first if residual is not None else 0
        if residual is not None and skipped and not self._can_skip(residual.shape[1]):
            skipped = 0
            hooks.append((f"blocks.{first}.hook_in", lambda _stream, hook: residual))  # noqa: ARG005
        self.work += tokens.numel() * (self.n_layers - skipped)
        given = {} if prefix is None else {self.model.cache_argument: prefix}
        lengths = last + 1 if prefix is None else last + 1 + prefix.get_seq_length()
        with self._skipping(skipped, residual), self.model.lengths.of(lengths), suppress(_StopAtReadout):
            logits: Tensor = self.model.bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type="logits", **given)
            return logits[:, -1].float()
        return read[0].float()

    def _at(self, layer: int, edit: Edit | None, edited: Collection[int] | None) -> Callable[..., Tensor | None]:
        wanted = edit is not None and (edited is None or layer in edited)

        # The layer is bound here: hook_z is an alias, and its hook is called with another name.
        def hook(z: Tensor, hook: object) -> Tensor | None:  # noqa: ARG001
            if self.monitor.cancelled():
                raise Cancelled
            if not wanted or edit is None:
                return None
            heads = z.view(*z.shape[:2], self._n_heads, -1)
            return edit(layer, heads).view(z.shape)

        return hook

    @contextmanager
    def _skipping(self, first: int, residual: Tensor | None) -> Iterator[None]:
        """Inside, the blocks before `first` are not computed and hand on `residual`.

        The model around them still makes masks and position embeddings, so this holds for every family. (The bridge's
        own start_at_layer computes the early blocks and throws them away.)
        """
        blocks = self.model.bridge.blocks
        handed = None if residual is None else self._pack(residual)

        def hand_on(*_args: object, **_given: object) -> object:
            return handed

        for layer in range(first):
            vars(blocks[layer])["forward"] = hand_on  # a bridge hands plain assignment on to what it wraps
        try:
            yield
        finally:
            for layer in range(first):
                del vars(blocks[layer])["forward"]

    def _can_skip(self, width: int) -> bool:
        """Whether passes that leave blocks out give the answers of whole ones: tried once, and believed then.

        They do not in models whose later layers read keys and values of earlier ones (Gemma 4, Gemma 3n).
        """
        if self._skips is None:
            places = sorted({self.n_layers - 1, (self.n_layers + 1) // 2})
            kept: list[Tensor] = [torch.empty(0)] * self.n_layers
            tokens = torch.arange(width, device=self.model.device)[None] % self.model.info.vocabulary
            hooks = [(f"blocks.{layer}.hook_in", _keep(kept, layer)) for layer in places]
            bridge, outputs = self.model.bridge, list[object]()
            handle = bridge.blocks[0].register_forward_hook(lambda _module, _given, output: outputs.append(output))
            try:
                with torch.no_grad():
                    whole = bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type="logits")
            finally:
                handle.remove()
            self._pack = _packing(outputs[0])
            self._skips = all(self._gives(whole, tokens, layer, kept[layer]) for layer in places)
        return self._skips

    def _gives(self, whole: Tensor, tokens: Tensor, first: int, residual: Tensor) -> bool:
        try:
            with self._skipping(first, residual), torch.no_grad():
                found = self.model.bridge(tokens)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
            return False
        return bool(torch.allclose(found, whole, rtol=1e-3, atol=1e-3))


def _packing(output: object) -> Callable[[Tensor], object]:
    """How a block that returned this packs the stream it leaves: GPT-1's are lists, of many families tuples."""
    if not isinstance(output, tuple | list):
        return lambda stream: stream
    kind, rest = type(output), (None,) * max(len(output) - 1, 1)
    return lambda stream: kind((stream, *rest))


def _by_layer(parts: Sequence[list[Tensor]]) -> list[Tensor]:
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def _keep(found: list[Tensor], place: int) -> Callable[..., None]:
    def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001
        found[place] = value.detach().clone()

    return hook
