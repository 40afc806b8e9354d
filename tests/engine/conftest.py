"""One bundled model in memory for all engine tests of a process, and a monitor that keeps what it hears."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.catalog.local_models import bundled_folder
from engine.config import LoadOptions
from engine.events import Event
from engine.models.loading import Model, load_model
from engine.models.warm_model import WarmModel


class Recorder:
    """A Monitor that keeps every event and is cancelled on request."""

    def __init__(self, stop: Callable[[Event], bool] = lambda _: False) -> None:
        self.events: list[Event] = []
        self._stop_at = stop
        self._stopped = False

    def report(self, event: Event, /) -> None:
        self.events.append(event)
        self._stopped = self._stopped or self._stop_at(event)

    def cancelled(self) -> bool:
        return self._stopped

    def last(self, kind: type[Event]) -> Event:
        return [event for event in self.events if isinstance(event, kind)][-1]


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture(scope="session")
def warm_model() -> WarmModel:
    return WarmModel()


@pytest.fixture
def model(warm_model: WarmModel, tmp_path: Path) -> Model:
    torch.set_num_threads(1)
    return warm_model.take("toy", tmp_path, LoadOptions(device="cpu"))[0]


@pytest.fixture
def grouped(tmp_path: Path) -> Model:
    """A small random model whose four heads share two sets of keys and values, with rotary positions."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    tokenizer = AutoTokenizer.from_pretrained(str(bundled_folder()))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    folder = tmp_path / "grouped"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(str(folder), tmp_path, LoadOptions(device="cpu"))
