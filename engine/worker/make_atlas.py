"""Make an atlas of what was read: metrics, contexts with the tokens that are raised there, and tokens attended to."""

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from engine.atlas.contexts import ATTENDED
from engine.atlas.passages import LENGTH
from engine.atlas.reading import AtlasReader
from engine.atlas.sums import State, head_metrics, mlp_metrics
from engine.models.head_layout import unembedding
from engine.models.loading import Model
from engine.node_atlas import Atlas, AtlasContext, AtlasNode, AtlasSource, Metrics, TokenAttention
from engine.nodes import NodeId, mlp
from engine.worker.pipeline import versions
from engine.worker.written_tokens import written_ids

_RAISED = 6
_TYPICAL = 4
_BY_SHARE, _BY_LIFT = 40, 24
_LIFT_OCCURRENCES = 3
"""A token that occurs less often in the text is not listed by lift."""
_DIGITS = 6
_NODES_AT_ONCE = 32
"""Nodes whose directions are in memory together."""
Place = tuple[str, int]
"""A context of the state: top or sampled, and its number."""


def make_atlas(model: Model, reader: AtlasReader, corpus: tuple[str, str]) -> Atlas:
    """Return the atlas of passages that are read to the end."""
    words = _Words(model)
    info, state = model.info, reader.state
    layout = model.layout("all")
    repeated = {name.removeprefix("random_"): each for name, each in state.items() if name.startswith("random_")}
    ids = [NodeId(layer, head) for layer in range(info.n_layers) for head in range(info.n_heads)]
    ids += [mlp(layer) for layer in range(info.n_layers)] if layout.n_outputs else []
    raised = _raised(model, state, ids)
    nodes = []
    for node, at in zip(ids, raised, strict=True):
        top, typical = (
            tuple(_context(state, kind, node, number, words, at[kind, number]) for kind, number in chosen)
            for chosen in (_top(state, node), _typical(state, node))
        )
        nodes.append(
            AtlasNode(
                layer=node.layer,
                head=node.head,
                metrics=_metrics(state, repeated, node),
                top=top,
                typical=typical,
                attends=_attends(reader, node, words) if node.is_head else (),
                written=tuple(
                    tuple((words.index(token), round(100 * value)) for token, value in at[place])
                    for place in _sampled(state, node)
                ),
            )
        )
    passages = tuple(tuple(map(words.index, each)) for each in reader.passages.text)
    source = AtlasSource(
        corpus=corpus[0],
        digest=corpus[1],
        tokens=reader.passages.n_own,
        passages=len(passages),
        length=LENGTH,
        random_passages=len(reader.passages.random),
        seconds=round(float(state["seconds"]), 3),
        versions=versions(model),
    )
    return Atlas(
        model=msgspec.structs.replace(info, nodes=layout.choice, parallel_mlps=layout.parallel),
        source=source,
        words=words.texts,
        passages=passages,
        nodes=tuple(nodes),
    )


