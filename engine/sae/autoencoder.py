"""The sparse autoencoder: one for all heads, with several seeds trained side by side (docs/method.md 3)."""

import warnings
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from engine.config import SAEConfig
from engine.errors import ConfigError
from engine.results import NO_CODE
from engine.sae.codes import discretise
from engine.tensors.generators import generator

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
"""Adam's published constants."""
_SPARSE_BELOW = 0.06
"""Share of active latents below which the sparse step is faster on a CPU (docs/lab)."""


class SAEs:
    """The autoencoders of all seeds, trained together: every product is batched over seeds.

    W_e and W_d^T of docs/method.md 3 are both stored as [seed, latent, d_model], so a code is a row in either.
    """

    def __init__(
        self,
        config: SAEConfig,
        seeds: tuple[int, ...],
        d_model: int,
        device: torch.device,
        *,
        start: Float[Tensor, "seed latent d_model"] | None = None,
        silence: float = 0.0,
    ) -> None:
        """`start`: unit rows, random if None. `silence`: a latent is active from this length along its row."""
        if start is None:
            start = torch.stack([_unit_rows(config.n_codes, d_model, seed) for seed in seeds]).to(device)
        self.encoder = start
        self.decoder = start.clone()
        """W_d transposed; starts as the encoder, so that training starts near the identity."""
        self.threshold = torch.full((len(seeds), config.n_codes), -silence, device=device)
        """c: [seed, latent]"""
        self.bias = torch.zeros(len(seeds), d_model, device=device)
        """b: [seed, d_model]"""
        self.diverged = False
        """True if training ended with the loss of some seed far above its first value, or not finite."""

    def latents(self, x: Float[Tensor, "seed row d_model"]) -> Float[Tensor, "seed row latent"]:
        """Return f = relu((x - b) W_e^T + c)."""
        shift = self.threshold - torch.einsum("sd,skd->sk", self.bias, self.encoder)  # x - b without a copy of x
        return torch.baddbmm(shift[:, None, :], x, self.encoder.transpose(1, 2)).relu_()

    def mirrored_latents(self, x: Float[Tensor, "seed row d_model"]) -> Float[Tensor, "seed row latent"]:
        """Return latents(x) where the second half of x is the first with the opposite sign."""
        half = x.shape[1] // 2
        shift = (self.threshold - torch.einsum("sd,skd->sk", self.bias, self.encoder))[:, None, :]
        product = torch.bmm(x[:, :half], self.encoder.transpose(1, 2))
        return torch.cat([shift + product, shift - product], dim=1).relu_()

    def codes(self, x: Float[Tensor, "row d_model"], *, rows_at_once: int = 8192) -> Int[Tensor, "seed row"]:
        """Return every seed's code for every row, in blocks: latents of all rows would not fit in memory."""
        if float(self.threshold.max()) < 0:
            return torch.stack([self._codes_of_loud(x, seed, rows_at_once) for seed in range(len(self.encoder))])
        n_seeds = self.encoder.shape[0]
        blocks = [discretise(self.latents(block.expand(n_seeds, -1, -1))) for block in x.split(rows_at_once)]
        return torch.cat(blocks, dim=1)

    def _codes_of_loud(self, x: Float[Tensor, "row d_model"], seed: int, rows_at_once: int) -> Int[Tensor, " row"]:
        """Return one seed's codes.

        Rows shorter than every threshold are silent and skip the product: a unit direction extracts at most a row's
        length.
        """
        bias, encoder, threshold = self.bias[seed], self.encoder[seed], self.threshold[seed]
        shift = threshold - encoder @ bias
        found = []
        for block in x.split(rows_at_once):
            codes = torch.full((len(block),), NO_CODE, device=x.device)
            reach = 1.001 * (block - bias).norm(dim=1)  # an encoder row's norm is 1 only up to rounding
            loud = (reach > -threshold.max()).nonzero()[:, 0]
            codes[loud] = discretise(torch.addmm(shift, block[loud], encoder.T).relu_())
            found.append(codes)
        return torch.cat(found)


class StepReport:
    """Loss parts per seed and the codes of every training row, at one step."""

    def __init__(
        self,
        reconstruction: Float[Tensor, " seed"],
        sparsity: Float[Tensor, " seed"],
        codes: Int[Tensor, "seed row"],
    ) -> None:
        self.reconstruction = reconstruction
        self.sparsity = sparsity
        self.codes = codes


