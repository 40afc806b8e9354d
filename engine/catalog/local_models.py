"""Find the models on this machine and read their folders without loading them."""

import difflib
import hashlib
import re
from pathlib import Path
from typing import Literal

import msgspec

from engine.catalog.checkpoint_folders import Checkpoint, checkpoint_folder, checkpoints_in, split_checkpoint
from engine.catalog.packaged_models import PACKAGED_MODELS
from engine.catalog.planted_models import CONTEXT, D_MODEL, N_HEADS, PLANTED, VOCABULARY, is_built, n_parameters
from engine.catalog.settings_file import bytes_of, read_settings
from engine.errors import ModelError, PickledWeights
from engine.machine.paths import path_of

BUNDLED = "toy"
ADDER = "adder"
"""The second bundled model, whose folder has a folder per checkpoint (engine.catalog.checkpoints)."""
_ASSETS = Path(__file__).parents[1] / "assets"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "spiece.model")
_TOKENIZER_PARTS = ("added_tokens.json", "special_tokens_map.json", "vocab.txt", "sentencepiece.bpe.model")
"""Parts of a tokenizer, but not a tokenizer by themselves."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_REVISION = re.compile(r"(?!.*\.\.)[\w./-]*")

_MOST_SHOWN = 2**53
"""Larger numbers are not sizes, and JSON readers need not accept them."""

Origin = Literal["bundled", "planted", "cache", "folder", "hub"]


class ModelSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model comes from: a folder on this machine, or a name on the hub."""

    name: str
    origin: Origin
    folder: Path | None = None
    """None: a hub name not looked up yet, or a planted model that was never used: loading it builds it."""


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a model folder says about the model."""

    name: str
    origin: Origin
    path: str
    """Empty for a planted model that is not built yet."""
    architecture: str
    n_layers: int
    n_heads: int
    d_model: int
    context: int
    vocabulary: int
    weights_bytes: int
    checkpoints: tuple[str, ...] = ()
    """Names of its checkpoints, by step; NAME@CHECKPOINT loads one. Only for models that come with Headcode."""


def bundled_folder(name: str = BUNDLED) -> Path:
    """Return the folder of a bundled model."""
    return _ASSETS / name


def is_bundled(name: str) -> bool:
    """Return True for the name of a bundled model or of a checkpoint of one."""
    return split_checkpoint(name)[0] in (BUNDLED, ADDER)


def bundled_checkpoints() -> tuple[Checkpoint, ...]:
    """Return the checkpoints of the adder, by step. Their names are the steps: adder@250."""
    return tuple(Checkpoint(name=str(each.step), step=each.step) for each, _ in checkpoints_in(bundled_folder(ADDER)))


def find_model(name: str, models: Path) -> ModelSource:
    """Resolve `name`: a bundled model, a planted one, one fetched into `models`, a folder, or else a hub name.

    `name` may have a checkpoint after an @: of the adder, of a folder of checkpoints, or a hub revision. Raises
    ModelError for anything else, with the names there are.
    """
    if not name.strip() or any(ord(character) < 32 for character in name):
        raise ModelError(f"{name!r} is not a model name.", hint=_alternatives(models))
    if is_bundled(name):
        return _bundled(name)
    if name in PLANTED:
        return _planted(name, models)
    local = path_of(name)
    if "/" not in name and (models / name / "config.json").is_file():
        return ModelSource(name=name, origin="cache", folder=models / name)
    if local.exists() and (local.is_dir() or local.suffix or "/" in name):
        check_folder(local)
        return ModelSource(name=local.resolve().name, origin="folder", folder=local.resolve())
    base, checkpoint = split_checkpoint(name)
    if checkpoint and path_of(base).is_dir():
        folder = checkpoint_folder(base, path_of(base).resolve(), checkpoint)
        check_folder(folder)
        return ModelSource(name=folder.name, origin="folder", folder=folder)
    if name.startswith((".", "/", "~")):
        raise ModelError(f"There is no folder {name!r}.", hint=_alternatives(models))
    if not _HUB_NAME.fullmatch(base) or not _REVISION.fullmatch(checkpoint):
        raise ModelError(f"{name!r} is neither a folder nor a model name.", hint=_alternatives(models))
    return ModelSource(name=name, origin="hub")


def _bundled(name: str) -> ModelSource:
    """Return a bundled model; of the adder the named checkpoint, or the last. Raises ModelError for another."""
    base, checkpoint = split_checkpoint(name)
    folder = bundled_folder(base)
    if base == BUNDLED:
        if checkpoint:
            raise ModelError(f"{BUNDLED} has no checkpoints.", hint=f"{ADDER} has: headcode models show {ADDER}")
        return ModelSource(name=BUNDLED, origin="bundled", folder=folder)
    known = [each.name for each in bundled_checkpoints()]
    step = checkpoint.removeprefix("step") or known[-1]
    if step not in known:
        raise ModelError(f"{ADDER} has no checkpoint {checkpoint!r}.", hint=f"It has {', '.join(known)}.")
    return ModelSource(name=f"{base}@{step}" if checkpoint else base, origin="bundled", folder=folder / f"step{step}")


def _planted(name: str, models: Path) -> ModelSource:
    folder = models / name
    return ModelSource(name=name, origin="planted", folder=folder if is_built(folder) else None)


def check_folder(folder: Path) -> None:
    """Check that the folder contains a model that Headcode may load.

    Raises ModelError if it does not, PickledWeights for weights that could run code.
    """
    if not folder.is_dir():
        hint = "Give the folder that holds config.json and model.safetensors."
        if folder.suffix == ".gguf":
            hint = f"Convert it once with: headcode models import {folder}"
        elif any(folder.match(pattern) for pattern in _PICKLES):
            raise PickledWeights(f"{folder} holds pickled weights, which can run code on loading.", hint=hint)
        raise ModelError(f"{folder} is a file, not a model folder.", hint=hint)
    if not (folder / "config.json").is_file():
        gguf = sorted(folder.glob("*.gguf"))
        inside = [checkpoint.name for checkpoint, _ in checkpoints_in(folder)]
        hint = f"Convert it once with: headcode models import {gguf[0]}" if gguf else "A Hugging Face folder has one."
        if inside:
            hint = f"It has {len(inside)} checkpoints. Name one: {folder}@{inside[-1]}"
        raise ModelError(f"{folder} is not a model: it has no config.json.", hint=hint)
    odd = [path.name for path in weight_files(folder) if path.exists() and not path.is_file()]
    if odd:
        raise ModelError(f"{folder / odd[0]} is not a regular file.", hint="Weights are read from files on a disk.")
    absent = [path.name for path in weight_files(folder) if not path.exists()]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ModelError(
            f"{folder} is incomplete: its index names {absent[0]}{more}, which is missing.",
            hint="Get the other parts of its weights, or the index that belongs to these.",
        )
    if not weight_files(folder):
        pickled = [path.name for pattern in _PICKLES for path in sorted(folder.glob(pattern))]
        if pickled:
            raise PickledWeights(
                f"{folder} holds pickled weights ({pickled[0]}), which can run code on loading.",
                hint=f"Convert them once, reading tensors only: headcode models import {folder}",
            )
        raise ModelError(f"{folder} is not a model: it has no *.safetensors weights.", hint="Save it again.")
    if not tokenizer_files(folder):
        raise ModelError(f"{folder} is incomplete: it has no tokenizer.", hint="Copy its tokenizer.json there.")


def weight_files(folder: Path) -> list[Path]:
    """Return the weights to read from a folder that may have two sets: the single file, else those in the index."""
    whole = folder / _WHOLE
    if whole.exists() or whole.is_symlink():
        return [whole]
    shards = _shards(folder)
    return [folder / name for name in shards] if shards else sorted(folder.glob("*.safetensors"))


def spare_weights(folder: Path) -> list[Path]:
    """Return weights that are not read: a second set, or files that belong to something else."""
    return sorted({*folder.glob("*.safetensors")} - {*weight_files(folder)})


def index_files(folder: Path) -> list[Path]:
    """Return the index of the weights to read; empty if they are one file."""
    path = folder / _INDEX
    return [path] if path.is_file() and folder / _WHOLE not in weight_files(folder) else []


def _shards(folder: Path) -> list[str]:
    """Return the files that an index names; empty without a readable index."""
    try:
        index = msgspec.json.decode(bytes_of(folder / _INDEX), type=dict[str, object])
    except (ModelError, msgspec.MsgspecError, RecursionError):
        return []
    places = index.get("weight_map")
    found = {str(name) for name in places.values()} if isinstance(places, dict) else set()
    return sorted(name for name in found if Path(name).name == name)


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the tokenizer files in the folder."""
    return [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]


