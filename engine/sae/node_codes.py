"""The codes of all nodes of a run: heads share one dictionary per seed, MLPs and the embedding another."""

from collections.abc import Callable

import msgspec
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.config import ProbeConfig, SAEConfig
from engine.events import Event, Monitor
from engine.nodes import NodeLayout
from engine.sae.autoencoder import SAEs
from engine.sae.contrast import to_half_width
from engine.sae.training import codes_of, prepare, train_saes

_FEWER_CODES = 4
"""MLPs are one node per layer, a ninth to a thirtieth of all: a quarter of the codes ranks them as well (docs/lab), and
training takes a tenth more than without them, not a sixth.
"""
EMBEDDING_ROWS = 1
"""It differs more within a pair than any MLP, and with few MLPs would set the length below which they are silent."""
Provisional = Callable[[Int[Tensor, "seed example node"]], None]


class NodeOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """What the nodes of a run write."""

    heads: Float[Tensor, "example head d_model"]
    """Heads of all layers."""
    heads_apart: Float[Tensor, "pair head d_model"] | None = None
    """Differences within a pair, each head at its own position (engine.capture.pair_position); None: not used."""
    others: Float[Tensor, "example output d_model"] | None = None
    """The embedding and the MLPs; None: heads are the only nodes."""
    others_apart: Float[Tensor, "pair output d_model"] | None = None

    @property
    def whole(self) -> Float[Tensor, "example node d_model"]:
        """All nodes, in the order of NodeLayout."""
        return self.heads if self.others is None else torch.cat([self.heads, self.others], dim=1)


class NodeSAEs(msgspec.Struct, frozen=True, kw_only=True):
    """The SAEs of a run."""

    heads: SAEs
    others: SAEs | None = None

    @property
    def diverged(self) -> bool:
        return self.heads.diverged or (self.others is not None and self.others.diverged)

    @property
    def weights(self) -> dict[str, Tensor]:
        """All weights by name, for a file (docs/method.md 3); those of MLPs and embedding begin with `others.`."""
        named = {"": self.heads} | ({} if self.others is None else {"others.": self.others})
        return {
            prefix + name: weight.cpu().contiguous()
            for prefix, saes in named.items()
            for name, weight in (
                ("W_e", saes.encoder),
                ("W_d_T", saes.decoder),
                ("c", saes.threshold),
                ("b", saes.bias),
            )
        }


class NodeCodes:
    """The SAEs' inputs of a run, made of what its nodes write; trains SAEs on them and reads the codes.

    MLPs write longer vectors than heads and of another kind. In a dictionary of their own they rank better than in the
    heads' (docs/lab), and the heads' codes are the same with and without them.
    """

    def __init__(
        self, outputs: NodeOutputs, pairs: Int[Tensor, "pair side"], layout: NodeLayout, config: ProbeConfig
    ) -> None:
        self.layout, self.config = layout, config
        heads, apart, others = outputs.heads, outputs.heads_apart, outputs.others
        pairs = pairs.to(heads.device)
        self._heads = prepare(heads, pairs, layout.n_heads, config.sae, apart)
        self._others = None
        if others is not None:
            self._others = prepare(others, pairs, 1, config.sae, outputs.others_apart, uncounted=EMBEDDING_ROWS)
        contrast = msgspec.structs.replace(config.sae, recipe="contrast")
        if config.sae.recipe == "contrast":
            lengths = [self._heads.norm(dim=-1)]
        else:
            lengths = [prepare(heads, pairs, layout.n_heads, contrast, apart).norm(dim=-1)]
        if others is not None:
            # In the unit of the heads' lengths: each dictionary's input has a scale of its own.
            unit = _scale(heads, pairs, layout.n_heads, contrast, apart)
            plain = msgspec.structs.replace(contrast, scale=False)
            lengths.append(prepare(others, pairs, 1, plain, outputs.others_apart).norm(dim=-1) * unit)
        self.length: Float[Tensor, "example node"] = torch.cat(lengths, dim=1)
        """The length of each node's contrast on each example."""

    def train(
        self,
        rows: Int[Tensor, " counted"],
        positive: Bool[Tensor, " counted"],
        pairs: Int[Tensor, "pair side"],
        monitor: Monitor,
        provisional: Provisional,
    ) -> NodeSAEs:
        """Train on these rows of the examples and report the heads' loss. `pairs`: counted within the rows.

        `provisional` is called with the codes of those rows from time to time. Raises Cancelled.
        """
        others = None if self._others is None else _taken(self._others, rows)
        saes = rest = None
        if others is not None:
            sae = msgspec.structs.replace(self.config.sae, n_codes=max(2, self.config.sae.n_codes // _FEWER_CODES))
            config = msgspec.structs.replace(self.config, sae=sae)
            saes = train_saes(others, positive, config, _OnlyCancels(monitor), lambda _: None, pairs)
            rest = codes_of(saes, others)

        def more(codes: Int[Tensor, "seed example head"]) -> None:
            provisional(codes if rest is None else torch.cat([codes, rest], dim=2))

        heads = _taken(self._heads, rows)
        return NodeSAEs(heads=train_saes(heads, positive, self.config, monitor, more, pairs), others=saes)

    def codes(self, saes: NodeSAEs) -> Int[Tensor, "seed example node"]:
        """Return every seed's code for every node on every example, on the CPU."""
        heads = codes_of(saes.heads, self._heads)
        if saes.others is None or self._others is None:
            return heads
        return torch.cat([heads, codes_of(saes.others, self._others)], dim=2)


def _taken(x: Float[Tensor, "example node d_model"], rows: Int[Tensor, " counted"]) -> Tensor:
    return x if len(rows) == len(x) else x[rows.to(x.device)]  # a copy may be gigabytes


def _scale(
    heads: Float[Tensor, "example head d_model"],
    pairs: Int[Tensor, "pair side"],
    n_heads: int,
    config: SAEConfig,
    apart: Float[Tensor, "pair head d_model"] | None,
) -> float:
    """Return the factor between the heads' contrasts and what their SAE reads."""
    if not config.scale:
        return 1.0
    return to_half_width(prepare(heads, pairs, n_heads, msgspec.structs.replace(config, scale=False), apart))


class _OnlyCancels:
    """A monitor that drops events and passes on cancellation."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def report(self, event: Event, /) -> None:
        """Drop the event."""

    def cancelled(self) -> bool:
        return self._monitor.cancelled()
