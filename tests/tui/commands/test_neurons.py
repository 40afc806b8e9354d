"""`headcode neurons`, `headcode neuron` and the grid over a real host and worker."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import ConfigError
from tui.commands.neurons import read_mlp, read_neuron, read_neurons

QUICK = ("--steps", "5", "--shuffles", "0", "--seeds", "1", "-q")


def test_neurons_of_a_run_and_of_a_model(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "ioi", "--pairs", "4", "--name", "n", *QUICK).code == 0
    ran = at_home("neurons", "n/1", "m2", "--json", "--exact", "2", "--example", "2")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["schema"], found["node"], found["example"]) == ("headcode.neurons/1", "m2", 2)
    assert len(found["neurons"]) >= 100
    assert [each["effect"] is not None for each in found["neurons"][:3]] == [True, True, False]
    assert len(found["neurons"][0]["activations"]) == len(found["tokens"])
    best = found["neurons"][0]["neuron"]

    ran = at_home("neurons", "n/1", "m2", "--neurons", f"{best}")
    assert ran.code == 0, ran.err
    assert "1 of " in ran.out
    assert ran.out.splitlines()[-1].split()[0] == str(best)

    ran = at_home("neuron", "toy", f"2.{best}", "--json", "--prompt", "Mary went to")
    assert ran.code == 0, ran.err
    one = json.loads(ran.out)
    assert (one["schema"], one["layer"], one["neuron"]) == ("headcode.neuron/1", 2, best)
    assert "".join(one["prompt"]["tokens"]).endswith("Mary went to")
    ran = at_home("neuron", "toy", f"2.{best}", "--prompt", "Mary went to")
    assert one["raises"][0][0].strip() in ran.out
    assert " went" in ran.out
    half = json.loads(at_home("neuron", "toy", f"2.{best}", "--json", "--dtype", "bfloat16").out)
    assert half["raises"][0][1] != one["raises"][0][1]
    assert abs(half["raises"][0][1] - one["raises"][0][1]) < 0.02 * one["raises"][0][1]

    for words, named in (
        (("neuron", "toy", "2.99999"), "2.99999"),
        (("neuron", "toy", "9.9"), "'9.9'"),
        (("neuron", "toy", "m2"), "'m2'"),
        (("neuron", "toy", "1.1", "--dtype", "int4"), "int4"),
        (("neuron", "nomodel", "1.1"), "nomodel"),
        (("neuron", "toy", "1.1", "--prompt", " "), "--prompt"),
        (("neurons", "n/1", "1.2"), "'1.2'"),
        (("neurons", "n/1", "m9"), "m9"),
        (("neurons", "n/1", "m1", "--example", "99"), "no example 99"),
        (("neurons", "n/1", "m1", "--top", "0"), "--top 0"),
        (("neurons", "n/9", "m1"), "no run 9"),
    ):
        ran = at_home(*words)
        assert (ran.code, named in ran.err, "hint:" in ran.err) == (2, True, True), (words, ran.err)


def test_the_grid_of_a_run(at_home: Callable[..., Any]) -> None:
    assert at_home("probe", "ioi", "--pairs", "4", "--name", "g", *QUICK).code == 0
    ran = at_home("places", "g/1", "grid", "--json", "--examples", "2")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["schema"] == "headcode.grid/1"
    assert set(found["grid"]) == {"stream", "attention", "mlp"}
    last = found["grid"]["stream"][-1]["places"][-1]
    assert last["from_end"] == 0
    # The last layer's input at the last position holds most of the answer.
    assert abs(last["effect"]) > 0.5 * sum(each["base"] for each in found["prompts"]) / 2
    ran = at_home("places", "g/1", "grid", "--examples", "2")
    assert ran.code == 0, ran.err
    assert [line for line in ran.out.splitlines() if line.startswith(("stream", "attention", "MLPs"))]
    assert "-1" in ran.out


def test_what_is_written_is_read_or_named() -> None:
    assert (read_mlp("m12"), read_neuron("8.1023"), read_neurons("3, 4,3")) == (12, (8, 1023), (3, 4))
    assert read_neurons(None) == ()
    for read, text in ((read_mlp, "8.1"), (read_neuron, "emb"), (read_neurons, "3,x"), (read_neurons, " ")):
        with pytest.raises(ConfigError) as refused:
            read(text)
        assert refused.value.hint
