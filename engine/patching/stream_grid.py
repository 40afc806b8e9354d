"""Exact effects of replacing the stream, or all that attention or the MLP writes, at one layer and position."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.node_parts import GridKind
from engine.patching.forward import ForwardPasses, Hooks
from engine.patching.inputs import PatchingInputs
from engine.patching.other_side import read_replacements
from engine.patching.partial_forward import PartialPass
from engine.patching.places import copies_at_once, place_passes

Grid = dict[GridKind, Float[Tensor, "layer row position"]]
Progress = Callable[[int, int], None]
"""Called with the layers that are done, and all layers."""


def grid_kinds(passes: ForwardPasses) -> tuple[GridKind, ...]:
    """Return what can be replaced: MLPs only where TransformerLens shows them."""
    return ("stream", "attention", "mlp") if passes.layout.n_outputs else ("stream", "attention")


def read_streams(passes: ForwardPasses, inputs: PatchingInputs) -> list[Float[Tensor, "row position d_model"]]:
    """Return by what every layer's input is replaced. Raises Cancelled within a block."""
    return read_replacements(passes, inputs, [f"blocks.{layer}.hook_in" for layer in range(passes.n_layers)])


def measure_grid(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    progress: Progress | None = None,
    *,
    layers: Sequence[int] | None = None,
    streams: Sequence[Float[Tensor, "row position d_model"]] | None = None,
) -> Grid:
    """Return by how much the metric changes per kind, layer, row and position.

    `layers`: only these, in this order; `streams`: of `read_streams`, if they are known.

    `stream`: the layer's input is replaced at one position; `attention` and `mlp`: all that the layer's heads or its
    MLP write there. Each value is exact. Zero where nothing is replaced (see measure_places). Raises Cancelled within
    a block.
    """
    n_layers = passes.n_layers
    layers = range(n_layers) if layers is None else layers
    streams = read_streams(passes, inputs) if streams is None else streams
    kinds = grid_kinds(passes)
    shape = (len(layers), *inputs.where.shape)
    found: Grid = {kind: torch.zeros(shape, device=inputs.tokens.device) for kind in kinds}
    with torch.no_grad():
        planned = place_passes(passes, inputs, layers=n_layers * (n_layers + 1) // 2, kinds=len(kinds))
        for row, layer in enumerate(layers):
            for tail, places in planned:
                items = [(kind, place) for kind in kinds for place in places]
                size = copies_at_once(passes, tail)
                for start in range(0, len(items), size):
                    some = items[start : start + size]
                    metric = _measure(passes, inputs, tail, layer, some, streams[layer])
                    for (kind, place), values in zip(some, metric - inputs.base_by_row[tail.rows], strict=True):
                        replaced = inputs.where[tail.rows, place]
                        found[kind][row, tail.rows, place] = torch.where(replaced, values, 0.0)
            if progress is not None:
                progress(row + 1, len(layers))
    return found


def _measure(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    tail: PartialPass,
    layer: int,
    items: Sequence[tuple[GridKind, int]],
    stream: Float[Tensor, "row position d_model"],
) -> Float[Tensor, "many some"]:
    """Return the metric on the tail's rows with each item replaced in one of the copies."""
    many, span = len(items), slice(tail.begin, tail.end)
    where = {kind: _where(inputs, tail, items, kind) for kind in {kind for kind, _ in items}}

    def replace_heads(_layer: int, z: Tensor) -> Tensor:
        copies = z.view(many, len(tail.rows), *z.shape[1:])
        other = inputs.other[layer][tail.rows, span]
        return torch.where(where["attention"][..., None, None], other, copies).view(z.shape)

    def replaced_by(kind: GridKind, other: Tensor) -> Callable[..., Tensor]:
        def hook(value: Tensor, hook: object) -> Tensor:  # noqa: ARG001  # TransformerLens passes it by name
            copies = value.view(many, len(tail.rows), tail.end - tail.begin, -1)
            there = other[tail.rows, span].to(value.device, value.dtype)
            return torch.where(where[kind].to(value.device)[..., None], there, copies).view(value.shape)

        return hook

    hooks: Hooks = []
    if "stream" in where:
        hooks.append((f"blocks.{layer}.hook_in", replaced_by("stream", stream)))
    if "mlp" in where:
        hooks.append((passes.model.mlps.hook(layer), replaced_by("mlp", inputs.other_mlps[layer])))
    return tail.run(
        passes,
        inputs,
        many,
        first=layer,
        residual=tail.entering(inputs, layer).repeat(many, 1, 1),
        edit=replace_heads if "attention" in where else None,
        edited={layer},
        more_hooks=hooks,
    )


def _where(
    inputs: PatchingInputs, tail: PartialPass, items: Sequence[tuple[GridKind, int]], kind: GridKind
) -> Bool[Tensor, "many some position"]:
    """Return where the copies of this kind are replaced: each at its own position."""
    at = torch.zeros(len(items), 1, tail.end - tail.begin, dtype=torch.bool, device=inputs.where.device)
    for copy, (of, place) in enumerate(items):
        at[copy, 0, place - tail.begin] = of == kind
    return at & inputs.where[tail.rows, tail.begin : tail.end]
