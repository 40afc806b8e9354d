"""Check a circuit: faithfulness, completeness, minimality, against random circuits (docs/method.md 6)."""

import itertools
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from engine.events import CircuitChecked
from engine.nodes import NodeId, NodeLayout
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs
from engine.patching.node_patching import mask_of, measure_replaced, one_each
from engine.results import CurvePoint, NodeEffect
from engine.tensors.generators import generator

RANDOM_CIRCUITS = 100
_NOTHING = 1e-4
"""Change of the answer that counts as none, as a share of it, in its unit where it is below 1. Rounding is smaller."""


def check_circuit(
    passes: ForwardPasses,
    inputs: PatchingInputs,
    name: str,
    circuit: Sequence[NodeId],
    order: Sequence[NodeId],
    progress: Callable[[int], None],
    *,
    seed: int,
) -> CircuitChecked | None:
    """Compare a circuit with the whole model. `order` is the ranking it was cut from; the curve runs along it.

    None if the answer is the same with every node replaced: then there is nothing of which a circuit could keep a
    share. `progress` is called with the number of `n_measurements` done. Raises Cancelled within a block.
    """
    layout = passes.layout
    members = torch.tensor([node.in_circuits for node in layout.ids])
    begun = passes.work
    whole = mask_of(circuit, layout)
    sizes = curve_sizes(len(order), len(circuit))
    prefixes = torch.stack([mask_of(order[:size], layout) for size in sizes])
    random = random_circuits(whole, layout, RANDOM_CIRCUITS, seed)
    without_one = whole & ~one_each(circuit, layout)
    alone = [whole[None], torch.zeros(1, layout.n_nodes, dtype=torch.bool), prefixes, random, without_one]
    gone = [whole[None], prefixes, random]
    # A circuit alone: everything else is replaced. A circuit gone: the circuit is replaced.
    masks = torch.cat([~torch.cat(alone) & members, torch.cat(gone)])
    done = 0

    def on_measured(_which: int, _metric: Tensor) -> None:
        nonlocal done
        done += 1
        progress(done)

    measured = measure_replaced(passes, inputs, masks, on_measured).mean(dim=1).tolist()
    kept = iter(measured)
    here, empty = next(kept), next(kept)
    curve_alone, random_alone, minus_one = (
        [next(kept) for _ in range(n)] for n in (len(sizes), RANDOM_CIRCUITS, len(circuit))
    )
    left, curve_gone, random_gone = next(kept), [next(kept) for _ in sizes], [next(kept) for _ in random]

    reach = inputs.base - empty
    if abs(reach) <= _NOTHING * max(abs(inputs.base), 1.0):
        return None

    def share(value: float) -> float:
        return (value - empty) / reach

    curve = [
        CurvePoint(size=size, faithfulness=round(share(a), 4), completeness=round(1 - share(g), 4))
        for size, a, g in zip(sizes, curve_alone, curve_gone, strict=True)
    ]
    return CircuitChecked(
        name=name,
        heads=tuple((layer, head) for layer, head in circuit),
        metric=inputs.answer_metric.metric,
        replacement=inputs.replacement,
        base=round(inputs.base, 6),
        empty=round(empty, 6),
        n_examples=len(inputs),
        faithfulness=round(share(here), 4),
        completeness=round(1 - share(left), 4),
        minimality=tuple(
            NodeEffect(layer=layer, head=head, effect=round(value - here, 6))
            for (layer, head), value in zip(circuit, minus_one, strict=True)
        ),
        random_faithfulness=tuple(sorted(round(share(value), 4) for value in random_alone)),
        random_completeness=tuple(sorted(round(1 - share(value), 4) for value in random_gone)),
        curve=tuple(curve),
        area=round(area_under(curve, int(members.sum())), 4),
        passes=round((passes.work - begun) / (inputs.tokens.numel() * passes.n_layers), 2),
    )


def n_measurements(n_heads_in_all: int, circuit_size: int) -> int:
    """Return how many patched passes one check takes."""
    return 2 + 2 * len(curve_sizes(n_heads_in_all, circuit_size)) + 2 * RANDOM_CIRCUITS + circuit_size


def curve_sizes(n_heads_in_all: int, circuit_size: int) -> list[int]:
    """Return 1, 2, 4 and so on up to half of all heads, and the circuit's own size."""
    sizes = {circuit_size}
    size = 1
    while size <= n_heads_in_all // 2:
        sizes.add(size)
        size *= 2
    return sorted(sizes)


def random_circuits(circuit: Bool[Tensor, " node"], layout: NodeLayout, n: int, seed: int) -> Bool[Tensor, "many node"]:
    """Return random circuits with as many heads in each layer, and as many MLPs."""
    source = generator(seed, "random circuits")
    shape = (layout.n_layers, layout.n_heads)
    heads = circuit[: layout.n_heads_in_all].view(shape)
    draws = torch.rand(n, *shape, generator=source).argsort(dim=2).argsort(dim=2)
    found = torch.zeros(n, layout.n_nodes, dtype=torch.bool)
    found[:, : layout.n_heads_in_all] = (draws < heads.sum(dim=1)[None, :, None]).flatten(1)
    if layout.n_outputs:
        mlps = slice(layout.n_nodes - layout.n_layers, layout.n_nodes)
        draws = torch.rand(n, layout.n_layers, generator=source).argsort(dim=1).argsort(dim=1)
        found[:, mlps] = draws < circuit[mlps].sum()
    return found


def area_under(curve: Sequence[CurvePoint], n_heads_in_all: int) -> float:
    """Return mean faithfulness, clamped to [0, 1], over circuits from no head (0) to all heads (1)."""
    points = [(0.0, 0.0), *((point.size / n_heads_in_all, min(max(point.faithfulness, 0.0), 1.0)) for point in curve)]
    if points[-1][0] < 1:
        points.append((1.0, 1.0))
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
