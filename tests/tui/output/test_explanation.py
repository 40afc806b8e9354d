"""What is said of an explanation in words."""

import msgspec

from engine.explanations import CodeExplanation, ExplainedPattern, PatternPlace, PatternWord, Predicted, TokenRule
from tui.output.explanation_tree import word_sources

NOTHING = Predicted(prompts=0, with_code=0, said=0, right=0)
WORD = PatternWord(
    token=" a",
    places=1,
    tried=9,
    kept=4,
    random_tried=2,
    random_kept=1,
    keeps=(),
    loses=(),
    atlas_tried=5,
    atlas_kept=3,
)
PATTERN = ExplainedPattern(
    words=(WORD, WORD),
    places=(PatternPlace(own=0, other=0, saliency=1.0),),
    example=0,
    covers=1,
    wrong=0,
    latent=1.0,
    used=True,
)
FOUND = CodeExplanation(
    layer=0,
    head=1,
    code=2,
    seed=0,
    paired=True,
    examples=4,
    with_code=2,
    patterns=(PATTERN, PATTERN),
    salient=(),
    held_out="task",
    same_kind=NOTHING,
    contexts=NOTHING,
    together=NOTHING,
    frequent=TokenRule(token="a", predicted=NOTHING),
    best_token=TokenRule(token="a", predicted=NOTHING),
    passes=1,
    seconds=0.1,
)


def test_it_is_said_where_words_came_from() -> None:
    assert word_sources(FOUND).endswith("; no atlas of this model (headcode atlas reads one)")
    without = msgspec.structs.replace(FOUND, atlas_corpus="english")
    assert word_sources(without).endswith("; the atlas of english has none for this node")
    # Four words, of each three of five.
    own = msgspec.structs.replace(without, atlas_words=7)
    assert word_sources(own).endswith(", and of the atlas of english (12 of 20 keep the code)")


def test_a_record_of_before_the_atlas_is_read() -> None:
    values = msgspec.to_builtins(FOUND)
    for name in ("atlas_corpus", "atlas_words"):
        del values[name]
    for pattern in values["patterns"]:
        for word in pattern["words"]:
            del word["atlas_tried"], word["atlas_kept"]
    found = msgspec.convert(values, CodeExplanation)
    assert "no atlas" in word_sources(found)
    assert found.patterns[0].words[0].atlas_tried == 0