def model_identity(folder: Path) -> str:
    """Return the sha256 of the folder's weights and tokenizer, 64 hexadecimal digits: the model's identity.

    Settings (config.json, tokenizer_config.json) are not part of it: a copy saved by another program is the same model.
    Where they matter, `headcode verify` reports that the forward pass differs.
    """
    total = hashlib.sha256()
    parts = [folder / name for name in _TOKENIZER_PARTS if (folder / name).is_file()]
    for path in [*weight_files(folder), *tokenizer_files(folder), *parts]:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.name}:{digest}\n".encode())
    return total.hexdigest()


def read_summary(source: ModelSource) -> ModelSummary:
    """Return what the folder's config.json and files say. Raises ModelError if it cannot be read."""
    folder = source.folder
    if folder is None and source.name in PLANTED:
        return _planted_summary(source.name)
    if folder is None:
        raise ModelError(
            f"{source.name!r} is not on this machine.",
            hint=f"Fetch it from the hub: headcode models fetch {source.name}",
        )
    check_folder(folder)
    raw = read_settings(folder / "config.json")
    architectures = raw.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else raw.get("model_type", "unknown")
    return ModelSummary(
        name=source.name,
        origin=source.origin,
        path=str(folder),
        architecture=str(first),
        n_layers=_number(raw, "n_layer", "num_hidden_layers", "num_layers"),
        n_heads=_number(raw, "n_head", "num_attention_heads", "num_heads"),
        d_model=_number(raw, "n_embd", "hidden_size", "d_model"),
        context=_number(raw, "n_positions", "max_position_embeddings", "n_ctx"),
        vocabulary=_number(raw, "vocab_size"),
        weights_bytes=sum(path.stat().st_size for path in weight_files(folder)),
        checkpoints=tuple(each.name for each in bundled_checkpoints()) if source.name == ADDER else (),
    )


