"""Compute all heads' scores of one run from codes, labels and baselines."""

from collections.abc import Hashable, Sequence

import msgspec
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.analysis.ranking import default_circuit_size
from engine.authoring.distinct_pairs import clusters, distinct_prompts, duplicate_rows, text_keys
from engine.config import ProbeConfig
from engine.events import Monitor
from engine.examples import Example
from engine.results import CircuitStability, HeadScores, Significance
from engine.sample_size import shuffles_for
from engine.scoring.baselines import linear_probe, mean_difference, paired_difference, random_score
from engine.scoring.edge_scores import RankedEdges, score_edges
from engine.scoring.node_scores import CodeOccurrences, code_measures, paired_flips, top_heads
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
        n_heads: int,
        *,
        length: Float[Tensor, "example node"],
        keys: Sequence[Hashable] | None = None,
    ) -> None:
        """`length`: of each head's contrast, per example. `keys`: equal for equal tokens; None: the prompts."""
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
        self.n_heads = n_heads
        self._x = x
        self.length = length[self.rows].cpu()
        on_device = self.positive.to(x.device)
        self.loudness = x.norm(dim=-1).cpu()
        self.mean_difference = mean_difference(x, on_device).cpu()
        paired = paired_difference(x, self.pairs.to(x.device))
        self.paired_difference = None if paired is None else paired.cpu()
        n = len(examples)
        with threads_for(2.0 * n**3 * min(64, x.shape[1])):
            self.linear_probe = linear_probe(x, on_device)
        self.random = random_score(x.shape[1], config.seeds[0])
        self.chance: Significance | None = None
        """What the p-values test; None until there are any."""
        self.circuit_size = config.circuit_size or default_circuit_size(x.shape[1])

    def provisional(self, codes: Int[Tensor, "seed example node"]) -> tuple[HeadScores, ...]:
        """Return scores during training, without p-values and edges. `codes`: of `rows` only, as in training."""
        return self._nodes(codes, CodeOccurrences(codes), None, None)

    def final(
        self, codes: Int[Tensor, "seed example node"], monitor: Monitor
    ) -> tuple[tuple[HeadScores, ...], RankedEdges]:
        """Return all scores and the edges. `codes`: of all examples. Raises Cancelled."""
        codes = codes[:, self.rows]
        with threads_for(2.0 * codes.numel() * len(self.positive)):
            return self._final(codes, CodeOccurrences(codes), monitor)

    def stability(self, codes: Int[Tensor, "seed example node"], size: int) -> CircuitStability:
        """Return the stability of a circuit of `size` heads over seeds and bootstraps. `codes`: of all examples."""
        codes, seed = codes[:, self.rows], self.config.seeds[0]
        found = measure_stability(
            codes,
            self.positive,
            self.pairs,
            self.length,
            size,
            seed=seed,
            clusters=self.clusters,
            n_bootstraps=self.config.bootstraps,
        )
        weights = resample(self.positive, self.pairs, N_DRAWS, seed, self.clusters)
        variation, lengths = bootstrap_scores(CodeOccurrences(codes), self.positive, self.length, weights)
        ranks = resampled_ranks(variation.mean(dim=1), lengths, self._x, self.positive, self.pairs, weights)
        return msgspec.structs.replace(found, resampled=ranks)

    @property
    def mean_length(self) -> Float[Tensor, " node"]:
        """Each head's contrast length on positives, over the mean of all heads."""
        mean = self.length[self.positive].mean(dim=0)
        return mean / mean.mean().clamp(min=1e-12)

    def _final(
        self, codes: Int[Tensor, "seed example node"], symbols: CodeOccurrences, monitor: Monitor
    ) -> tuple[tuple[HeadScores, ...], RankedEdges]:
        chance = None
        shuffles = shuffles_for(self.config.shuffles, codes.shape[2])
        if shuffles:
            labels = label_permutations(self.positive, self.pairs, shuffles, self.config.seeds[0], self.clusters)
            self.chance = Significance(statistic=STATISTIC, labellings=len(labels))
            chance = p_values(symbols, self.loudness, labels, monitor)
        edges = score_edges(codes, self.positive, self.n_heads, monitor, self.mean_length)
        return self._nodes(codes, symbols, chance, edges), edges

    def _nodes(
        self, codes: Tensor, symbols: CodeOccurrences, chance: Tensor | None, edges: RankedEdges | None
    ) -> tuple[HeadScores, ...]:
        by_seed = code_measures(symbols, self.positive)
        columns = {name: values.mean(dim=0).tolist() for name, values in by_seed.items()}
        n_nodes = codes.shape[2]
        nothing: list[float | None] = [None] * n_nodes
        flips = paired_flips(codes, self.pairs)
        columns["stability"] = self._stability(by_seed).tolist()
        columns["from_edges"] = (edges.heads(n_nodes) if edges else torch.zeros(n_nodes)).tolist()
        columns["contrast_length"] = self.mean_length.tolist()
        columns["baseline_mean_difference"] = self.mean_difference.tolist()
        columns["baseline_linear_probe"] = self.linear_probe.tolist()
        columns["baseline_random"] = self.random.tolist()
        optional = {
            "paired_flips": nothing if flips is None else flips.mean(dim=0).tolist(),
            "p_value": nothing if chance is None else chance.tolist(),
            "q_value": nothing if chance is None else q_values(chance).tolist(),
            "baseline_paired_difference": nothing
            if self.paired_difference is None
            else self.paired_difference.tolist(),
        }
        every = {**columns, **optional}
        return tuple(
            HeadScores(
                layer=node // self.n_heads,
                head=node % self.n_heads,
                **{name: _number(values[node]) for name, values in every.items()},  # type: ignore[arg-type]  # None only where optional
            )
            for node in range(n_nodes)
        )

    def _stability(self, by_seed: dict[str, Float[Tensor, "seed node"]]) -> Float[Tensor, " node"]:
        """Return the share of seeds whose own ranking puts the head into the circuit."""
        return top_heads(by_seed["total_variation"], self.mean_length, self.circuit_size).float().mean(dim=0)


def pair_rows(examples: Sequence[Example]) -> Int[Tensor, "pair side"]:
    """Return the row indices of every complete pair, the positive first."""
    members: dict[int, dict[bool, int]] = {}
    for row, example in enumerate(examples):
        if example.pair is not None:
            members.setdefault(example.pair, {})[example.positive] = row
    whole = [[sides[True], sides[False]] for sides in members.values() if len(sides) == 2]
    return torch.tensor(whole, dtype=torch.int64).view(-1, 2)


def _number(value: float | None) -> float | None:
    """Round to six decimals to drop floating-point noise."""
    return None if value is None else round(value, 6)
