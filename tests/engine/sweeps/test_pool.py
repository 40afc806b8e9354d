"""Test how many workers a machine takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sweeps.pool import pool_size

GB = 1 << 30


@pytest.mark.parametrize(
    ("peak", "free", "cores", "units", "workers", "why"),
    [
        (GB, 100 * GB, 4, 50, 4, "4 cores"),
        (GB, 100 * GB, 8, 3, 3, "3 units"),
        (4 * GB, 10 * GB, 8, 50, 2, "a worker of"),
        (20 * GB, 10 * GB, 8, 50, 1, "a worker of"),
        (GB, None, 4, 50, 4, "4 cores"),
        (None, 100 * GB, 4, 50, 1, "unknown"),
    ],
)
def test_the_scarcest_thing_decides(
    peak: int | None, free: int | None, cores: int, units: int, workers: int, why: str
) -> None:
    found = pool_size(peak_bytes=peak, free_bytes=free, cores=cores, units=units)
    assert found.workers == workers
    assert why in found.why


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(1, 256), st.integers(0, 1000))
def test_more_than_one_worker_always_fits(peak: int, free: int, cores: int, units: int) -> None:
    found = pool_size(peak_bytes=peak, free_bytes=free, cores=cores, units=units).workers
    assert found >= 1
    assert found == 1 or (found <= cores and found <= units and found * peak <= 0.9 * free)


def test_a_number_that_was_asked_for_is_taken() -> None:
    assert pool_size(peak_bytes=GB, free_bytes=GB, cores=2, units=50, wanted=7).workers == 7
    assert pool_size(peak_bytes=GB, free_bytes=GB, cores=2, units=3, wanted=7).workers == 3