def _planted_summary(name: str) -> ModelSummary:
    model = PLANTED[name]
    return ModelSummary(
        name=name,
        origin="planted",
        path="",
        architecture="GPT2LMHeadModel",
        n_layers=model.n_layers,
        n_heads=N_HEADS,
        d_model=D_MODEL,
        context=CONTEXT,
        vocabulary=VOCABULARY,
        weights_bytes=4 * n_parameters(model),
    )


def local_models(models: Path) -> list[ModelSource]:
    """Return the bundled models, then the planted ones, then those fetched or imported, by name."""
    found = [_bundled(BUNDLED), _bundled(ADDER)]
    found += [_planted(name, models) for name in PLANTED]
    if models.is_dir():
        for folder in sorted(models.iterdir()):
            own = not folder.name.startswith(".") and folder.name not in PLANTED
            if own and (folder / "config.json").is_file():
                found.append(ModelSource(name=folder.name, origin="cache", folder=folder))
    return found


def no_such_model(name: str, models: Path, *, why: str) -> ModelError:
    """Return the error for a hub name that was not found, with the closest name."""
    return ModelError(f"There is no model {name!r} on this machine, and {why}.", hint=_alternatives(models, like=name))


def _alternatives(models: Path, *, like: str = "") -> str:
    names = [source.name for source in local_models(models)]
    close = difflib.get_close_matches(like, [*names, *PACKAGED_MODELS], n=1) if like else []
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return (
        f"{guess}On this machine: {', '.join(names)}. Any Hugging Face folder works as a path; "
        f"headcode models fetch {' or '.join(PACKAGED_MODELS)} needs no hub."
    )


def _number(raw: dict[str, object], *keys: str) -> int:
    for key in keys:
        value = raw.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_SHOWN:
            return value
    return 0
