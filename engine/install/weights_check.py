"""Whether a folder's settings and weights are one model: its skeleton, built without numbers, held against the files.

transformers knows how each family names its tensors and puts them together; so its own loader is asked, with tensors on
the meta device, which have a shape and no numbers. That takes some tenths of a second and no memory.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from engine.catalog.declared_shape import check_declared
from engine.catalog.safetensors_headers import TensorHeader, read_headers
from engine.errors import ModelError
from engine.install.load_report import LoadReport, load_report, some_of

_PARTS_A_TENSOR = 64
"""Modules that a skeleton may have for each tensor of the files: families have 2 to 5, experts kept together more."""
_FEW_PARTS = 10_000
_BUFFER_BYTES = 4 << 30
"""Of tables that no file holds (masks, positions): published models have some megabytes."""
_LAYER = re.compile(r"(?:^|\.)([^.\d][^.]*)\.(\d{1,9})(?=\.)")
_HINT = "Its settings and its weights are of different models, or one of them is damaged: get both from one place."


def check_agreement(folder: Path, name: str) -> None:
    """Returns when the settings in the folder are those of its weights, as far as shapes tell.

    Nothing of it is in memory afterwards, no code of the folder is run. A model whose code comes with it, one whose
    numbers are packed, and one of an architecture that is not known here are looked at by their counts only. Raises
    ModelError naming what does not agree, and what transformers raises about settings that it does not take.
    """
    declared = check_declared(folder)
    if "auto_map" in declared or "quantization_config" in declared:
        return
    from transformers import AutoConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    tensors = read_headers(folder)
    with bounded(len(tensors)):
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        kind = _class_of(config)
        if kind is None:
            return
        with load_report() as report:
            try:
                model: Any = kind.from_pretrained(
                    None, config=config, state_dict=_on_meta(tensors), device_map="meta", dtype=torch.float32
                )
            finally:
                report.check(name)  # says more than the error that follows from it
        _check_layers(report, name, model)


@contextmanager
def bounded(n_tensors: int) -> Iterator[None]:
    """Inside, building a module stops with a ModelError once there are far more parts than tensors to fill them, or
    tables of many gigabytes: a number among the settings that only its family knows may ask for any number of them."""
    from torch.nn.modules import module

    most = _FEW_PARTS + _PARTS_A_TENSOR * n_tensors
    counted = [0, 0]

    def part(*_: Any) -> None:
        counted[0] += 1
        if counted[0] > most:
            raise ModelError(
                f"Its settings ask for more than {most} parts, and its weights have {n_tensors} tensors.", hint=_HINT
            )

    def table(_module: Any, _name: str, buffer: Any) -> None:
        if isinstance(buffer, torch.Tensor):
            counted[1] += buffer.numel() * buffer.element_size()
        if counted[1] > _BUFFER_BYTES:
            raise ModelError(
                f"Its settings ask for tables of more than {_BUFFER_BYTES >> 30} GB beside its weights.", hint=_HINT
            )

    hooks = [
        module.register_module_module_registration_hook(part),
        module.register_module_buffer_registration_hook(table),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _class_of(config: Any) -> Any:
    """The class that is loaded for the architecture; None where there is none for it."""
    from transformer_lens.model_bridge.sources._hf_format import determine_architecture_from_hf_config
    from transformer_lens.model_bridge.sources.transformers.helpers import get_hf_model_class_for_architecture
    from transformers import AutoModelForCausalLM

    try:
        kind: Any = get_hf_model_class_for_architecture(determine_architecture_from_hf_config(config))
    except ValueError:
        kind = AutoModelForCausalLM
    if type(config) not in kind._model_mapping:
        return None
    found = kind._model_mapping[type(config)]
    return found[0] if isinstance(found, list | tuple) else found


def _on_meta(tensors: Mapping[str, TensorHeader]) -> dict[str, torch.Tensor]:
    return {name: torch.empty(tensor.shape, device="meta") for name, tensor in tensors.items()}


def _check_layers(report: LoadReport, name: str, model: Any) -> None:
    """Whole layers that the files have and the settings do not: without them it is another model."""
    spare = _layers(report.unexpected) - _layers(model.state_dict())
    if spare:
        raise ModelError(
            f"{name} has {len(spare)} layers more in its weights than its settings say: "
            f"{some_of(f'{part}.{number}' for part, number in sorted(spare))}.",
            hint=_HINT,
        )


def _layers(names: Iterable[str]) -> set[tuple[str, int]]:
    """The layers that tensors belong to, by the last word before the first number: h.3 of transformer.h.3.ln_1."""
    found = (_LAYER.search(name) for name in names)
    return {(match[1], int(match[2])) for match in found if match}
