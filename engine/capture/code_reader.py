"""The codes of a finished run on other prompts: exactly what the run would have given them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.capture.head_outputs import node_outputs, read_examples
from engine.capture.node_reading import NodeReader, NodesRead
from engine.capture.prompts import position_weights
from engine.config import ProbeConfig
from engine.errors import Cancelled, EngineError, ModelError
from engine.events import Monitor
from engine.examples import Example
from engine.models.loading import Model
from engine.nodes import NodeId
from engine.sae.codes import discretise
from engine.sae.frozen_input import FrozenInput, latents_of
from engine.sae.node_codes import EMBEDDING_ROWS
from engine.scoring.score_table import pair_rows

_AT_ONCE = 256
"""Rows whose z of all layers is in memory together."""
_AGAIN = "Run the probe again to save new ones."


class TokenPair(msgspec.Struct, frozen=True):
    """A prompt in tokens, and the prompt that it is compared with; None: it is read by itself."""

    own: tuple[int, ...]
    other: tuple[int, ...] | None = None


class CodeReader:
    """Reads the codes of a run's nodes on prompts that were not in it, under one seed.

    Where the run contrasted pairs, a code belongs to a prompt and its pair: both are read.
    """

    def __init__(
        self,
        model: Model,
        examples: Sequence[Example],
        config: ProbeConfig,
        sae: Path,
        seed_index: int,
        activations: Path | None,
        monitor: Monitor,
    ) -> None:
        """Read the run's own examples (from the cache where possible): they decide means and scale.

        Raises EngineError for SAE weights that cannot be read or belong to another model, Cancelled.
        """
        self.model, self.config = model, config
        self.monitor: Monitor = monitor
        """Whether what is being read is still wanted."""
        self.layout = model.layout(config.nodes)
        pairs = pair_rows(examples)
        captured = read_examples(model, examples, config, monitor, activations, pairs, config.nodes)
        outputs = node_outputs(model, captured, at_own_position=config.position == "mean")
        pairs = pairs.to(outputs.heads.device)
        self._frozen = {
            True: FrozenInput.of(outputs.heads, pairs, self.layout.n_heads, config.sae, outputs.heads_apart)
        }
        if outputs.others is not None:
            self._frozen[False] = FrozenInput.of(
                outputs.others, pairs, 1, config.sae, outputs.others_apart, uncounted=EMBEDDING_ROWS
            )
        self.pairs_needed = self._frozen[True].whole or (len(pairs) > 0 and config.sae.recipe == "contrast")
        """True if a prompt has a code only beside its pair."""
        self._weights = {is_head: _weights(sae, prefix, seed_index) for is_head, prefix in self._prefixes()}
        width = self._weights[True][0].shape[1]
        if width != model.info.d_model:
            raise EngineError(
                f"The SAE of this run is {width} wide and {model.info.name} {model.info.d_model}.", hint=_AGAIN
            )

        self._output_weights = model.output_weights

    def _prefixes(self) -> list[tuple[bool, str]]:
        return [(is_head, "" if is_head else "others.") for is_head in self._frozen]

    def n_codes(self, node: NodeId) -> int:
        return len(self._weights[node.is_head][0])

    def direction(self, node: NodeId, code: int) -> Float[Tensor, " d_model"]:
        """Return the direction that the code is read by: its row of the encoder."""
        return self._weights[node.is_head][0][code].to(self.model.device)

    def codes(
        self, pairs: Sequence[TokenPair], nodes: Sequence[NodeId]
    ) -> tuple[Int[Tensor, "pair node"], Float[Tensor, "pair node"]]:
        """Return the code of each node on the own side of each pair, and its latent. Raises ModelError, Cancelled."""
        codes, latents = [torch.zeros(0, len(nodes), dtype=torch.int64)], [torch.zeros(0, len(nodes))]
        for found in self._read(pairs, nodes):
            codes.append(torch.stack([discretise(each) for each in found], dim=1))
            latents.append(torch.stack([each.amax(dim=1) for each in found], dim=1))
        return torch.cat(codes), torch.cat(latents)

    def latents(self, pairs: Sequence[TokenPair], node: NodeId) -> Float[Tensor, "pair latent"]:
        """Return the latents of one node on the own side of each pair. Raises ModelError, Cancelled."""
        blocks = [found[0] for found in self._read(pairs, [node])]
        return torch.cat(blocks) if blocks else torch.zeros(0, self.n_codes(node))

    def _read(
        self, pairs: Sequence[TokenPair], nodes: Sequence[NodeId]
    ) -> Iterator[list[Float[Tensor, "pair latent"]]]:
        """Yield the latents of each node, block by block of pairs, on the CPU."""
        for begin in range(0, len(pairs), _AT_ONCE):
            some = pairs[begin : begin + _AT_ONCE]
            if self.monitor.cancelled():
                raise Cancelled
            with torch.inference_mode():
                yield self._block(some, nodes)

    def _block(self, pairs: Sequence[TokenPair], nodes: Sequence[NodeId]) -> list[Float[Tensor, "pair latent"]]:
        alone = next((each for each in pairs if each.other is None), None)
        if alone is not None and self._frozen[True].whole:
            raise ModelError("This run contrasts pairs: a prompt without its pair has no code.", hint="Give both.")
        prompts: dict[tuple[int, ...], int] = {}
        for pair in pairs:
            for side in (pair.own, pair.other):
                if side is not None:
                    prompts.setdefault(side, len(prompts))
        whole = self._frozen[True].whole
        # The difference of a pair is read once for both of its sides.
        wanted: dict[tuple[int, int], int] = {}
        sides = [(prompts[pair.own], prompts[pair.other or pair.own]) for pair in pairs]
        for pair, (first, second) in zip(pairs, sides, strict=True):
            if pair.other is not None:
                wanted.setdefault((min(first, second), max(first, second)), len(wanted))
        reading = NodeReader(self.model, nodes, self._output_weights, self.monitor)
        texts = list(prompts)
        if whole:
            read = reading.differences(texts, list(wanted))
        else:
            read = reading.pooled(texts, [self._position_weights(each) for each in texts])
        own, other = (torch.tensor(each) for each in zip(*sides, strict=True))
        paired = torch.tensor([pair.other is not None for pair in pairs])
        difference = torch.tensor([wanted.get((min(each), max(each)), -1) for each in sides])
        sign = torch.tensor([1.0 if first <= second else -1.0 for first, second in sides])[:, None]
        found = []
        for node in nodes:
            frozen = self._frozen[node.is_head]
            index = self.layout.index(node) - (0 if node.is_head else self.layout.n_heads_in_all)
            x = self._written(read, node)
            if whole:
                shown = frozen.of_differences(x[difference] * sign.to(x.device))
            elif bool(paired.any()):
                shown = frozen.of_pairs(index, x[own], x[other])
                if not bool(paired.all()):
                    shown = torch.where(paired[:, None].to(x.device), shown, frozen.of_singles(index, x[own]))
            else:
                shown = frozen.of_singles(index, x[own])
            encoder, threshold, bias = (each.to(shown.device) for each in self._weights[node.is_head])
            found.append(latents_of(encoder, threshold, bias, shown).cpu())
        return found

    def _written(self, read: NodesRead, node: NodeId) -> Float[Tensor, "row d_model"]:
        """Return what the node writes: z of a head through its matrix, an output as it is."""
        if not node.is_head:
            return read.outputs[:, 1 + node.layer].to(self.model.device)
        return read.z[:, node.layer, node.head].to(self.model.device) @ self._output_weights[node.layer, node.head]

    def _position_weights(self, ids: Sequence[int]) -> list[float]:
        before = len(self.model.tokens.before)
        own = [place >= before for place in range(len(ids))]
        return position_weights(self.model, 0, list(ids), own, self.config.position)


def _weights(path: Path, prefix: str, seed_index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return W_e, c and b of one seed. Raises EngineError."""
    try:
        with safe_open(str(path), framework="pt") as file:
            encoder, threshold, bias = (file.get_slice(prefix + name)[seed_index].float() for name in ("W_e", "c", "b"))
    except (OSError, SafetensorError, IndexError) as error:
        raise EngineError(f"The SAE weights of this run cannot be read: {error}.", hint=_AGAIN) from error
    return encoder, threshold, bias
