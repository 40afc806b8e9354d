"""Compare the grid of layers and positions with plain hooks and whole passes."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from engine.errors import Cancelled
from engine.examples import Example
from engine.models.loading import Model
from engine.node_parts import GridKind
from engine.nodes import EMBEDDING, mlp
from engine.patching.places import measure_places
from engine.patching.stream_grid import measure_grid

from ..by_hand import ioi, prepared, with_hook_at
from .test_places import UNEQUAL, answered

HOOKS: dict[GridKind, str] = {"stream": "hook_in", "attention": "attn.hook_z", "mlp": "hook_mlp_out"}


def by_plain(model: Model, one: Example, other: Example, hook: str) -> list[float]:
    here, there = (model.encode(each.prompt)[0] for each in (one, other))
    mary, john = (model.tokens.alone(f" {text.strip()}")[0] for text in (one.expected[0], one.foils[0]))
    with torch.no_grad():
        clean = model.bridge(torch.tensor([here]))[0, -1]
    found = []
    for place in range(len(here)):
        patched = with_hook_at(model, one, other, hook, place, max(0, len(there) - len(here) + place))
        found.append(float((patched[mary] - patched[john]) - (clean[mary] - clean[john])))
    return found


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("family", ["model", "grouped"])
def test_every_cell_is_what_a_plain_hook_does(family: str, unequal: bool, recorder: Any, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    examples: Sequence[Example] = answered(UNEQUAL)[2:] if unequal else ioi(model, pairs=2)
    passes, inputs = prepared(model, examples, recorder(), nodes="all", unequal=unequal)
    done: list[tuple[int, int]] = []
    grid = measure_grid(passes, inputs, lambda *so_far: done.append(so_far))
    n_layers = model.info.n_layers
    assert done == [(layer + 1, n_layers) for layer in range(n_layers)]
    assert set(grid) == set(HOOKS)
    for kind, hook in HOOKS.items():
        for layer in (0, n_layers - 1):
            for row, (one, other) in enumerate(zip(examples[::2], examples[1::2], strict=True)):
                wanted = by_plain(model, one, other, f"blocks.{layer}.{hook}")
                assert grid[kind][layer, row, : len(wanted)].tolist() == pytest.approx(wanted, abs=3e-4), kind
                assert not grid[kind][layer, row, len(wanted) :].any()
        assert float(grid[kind].abs().max()) > 1e-3


def test_its_first_stream_is_the_embedding_and_its_mlps_are_the_nodes(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model), recorder(), nodes="all", replacement="mean")
    grid = measure_grid(passes, inputs)
    assert torch.allclose(grid["stream"][0], measure_places(passes, inputs, EMBEDDING), atol=2e-4)
    assert torch.allclose(grid["mlp"][1], measure_places(passes, inputs, mlp(1)), atol=2e-4)


def test_of_heads_only_there_are_no_mlps_and_zero_is_a_replacement(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model, pairs=2), recorder(), replacement="zero")
    grid = measure_grid(passes, inputs)
    assert set(grid) == {"stream", "attention"}
    assert float(grid["stream"].abs().max()) > 0.1


def test_it_can_be_cancelled(model: Model, recorder: Any) -> None:
    passes, inputs = prepared(model, ioi(model, pairs=2), recorder())
    inputs.tails(passes)
    passes.monitor = recorder(lambda _: True)
    passes.monitor.report(recorder)
    with pytest.raises(Cancelled):
        measure_grid(passes, inputs)
