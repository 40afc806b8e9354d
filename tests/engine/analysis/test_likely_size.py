"""What heads are ranked by when effects come with errors: the size to expect on other prompts."""

from statistics import NormalDist, fmean

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.effects import expected_size, with_effects
from engine.results import NodeEffect

from ...run_parts import effects_measured, scores_of

QUANTILES = [NormalDist().inv_cdf((place + 0.5) / 4000) for place in range(4000)]


def effect(mean: float, error: float | None = None, head: int = 0) -> NodeEffect:
    return NodeEffect(layer=0, head=head, effect=mean, error=error)


@given(mean=st.floats(-10, 10), error=st.floats(0, 10))
def test_it_is_the_mean_size_of_draws_around_the_effect(mean: float, error: float) -> None:
    """Against the definition, summed over a normal distribution's quantiles."""
    size = expected_size(effect(mean, error))
    drawn = fmean(abs(mean + error * z) for z in QUANTILES)
    assert size == pytest.approx(drawn, abs=5e-3 * (abs(mean) + error) + 1e-9)
    assert size >= abs(mean) * (1 - 1e-9)
    assert expected_size(effect(-mean, error)) == size  # either way


def test_without_an_error_it_is_the_effects_size() -> None:
    assert expected_size(effect(-0.5)) == 0.5
    assert expected_size(effect(-0.5, 0.0)) == 0.5
    assert expected_size(effect(0.0, 0.0)) == 0.0


def test_a_head_that_moves_every_pair_either_way_ranks_above_one_that_moves_none() -> None:
    found = (effect(0.02, 0.001, 0), effect(0.01, 0.2, 1), effect(-1.0, 0.2, 2))
    combined = effects_measured(found, method="combined", base=2.0, seconds=0.0)
    nodes = tuple(scores_of(0, head) for head in range(3))
    folded = with_effects(nodes, [combined, msgspec.structs.replace(combined, method="exact")])
    assert [node.head for node in sorted(folded, key=lambda node: -(node.combined or 0.0))] == [2, 1, 0]
    assert folded[2].combined == pytest.approx(0.5, rel=1e-4)
    assert [node.exact_effect for node in folded] == [0.01, 0.005, 0.5]  # told as it was found
