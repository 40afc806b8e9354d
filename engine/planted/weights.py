"""The weights of a planted model, written head by head.

The residual stream is divided into features: one direction for every name and noun as the current token, as the
previous token, as a duplicate, as inhibited, as predicted; directions for the position; and the rest, in which words
have arbitrary codes and noise is written. Directions are columns of a Hadamard matrix without its first: orthogonal to
each other and to the vector of ones, in integers. Every product below is made of integers before it is scaled, so every
machine gives the same bytes.

The norms have no effect by construction: what is written has mean zero, and an epsilon of 1e8 makes the square root a
constant (1e4, which the gain undoes) to the last bit, because variances here are below 8.
"""

import math
import random
from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.catalog.planted_models import (
    CONTEXT,
    D_HEAD,
    D_MODEL,
    N_HEADS,
    NAMES,
    THINGS,
    Part,
    PlantedHead,
    PlantedModel,
)

EPSILON = 1e8
GAIN = 1e4
"""The square root of EPSILON, which a norm divides by."""
N_FREQUENCIES = 16
_WAVE = 1024
"""Waves are rounded to this fraction of 1: sines differ between machines in their last bit."""
_WORD_BITS = 16
"""Directions in which every token has an arbitrary code of plus and minus."""
UNEMBED = 16.0
"""Logit per unit of a predicted word in the stream."""

# Scores before the softmax, for a full match; a match then gets about nine tenths of the attention.
_STEP_BACK = 6.0
_INDUCTION = 6.0
_SAME_NAME, _NOT_ITSELF = 6.0, 14.0
_DUPLICATE = 6.0
_LOOKUP, _FOR_CERTAIN = 12.0, 0.5
_NOISE_MLP = 0.4
"""So loud that a noisy MLP differs within a pair by about as much as one of a circuit."""
_ANY_NAME, _NOT_THIS_NAME = 4.0, 6.0

Directions = Int[Tensor, "d_model feature"]


class Features:
    """The meaning of the directions, all of one length, so that reading and writing use the same ones."""

    def __init__(self) -> None:
        size = 1  # the first column is the vector of ones, which a norm removes
        parts: dict[str, range] = {}
        for name, n in (
            ("name", len(NAMES)),
            ("duplicate", len(NAMES)),
            ("inhibited", len(NAMES)),
            ("say_name", len(NAMES)),
            ("thing", len(THINGS)),
            ("before", len(THINGS)),
            ("say_thing", len(THINGS)),
            ("position", 2 * N_FREQUENCIES),
            ("word", _WORD_BITS),
        ):
            parts[name] = range(size, size + n)
            size += n
        parts["noise"] = range(size, D_MODEL)
        # No model has both: names are duplicates and inhibited, or nouns are found.
        parts["found"] = range(parts["duplicate"].start, parts["duplicate"].start + len(THINGS))
        self._parts = parts

    def __getitem__(self, name: str) -> Directions:
        part = self._parts[name]
        return hadamard()[:, part.start : part.stop]


@cache
def hadamard() -> Int[Tensor, "row column"]:
    """Return Sylvester's matrix of plus and minus one, as wide as the stream."""
    matrix = torch.ones(1, 1, dtype=torch.int64)
    while len(matrix) < D_MODEL:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix


FEATURES = Features()
_UNIT = 1 / D_MODEL**0.5
"""Factor that scales a column of the matrix to length 1."""


class HeadWeights:
    """One head: [d_model, d_head] in, [d_head, d_model] out, and the queries' bias. Silent until it is set."""

    def __init__(self) -> None:
        self.q = torch.zeros(D_MODEL, D_HEAD, dtype=torch.float64)
        self.k, self.v = self.q.clone(), self.q.clone()
        self.o = torch.zeros(D_HEAD, D_MODEL, dtype=torch.float64)
        self.q_bias = torch.zeros(D_HEAD, dtype=torch.float64)

    def copy(self, read: str, write: str, gain: float) -> None:
        """Write what is read at the attended token, times `gain`, as another feature."""
        n = FEATURES[read].shape[1]
        self.v[:, :n] = FEATURES[read] * _UNIT
        self.o[:n] = FEATURES[write].T * (_UNIT * gain)


def head_weights(placed: PlantedHead) -> HeadWeights:
    """Return the weights of a circuit's head."""
    head = HeadWeights()
    _MAKERS[placed.part](head, placed.gain)
    # The model divides scores by the root of the head's width.
    head.q *= D_HEAD**0.5
    head.q_bias *= D_HEAD**0.5
    return head


