"""Forward passes that start at the first changed layer and replace heads on the way."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.config import Precision
from engine.errors import Cancelled
from engine.events import Monitor
from engine.models.contributions import READOUT
from engine.models.loading import Model
from engine.models.mlps import STREAM_BEGIN
from engine.nodes import NodeChoice
from engine.tensors.gradients import recording_gradients

Edit = Callable[[int, Float[Tensor, "row position head d_head"]], Tensor]
"""(layer, its heads' z) -> the z that replaces it."""

Hooks = list[tuple[str, Callable[..., Any]]]
"""(name of a hook of TransformerLens, what it calls)."""

Slope = Callable[[Float[Tensor, "row vocabulary"]], Float[Tensor, " row"]]
"""The scalar per row that gradients are taken of."""

_OVERHEAD = {"cpu": 1e8, "cuda": 3e10}
"""What a pass costs beside its tokens, in multiply-adds: reading weights, starting kernels."""
TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 65_536}
_ROUNDING: dict[Precision, float] = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}
"""By how much the same answer may differ if it is computed in another way; in half precision about eight roundings."""


class CleanPass(msgspec.Struct, frozen=True, kw_only=True):
    """The activations of one clean pass."""

    logits: Tensor
    """Float [row, vocabulary], after each row's last token."""
    z: list[Tensor]
    """Float [row, position, head, d_head], one per layer, in float32."""
    residual: list[Tensor]
    """Float [row, position, d_model]: the input of each layer, for as many layers as requested.

    In the precision of the model, whose layers read it again.
    """
    gradients: list[Tensor] | None = None
    """d slope / d z, one per layer, in float32; None without a slope."""
    final: Tensor
    """Float [row, d_model]: the unembedding's input after each row's last token, in float32."""
    factors: dict[int, Tensor] = {}
    """Float [row, position] by layer: the factor of the norm after attention; empty in models without such norms."""
    mlps: list[Tensor] = []
    """Float [row, position, d_model]: what each layer's MLP writes, in float32; empty if only heads are nodes."""
    output_gradients: list[Tensor] | None = None
    """d slope / d output of the embedding and of each MLP, in float32; None like `gradients` or without MLPs."""

    def rows(self, part: slice) -> "CleanPass":
        """Return the same for some of the rows."""
        return CleanPass(
            logits=self.logits[part],
            z=[each[part] for each in self.z],
            residual=[each[part] for each in self.residual],
            gradients=None if self.gradients is None else [each[part] for each in self.gradients],
            final=self.final[part],
            factors={layer: each[part] for layer, each in self.factors.items()},
            mlps=[each[part] for each in self.mlps],
            output_gradients=None if self.output_gradients is None else [each[part] for each in self.output_gradients],
        )

    @staticmethod
    def joined(parts: "Sequence[CleanPass]") -> "CleanPass":
        """Concatenate the rows of the parts."""
        if len(parts) == 1:
            return parts[0]
        slopes = [part.gradients for part in parts if part.gradients is not None]
        of_outputs = [part.output_gradients for part in parts if part.output_gradients is not None]
        return CleanPass(
            logits=torch.cat([part.logits for part in parts]),
            z=_by_layer([part.z for part in parts]),
            residual=_by_layer([part.residual for part in parts]),
            gradients=_by_layer(slopes) if slopes else None,
            final=torch.cat([part.final for part in parts]),
            factors={layer: torch.cat([part.factors[layer] for part in parts]) for layer in parts[0].factors},
            mlps=_by_layer([part.mlps for part in parts]),
            output_gradients=_by_layer(of_outputs) if of_outputs else None,
        )


