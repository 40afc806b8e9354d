"""Check that a node computes with what the host computes with: versions of the programs, and the model's weights."""

from engine.errors import Failure
from engine.sweeps.content_key import DecisiveVersions, installed_versions

_NAMES = {
    "headcode": "Headcode",
    "torch": "torch",
    "transformer_lens": "transformer-lens",
    "transformers": "transformers",
}


def find_difference(host: DecisiveVersions, here: DecisiveVersions | None = None) -> Failure | None:
    """Return the failure of a unit on a node with other versions, which names both; None if they are the same."""
    here = installed_versions() if here is None else here
    different = [
        f"{name} is {getattr(here, field) or 'not installed'} on this node and {getattr(host, field)} on the host"
        for field, name in _NAMES.items()
        if getattr(here, field) != getattr(host, field)
    ]
    if not different:
        return None
    return Failure(
        family="input",
        name="VersionsDiffer",
        message=f"{'; '.join(different)}.",
        hint="Install the same versions on both: numbers of different versions cannot be put in one table.",
    )


def find_other_model(wanted: str, found: str, model: str) -> Failure | None:
    """Return the failure of a unit whose model has other weights on the node; None if they are the same, or unknown."""
    if wanted.startswith("name:") or wanted == found:
        return None
    return Failure(
        family="input",
        name="OtherWeights",
        message=f"{model} has the weights {found[:12]}… on this node and {wanted[:12]}… on the host.",
        hint="Copy the host's model folder to the node, or remove the node's.",
    )
