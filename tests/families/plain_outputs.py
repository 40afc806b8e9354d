"""What the MLPs and the embedding of a model write and do, in plain transformers."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from engine.nodes import NodeId

from ..engine.plain import Plain

_MLPS = ("mlp.dense_4h_to_h", "mlp", "feed_forward", "block_sparse_moe", "ffn.down_proj", "ffn", "fc2", "output.dense")
"""Names of the module that ends a layer's MLP; BLOOM's and MPT's own modules add the stream to it."""
_ADDS_THE_STREAM = ("BloomMLP", "MptMLP")


class Outputs:
    """Reads and replaces what MLPs and the embedding write, with hooks of torch."""

    def __init__(self, plain: Plain) -> None:
        self.plain = plain
        self.mlps = [_mlp(layer) for layer in plain.layers]

    def added(self, ids: Sequence[int]) -> list[Tensor]:
        """What every layer's MLP adds to the stream: all that the layer adds less what its attention does."""
        streams: list[tuple[Tensor, Tensor]] = []

        def keep(_module: nn.Module, args: Any, named: dict[str, Any], out: Any) -> None:
            entering = (args[0] if args else named["hidden_states"]).clone()
            streams.append((entering[0], _first(out)[0].clone()))

        with _hooked([layer.register_forward_hook(keep, with_kwargs=True) for layer in self.plain.layers]):
            self.plain.run(ids)
        attention = self.plain.added(ids)
        return [after - before - heads for (before, after), heads in zip(streams, attention, strict=True)]

    def read(self, ids: Sequence[int], node: NodeId) -> Tensor:
        """What the node writes, before anything that follows it: [1, position, width]."""
        seen: list[Tensor] = []
        with self._at(node, lambda value: seen.append(value.clone())):
            self.plain.run(ids)
        return seen[0]

    def effect(self, one: Sequence[int], other: Sequence[int], node: NodeId, answer: int, foil: int) -> float:
        """What the logit difference gains when the node writes what it writes on the other prompt."""
        there = self.read(other, node)
        clean, _ = self.plain.run(one)
        with self._at(node, lambda _value: there):
            patched, _ = self.plain.run(one)
        return float((patched[answer] - patched[foil]) - (clean[answer] - clean[foil]))

    def _at(self, node: NodeId, change: Callable[[Tensor], Tensor | None]) -> Any:
        def leaving(_module: nn.Module, _args: Any, out: Any) -> Any:
            value = _first(out)
            instead = change(value)
            if instead is None:
                return None
            instead = instead.view(value.shape)
            return type(out)((instead, *out[1:])) if isinstance(out, tuple | list) else instead

        def entering(_module: nn.Module, args: Any, named: dict[str, Any]) -> Any:
            instead = change(args[0] if args else named["hidden_states"])
            if instead is None:
                return None
            return ((instead, *args[1:]), named) if args else (args, {**named, "hidden_states": instead})

        if node.kind == "embedding":
            return _hooked([self.plain.layers[0].register_forward_pre_hook(entering, with_kwargs=True)])
        return _hooked([self.mlps[node.layer].register_forward_hook(leaving)])


def _mlp(layer: nn.Module) -> nn.Module:
    for name in _MLPS:
        try:
            found = layer.get_submodule(name)
        except AttributeError:
            continue
        if name.startswith("mlp.") and type(layer.get_submodule("mlp")).__name__ not in _ADDS_THE_STREAM:
            continue
        return found
    raise AssertionError(f"{type(layer).__name__} has no MLP that is known here")


def _first(out: Any) -> Tensor:
    value = out[0] if isinstance(out, tuple | list) else out
    return value if value.dim() == 3 else value[None]


@contextmanager
def _hooked(handles: list[Any]) -> Any:
    with ExitStack() as stack:
        for handle in handles:
            stack.callback(handle.remove)
        yield
