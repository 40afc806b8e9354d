"""How what is written is changed, line by line. Every change finds its line again in what others made of the set."""

from collections.abc import Iterable, Sequence

import msgspec

from engine.authoring.drafts import next_pair, parse_pasted, renumber_pairs, text_of
from engine.authoring.templates import expand, read_lists
from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES, Example
from tui.editor.buffer import ExampleBuffer, Examples


class ExampleEdits(ExampleBuffer):
    """What can be done to a line, or to several. What cannot be done says so and changes nothing."""

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
        down, up, pair = (self.state.key(f"write:{name}") for name in ("move.down", "move.up", "pair"))
        moves = " or ".join(dict.fromkeys((down, up)))
        return f"No neighbour on the other side is free: {moves} moves one beside it, then {pair}."

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

    def paste(self, text: str, *, fill: bool = True) -> int:
        """Adds what a text holds after the example at hand; how many. Raises ExampleError where they are too many.

        Without `fill` lines with slots stay as they are.
        """
        return self.add(parse_pasted(text, after=self.examples, fill=fill))

    def add(self, new: Sequence[Example]) -> int:
        """Puts examples after the one at hand, pairs under numbers of their own; the last of them is at hand then.
        How many they are. Raises ExampleError where the set would be larger than the host keeps."""
        there = len(self.examples)
        if there + len(new) > MAX_EXAMPLES:
            raise ExampleError(
                f"{len(new):,} more make {there + len(new):,} examples; {MAX_EXAMPLES:,} is the most Headcode keeps.",
                hint="A probe needs 10 to 500: take a sample of them.",
            )
        place = self.below(self.at)
        if new:
            self.insert(place, renumber_pairs(new, self.examples))
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
        rest = tuple(each for each in examples if each not in group)
        lines = expand([text_of(each) for each in group], lists, taken=[text_of(each) for each in rest])
        if not lines:
            raise ExampleError(
                "Every example of this line is there already, or its lists have too few words.",
                hint="Give its lists more words, or delete the line.",
            )
        if len(lines) == len(group) and set(lines) == {text_of(each) for each in group}:
            return 0
        new = parse_pasted("\n".join(lines), after=rest)

        def unfolded(now: Examples) -> Examples:
            found = _find(now, place, example)
            if found is None:
                return now
            kept = [(i, each) for i, each in enumerate(now) if each not in group]
            before = tuple(each for i, each in kept if i < found)
            return (*before, *new, *(each for i, each in kept if i > found))

        self.change(unfolded)
        return len(new)


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
