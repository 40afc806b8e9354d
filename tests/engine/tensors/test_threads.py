"""The number of threads: measured, not guessed, and without influence on any result."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.config import EffectsConfig, ProbeConfig
from engine.events import EffectsMeasured, Scored
from engine.models.warm_model import WarmModel
from engine.protocol import RunProbe
from engine.tensors import threads
from engine.worker.pipeline import ProbeJob


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "_choice", None)
    yield
    torch.set_num_threads(before)


class Fixed:
    """A choice that is always the same."""

    def __init__(self, number: int) -> None:
        self.most, self._number = number, number

    def now(self) -> int:
        return self._number


def test_a_run_is_the_same_to_the_last_bit_with_any_number_of_threads(
    warm_model: WarmModel, tmp_path: Path, recorder: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ProbeConfig(cause=EffectsConfig(method="circuit", edges=True, gradient_steps=2))
    found = []
    for number in (1, 2):
        monkeypatch.setattr(threads, "_choice", Fixed(number))
        monkeypatch.setattr(threads, "_WORTH_SHARING", 0.0)  # all work is shared
        monitor, spool = recorder(lambda _: False), tmp_path / str(number)
        request = RunProbe(
            job="r",
            model="toy",
            config=config,
            spool=str(spool),
            models=str(tmp_path),
            activations="",
            task="ioi",
            pairs=4,
            device="cpu",
        )
        ProbeJob(request, warm_model, monitor).run()
        assert torch.get_num_threads() == number
        found.append((load_file(spool / "codes.safetensors")["codes"], load_file(spool / "sae.safetensors"), monitor))
    codes, saes, first = found[0]
    for other_codes, other_saes, other in found[1:]:
        assert torch.equal(codes, other_codes)
        assert all(torch.equal(saes[name], other_saes[name]) for name in saes)
        assert first.last(Scored).nodes == other.last(Scored).nodes
        assert first.last(EffectsMeasured).effects == other.last(EffectsMeasured).effects


def test_no_product_depends_on_the_number_of_threads() -> None:
    """Sums of 256 to 1,536 terms are those that MKL divides by default on Intel processors."""
    made = torch.Generator().manual_seed(0)
    for rows, inner, columns in itertools.product((1, 16, 120, 256), (64, 256, 576, 1536), (8, 64, 512, 1000)):
        left, right = torch.randn(rows, inner, generator=made), torch.randn(inner, columns, generator=made)
        found = []
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append((left @ right, torch.nn.functional.linear(left, right.T.contiguous())))
        assert torch.equal(found[0][0], found[1][0]), (rows, inner, columns)
        assert torch.equal(found[0][1], found[1][1]), (rows, inner, columns)


@pytest.mark.parametrize("intel", [False, True])
def test_half_precision_on_intel_takes_all_threads_whatever_else_runs(
    monkeypatch: pytest.MonkeyPatch, intel: bool
) -> None:
    monkeypatch.setattr(threads, "is_intel", lambda: intel)
    choice = Fixed(1)
    choice.most = 2
    monkeypatch.setattr(threads, "_choice", choice)
    threads.adapt_threads(1e12, half=True)
    assert torch.get_num_threads() == (2 if intel else 1)
    threads.adapt_threads(1e12)
    assert torch.get_num_threads() == 1
    with threads.threads_for(1.0, half=True):
        assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("cost", "chosen"),
    [
        ({1: 1.0, 2: 0.5, 4: 0.3, 8: 0.2}, 8),  # an idle machine
        ({1: 1.0, 2: 0.6, 4: 0.5, 8: 4.0}, 4),  # half of it is busy
        ({1: 1.0, 2: 30.0, 4: 60.0, 8: 90.0}, 1),  # every core is busy
        ({1: 1.0, 2: 0.95, 4: 0.95, 8: 0.95}, 1),  # no gain
    ],
)
def test_the_fastest_number_is_chosen(cost: dict[int, float], chosen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def seconds(_left: torch.Tensor, _right: torch.Tensor, _made: torch.Tensor, number: int) -> float:
        asked.append(number)
        return cost[number]

    monkeypatch.setattr(threads, "_seconds", seconds)
    assert threads._fastest(8) == chosen
    slow = [number for number in cost if cost[number] > 10]
    assert all(asked.count(number) == 1 for number in slow), "what is far slower is not tried again"


def test_the_choice_is_made_again_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, answers = [0.0], [4, 1, 4]
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(threads, "_fastest", lambda _most: answers.pop(0))
    choice = threads.ThreadChoice(4)
    seen = []
    for clock[0] in (0.0, 1.0, 4.9, 5.0, 9.0, 10.1):
        seen.append(choice.now())
    assert seen == [4, 4, 4, 1, 1, 4]
    assert threads.ThreadChoice(1).now() == 1, "with one thread nothing is measured"
    assert not answers


def test_small_work_takes_one_thread_and_the_number_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(3)
    monkeypatch.setattr(threads, "_choice", Fixed(2))
    with threads.threads_for(1e6):
        assert torch.get_num_threads() == 1
        with threads.threads_for(1e12):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_a_measurement_leaves_the_number_as_it_was() -> None:
    torch.set_num_threads(2)
    assert threads.ThreadChoice(2).now() in (1, 2)
    assert torch.get_num_threads() == 2
