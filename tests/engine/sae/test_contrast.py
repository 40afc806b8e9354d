"""The contrast recipe: what it takes out, what it leaves silent, and that no label is read."""

import pytest
import torch
from torch import Tensor

from engine.config import PUBLISHED, ProbeConfig, SAEConfig
from engine.results import NO_CODE
from engine.sae.autoencoder import SAEs
from engine.sae.contrast import contrast, loud_rows, silence, starting_rows, to_half_width
from engine.sae.training import _mirrored, codes_of, prepare, train_saes

CPU = torch.device("cpu")
PAIRS = torch.tensor([[0, 1], [2, 3], [4, 5], [6, 7]])
POSITIVE = torch.tensor([True, False] * 4)


class Quiet:
    def __init__(self) -> None:
        self.events: list[object] = []

    def report(self, event: object, /) -> None:
        self.events.append(event)

    def cancelled(self) -> bool:
        return False


def outputs(n_examples: int = 8, n_nodes: int = 6, width: int = 16) -> Tensor:
    """Every head encodes the pair's subject; only head 2 also encodes the side."""
    source = torch.Generator().manual_seed(3)
    subject = torch.randn(n_examples // 2, n_nodes, width, generator=source).repeat_interleave(2, dim=0)
    side = torch.randn(width, generator=source)
    x = subject + 0.01 * torch.randn(n_examples, n_nodes, width, generator=source)
    x[0::2, 2] += 0.4 * side
    return x


def codes(x: Tensor, config: ProbeConfig, positive: Tensor = POSITIVE) -> Tensor:
    shown = prepare(x, PAIRS, 6, config.sae)
    return codes_of(train_saes(shown, positive, config, Quiet(), lambda _: None), shown)


def test_what_a_pair_has_in_common_is_gone() -> None:
    x = outputs()
    plain = contrast(x, PAIRS, 3)
    assert torch.allclose(plain[0::2], -plain[1::2])
    other_subjects = x + torch.randn(4, 6, 16).repeat_interleave(2, dim=0)
    assert torch.allclose(contrast(other_subjects, PAIRS, 3), plain, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 20])
def test_one_product_for_both_halves_of_pairs_trains_the_same(steps: int) -> None:
    config = ProbeConfig(sae=SAEConfig(n_codes=8, sparsity=0.3, steps=steps), seeds=(0, 1))
    shown = prepare(outputs(), PAIRS, 6, config.sae)
    plain, mirrored = (train_saes(shown, POSITIVE, config, Quiet(), lambda _: None, pairs) for pairs in (None, PAIRS))
    assert torch.allclose(plain.decoder, mirrored.decoder, atol=1e-5)
    assert torch.allclose(plain.threshold, mirrored.threshold, atol=1e-5)
    assert torch.equal(codes_of(plain, shown), codes_of(mirrored, shown))


def test_halves_are_mirrored_only_if_all_of_a_seeds_rows_are_whole_pairs() -> None:
    shown = prepare(outputs(), PAIRS, 6, SAEConfig(sparsity=0.3))
    every = torch.arange(8).expand(2, -1)
    assert _mirrored(shown, PAIRS, every)
    assert not _mirrored(shown, PAIRS, every[:, :6]), "some of the rows"
    assert not _mirrored(shown, PAIRS[:3], every), "a row without a pair"
    assert not _mirrored(shown + 1, PAIRS, every), "not a contrast of pairs"


def test_an_example_without_a_pair_is_held_against_the_mean_of_all() -> None:
    x = outputs()
    alone = contrast(x, torch.zeros(0, 2, dtype=torch.int64), 6)
    assert torch.allclose(alone.mean(dim=0), torch.zeros(6, 16), atol=1e-5)
    some = contrast(x, PAIRS[:2], 6)
    unlevelled = x - x.mean(dim=0)
    for row in range(4, 8):
        cosines = torch.cosine_similarity(some[row], unlevelled[row], dim=-1)
        assert torch.allclose(cosines, torch.ones(6), atol=1e-5)


