"""The nodes of a Ray cluster as the driver sees them: what each is like, how many actors it has room for."""

import math
from collections.abc import Mapping
from typing import Any

from engine.errors import Failure
from engine.sweeps.content_key import DecisiveVersions
from sessions.sweeps.on_ray.messages import DriverPlan
from sessions.sweeps.version_check import find_difference

_SHARE = 0.9
"""Share of a GPU's or a node's memory that workers may use together."""
_MOST_DEATHS = 5
"""Actors of a node that end one after the other without a finished unit; then the node is not used any more."""
PACKAGES = ("headcode", "torch", "transformer-lens", "transformers")


class RayNode:
    """One node that is alive."""

    def __init__(self, node_id: str, resources: Mapping[str, float]) -> None:
        self.node_id = node_id
        self.resources = dict(resources)
        self.host = node_id[:8]
        self.gpus: list[int] = []
        """Bytes of each."""
        self.surveyed = False
        self.refused: Failure | None = None
        """Why it is not used."""
        self.actors = 0
        self.deaths = 0
        """Actors that died since the last finished unit."""
        self.models: dict[str, Any] = {}
        """What is known of models here, by name; a task that finds out."""

    def take_survey(self, found: Mapping[str, Any], host: DecisiveVersions) -> None:
        """Note what the node is like; refuse it if its versions are not those of the host."""
        self.host = str(found["host"])
        self.gpus = [int(size) for size in found["gpus"]]
        versions = found["versions"]
        here = DecisiveVersions(**{name.replace("-", "_"): str(versions[name]) for name in PACKAGES})
        self.refused = find_difference(host, here)
        self.surveyed = True

    def died(self, reason: str) -> None:
        """Note that an actor of the node died; refuse the node after several in a row."""
        self.deaths += 1
        if self.deaths >= _MOST_DEATHS:
            self.refused = Failure(
                family="engine",
                name="NodeUnusable",
                message=f"On {self.host} {self.deaths} workers ended one after the other. The last: {reason}",
                hint="headcode doctor on that machine shows what is wrong; headcode host log has what it logged.",
            )

    @property
    def usable(self) -> bool:
        return self.surveyed and self.refused is None


def actor_options(node: RayNode, plan: DriverPlan) -> dict[str, float]:
    """Return the resources of an actor on the node: a core, its memory, and its share of the GPUs.

    A worker that fits more than once into a GPU takes a fraction of one; one that needs several takes whole ones.
    """
    options: dict[str, float] = {"num_cpus": 1}
    peak_bytes, device = plan.peak_bytes, plan.device
    if plan.devices:
        options["num_gpus"] = plan.devices
    elif node.gpus and device != "cpu" and node.resources.get("GPU", 0) > 0:
        smallest = min(node.gpus)
        fits = _SHARE * smallest / peak_bytes if peak_bytes else 1.0
        # Ray counts in ten-thousandths; rounded down, so that all of them fit.
        options["num_gpus"] = math.ceil(1 / fits) if fits < 1 else math.floor(10_000 / math.floor(fits)) / 10_000
    elif peak_bytes:
        options["memory"] = float(peak_bytes)
    return options


def room(node: RayNode, options: Mapping[str, float]) -> int:
    """Return how many such actors the node can have."""
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    slots = [node.resources.get(names[name], 0.0) / amount for name, amount in options.items() if amount > 0]
    return max(0, math.floor(min(slots) + 1e-6))
