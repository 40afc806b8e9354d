"""`headcode places` over a real host and worker, on a model whose circuit was written by hand."""

import json
from collections.abc import Callable
from typing import Any

from engine.planted import PLANTED

QUICK = ("--steps", "5", "--shuffles", "0", "--seeds", "1", "-q")


def test_a_planted_head_matters_where_it_was_planted_to(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "planted-ioi", "--pairs", "4", "--name", "p", *QUICK).code == 0
    heads = PLANTED["planted-ioi"].circuit("ioi").heads
    layer, number = max(heads)  # the last writes the answer, at the prompt's end
    ran = at_home("places", "p/1", f"{layer}.{number}", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["schema"], found["node"], found["replacement"]) == ("headcode.places/1", f"{layer}.{number}", "pair")
    sizes = [abs(each["effect"]) for each in found["places"]]
    assert sizes[-1] > 0.1
    assert max(sizes[:-1]) < 0.01 * sizes[-1]
    assert [each["from_end"] for each in found["places"]] == [*reversed(range(len(found["places"])))]
    assert len(found["prompts"]) == 4
    assert all(len(each["tokens"]) == len(each["effects"]) == len(each["other"]) for each in found["prompts"])

    ran = at_home("places", "p/1", f"{layer}.{number}", "--prompts", "--metric", "kl", "--replace", "zero")
    assert ran.code == 0, ran.err
    assert "KL divergence" in ran.out
    assert "by zero" in ran.out
    assert ran.out.count("example ") == 4

    ran = at_home("places", "p/1", "77.1")
    assert (ran.code, "77.1" in ran.err, "hint:" in ran.err) == (2, True, True)
    ran = at_home("places", "p/1", "emb", "--metric", "luck")
    assert (ran.code, "'luck'" in ran.err, "logit_difference" in ran.err) == (2, True, True)
