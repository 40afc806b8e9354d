"""`headcode specificity` over a real host and worker."""

import json
from collections.abc import Callable
from typing import Any

QUICK = ("--steps", "5", "--shuffles", "0", "--seeds", "1", "-q")


def test_a_circuit_is_removed_from_every_task_that_the_model_can_do(at_home: Callable[..., Any]) -> None:
    ran = at_home("probe", "ioi", "--pairs", "4", "--nodes", "heads", "--name", "s", *QUICK)
    assert ran.code == 0, ran.err
    ran = at_home("specificity", "s/1", "--pairs", "3", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["schema"], found["own"]["task"], found["own"]["pairs"]) == ("headcode.specificity/1", "ioi", 4)
    assert found["nodes"]
    assert {each["task"] for each in found["others"]} == {
        "docstring", "greater_than", "induction", "gendered_pronoun", "sequence_continuation",
    }  # fmt: skip
    assert set(found["left_out"]) == {"addition", "facts", "identifier_swap"}

    ran = at_home("specificity", "s/1", "--heads", "0.5,m1", "--pairs", "3", "--replace", "zero")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("toy without 0.5 m1")
    assert "left out: addition: toy can do 0 of" in ran.out
    assert "arXiv:2310.08744" in ran.out

    ran = at_home("specificity", "s/1", "--heads", "0.5,m9")
    assert (ran.code, "m9" in ran.err) == (2, True)
    ran = at_home("specificity", "s/1", "--pairs", "0")
    assert (ran.code, "pairs=0" in ran.err) == (2, True)
    ran = at_home("specificity", "t/1")
    assert ran.code == 2
    assert "no session 't'" in ran.err