class Trainer:
    """Adam on the loss of docs/method.md 3, with gradients by hand: five matrix products per step and no graph.

    After the first steps only about one in a hundred latents is active. A latent of zero contributes neither to the
    reconstruction nor to the gradient, so on a CPU four of the five products run over the active entries only: the same
    sums without the zeros.
    """

    def __init__(
        self, saes: SAEs, x: Float[Tensor, "seed row d_model"], config: SAEConfig, *, mirrored: bool = False
    ) -> None:
        """`mirrored`: the second half of the rows is the first with the opposite sign, so one product serves both."""
        self.saes = saes
        self._mirrored = mirrored
        self.x = x
        self.config = config
        self.sparsity = resolved_sparsity(config)
        self.steps_done = 0
        self._parameters = [saes.encoder, saes.decoder, saes.threshold, saes.bias]
        self._first = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._second = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._x_sum = x.sum(dim=1)
        self._sparse = False
        self._squares: Tensor | None = None
        """Squared length of every row, once the sparse step needs them: [seed * row]"""

    def step(self, *, report: bool = False) -> StepReport | None:
        """Take one step for all seeds. The report describes the state before the step."""
        latents = self.saes.mirrored_latents(self.x) if self._mirrored else self.saes.latents(self.x)
        if not self._sparse and self.x.device.type == "cpu":
            # Once below the threshold it stays there: the L1 term only lowers activity. Checked every fifth step and at
            # the first: dictionaries that start at training rows begin with one latent in a hundred active.
            due = self.steps_done % 5 == 4 or not self.steps_done
            self._sparse = due and _share_active(latents) < _SPARSE_BELOW
        error, gradients = (self._sparse_gradients if self._sparse else self._dense_gradients)(latents)
        step_report = None
        if report:
            penalty = self.sparsity * latents.sum(dim=(1, 2)) / latents.shape[1]
            step_report = StepReport(error(), penalty, discretise(latents))
        self._adam(gradients)
        return step_report

    def _dense_gradients(self, latents: Tensor) -> tuple[Callable[[], Tensor], list[Tensor]]:
        n_rows, d_model = self.x.shape[1:]
        centred = self.x - self.saes.bias[:, None, :]
        residual = torch.bmm(latents, self.saes.decoder) - centred
        to_output = residual * (2.0 / (n_rows * d_model))
        to_latents = torch.bmm(to_output, self.saes.decoder.transpose(1, 2)) + self.sparsity / n_rows
        to_latents *= latents > 0
        to_threshold = to_latents.sum(dim=1)
        return lambda: residual.square().mean(dim=(1, 2)), [
            torch.bmm(to_latents.transpose(1, 2), centred),
            torch.bmm(latents.transpose(1, 2), to_output),
            to_threshold,
            to_output.sum(dim=1) - torch.einsum("sk,skd->sd", to_threshold, self.saes.encoder),
        ]

    def _sparse_gradients(self, latents: Tensor) -> tuple[Callable[[], Tensor], list[Tensor]]:
        """Compute the same as _dense_gradients over the active entries only.

        Seeds are blocks on the diagonal of one matrix, so that one product covers all; rows without an active latent
        contribute to the bias only.
        """
        n_seeds, n_rows, n_latents = latents.shape
        d_model = self.x.shape[2]
        flat_x = self.x.view(-1, d_model)
        decoder = self.saes.decoder.view(-1, d_model)
        flat = latents.view(-1, n_latents)
        row, latent = flat.nonzero(as_tuple=True)
        value = flat[row, latent]
        seed = row.div(n_rows, rounding_mode="floor")
        column = latent + seed * n_latents
        active_rows, place, counts = torch.unique_consecutive(row, return_inverse=True, return_counts=True)
        starts = _starts(counts)
        residual = embedding_bag(column, decoder, starts[:-1], mode="sum", per_sample_weights=value)
        residual -= flat_x.index_select(0, active_rows)
        residual += self.saes.bias.index_select(0, active_rows.div(n_rows, rounding_mode="floor"))
        to_output = 2.0 / (n_rows * d_model)  # times the residual
        pattern = torch.sparse_csr_tensor(
            starts, column, torch.zeros_like(value), size=(len(active_rows), len(decoder)), check_invariants=False
        )
        products = torch.sparse.sampled_addmm(pattern, residual, decoder.T, beta=0.0).values()
        to_active = products * to_output + self.sparsity / n_rows
        by_latent = torch.argsort(column, stable=True)
        latent_starts = _starts(torch.bincount(column, minlength=len(decoder)))[:-1]
        to_decoder = embedding_bag(
            place[by_latent], residual, latent_starts, mode="sum", per_sample_weights=value[by_latent] * to_output
        )
        to_encoder = embedding_bag(
            row[by_latent], flat_x, latent_starts, mode="sum", per_sample_weights=to_active[by_latent]
        )
        to_threshold = torch.zeros(len(decoder)).index_add_(0, column, to_active).view(n_seeds, n_latents)
        spoken = torch.zeros(len(decoder)).index_add_(0, column, value).view(n_seeds, n_latents)
        residual_sum = torch.einsum("sk,skd->sd", spoken, self.saes.decoder) + n_rows * self.saes.bias - self._x_sum
        return lambda: self._mean_error(residual, active_rows), [
            to_encoder.view_as(self.saes.encoder) - to_threshold[:, :, None] * self.saes.bias[:, None, :],
            to_decoder.view_as(self.saes.decoder),
            to_threshold,
            residual_sum * to_output - torch.einsum("sk,skd->sd", to_threshold, self.saes.encoder),
        ]

    def _mean_error(self, residual: Tensor, active_rows: Tensor) -> Float[Tensor, " seed"]:
        """Return the mean squared error per seed, with rows without an active latent, reconstructed as the bias b.

        Those sum to sum |x|^2 - 2 b . sum x + n |b|^2, which takes no pass over them.
        """
        n_seeds, n_rows, d_model = self.x.shape
        seed = active_rows.div(n_rows, rounding_mode="floor")
        if self._squares is None:
            self._squares = self.x.square().sum(dim=2).view(-1)
        squares = self._squares.double().view(n_seeds, n_rows).sum(dim=1)
        squares.index_add_(0, seed, self._squares[active_rows].double(), alpha=-1)
        rest = self._x_sum.index_add(0, seed, self.x.view(-1, d_model).index_select(0, active_rows), alpha=-1)
        n_rest = n_rows - torch.bincount(seed, minlength=n_seeds)
        bias = self.saes.bias.double()
        error = squares - 2 * (bias * rest).sum(dim=1) + n_rest * bias.square().sum(dim=1)
        error.index_add_(0, seed, residual.square().sum(dim=1).double())
        return (error / (n_rows * d_model)).float()

    def _adam(self, gradients: list[Tensor]) -> None:
        self.steps_done += 1
        size = self.config.learning_rate / (1 - _BETA1**self.steps_done)
        unbias = (1 - _BETA2**self.steps_done) ** 0.5
        torch._foreach_lerp_(self._first, gradients, 1 - _BETA1)
        torch._foreach_mul_(self._second, _BETA2)
        torch._foreach_addcmul_(self._second, gradients, gradients, 1 - _BETA2)
        scale = torch._foreach_sqrt(self._second)
        torch._foreach_div_(scale, unbias)
        torch._foreach_add_(scale, _EPSILON)
        torch._foreach_addcdiv_(self._parameters, self._first, scale, -size)
        for rows in (self.saes.encoder, self.saes.decoder):
            rows /= rows.norm(dim=-1, keepdim=True)


def resolved_sparsity(config: SAEConfig) -> float:
    """Return lambda. Raises ConfigError if it is not set."""
    if config.sparsity is None:
        raise ConfigError("lambda is not set.", hint="engine.catalog.recommended_config.resolve_config sets it.")
    return config.sparsity


def _starts(counts: Int[Tensor, " bag"]) -> Int[Tensor, " bag_and_end"]:
    """Return the start of each of consecutive runs of these lengths, followed by the end of the last."""
    starts = torch.zeros(len(counts) + 1, dtype=torch.int64)
    torch.cumsum(counts, dim=0, out=starts[1:])
    return starts


def _share_active(latents: Tensor) -> float:
    return (latents > 0).float().mean().item()


def _unit_rows(n_rows: int, width: int, seed: int) -> Float[Tensor, "row width"]:
    rows = torch.randn(n_rows, width, generator=generator(seed, "sae"))
    return rows / rows.norm(dim=1, keepdim=True)
