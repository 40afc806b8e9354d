"""Recommended probe settings: a file beside a model's weights, like generation_config.json for sampling."""

from pathlib import Path

import msgspec

from engine.catalog.local_models import find_model
from engine.catalog.settings_file import bytes_of
from engine.config import ProbeConfig
from engine.errors import ModelError

FILE = "probe_config.json"
SPARSITY = 0.2
"""Published recipe: lambda for a model that was not measured.

Published: .02; ten times that finds more heads in a real model (docs/lab).
"""
CONTRAST_SPARSITY = 0.5
"""Contrast recipe: a head is silent below half of the mean contrast, in every model (docs/lab)."""


class RecommendedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's folder recommends for the published recipe; explicit settings override it."""

    sparsity: float = SPARSITY


def resolve_config(config: ProbeConfig, model: str, models: Path) -> ProbeConfig:
    """Return the config with lambda resolved: what the model's folder recommends, else the default.

    Done when a run is queued, so that the recorded config is the one that runs.
    """
    if config.sae.sparsity is not None:
        return config
    own = CONTRAST_SPARSITY if config.sae.recipe == "contrast" else _recommended(model, models).sparsity
    return msgspec.structs.replace(config, sae=msgspec.structs.replace(config.sae, sparsity=own))


def _recommended(model: str, models: Path) -> RecommendedConfig:
    try:
        folder = find_model(model, models).folder
    except ModelError:
        return RecommendedConfig()  # the run itself will report the wrong name
    if folder is None:
        return RecommendedConfig()
    try:
        return msgspec.json.decode(bytes_of(folder / FILE), type=RecommendedConfig)
    except (ModelError, msgspec.MsgspecError, RecursionError):
        return RecommendedConfig()
