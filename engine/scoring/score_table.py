"""Compute all nodes' scores of one run from codes, labels and baselines."""

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.analysis.ranking import default_circuit_size
from engine.authoring.distinct_pairs import clusters, distinct_prompts, duplicate_rows, text_keys
from engine.code_scores.code_measures import Scores, code_measures, paired_flips
from engine.code_scores.edge_scores import RankedEdges, score_edges
from engine.config import ProbeConfig
from engine.errors import Cancelled
from engine.events import Monitor, StageProgress
from engine.examples import Example
from engine.measures import head_scores
from engine.nodes import NodeLayout
from engine.results import NO_CODE, CircuitStability, NodeScores, Significance
from engine.sample_size import shuffles_for
from engine.scoring.baselines import linear_probe, mean_difference, paired_difference, random_score
from engine.scoring.code_occurrences import CodeOccurrences, top_nodes
from engine.scoring.direct_effects import DirectEffects
from engine.scoring.merging import kinds_of
from engine.scoring.resampling import N_DRAWS, resampled_ranks
from engine.scoring.significance import STATISTIC, label_permutations, p_values, q_values
from engine.scoring.stability import bootstrap_scores, measure_stability, resample
from engine.tensors.threads import threads_for


class ScoreTable:
    """The scores of one run; holds what is constant during training: labels, pairs, contrast lengths and baselines.

    Duplicate examples are left out of everything (engine.authoring.distinct_pairs): `rows` are the examples that count.
    """

    def __init__(
        self,
        x: Float[Tensor, "example node d_model"],
        examples: Sequence[Example],
        config: ProbeConfig,
        layout: NodeLayout,
        *,
        length: Float[Tensor, "example node"],
        direct: DirectEffects | None = None,
        keys: Sequence[Hashable] | None = None,
    ) -> None:
        """`length`: of each node's contrast, per example. `direct`: None if the model has none.

        `keys`: equal for equal tokens; None: the prompts.
        """
        keys = text_keys(examples) if keys is None else keys
        self.repeats = duplicate_rows(examples, keys)
        copies = set(self.repeats)
        self.rows = torch.tensor([row for row in range(len(examples)) if row not in copies])
        keys = [keys[row] for row in self.rows.tolist()]
        examples = [examples[row] for row in self.rows.tolist()]
        x = x[self.rows.to(x.device)] if copies else x
        self.positive: Bool[Tensor, " example"] = torch.tensor([example.positive for example in examples])
        self.pairs = pair_rows(examples)
        self.clusters = clusters([(first, second) for first, second in self.pairs.tolist()], keys)
        self.distinct = distinct_prompts(examples, keys)
        """Distinct positive and negative prompts."""
        self.config = config
        self.layout = layout
        self._kinds = kinds_of(layout)
        self.direct = None if direct is None else direct.of_positives(self.rows, self.positive)
        self._x = x
        self.length = length[self.rows].cpu()
        on_device = self.positive.to(x.device)
        self.output_norm = x.norm(dim=-1).cpu()
        self.mean_difference = mean_difference(x, on_device).cpu()
        paired = paired_difference(x, self.pairs.to(x.device))
        self.paired_difference = None if paired is None else paired.cpu()
        n = len(examples)
        with threads_for(2.0 * n**3 * min(64, x.shape[1])):
            self.linear_probe = linear_probe(x, on_device)
        self.random = random_score(x.shape[1], config.seeds[0])
        self.chance: Significance | None = None
        """What the p-values test; None until there are any."""
        self.circuit_size = config.circuit_size or default_circuit_size(layout.n_members)
        self._outside = torch.tensor([not node.in_circuits for node in layout.ids])
        """Nodes that no circuit can hold: the embedding."""

    def provisional(self, codes: Int[Tensor, "seed example node"]) -> tuple[NodeScores, ...]:
        """Return scores during training, without p-values and edges. `codes`: of `rows` only, as in training."""
        return self._nodes(codes, CodeOccurrences(codes), None, None)

    def final(
        self, codes: Int[Tensor, "seed example node"], monitor: Monitor
    ) -> tuple[tuple[NodeScores, ...], RankedEdges]:
        """Return all scores and the edges. `codes`: of all examples. Raises Cancelled."""
        codes = codes[:, self.rows]
        with threads_for(2.0 * codes.numel() * len(self.positive)):
            return self._final(codes, CodeOccurrences(codes), monitor)

    def stability(self, codes: Int[Tensor, "seed example node"], size: int) -> CircuitStability:
        """Return the stability of a circuit of `size` heads over seeds and bootstraps. `codes`: of all examples."""
        codes, seed = codes[:, self.rows], self.config.seeds[0]
        found = measure_stability(
            codes.masked_fill(self._outside, NO_CODE),
            self.positive,
            self.pairs,
            self.length.masked_fill(self._outside, 0.0),
            size,
            seed=seed,
            clusters=self.clusters,
            n_bootstraps=self.config.bootstraps,
            kinds=self._kinds,
        )
        weights = resample(self.positive, self.pairs, N_DRAWS, seed, self.clusters)
        variation, lengths = bootstrap_scores(CodeOccurrences(codes), self.positive, self.length, weights)
        ranks = resampled_ranks(
            variation.mean(dim=1), lengths, self._x, self.positive, self.pairs, weights, self._kinds
        )
        return msgspec.structs.replace(found, resampled=ranks)

    @property
    def mean_length(self) -> Float[Tensor, " node"]:
        """Each node's contrast length on positives, over the mean of all heads."""
        mean = self.length[self.positive].mean(dim=0)
        return mean / mean[: self.layout.n_heads_in_all].mean().clamp(min=1e-12)

    def _final(
        self, codes: Int[Tensor, "seed example node"], symbols: CodeOccurrences, monitor: Monitor
    ) -> tuple[tuple[NodeScores, ...], RankedEdges]:
        chance = None
        shuffles = shuffles_for(self.config.shuffles, codes.shape[2])
        if shuffles:
            labels = label_permutations(self.positive, self.pairs, shuffles, self.config.seeds[0], self.clusters)
            self.chance = Significance(statistic=STATISTIC, labellings=len(labels))
            chance = p_values(symbols, self.output_norm, labels, monitor)

        def progress(share: float) -> None:
            monitor.report(StageProgress(stage="scores", done=50 + int(50 * share), total=100))
            if monitor.cancelled():
                raise Cancelled

        edges = score_edges(
            codes.numpy(), self.positive.numpy(), self.layout, self.mean_length.numpy(), on_progress=progress
        )
        return self._nodes(codes, symbols, chance, edges), edges

    def _nodes(
        self, codes: Tensor, symbols: CodeOccurrences, chance: Tensor | None, edges: RankedEdges | None
    ) -> tuple[NodeScores, ...]:
        by_seed = code_measures(symbols.per_side(self.positive))
        n_nodes = codes.shape[2]
        flips = paired_flips(codes.numpy(), self.pairs.numpy())
        # A run shows the mean over seeds.
        found: dict[str, Any] = {name: values.mean(axis=0) for name, values in by_seed.items()}
        found |= {
            "paired_flips": None if flips is None else flips.mean(axis=0),
            "stability": self._stability(by_seed["total_variation"]),
            "from_edges": edges.per_node() if edges else np.zeros(n_nodes),
            "p_value": chance,
            "q_value": None if chance is None else q_values(chance),
            "contrast_length": self.mean_length,
            "direct_effect": None if self.direct is None else self.direct.share,
            "direct_logits": None if self.direct is None else self.direct.mean,
            "baseline_mean_difference": self.mean_difference,
            "baseline_paired_difference": self.paired_difference,
            "baseline_linear_probe": self.linear_probe,
            "baseline_random": self.random,
        }
        columns = {name: None if values is None else values.tolist() for name, values in found.items()}
        return tuple(
            head_scores(node, {name: None if values is None else values[index] for name, values in columns.items()})
            for index, node in enumerate(self.layout.ids)
        )

    def _stability(self, variation: Scores) -> Float[Tensor, " node"]:
        """Return the share of seeds whose own ranking puts the node into the circuit."""
        counted = torch.from_numpy(variation).masked_fill(self._outside, 0.0)
        length = self.mean_length.masked_fill(self._outside, 0.0)
        return top_nodes(counted, length, self.circuit_size, self._kinds).float().mean(dim=0)


def pair_rows(examples: Sequence[Example]) -> Int[Tensor, "pair side"]:
    """Return the row indices of every complete pair, the positive first."""
    members: dict[int, dict[bool, int]] = {}
    for row, example in enumerate(examples):
        if example.pair is not None:
            members.setdefault(example.pair, {})[example.positive] = row
    whole = [[sides[True], sides[False]] for sides in members.values() if len(sides) == 2]
    return torch.tensor(whole, dtype=torch.int64).view(-1, 2)
