"""Models from the hub: asked for by name, with an answer at once where the hub is out of reach."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from engine.catalog import check_folder, no_such_model
from engine.errors import HubUnreachable, ModelError, PickledWeights

_PATIENCE_S = 3.0
_WANTED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")


def hub_folder(name: str, models: Path) -> Path:
    """The folder of a hub model: from the hub's own cache on this machine, else downloaded into it.

    Raises HubUnreachable within seconds where the hub does not answer, ModelError for a name it does not have,
    PickledWeights where it has no safetensors.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        cached = Path(snapshot_download(name, allow_patterns=list(_WANTED), local_files_only=True))
        check_folder(cached)
        return cached
    except (LocalEntryNotFoundError, FileNotFoundError, PickledWeights, ModelError):
        pass  # not here, or not whole: the hub has to be asked
    except HFValidationError as error:
        raise no_such_model(name, models, why=f"the name is not one the hub could have: {error}") from error
    if not _reachable():
        missing = no_such_model(name, models, why=f"the model hub ({_endpoint()}) cannot be reached from here")
        raise HubUnreachable(missing.message, hint=missing.hint)
    try:
        folder = Path(snapshot_download(name, allow_patterns=list(_WANTED)))
    except GatedRepoError as error:
        raise ModelError(f"{name} is gated on the hub.", hint="Ask for access there, then: hf auth login") from error
    except RepositoryNotFoundError as error:
        raise no_such_model(name, models, why="the hub has none of that name") from error
    except (HfHubHTTPError, OSError) as error:
        missing = no_such_model(name, models, why=f"the hub did not give it: {str(error).splitlines()[0]}")
        raise HubUnreachable(missing.message, hint=missing.hint) from error
    check_folder(folder)
    return folder


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _reachable() -> bool:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlsplit(proxy or _endpoint())
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        with socket.create_connection((address.hostname or "", port), timeout=_PATIENCE_S):
            return True
    except OSError:
        return False
