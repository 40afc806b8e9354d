"""Fetch models from the Hugging Face hub: safetensors, config and tokenizer, nothing else."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.catalog.checkpoint_folders import split_checkpoint
from engine.catalog.local_models import no_such_model
from engine.errors import HubUnreachable, ModelError, PickledWeights
from engine.install.convert import KEPT

if TYPE_CHECKING:
    from engine.install.progress import ProgressWriter

REACH_S = 3.0
"""Seconds within which the hub must answer the first request."""


def fetch(name: str, work: Path, models: Path, writer: "ProgressWriter") -> Path:
    """Download the model's files into a folder in `work`.

    Raises HubUnreachable at once if the hub does not answer, ModelError for a name it does not have, and PickledWeights
    for a model without safetensors.
    """
    from engine.install.progress import report_growth

    writer.stage("look", 0, "")
    sizes = wanted_files(ask_hub(name, models), name)
    made = work / "model"
    made.mkdir()
    writer.stage("download", sum(sizes.values()), "bytes")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    repository, revision = split_checkpoint(name)
    with report_growth(writer, made):
        for file in sizes:
            try:
                hf_hub_download(repository, file, revision=revision or None, local_dir=made)
            except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
                raise HubUnreachable(f"The hub stopped sending {name}: {error}.", hint="Try again.") from error
    import shutil

    shutil.rmtree(made / ".cache", ignore_errors=True)
    return made


def ask_hub(name: str, models: Path) -> Any:
    """Return the hub's info on a model, or on a revision of it, NAME@REVISION.

    Runs in a thread, as resolving an address has no time limit of its own.
    """
    answer: list[Any] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            from huggingface_hub import HfApi

            repository, revision = split_checkpoint(name)
            about = HfApi().model_info(repository, revision=revision or None, timeout=REACH_S, files_metadata=True)
            answer.append(about)
        except Exception as error:  # noqa: BLE001  # raised again by the caller
            errors.append(error)

    # Importing the library takes a second; only the request is timed.
    import huggingface_hub  # noqa: F401

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACH_S + 1.0)
    if answer:
        return answer[0]
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    error = errors[0] if errors else None
    if isinstance(error, GatedRepoError):
        raise ModelError(f"{name!r} is gated.", hint="Accept its terms on the hub and log in: hf auth login") from error
    if isinstance(error, RevisionNotFoundError):
        repository, revision = split_checkpoint(name)
        raise ModelError(
            f"{repository!r} has no revision {revision!r} on the hub.",
            hint=f"Its page lists them: https://huggingface.co/{repository}/tree/main",
        ) from error
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        raise no_such_model(name, models, why="the hub has no such model either") from error
    why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}" if error else "no answer"
    missing = no_such_model(name, models, why=f"the hub cannot be reached ({why.rstrip(': ')})")
    raise HubUnreachable(missing.message, hint=missing.hint) from error


def wanted_files(info: Any, name: str) -> dict[str, int]:
    """Return the files to fetch with sizes. Raises PickledWeights or ModelError for a model without safetensors."""
    sizes = {file.rfilename: file.size or 0 for file in info.siblings if "/" not in file.rfilename}
    weights = [file for file in sizes if file.endswith((".safetensors", ".safetensors.index.json"))]
    standard = [file for file in weights if file.startswith("model")]
    # Beside the single file, parts are a second set that is not read.
    weights = ["model.safetensors"] if "model.safetensors" in standard else standard or weights
    if not any(file.endswith(".safetensors") for file in weights):
        if any(file.endswith((".bin", ".pt", ".pth", ".ckpt")) for file in sizes):
            raise PickledWeights(
                f"{name!r} is on the hub only as pickled weights, which can run code on loading.",
                hint=f"Download it yourself (hf download {name} --local-dir DIR), then convert its tensors: "
                "headcode models import DIR",
            )
        raise ModelError(f"{name!r} has no safetensors weights on the hub.", hint="Choose another model.")
    return {file: sizes[file] for file in [*weights, *(kept for kept in KEPT if kept in sizes)]}
