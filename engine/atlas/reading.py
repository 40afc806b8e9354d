"""One forward pass over the passages: sums and contexts of every head and MLP, batch by batch."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.atlas.contexts import SAMPLED, BatchContexts, empty_contexts
from engine.atlas.masks import SKIPPED, BatchMasks
from engine.atlas.passages import Passages
from engine.atlas.sums import COPY_EVERY, LayerSums, State, empty_sums
from engine.errors import Cancelled
from engine.events import Monitor
from engine.models.contributions import READOUT
from engine.models.head_layout import unembedding
from engine.models.loading import Model

_TOKENS_AT_ONCE = {"cpu": 1024, "cuda": 16_384}
_RANDOM = "random_"
NORM_SCALE = "ln_final.hook_scale"


class AtlasReader:
    """Reads passages and keeps what an atlas needs; `state` can be saved between batches and given back."""

    def __init__(self, model: Model, passages: Passages, state: State | None = None) -> None:
        self.model, self.passages = model, passages
        self.distinct = torch.tensor(sorted({token for ids in passages.text for token in ids}))
        self._batches = _batches(model, passages)
        self.state = self._empty() if state is None else state
        self._weights = model.head_weights
        self._sampled = _sample(passages)

    @property
    def n_batches(self) -> int:
        return len(self._batches)

    @property
    def done(self) -> int:
        """Batches that are read."""
        return int(self.state["done"])

    @property
    def tokens_done(self) -> int:
        return sum(self._n_tokens(batch) for batch in self._batches[: self.done])

    @property
    def tokens_in_all(self) -> int:
        return sum(map(self._n_tokens, self._batches))

    def read_next(self, monitor: Monitor) -> None:
        """Read the next batch. Raises Cancelled within it; the state cannot be used any more then."""
        repeats, rows = self._batches[self.done]
        prompts = self.passages.random if repeats else self.passages.text
        batch = TokenBatch([prompts[row] for row in rows], self.model.device)
        if repeats:
            state = {name.removeprefix(_RANDOM): each for name, each in self.state.items() if name.startswith(_RANDOM)}
            BatchReader(self.model, state, batch, self._weights).run(monitor)
        else:
            reader = TextReader(self.model, self.state, batch, self._weights, self.distinct)
            reader.follow(rows, self._sampled)
            reader.run(monitor)
        self.state["done"] += 1

    def _n_tokens(self, batch: tuple[bool, list[int]]) -> int:
        prompts = self.passages.random if batch[0] else self.passages.text
        return sum(len(prompts[row]) for row in batch[1])

    def _empty(self) -> State:
        info = self.model.info
        longest = max(map(len, self.passages.text))
        return {
            "done": torch.zeros((), dtype=torch.int64),
            "seconds": torch.zeros((), dtype=torch.float64),
            **empty_sums(info.n_layers, info.n_heads),
            **{_RANDOM + name: value for name, value in empty_sums(info.n_layers, info.n_heads).items()},
            **empty_contexts(info.n_layers, info.n_heads, info.d_head, info.d_model),
            "received": torch.zeros(info.n_layers, info.n_heads, len(self.distinct)),
            "even": torch.zeros(len(self.distinct)),
            "occurrences": torch.zeros(len(self.distinct)),
            "scale": torch.ones(len(self.passages.text), longest),
        }


class TokenBatch:
    """Rows of tokens, padded on the right, where a causal model does not see it."""

    def __init__(self, prompts: Sequence[Sequence[int]], device: torch.device) -> None:
        width = max(map(len, prompts))
        self.tokens: Int[Tensor, "row position"] = torch.tensor(
            [[*each, *[0] * (width - len(each))] for each in prompts], device=device
        )
        self.lengths: Int[Tensor, " row"] = torch.tensor([len(each) for each in prompts], device=device)
        self.masks = BatchMasks(self.tokens, self.lengths)


class BatchReader:
    """Runs one batch through the model and adds every layer's heads and MLP to the sums."""

    def __init__(
        self,
        model: Model,
        state: State,
        batch: TokenBatch,
        weights: Sequence[Float[Tensor, "head _ d_model"]],
        copy_every: int = 0,
    ) -> None:
        """`copy_every`: measure copying at every n-th position; 0: nowhere."""
        self.model, self.state, self.batch, self._weights = model, state, batch, weights
        self.sums = LayerSums(state, batch.masks)
        width = batch.tokens.shape[1]
        self._places = list(range(copy_every - 1, width, copy_every)) if copy_every else []
        self._readout = self._row_readout() if self._places else None
        self._streams: dict[int, Tensor] = {}
        self._patterns: dict[int, Tensor] = {}
        self._waiting: dict[int, Tensor] = {}

    def run(self, monitor: Monitor) -> None:
        """Run the batch. Raises Cancelled within a layer."""
        model, info = self.model, self.model.info
        model.adapt_threads(self.batch.tokens.numel())

        def stream(layer: int) -> Callable[..., None]:
            def hook(value: Any, hook: object) -> None:  # noqa: ARG001  # TransformerLens passes it by name
                if isinstance(value, Tensor):
                    self._streams[layer] = self._own(value).norm(dim=-1)

            return hook

        def pattern(layer: int) -> Callable[..., None]:
            def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001
                if monitor.cancelled():
                    raise Cancelled
                self._patterns[layer] = self._own(value)

            return hook

        def z(layer: int) -> Callable[..., None]:
            # Bound here: hook_z is an alias, and its hook is called under another name (blocks.N.attn.o.hook_in).
            def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001
                found = self._own(value.view(*value.shape[:2], info.n_heads, -1))
                if layer in model.contributions.gains:
                    self._waiting[layer] = found  # until the norm after attention has run
                else:
                    self.heads(layer, self._patterns.pop(layer), found)

            return hook

        def factor(layer: int, value: Float[Tensor, "row position"]) -> None:
            found = self._waiting.pop(layer) * value.to(model.device)[:, :, None, None]
            self.heads(layer, self._patterns.pop(layer), found)

        def mlp(layer: int) -> Callable[..., None]:
            def hook(value: Tensor, hook: object) -> None:  # noqa: ARG001
                self.mlp(layer, self._own(value))

            return hook

        def only_last(value: Tensor, hook: object) -> Tensor:  # noqa: ARG001
            return value[:, -1:]  # no logits are needed

        layers = range(info.n_layers)
        hooks = [(f"blocks.{layer}.hook_in", stream(layer)) for layer in layers]
        hooks += [(f"blocks.{layer}.attn.hook_pattern", pattern(layer)) for layer in layers]
        hooks += [(f"blocks.{layer}.attn.hook_z", z(layer)) for layer in layers]
        hooks += model.contributions.position_hooks(factor)
        if not model.mlps.missing:
            hooks += [(model.mlps.hook(layer), mlp(layer)) for layer in layers]
        hooks += self.more_hooks()
        with torch.inference_mode(), model.lengths.of(self.batch.lengths):
            model.bridge.run_with_hooks(
                self.batch.tokens, fwd_hooks=[*hooks, (READOUT, only_last)], return_type="logits"
            )
        for layer in self._streams:
            self.state["streams"][layer] = 1

    def more_hooks(self) -> list[tuple[str, Callable[..., Any]]]:
        """Return further hooks."""
        return []

    def heads(
        self, layer: int, pattern: Float[Tensor, "row head query key"], z: Float[Tensor, "row position head d_head"]
    ) -> None:
        """Add a layer's heads."""
        self.sums.attention(layer, pattern)
        norms = self.norms(layer, z)
        self.sums.written(layer, slice(0, norms.shape[-1]), norms, self._streams.get(layer))
        if self._readout is not None:
            written = torch.einsum("rqhd,hdm->rqhm", z[:, self._places], self.weight(layer))
            logits = torch.einsum("rqhm,rmk->rqhk", written, self._readout)
            self.sums.copied(layer, pattern, logits, self._places)
        self.seen(layer, norms, pattern, z)

    def seen(
        self,
        layer: int,
        norms: Float[Tensor, "row position head"],
        pattern: Float[Tensor, "row head query key"],
        z: Float[Tensor, "row position head d_head"],
    ) -> None:
        """Keep more of a layer's heads; nothing by default."""

    def mlp(self, layer: int, output: Float[Tensor, "row position d_model"]) -> None:
        """Add a layer's MLP."""
        self.sums.written(layer, slice(-1, None), output.norm(dim=-1)[:, :, None], self._streams.get(layer))

    def norms(self, layer: int, z: Float[Tensor, "row position head d_head"]) -> Float[Tensor, "row position head"]:
        """Return the length of what each head writes: of z W_O, without computing it at every position."""
        weight = self.weight(layer)
        gram = weight @ weight.transpose(1, 2)
        squares = torch.einsum("rphd,hde,rphe->rph", z, gram, z)
        return squares.clamp(min=0).sqrt()

    def weight(self, layer: int) -> Float[Tensor, "head _ d_model"]:
        return self._weights[layer].float()

    def _row_readout(self) -> Float[Tensor, "row d_model key"] | None:
        """Return the direction of each key's token in the stream, through the final norm's gain and the unembedding."""
        directions = self.model.directions
        matrix, _ = unembedding(self.model.bridge)
        if directions.why_not or matrix is None:
            return None
        found = matrix.to(self.model.device)[:, self.batch.tokens].float().transpose(0, 1)
        found = found * directions.gain.to(self.model.device)[None, :, None]
        return found - found.mean(dim=1, keepdim=True) if directions.centred else found

    def _own(self, value: Tensor) -> Tensor:
        return value.detach().to(self.model.device, torch.float32)


