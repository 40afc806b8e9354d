"""Edits of the examples. Each change finds its line again in versions changed by other clients."""

from collections.abc import Iterable, Sequence

import msgspec

from engine.authoring.drafts import next_pair, parse_pasted, renumber_pairs, text_of
from engine.authoring.templates import expand, read_lists
from engine.errors import ExampleError
from engine.examples import MAX_EXAMPLES, Example
from tui.editor.buffer import ExampleBuffer, Examples


class ExampleEdits(ExampleBuffer):
    """Edits of one or several lines. An edit that is impossible says why and changes nothing."""

    def insert(self, place: int, new: Sequence[Example]) -> None:
        self.change(lambda examples: (*examples[:place], *new, *examples[place:]))

    def replace(self, place: int, new: Example) -> None:
        old = self.examples[place]
        self.change(lambda examples: _put(examples, _find(examples, place, old), (new,)))

    def remove(self, place: int) -> None:
        old = self.examples[place]
        self.change(lambda examples: _put(examples, _find(examples, place, old), ()))

    def move(self, place: int, by: int) -> bool:
        """Move the example; return whether there was room."""
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
        """Insert a copy below; a copy of one half of a pair goes below the pair."""
        copy = msgspec.structs.replace(self.examples[place], pair=None)
        self.at = self.below(place)
        self.insert(self.at, [copy])

    def toggle(self, place: int) -> bool:
        """Disable or enable the example; return False for an unreadable line."""
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
        """Pair the line with a free neighbour of the other polarity, or dissolve its pair; return what was done."""
        examples = self.examples
        example = examples[place]
        if example.pair is not None:
            gone = example.pair
            self.change(
                lambda all_: tuple(msgspec.structs.replace(e, pair=None) if e.pair == gone else e for e in all_)
            )
            return "The pair is dissolved."
        for other in (place + 1, place - 1):
            if not 0 <= other < len(examples) or other in self.flaws:
                continue
            partner = examples[other]
            if partner.pair is None and partner.positive is not example.positive:
                number = next_pair(examples)
                self.replace(place, msgspec.structs.replace(example, pair=number))
                self.replace(other, msgspec.structs.replace(partner, pair=number))
                return f"Lines {min(place, other) + 1} and {max(place, other) + 1} are now a pair."
        down, up, pair = (self.state.key(f"write:{name}") for name in ("move.down", "move.up", "pair"))
        moves = " or ".join(dict.fromkeys((down, up)))
        return f"No neighbour on the other side is free: {moves} moves one beside it, then {pair}."

    def below(self, place: int) -> int:
        """Return the index for a new line below this one, not between the halves of a pair."""
        examples = self.examples
        if not examples:
            return 0
        pair = examples[place].pair
        if pair is not None and place + 1 < len(examples) and examples[place + 1].pair == pair:
            return place + 2
        return place + 1

    def pair_for(self, place: int) -> int | None:
        """Return the pair number for a new negative of this positive, or None if the positive has a partner."""
        example = self.examples[place]
        if example.pair is None:
            return next_pair(self.examples)
        return example.pair if len(self.partners(example)) == 1 else None

    def accept(self, place: int, negative: Example) -> None:
        """Insert a negative below its positive, paired with it if the positive has no pair."""
        example = self.examples[place]
        if example.pair is None and negative.pair is not None:
            self.replace(place, msgspec.structs.replace(example, pair=negative.pair))
        self.insert(place + 1, [negative])
        self.at = place + 1

    def paste(self, text: str, *, fill: bool = True) -> int:
        """Insert the examples of a text after the current one and return their number.

        Without `fill`, lines with slots are kept. Raises ExampleError if the set would be too large.
        """
        return self.add(parse_pasted(text, after=self.examples, fill=fill))

    def add(self, new: Sequence[Example]) -> int:
        """Insert examples after the current one, with new pair numbers, and return their number.

        The last of them becomes current. Raises ExampleError if the set would exceed the host's limit.
        """
        there = len(self.examples)
        if there + len(new) > MAX_EXAMPLES:
            raise ExampleError(
                f"{len(new):,} more make {there + len(new):,} examples; {MAX_EXAMPLES:,} is the most Headcode keeps.",
                hint="A probe needs 10 to 500; use a sample.",
            )
        place = self.below(self.at)
        if new:
            self.insert(place, renumber_pairs(new, self.examples))
            self.at = place + len(new) - 1
        return len(new)

    def unfold(self, place: int) -> int:
        """Fill the slots of a line and of the lines in its pair in every way; return the number of examples.

        Raises ExampleError if there are too many.
        """
        examples = self.examples
        example = examples[place]
        group = self.partners(example) or [example]
        lists = read_lists([text_of(each) for each in examples if "{" in each.prompt])
        rest = tuple(each for each in examples if each not in group)
        lines = expand([text_of(each) for each in group], lists, taken=[text_of(each) for each in rest])
        if not lines:
            raise ExampleError(
                "All examples of this line already exist, or its lists have too few words.",
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
    """Return the current index of the example, or None if another client removed it."""
    if place < len(examples) and examples[place] == old:
        return place
    return next((index for index, each in enumerate(examples) if each == old), None)


def _put(examples: Examples, place: int | None, new: Iterable[Example]) -> Examples:
    """Replace one example. If it is gone, the new ones are appended, so that nothing written is lost."""
    if place is None:
        return (*examples, *new)
    return (*examples[:place], *new, *examples[place + 1 :])