class _Words:
    """The texts of tokens, each once."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._places: dict[int, int] = {}
        self._texts: list[str] = []

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._texts)

    def index(self, token: int) -> int:
        if token not in self._places:
            self._places[token] = len(self._texts)
            self._texts.append(self._model.token_words(token))
        return self._places[token]


def _metrics(state: State, repeated: State, node: NodeId) -> Metrics:
    if not node.is_head:
        return rounded(mlp_metrics(state, node.layer))
    found = head_metrics(state, node.layer, node.head)
    on_repeated = head_metrics(repeated, node.layer, node.head)
    for name in ("induction", "duplicate"):
        if f"{name}_text" in on_repeated:
            found[name] = on_repeated[f"{name}_text"]
    return rounded(found)


def rounded(metrics: Metrics) -> Metrics:
    """Return the metrics to six decimals."""
    return {name: round(value, _DIGITS) for name, value in metrics.items()}


def _top(state: State, node: NodeId) -> list[Place]:
    return [("top", number) for number, norm in enumerate(_norms(state, "top", node)) if norm >= 0]


def _sampled(state: State, node: NodeId) -> list[Place]:
    return [("sampled", number) for number, norm in enumerate(_norms(state, "sampled", node)) if norm >= 0]


def _typical(state: State, node: NodeId) -> list[Place]:
    """Return random positions at even steps of how much the node writes there."""
    norms = _norms(state, "sampled", node)
    by_norm = sorted(_sampled(state, node), key=lambda place: norms[place[1]])
    n = min(_TYPICAL, len(by_norm))
    return [by_norm[(2 * place + 1) * len(by_norm) // (2 * n)] for place in range(n)]


def _norms(state: State, kind: str, node: NodeId) -> list[float]:
    found: list[float] = state[f"{kind}_norm"][node.layer, node.head].tolist()
    return found


def _raised(model: Model, state: State, ids: list[NodeId]) -> list[dict[Place, tuple[tuple[int, float], ...]]]:
    """Return by node and position the tokens that are raised most there, with the final norm's divisor of the place."""
    places = [[*_top(state, node), *_sampled(state, node)] for node in ids]
    matrix, _ = unembedding(model.bridge)
    if matrix is None:
        return [dict.fromkeys(each, ()) for each in places]
    weights = model.head_weights
    found = []
    for begin in range(0, len(ids), _NODES_AT_ONCE):
        some = slice(begin, begin + _NODES_AT_ONCE)
        pairs = [(node, place) for node, own in zip(ids[some], places[some], strict=True) for place in own]
        directions = torch.stack([_direction(state, node, *place, weights) for node, place in pairs])
        raised = iter(written_ids(model, directions.to(model.device), _RAISED))
        found += [{place: next(raised) for place in own} for own in places[some]]
    return found


def _direction(
    state: State, node: NodeId, kind: str, number: int, weights: list[Float[Tensor, "head _ d_model"]]
) -> Float[Tensor, " d_model"]:
    passage, position = state[f"{kind}_place"][node.layer, node.head, number].tolist()
    if not node.is_head:
        written = state[f"{kind}_mlp"][node.layer, number]
    else:
        weight = weights[node.layer][node.head].float().cpu()
        written = state[f"{kind}_z"][node.layer, node.head, number, : len(weight)] @ weight
    return written / state["scale"][passage, position]


def _context(
    state: State, kind: str, node: NodeId, number: int, words: _Words, raised: tuple[tuple[int, float], ...]
) -> AtlasContext:
    passage, position = state[f"{kind}_place"][node.layer, node.head, number].tolist()
    attends: list[tuple[int, float]] = []
    if node.is_head:
        keys = state[f"{kind}_keys"][node.layer, node.head, number].tolist()
        weights = state[f"{kind}_attention"][node.layer, node.head, number].tolist()
        attends = [(key, round(weight, 4)) for key, weight in zip(keys, weights, strict=True) if 0 <= key <= position]
    return AtlasContext(
        passage=passage,
        position=position,
        norm=round(float(state[f"{kind}_norm"][node.layer, node.head, number]), 4),
        attends=tuple(attends[:ATTENDED]),
        raises=tuple((words.index(token), round(value, 3)) for token, value in raised),
    )


def _attends(reader: AtlasReader, node: NodeId, words: _Words) -> tuple[TokenAttention, ...]:
    """Return the tokens that receive most of the head's attention, and most beside what even attention would give."""
    state = reader.state
    received, even = state["received"][node.layer, node.head].double(), state["even"].double()
    if float(received.sum()) <= 0 or float(even.sum()) <= 0:
        return ()
    share, expected = received / received.sum(), even / even.sum()
    lift = torch.where(expected > 0, share / expected.clamp(min=1e-12), 0.0)
    often = state["occurrences"] >= _LIFT_OCCURRENCES
    by_share = share.topk(min(_BY_SHARE, len(share))).indices.tolist()
    by_lift = (lift * often).topk(min(_BY_LIFT, len(lift))).indices.tolist()
    chosen = dict.fromkeys([*by_share, *(place for place in by_lift if bool(often[place]))])
    return tuple(
        TokenAttention(
            word=words.index(int(reader.distinct[place])),
            share=round(float(share[place]), 5),
            lift=round(float(lift[place]), 2),
            occurrences=int(state["occurrences"][place]),
        )
        for place in chosen
        if share[place] > 0
    )
