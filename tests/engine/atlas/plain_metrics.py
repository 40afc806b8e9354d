"""The atlas's metrics computed a second time: transformers' own attention, and loops over queries and keys."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


class PlainPass:
    """One passage through transformers' own model, eager attention, without TransformerLens's hooks."""

    def __init__(self, original: Any, ids: Sequence[int], projections: Sequence[Any]) -> None:
        """`projections`: each layer's output projection, whose input is all heads' z."""
        seen: list[Tensor] = [torch.zeros(0)] * len(projections)
        patterns: list[Tensor] = [torch.zeros(0)] * len(projections)

        def keep(layer: int) -> Callable[..., None]:
            def hook(module: Any, given: tuple[Tensor, ...]) -> None:  # noqa: ARG001
                seen[layer] = given[0][0].detach().double()

            return hook

        handles = [each.register_forward_pre_hook(keep(layer)) for layer, each in enumerate(projections)]
        try:
            with torch.no_grad():
                out = original(
                    torch.tensor([list(ids)]), output_attentions=True, output_hidden_states=True, use_cache=False
                )
        finally:
            for each in handles:
                each.remove()
        patterns = [each[0].double() for each in out.attentions]
        self.ids, self.z, self.patterns = list(ids), seen, patterns
        self.streams = [each[0].double() for each in out.hidden_states]


def attention_metrics(passes: Sequence[PlainPass], layer: int, head: int) -> dict[str, float]:
    """Means over all queries that have two tokens before them."""
    sums: dict[str, float] = dict.fromkeys(("previous", "first", "itself", "entropy", "far", "mass"), 0.0)
    n, duplicates, inductions = 0, [], []
    for one in passes:
        pattern = one.patterns[layer][head].tolist()
        for query in range(2, len(one.ids)):
            row = pattern[query]
            n += 1
            sums["previous"] += row[query - 1]
            sums["first"] += row[0]
            sums["itself"] += row[query]
            sums["entropy"] -= sum(each * math.log(each) for each in row[: query + 1] if each > 0)
            sums["far"] += sum(row[key] * (query - key) for key in range(1, query + 1))
            sums["mass"] += sum(row[key] for key in range(1, query + 1))
            same = [key for key in range(1, query) if one.ids[key] == one.ids[query]]
            after = [key for key in range(1, query) if one.ids[key - 1] == one.ids[query]]
            if same:
                duplicates.append(sum(row[key] for key in same))
            if after:
                inductions.append(sum(row[key] for key in after))
    found = {name: sums[name] / n for name in ("previous", "first", "itself", "entropy")}
    found["offset"] = sums["far"] / sums["mass"]
    if duplicates:
        found["duplicate_text"] = sum(duplicates) / len(duplicates)
    if inductions:
        found["induction_text"] = sum(inductions) / len(inductions)
    return found


def written_metrics(passes: Sequence[PlainPass], layer: int, head: int, matrix: Tensor) -> dict[str, float]:
    """`matrix`: the head's part of the output projection, [d_head, d_model]."""
    norms, shares = [], []
    width = len(matrix)
    for one in passes:
        written = one.z[layer][:, head * width : (head + 1) * width] @ matrix.double()
        for query in range(2, len(one.ids)):
            norm = float(written[query].norm())
            norms.append(norm)
            shares.append(norm / float(one.streams[layer][query].norm()))
    return {"norm": sum(norms) / len(norms), "share": sum(shares) / len(shares)}


def copying(
    passes: Sequence[PlainPass], layer: int, head: int, matrix: Tensor, gain: Tensor, unembed: Tensor, *, centred: bool
) -> float:
    """How high attended tokens stand among the passage's by the head's direct logits, at every eighth position."""
    above = weight = 0.0
    width = len(matrix)
    for one in passes:
        directions = unembed.double()[:, one.ids] * gain.double()[:, None]
        if centred:
            directions = directions - directions.mean(dim=0, keepdim=True)
        written = one.z[layer][:, head * width : (head + 1) * width] @ matrix.double()
        for query in range(7, len(one.ids), 8):
            logits = (written[query] @ directions).tolist()
            own = logits[1:]
            mean = sum(own) / len(own)
            spread = math.sqrt(sum((each - mean) ** 2 for each in own) / len(own))
            for key in range(1, query):
                attention = float(one.patterns[layer][head, query, key])
                above += attention * (logits[key] - mean) / spread
                weight += attention
    return above / weight
