"""Send the files of a model to a node that does not have it: in parts, checked by hash, installed with one rename.

A node keeps what it was sent in its cache, `sent/IDENTITY/NAME`, once for all sweeps and actors of that machine.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from engine.catalog.local_models import find_model, model_identity
from engine.errors import HeadcodeError, ModelError
from engine.machine.folders import find_folders

PART_BYTES = 32 << 20
_ENDINGS = frozenset({".json", ".safetensors", ".txt", ".model", ".jinja", ".py", ".tiktoken"})
"""What a model is loaded from; a folder may hold anything else, too."""


class NodeModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a unit on a node names it."""

    state: Literal["there", "missing"]
    model: str = ""
    """Empty: as the host names it."""
    models: str = ""
    """The folder of fetched models to look in; empty: the node's own."""


def look_for(model: str, identity: str, name: str) -> NodeModel:
    """Return how a unit on this node names the model. `name`: of the host's folder.

    A folder of that name with other weights counts as there: the unit is refused, and both are named.
    """
    places = find_folders()
    try:
        source = find_model(model, places.models)
        if identity.startswith("name:") or source.folder is not None or source.origin == "planted":
            return NodeModel(state="there")
    except HeadcodeError:
        pass  # a folder of the host
    sent = sent_folder(identity) / name
    if (sent / "config.json").is_file() and model_identity(sent) == identity:
        return as_sent(model, identity, name)
    return NodeModel(state="missing")


def as_sent(model: str, identity: str, name: str) -> NodeModel:
    """Return the name of a model that was sent: runs call it as they do on the host."""
    folder = sent_folder(identity)
    if model == name:
        return NodeModel(state="there", models=str(folder))
    return NodeModel(state="there", model=str(folder / name))


def sent_folder(identity: str) -> Path:
    """Return the folder of what this node was sent."""
    return find_folders().cache / "sent" / identity


def host_folder(model: str, models: Path) -> Path | None:
    """Return the folder that the host can send; None if it has none. Raises ModelError."""
    source = find_model(model, models)
    return source.folder if source.origin in ("cache", "folder") else None


def parts_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a model in parts: the name and the bytes that come next. An empty file is one empty part."""
    for path in sorted(folder.iterdir()):
        if path.suffix not in _ENDINGS or not path.is_file():
            continue
        with path.open("rb") as file:
            part = file.read(PART_BYTES)
            yield path.name, part
            while part := file.read(PART_BYTES):
                yield path.name, part


class ModelReceiver:
    """Takes the files of one model on a node."""

    def __init__(self, identity: str, name: str) -> None:
        self._identity, self._goal = identity, sent_folder(identity) / name
        self._goal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(prefix=".part-", dir=self._goal.parent))

    def add(self, name: str, part: bytes) -> None:
        """Append the bytes to a file. Raises ModelError for a name that is a path."""
        if Path(name).name != name:
            raise ModelError(f"{name!r} is not the name of a file.", hint="Send the model again.")
        with (self._folder / name).open("ab") as file:
            file.write(part)

    def finish(self) -> str:
        """Install the model if its hash is right; return the hash that was found."""
        found = model_identity(self._folder)
        if found == self._identity and not self._goal.exists():
            try:
                self._folder.rename(self._goal)
            except OSError:  # another sweep's arrived meanwhile
                if not self._goal.exists():
                    raise
        shutil.rmtree(self._folder, ignore_errors=True)
        return found
