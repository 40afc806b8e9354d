"""More pairs for a set that is too small: variations of existing pairs, graded; good ones are kept."""

import itertools
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from engine.authoring.distinct_pairs import missing_pairs, text_keys
from engine.authoring.drafts import next_pair
from engine.authoring.readiness import templates_in
from engine.authoring.variations import (
    MORE,
    Source,
    Variation,
    is_usable,
    nothing_to_vary,
    single_words,
    sources,
    trials,
    usable_variations,
    variations,
)
from engine.examples import Example
from engine.results import Grade
from sessions.protocol import Grades

_SPARE = 2
"""Proposals graded at once per pair still wanted."""
_LEAST = 8
_MOST_TRIED = 16
"""Maximum number of proposals graded per pair wanted; a model that passes fewer cannot do the task."""
Ask = Callable[[Sequence[Example]], Awaitable[Grades]]
"""Grades some examples with the model."""


class MorePairs(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs made, and how many were tried."""

    new: tuple[Example, ...]
    """Examples to add, with new pair numbers."""
    n: int
    """Number of pairs among them, or of examples of each side."""
    tried: int
    paired: bool
    missing: int
    """Pairs that one head still needs to be significant, after adding the new ones."""
    n_heads: int

    @property
    def words(self) -> str:
        """How many were added, of how many tried."""
        one, many = ("pair", "pairs") if self.paired else ("example of each side", "examples of each side")
        tried = one if self.tried == 1 else many
        if not self.n:
            return f"Of {self.tried} {tried} tried the model can do none"
        return f"{self.n} {one if self.n == 1 else many} added, of {self.tried} tried"

    @property
    def rest(self) -> str:
        """Text to append if pairs are still missing; empty otherwise."""
        if not self.missing:
            return ""
        return f"; {self.missing} still missing for one head of {self.n_heads} to reach significance"


async def more_pairs(examples: Sequence[Example], asked: int | None, ask: Ask) -> MorePairs:
    """Return good variations of the existing pairs.

    As many as `asked`, else as many as the grading model misses, else MORE. Raises ExampleError if nothing can be
    varied, and errors of `ask`.
    """
    made_of = sources(examples)
    if next(variations(made_of, examples), None) is None:
        raise nothing_to_vary()
    known = [each for source in made_of for each in source]
    answer = await ask((*known, *trials(made_of)))
    proposals = variations(made_of, examples, single_words(answer.tokens[len(known) :]))
    grades = iter(answer.grades)
    own = [tuple(next(grades) for _ in source) for source in made_of]
    n_heads = answer.model.n_layers * answer.model.n_heads
    templates = templates_in(examples)
    counted = [each for place, each in enumerate(examples) if each.enabled and place not in templates]
    paired = len(made_of[0]) == 2
    wanted = asked or missing_pairs(counted, text_keys(counted), n_heads, paired=paired) or MORE
    held: list[tuple[int, Source]] = []
    found: tuple[Source, ...] = ()
    tried = 0
    each_size = 1 if paired else 2
    while len(found) < wanted and tried < max(_MOST_TRIED * wanted, _LEAST) * each_size:
        batch = list(itertools.islice(proposals, each_size * max(_SPARE * (wanted - len(found)), _LEAST)))
        if not batch:
            break
        tried += len(batch)
        held += await _held(batch, made_of, own, ask)
        # Proposals whose negatives are not even weakly known come first.
        found = usable_variations([source for _, source in sorted(held, key=lambda each: each[0])], wanted)
    new = tuple(each for source in found for each in source)
    if paired:
        number = next_pair(examples)
        new = tuple(msgspec.structs.replace(each, pair=number + place // 2) for place, each in enumerate(new))
    counted += new
    return MorePairs(
        new=new,
        n=len(found),
        tried=tried // each_size,
        paired=paired,
        missing=missing_pairs(counted, text_keys(counted), n_heads, paired=paired),
        n_heads=n_heads,
    )


async def _held(
    batch: Sequence[Variation], made_of: Sequence[Source], own: Sequence[Sequence[Grade]], ask: Ask
) -> list[tuple[int, Source]]:
    """Grade a batch; return the sources that pass, each with its number of weak examples."""
    answer = await ask([each for one in batch for each in one.examples])
    grades = iter(answer.grades)
    found = []
    for one in batch:
        new = [next(grades) for _ in one.examples]
        if is_usable(made_of[one.source], own[one.source], new):
            found.append((sum(grade.verdict == "weak" for grade in new), one.examples))
    return found
