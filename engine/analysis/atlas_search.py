"""Search an atlas: which nodes write some tokens, which heads attend to them, and which to a place of the prompts."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from engine.node_atlas import Atlas, AtlasNode, PromptNode
from engine.nodes import NodeId

Searched = Literal["writes", "attends", "place"]


class AtlasHit(msgspec.Struct, frozen=True, kw_only=True):
    """One node that was found."""

    layer: int
    head: int
    score: float
    """writes: random positions at which one of the tokens is among those raised most, as a share; 0 if only where the
    node writes most. attends and place: the share of its attention."""
    strength: float
    """writes: the mean logit at these places; attends: times even attention; place: 0."""
    tokens: tuple[str, ...]
    """Those of the tokens that were found, the most important first."""

    @property
    def node(self) -> NodeId:
        return NodeId(self.layer, self.head)


def read_tokens(text: str) -> tuple[str, ...]:
    """Return the tokens of a list: a comma separates them, and quotation marks keep spaces and commas.

    A word without quotation marks matches the token with or without a leading space.
    """
    found: list[str] = []
    word, quote = "", ""
    for letter in text:
        if quote:
            if letter == quote:
                found.append(quote + word)
                word, quote = "", ""
            else:
                word += letter
        elif letter in "\"'" and not word.strip():
            word, quote = "", letter
        elif letter == ",":
            found.append(word.strip())
            word = ""
        else:
            word += letter
    found.append((quote + word) if quote else word.strip())
    return tuple(dict.fromkeys(each for each in found if each.strip("\"'")))


def matches(token: str, wanted: Sequence[str]) -> bool:
    """Return True if the token is one of those that are looked for (`read_tokens`)."""
    for each in wanted:
        if each[:1] in ("'", '"') and len(each) > 1:
            if token == each[1:]:
                return True
        elif token.strip().casefold() == each.casefold():
            return True
    return False


def find_writers(atlas: Atlas, wanted: Sequence[str]) -> list[AtlasHit]:
    """Return the nodes that raise one of the tokens most at some place of the text, the most often first.

    How often is counted over the atlas's random positions; nodes that do so only where they write most come last.
    Atlases without the tokens of random positions are searched in their few contexts.
    """
    there = _indices(atlas, wanted)
    found = [hit for node in atlas.nodes if (hit := _writes(atlas, node, there)) is not None]
    return sorted(found, key=lambda hit: (-hit.score, -hit.strength, hit.layer, hit.head))


def find_attenders(atlas: Atlas, wanted: Sequence[str]) -> list[AtlasHit]:
    """Return the heads of whose attention to other tokens most goes to these, the largest share first."""
    there = _indices(atlas, wanted)
    found = []
    for node in atlas.nodes:
        own = [each for each in node.attends if each.word in there]
        if own:
            share = sum(each.share for each in own)
            even = sum(each.share / each.lift for each in own if each.lift > 0)
            found.append(
                AtlasHit(
                    layer=node.layer,
                    head=node.head,
                    score=share,
                    strength=share / even if even > 0 else 0.0,
                    tokens=tuple(atlas.words[each.word] for each in sorted(own, key=lambda each: -each.share)),
                )
            )
    return sorted(found, key=lambda hit: (-hit.score, hit.layer, hit.head))


def find_at_place(nodes: Sequence[PromptNode], from_end: int) -> list[AtlasHit]:
    """Return the heads by the attention of the prompts' last token to the position so far from the end."""
    found = [
        AtlasHit(layer=each.layer, head=each.head, score=each.at_end[from_end], strength=0.0, tokens=())
        for each in nodes
        if from_end < len(each.at_end)
    ]
    return sorted(found, key=lambda hit: (-hit.score, hit.layer, hit.head))


def _indices(atlas: Atlas, wanted: Sequence[str]) -> frozenset[int]:
    return frozenset(place for place, word in enumerate(atlas.words) if matches(word, wanted))


def _writes(atlas: Atlas, node: AtlasNode, there: frozenset[int]) -> AtlasHit | None:
    in_contexts = [[each for each in context.raises if each[0] in there] for context in (*node.top, *node.typical)]
    at_random = [[(word, value / 100) for word, value in place if word in there] for place in node.written]
    own = at_random or in_contexts
    share = sum(map(bool, own)) / len(own) if own else 0.0
    hit = [each for each in own if each] or [each for each in in_contexts if each]
    if not hit:
        return None
    by_word: dict[int, float] = {}
    for each in hit:
        for word, value in each:
            by_word[word] = max(by_word.get(word, 0.0), value)
    return AtlasHit(
        layer=node.layer,
        head=node.head,
        score=share,
        strength=sum(max(value for _, value in each) for each in hit) / len(hit),
        tokens=tuple(atlas.words[word] for word in sorted(by_word, key=lambda word: -by_word[word])),
    )
