"""What heads add to the residual stream: W_O, the model's factors, and in some families a norm after attention.

The norm (Gemma 2 to 4, OLMo 2 and 3, GLM 4, EXAONE 4) divides the output of all heads together by its root mean square,
position by position, and multiplies each dimension by a gain. With the divisor of the prompt itself, both are linear in
a head's z: the divisor is a factor of the position, the gain one of W_O's columns (docs/method.md 2).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.errors import ModelError
from engine.events import Notice
from engine.models.head_layout import in_memory, output_matrices, output_scales

FINAL_NORM = "ln_final.hook_in"
"""The stream after the last layer."""
READOUT = "unembed.hook_in"
"""What the unembedding reads."""
_NORM = "ln1_post"
"""TransformerLens's name for the norm between attention and the stream."""
_MIDDLES = ("ln2.hook_in", "ln1.hook_in", "mlp.hook_in")
"""Where the stream after attention can be read; which of them it is depends on the family."""
_BEFORE = ("hook_in", "ln1.hook_out")
"""The stream that attention is added to; a form of BLOOM adds it to the normalised one."""
_MIXERS = ("mamba.hook_out", "ssm.hook_out", "linear_attn.hook_out")
"""What may add to the stream beside attention."""
_TOLERANCE = 1e-3
"""Largest error of the sum of contributions, as a share of the sum. Float32 gives 1e-6, a missing factor 1e-1."""
_ROUNDINGS = 4
"""Roundings of the stream itself that are allowed beside it: a difference of two long streams has their errors."""

Hooks = list[tuple[str, Callable[..., None]]]


class Contributions:
    """How z becomes what heads add to the stream, layer by layer."""

    def __init__(self, bridge: Any, n_heads: int, record: "RecordedPass") -> None:
        """Read the factors and gains, and check in the recorded pass that contributions add up.

        Where they do not, norms are left out in every layer, and `unconfirmed` names the layers. Raises ModelError for
        a model that runs its layers more than once in a pass.
        """
        record.check_once()
        self._bridge, self._n_heads = bridge, n_heads
        self.scales = output_scales(bridge)
        """Per layer: the factor that the model applies to attention's output before adding it to the stream."""
        self.gains = record.gains
        """Gains of the norms after attention, by layer; empty in most models."""
        self.unconfirmed = self._unlike(record)
        """Layers where contributions do not add up to what attention adds to the stream."""
        if self.unconfirmed and self.gains:
            self.gains = {}
            self.unconfirmed = tuple(sorted({*self.unconfirmed, *self._unlike(record)}))

    @property
    def weights(self) -> list[Float[Tensor, "head _ d_model"]]:
        """W_O of each layer's heads, with the layer's factor and gain: z @ W_O is what the head adds.

        In layers with a norm, z has to be multiplied by the factor of its position first (`position_hooks`).
        """
        matrices = output_matrices(self._bridge, self._n_heads)
        return [
            matrix * self.gains[layer].to(matrix.device) if layer in self.gains else matrix
            for layer, matrix in enumerate(matrices)
        ]

    def position_hooks(self, found: Callable[[int, Float[Tensor, "row position"]], None]) -> Hooks:
        """Return hooks that call `found` with (layer, the factor at each position) for each layer with a norm.

        They run after the layer's hook_z and before its output.
        """
        return [hook for layer, gain in self.gains.items() for hook in _position_hooks(layer, gain, found)]

    def notice(self, name: str) -> Notice | None:
        """Return what to tell the user about unconfirmed contributions; None if all are confirmed."""
        if not self.unconfirmed:
            return None
        n = len(self.unconfirmed)
        return Notice(
            message=f"What the heads of {name} add to the stream is not confirmed in {n} of {len(self.scales)} layers "
            f"(the first is {self.unconfirmed[0]}): they are compared by their output before whatever follows it.",
            hint="Effects do not depend on this: --cause combined.",
        )

    def _unlike(self, record: "RecordedPass") -> tuple[int, ...]:
        weights = self.weights
        found = []
        for layer, matrices in enumerate(weights):
            total = record.z(layer) @ matrices.flatten(0, 1)
            bias = _projection_bias(self._bridge.blocks[layer])
            if bias is not None:
                total = total + bias * self.scales[layer] * self.gains.get(layer, 1.0)
            if layer in self.gains:
                total = total * record.factors[layer].reshape(-1, 1)
            if not record.adds(layer, total):
                found.append(layer)
        return tuple(found)