class PrefixCache(msgspec.Struct, frozen=True, kw_only=True):
    """Keys and values of positions that no replacement changes, so that passes start after them."""

    length: int
    keys: list[Tensor]
    """Float [row, key head, position, d_head], one per layer."""
    values: list[Tensor]

    def part(self, rows: slice | Tensor, length: int | None = None) -> "PrefixCache":
        """Return the same for some of the rows, up to a position."""
        length = self.length if length is None else length
        return PrefixCache(
            length=length,
            keys=[each[rows][:, :, :length] for each in self.keys],
            values=[each[rows][:, :, :length] for each in self.values],
        )

    def repeated(self, many: int) -> Any:
        """Return a transformers cache with `many` copies of the rows."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(zip(self.keys, self.values, strict=True)):
            cache.update(keys.repeat(many, 1, 1, 1), values.repeat(many, 1, 1, 1), layer)
        return cache


class _StopAtReadout(Exception):
    """Raised by a hook once the input of the unembedding is known, to skip the vocabulary."""


class ForwardPasses:
    """Runs a model's forward pass, whole or from a layer on, and counts its cost."""

    def __init__(self, model: Model, monitor: Monitor, nodes: NodeChoice = "heads") -> None:
        """`nodes`: what can be replaced and is read in clean passes."""
        self.model = model
        self.monitor = monitor
        self.layout = model.layout(nodes)
        self.n_layers = model.info.n_layers
        self._n_heads = model.info.n_heads
        self._pack: Callable[[Tensor], object] = lambda stream: stream
        """Wraps a stream as a block returns it: alone, or as the first item of a sequence."""
        self._skips: bool | None = None
        """True if blocks can be skipped: no later layer reads more of them than the stream. None: not known yet."""
        self.work = 0
        """Tokens times layers computed so far: one pass over n prompts of m tokens costs n * m * n_layers."""
        # Gradients are taken with respect to activations only.
        for parameter in model.bridge.parameters():
            parameter.requires_grad_(False)

    def rows_at_once(self, width: int) -> int:
        """Return how many rows of that many tokens fit into one pass."""
        return max(1, TOKENS_AT_ONCE.get(self.model.device.type, 2048) // width)

    @property
    def overhead(self) -> float:
        """What a pass costs beside its tokens, in tokens."""
        return _OVERHEAD.get(self.model.device.type, 1e8) / (12 * self.model.info.d_model**2)

    @property
    def rounding(self) -> float:
        """By how much two ways to the same answer may differ, in the model's precision."""
        return _ROUNDING[self.model.precision]

    def same(self, found: Tensor, wanted: Tensor) -> bool:
        """Return True if two ways to the same answer differ by no more than rounding in the model's precision."""
        return bool(torch.allclose(found, wanted, rtol=self.rounding, atol=self.rounding))

    def clean(
        self,
        tokens: Int[Tensor, "row position"],
        last: Int[Tensor, " row"],
        *,
        residuals: int = 0,
        slope: Slope | None = None,
        begin: Callable[[Tensor], Tensor] | None = None,
    ) -> CleanPass:
        """Run a clean pass over these rows and keep the inputs of the first `residuals` layers.

        With `slope`, the gradients of its sum come from the same pass. `begin` changes the input of the first layer.
        Raises Cancelled within a block.
        """
        z: list[Tensor] = [torch.empty(0)] * self.n_layers
        entering: list[Tensor] = [torch.empty(0)] * residuals
        final: list[Tensor] = []
        factors: dict[int, Tensor] = {}
        begun: list[Tensor] = []
        mlps: list[Tensor] = [torch.empty(0)] * (self.n_layers if self.layout.n_outputs else 0)

        def keep_z(layer: int, heads: Tensor) -> Tensor:
            z[layer] = heads if slope else heads.clone()
            return heads

        def enter(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
            stream = stream if begin is None else begin(stream.float()).to(stream.dtype)
            # Parameters are frozen: the graph starts here.
            begun.append(stream.detach().requires_grad_(True) if slope else stream)
            return begun[0]

        def keep_final(stream: Tensor, hook: object) -> None:  # noqa: ARG001
            final.append(_last_of(stream, last).detach().to(self.model.device, torch.float32))

        hooks: Hooks = [(STREAM_BEGIN, enter), (READOUT, keep_final)]
        hooks += [(f"blocks.{layer}.hook_in", _keep(entering, layer)) for layer in range(residuals)]
        hooks += self.model.contributions.position_hooks(factors.__setitem__)
        hooks += [(self.model.mlps.hook(layer), _keep(mlps, layer, attached=bool(slope))) for layer in range(len(mlps))]
        with recording_gradients() if slope is not None else torch.no_grad():
            logits = self.run(tokens, last, edit=keep_z, more_hooks=hooks)
            gradients: list[Tensor] | None = None
            if slope is not None:
                outputs = [*begun, *mlps] if mlps else []
                found = torch.autograd.grad(slope(logits).sum(), [*z, *outputs])
                gradients = [each.to(self.model.device, torch.float32) for each in found]
                self.work += tokens.numel() * self.n_layers  # the backward pass, without parameters, costs as much
        return CleanPass(
            logits=logits.detach(),
            z=[each.detach().float() for each in z],
            residual=entering,
            gradients=None if gradients is None else gradients[: self.n_layers],
            final=final[0],
            mlps=[each.detach().to(self.model.device, torch.float32) for each in mlps],
            output_gradients=gradients[self.n_layers :] if gradients is not None and mlps else None,
            factors={layer: each.to(self.model.device) for layer, each in factors.items()},
        )

    def prefix(self, tokens: Int[Tensor, "row position"], lengths: Int[Tensor, " row"]) -> PrefixCache | None:
        """Return keys and values of these positions; None if the model's attention does not expose them.

        `lengths`: of the whole prompts. The vocabulary is left out.
        """
        from transformers import DynamicCache

        cache: Any = DynamicCache()

        def stop(stream: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            raise _StopAtReadout

        hooks: Hooks = [(READOUT, stop)]
        given = {self.model.cache_argument: cache, "use_cache": True}
        try:
            with torch.no_grad(), self.model.lengths.of(lengths), suppress(_StopAtReadout):
                self.model.bridge.run_with_hooks(tokens, fwd_hooks=hooks, **given)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError):
            return None  # a family that keeps more than keys and values (Falcon-H1's states)
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
        more_hooks: Hooks | None = None,
        readout: bool = False,
    ) -> Float[Tensor, "row vocabulary"]:
        """Return the logits after each row's last token; with `readout`, the unembedding's input: [row, d_model].

        `edit` is called with the z of the `edited` layers (all, if None). `residual` is the input of layer `first`;
        earlier layers are skipped where possible. With `prefix` (PrefixCache.repeated), the rows continue after it.
        Raises Cancelled within a block.
        """
        read: list[Tensor] = []

        def only_last(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
            if readout:
                read.append(_last_of(stream, last))
                raise _StopAtReadout
            return _last_of(stream, last).unsqueeze(1)

        def last_for_all(stream: Tensor, hook: object) -> Tensor:  # noqa: ARG001
            # Only the last token's output of the last MLP is read, so adding it to every position is harmless.
            return _last_of(stream, last).unsqueeze(1)

        hooks: Hooks = list(more_hooks or ())
        hooks += [(f"blocks.{layer}.attn.hook_z", self._at(layer, edit, edited)) for layer in range(self.n_layers)]
        hooks.append((READOUT, only_last))
        ending = f"blocks.{self.n_layers - 1}.mlp.hook_in"
        of_end = (self.model.mlps.hook(self.n_layers - 1), f"blocks.{self.n_layers - 1}.mlp.")
        reads_end = any(name.startswith(of_end) for name, _ in more_hooks or ())
        if readout and not reads_end and ending in self.model.bridge.hook_dict:
            hooks.append((ending, last_for_all))
        skipped = first if residual is not None else 0
        if residual is not None and skipped and not self._can_skip(residual.shape[1]):
            skipped = 0
            hooks.append((f"blocks.{first}.hook_in", lambda _stream, hook: residual))  # noqa: ARG005
        self.work += tokens.numel() * (self.n_layers - skipped)
        given = {} if prefix is None else {self.model.cache_argument: prefix}
        self.model.adapt_threads(tokens.numel())
        lengths = last + 1 if prefix is None else last + 1 + prefix.get_seq_length()
        with self._skipping(skipped, residual), self.model.lengths.of(lengths), suppress(_StopAtReadout):
            logits: Tensor = self.model.bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type="logits", **given)
            return logits[:, -1].to(self.model.device, torch.float32)
        return read[0].to(self.model.device, torch.float32)

    def _at(self, layer: int, edit: Edit | None, edited: Collection[int] | None) -> Callable[..., Tensor | None]:
        wanted = edit is not None and (edited is None or layer in edited)

        # The layer is bound here: hook_z is an alias, and its hook is called under another name.
        def hook(z: Tensor, hook: object) -> Tensor | None:  # noqa: ARG001
            if self.monitor.cancelled():
                raise Cancelled
            if not wanted or edit is None:
                return None
            heads = z.view(*z.shape[:2], self._n_heads, -1).to(self.model.device)
            return edit(layer, heads).view(z.shape).to(z.device, z.dtype)

        return hook

    @contextmanager
    def _skipping(self, first: int, residual: Tensor | None) -> Iterator[None]:
        """Within the context, skip the blocks before `first` and pass on `residual`.

        The model around them still computes masks and position embeddings, so this works for every family. (The
        bridge's own start_at_layer computes the early blocks and throws them away.)
        """
        blocks = self.model.bridge.blocks
        handed = None if residual is None else self._pack(residual)

        def hand_on(*_args: object, **_given: object) -> object:
            return handed

        for layer in range(first):
            vars(blocks[layer])["forward"] = hand_on  # a bridge forwards plain assignment to the module it wraps
        try:
            yield
        finally:
            for layer in range(first):
                del vars(blocks[layer])["forward"]

    def _can_skip(self, width: int) -> bool:
        """Return True if passes that skip blocks give the same answers as whole ones; tested once per model.

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
        return self.same(found, whole)


def _packing(output: object) -> Callable[[Tensor], object]:
    """Return how a block with this output wraps the stream: GPT-1's are lists, those of many families tuples."""
    if not isinstance(output, tuple | list):
        return lambda stream: stream
    kind, rest = type(output), (None,) * max(len(output) - 1, 1)
    return lambda stream: kind((stream, *rest))


def _last_of(stream: Tensor, last: Tensor) -> Float[Tensor, "row d_model"]:
    """Return the stream at each row's last token."""
    return stream[torch.arange(len(stream), device=stream.device), last.to(stream.device)]


def _by_layer(parts: Sequence[list[Tensor]]) -> list[Tensor]:
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def _keep(found: list[Tensor], place: int, *, attached: bool = False) -> Callable[..., Tensor | None]:
    """Return a hook that keeps the value: `attached` to the graph of gradients, else a copy of its own."""

    def hook(value: Tensor, hook: object) -> Tensor | None:  # noqa: ARG001
        found[place] = value if attached else value.detach().clone()
        return value if attached else None  # OPT goes on with another view of it, unless one is returned

    return hook
