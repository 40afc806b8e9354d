"""The planted models: their shapes, the heads of their circuits, and the edges between them.

Plain values, so that every package can list them; the weights are written by engine.planted.build.
"""

import random
from pathlib import Path
from typing import Literal

import msgspec

from engine.catalog.settings_file import bytes_of
from engine.errors import ModelError
from engine.nodes import NodeId, mlp
from engine.tasks.words import FEMALE, MALE, NOUNS, OBJECTS, PLACES

Head = tuple[int, int]
"""(layer, head)."""
Edge = tuple[Head, Head]
"""(source, target): the target reads what the source writes."""
Part = Literal[
    "previous", "induction", "matcher", "duplicate", "inhibition", "inhibition_by_key", "mover", "negative_mover"
]

VERSION = 1
"""Version of the weights: a folder built by another version is built again."""
D_HEAD = 32
N_HEADS = 8
D_MODEL = N_HEADS * D_HEAD
CONTEXT = 64
INNER = 4
"""Width of MLPs that do nothing."""
VOCABULARY = 349
"""Bytes, and the words of the two tasks."""
STAMP = "planted.json"
"""A file beside the weights with the version that wrote them."""

NAMES = (*FEMALE[:8], *MALE[:8])
THINGS = NOUNS[:24]
# A word may be drawn for every list it is in, and lists are drawn from THINGS only.
GIFTS, SPOTS = (tuple(word for word in words if word not in NOUNS)[:12] for words in (OBJECTS, PLACES))

READS: dict[Part, tuple[Part, ...]] = {
    "previous": (),
    "induction": ("previous",),
    "matcher": ("previous",),
    "duplicate": (),
    "inhibition": ("duplicate",),
    "inhibition_by_key": ("duplicate",),
    "mover": ("inhibition", "inhibition_by_key"),
    "negative_mover": ("inhibition", "inhibition_by_key"),
}
"""Whose output each kind of head reads: all edges of a circuit."""


class PlantedHead(msgspec.Struct, frozen=True, kw_only=True):
    """One head of a circuit."""

    part: Part
    head: Head
    gain: float
    """Factor on its output: its share of what the heads of its kind do together."""


class PlantedMLP(msgspec.Struct, frozen=True, kw_only=True):
    """One MLP of a circuit: it looks up what the matchers found, and says it if they found it for certain."""

    layer: int
    gain: float
    """Its share of what the MLPs do together."""


class PlantedCircuit(msgspec.Struct, frozen=True, kw_only=True):
    """The heads and MLPs that do one task in one planted model; nothing else affects it."""

    task: str
    """The name of a ready-made task (headcode tasks)."""
    placed: tuple[PlantedHead, ...]
    mlps: tuple[PlantedMLP, ...] = ()

    @property
    def heads(self) -> tuple[Head, ...]:
        return tuple(each.head for each in self.placed)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every pair of heads in which the later one reads the output of the earlier one."""
        return tuple(
            (source.head, target.head)
            for source in self.placed
            for target in self.placed
            if source.part in READS[target.part]
        )

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """Its heads and MLPs."""
        return (*(NodeId(*head) for head in self.heads), *(mlp(each.layer) for each in self.mlps))

    @property
    def node_edges(self) -> tuple[tuple[NodeId, NodeId], ...]:
        """Every pair in which the later node reads what the earlier one writes; the embedding left out."""
        into_mlps = [
            (NodeId(*each.head), mlp(reader.layer))
            for each in self.placed
            if each.part == "matcher"
            for reader in self.mlps
            if each.head[0] <= reader.layer
        ]
        return (*((NodeId(*source), NodeId(*target)) for source, target in self.edges), *into_mlps)


class PlantedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with known circuits, as its weights were written by hand."""

    name: str
    """Its name as a model."""
    title: str
    n_layers: int
    circuits: tuple[PlantedCircuit, ...]
    noisy: float
    """Share of the other heads that attend, read and write at random, into directions that no circuit reads.

    The rest are silent.
    """
    noisy_mlps: tuple[int, ...] = ()
    """Layers whose MLP writes noise; the others outside the circuits write nothing."""
    seed: int = 0

    @property
    def inner(self) -> int:
        """Width of the MLPs."""
        return len(THINGS) if self.noisy_mlps or any(circuit.mlps for circuit in self.circuits) else INNER

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(circuit.task for circuit in self.circuits)

    @property
    def n_heads_in_all(self) -> int:
        return self.n_layers * N_HEADS

    def circuit(self, task: str) -> PlantedCircuit:
        """Return the circuit of a task. Raises KeyError if it has none."""
        return {circuit.task: circuit for circuit in self.circuits}[task]

    def noise(self) -> tuple[Head, ...]:
        """Return the heads that write noise, layer by layer."""
        taken = {head for circuit in self.circuits for head in circuit.heads}
        free = [
            (layer, head) for layer in range(self.n_layers) for head in range(N_HEADS) if (layer, head) not in taken
        ]
        chosen = random.Random(f"{self.name}/noise/{self.seed}").sample(free, round(self.noisy * len(free)))
        return tuple(sorted(chosen))


