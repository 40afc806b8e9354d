"""The table of measures: the name, direction and meaning of each."""

import msgspec

from engine.errors import ConfigError
from engine.results import HeadScores


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number that every head has. `id` is its field in HeadScores and in the probe's JSON."""

    id: str
    title: str
    meaning: str
    high_speaks: bool = True
    """True if a high value is evidence for the circuit; False: a low one is (overlap, p, q)."""
    floor: float = 0.0
    """The value of a head without signal; colours start here."""
    ceiling: float | None = None
    """The largest possible value; None: the largest on screen."""
    baseline: bool = False
    """True if it needs no SAE: a baseline for the codes."""
    cause: bool = False
    """True if it comes from patching, not from codes; it exists only where effects were measured."""


MEASURES: tuple[Measure, ...] = (
    Measure(
        id="total_variation",
        title="total variation",
        meaning="how differently the sides speak: 0 alike, 1 nothing shared",
        ceiling=1.0,
    ),
    Measure(id="unique_positive", title="unique codes", meaning="codes seen on positives and on no negative"),
    Measure(
        id="unique_normalised",
        title="unique, normalised",
        meaning="unique codes over all codes the head used",
        ceiling=1.0,
    ),
    Measure(
        id="overlap",
        title="overlap",
        meaning="codes of both sides over codes of either; 1: the same codes",
        high_speaks=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(
        id="mutual_information",
        title="mutual information",
        meaning="bits of information a code has about polarity, bias-corrected (may be slightly negative)",
    ),
    Measure(
        id="unique_share",
        title="unique share",
        meaning="share of positives with a unique code",
        ceiling=1.0,
    ),
    Measure(id="paired_flips", title="paired flips", meaning="share of pairs whose codes differ", ceiling=1.0),
    Measure(id="from_edges", title="from edges", meaning="number of top-half edges that contain the head"),
    Measure(
        id="p_value",
        title="p-value",
        meaning="permutation p-value of telling the sides apart so consistently, by code or loudness",
        high_speaks=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(
        id="q_value",
        title="q-value",
        meaning="expected share of false heads among those with at most this q-value",
        high_speaks=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(id="stability", title="stability", meaning="share of seeds with the head in the circuit", ceiling=1.0),
    Measure(
        id="unique_negative",
        title="unique on negatives",
        meaning="codes seen on negatives and on no positive",
    ),
    Measure(
        id="baseline_mean_difference",
        title="mean difference (no SAE)",
        meaning="norm of the mean activation difference between the sides",
        baseline=True,
    ),
    Measure(
        id="baseline_paired_difference",
        title="paired difference (no SAE)",
        meaning="mean norm of the difference within a pair over the head's mean norm",
        baseline=True,
    ),
    Measure(
        id="contrast_length",
        title="contrast length (no SAE)",
        meaning="mean length of the difference within a pair, where it is largest, over the mean of all heads; codes "
        "are made of it",
        baseline=True,
    ),
    Measure(
        id="baseline_linear_probe",
        title="linear probe (no SAE)",
        meaning="leave-one-out AUC of a ridge classifier on the head's output; .5 is chance",
        floor=0.5,
        ceiling=1.0,
        baseline=True,
    ),
    Measure(
        id="attribution",
        title="attribution",
        meaning="share of the answer that the head moves, up or down, estimated from one gradient per pair",
        cause=True,
    ),
    Measure(
        id="exact_effect",
        title="exact effect",
        meaning="share of the answer that changes when the head alone is replaced",
        cause=True,
    ),
    Measure(
        id="combined",
        title="combined effect",
        meaning="share of the answer expected on other prompts: exact where measured, else attribution",
        cause=True,
    ),
    Measure(
        id="backup",
        title="backup growth",
        meaning="growth of the effect, in shares of the answer, once a circuit is replaced",
        cause=True,
    ),
    Measure(id="baseline_random", title="random", meaning="a random number", ceiling=1.0, baseline=True),
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


def value_of(node: HeadScores, measure: Measure) -> float | None:
    """Return the measure's value for one head; None where it does not apply (no pairs, no permutations)."""
    value: float | None = getattr(node, measure.id)
    return value


def loudness(value: float | None, measure: Measure, seen: float) -> float | None:
    """Return a value's position between no signal (0) and the strongest (1), for colours and shades.

    `seen` is the extreme value on screen, used if the measure has no ceiling.
    """
    if value is None:
        return None
    top = measure.ceiling if measure.ceiling is not None else seen
    if top == measure.floor:
        return 0.0
    return min(1.0, max(0.0, (value - measure.floor) / (top - measure.floor)))
