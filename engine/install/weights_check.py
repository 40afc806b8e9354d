"""Check that a folder's settings and weights belong to one model: a skeleton without data against the files.

transformers knows how each family names and combines its tensors, so its own loader is used, with tensors on the meta
device, which have a shape and no data. That takes some tenths of a second and no memory.
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
"""Modules per tensor that a skeleton may have: families have 2 to 5, fused experts more."""
_FEW_PARTS = 10_000
_BUFFER_BYTES = 4 << 30
"""Bytes of tables that no file has (masks, positions): published models have some megabytes."""
_LAYER = re.compile(r"(?:^|\.)([^.\d][^.]*)\.(\d{1,9})(?=\.)")
_HINT = "Its settings and its weights belong to different models, or one is damaged: get both from one place."


def check_agreement(folder: Path, name: str) -> None:
    """Check that the settings in the folder are those of its weights, as far as shapes tell.

    Nothing stays in memory, no code of the folder is run. A model with its own code, with packed weights, or of an
    architecture unknown here is checked by its counts only. Raises ModelError with what does not agree, and whatever
    transformers raises for settings it does not accept.
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
                report.check(name)  # explains more than the error that follows from it
        _check_layers(report, name, model)


@contextmanager
def bounded(n_tensors: int) -> Iterator[None]:
    """Within the context, stop building a module that has far more parts than tensors, or tables of many gigabytes.

    A family's own settings may request any number of them. Raises ModelError.
    """
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
    """Return the class that is loaded for the architecture; None if there is none."""
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
    """Check for whole layers that only the files have: without them it is a different model."""
    spare = _layers(report.unexpected) - _layers(model.state_dict())
    if spare:
        raise ModelError(
            f"{name} has {len(spare)} layers more in its weights than its settings say: "
            f"{some_of(f'{part}.{number}' for part, number in sorted(spare))}.",
            hint=_HINT,
        )


def _layers(names: Iterable[str]) -> set[tuple[str, int]]:
    """Return the layers of tensors, by the last word before the first number: h.3 of transformer.h.3.ln_1."""
    found = (_LAYER.search(name) for name in names)
    return {(match[1], int(match[2])) for match in found if match}
