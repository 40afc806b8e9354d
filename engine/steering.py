"""What steering is asked for and what it did: a direction added, nodes turned off or kept alone, before and after."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from engine.errors import ConfigError
from engine.examples import Example
from engine.node_parts import NextToken
from engine.nodes import format_count, names

SteerKind = Literal["code", "contrast", "off", "only"]
"""code: a code's direction is added to what its node writes; contrast: the difference of two sets' means is; off: nodes
are turned off; only: every other node is."""
SteerWhere = Literal["all", "last", "generated", "place"]
"""Which tokens are steered.

all: each of the prompt and each new one; last: the prompt's last; generated: the prompt's last and each new one, so all
that new tokens are predicted from; place: one token of the prompt.
"""
SteerControl = Literal["stream", "head"]
"""What random directions are drawn from: all directions of the stream, or those that the node's heads can write."""
SteerRead = Literal["last", "mean"]
"""Where the two sets of a contrast are read: at each prompt's last token, or as the mean over its tokens."""
SteerSource = Literal["node", "stream"]
"""What a contrast is the difference of: what the node writes, or the whole stream after its layer."""

STEER_KINDS: tuple[SteerKind, ...] = get_args(SteerKind)
STEER_PLACES: tuple[SteerWhere, ...] = get_args(SteerWhere)
DEFAULT_STRENGTHS = (-4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0)
MAX_STRENGTHS = 41
MAX_STRENGTH = 1000.0
MAX_RANDOM = 200
MAX_GENERATED = 1000
MAX_SET = 500
"""Prompts of one side of a contrast."""


class SteerPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is steered, how strongly and where, and on which prompts it is measured.

    Raises ConfigError for numbers out of range and for a kind without what it needs.
    """

    kind: SteerKind
    nodes: tuple[tuple[int, int], ...] = ()
    """(layer, head). code, contrast: the one whose output is changed; off: turned off; only: kept."""
    code: int = 0
    seed: int | None = None
    """The run's seed whose dictionary the code belongs to, and the seed of random directions; None: the run's first."""
    source: SteerSource = "node"
    read: SteerRead = "last"
    toward: tuple[str, ...] = ()
    """Prompts of a contrast; empty: the run's positives."""
    away: tuple[str, ...] = ()
    """Empty: the run's negatives."""
    replacement: Literal["mean", "zero"] = "mean"
    """off, only: by what nodes are replaced; the mean is that over the run's negatives."""
    where: SteerWhere = "all"
    place: int = -1
    """For where=place: index into the prompt's own tokens; negative from its end."""
    strengths: tuple[float, ...] = ()
    """Of the dose-response curve, in units of SteerResult.unit; empty: no curve."""
    strength: float = 1.0
    """Of the answer before and after, and of the text's cost. Does not apply to off and only."""
    random: int = 20
    """Random directions of the same length, for the curve."""
    control: SteerControl = "stream"
    prompts: tuple[Example, ...] = ()
    """Prompts of the curve; empty: the run's positives. Without an expected answer, the model's own next token is."""
    example: int = 0
    """Index into these prompts (or all examples of the run): the answer before and after is that on this one."""
    examples: int = 8
    """Of the run's positives, for the curve."""
    generate: int = 0
    """New tokens, the most probable each time; 0: none."""
    cost: bool = False
    """Also measure what ordinary text loses if every token is steered."""
    text: str = ""
    """That text; empty: a passage of English that comes with Headcode."""
    most: int = 10
    """Next tokens before, and as many after."""

    def __post_init__(self) -> None:
        directed = self.kind in ("code", "contrast")
        if directed and len(self.nodes) != 1:
            raise ConfigError(
                f"A direction is added to one node, and {len(self.nodes)} are named.", hint="26.0, for example."
            )
        if not self.nodes and self.kind == "off":
            raise ConfigError("No node is named.", hint="Nodes are written 9.6, m8 or emb.")
        if not directed and self.strengths:
            raise ConfigError("Nodes that are turned off have no strength.", hint="Leave the strengths out.")
        if len(self.strengths) > MAX_STRENGTHS:
            raise ConfigError(f"{len(self.strengths)} strengths.", hint=f"At most {MAX_STRENGTHS}: -4..4, for example.")
        for value in (*self.strengths, self.strength):
            if not math.isfinite(value) or abs(value) > MAX_STRENGTH:
                raise ConfigError(f"strength {value}: from -{MAX_STRENGTH:g} to {MAX_STRENGTH:g}.", hint="Try -4..4.")
        for name, value, least, most in (
            ("random", self.random, 0, MAX_RANDOM),
            ("generate", self.generate, 0, MAX_GENERATED),
            ("examples", self.examples, 1, 1000),
            ("most", self.most, 1, 100),
            ("example", self.example, 0, 10**6),
        ):
            if not least <= value <= most:
                raise ConfigError(f"{name}={value}: a number from {least} to {most}.", hint=f"Try {max(least, 1)}.")
        for name, side in (("toward", self.toward), ("away", self.away)):
            if len(side) > MAX_SET:
                raise ConfigError(f"{name}: {len(side)} prompts.", hint=f"At most {MAX_SET}.")


class DosePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One strength of the curve."""

    strength: float
    effect: float
    """Change of the metric, the mean over the prompts."""
    error: float | None
    """Standard error of the mean; None for one prompt."""
    random: tuple[float, ...] = ()
    """The same for each random direction of the same length."""

    @property
    def outside(self) -> bool:
        """True if the effect is beyond those of all random directions, on either side."""
        return bool(self.random) and not min(self.random) <= self.effect <= max(self.random)


class SteeredText(msgspec.Struct, frozen=True, kw_only=True):
    """New tokens at one strength."""

    strength: float
    """0: as the model is."""
    tokens: tuple[str, ...]


class TextCost(msgspec.Struct, frozen=True, kw_only=True):
    """What steering every token costs ordinary text."""

    tokens: int
    before: float
    """Mean log probability per token, in nats."""
    after: float
    random: tuple[float, ...] = ()
    """After, with each random direction of the same length."""

    @property
    def ratio(self) -> float:
        """By what the perplexity is multiplied."""
        return math.exp(min(self.before - self.after, 700.0))


class SteerResult(msgspec.Struct, frozen=True, kw_only=True):
    """What steering did."""

    unit: float
    """Length of strength 1 in the stream: the node's mean output or, of a contrast, the difference; 0: no direction."""
    prompt: str
    tokens: tuple[str, ...] = ()
    """Of the prompt."""
    steered: tuple[int, ...] = ()
    """Positions of the prompt that were steered."""
    next_tokens: tuple[NextToken, ...] = ()
    """By the probability before, then by that after."""
    kl: float = 0.0
    """KL divergence of the distribution after from that before, in nats."""
    metric: str = ""
    """Of the curve; empty: no curve."""
    base: float = 0.0
    """The metric as it is, the mean over the prompts."""
    prompts: int = 0
    points: tuple[DosePoint, ...] = ()
    texts: tuple[SteeredText, ...] = ()
    cached: bool = True
    """True if new tokens were computed from keys and values kept; False: whole, because that gave other answers."""
    cost: TextCost | None = None
    passes: float = 0.0
    """Tokens times layers computed, in forward passes of the curve's prompts (or of the one prompt)."""
    seconds: float = 0.0
    notices: tuple[str, ...] = ()


class DoseSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Two numbers for a curve, each beside the same number for every random direction."""

    slope: float
    """Change of the metric per unit of strength: least squares through the point without steering."""
    size: float
    """Root mean square of the effects: a direction that hurts both ways has a size and no slope."""
    random_slopes: tuple[float, ...]
    random_sizes: tuple[float, ...]
    outside: int
    """Strengths at which the effect is beyond all random directions."""
    points: int

    @property
    def p_slope(self) -> float | None:
        """Share of directions, this one among them, with a slope as large in either direction; None for it alone."""
        return _share(abs(self.slope), [abs(each) for each in self.random_slopes])

    @property
    def p_size(self) -> float | None:
        """Share of directions, this one among them, with as large a size; None for it alone."""
        return _share(self.size, self.random_sizes)


def _share(own: float, random: Sequence[float]) -> float | None:
    return (1 + sum(each >= own for each in random)) / (1 + len(random)) if random else None


def summarise(points: Sequence[DosePoint]) -> DoseSummary | None:
    """Return the summary of a curve; None without strengths other than 0."""
    used = [point for point in points if point.strength]
    if not used:
        return None
    squares = math.fsum(point.strength**2 for point in used)

    def slope(effects: Sequence[float]) -> float:
        pairs = zip(used, effects, strict=True)
        return math.fsum(point.strength * effect for point, effect in pairs) / squares

    def size(effects: Sequence[float]) -> float:
        return math.sqrt(math.fsum(effect**2 for effect in effects) / len(effects))

    own = [point.effect for point in used]
    random = list(zip(*(point.random for point in used), strict=True))
    return DoseSummary(
        slope=slope(own),
        size=size(own),
        random_slopes=tuple(map(slope, random)),
        random_sizes=tuple(map(size, random)),
        outside=sum(point.outside for point in used),
        points=len(used),
    )


def format_where(plan: SteerPlan) -> str:
    """Say which tokens are steered: at every token."""
    if plan.where == "place":
        return f"at token {plan.place + 1}" if plan.place >= 0 else f"at token {plan.place} (from the end)"
    words = {"all": "at every token", "last": "at the last token", "generated": "while generating"}
    return words[plan.where]


def format_plan(plan: SteerPlan) -> str:
    """Say what is steered: code 171 of 26.0 times 4 at every token."""
    node = names(plan.nodes)[0] if plan.nodes else "the circuit"
    match plan.kind:
        case "code":
            what = f"code {plan.code} of {node} times {plan.strength:g}"
        case "contrast":
            of = f"the stream after layer {plan.nodes[0][0]}" if plan.source == "stream" else f"what {node} writes"
            what = f"difference of two sets in {of} times {plan.strength:g}"
        case "off":
            what = f"{node if len(plan.nodes) == 1 else format_count(plan.nodes)} off ({plan.replacement})"
        case "only":
            what = f"{format_count(plan.nodes) if plan.nodes else node} alone ({plan.replacement})"
    return f"{what} {format_where(plan)}"