def test_layers_are_levelled_by_half() -> None:
    x = outputs()
    louder = x.clone()
    louder[:, 3:] *= 16
    ratio = contrast(louder, PAIRS, 3)[:, 3:].norm() / contrast(x, PAIRS, 3)[:, 3:].norm()
    assert ratio.item() == pytest.approx(4, rel=1e-4)


def test_only_the_head_that_tells_the_sides_apart_speaks() -> None:
    config = ProbeConfig(sae=SAEConfig(sparsity=0.5, n_codes=8), seeds=(0, 1))
    found = codes(outputs(), config)
    speaks = (found != NO_CODE).float().mean(dim=(0, 1))
    assert speaks[2] == 1
    assert speaks[[0, 1, 3, 4, 5]].max() == 0
    on_positive, on_negative = set(found[0, 0::2, 2].tolist()), set(found[0, 1::2, 2].tolist())
    assert not on_positive & on_negative


def test_no_label_is_read_but_for_the_draw_of_training_examples() -> None:
    """With all examples trained on, swapped labels give the same codes: what label shuffles rest on."""
    config = ProbeConfig(sae=SAEConfig(sparsity=0.3), seeds=(0, 1))
    assert torch.equal(codes(outputs(), config), codes(outputs(), config, ~POSITIVE))


def test_a_head_quieter_than_lambda_times_the_mean_says_nothing() -> None:
    x = torch.randn(4, 5, 32, generator=torch.Generator().manual_seed(1))
    x *= to_half_width(x)
    assert x.norm(dim=-1).mean().item() == pytest.approx(16)
    floor = silence(0.5, 32)
    assert floor == 8
    x[0, 0] *= 0.9 * floor / x[0, 0].norm()
    rows = x.flatten(0, 1)[None]
    kept = loud_rows(rows, floor)
    assert 0 not in kept[0]
    start = starting_rows(rows, 200, (0,), floor)
    assert torch.allclose(start.norm(dim=-1), torch.ones(1, 200), atol=1e-5)
    found = SAEs(SAEConfig(), (0,), 32, CPU, start=start, silence=floor).codes(rows[0])[0]
    assert found[0] == NO_CODE
    assert (found[kept[0]] != NO_CODE).all()  # every loud row is a direction of the dictionary: there are enough


def test_leaving_quiet_rows_out_of_the_product_changes_no_code() -> None:
    saes = SAEs(SAEConfig(n_codes=64), (0, 1), 12, CPU, silence=2.0)
    saes.bias += 0.1
    x = 2 * torch.randn(300, 12, generator=torch.Generator().manual_seed(2))
    latents = saes.latents(x.expand(2, -1, -1))
    whole = latents.argmax(dim=-1).masked_fill(latents.amax(dim=-1) <= 0, NO_CODE)
    assert 0 < (whole == NO_CODE).float().mean() < 1
    assert torch.equal(saes.codes(x), whole)


def test_pairs_that_do_not_differ_at_all_are_silence_not_an_error() -> None:
    x = outputs()[0::2].repeat_interleave(2, dim=0)
    found = codes(x, ProbeConfig(sae=SAEConfig(sparsity=0.5), seeds=(0,)))
    assert (found == NO_CODE).all()


@pytest.mark.parametrize("sae", [SAEConfig(sparsity=0.2), SAEConfig(sparsity=0.0), PUBLISHED])
def test_the_same_seed_gives_the_same_codes_bit_for_bit(sae: SAEConfig) -> None:
    sae = sae if sae.sparsity is not None else SAEConfig(recipe="published", sparsity=0.2, steps=60)
    config = ProbeConfig(sae=sae, seeds=(4, 5))
    first = codes(outputs(), config)
    assert torch.equal(first, codes(outputs(), config))
    alone = codes(outputs(), ProbeConfig(sae=sae, seeds=(5,)))  # other seeds beside it change rounding at most
    assert (first[1] == alone[0]).float().mean() > 0.95
