"""The patterns of an explanation as one tree, read from the prompt's end: patterns with the same end share it."""

import msgspec

from engine.explanations import CodeExplanation, ExplainedPattern, PatternPlace, PatternWord, Predicted

NOTHING = "∅"
"""Stands where a side of a pair has no token."""
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


class TreeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One token of the tree."""

    branches: str
    """The lines before it: │ and └, two cells a level."""
    own: str
    other: str
    """The paired prompt's token; empty where it is the same."""
    letter: str
    """Of a word that stands in several places: = A is the same word."""
    other_letter: str
    saliency: float
    words: str
    """What else can stand there."""
    other_words: str
    """What else can stand there in the paired prompt."""
    ends: str
    """Of the last row of a pattern: what it covers."""
    used: bool
    """True if a pattern through this token is used for the prediction."""


class _Node:
    """A token of the tree and the tokens before it."""

    def __init__(self, pattern: ExplainedPattern, place: PatternPlace, letters: dict[int, str], met: set[int]) -> None:
        self.place, self.pattern = place, pattern
        own, other = (None if index is None else pattern.words[index] for index in (place.own, place.other))
        self.differs = place.own != place.other
        self.own, self.other = own, other
        self.letter = "" if place.own is None else letters.get(place.own, "")
        self.other_letter = "" if place.other is None or not self.differs else letters.get(place.other, "")
        self.again = place.own in met
        self.other_again = place.other in met
        self.saliency = place.saliency
        self.children: list[_Node] = []
        self.ends: list[ExplainedPattern] = []

    def fits(self, other: "_Node") -> bool:
        """Return whether both can be one: the same part of a pattern, and words that can stand for each other."""
        here = (self.differs, self.letter, self.other_letter, self.again, self.other_again)
        there = (other.differs, other.letter, other.other_letter, other.again, other.other_again)
        return here == there and _one(self.own, other.own) and _one(self.other, other.other)

    def used(self) -> bool:
        return any(each.used for each in self.ends) or any(child.used() for child in self.children)


def tree_rows(explanation: CodeExplanation) -> list[TreeRow]:
    """Return the rows of the tree, patterns that the prediction uses first."""
    roots: list[_Node] = []
    for pattern in sorted(explanation.patterns, key=lambda each: not each.used):
        letters, met = _letters(pattern), set[int]()
        level, node = roots, None
        for place in reversed(pattern.places):
            new = _Node(pattern, place, letters, met)
            node = next((each for each in level if each.fits(new)), None)
            if node is None:
                node = new
                level.append(new)
            level = node.children
            met |= {index for index in (place.own, place.other) if index is not None}
        if node is not None:
            node.ends.append(pattern)
    return [row for root in roots for row in _rows(root, "", "")]


def words_of(word: PatternWord, *, most: int = 5) -> str:
    """Return what can stand in the place of a word: any token, only this one, or others."""
    if word.any_word:
        return "any token"
    if not word.kept:
        return "only this"
    listed = " ".join(word.keeps[:most])
    return f"{listed}{' …' if word.kept > most else ''} ({word.kept} of {word.tried} tried)"


def _rows(node: _Node, before: str, below: str) -> list[TreeRow]:
    row = TreeRow(
        branches=before,
        own=NOTHING if node.own is None else node.own.token,
        other="" if not node.differs else NOTHING if node.other is None else node.other.token,
        letter=node.letter,
        other_letter=node.other_letter,
        saliency=node.saliency,
        words=_words(node.own, node.letter, again=node.again),
        other_words=_words(node.other, node.other_letter, again=node.other_again) if node.differs else "",
        ends=", ".join(_end(pattern) for pattern in node.ends),
        used=node.used(),
    )
    found = [row]
    for place, child in enumerate(node.children):
        last = place == len(node.children) - 1
        found += _rows(child, below + ("└ " if last else "├ "), below + ("  " if last else "│ "))
    return found


def _words(word: PatternWord | None, letter: str, *, again: bool) -> str:
    if word is None:
        return ""
    return f"= {letter}" if again else words_of(word)


def _end(pattern: ExplainedPattern) -> str:
    wrong = f", and {pattern.wrong} without it" if pattern.wrong else ""
    return f"in {pattern.covers} with the code{wrong}" + ("" if pattern.used else " (adds nothing)")


def _letters(pattern: ExplainedPattern) -> dict[int, str]:
    """Return a letter for each word that stands in several places, from the end."""
    order: list[int] = []
    for place in reversed(pattern.places):
        order += [index for index in (place.own, place.other) if index is not None and index not in order]
    several = [index for index in order if pattern.words[index].places > 1]
    return dict(zip(several, _LETTERS, strict=False))


def _one(one: PatternWord | None, other: PatternWord | None) -> bool:
    if one is None or other is None:
        return one is other
    first, second = one.token.strip(), other.token.strip()
    return first == second or (one.any_word and other.any_word) or (first in other.keeps and second in one.keeps)


def share(value: float | None) -> str:
    """Format a share as .87; a hyphen for none."""
    return "-" if value is None else f"{value:.2f}".lstrip("0") if value < 1 else "1"


def word_sources(explanation: CodeExplanation) -> str:
    """Return where the words that were tried were taken from."""
    always = "words tried: nearest by what the node reads, of the prompts, drawn from the vocabulary"
    if not explanation.atlas_corpus:
        return f"{always}; no atlas of this model (headcode atlas reads one)"
    if not explanation.atlas_words:
        return f"{always}; the atlas of {explanation.atlas_corpus} has none for this node"
    words = [word for pattern in explanation.patterns for word in pattern.words]
    kept, tried = sum(each.atlas_kept for each in words), sum(each.atlas_tried for each in words)
    return f"{always}, and of the atlas of {explanation.atlas_corpus} ({kept} of {tried} keep the code)"


def summary(explanation: CodeExplanation) -> list[tuple[str, ...]]:
    """Return rows of the prediction beside its baselines: name, precision, recall, counts."""
    rules: list[tuple[str, Predicted]] = [
        ("these patterns", explanation.together),
        (f"the token {explanation.frequent.token.strip()!r}, the most frequent", explanation.frequent.predicted),
        (f"the token {explanation.best_token.token.strip()!r}, the most telling", explanation.best_token.predicted),
    ]
    return [
        (
            name,
            share(each.precision),
            share(each.recall),
            f"said of {each.said} of {each.prompts} prompts, right for {each.right} of {each.with_code}",
        )
        for name, each in rules
    ]
