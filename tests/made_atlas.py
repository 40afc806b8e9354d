"""An atlas that is made up, for tests of store, host and screens."""

from engine.node_atlas import (
    ATLAS_METRICS,
    Atlas,
    AtlasContext,
    AtlasNode,
    AtlasSource,
    PromptNode,
    TokenAttention,
)
from engine.nodes import NO_HEAD
from engine.results import ModelInfo, Versions

WORDS = ("The", " cat", " sat", " and", " the", " dog", " ran", "\n", " she", " he")
PASSAGES = ((0, 1, 2, 3, 4, 5, 6), (4, 1, 3, 4, 1, 2))
COPIER, INDUCTION = (1, 1), (1, 0)


def made_atlas(info: ModelInfo, *, corpus: str = "english") -> Atlas:
    """Head 1.0 is an induction head, 1.1 copies and writes `she`, 0.0 attends to the token before."""
    nodes = [
        _head(layer, head, 1 + layer * info.n_heads + head)
        for layer in range(info.n_layers)
        for head in range(info.n_heads)
    ]
    nodes += [
        AtlasNode(
            layer=layer,
            head=NO_HEAD,
            metrics={"norm": 3.0 + layer, "share": 0.5},
            top=(AtlasContext(passage=0, position=3, norm=9.0, attends=(), raises=((5, 1.0),)),),
            typical=(),
            attends=(),
        )
        for layer in range(info.n_layers)
    ]
    versions = Versions(headcode="0.2.0", python="3.11", torch="2", transformer_lens="4", device="cpu")
    source = AtlasSource(
        corpus=corpus,
        digest="d" * 64,
        tokens=13,
        passages=2,
        length=128,
        random_passages=16,
        seconds=1.5,
        versions=versions,
    )
    return Atlas(model=info, source=source, words=WORDS, passages=PASSAGES, nodes=tuple(nodes))


def made_prompts(info: ModelInfo) -> tuple[PromptNode, ...]:
    """The copier does not rest on the prompts, and attends to the token three from the end."""
    found = []
    for layer in range(info.n_layers):
        for head in range(info.n_heads):
            here = (layer, head) == COPIER
            metrics = {"first": 0.1 if here else 0.05, "previous": 0.1, "share": 0.1, "copying": 2.0 if here else 0.0}
            found.append(
                PromptNode(layer=layer, head=head, metrics=metrics, at_end=(0.1, 0.2, 0.6 if here else 0.05, 0.05))
            )
    mlps = [PromptNode(layer=layer, head=NO_HEAD, metrics={"share": 0.5}, at_end=()) for layer in range(info.n_layers)]
    return (*found, *mlps)


def _head(layer: int, head: int, number: int) -> AtlasNode:
    metrics = {each.name: round(0.001 * number, 4) for each in ATLAS_METRICS}
    if (layer, head) == INDUCTION:
        metrics |= {"induction": 0.9, "induction_text": 0.3}
    if (layer, head) == COPIER:
        metrics |= {"copying": 2.0, "first": 0.9}
    if (layer, head) == (0, 0):
        metrics |= {"previous": 0.8}
    raised = ((8, 2.5), (9, 1.0)) if (layer, head) == COPIER else ((5, 0.5),)
    top = tuple(
        AtlasContext(passage=passage, position=3, norm=4.0 - passage, attends=((1, 0.75), (0, 0.2)), raises=raised)
        for passage in range(2)
    )
    typical = (AtlasContext(passage=1, position=4, norm=1.0, attends=((2, 0.5),), raises=((6, 0.1),)),)
    attends = (TokenAttention(word=1, share=0.25 if head else 0.125, lift=2.0, occurrences=3),)
    return AtlasNode(layer=layer, head=head, metrics=metrics, top=top, typical=typical, attends=attends)
