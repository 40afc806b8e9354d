"""Grades of a set by index, with pair lengths compared, and the examples not graded yet."""

from collections.abc import Collection

import msgspec

from engine.examples import Example
from engine.results import Grade, PromptTokens
from tui.editor.buffer import Examples

Content = tuple[str, str, tuple[str, ...], tuple[str, ...]]


def content_of(example: Example) -> Content:
    """Return what a grade depends on."""
    return (example.prompt, example.polarity, example.expected, example.foils)


class GradeIndex:
    """Index of the examples by content: their places, their grades, and which are not graded yet."""

    def __init__(
        self,
        examples: Examples,
        skipped: Collection[int],
        known: dict[Content, tuple[Grade, PromptTokens]],
    ) -> None:
        """`skipped` are the indices of lines that are not prompts: unreadable lines and templates."""
        self.examples = examples
        self.skipped = skipped
        self.grades: dict[int, Grade] = {}
        self.todo: dict[Content, Example] = {}
        self._places: dict[Content, list[int]] = {}
        self._pairs: dict[int, list[int]] = {}
        for place, each in enumerate(examples):
            if place in skipped:
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
        """Set a grade's index, and whether both halves of its pair have the same number of tokens."""
        pair = self.examples[place].pair
        both = self._pairs[pair] if pair is not None else []
        equal = None
        if len(both) == 2 and all(each in self.grades for each in both):
            equal = self.grades[both[0]].n_tokens == self.grades[both[1]].n_tokens
        self.grades[place] = msgspec.structs.replace(self.grades[place], index=place, equal_length=equal)
