"""What is being written: the session's examples, with changes on their way to the host. No widget in here."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import msgspec

from engine.drafts import draft, drafts, flaw, fresh_pairs, next_pair, text_of
from engine.errors import Failure, HeadcodeError
from engine.examples import Example, content_hash
from engine.results import Grade, ModelInfo, PromptTokens
from engine.slots import count as count_slots
from engine.slots import expand, read_lists
from engine.worth import Worth, worth
from sessions.errors import HostGone, StaleExamples
from sessions.wire import AnyRequest, GradeExamples, Grades, Session, SetExamples, StepExamples
from tui.model import Bench

Examples = tuple[Example, ...]
Change = Callable[[Examples], Examples]
Content = tuple[str, str, tuple[str, ...], tuple[str, ...]]
T = TypeVar("T")

_FIRST_GRADED, _THEN_GRADED = 6, 32
"""Examples asked for at once: the ones at hand quickly, then the rest."""
_LARGE = 1_000
_WORTH_EVERY_S = 0.5
"""Of more examples than that, a summary takes longer than a frame should."""
_PATIENCE_S = 10.0
"""How long the log may take to tell what the host has recorded."""


class Asker(Protocol):
    """What a desk needs of the link."""

    async def ask(self, request: AnyRequest, want: type[T], /) -> T: ...


class Desk:
    """Examples, which of them is at hand, their grades, and what is not recorded yet."""

    def __init__(self, bench: Bench, link: Asker, name: str) -> None:
        self.bench = bench
        self.link = link
        self.name = name
        """Under which the host knows whose grades are asked for."""
        self.at = 0
        """The example at hand."""
        self.failure: Failure | None = None
        """Why something could not be recorded or graded."""
        self.model: ModelInfo | None = None
        self.worth_is_old = False
        """Whether `worth` would say something newer in a while."""
        self._regraded = False
        self._read_at = ""
        """The position the tokens that are known were marked for."""
        self._pending: list[Change] = []
        self._base: Examples | None = None
        self._examples: Examples = ()
        self._flaws: dict[int, str] = {}
        self._known: dict[Content, tuple[Grade, PromptTokens]] = {}
        self._index: _Index | None = None
        self._worth: tuple[Examples, int, float, Worth] | None = None
        self._pushing = asyncio.Lock()

    # ---- what is there

    @property
    def examples(self) -> Examples:
        """With every change made here, recorded or not."""
        base = self.bench.kept.examples.current
        if base is not self._base:
            self._base = base
            found = base
            for change in self._pending:
                found = change(found)
            self._take(found)
        return self._examples

    @property
    def flaws(self) -> dict[int, str]:
        """What is wrong with lines that are no examples yet, by place."""
        _ = self.examples
        return self._flaws

    @property
    def chosen(self) -> Example | None:
        examples = self.examples
        self.at = min(max(self.at, 0), max(len(examples) - 1, 0))
        return examples[self.at] if examples else None

    @property
    def saved(self) -> bool:
        return not self._pending

    @property
    def position(self) -> str:
        """The policy that the next run would read with."""
        return self.bench.options.config.position

    @property
    def grades(self) -> dict[int, Grade]:
        """By place; pairs of unequal length are told here, where both halves are known."""
        examples = self.examples
        if self._index is None:
            self._index = _Index(examples, self._flaws, self._known)
        return self._index.grades

    def tokens(self, example: Example) -> PromptTokens | None:
        known = self._known.get(content_of(example))
        return known[1] if known is not None else None

    def grade_of(self, example: Example) -> Grade | None:
        known = self._known.get(content_of(example))
        return known[0] if known is not None else None

    def worth(self) -> Worth:
        """What to think of the set; of a large one that is being graded, what was thought half a second ago."""
        examples, grades = self.examples, self.grades
        before = self._worth
        now = time.monotonic()
        if before is not None and before[0] is examples:
            if before[1] == len(grades) and not self._regraded:
                return before[3]
            if len(examples) > _LARGE and now - before[2] < _WORTH_EVERY_S:
                self.worth_is_old = True
                return before[3]
        found = worth(examples, grades, self.flaws)
        self._worth, self.worth_is_old, self._regraded = (examples, len(grades), now, found), False, False
        return found

    def slots(self, line: str) -> int:
        """How many examples a line with slots stands for, with the lines of its pair; 0 where it has none."""
        group = [line, *(text_of(each) for each in self.partners(draft(line)) if text_of(each) != line)]
        lists = read_lists([text_of(each) for each in self.examples if "{" in each.prompt])
        found = count_slots(group, lists)
        return found if found != len(group) else 0

    def partners(self, example: Example) -> list[Example]:
        if example.pair is None:
            return []
        return [each for each in self.examples if each.pair == example.pair]

    # ---- changes

    def change(self, change: Change) -> None:
        """Makes it here at once; `push` has it recorded."""
        examples = self.examples
        self._pending.append(change)
        self._take(change(examples))

    def insert(self, place: int, new: Sequence[Example]) -> None:
        self.change(lambda examples: (*examples[:place], *new, *examples[place:]))

    def replace(self, place: int, new: Example) -> None:
        old = self.examples[place]
        self.change(lambda examples: _put(examples, _find(examples, place, old), (new,)))

    def remove(self, place: int) -> None:
        old = self.examples[place]
        self.change(lambda examples: _put(examples, _find(examples, place, old), ()))

    def move(self, place: int, by: int) -> bool:
        """Moves the example; says whether there was room."""
        to = place + by
        if not 0 <= to < len(self.examples):
            return False
        old = self.examples[place]

        def moved(examples: Examples) -> Examples:
            found = _find(examples, place, old)
            if found is None:
                return examples
            rest = (*examples[:found], *examples[found + 1 :])
            target = min(max(found + by, 0), len(rest))
            return (*rest[:target], examples[found], *rest[target:])

        self.change(moved)
        self.at = to
        return True

    def copy(self, place: int) -> None:
        """The same once more, below; a copy of one half stands below the pair and not between its halves."""
        copy = msgspec.structs.replace(self.examples[place], pair=None)
        self.at = self.below(place)
        self.insert(self.at, [copy])

    def toggle(self, place: int) -> bool:
        """Leaves the example out of runs, or takes it in; False for a line that is no example yet."""
        if place in self.flaws:
            return False
        example = self.examples[place]
        self.replace(place, msgspec.structs.replace(example, enabled=not example.enabled))
        return True

    def flip(self, place: int) -> bool:
        if place in self.flaws:
            return False
        example = self.examples[place]
        side = "negative" if example.positive else "positive"
        self.replace(place, msgspec.structs.replace(example, polarity=side))
        return True

    def pair(self, place: int) -> str:
        """Makes a pair with the neighbour on the other side, or takes the pair apart; says what was done."""
        examples = self.examples
        example = examples[place]
        if example.pair is not None:
            gone = example.pair
            self.change(
                lambda all_: tuple(msgspec.structs.replace(e, pair=None) if e.pair == gone else e for e in all_)
            )
            return "The pair is apart."
        for other in (place + 1, place - 1):
            if not 0 <= other < len(examples) or other in self.flaws:
                continue
            partner = examples[other]
            if partner.pair is None and partner.positive is not example.positive:
                number = next_pair(examples)
                self.replace(place, msgspec.structs.replace(example, pair=number))
                self.replace(other, msgspec.structs.replace(partner, pair=number))
                return f"Lines {min(place, other) + 1} and {max(place, other) + 1} are a pair."
        return "No neighbour on the other side is free: move one beside it (J, K), then p."

    def below(self, place: int) -> int:
        """Where a new line below this one stands: not between the halves of a pair."""
        examples = self.examples
        if not examples:
            return 0
        pair = examples[place].pair
        if pair is not None and place + 1 < len(examples) and examples[place + 1].pair == pair:
            return place + 2
        return place + 1

    def pair_for(self, place: int) -> int | None:
        """The number a new negative of this positive gets: none where the positive has a partner already."""
        example = self.examples[place]
        if example.pair is None:
            return next_pair(self.examples)
        return example.pair if len(self.partners(example)) == 1 else None

    def accept(self, place: int, negative: Example) -> None:
        """Puts a negative below its positive, as its pair where the positive has none."""
        example = self.examples[place]
        if example.pair is None and negative.pair is not None:
            self.replace(place, msgspec.structs.replace(example, pair=negative.pair))
        self.insert(place + 1, [negative])
        self.at = place + 1

    def paste(self, text: str) -> int:
        """Adds what a text holds after the example at hand; how many. Raises ExampleError where slots make too many."""
        return self.add(drafts(text, after=self.examples))

    def add(self, new: Sequence[Example]) -> int:
        """Puts examples after the one at hand, pairs under numbers of their own; the last of them is at hand then.
        How many they are."""
        place = self.below(self.at)
        if new:
            self.insert(place, fresh_pairs(new, self.examples))
            self.at = place + len(new) - 1
        return len(new)

    def unfold(self, place: int) -> int:
        """Has the slots of a line, and of the lines in its pair, filled in every way; how many examples that gives.

        Raises ExampleError where they are too many.
        """
        examples = self.examples
        example = examples[place]
        group = self.partners(example) or [example]
        lists = read_lists([text_of(each) for each in examples if "{" in each.prompt])
        lines = expand([text_of(each) for each in group], lists)
        if len(lines) == len(group) and set(lines) == {text_of(each) for each in group}:
            return 0
        rest = tuple(each for each in examples if each not in group)
        new = drafts("\n".join(lines), after=rest)

        def unfolded(now: Examples) -> Examples:
            found = _find(now, place, example)
            if found is None:
                return now
            kept = [(i, each) for i, each in enumerate(now) if each not in group]
            before = tuple(each for i, each in kept if i < found)
            return (*before, *new, *(each for i, each in kept if i > found))

        self.change(unfolded)
        return len(new)

    # ---- the host

    async def push(self) -> None:
        """Has every change recorded. What cannot be stays here, with the reason in `failure`."""
        async with self._pushing:
            while self._pending and await self._push_once():
                pass

    async def step(self, by: int) -> bool:
        """Undo or redo, when everything written is recorded; False where there is nothing to."""
        await self.push()
        if self._pending or self.bench.session_id is None:
            return False
        history = self.bench.kept.examples
        before = history.version
        try:
            await self.link.ask(StepExamples(session=self.bench.session_id, by=-1 if by < 0 else 1), Session)
        except HeadcodeError as error:
            self.failure = error.as_failure()
            return False
        await _until(lambda: history.version != before or self.bench.kept.examples is not history)
        return True

    async def grade(self, line: Example | None = None) -> bool:
        """Asks for some of the grades that are missing, those at hand first; False when none is."""
        if self._read_at != self.position:
            # Other tokens are read now, and which are is told with the grades.
            self._read_at, self._index = self.position, None
            self._known.clear()
        wanted = self._missing(line)
        if not wanted or self.bench.session_id is None:
            return False
        request = GradeExamples(session=self.bench.session_id, examples=wanted, position=self.position, desk=self.name)
        try:
            answer = await self.link.ask(request, Grades)
        except HeadcodeError as error:
            if error.family != "cancelled" and not isinstance(error, HostGone):
                self.failure = error.as_failure()
            return False
        self.keep(wanted, answer)
        return True

    def keep(self, examples: Sequence[Example], answer: Grades) -> None:
        """Takes in what the model makes of some examples."""
        self.model = answer.model
        self._regraded = True
        for example, grade, tokens in zip(examples, answer.grades, answer.tokens, strict=True):
            content = content_of(example)
            self._known[content] = (grade, tokens)
            if self._index is not None:
                self._index.learn(content, grade)

    # ---- inside

    def _take(self, examples: Examples) -> None:
        self._examples, self._index = examples, None
        self._flaws = {
            place: words for place, each in enumerate(examples) if not each.enabled and (words := flaw(each))
        }

    def _missing(self, line: Example | None) -> Examples:
        found: dict[Content, Example] = {}
        if line is not None and not flaw(line) and content_of(line) not in self._known:
            found[content_of(line)] = line
        examples, at = self.examples, self.at
        limit = _FIRST_GRADED if not found else 1
        for place in range(max(at - 3, 0), min(at + 3, len(examples))):
            each = examples[place]
            if len(found) < limit and each.enabled and content_of(each) not in self._known:
                found.setdefault(content_of(each), each)
        if not found and self.grades is not None and self._index is not None:
            return tuple(itertools.islice(self._index.todo.values(), _THEN_GRADED))
        return tuple(found.values())

    async def _push_once(self) -> bool:
        session, history = self.bench.session_id, self.bench.kept.examples
        if session is None:
            return False
        base, version, n_changes, examples = history.content_hash, history.version, len(self._pending), self.examples
        target = content_hash(examples)
        if target != base and (version or examples):
            try:
                await self.link.ask(SetExamples(session=session, examples=examples, over=base), Session)
            except StaleExamples:
                # Somebody else was quicker: what is written here is laid on top of theirs.
                return await _until(lambda: history.content_hash != base)
            except HostGone:
                return False
            except HeadcodeError as error:
                self.failure = error.as_failure()
                return False
            if not await _until(lambda: target in history.hashes[version:]):
                return False
        self.failure = None
        del self._pending[:n_changes]
        self._base = None
        return True


def content_of(example: Example) -> Content:
    """What a grade depends on."""
    return (example.prompt, example.polarity, example.expected, example.foils)


class _Index:
    """Where each content stands, what is known of it, and what is still to be graded."""

    def __init__(
        self, examples: Examples, flaws: dict[int, str], known: dict[Content, tuple[Grade, PromptTokens]]
    ) -> None:
        self.examples = examples
        self.grades: dict[int, Grade] = {}
        self.todo: dict[Content, Example] = {}
        self._places: dict[Content, list[int]] = {}
        self._pairs: dict[int, list[int]] = {}
        for place, each in enumerate(examples):
            if place in flaws:
                continue
            content = content_of(each)
            self._places.setdefault(content, []).append(place)
            if each.pair is not None:
                self._pairs.setdefault(each.pair, []).append(place)
            if content in known:
                self.grades[place] = known[content][0]
            elif each.enabled:
                self.todo[content] = each
        for place in tuple(self.grades):
            self._settle(place)

    def learn(self, content: Content, grade: Grade) -> None:
        self.todo.pop(content, None)
        places = self._places.get(content, ())
        for place in places:
            self.grades[place] = grade
        for place in places:
            pair = self.examples[place].pair
            for each in (place,) if pair is None else self._pairs[pair]:
                if each in self.grades:
                    self._settle(each)

    def _settle(self, place: int) -> None:
        """Gives a grade its place, and whether its pair has as many tokens."""
        pair = self.examples[place].pair
        both = self._pairs[pair] if pair is not None else []
        equal = None
        if len(both) == 2 and all(each in self.grades for each in both):
            equal = self.grades[both[0]].n_tokens == self.grades[both[1]].n_tokens
        self.grades[place] = msgspec.structs.replace(self.grades[place], index=place, equal_length=equal)


async def _until(holds: Callable[[], bool]) -> bool:
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    while not holds():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def _find(examples: Examples, place: int, old: Example) -> int | None:
    """Where the example is now; None where somebody else removed it."""
    if place < len(examples) and examples[place] == old:
        return place
    return next((index for index, each in enumerate(examples) if each == old), None)


def _put(examples: Examples, place: int | None, new: Iterable[Example]) -> Examples:
    """Replaces one; where it is gone, what is new stands at the end: nothing that was written is lost."""
    if place is None:
        return (*examples, *new)
    return (*examples[:place], *new, *examples[place + 1 :])
