"""The results of a run, as plain frozen values that cross processes and are stored."""

from typing import Literal

import msgspec

from engine.config import Precision
from engine.nodes import NodeChoice, NodeId, NodeLayout

NO_CODE = -1
"""The code of a silent head: argmax of all zeros is 0, and 0 is a valid code."""

Verdict = Literal["ok", "weak", "broken", "ungraded"]


MOST_EDGES = 200
"""Edges reported by a run if there are many."""
_ALL_EDGES = 2_000


def n_edges_reported(n_pairs: int) -> int:
    """Return how many edges a run reports, the best first; all edges of a small model, to judge the whole ranking."""
    return n_pairs if n_pairs <= _ALL_EDGES else MOST_EDGES


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The model of a run. Its identity is a content hash of weights and tokenizer."""

    name: str
    identity: str
    """sha256 over weights and tokenizer files, 64 hexadecimal digits."""
    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    context: int
    """Maximum tokens of a prompt."""
    vocabulary: int
    nodes: NodeChoice = "heads"
    """The nodes that the run looked at."""
    parallel_mlps: bool = False
    """True if MLPs stand beside attention and read the stream before it (NodeLayout.parallel)."""

    @property
    def layout(self) -> NodeLayout:
        """The nodes of the run, in the order of arrays."""
        return NodeLayout(n_layers=self.n_layers, n_heads=self.n_heads, choice=self.nodes, parallel=self.parallel_mlps)


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the model can do one example."""

    index: int
    """Index of the example in the run's set, from 0."""
    verdict: Verdict
    reason: str
    """The reason for the verdict."""
    n_tokens: int
    probability: float | None = None
    """Of the expected token, or the mass of the expected set, after the prompt."""
    rank: int | None = None
    """Of the best expected token; 1 is the model's prediction."""
    says: str = ""
    """The token the model finds most probable."""
    says_probability: float = 0.0
    equal_length: bool | None = None
    """True if both sides of the pair have as many tokens; None without a pair."""
    better_prompt: str = ""
    """A corrected prompt, if the reason proposes one."""


class PromptTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt's tokens."""

    texts: tuple[str, ...]
    """Joined they give the prompt, apart from special tokens."""
    read: tuple[bool, ...]
    """Positions at which heads are read."""


class NodeScores(msgspec.Struct, frozen=True, kw_only=True):
    """Every measure of one node, averaged over seeds (docs/method.md 5 and 6). None: not applicable to this set."""

    layer: int
    head: int
    unique_positive: float
    """Node score: codes that occur on positives and on no negative."""
    unique_negative: float
    unique_normalised: float
    """Node score divided by the number of codes on either side."""
    overlap: float
    """Jaccard index of the two sides' codes; 1: the same codes."""
    mutual_information: float
    """Between code and polarity, in bits, Miller-Madow corrected."""
    total_variation: float
    unique_share: float
    """Share of positive examples with a unique code."""
    paired_flips: float | None
    """Share of pairs whose codes differ."""
    from_edges: float
    """Number of top-half edges that contain the head."""
    p_value: float | None
    """Permutation p-value of telling the sides apart so consistently (engine.scoring.significance).

    Card.chance names the statistic, which was the node score in earlier versions.
    """
    q_value: float | None
    """Benjamini-Hochberg over all heads."""
    stability: float
    """Share of seeds in which the head is in the circuit by rank cut."""
    silent: float
    """Share of examples without a code."""
    baseline_mean_difference: float
    """Norm of the mean activation difference between the sides; no SAE."""
    baseline_paired_difference: float | None
    """Mean norm of the difference within a pair over the head's mean norm; no SAE."""
    baseline_linear_probe: float
    """Leave-one-out AUC of a ridge classifier on the head's output; no SAE."""
    baseline_random: float
    """A random number: the value of no information."""
    contrast_length: float | None = None
    """Mean length of the head's contrast on positives, over the mean of all heads; no SAE. Breaks ties.

    Codes are made of the contrasts. None in runs that did not record it.
    """
    attribution: float | None = None
    """Size of the effect estimated from gradients, as a share of the base (KL: in nats); None: not measured."""
    exact_effect: float | None = None
    """Size of the effect of replacing the head, in the same unit; None: not measured."""
    combined: float | None = None
    """The exact effect if measured, else the attribution."""
    backup: float | None = None
    """How much the size of the head's effect grows once a circuit is replaced, in the same unit; below 0: it shrinks.

    None: not measured, or a head of that circuit.
    """
    other: dict[str, float] = {}
    """Measures of engine.measures that have no field of their own, by id; empty in runs that did not record any."""

    @property
    def id(self) -> NodeId:
        return NodeId(self.layer, self.head)


