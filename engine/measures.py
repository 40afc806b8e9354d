"""The table of measures: the name, direction and meaning of each."""

from collections.abc import Mapping

import msgspec

from engine.errors import ConfigError
from engine.nodes import NodeId
from engine.results import NodeScores


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number that every head has. `id` is its name in NodeScores or its `other`, in JSON, tables and SQL."""

    id: str
    title: str
    short: str = ""
    """Heading of a narrow column, at most 7 characters; empty: the title is short enough."""
    meaning: str
    high_is_evidence: bool = True
    """True if a high value is evidence that the head is in the circuit; False: a low one is (overlap, p, q)."""
    floor: float = 0.0
    """The value of a head without signal; colours start here."""
    ceiling: float | None = None
    """The largest possible value; None: the largest on screen."""
    baseline: bool = False
    """True if it needs no SAE: a baseline for the codes."""
    cause: bool = False
    """True if it comes from patching, not from codes; it exists only where effects were measured."""
    direct: bool = False
    """True if it is read from what nodes write towards the answer; runs of earlier versions do not have it."""

    @property
    def of_answer(self) -> bool:
        """True if values are shares of the answer: one unit for heads and MLPs, and nothing that codes could order."""
        return self.cause or self.direct


MEASURES: tuple[Measure, ...] = (
    Measure(
        id="total_variation",
        title="total variation",
        short="tot.var",
        meaning="difference of code frequencies: 0 equal, 1 disjoint",
        ceiling=1.0,
    ),
    Measure(
        id="unique_positive", title="unique codes", short="unique", meaning="codes seen on positives and on no negative"
    ),
    Measure(
        id="unique_normalised",
        title="unique, normalised",
        short="normal.",
        meaning="unique codes over all codes the head used",
        ceiling=1.0,
    ),
    Measure(
        id="overlap",
        title="overlap",
        meaning="Jaccard index of the codes of both sides; 1: the same codes",
        high_is_evidence=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(
        id="mutual_information",
        title="mutual information",
        short="mutual",
        meaning="bits of information a code has about polarity, bias-corrected (may be slightly negative)",
    ),
    Measure(
        id="unique_share",
        title="unique share",
        short="share",
        meaning="share of positives with a unique code",
        ceiling=1.0,
    ),
    Measure(
        id="code_accuracy",
        title="code accuracy",
        short="accur.",
        meaning="leave-one-out accuracy of guessing the side from the code, both sides weighted equally; .5 is chance",
        floor=0.5,
        ceiling=1.0,
    ),
    Measure(
        id="paired_flips", title="paired flips", short="flips", meaning="share of pairs whose codes differ", ceiling=1.0
    ),
    Measure(
        id="from_edges", title="from edges", short="edges", meaning="number of top-half edges that contain the head"
    ),
    Measure(
        id="p_value",
        title="p-value",
        short="p",
        meaning="permutation p-value of telling the sides apart so consistently, by code or output norm",
        high_is_evidence=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(
        id="q_value",
        title="q-value",
        short="q",
        meaning="expected share of false heads among those with at most this q-value",
        high_is_evidence=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(
        id="stability",
        title="stability",
        short="stable",
        meaning="share of seeds with the head in the circuit",
        ceiling=1.0,
    ),
    Measure(
        id="unique_negative",
        title="unique on negatives",
        short="uniq -",
        meaning="codes seen on negatives and on no positive",
    ),
    Measure(
        id="baseline_mean_difference",
        title="mean difference (no SAE)",
        short="mean°",
        meaning="norm of the mean activation difference between the sides",
        baseline=True,
    ),
    Measure(
        id="baseline_paired_difference",
        title="paired difference (no SAE)",
        short="paired°",
        meaning="mean norm of the difference within a pair over the head's mean norm",
        baseline=True,
    ),
    Measure(
        id="contrast_length",
        title="contrast length (no SAE)",
        short="contr.°",
        meaning="mean length of the contrast on positives, over the mean of all heads; codes encode contrasts",
        baseline=True,
    ),
    Measure(
        id="baseline_linear_probe",
        title="linear probe (no SAE)",
        short="probe°",
        meaning="leave-one-out AUC of a ridge classifier on the head's output; .5 is chance",
        floor=0.5,
        ceiling=1.0,
        baseline=True,
    ),
    Measure(
        id="direct_effect",
        title="direct effect",
        short="direct",
        meaning="share of the answer that the node's own output adds or takes away, through the final norm alone",
        direct=True,
    ),
    Measure(
        id="attribution",
        title="attribution",
        short="attrib.",
        meaning="share of the answer that the head moves, up or down, estimated from one gradient per pair",
        cause=True,
    ),
    Measure(
        id="exact_effect",
        title="exact effect",
        short="exact",
        meaning="share of the answer that changes when the head alone is replaced",
        cause=True,
    ),
    Measure(
        id="combined",
        title="combined effect",
        short="combin.",
        meaning="share of the answer expected on other prompts: exact where measured, else attribution",
        cause=True,
    ),
    Measure(
        id="backup",
        title="backup growth",
        short="backup",
        meaning="growth of the effect, in shares of the answer, once a circuit is replaced",
        cause=True,
    ),
    Measure(
        id="baseline_random", title="random", short="random°", meaning="a random number", ceiling=1.0, baseline=True
    ),
)

DEFAULT_MEASURE = MEASURES[0]
"""The measure that ranks heads, cuts circuits and is tested for significance (docs/lab). Ties: ranking.ranked."""

NODE_SCORE = MEASURES[1]
"""The published node score, and the measure of the published softmax cut."""


def find_measure(name: str) -> Measure:
    """Return the measure of that id or title.

    Raises ConfigError with the list of ids.
    """
    for measure in MEASURES:
        if name in (measure.id, measure.title):
            return measure
    raise ConfigError(
        f"There is no measure {name!r}.", hint="Measures: " + ", ".join(measure.id for measure in MEASURES) + "."
    )


_FIELDS = tuple(name for name in NodeScores.__struct_fields__ if name not in ("layer", "head", "other"))
NUMBERS: tuple[str, ...] = (*_FIELDS, *(measure.id for measure in MEASURES if measure.id not in _FIELDS))
"""Names of all numbers that a head has: the fields of NodeScores, then the measures kept in `other`."""


def number_of(node: NodeScores, name: str) -> float | None:
    """Return the number of that name in NUMBERS; None where it does not apply or was not recorded."""
    value: float | None = getattr(node, name) if name in _FIELDS else node.other.get(name)
    return value


def value_of(node: NodeScores, measure: Measure) -> float | None:
    """Return the measure's value for one head; None where it does not apply (no pairs, no permutations)."""
    return number_of(node, measure.id)


def head_scores(head: NodeId, numbers: Mapping[str, float | None]) -> NodeScores:
    """Return the scores of one head from its numbers by name, rounded to six decimals to drop floating-point noise."""
    rounded = {name: None if value is None else round(value, 6) for name, value in numbers.items()}
    fields = {name: value for name, value in rounded.items() if name in _FIELDS}
    other = {name: value for name, value in rounded.items() if name not in _FIELDS and value is not None}
    return NodeScores(layer=head.layer, head=head.head, other=other, **fields)  # type: ignore[arg-type]  # None only where optional


def intensity(value: float | None, measure: Measure, seen: float) -> float | None:
    """Return a value's position between no signal (0) and the strongest (1), for colours and shades.

    `seen` is the extreme value on screen, used if the measure has no ceiling.
    """
    if value is None:
        return None
    top = measure.ceiling if measure.ceiling is not None else seen
    if top == measure.floor:
        return 0.0
    return min(1.0, max(0.0, (value - measure.floor) / (top - measure.floor)))
