"""Kept keys and values: used under either of their names, and missed where they are left out."""

from typing import Any

import pytest
import torch
from transformers import DynamicCache

from engine.models.kv_cache import cache_argument, cache_error
from engine.models.loading import Model


@pytest.mark.parametrize("family", ["model", "grouped"])
def test_a_prompt_in_two_parts_answers_as_the_whole_does(family: str, request: Any) -> None:
    model: Model = request.getfixturevalue(family)
    tokens = torch.tensor([model.encode("When Mary and John went to the shop, John gave it to")[0]])
    assert cache_error(model.bridge, tokens, 5) < 1e-4


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_attention_takes_the_cache_under_either_name(name: str, grouped: Model) -> None:
    kept, (keys, values) = DynamicCache(), torch.randn(2, 1, 2, 5, 8)
    update = grouped.bridge.blocks[0].attn._update_kv_cache
    update(keys[:, :, :3], values[:, :, :3], **{name: kept})
    after = update(keys[:, :, 3:], values[:, :, 3:], **{name: kept})
    assert torch.equal(after[0], keys)
    assert torch.equal(after[1], values)


def test_a_bridge_that_leaves_the_cache_out_is_found_out(grouped: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in grouped.bridge.blocks:
        monkeypatch.setitem(vars(block.attn), "_update_kv_cache", lambda keys, values, **_: (keys, values))
    assert cache_error(grouped.bridge, torch.tensor([[5, 6, 7, 8, 9]]), 3) == float("inf")


def test_the_name_is_read_from_the_model() -> None:
    class Old:
        def forward(self, input_ids: Any, past_key_values: Any = None) -> None: ...

    class New:
        def forward(self, input_ids: Any, cache: Any = None) -> None: ...

    assert (cache_argument(Old()), cache_argument(New())) == ("past_key_values", "cache")