def is_built(folder: Path) -> bool:
    """Return True if the folder contains a planted model of this version."""
    try:
        return msgspec.json.decode(bytes_of(folder / STAMP), type=dict[str, object]).get("version") == VERSION
    except (ModelError, msgspec.MsgspecError, RecursionError):
        return False


def n_parameters(model: PlantedModel) -> int:
    """Return the number of parameters."""
    layer = 4 * D_MODEL**2 + 4 * D_MODEL + 2 * D_MODEL * model.inner + model.inner + D_MODEL + 4 * D_MODEL
    return model.n_layers * layer + (2 * VOCABULARY + CONTEXT + 2) * D_MODEL


def _circuit(task: str, *placed: tuple[Part, Head, float], mlps: tuple[tuple[int, float], ...] = ()) -> PlantedCircuit:
    return PlantedCircuit(
        task=task,
        placed=tuple(PlantedHead(part=part, head=head, gain=gain) for part, head, gain in placed),
        mlps=tuple(PlantedMLP(layer=layer, gain=gain) for layer, gain in mlps),
    )


PLANTED: dict[str, PlantedModel] = {
    model.name: model
    for model in (
        PlantedModel(
            name="planted-induction",
            title="previous-token and induction heads",
            n_layers=4,
            circuits=(
                _circuit(
                    "induction",
                    ("previous", (0, 3), 0.5),
                    ("previous", (1, 6), 0.5),
                    ("induction", (2, 1), 0.4),
                    ("induction", (2, 5), 0.35),
                    ("induction", (3, 2), 0.25),
                ),
            ),
            noisy=0.5,
        ),
        PlantedModel(
            name="planted-ioi",
            title="duplicate-token, inhibition and mover heads",
            n_layers=4,
            circuits=(
                _circuit(
                    "ioi",
                    ("duplicate", (0, 1), 0.55),
                    ("duplicate", (0, 6), 0.45),
                    ("inhibition", (1, 2), 0.5),
                    ("inhibition_by_key", (2, 7), 0.5),
                    ("mover", (3, 0), 0.6),
                    ("mover", (3, 4), 0.5),
                    ("negative_mover", (3, 5), -0.25),
                ),
            ),
            noisy=0.5,
        ),
        PlantedModel(
            name="planted-lookup",
            title="previous-token and matching heads, and MLPs that look up what was matched",
            n_layers=6,
            circuits=(
                _circuit(
                    "induction",
                    ("previous", (0, 3), 0.5),
                    ("previous", (1, 6), 0.5),
                    ("matcher", (2, 1), 0.4),
                    ("matcher", (2, 5), 0.35),
                    ("matcher", (3, 2), 0.25),
                    mlps=((3, 0.6), (5, 0.4)),
                ),
            ),
            noisy=0.5,
            noisy_mlps=(1, 4),
        ),
        PlantedModel(
            name="planted-distractors",
            title="both circuits among heads that write noise",
            n_layers=8,
            circuits=(
                _circuit(
                    "ioi",
                    ("duplicate", (0, 2), 0.55),
                    ("duplicate", (1, 5), 0.45),
                    ("inhibition", (3, 1), 0.5),
                    ("inhibition_by_key", (4, 6), 0.5),
                    ("mover", (6, 3), 0.6),
                    ("mover", (7, 0), 0.5),
                    ("negative_mover", (7, 7), -0.25),
                ),
                _circuit(
                    "induction",
                    ("previous", (0, 4), 0.5),
                    ("previous", (2, 0), 0.5),
                    ("induction", (3, 6), 0.4),
                    ("induction", (4, 2), 0.35),
                    ("induction", (5, 5), 0.25),
                ),
            ),
            noisy=1.0,
        ),
    )
}
"""Planted models by name."""
