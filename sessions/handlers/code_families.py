"""Answer requests about codes that occur together, in one run or in two: from what is stored, without the model."""

import asyncio
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.code_scores.answer_changes import answer_labels
from engine.code_scores.code_changes import compare_codes
from engine.code_scores.families import find_families
from engine.errors import ConfigError
from engine.examples import Example
from engine.nodes import NodeId, NodeLayout
from sessions.comparison.comparison import CannotCompare
from sessions.handlers.context import Answer, HandlerContext
from sessions.protocol import CodesCompared, CompareCodes, Families, GetFamilies
from sessions.rows import RunRow
from sessions.store.database import Store
from sessions.store.drawings import run_codes
from sessions.store.queries import find_run, run_row
from sessions.store.rerun import find_rerun

_FEWEST = 4
"""Prompts that two runs need in common."""


class _Codes(msgspec.Struct, frozen=True):
    run: RunRow
    layout: NodeLayout
    examples: tuple[Example, ...]
    codes: NDArray[np.integer]
    """[seed, example, node]"""

    def rows(self, places: Sequence[int], nodes: Sequence[NodeId]) -> NDArray[np.integer]:
        return self.codes[:, list(places)][:, :, [self.layout.index(node) for node in nodes]]


async def get_families(host: HandlerContext, request: GetFamilies) -> Families:
    """Return the families. Raises NoSuchRecord, and ConfigError for a seed that the run does not have."""
    found = await host.writer.read(lambda store: _read(store, request.run))
    seeds = found.run.config.seeds
    seed = seeds[0] if request.seed is None else request.seed
    if seed not in seeds:
        raise ConfigError(f"Run {found.run.number} has no seed {seed}.", hint=f"It has {', '.join(map(str, seeds))}.")
    positive = np.array([example.positive for example in found.examples])
    codes = found.codes[seeds.index(seed)]
    tree = await asyncio.to_thread(find_families, codes, positive, found.layout.ids, seed=seed)
    assert found.run.model_info is not None
    return Families(run=found.run, model=found.run.model_info, tree=tree)


async def get_code_changes(host: HandlerContext, request: CompareCodes) -> CodesCompared:
    """Return what changed. Raises NoSuchRecord, and CannotCompare for models of another shape or other prompts."""
    a, b = await host.writer.read(lambda store: (_read(store, request.a), _read(store, request.b)))
    one, other = a.layout, b.layout
    if (one.n_layers, one.n_heads) != (other.n_layers, other.n_heads):
        raise CannotCompare(
            "The codes cannot be compared: the models have other shapes.", hint="Compare two runs of one base model."
        )
    places_b: dict[tuple[str, bool], int] = {}
    for place, example in enumerate(b.examples):
        places_b.setdefault((example.prompt, example.positive), place)
    shared = [
        (place, places_b[example.prompt, example.positive])
        for place, example in enumerate(a.examples)
        if (example.prompt, example.positive) in places_b
    ]
    if len(shared) < _FEWEST:
        raise CannotCompare(
            f"The codes cannot be compared: the runs have {len(shared)} prompts in common.",
            hint="Run both models on the same examples: headcode probe FILE --model OTHER",
        )
    nodes = [node for node in one.ids if other.has(node)]
    codes_a, codes_b = (each.rows([pair[side] for pair in shared], nodes) for side, each in enumerate((a, b)))
    positive = np.array([a.examples[place].positive for place, _ in shared])

    seeds = a.run.config.seeds, b.run.config.seeds
    answers = answer_labels([a.examples[place] for place, _ in shared])

    def compare() -> CodesCompared:
        return CodesCompared(comparison=compare_codes(codes_a, codes_b, positive, nodes, seeds, answers))

    return await asyncio.to_thread(compare)


def _read(store: Store, reference: str) -> _Codes:
    """Return a run's examples and codes. Raises NoSuchRecord if it stored none."""
    run_id = find_run(store, reference)
    layout, codes = run_codes(store, run_id)
    examples = tuple(each for each in find_rerun(store, run_id).work.examples if each.enabled)
    return _Codes(run_row(store, run_id), layout, examples, np.array(codes))


ANSWERS: dict[type, Answer] = {GetFamilies: get_families, CompareCodes: get_code_changes}
SLOW: frozenset[type] = frozenset(ANSWERS)
