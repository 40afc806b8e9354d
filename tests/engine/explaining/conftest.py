"""A run on the bundled model: its examples, its autoencoder in a file, and its codes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file

from engine.capture.code_reader import CodeReader
from engine.capture.head_outputs import node_outputs, read_examples
from engine.catalog.recommended_config import resolve_config
from engine.config import DEFAULTS, ProbeConfig
from engine.events import SilentMonitor
from engine.examples import Example
from engine.models.loading import Model
from engine.sae.node_codes import NodeCodes
from engine.scoring.score_table import pair_rows


class FinishedRun(NamedTuple):
    model: Model
    examples: tuple[Example, ...]
    config: ProbeConfig
    sae: Path
    codes: torch.Tensor
    """[seed, example, node], as the run found them."""

    def reader(self, seed_index: int = 0) -> CodeReader:
        return CodeReader(self.model, self.examples, self.config, self.sae, seed_index, None, SilentMonitor())


@pytest.fixture
def finish(model: Model, tmp_path: Path) -> Callable[..., FinishedRun]:
    """Trains and codes as the pipeline does."""

    def go(examples: Sequence[Example], config: ProbeConfig = DEFAULTS) -> FinishedRun:
        config, pairs = resolve_config(config, "toy", tmp_path), pair_rows(examples)
        monitor: Any = SilentMonitor()
        with torch.no_grad():
            captured = read_examples(model, examples, config, monitor, None, pairs, config.nodes)
            outputs = node_outputs(model, captured, at_own_position=config.position == "mean")
            inputs = NodeCodes(outputs, pairs, model.layout(config.nodes), config)
        positive = torch.tensor([each.positive for each in examples])
        saes = inputs.train(torch.arange(len(examples)), positive, pairs, monitor, lambda _: None)
        save_file(saes.weights, tmp_path / "sae.safetensors")
        return FinishedRun(model, tuple(examples), config, tmp_path / "sae.safetensors", inputs.codes(saes))

    return go