class EdgeScore(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of heads, earlier to later layer, and the number of code pairs that only positives have."""

    source: tuple[int, int]
    target: tuple[int, int]
    score: float
    length: float | None = None
    """Product of both heads' contrast lengths, which orders edges of equal score; None in older runs."""


EFFECT_FIELDS = ("attribution", "exact_effect", "combined", "backup")
"""Fields of NodeScores that come from effect measurements, not from codes."""


class NodeEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of replacing one node on the model's answer, in the metric's unit."""

    layer: int
    head: int
    effect: float
    """Patched minus clean, mean over examples. Below 0: the head helps (KL is never below 0)."""
    error: float | None = None
    """Standard error of that mean; None for one example."""
    size: float | None = None
    """Mean over examples of the absolute effect. None in runs that did not record it."""
    alone: float | None = None
    """For an effect measured with a circuit replaced: the effect without that."""
    measured_us: int | None = None
    """Time, UTC, microseconds since 1970; filled in from the log when a run is read from its events."""

    @property
    def id(self) -> NodeId:
        return NodeId(self.layer, self.head)


class EdgeEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of the source's output through the target alone, in the metric's unit."""

    source: tuple[int, int]
    target: tuple[int, int]
    effect: float
    """Patched minus clean, exact or estimated by attribution; mean over examples."""


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Faithfulness and completeness of the first `size` heads of a ranking. 1: like all heads; 0: like none."""

    size: int
    faithfulness: float
    """With every other head replaced."""
    completeness: float
    """1 minus what is left with these heads replaced."""


class Resampled(msgspec.Struct, frozen=True, kw_only=True):
    """The ranks of all heads by one measure on bootstrap draws of the examples."""

    measure: str
    """Its id among the measures."""
    ranks: bytes
    """A byte per head, layer by layer, draw after draw: 255 for the best head of a draw, 0 for the worst."""


class CircuitStability(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How stable the circuit is over seeds and bootstraps."""

    seeds: float | None
    """Mean Jaccard index of the circuits of any two seeds; None for one seed."""
    bootstraps: float
    """Mean Jaccard index of the run's circuit and those of resampled examples (pairs kept together)."""
    n_bootstraps: int
    heads: tuple[float, ...]
    """Head by head, layer by layer: share of bootstraps with the head in the circuit."""
    resampled: tuple[Resampled, ...] = ()
    """Ranks for intervals of AUCs; empty in runs that did not record them."""


CardVerdict = Literal[
    "believable", "weak", "no better than a plain difference", "no better than chance", "nothing was coded"
]


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template of most positives, with one word changed."""

    text: str
    """Its words, ___ where they differ."""
    prompts: int
    """Number of distinct positives of this template."""
    of: int
    """Number of all distinct positives."""


class CardBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking of heads without an SAE, compared with the codes."""

    measure: str
    """Its id among the measures."""
    shared: float
    """Jaccard index of its best heads and the circuit, as many heads in both."""
    auc: float | None
    """For finding the heads that move the answer, if those are known."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How much better a baseline finds the heads than codes do."""

    measure: str
    """The baseline's id among the measures."""
    mean: float
    """AUC of the baseline minus AUC of the codes."""
    low: float
    """Ends of the 95 % interval (paired bootstrap over heads and draws of the examples)."""
    high: float


class CardNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the circuit and its evidence."""

    layer: int
    head: int
    q_value: float | None
    seeds: float
    """Share of seeds with the head in the circuit."""
    bootstraps: float
    effect: float | None
    """Size of its effect as a share of the answer, if measured or estimated."""


class Significance(msgspec.Struct, frozen=True, kw_only=True):
    """What p and q of a run test."""

    statistic: str
    """The statistic compared with label permutations, as text."""
    labellings: int
    """Number of label permutations: no p is below 1 over this number."""


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The evaluation of a run's result (docs/method.md 6)."""

    verdict: CardVerdict
    reasons: tuple[str, ...]
    """The reasons, a sentence each; the most important first."""
    advice: tuple[str, ...]
    """What to change for a better result."""
    above_chance: tuple[tuple[int, int], ...]
    """All heads with q below .05, best first."""
    expected_false: float | None
    """How many of them are expected to be false; None if significance was not tested."""
    heads: tuple[CardNode, ...]
    """The circuit, best first."""
    stability: CircuitStability = msgspec.field(name="steadiness")
    truth: str | None
    """The ground truth of the AUCs: effects measured in this run, or a known circuit; None: neither."""
    codes_auc: float | None
    baselines: tuple[CardBaseline, ...]
    movers: float | None
    """Share of the circuit's heads that move the answer by a twentieth; None without effects."""
    diverged: bool = False
    """True if training diverged, so that nothing was coded."""
    template: Template | None = None
    """The template of most positives, one word changed: the result is evidence about that template only."""
    tied: int = 0
    """Heads with the score of the last one in the circuit, if some of them are outside.

    The contrast's length decided between them.
    """
    rival: Difference | None = None
    """The best baseline that finds the heads better than the codes.

    None if there is none, or no ground truth.
    """
    chance: Significance | None = None
    """None: not tested, or a run that did not record it, whose p was that of the node score."""
    dormant: tuple[tuple[int, int], ...] | None = None
    """Heads without effect alone that move the answer once the circuit is replaced, the largest first.

    None: not measured for all other heads.
    """
    dormant_after: str = ""
    """The name of that circuit."""


ReferenceKind = Literal["known", "chosen", "effects"]


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The heads a ranking is compared with: a known circuit, published or measured, or effects of this run."""

    name: str
    source: str
    """The source, as text to look up."""
    heads: tuple[tuple[int, int], ...]
    kind: ReferenceKind = "known"
    """known: of the task that made the examples. chosen: by the user, a saved circuit or that of a task.

    effects: the heads that move the answer in this run.
    """
    measure: str = ""
    """Of effects: the measure that was cut. Its own AUC against them is meaningless."""
    covers: NodeChoice = "heads"
    """heads: MLPs were not looked at, so a ranking is compared by its heads alone. all: MLPs, too."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How well a ranking of heads finds a known circuit. None where it is undefined (no head in it, or all)."""

    auc: float | None
    precision: float | None
    recall: float | None


class ExampleCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many examples a run used, and how many of them the model cannot do."""

    positive: int
    negative: int
    broken: int
    distinct_positive: int | None = None
    """Distinct prompts among them. None in runs that did not count them."""
    distinct_negative: int | None = None
    clusters: int | None = None
    """Groups of pairs that share no prompt with another group; None without pairs."""


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds per stage."""

    load: float = 0.0
    grade: float = 0.0
    capture: float = 0.0
    train: float = 0.0
    codes: float = 0.0
    scores: float = 0.0
    total: float = 0.0
    cause: float = 0.0
    """0 if effects were not measured."""


class DirectSum(msgspec.Struct, frozen=True, kw_only=True):
    """What the direct effects of all nodes of a run add up to, in logits, the mean over positives."""

    answer: float
    """The answer's logit: mean of the expected tokens less that of the foils (or of all), before a soft cap."""
    nodes: float
    """The sum over the run's nodes."""
    rest: float
    """Biases, and what the run did not look at: without MLPs, these and the embedding."""
    n_examples: int


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of a run: same seed, machine and versions give the same codes."""

    headcode: str
    python: str
    torch: str
    transformer_lens: str
    device: str
    dtype: Precision = "float32"
    """Of weights and forward pass; versions before 0.2 had float32 only."""

    @property
    def where(self) -> str:
        """The device, and the precision if it is not float32: cpu (x86_64, 2 threads), bfloat16."""
        return self.device if self.dtype == "float32" else f"{self.device}, {self.dtype}"
