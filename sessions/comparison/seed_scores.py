"""Compute the scores of one seed of a run from its stored codes, by the functions that the engine uses."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.analysis.ranking import circuit_by_rank
from engine.code_scores.code_measures import code_measures, count_codes, paired_flips
from engine.code_scores.edge_scores import score_edges
from engine.measures import MEASURES, head_scores, value_of
from engine.nodes import NodeLayout
from engine.results import NodeScores


def seed_nodes(
    codes: NDArray[np.int64],
    positive: Sequence[bool],
    pairs: Sequence[tuple[int, int]],
    run: Sequence[NodeScores],
    size: int,
) -> tuple[NodeScores, ...]:
    """Return the scores of every head under one seed; baselines, which do not depend on seeds, are the run's.

    `codes` is [example, head]. p and q are None: label permutations are not stored per seed. Stability is whether the
    head is among the `size` best of this seed. `pairs` holds (positive, negative) rows; `run` the run's scores, layer
    by layer.
    """
    layout = NodeLayout.of([node.id for node in run])
    one, rows = codes[None], np.asarray(positive, dtype=bool)
    lengths = np.asarray([node.contrast_length or 0.0 for node in run])
    flips = paired_flips(one, np.asarray(pairs, dtype=np.int64).reshape(-1, 2))
    by_seed = {name: values[0] for name, values in code_measures(count_codes(one, rows)).items()}
    by_seed["from_edges"] = score_edges(one, rows, layout, lengths).per_node()
    nodes = []
    for place, before in enumerate(run):
        numbers = {measure.id: value_of(before, measure) for measure in MEASURES if measure.baseline}
        numbers |= {name: float(values[place]) for name, values in by_seed.items()}
        numbers |= {"paired_flips": None if flips is None else float(flips[0, place])}
        numbers |= {"p_value": None, "q_value": None, "stability": 0.0}
        nodes.append(head_scores(before.id, numbers))
    best = set(circuit_by_rank(nodes, size))
    return tuple(msgspec.structs.replace(node, stability=float(node.id in best)) for node in nodes)
