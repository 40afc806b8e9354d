"""Make models loadable: copy a folder, convert a GGUF file or pickled weights to safetensors."""

import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.catalog.declared_shape import check_declared
from engine.catalog.local_models import check_folder, index_files, spare_weights, tokenizer_files, weight_files
from engine.catalog.settings_file import read_settings
from engine.errors import ModelError, PickledWeights
from engine.install.gguf_import import from_gguf
from engine.install.load_report import some_of

if TYPE_CHECKING:
    from engine.install.progress import ProgressWriter

_BLOCK = 4 << 20
KEPT = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "chat_template.jinja",
)
"""Files of a model folder besides its weights; code (*.py) is never copied."""
_NO_WEIGHTS = re.compile(r"training_args|optimizer|scheduler|rng_state|scaler|random_states")
_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


def default_name(path: Path) -> str:
    """Return a model name for an imported path: its last part, without characters a name may not have."""
    path = path.resolve()
    stem = path.stem if path.is_file() else path.name
    if path.is_file() and path.suffix != ".gguf":
        stem = path.parent.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._").lower()[:100] or "model"


def make_from_path(path: Path, work: Path, writer: "ProgressWriter") -> Path:
    """Make a loadable folder in `work` from the path. Raises ModelError if it is not a model."""
    made = work / "model"
    if path.is_file():
        if path.suffix.lower() == ".gguf":
            return from_gguf(path, made, writer)
        if path.suffix.lower() in _PICKLE_SUFFIXES:
            return from_pickle(path.parent, made, writer, only=path)
        raise ModelError(f"{path} is a file, but not a .gguf file.", hint="Give the folder with config.json.")
    if (path / "config.json").is_file() and not weight_files(path) and _pickles(path):
        return from_pickle(path, made, writer)
    if not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        if len(ggufs) == 1:
            return from_gguf(ggufs[0], made, writer)
        if ggufs:
            names = ", ".join(file.name for file in ggufs)
            raise ModelError(f"{path} has {len(ggufs)} GGUF files: {names}.", hint="Give one of them.")
    check_folder(path)
    check_declared(path)  # before gigabytes are copied
    return copy_folder(path, made, writer)


def copy_folder(folder: Path, made: Path, writer: "ProgressWriter") -> Path:
    """Copy the files a model needs, following links. Of two sets of weights, the one that would be read."""
    wanted = [*weight_files(folder), *index_files(folder), *_kept(folder)]
    if spare := spare_weights(folder):
        used = f"{wanted[0].name} is" if len(weight_files(folder)) == 1 else "the parts that its index names are"
        writer.note(f"Of its weights, {used} used; left out: {some_of(path.name for path in spare)}.")
    if _wants_code(folder):
        writer.note("This model brings code of its own, which is not copied; use it from its folder instead.")
    writer.stage("copy", sum(path.stat().st_size for path in wanted), "bytes")
    made.mkdir()
    done = 0
    for path in wanted:
        with path.open("rb") as source, (made / path.name).open("wb") as target:
            while block := source.read(_BLOCK):
                target.write(block)
                done += len(block)
                writer.progress(done)
    return made


def from_pickle(folder: Path, made: Path, writer: "ProgressWriter", *, only: Path | None = None) -> Path:
    """Convert the folder's pickled weights to safetensors: only tensors are read, no code in the file is run.

    Raises PickledWeights for a file that contains more than tensors.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model: it has no config.json.", hint="A Hugging Face folder has one.")
    if not tokenizer_files(folder):
        raise ModelError(f"{folder} is incomplete: it has no tokenizer.", hint="Copy tokenizer.json there.")
    files = [only] if only else _pickles(folder)
    writer.note(f"{files[0].name} is a pickle: only its tensors are read (weights_only), nothing in it is run.")
    writer.stage("convert", len(files), "files")
    import pickle

    import torch
    from safetensors.torch import save_file

    made.mkdir()
    index: dict[str, str] = {}
    total = 0
    for number, path in enumerate(files, start=1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about pickle protocols
                loaded = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise PickledWeights(
                f"{path.name} contains more than tensors, and loading it would run code: refused.",
                hint="Get the model as safetensors, or convert it on a machine where you trust it.",
            ) from error
        except (RuntimeError, EOFError, ValueError, KeyError) as error:
            raise ModelError(f"{path.name} cannot be read: {error}.", hint="Download it again.") from error
        tensors = _tensors(loaded, path)
        target = "model.safetensors" if len(files) == 1 else f"model-{number:05d}-of-{len(files):05d}.safetensors"
        # Tied weights share memory, which safetensors refuses: each gets a copy.
        own = {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}
        save_file(own, made / target, metadata={"format": "pt"})
        index.update(dict.fromkeys(own, target))
        total += sum(tensor.numel() * tensor.element_size() for tensor in own.values())
        del loaded, tensors, own
        writer.progress(number)
    if len(files) > 1:
        sheet = {"metadata": {"total_size": total}, "weight_map": index}
        (made / "model.safetensors.index.json").write_bytes(msgspec.json.encode(sheet))
    for path in _kept(folder):
        shutil.copyfile(path, made / path.name)
    return made


def check_weights(folder: Path) -> None:
    """Check that every weights file can be opened and has its full length. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    for path in weight_files(folder):
        try:
            with safe_open(path, framework="numpy") as file:
                file.keys()
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path.name} is damaged: {error}.", hint="Download the model again.") from error


def _pickles(folder: Path) -> list[Path]:
    """Return the pickled weights of a folder, ordered by name, one set of them."""
    for pattern in ("pytorch_model.bin", "pytorch_model-*.bin", "*"):
        found = sorted(
            path
            for path in folder.glob(pattern)
            if path.suffix.lower() in _PICKLE_SUFFIXES and not _NO_WEIGHTS.search(path.name) and path.is_file()
        )
        if found and (pattern != "*" or len(found) == 1):
            return found
        if found:
            names = ", ".join(path.name for path in found)
            raise ModelError(f"{folder} holds several weights files: {names}.", hint="Give the path of one of them.")
    return []


def _tensors(loaded: Any, path: Path) -> dict[str, Any]:
    import torch

    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ModelError(f"{path.name} is not a table of tensors.", hint="Save the model's state_dict.")
    return {str(key): value for key, value in loaded.items()}


def _kept(folder: Path) -> list[Path]:
    return [folder / name for name in KEPT if (folder / name).is_file()]


def _wants_code(folder: Path) -> bool:
    try:
        return "auto_map" in read_settings(folder / "config.json")
    except ModelError:
        return False
