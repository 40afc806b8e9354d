"""The engine for scripts and notebooks: a model, its activations, a run's codes (docs/api.md).

These names stay; other modules may change from version to version. The model's `bridge` is TransformerLens's
TransformerBridge, so everything that TransformerLens can do can be done with it.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load as read_tensors
from torch import Tensor

from engine.authoring.distinct_pairs import duplicate_rows
from engine.capture.head_outputs import HeadOutputs, head_outputs, node_outputs
from engine.capture.head_outputs import read_examples as capture
from engine.capture.prompts import answers_of
from engine.catalog.recommended_config import resolve_config
from engine.config import DEFAULTS, Dtype, LoadOptions, PatchingMetric, ProbeConfig
from engine.errors import ConfigError, ExampleError
from engine.events import SilentMonitor
from engine.examples import Example, check_set, read_jsonl, write_jsonl
from engine.machine.folders import find_folders
from engine.models.loading import Model, load_model
from engine.nodes import NodeId, NodeLayout
from engine.patching.metrics import AnswerMetric, can_measure
from engine.sae.node_codes import NodeCodes
from engine.scoring.score_table import pair_rows
from engine.tasks.registry import find_task

_CODES = "codes"
_MOST_BYTES = 1 << 30
"""Of codes read from a bundle."""


def load(name: str = "toy", *, device: str = "auto", dtype: Dtype = "auto") -> Model:
    """Return the model of that name (`headcode models list`), folder or hub name, in evaluation mode.

    Raises ModelError, and ConfigError for a device that is not there.
    """
    return load_model(name, find_folders().models, LoadOptions(device=device, dtype=dtype))


def task_examples(model: Model, task: str, *, pairs: int, seed: int = 0) -> tuple[Example, ...]:
    """Return the examples of a ready-made task for this model's tokenizer. Raises TaskError."""
    return find_task(task).make(model, pairs=pairs, seed=seed)


def activations(model: Model, examples: Sequence[Example], config: ProbeConfig = DEFAULTS) -> HeadOutputs:
    """Return what a run reads of the model on these examples: `z` is [example, layer, head, d_head].

    Pooled over the prompt's tokens by the config's position policy. Nothing is cached. Raises ExampleError.
    """
    with torch.inference_mode():
        return capture(model, examples, config, SilentMonitor(), None, pair_rows(examples), config.nodes)


def find_codes(
    model: Model, examples: Sequence[Example], config: ProbeConfig = DEFAULTS
) -> tuple[NodeLayout, Int[Tensor, "seed example node"]]:
    """Train the SAEs as a run does; return the order of the nodes and every node's code. -1: it writes too little.

    Only enabled examples count; those that repeat an earlier one are not trained on. Raises
    ExampleError for a set that cannot be compared.
    """
    examples = check_set(examples)
    config = resolve_config(config, model.info.name, find_folders().models)
    found, pairs, layout = activations(model, examples, config), pair_rows(examples), model.layout(config.nodes)
    outputs = node_outputs(model, found, at_own_position=config.position == "mean")
    inputs = NodeCodes(outputs, pairs, layout, config)
    repeats = duplicate_rows(examples, [tuple(model.encode(example.prompt)[0]) for example in examples])
    rows = [row for row in range(len(examples)) if row not in repeats]
    counted = [examples[row] for row in rows]
    positive = torch.tensor([example.positive for example in counted])
    saes = inputs.train(torch.tensor(rows), positive, pair_rows(counted), SilentMonitor(), lambda _: None)
    return layout, inputs.codes(saes)


def stored_codes(bundle: str | Path, run_id: str) -> Int[Tensor, "seed example node"]:
    """Return a run's codes from a bundle that `headcode export SESSION FILE.headcode` wrote.

    Nodes are in the order of NodeLayout.ids. Raises ConfigError if the bundle has none of that run.
    """
    name = f"{_CODES}/{run_id}.safetensors"
    try:
        with zipfile.ZipFile(bundle) as archive:
            if archive.getinfo(name).file_size > _MOST_BYTES:
                raise ConfigError(f"The codes of run {run_id} in {bundle} are larger than 1 GiB.")
            return read_tensors(archive.read(name))[_CODES]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{bundle} has no codes of run {run_id}: {error}.",
            hint="Write it with headcode export SESSION FILE.headcode.",
        ) from error


def answer(
    model: Model,
    logits: Float[Tensor, "1 position token"],
    example: Example,
    metric: PatchingMetric = "logit_difference",
) -> float:
    """Return the metric of one prompt's answer, from the logits of `model.bridge(tokens)` without padding.

    logit_difference, log_probability or probability_mass, as effects are measured by. Raises ExampleError if the
    example lacks the answers for it.
    """
    answers = answers_of(model, example)
    if metric in ("auto", "kl") or not can_measure(metric, answers):
        raise ExampleError(
            f"{metric} cannot be measured on {example.prompt[:40]!r}.", hint="It needs answers of one token."
        )
    last = logits[:, -1].float()
    return float(AnswerMetric(metric, [answers], last)(last)[0])


def tokens(model: Model, prompt: str) -> Int[Tensor, "1 position"]:
    """Return the prompt's token ids as a run reads them, as a batch of one on the model's device."""
    return torch.tensor([model.encode(prompt)[0]], device=model.device)


__all__ = [
    "DEFAULTS",
    "Example",
    "HeadOutputs",
    "Model",
    "NodeId",
    "NodeLayout",
    "ProbeConfig",
    "activations",
    "answer",
    "find_codes",
    "head_outputs",
    "load",
    "pair_rows",
    "read_jsonl",
    "stored_codes",
    "task_examples",
    "tokens",
    "write_jsonl",
]
