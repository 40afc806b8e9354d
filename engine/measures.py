"""The one table of measures: what each is called, which way it points, and in words what it says."""

import msgspec

from engine.errors import ConfigError
from engine.results import HeadScores


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One number every head has. `id` is its field in HeadScores and in the probe's JSON."""

    id: str
    title: str
    meaning: str
    high_speaks: bool = True
    """Whether a high value points at the circuit; False: a low one does (overlap, p, q)."""
    floor: float = 0.0
    """The value of a head that says nothing; colours start here."""
    ceiling: float | None = None
    """The largest possible value; None: the largest seen."""
    baseline: bool = False
    """Needs no SAE: what the codes have to beat."""
    cause: bool = False
    """Comes from changing the model, not from codes: only there where it was asked for."""


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
        meaning="codes of both sides over codes of either; 1 says the same things",
        high_speaks=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(
        id="mutual_information",
        title="mutual information",
        meaning="bits a code tells about polarity, corrected for chance (may be slightly negative)",
    ),
    Measure(
        id="unique_share",
        title="unique share",
        meaning="share of positives that carry a unique code",
        ceiling=1.0,
    ),
    Measure(id="paired_flips", title="paired flips", meaning="share of pairs whose codes differ", ceiling=1.0),
    Measure(id="from_edges", title="from edges", meaning="times the head stands among the better half of head pairs"),
    Measure(
        id="p_value",
        title="p-value",
        meaning="chance of telling the sides apart so consistently, by code or loudness, with labels shuffled",
        high_speaks=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(
        id="q_value",
        title="q-value",
        meaning="expected share of false heads among those at least this good",
        high_speaks=False,
        floor=1.0,
        ceiling=0.0,
    ),
    Measure(id="stability", title="stability", meaning="share of seeds that put the head in the circuit", ceiling=1.0),
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
        meaning="share of the answer one gradient says the head moves, up or down, pair by pair",
        cause=True,
    ),
    Measure(
        id="exact_effect",
        title="exact effect",
        meaning="share of the answer that goes or comes when the head alone is replaced",
        cause=True,
    ),
    Measure(
        id="combined",
        title="combined effect",
        meaning="share of the answer to expect on other prompts: exact where it was measured, else attribution's",
        cause=True,
    ),
    Measure(
        id="backup",
        title="backup growth",
        meaning="by how much the effect grows, in shares of the answer, once a circuit is replaced",
        cause=True,
    ),
    Measure(id="baseline_random", title="random", meaning="drawn at random", ceiling=1.0, baseline=True),
)

DEFAULT_MEASURE = MEASURES[0]
"""What heads are ranked by, circuits cut by and chance is tested on (docs/lab says why). Ties: ranking.ranked."""

NODE_SCORE = MEASURES[1]
"""The published node score, and what the published softmax cut is over."""


def find_measure(name: str) -> Measure:
    """The measure of that id or title.

    Raises ConfigError with the list of ids.
    """
    for measure in MEASURES:
        if name in (measure.id, measure.title):
            return measure
    raise ConfigError(
        f"There is no measure {name!r}.", hint="Measures: " + ", ".join(measure.id for measure in MEASURES) + "."
    )


def value_of(node: HeadScores, measure: Measure) -> float | None:
    """The measure's number for one head; None where it does not apply (no pairs, no shuffles)."""
    value: float | None = getattr(node, measure.id)
    return value


def loudness(value: float | None, measure: Measure, seen: float) -> float | None:
    """Where a value stands between silence (0) and the loudest (1), for colours and shades.

    `seen` is the extreme value on screen, used where the measure has no ceiling of its own.
    """
    if value is None:
        return None
    top = measure.ceiling if measure.ceiling is not None else seen
    if top == measure.floor:
        return 0.0
    return min(1.0, max(0.0, (value - measure.floor) / (top - measure.floor)))
