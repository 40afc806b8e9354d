"""Probe settings that come with a model: a file beside its weights, as generation_config.json is for sampling."""

from pathlib import Path

import msgspec

from engine.catalog.local_models import find_model
from engine.catalog.settings_file import bytes_of
from engine.config import ProbeConfig
from engine.errors import ModelError

FILE = "probe_config.json"
SPARSITY = 0.2
"""Published recipe: lambda for a model nobody measured. Published: .02; ten times that finds more heads in a real model
(docs/lab, contrast-recipe)."""
CONTRAST_SPARSITY = 0.5
"""Contrast recipe: below half of the mean contrast a head is silent, in every model (docs/lab, contrast-recipe)."""


class RecommendedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's folder recommends for the published recipe; whoever gives a value of their own overrides it."""

    sparsity: float = SPARSITY


def settle(config: ProbeConfig, model: str, models: Path) -> ProbeConfig:
    """The config with nothing left open: what the model's folder recommends, else the default.

    Done when a run is queued, so that what is recorded is what is run.
    """
    if config.sae.sparsity is not None:
        return config
    own = CONTRAST_SPARSITY if config.sae.recipe == "contrast" else _recommended(model, models).sparsity
    return msgspec.structs.replace(config, sae=msgspec.structs.replace(config.sae, sparsity=own))


def _recommended(model: str, models: Path) -> RecommendedConfig:
    try:
        folder = find_model(model, models).folder
    except ModelError:
        return RecommendedConfig()  # the run itself will say what is wrong with that name
    if folder is None:
        return RecommendedConfig()
    try:
        return msgspec.json.decode(bytes_of(folder / FILE), type=RecommendedConfig)
    except (ModelError, msgspec.MsgspecError, RecursionError):
        return RecommendedConfig()