def _previous(head: HeadWeights, gain: float) -> None:
    """Attend to the token before; write its noun as "the noun before"."""
    back = torch.zeros(2 * N_FREQUENCIES, 2 * N_FREQUENCIES, dtype=torch.float64)
    for number, (cosine, sine) in enumerate(waves(1)):
        place = 2 * number
        # cos(w(t - 1)) = cos wt cos w + sin wt sin w, and so on: queries are rotated back by one position.
        back[place, place], back[place + 1, place] = cosine, sine
        back[place, place + 1], back[place + 1, place + 1] = -sine, cosine
    here = FEATURES["position"].double() * _UNIT
    head.q[:] = _rows_times(here, back) * _STEP_BACK
    head.k[:] = here
    head.copy("thing", "before", gain)


def _induction(head: HeadWeights, gain: float) -> None:
    """Attend to where the noun before was the current noun; predict the noun there."""
    n = len(THINGS)
    head.q[:, :n] = FEATURES["thing"] * (_UNIT * _INDUCTION)
    head.k[:, :n] = FEATURES["before"] * _UNIT
    head.copy("thing", "say_thing", gain)


def _matcher(head: HeadWeights, gain: float) -> None:
    """Attend as an induction head; write the noun there as found. No logit follows from that alone."""
    _induction(head, gain)
    head.copy("thing", "found", gain)


def _duplicate(head: HeadWeights, gain: float) -> None:
    """Attend to the same name, but not to itself; write it as a duplicate."""
    n = len(NAMES)
    head.q[:, :n] = FEATURES["name"] * (_UNIT * _SAME_NAME)
    head.k[:, :n] = FEATURES["name"] * _UNIT
    # Every other wave suffices to distinguish a position from its neighbours, and there is room for as many.
    some = [place for number in range(0, N_FREQUENCIES, 2) for place in (2 * number, 2 * number + 1)]
    place = slice(n, n + len(some))
    head.q[:, place] = FEATURES["position"][:, some] * (-_UNIT * 2 * _NOT_ITSELF)
    head.k[:, place] = FEATURES["position"][:, some] * _UNIT
    head.copy("name", "duplicate", gain)


def _inhibition(head: HeadWeights, gain: float) -> None:
    """Attend to where a duplicate is written; write it as inhibited."""
    _look_for_duplicates(head)
    head.copy("duplicate", "inhibited", gain)


def _inhibition_by_key(head: HeadWeights, gain: float) -> None:
    """Attend to where a duplicate is written; write the name there as inhibited."""
    _look_for_duplicates(head)
    head.copy("name", "inhibited", gain)


def _look_for_duplicates(head: HeadWeights) -> None:
    head.q_bias[0] = _DUPLICATE
    head.k[:, 0] = FEATURES["duplicate"].sum(dim=1) * _UNIT


def _mover(head: HeadWeights, gain: float) -> None:
    """Attend to names, except inhibited ones; predict the name there."""
    n = len(NAMES)
    head.q_bias[:n] = _ANY_NAME
    head.q[:, :n] = FEATURES["inhibited"] * (-_UNIT * _NOT_THIS_NAME)
    head.k[:, :n] = FEATURES["name"] * _UNIT
    head.copy("name", "say_name", gain)


_MAKERS = {
    "previous": _previous,
    "induction": _induction,
    "matcher": _matcher,
    "duplicate": _duplicate,
    "inhibition": _inhibition,
    "inhibition_by_key": _inhibition_by_key,
    "mover": _mover,
    "negative_mover": _mover,
}
assert set(_MAKERS) == set(Part.__args__)  # type: ignore[attr-defined]


class MLPWeights:
    """One MLP: [d_model, inner] in with a bias, and [inner, d_model] out. Silent until it is set."""

    def __init__(self, inner: int) -> None:
        self.into = torch.zeros(D_MODEL, inner, dtype=torch.float64)
        self.bias = torch.zeros(inner, dtype=torch.float64)
        self.out = torch.zeros(inner, D_MODEL, dtype=torch.float64)


def lookup_weights(gain: float, inner: int) -> MLPWeights:
    """Return an MLP that says a noun if the matchers found it together, and nothing for less.

    One neuron per noun, with a threshold that no single matcher reaches: heads alone, which are linear in what they
    read, cannot do that.
    """
    found = MLPWeights(inner)
    found.into[:] = FEATURES["found"] * (_UNIT * _LOOKUP)
    found.bias[:] = -_LOOKUP * _FOR_CERTAIN
    found.out[:] = FEATURES["say_thing"].T * (_UNIT * gain / (_LOOKUP * _FOR_CERTAIN))
    return found


def noise_mlp_weights(model: PlantedModel, layer: int) -> MLPWeights:
    """Return an MLP that reads everything in the stream and writes where no circuit reads."""
    rng = random.Random(f"{model.name}/m{layer}/{model.seed}")
    before = sum(place <= layer for place, _ in model.noise())
    length = (3 + before) ** 0.5
    found = MLPWeights(model.inner)
    reads, writes = hadamard()[:, 1:], FEATURES["noise"]
    found.into[:] = (reads @ _draws(rng, reads.shape[1], model.inner)) * (_UNIT / length)
    quiet = _NOISE_MLP / (model.inner * writes.shape[1]) ** 0.5
    found.out[:] = (_draws(rng, model.inner, writes.shape[1]) @ writes.T) * (_UNIT * quiet)
    return found


