"""What a run computes, as plain frozen values that cross processes and lie in the store."""

from typing import Literal, NamedTuple

import msgspec

NO_CODE = -1
"""The code of a silent head: argmax of all zeros is 0, and 0 is somebody's real code."""

Verdict = Literal["ok", "weak", "broken", "ungraded"]


MOST_EDGES = 200
"""Edges a run tells of many."""
_ALL_EDGES = 2_000


def n_edges_reported(n_pairs: int) -> int:
    """How many edges a run tells, the best first: of a small model all, so that the whole ranking can be judged."""
    return n_pairs if n_pairs <= _ALL_EDGES else MOST_EDGES


class HeadId(NamedTuple):
    """A head's place: layer and head, both counted from 0. Written 9.6."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which model a run used. Identity is a content hash of its weights and tokenizer."""

    name: str
    identity: str
    """sha256 over weights and tokenizer files, 64 hexadecimal digits."""
    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    context: int
    """The most tokens the model reads."""
    vocabulary: int


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """What the model makes of one example."""

    index: int
    """Which example, counted from 0 in the run's set."""
    verdict: Verdict
    reason: str
    """The verdict in words."""
    n_tokens: int
    probability: float | None = None
    """Of the expected token, or the mass of the expected set, after the prompt."""
    rank: int | None = None
    """Of the best expected token; 1 is what the model says."""
    says: str = ""
    """The token the model finds most probable."""
    says_probability: float = 0.0
    equal_length: bool | None = None
    """Whether both sides of the pair have as many tokens; None without a pair."""
    better_prompt: str = ""
    """The prompt as it should be written, where the reason proposes that."""


class PromptTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt as the model sees it, token by token."""

    texts: tuple[str, ...]
    """Joined they give the prompt, special tokens aside."""
    read: tuple[bool, ...]
    """Which positions the heads are read at."""


class HeadScores(msgspec.Struct, frozen=True, kw_only=True):
    """Every measure of one head, averaged over seeds (METHOD 5 and 6). None: it does not apply to this set."""

    layer: int
    head: int
    unique_positive: float
    """Node score: codes seen on positives and on no negative."""
    unique_negative: float
    unique_normalised: float
    """Node score over the number of codes seen on either side."""
    overlap: float
    """Jaccard of the two sides' codes; 1: the head says the same things."""
    mutual_information: float
    """Between code and polarity, in bits, Miller-Madow corrected."""
    total_variation: float
    unique_share: float
    """Share of positive examples that carry a unique code."""
    paired_flips: float | None
    """Share of pairs whose codes differ."""
    from_edges: float
    """Times the head stands in the first half of all head pairs ordered by edge score."""
    p_value: float | None
    """Chance of telling the sides apart so consistently under shuffled labels (engine.scoring.significance;
    Card.chance names the
    statistic, which was the node score in runs before it)."""
    q_value: float | None
    """Benjamini-Hochberg over all heads."""
    stability: float
    """Share of seeds in which the head is in the circuit by rank cut."""
    silent: float
    """Share of examples on which the head has no code."""
    baseline_mean_difference: float
    """Norm of the mean activation difference between the sides; no SAE."""
    baseline_paired_difference: float | None
    """Mean norm of the difference within a pair over the head's mean norm; no SAE."""
    baseline_linear_probe: float
    """Leave-one-out AUC of a ridge classifier on the head's output; no SAE."""
    baseline_random: float
    """A number drawn at random: what no information looks like."""
    contrast_length: float | None = None
    """Mean length of the head's contrast on positives, over the mean of all heads: what codes are made of, without an
    SAE. Breaks ties. None in runs from before it was kept."""
    attribution: float | None = None
    """Size of the effect one gradient promises, as a share of the metric's base (KL: in nats); None: not asked for."""
    exact_effect: float | None = None
    """Size of the effect the head's replacement had, in the same unit; None: not asked for, or not this head."""
    combined: float | None = None
    """The exact effect where it was measured, else what attribution promises."""
    backup: float | None = None
    """By how much the size of the head's effect grows once a circuit is replaced, in the same unit; below 0: it
    shrinks. None: not asked for, or a head of that circuit."""

    @property
    def id(self) -> HeadId:
        return HeadId(self.layer, self.head)


