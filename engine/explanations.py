"""The explanation of a code: shortest prompts, what can stand in their places, and how well they predict the code."""

from typing import Literal

import msgspec

from engine.node_parts import Tokens

HeldOutKind = Literal["task", "examples"]


class AtlasWords(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens that a node has to do with in ordinary text, by the atlas of its model."""

    key: str
    """Of the atlas."""
    corpus: str
    words: tuple[str, ...]


class PatternWord(msgspec.Struct, frozen=True, kw_only=True):
    """One word of a pattern, the same in all places that name it, and what was tried in its stead."""

    token: str
    """As it stands in the shortest prompt."""
    places: int
    """In how many places it stands, on both sides together."""
    tried: int
    """Other words tried in all of its places at once, all else as it is."""
    kept: int
    """How many of these keep the code."""
    random_tried: int
    """How many of these were drawn from the whole vocabulary."""
    random_kept: int
    keeps: tuple[str, ...]
    """Words that keep the code, those most alike to what the node reads first."""
    loses: tuple[str, ...]
    """Words that lose it."""
    atlas_tried: int = 0
    """How many of those tried are the atlas's."""
    atlas_kept: int = 0

    @property
    def any_word(self) -> bool:
        """True if nearly any token of the vocabulary can stand there."""
        return self.random_tried >= 4 and self.random_kept >= 0.8 * self.random_tried


class PatternPlace(msgspec.Struct, frozen=True, kw_only=True):
    """One token of a shortest prompt."""

    own: int | None
    """Which word stands there, by index into the pattern's words; None: nothing on this side."""
    other: int | None
    """The same in the paired prompt; equal to `own` where both are the same."""
    saliency: float
    """Share of the code's latent that is lost without this token; above 1: another code takes its place."""


class ExplainedPattern(msgspec.Struct, frozen=True, kw_only=True):
    """A shortest prompt with the code: without any one of its tokens the node has another code."""

    words: tuple[PatternWord, ...]
    places: tuple[PatternPlace, ...]
    example: int | None
    """The example of the run that was shortened; None: a prompt that was drawn to learn from."""
    covers: int
    """Examples of the run with the code that the pattern is in."""
    wrong: int
    """Examples of the run without the code that the pattern is in."""
    latent: float
    """The code's latent on the shortest prompt."""
    used: bool
    """True if the prediction uses it: others add nothing to those."""


class SalientPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """An example of the run, and how much each of its tokens matters for the code."""

    example: int
    tokens: Tokens
    """Every token and the share of the code's latent that is lost without it."""


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """How often a rule says that a prompt has the code, and how often that is so."""

    prompts: int
    with_code: int
    said: int
    right: int
    """Prompts with the code of which it was said."""

    @property
    def precision(self) -> float | None:
        """Share of those that were said to have the code; None: it was said of none."""
        return round(self.right / self.said, 4) if self.said else None

    @property
    def recall(self) -> float | None:
        """Share of those with the code that were found; None: none had it."""
        return round(self.right / self.with_code, 4) if self.with_code else None


class TokenRule(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline: a prompt has the code if it has this token."""

    token: str
    predicted: Predicted


class CodeExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a code of a node answers to."""

    layer: int
    head: int
    code: int
    seed: int
    paired: bool
    """True if a code belongs to a prompt and its pair, as in runs that contrast pairs."""
    examples: int
    with_code: int
    """Of these, examples of the run with the code."""
    patterns: tuple[ExplainedPattern, ...]
    salient: tuple[SalientPrompt, ...]
    held_out: HeldOutKind
    """What is predicted: new prompts of the run's task, or examples of the run that were kept aside."""
    same_kind: Predicted
    """On prompts like those of the run."""
    contexts: Predicted
    """On prompts of other tasks."""
    together: Predicted
    frequent: TokenRule
    """By the token that most of the prompts with the code have."""
    best_token: TokenRule
    """By the token that tells the prompts that were learnt from apart best."""
    passes: int
    """Prompts that went through the model for it."""
    seconds: float
    notices: tuple[str, ...] = ()
    atlas_key: str = ""
    """Of the atlas that words were taken from; empty: the store had none of this model."""
    atlas_corpus: str = ""
    """The text of the atlas that words were taken from; empty: the store had none of this model."""
    atlas_words: int = 0
    """How many tokens the atlas has for this node."""