class RecordedPass:
    """What every layer of a model computed for a few tokens."""

    def __init__(self, bridge: Any, tokens: Int[Tensor, "row position"]) -> None:
        self._name, self._width = type(bridge.original_model).__name__, int(bridge.cfg.d_model)
        self.n_layers = int(bridge.cfg.n_layers)
        self._found: dict[str, list[Tensor]] = {}
        self.factors: dict[int, Float[Tensor, "row position"]] = {}
        """By what the norm after attention multiplies each position, in layers that have one."""
        self.gains: dict[int, Float[Tensor, " d_model"]] = {}
        for layer, block in enumerate(getattr(bridge, "blocks", ())):
            gain = norm_gain(getattr(block, _NORM, None), self._width)
            if gain is not None:
                self.gains[layer] = gain
        kept = (
            *_BEFORE,
            "hook_out",
            "attn.hook_z",
            "attn.hook_out",
            "mlp.hook_out",
            "hook_mlp_out",
            *_MIDDLES,
            *_MIXERS,
        )
        names = [f"blocks.{layer}.{each}" for layer in range(int(bridge.cfg.n_layers)) for each in kept]
        there = bridge.hook_dict
        names += [FINAL_NORM, READOUT]
        hooks: Hooks = [(name, self._keep(name)) for name in names if name in there]
        for layer, gain in self.gains.items():
            hooks += _position_hooks(layer, gain, self.factors.__setitem__)
        with torch.no_grad():
            self.logits: Tensor = bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type="logits")

    def last(self, name: str) -> Float[Tensor, "position d_model"] | None:
        """Return the last value of a hook, such as FINAL_NORM or READOUT; None if it was not called.

        NanoChat normalises its embedding with the module of its final norm.
        """
        found = self._found.get(name)
        return found[-1].flatten(0, -2).float() if found else None

    def check_causal(self, name: str) -> None:
        """Raise ModelError if the first token's answer depends on the second; the rows differ there and only there."""
        first = self.logits[:, 0].float()
        if bool((first[0] - first[1]).abs().max() > 1e-3 * first.abs().max()):
            raise ModelError(
                f"{name} ({self._name}) reads a prompt in both directions: no token follows it.",
                hint="Choose a language model, which reads from left to right.",
            )

    def check_once(self) -> None:
        """Raise ModelError if a layer ran more than once."""
        times = max((len(each) for name, each in self._found.items() if name.endswith("attn.hook_z")), default=1)
        if times > 1:
            raise ModelError(
                f"{self._name} runs its layers {times} times in one pass: a head has as many outputs at each position.",
                hint="Headcode compares heads that run once: choose another model.",
            )

    def z(self, layer: int) -> Float[Tensor, "position _"]:
        """Return z of all heads of a layer, side by side."""
        z = self._found[f"blocks.{layer}.attn.hook_z"][0]
        return z.reshape(z.shape[0] * z.shape[1], -1).float()

    def adds(self, layer: int, total: Float[Tensor, "position d_model"]) -> bool:
        """Return True if this is what the layer's attention adds to the stream."""
        after, mlp = self._stream(layer, "hook_out"), self._stream(layer, "mlp.hook_out")
        starts, middles, others = (
            [found for found in (self._stream(layer, each) for each in names) if found is not None]
            for names in (_BEFORE, _MIDDLES, _MIXERS)
        )
        if mlp is not None and after is not None and mlp.shape == after.shape:
            middles.append(after - mlp)  # attention and MLP side by side
        rounding = _ROUNDINGS * torch.finfo(self._found[f"blocks.{layer}.attn.hook_z"][0].dtype).eps
        return any(
            _same(middle - start, total, others, rounding * (middle.abs() + start.abs()))
            for middle in middles
            for start in starts
            if middle.shape == start.shape == total.shape
        )

    def mlp_adds(self, layer: int) -> bool:
        """Return True if hook_mlp_out of the layer is what its MLP adds to the stream."""
        after, mlp = self._stream(layer, "hook_out"), self._stream(layer, "hook_mlp_out")
        if after is None or mlp is None or after.shape != mlp.shape:
            return False
        rounding = _ROUNDINGS * torch.finfo(self._found[f"blocks.{layer}.hook_mlp_out"][0].dtype).eps
        starts = [found for found in (self._stream(layer, each) for each in _MIDDLES) if found is not None]
        before, attention = self._stream(layer, "hook_in"), self._stream(layer, "attn.hook_out")
        if before is not None and attention is not None and before.shape == attention.shape:
            starts.append(before + attention)  # attention and MLP side by side
        return any(
            _same(after - start, mlp, (), rounding * (after.abs() + start.abs()))
            for start in starts
            if start.shape == after.shape
        )

    def _stream(self, layer: int, name: str) -> Tensor | None:
        found = self._found.get(f"blocks.{layer}.{name}")
        if not found or found[0].numel() % self._width:
            return None
        return found[0].reshape(-1, self._width).float()

    def _keep(self, name: str) -> Callable[..., None]:
        def hook(value: Any, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
            if isinstance(value, Tensor):
                self._found.setdefault(name, []).append(value.detach().clone())  # some blocks add to it in place

        return hook


def _same(added: Tensor, total: Tensor, others: Sequence[Tensor], allowed: Tensor) -> bool:
    rest = added - total
    for other in others:  # what it adds may have a factor of its own
        if other.shape == rest.shape:
            rest = rest - other * ((rest * other).sum() / (other * other).sum().clamp(min=1e-30))
    return bool((rest.abs() <= _TOLERANCE * total.abs().max() + allowed).all())


def _projection_bias(block: Any) -> Tensor | None:
    """Return the bias of the output projection; None if it has none."""
    module = getattr(getattr(block.attn, "o", None), "original_component", None)
    if module is None:
        return None
    with in_memory(module):
        bias = getattr(module, "bias", None)
        return bias.detach().float() if isinstance(bias, Tensor) else None


def norm_gain(bridged: Any, width: int) -> Float[Tensor, " d_model"] | None:
    """Return what a norm multiplies each dimension by, beside its divisor; None for no norm, or one that also shifts.

    Read from its answers: families store the gain as it is, or less 1 (Gemma).
    """
    norm = getattr(bridged, "original_component", None)
    if norm is None:
        return None
    with in_memory(norm), torch.no_grad():
        place = next(
            (each for each in (*norm.parameters(), *norm.buffers()) if each.is_floating_point()), torch.zeros(1)
        )
        # So large that the norm's epsilon is nothing.
        ones = torch.full((1, 1, width), 1e3, dtype=place.dtype, device=place.device)
        wave = ones * torch.sin(torch.arange(width, device=place.device) + 0.5).to(place.dtype)
        gain: Tensor = norm(ones)[0, 0].float()
        found, expected = norm(wave)[0, 0].float(), wave[0, 0].float() * gain
    fitted = expected * ((found * expected).sum() / (expected * expected).sum().clamp(min=1e-30))
    rounding = max(1e-4, _ROUNDINGS * torch.finfo(place.dtype).eps)
    return gain if bool((found - fitted).abs().max() <= rounding * found.abs().max()) else None


def _position_hooks(layer: int, gain: Tensor, found: Callable[[int, Tensor], None]) -> Hooks:
    entered: list[Tensor] = []

    def enter(value: Tensor, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
        entered.append(value.detach().float() * gain.to(value.device))

    def leave(value: Tensor, hook: object) -> None:  # noqa: ARG001
        plain = entered.pop()
        found(layer, (value.detach().float() * plain).sum(dim=-1) / (plain * plain).sum(dim=-1).clamp(min=1e-30))

    return [(f"blocks.{layer}.{_NORM}.hook_in", enter), (f"blocks.{layer}.{_NORM}.hook_out", leave)]