class EdgeScore(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of heads, earlier layer to later one, and how many code pairs only positives carry."""

    source: tuple[int, int]
    target: tuple[int, int]
    score: float
    length: float | None = None
    """Product of both heads' contrast lengths, which orders edges of equal score; None in older runs."""


EFFECT_FIELDS = ("attribution", "exact_effect", "combined", "backup")
"""Fields of HeadScores that come from a model's answers, not from codes: filled in when a cause is known."""


class HeadEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What replacing one head does to the model's answer, in the metric's own unit."""

    layer: int
    head: int
    effect: float
    """Replaced minus clean, mean over examples. Below 0: the head helps (KL is never below 0)."""
    error: float | None = None
    """Standard error of that mean; None for one example."""
    size: float | None = None
    """Mean over examples of how far each one moves, up or down. None: measured before this was told."""
    alone: float | None = None
    """Where the effect was measured with a circuit replaced: what it is without that."""
    measured_us: int | None = None
    """When, UTC, microseconds since 1970. The log knows: filled in where a run is made of its events."""


class EdgeEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What the source's output does to the answer through the target alone, in the metric's own unit."""

    source: tuple[int, int]
    target: tuple[int, int]
    effect: float
    """Replaced minus clean, estimated by attribution; mean over examples."""


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """What the first `size` heads of a ranking are worth. 1: as much as all heads; 0: as little as none."""

    size: int
    faithfulness: float
    """With every other head replaced."""
    completeness: float
    """1 less what is left with these heads replaced: how much of the answer goes with them."""


class Resampled(msgspec.Struct, frozen=True, kw_only=True):
    """How one measure ranks the heads on bootstrap draws of the examples."""

    measure: str
    """Its id among the measures."""
    ranks: bytes
    """A byte a head, layer by layer, draw after draw: 255 for the best head of a draw, 0 for the worst."""


class CircuitStability(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much of the circuit would come out again."""

    seeds: float | None
    """Mean Jaccard index of the circuits of any two seeds; None for one seed."""
    bootstraps: float
    """Mean Jaccard index of the run's circuit and those of resampled examples (pairs kept together)."""
    n_bootstraps: int
    heads: tuple[float, ...]
    """Head by head, layer by layer: share of the bootstraps that put it into the circuit."""
    resampled: tuple[Resampled, ...] = ()
    """What intervals of AUCs are taken from; empty in runs from before they were."""


CardVerdict = Literal[
    "believable", "weak", "no better than a plain difference", "no better than chance", "nothing was coded"
]


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template that most positives are, with one word changed."""

    text: str
    """Its words, ___ where they differ."""
    prompts: int
    """How many distinct positives it is."""
    of: int
    """Of how many."""


class CardBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """One way of ranking heads without an SAE, beside the codes."""

    measure: str
    """Its id among the measures."""
    shared: float
    """Jaccard index of as many of its best heads and the circuit."""
    auc: float | None
    """For finding the heads that truly move the answer, where those are known."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How much better a baseline finds the heads than codes do."""

    measure: str
    """The baseline's id among the measures."""
    mean: float
    """AUC of the baseline less AUC of the codes."""
    low: float
    """Ends of the 95 % interval (paired bootstrap over heads and draws of the examples)."""
    high: float


class CardHead(msgspec.Struct, frozen=True, kw_only=True):
    """A head of the circuit and what speaks for it."""

    layer: int
    head: int
    q_value: float | None
    seeds: float
    """Share of seeds that put it into the circuit."""
    bootstraps: float
    effect: float | None
    """Size of its effect as a share of the answer, where it was measured or estimated."""


class Significance(msgspec.Struct, frozen=True, kw_only=True):
    """What p and q of a run are about."""

    statistic: str
    """What was held against shuffled labels, in words."""
    labellings: int
    """Over how many ways of labelling the examples: no p is below one of so many."""


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run's result is worth (METHOD 6)."""

    verdict: CardVerdict
    reasons: tuple[str, ...]
    """Why, a sentence each; the weightiest first."""
    advice: tuple[str, ...]
    """What to change to get a better one."""
    above_chance: tuple[tuple[int, int], ...]
    """All heads with q below .05, best first."""
    expected_false: float | None
    """How many of them are expected to be there by chance; None where chance was not measured."""
    heads: tuple[CardHead, ...]
    """The circuit, best first."""
    steadiness: CircuitStability
    truth: str | None
    """What the AUCs are against: effects measured in this run, or a known circuit; None: neither."""
    codes_auc: float | None
    baselines: tuple[CardBaseline, ...]
    movers: float | None
    """Share of the circuit's heads that move the answer by a twentieth; None where no cause was asked for."""
    diverged: bool = False
    """Whether the training went nowhere, so that nothing was coded."""
    template: Template | None = None
    """What most positives are copies of, one word changed: the result is evidence about that template."""
    tied: int = 0
    """Heads that have the same score as the last one in the circuit, where some are left outside: the contrast's length
    decided between them."""
    rival: Difference | None = None
    """The best baseline against the codes, where it finds the heads better; None where none does, or no truth is
    known."""
    chance: Significance | None = None
    """None: not measured, or a run from before this was written down, whose p was that of the node score."""
    dormant: tuple[tuple[int, int], ...] | None = None
    """Heads that do nothing alone and move the answer once the circuit is replaced, the largest first; None: nobody
    measured the others with a circuit replaced."""
    dormant_after: str = ""
    """Which circuit that was."""


ReferenceKind = Literal["known", "chosen", "effects"]


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The heads that a ranking is held against: a known circuit, published or measured, or what this run measured."""

    name: str
    source: str
    """Where it comes from, in words a person can look up."""
    heads: tuple[tuple[int, int], ...]
    kind: ReferenceKind = "known"
    """known: of the task that made the examples. chosen: what a person laid beside the run, a circuit they kept, or
    that of a task for examples of their own.
    effects: what the heads of this run do to the answer."""
    measure: str = ""
    """Of effects: the measure that was cut. Its own AUC against them says nothing."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How well a ranking of heads finds a known circuit. None where it is not defined (no head in, or all)."""

    auc: float | None
    precision: float | None
    recall: float | None


class ExampleCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many examples a run used, and how many of them the model cannot do."""

    positive: int
    negative: int
    broken: int
    distinct_positive: int | None = None
    """Different prompts among them: copies count once. None in runs from before they were counted."""
    distinct_negative: int | None = None
    clusters: int | None = None
    """Pairs that share no prompt with another, those that do counted together; None without pairs."""


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
    """0 where none was asked for."""


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run ran on: same seed, same machine and same versions give the same codes."""

    headcode: str
    python: str
    torch: str
    transformer_lens: str
    device: str


class CodeWrites(msgspec.Struct, frozen=True, kw_only=True):
    """What one code of a head writes: a unit of its decoder direction at the prompt's end, seen through the final norm
    as it stands there and the unembedding."""

    code: int
    raises: tuple[tuple[str, float], ...]
    """Tokens and logits, the most raised first; the mean logit is taken off."""
    lowers: tuple[tuple[str, float], ...]
    along: tuple[float, ...]
    """Cosine of the head's output with the direction, at each token of the prompt."""