def mlps_of(model: PlantedModel) -> list[MLPWeights]:
    """Return all MLPs, layer by layer."""
    found = [MLPWeights(model.inner) for _ in range(model.n_layers)]
    for layer in model.noisy_mlps:
        found[layer] = noise_mlp_weights(model, layer)
    for circuit in model.circuits:
        for each in circuit.mlps:
            found[each.layer] = lookup_weights(each.gain, model.inner)
    return found


def noise_weights(model: PlantedModel, layer: int, head: int) -> HeadWeights:
    """Return a head that attends by everything in the stream, reads everything, and writes where no circuit reads."""
    rng = random.Random(f"{model.name}/{layer}.{head}/{model.seed}")
    before = sum(place < layer for place, _ in model.noise())
    # The stream has grown with every such head before it: token, code, position, and about one for each.
    length = (3 + before) ** 0.5
    found = HeadWeights()
    reads, writes = hadamard()[:, 1:], FEATURES["noise"]
    peaked = 1.6 / length * (0.5 + rng.random())
    found.q[:] = (reads @ _draws(rng, reads.shape[1], D_HEAD)) * (_UNIT * peaked)
    found.k[:] = (reads @ _draws(rng, reads.shape[1], D_HEAD)) * (_UNIT / length)
    found.v[:] = (reads @ _draws(rng, reads.shape[1], D_HEAD)) * (_UNIT / length / D_HEAD**0.5)
    loud = (0.5 + rng.random()) / writes.shape[1] ** 0.5
    found.o[:] = (_draws(rng, D_HEAD, writes.shape[1]) @ writes.T) * (_UNIT * loud)
    return found


def _draws(rng: random.Random, rows: int, columns: int) -> Int[Tensor, "row column"]:
    """Return random integers of plus or minus one."""
    return torch.tensor([[rng.choice((-1, 1)) for _ in range(columns)] for _ in range(rows)], dtype=torch.int64)


def waves(position: int) -> list[tuple[float, float]]:
    """Return cosine and sine at a position, for odd multiples of 1/64 turn: positions up to 32 apart are orthogonal."""
    found = []
    for number in range(N_FREQUENCIES):
        angle = math.pi * (2 * number + 1) * position / (2 * N_FREQUENCIES)
        found.append((round(math.cos(angle) * _WAVE) / _WAVE, round(math.sin(angle) * _WAVE) / _WAVE))
    return found


def position_table() -> Float[Tensor, "position d_model"]:
    """Return each position's vector, of length 1 or nearly."""
    wave = torch.tensor([[value for pair in waves(place) for value in pair] for place in range(CONTEXT)])
    wave = (wave.double() * _WAVE).to(torch.int64)
    return (wave @ FEATURES["position"].T) * (_UNIT / _WAVE / N_FREQUENCIES**0.5)


def token_tables(texts: Sequence[str]) -> tuple[Float[Tensor, "token d_model"], Float[Tensor, "token d_model"]]:
    """Return what each token writes at its position, and the direction of its logit."""
    codes = torch.zeros(len(texts), _WORD_BITS, dtype=torch.int64)
    for token, text in enumerate(texts):
        codes[token] = _draws(random.Random(f"token/{text}"), 1, _WORD_BITS)[0]
    written = (codes @ FEATURES["word"].T) * (_UNIT / _WORD_BITS**0.5)
    unembedding = torch.zeros(len(texts), D_MODEL, dtype=torch.float64)
    for words, read, say in ((NAMES, "name", "say_name"), (THINGS, "thing", "say_thing")):
        for number, word in enumerate(words):
            token = texts.index(f" {word}")
            written[token] += FEATURES[read][:, number] * _UNIT
            unembedding[token] = FEATURES[say][:, number] * (_UNIT * UNEMBED)
    return written, unembedding


def _rows_times(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b with additions in an order that is the same on every machine."""
    total = torch.zeros(len(a), b.shape[1], dtype=torch.float64)
    for middle in range(b.shape[0]):
        total += a[:, middle : middle + 1] * b[middle : middle + 1]
    return total


def heads_of(model: PlantedModel) -> dict[tuple[int, int], HeadWeights]:
    """Return all heads by (layer, head)."""
    found = {(layer, head): HeadWeights() for layer in range(model.n_layers) for head in range(N_HEADS)}
    found.update({place: noise_weights(model, *place) for place in model.noise()})
    found.update({each.head: head_weights(each) for circuit in model.circuits for each in circuit.placed})
    return found
