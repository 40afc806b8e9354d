"""Models from the hub by name, with a quick error if the hub is unreachable."""

from pathlib import Path

from engine.catalog.checkpoint_folders import split_checkpoint
from engine.catalog.local_models import check_folder, no_such_model
from engine.errors import HubUnreachable, ModelError, PickledWeights
from engine.install.hub import ask_hub, wanted_files

_WEIGHTS = "*.safetensors"
_BESIDE = ("*.json", "*.model", "*.txt", "*.jinja")


def hub_folder(name: str, models: Path) -> Path:
    """Return the folder of a hub model: from the hub's cache on this machine, else downloaded into it.

    NAME@REVISION is that revision, a branch, tag or commit.

    Raises HubUnreachable within seconds if the hub does not answer, ModelError for a name it does not have,
    PickledWeights if it has no safetensors.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, revision = split_checkpoint(name)
    named, wanted = revision or None, [_WEIGHTS, *_BESIDE]
    try:
        cached = Path(snapshot_download(repository, revision=named, allow_patterns=wanted, local_files_only=True))
        check_folder(cached)
        return cached
    except (LocalEntryNotFoundError, FileNotFoundError, PickledWeights, ModelError):
        pass  # not in the cache, or incomplete: ask the hub
    except HFValidationError as error:
        raise no_such_model(name, models, why=f"the name is not one the hub could have: {error}") from error
    files = wanted_files(ask_hub(name, models), name)  # one of two sets of weights
    try:
        folder = Path(snapshot_download(repository, revision=named, allow_patterns=[*files, *_BESIDE]))
    except (HfHubHTTPError, OSError) as error:
        raise HubUnreachable(
            f"The hub stopped sending {name}: {str(error).splitlines()[0]}.", hint="Try again: finished parts are kept."
        ) from error
    check_folder(folder)
    return folder
