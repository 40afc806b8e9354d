import pytest
import torch

from engine.config import SAEConfig
from engine.results import NO_CODE
from engine.sae.autoencoder import SAEs, Trainer
from engine.sae.codes import discretise

CPU = torch.device("cpu")


def trainer(x: torch.Tensor, seeds: tuple[int, ...], config: SAEConfig, *, sparse: bool = False) -> Trainer:
    made = Trainer(SAEs(config, seeds, x.shape[-1], CPU), x, config)
    made._sparse = sparse
    return made


def activations(n_seeds: int, rows: int = 40, width: int = 12) -> torch.Tensor:
    return torch.randn(n_seeds, rows, width, generator=torch.Generator().manual_seed(1)) * 2


@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_written_by_hand_are_those_of_the_published_loss(sparse: bool) -> None:
    config = SAEConfig(n_codes=16, sparsity=0.3)
    x = activations(2)
    made = trainer(x, (0, 1), config)
    saes = made.saes
    saes.bias += 0.1
    saes.threshold -= 0.4
    for seed in range(2):
        encoder, decoder = saes.encoder[seed].clone(), saes.decoder[seed].clone()
        threshold, bias = saes.threshold[seed].clone(), saes.bias[seed].clone()
        parameters = [encoder, decoder, threshold, bias]
        for parameter in parameters:
            parameter.requires_grad_(True)
        latents = torch.relu((x[seed] - bias) @ encoder.T + threshold)
        error = (latents @ decoder + bias - x[seed]).square().mean()
        (error + 0.3 * latents.sum(dim=-1).mean()).backward()
        way = made._sparse_gradients if sparse else made._dense_gradients
        output, by_hand = way(saes.latents(x))
        assert torch.allclose(output()[seed], error, rtol=1e-4)
        for parameter, gradient in zip(parameters, by_hand, strict=True):
            assert parameter.grad is not None
            assert torch.allclose(gradient[seed], parameter.grad, rtol=1e-3, atol=1e-6)


def test_the_sparse_step_trains_what_the_dense_step_trains() -> None:
    config = SAEConfig(n_codes=16, sparsity=0.1)
    dense, sparse = trainer(activations(2), (0, 1), config), trainer(activations(2), (0, 1), config, sparse=True)
    for _ in range(30):
        dense._sparse = False
        dense.step()
        sparse.step()
    assert torch.allclose(dense.saes.decoder, sparse.saes.decoder, atol=1e-3)


def test_seeds_trained_together_are_the_seeds_trained_alone() -> None:
    config = SAEConfig(n_codes=16, sparsity=0.05)
    x = activations(3)
    together = trainer(x, (0, 1, 2), config)
    for _ in range(20):
        together.step()
    for place, seed in enumerate((0, 1, 2)):
        alone = trainer(x[place : place + 1], (seed,), config)
        for _ in range(20):
            alone.step()
        assert torch.allclose(alone.saes.decoder[0], together.saes.decoder[place], atol=1e-4)


def test_the_same_seed_gives_the_same_codes_bit_for_bit() -> None:
    config = SAEConfig(n_codes=32, sparsity=0.2)
    runs = []
    for _ in range(2):
        made = trainer(activations(2), (4, 5), config)
        for _ in range(60):
            made.step()
        runs.append(made.saes.codes(activations(1)[0]))
    assert torch.equal(*runs)


def test_rows_and_columns_stay_at_unit_norm_and_the_loss_falls() -> None:
    made = trainer(activations(1), (0,), SAEConfig(n_codes=16, sparsity=0.02))
    first = made.step(report=True)
    for _ in range(100):
        made.step()
    last = made.step(report=True)
    assert first is not None
    assert last is not None
    assert last.reconstruction.item() < 0.8 * first.reconstruction.item()
    for rows in (made.saes.encoder, made.saes.decoder):
        assert torch.allclose(rows.norm(dim=-1), torch.ones(1, 16), atol=1e-5)


def test_a_silent_head_has_no_code_and_code_0_stays_a_code() -> None:
    latents = torch.tensor([[0.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    assert discretise(latents).tolist() == [NO_CODE, 0, 2]


def test_codes_in_blocks_are_codes_in_one_piece() -> None:
    saes = SAEs(SAEConfig(n_codes=8), (0, 1), 12, CPU)
    x = activations(1)[0]
    assert torch.equal(saes.codes(x, rows_at_once=7), saes.codes(x))
