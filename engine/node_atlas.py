"""What an atlas keeps of a model's heads and MLPs on ordinary text: metrics, and contexts of each."""

import msgspec

from engine.nodes import NodeId
from engine.results import ModelInfo, Versions


class AtlasMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One number that an atlas has for every head, some also for MLPs."""

    name: str
    title: str
    """As the head of a column."""
    words: str
    """What it is, as a sentence's end."""
    digits: int = 2
    of_mlps: bool = False


ATLAS_METRICS: tuple[AtlasMetric, ...] = (
    AtlasMetric(name="previous", title="previous", words="attention to the token before, the mean"),
    AtlasMetric(
        name="induction",
        title="induction",
        words="on random tokens that come twice: attention to what followed a token the first time, the mean",
    ),
    AtlasMetric(
        name="duplicate",
        title="duplicate",
        words="on random tokens that come twice: attention to the token's first time, the mean",
    ),
    AtlasMetric(
        name="induction_text",
        title="ind. text",
        words="on text, where a token occurred before: attention to what followed it, the mean",
    ),
    AtlasMetric(
        name="duplicate_text",
        title="dup. text",
        words="on text, where a token occurred before: attention to its earlier occurrences, the mean",
    ),
    AtlasMetric(name="first", title="first", words="attention to the first position, the mean"),
    AtlasMetric(name="itself", title="itself", words="attention to the token itself, the mean"),
    AtlasMetric(name="entropy", title="entropy", words="entropy of the attention in nats, the mean"),
    AtlasMetric(
        name="offset",
        title="offset",
        words="how many tokens back it attends, the first position left out, the mean",
        digits=1,
    ),
    AtlasMetric(name="norm", title="norm", words="length of what it writes, the mean", of_mlps=True),
    AtlasMetric(
        name="share",
        title="of stream",
        words="length of what it writes over that of the stream at its layer, the mean",
        digits=3,
        of_mlps=True,
    ),
    AtlasMetric(
        name="copying",
        title="copying",
        words="direct logit of what it attends to, in standard deviations over the text's tokens, the mean",
    ),
)
"""In the order in which they are shown; docs/atlas.md defines them."""
METRIC_NAMES = tuple(each.name for each in ATLAS_METRICS)

Metrics = dict[str, float]
"""By name; what does not apply to a node, or was never seen, is left out."""


class AtlasContext(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One position of the text, and what a node does there."""

    passage: int
    """Index into the atlas's passages."""
    position: int
    norm: float
    """Length of what it writes there."""
    attends: tuple[tuple[int, float], ...]
    """Positions of the passage and the attention to each, the largest first; empty for MLPs."""
    raises: tuple[tuple[int, float], ...]
    """Tokens, as indices into the atlas's words, and their direct logits less the mean; the largest first."""


class TokenAttention(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How much of a head's attention goes to one token of the vocabulary, wherever that is in the text."""

    word: int
    """Index into the atlas's words."""
    share: float
    """Of all attention to other positions than the first and the query's own."""
    lift: float
    """Times as much as if attention were even."""
    occurrences: int


class AtlasNode(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One head or MLP on ordinary text."""

    layer: int
    head: int
    """NO_HEAD (engine.nodes) for an MLP."""
    metrics: Metrics
    top: tuple[AtlasContext, ...]
    """Where it writes most, one position a passage."""
    typical: tuple[AtlasContext, ...]
    """Of random positions, those at even steps of how much it writes, the least first."""
    attends: tuple[TokenAttention, ...]
    """Tokens by share, then by lift."""
    written: tuple[tuple[tuple[int, int], ...], ...] = ()
    """At each of the random positions the tokens that are raised most, as indices into the atlas's words, and their
    direct logits less the mean in hundredths. Empty in atlases of before 2026-12-01.
    """

    @property
    def node(self) -> NodeId:
        return NodeId(self.layer, self.head)


class AtlasSource(msgspec.Struct, frozen=True, kw_only=True):
    """What an atlas was read from, and how."""

    corpus: str
    digest: str
    """sha256 of the corpus."""
    tokens: int
    """Read, the passages' own."""
    passages: int
    length: int
    """Tokens of a passage at most."""
    random_passages: int
    """Passages of random tokens that come twice."""
    seconds: float
    versions: Versions


class Atlas(msgspec.Struct, frozen=True, kw_only=True):
    """A model's heads and MLPs on ordinary text."""

    model: ModelInfo
    source: AtlasSource
    words: tuple[str, ...]
    """Texts of the tokens that occur anywhere below."""
    passages: tuple[tuple[int, ...], ...]
    """The tokens of each passage, as indices into the words."""
    nodes: tuple[AtlasNode, ...]

    def find(self, node: NodeId) -> AtlasNode | None:
        return next((each for each in self.nodes if each.node == node), None)

    def words_at(self, node: NodeId) -> tuple[str, ...]:
        """Return the tokens that a node has to do with, without duplicates; none for the embedding.

        Those a head attends to, the largest share first; then, context by context, those it attends to there and the
        one where it stands.
        """
        found = self.find(node)
        if found is None:
            return ()
        words = [each.word for each in found.attends]
        for context in (*found.top, *found.typical):
            passage = self.passages[context.passage]
            words += [passage[place] for place, _ in context.attends] + [passage[context.position]]
        return tuple(dict.fromkeys(self.words[word] for word in words))


class PromptNode(msgspec.Struct, frozen=True, kw_only=True):
    """One head or MLP on the prompts of a run."""

    layer: int
    head: int
    metrics: Metrics
    at_end: tuple[float, ...]
    """Attention from the prompt's last token to each position, counted from the end; the mean over the prompts.

    Positions that all prompts have; empty for MLPs.
    """

    @property
    def node(self) -> NodeId:
        return NodeId(self.layer, self.head)
