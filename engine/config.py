"""The configuration of a probe: every setting with its meaning, validated on creation."""

import math
import re
from typing import Any, Literal, get_args

import msgspec

from engine.errors import ConfigError
from engine.nodes import NodeChoice

PatchingMethod = Literal["none", "attribution", "exact", "circuit", "combined"]
PatchingMetric = Literal["auto", "logit_difference", "log_probability", "probability_mass", "kl"]
Replacement = Literal["auto", "pair", "mean", "resample", "zero"]

MAX_SEEDS = 64
MAX_CODES = 65_536
"""Codes are stored as 32-bit integers; above this a 'small' autoencoder is a typing error."""
_POSITION = re.compile(r"mean|last|at:-?\d+|token:.+", re.DOTALL)


Recipe = Literal["contrast", "published"]
Precision = Literal["float32", "bfloat16", "float16"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class SAEConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shape of one discrete SAE and its training (docs/method.md 3). Defaults are those of the contrast recipe."""

    recipe: Recipe = "contrast"
    """The SAE's input and initialisation.

    published: raw activations, random directions. contrast: each example minus its pair's mean, each head at the
    position where its pair differs most, directions of the data (engine.sae.contrast).
    """
    n_codes: int = 200
    """Latents: the number of different codes a head can have. Published: 200."""
    sparsity: float | None = None
    """Lambda, the weight of the L1 term. None: resolved by the recipe.

    contrast: .5, where a head is silent if its contrast is shorter than lambda times the mean; published: what the
    model's folder recommends, else .2 (engine.catalog.recommended_config). Published value: .02 (docstring .05).
    """
    steps: int = 20
    """Maximum number of optimiser steps; training may stop earlier once the codes are stable. Published: 500."""
    learning_rate: float = 3e-3
    """Adam's step size. Published: 1e-3. Three times that in 20 steps ranks heads as 50 steps did (docs/lab)."""
    training_examples: int = 20
    """Examples the SAE is trained on, drawn from both polarities; it is applied to all. Published: 10."""
    scale: bool = True
    """Scale all activations by one number, to a mean norm of sqrt(d_model) (published) or d_model / 2 (contrast).

    Then lambda means the same for every model. False: no scaling.
    """

    def __post_init__(self) -> None:
        if not 2 <= self.n_codes <= MAX_CODES:
            raise ConfigError(f"n_codes={self.n_codes}: a head needs 2 to {MAX_CODES} codes.", hint="Try 64 to 512.")
        if self.sparsity is not None and not (math.isfinite(self.sparsity) and self.sparsity >= 0):
            raise ConfigError(f"sparsity={self.sparsity}: lambda is a finite number, at least 0.", hint="Try .02 to 1.")
        if not 1 <= self.steps <= 1_000_000:
            raise ConfigError(f"steps={self.steps}: training takes 1 to 1000000 steps.", hint="Published: 500.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate={self.learning_rate}: must be above 0.", hint="Published: 0.001.")
        if self.training_examples < 2:
            raise ConfigError(
                f"training_examples={self.training_examples}: at least one of each polarity is needed.",
                hint="Published: 10.",
            )


PUBLISHED = SAEConfig(recipe="published", steps=500, learning_rate=1e-3, training_examples=10)
"""The published method, except lambda."""
RECIPES: dict[Recipe, SAEConfig] = {"contrast": SAEConfig(), "published": PUBLISHED}


def find_recipe(name: str | None) -> SAEConfig:
    """Return the recipe's settings with lambda open; None is the default recipe. Raises ConfigError with the list."""
    for recipe, settings in RECIPES.items():
        if name in (None, recipe):
            return settings
    raise ConfigError(f"There is no recipe {name!r}.", hint="Recipes: " + ", ".join(RECIPES) + ".")


class EffectsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether and how the heads' effects on the model's answer are measured (docs/method.md 6)."""

    method: PatchingMethod = "none"
    """The method of measurement.

    attribution: every head from one gradient. exact: every head replaced, one at a time. combined: attribution and
    codes propose heads, exact patching decides within the budget. circuit: combined, then the circuit as a whole is
    checked.
    """
    metric: PatchingMetric = "auto"
    """auto: the task's metric, else the best the examples allow (engine.patching.metrics)."""
    replacement: Replacement = "auto"
    """The replacement of a head's output.

    Its value on the paired negative, its mean over the negatives, its value on a random negative, or zero. auto: pair
    if there are pairs, else mean.
    """
    budget: float = 30.0
    """For combined: cost limit of exact patching, in forward passes of its examples."""
    gradient_steps: int = 0
    """Attribution by integrated gradients: number of points between both sides; 0: one gradient at the positives."""
    edges: bool = False
    """Also attribution for every pair of heads: the effect of a head through a later one.

    Costs about as much as every head's queries, keys and values once more.
    """
    examples: int = 64
    """Maximum number of positives that effects are measured on; of more, this many are drawn."""
    smallest: float = 0.0
    """For circuit: also find a smallest circuit with this faithfulness (engine.patching.smallest_circuit); 0: none."""

    def __post_init__(self) -> None:
        for name, kind in (("method", PatchingMethod), ("metric", PatchingMetric), ("replacement", Replacement)):
            value = getattr(self, name)
            if value not in get_args(kind):
                raise ConfigError(
                    f"cause {name}={value!r} does not exist.", hint=f"One of {', '.join(get_args(kind))}."
                )
        if not (math.isfinite(self.budget) and self.budget > 0):
            raise ConfigError(f"budget={self.budget}: a number of forward passes above 0.", hint="30 is the default.")
        if not 0 <= self.gradient_steps <= 1000:
            raise ConfigError(f"gradient_steps={self.gradient_steps}: 0 to 1000.", hint="5 is usual; 0 takes one.")
        if not 1 <= self.examples <= 100_000:
            raise ConfigError(f"examples={self.examples}: effects need at least one example.", hint="Try 10 to 100.")
        if not 0 <= self.smallest < 1:
            raise ConfigError(
                f"smallest={self.smallest}: a share of the answer from 0 to below 1.", hint="0.9 is usual; 0 skips it."
            )


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is loaded. Requests, stored runs and the options of a run have these fields, and all pass them on."""

    device: str = "auto"
    dtype: Dtype = "auto"
    """The precision of weights and forward pass; engine.catalog.precision resolves auto."""
    devices: int | None = None
    """The number of CUDA GPUs the model is split over; None: it is not."""
    device_map: str | None = None
    """auto, balanced, or a map of module names to devices, as JSON (engine.catalog.device_maps); None: one device."""
    max_memory: str | None = None
    """Limits for splitting: 20GiB (of every GPU), 0=20GiB, cpu=60GiB, separated by commas."""
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Dtype):
            raise ConfigError(f"dtype={self.dtype!r} does not exist.", hint=f"One of {', '.join(get_args(Dtype))}.")


def check_smallest(config: EffectsConfig) -> None:
    """Raise ConfigError if a smallest circuit was asked for with a method that checks no circuits."""
    if config.smallest and config.method != "circuit":
        raise ConfigError(
            f"--smallest {config.smallest:g} needs circuit checks; the method is {config.method}.",
            hint="Choose circuit (--cause circuit, cause RUN --method circuit), or leave out --smallest.",
        )


def fields_of(value: object, base: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the fields of `base` that the value, an instance of a subclass, has: by name, for another subclass."""
    return {name: getattr(value, name) for name in base.__struct_fields__}


def load_fields(options: LoadOptions, *, trusted: bool = True) -> dict[str, Any]:
    """Return the options by name, to hand them on to another struct that has them.

    Not `trusted`: without trust in the model's own code, which is given each time.
    """
    fields = fields_of(options, LoadOptions)
    return fields if trusted else {**fields, "trust_remote_code": False}


class ProbeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the results of a run, except model and examples."""

    sae: SAEConfig = SAEConfig()
    nodes: NodeChoice = "heads"
    """heads, or all: MLPs and the embedding, too (engine.nodes). New runs look at all of them (DEFAULTS)."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One SAE is trained per seed, all in one batched loop; scores are averaged over them."""
    position: str = "mean"
    """The token positions of a head's vector: mean | last | at:N | token:TEXT (its last occurrence).

    With mean, the contrast of pairs is taken at one position per head: where the pair differs most
    (engine.capture.pair_position).
    """
    shuffles: int | None = None
    """Label permutations behind the p-values; 0 skips them.

    None: as many as a single head needs to be significant (engine.sample_size).
    """
    bootstraps: int = 100
    """Bootstrap draws of the examples behind the card's stability."""
    circuit_size: int | None = None
    """Heads in the circuit by rank cut; None: a tenth of all heads, at least 3."""
    theta: float | None = None
    """Softmax threshold of the second circuit; None: twice the uniform share, 2 / heads."""
    grade: bool = True
    """Grade the examples before the run."""
    cause: EffectsConfig = EffectsConfig()
    """Measured after the scores; the codes do not depend on it."""

    def __post_init__(self) -> None:
        if self.nodes not in get_args(NodeChoice):
            raise ConfigError(
                f"nodes={self.nodes!r} does not exist.", hint=f"One of {', '.join(get_args(NodeChoice))}."
            )
        if not 1 <= len(self.seeds) <= MAX_SEEDS or len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(
                f"seeds={list(self.seeds)}: give 1 to {MAX_SEEDS} different seeds.", hint="For example 0,1,2."
            )
        if any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise ConfigError(
                f"seeds={list(self.seeds)}: a seed is between 0 and 2147483647.", hint="For example 0,1,2."
            )
        if not _POSITION.fullmatch(self.position):
            raise ConfigError(
                f"position={self.position!r} is not a position policy.",
                hint="Use mean, last, at:N (at:-1 is the last token) or token:TEXT.",
            )
        if self.shuffles is not None and not 0 <= self.shuffles <= 1_000_000:
            raise ConfigError(f"shuffles={self.shuffles}: 0 to 1000000.", hint="1000 gives p-values down to .001.")
        if not 1 <= self.bootstraps <= 10_000:
            raise ConfigError(f"bootstraps={self.bootstraps}: 1 to 10000.", hint="100 is the default.")
        if self.circuit_size is not None and self.circuit_size < 1:
            raise ConfigError(f"circuit_size={self.circuit_size}: a circuit has at least one head.", hint="Try 5.")
        if self.theta is not None and not 0 < self.theta < 1:
            raise ConfigError(f"theta={self.theta}: a softmax share lies between 0 and 1.", hint="Try 0.05.")


DEFAULTS = ProbeConfig(nodes="all")
"""What a new run is asked for. ProbeConfig's own default for nodes, heads, is that of runs stored before 2026-12."""