class EndReader(BatchReader):
    """Also keeps the attention of each row's last token, for prompts."""

    def __init__(
        self, model: Model, state: State, batch: TokenBatch, weights: Sequence[Float[Tensor, "head _ d_model"]]
    ) -> None:
        super().__init__(model, state, batch, weights, copy_every=1)
        shortest = int(batch.lengths.min())
        rows = torch.arange(len(batch.lengths), device=model.device)[:, None]
        self._from_end = (batch.lengths - 1)[:, None] - torch.arange(shortest, device=model.device)
        self._last = (rows, (batch.lengths - 1)[:, None])
        self.at_end: dict[int, Float[Tensor, "head from_end"]] = {}
        """By layer: the sum over the rows."""

    def seen(
        self,
        layer: int,
        norms: Float[Tensor, "row position head"],  # noqa: ARG002
        pattern: Float[Tensor, "row head query key"],
        z: Float[Tensor, "row position head d_head"],  # noqa: ARG002
    ) -> None:
        rows, last = self._last
        self.at_end[layer] = pattern[rows, :, last, self._from_end].sum(dim=0).T.cpu()


class TextReader(BatchReader):
    """Also keeps contexts, what is copied, and the tokens that heads attend to."""

    def __init__(
        self,
        model: Model,
        state: State,
        batch: TokenBatch,
        weights: Sequence[Float[Tensor, "head _ d_model"]],
        distinct: Int[Tensor, " token"],
    ) -> None:
        super().__init__(model, state, batch, weights, COPY_EVERY)
        self._rows = torch.zeros(0, dtype=torch.int64)
        own = torch.arange(batch.tokens.shape[1], device=model.device) < batch.lengths[:, None]
        self._own_keys = own.flatten().cpu()
        self._key_tokens = torch.searchsorted(distinct, batch.tokens.flatten().cpu()[self._own_keys])
        state["even"].index_add_(0, self._key_tokens, batch.masks.even().flatten().cpu()[self._own_keys])
        state["occurrences"].index_add_(0, self._key_tokens, torch.ones(len(self._key_tokens)))

    def follow(self, rows: list[int], sampled: dict[int, tuple[int, int]]) -> None:
        """Say which passages the rows are, and at which position of which passage samples are taken."""
        self._rows = torch.tensor(rows)
        there = {place: sampled[row] for place, row in enumerate(rows) if row in sampled}
        self._contexts = BatchContexts(self.state, self.batch.masks, self._rows, there)

    def more_hooks(self) -> list[tuple[str, Callable[..., Any]]]:
        if NORM_SCALE not in self.model.bridge.hook_dict:
            return []  # a model may have no final norm

        def keep(value: Tensor, hook: object) -> None:  # noqa: ARG001
            scale = self._own(value).flatten(1).cpu()
            self.state["scale"][self._rows, : scale.shape[1]] = scale

        return [(NORM_SCALE, keep)]

    def seen(
        self,
        layer: int,
        norms: Float[Tensor, "row position head"],
        pattern: Float[Tensor, "row head query key"],
        z: Float[Tensor, "row position head d_head"],
    ) -> None:
        received = self.sums.received(pattern).transpose(0, 1).flatten(1).cpu()
        self.state["received"][layer].index_add_(1, self._key_tokens, received[:, self._own_keys])
        self._contexts.heads(layer, norms, pattern, z)

    def mlp(self, layer: int, output: Float[Tensor, "row position d_model"]) -> None:
        super().mlp(layer, output)
        self._contexts.mlp(layer, output.norm(dim=-1), output)


def _batches(model: Model, passages: Passages) -> list[tuple[bool, list[int]]]:
    """Return batches of passages of similar length, and True for those of random tokens, which come last."""
    most = _TOKENS_AT_ONCE.get(model.device.type, 4096)
    found = []
    for repeats, prompts in ((False, passages.text), (True, passages.random)):
        rows: list[int] = []
        for row in sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), row)):
            if rows and (len(rows) + 1) * len(prompts[rows[0]]) > most:
                found.append((repeats, rows))
                rows = []
            rows.append(row)
        if rows:
            found.append((repeats, rows))
    return found


def _sample(passages: Passages) -> dict[int, tuple[int, int]]:
    """Return random positions, one a passage: by passage the sample's number and the position."""
    rng = random.Random("atlas")
    rows = [row for row, ids in enumerate(passages.text) if len(ids) > SKIPPED]
    chosen = rng.sample(rows, min(SAMPLED, len(rows)))
    return {row: (number, rng.randrange(SKIPPED, len(passages.text[row]))) for number, row in enumerate(chosen)}
