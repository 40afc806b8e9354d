"""The grid of a run with MLPs: a column set apart at the right, and the embedding above layer 0."""

import msgspec
import pytest

from engine.measures import DEFAULT_MEASURE
from engine.nodes import EMBEDDING, NO_HEAD, NO_LAYER, format_count, mlp
from tui.output.console import OutputStyle
from tui.output.grid import grid_lines

from ..finished_run import make_node


def grid(width: int, *, n_heads: int = 4, mlps: bool = True, circuit: tuple[tuple[int, int], ...] = ()) -> list[str]:
    nodes = [make_node(layer, head, 4) for layer in range(2) for head in range(n_heads)]
    others = [msgspec.structs.replace(make_node(0, 3), layer=layer, head=NO_HEAD) for layer in (NO_LAYER, 0, 1)]
    output = OutputStyle(colours="none", width=width)
    return [line.plain for line in grid_lines([*nodes, *(others if mlps else [])], DEFAULT_MEASURE, circuit, output)]


def test_mlps_stand_apart_at_the_right_and_the_embedding_above_layer_0() -> None:
    assert grid(80, circuit=(mlp(1), (0, 2)))[1:5] == [
        "layer     0     1     2     3     mlp",
        "  emb  ▒.30",
        "    0     .  ░.10 [░.20] ▒.30    ▒.30",
        "    1  ▒.40  ▓.50  ▓.60  ▓.70   [▒.30]",
    ]


def test_heads_stay_where_they_are_in_a_run_without_mlps() -> None:
    without, beside = grid(80, mlps=False), grid(80)
    assert without[1:4] == [
        "layer     0     1     2     3",
        "    0     .  ░.10  ░.20  ▒.30",
        "    1  ▒.40  ▓.50  ▓.60  ▓.70",
    ]
    assert all(line.startswith(alone) for line, alone in zip([beside[1], *beside[3:5]], without[1:4], strict=True))
    assert (beside[0], beside[-1]) == (without[0], without[-1])


@pytest.mark.parametrize("width", [12, 16, 20, 26, 30])
def test_narrow_grids_have_every_node_once_and_fit(width: int) -> None:
    lines = grid(width, n_heads=14, circuit=(mlp(0), EMBEDDING))[1:-1]
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("  emb") for line in lines) == 1
    headers = [line for line in lines if line.startswith("layer")]
    assert " ".join(headers).replace("layer", "").split() == [*map(str, range(14)), "mlp"]
    assert [line for line in lines if line.startswith("    0")][-1].endswith("*")


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([], "0 heads"),
        ([(0, 1)], "1 head"),
        ([(0, 1), mlp(0)], "1 head and 1 MLP"),
        ([(0, 1), (0, 2), mlp(0), mlp(1), EMBEDDING], "2 heads, 2 MLPs and the embedding"),
        ([mlp(0), EMBEDDING], "1 MLP and the embedding"),
        ([EMBEDDING], "the embedding"),
    ],
)
def test_nodes_are_counted_by_kind(nodes: list[tuple[int, int]], text: str) -> None:
    assert format_count(nodes) == text
