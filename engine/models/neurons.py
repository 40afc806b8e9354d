"""The neurons of an MLP: the inputs of its down projection, the row that each writes, and the rows that it reads by."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engine.errors import ModelError, NoSuchNeuron
from engine.models.contributions import norm_gain
from engine.models.head_layout import in_memory
from engine.models.loading import Model
from engine.node_parts import ReadPart

_DOWN = ("out", "dense_out")
"""TransformerLens's names for the down projection; the second in layers without experts of models that have some."""
_UP: dict[str, ReadPart] = {"gate": "gate", "dense_gate": "gate", "in": "in", "dense_in": "in"}
"""Its names for the projections that an MLP reads the stream by, and ours."""
_NORMS_BEFORE = ("ln2", "ln1")
_NORM_AFTER = "ln2_post"
_TOLERANCE = 1e-3
"""Largest error of what neurons write, as a share of it; in half precision eight roundings, if that is more."""


class MlpNeurons:
    """The neurons of one layer's MLP, checked in a pass of the model over a few tokens."""

    def __init__(self, model: Model, layer: int) -> None:
        """Find and check the layer's down projection.

        Raises ModelError if the MLP has no neurons that can be read, NoSuchNeuron for a layer that does not exist.
        """
        if not 0 <= layer < model.info.n_layers:
            raise NoSuchNeuron(f"m{layer}", model.info.n_layers)
        self.layer = layer
        self._model = model
        self._block = model.bridge.blocks[layer]
        self._mlp = getattr(self._block, "mlp", None)
        down = next((name for name in _DOWN if f"blocks.{layer}.mlp.{name}.hook_in" in model.bridge.hook_dict), None)
        seen = {} if down is None else self._record(down)
        if down is None or f"mlp.{down}.hook_in" not in seen:
            raise self._no_neurons("has experts or parts of its own in place of one down projection")
        self._down = down
        self.hook = f"blocks.{layer}.mlp.{down}.hook_in"
        """Where the neurons' activations are read and replaced, [row, position, neuron] (flattened by OPT)."""
        post, out = seen[f"mlp.{down}.hook_in"], seen[f"mlp.{down}.hook_out"]
        self.n_neurons = post.shape[-1]
        self._turned = self._orientation(post, out)
        self._gain = norm_gain(getattr(self._block, _NORM_AFTER, None), model.info.d_model)
        self._check_written(out, seen.get("hook_mlp_out"))
        self._read_by = self._input_parts(seen)
        self._norm_before = self._find_norm(seen)

    def check(self, neuron: int) -> None:
        """Raise NoSuchNeuron if the MLP does not have the neuron."""
        if not 0 <= neuron < self.n_neurons:
            raise NoSuchNeuron(f"{self.layer}.{neuron}", self._model.info.n_layers, self.n_neurons)

    def output_rows(self, neurons: Sequence[int] | None = None) -> Float[Tensor, "neuron d_model"]:
        """Return what one unit of each neuron adds to the stream, in float32: the rows of the down projection.

        With the gain of the norm that follows, if there is one; its divisor and a factor of the model are left out.
        """
        matrix = self._matrix(self._component(self._down), turned=self._turned)
        rows = matrix if neurons is None else matrix[list(neurons)]
        rows = rows.to(self._model.device, torch.float32)
        return rows if self._gain is None else rows * self._gain.to(rows.device)

    def input_rows(self, neuron: int) -> dict[ReadPart, Float[Tensor, " d_model"]]:
        """Return the rows that the neuron reads the stream by: `in`, of gated MLPs also `gate`; empty if not shown.

        With the gain of the norm before the MLP.
        """
        found: dict[ReadPart, Tensor] = {}
        for name, turned in self._read_by.items():
            row = self._matrix(self._component(name), turned=turned)[:, neuron]
            found[_UP[name]] = self._through_norm(row.to(self._model.device, torch.float32))
        return found

    def _record(self, down: str) -> dict[str, Tensor]:
        names = [f"mlp.{down}.hook_in", f"mlp.{down}.hook_out", "hook_mlp_out", "mlp.hook_in"]
        names += [f"mlp.{name}.{end}" for name in _UP for end in ("hook_in", "hook_out")]
        names += [f"{norm}.hook_out" for norm in _NORMS_BEFORE]
        found: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            def hook(value: object, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
                if isinstance(value, Tensor):
                    found[name] = value.detach().float().reshape(-1, value.shape[-1]).clone()

            return hook

        bridge, prefix = self._model.bridge, f"blocks.{self.layer}."
        hooks = [(prefix + name, keep(name)) for name in names if prefix + name in bridge.hook_dict]
        tokens = torch.arange(3, device=self._model.device)[None] % self._model.info.vocabulary
        with torch.no_grad():
            bridge.run_with_hooks(tokens, fwd_hooks=hooks, return_type=None)
        return found

    def _component(self, name: str) -> Any:
        return getattr(self._mlp, name).original_component

    def _matrix(self, component: Any, *, turned: bool) -> Float[Tensor, "row column"]:
        with in_memory(component):
            weight: Tensor = component.weight.detach()
            return weight.T if turned else weight

    def _orientation(self, post: Tensor, out: Tensor) -> bool:
        """Return True if the weight is stored as [d_model, neuron]."""
        component = self._component(self._down)
        bias = getattr(component, "bias", None)
        for turned in (True, False):
            matrix = self._matrix(component, turned=turned).float().to(post.device)
            if matrix.shape != (post.shape[1], out.shape[1]):
                continue
            written = post @ matrix + (0.0 if bias is None else bias.detach().float().to(post.device))
            if self._same(written, out):
                return turned
        raise self._no_neurons("writes its output by something else than one matrix")

    def _check_written(self, out: Tensor, added: Tensor | None) -> None:
        """Check that what the MLP adds is the projection's output, times a number per position and the norm's gain."""
        if added is None or added.shape != out.shape:
            raise self._no_neurons("does not show what it adds to the stream")
        plain = out if self._gain is None else out * self._gain.to(out.device)
        factor = (added * plain).sum(dim=-1, keepdim=True) / (plain * plain).sum(dim=-1, keepdim=True).clamp(min=1e-30)
        if not self._same(plain * factor, added):
            raise self._no_neurons("adds something else to the stream than its down projection writes")

    def _input_parts(self, seen: dict[str, Tensor]) -> dict[str, bool]:
        """Return the projections whose matrices could be confirmed, and whether each is stored as [neuron, d_model]."""
        found = {}
        for name in _UP:
            read, wrote = seen.get(f"mlp.{name}.hook_in"), seen.get(f"mlp.{name}.hook_out")
            if read is None or wrote is None or wrote.shape[-1] != self.n_neurons:
                continue
            component = self._component(name)
            bias = getattr(component, "bias", None)
            for turned in (True, False):
                matrix = self._matrix(component, turned=turned).float().to(read.device)
                if matrix.shape == (read.shape[1], wrote.shape[1]) and self._same(
                    read @ matrix + (0.0 if bias is None else bias.detach().float().to(read.device)), wrote
                ):
                    found[name] = turned
                    break
        return found

    def _find_norm(self, seen: dict[str, Tensor]) -> str | None:
        entering = seen.get("mlp.hook_in")
        for norm in _NORMS_BEFORE:
            left = seen.get(f"{norm}.hook_out")
            if (
                entering is not None
                and left is not None
                and left.shape == entering.shape
                and self._same(left, entering)
            ):
                return norm
        return None

    def _through_norm(self, row: Float[Tensor, " d_model"]) -> Float[Tensor, " d_model"]:
        """Return the row in terms of what enters the norm before the MLP, whose divisor is left out."""
        norm = getattr(self._block, self._norm_before, None) if self._norm_before else None
        if norm is None:
            return row
        gain = norm_gain(norm, self._model.info.d_model)
        if gain is not None:
            return row * gain.to(row.device)
        with in_memory(norm.original_component):
            weight = getattr(norm.original_component, "weight", None)
            scaled = row if weight is None else row * weight.detach().to(row.device, torch.float32)
        return scaled - scaled.mean()  # a norm that shifts subtracts the mean first

    def _same(self, found: Tensor, wanted: Tensor) -> bool:
        rounding = (
            0.0 if self._model.precision == "float32" else 8 * torch.finfo(getattr(torch, self._model.precision)).eps
        )
        most = max(_TOLERANCE, rounding) * wanted.abs().max()
        return bool((found - wanted).abs().max() <= most)

    def _no_neurons(self, why: str) -> ModelError:
        kind = type(getattr(self._mlp, "original_component", self._mlp)).__name__
        return ModelError(
            f"The neurons of m{self.layer} of {self._model.info.name} cannot be read: its MLP ({kind}) {why}.",
            hint=f"What the MLP does as a whole can be measured: headcode places RUN m{self.layer}",
        )
