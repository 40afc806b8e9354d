"""Test the soak's verdict: flat curves pass, each kind of growth is reported."""

from typing import Any

import pytest

from .soak import judge


def lines(n: int = 40, **grows: float) -> list[dict[str, Any]]:
    """Return samples of an idle soak; named values grow by that factor over its length."""

    def at(name: str, value: float, k: int) -> float:
        return value * (1 + (grows.get(name, 1.0) - 1) * k / (n - 1))

    found = []
    for k in range(n):
        line: dict[str, Any] = {}
        for who in ("host", "worker"):
            line[who] = {
                kind: at(f"{who}_{kind}", value, k)
                for kind, value in (("rss", 200.0), ("pss", 150.0), ("anonymous", 90.0))
            }
            line[who] |= {"descriptors": at(f"{who}_descriptors", 20, k), "threads": at(f"{who}_threads", 16, k)}
        for kind, value in (("status", 1.0), ("note", 15.0), ("list", 8.0)):
            line[kind] = {"p50_ms": at(kind, value, k)}
        found.append(line)
    return found


def test_flat_curves_pass() -> None:
    assert judge(lines(), [])["wrong"] == []


def test_memory_that_grows_before_it_is_flat_passes() -> None:
    """A store's cache fills in the first quarter, which is not a leak."""
    flat = lines()
    for k in range(9):
        flat[k]["host"]["rss"] = 100 + 10 * k
    assert judge(flat, [])["wrong"] == []


@pytest.mark.parametrize(
    ("what", "factor", "message"),
    [
        ("host_rss", 1.15, "the host's memory"),
        ("worker_rss", 1.15, "the worker's memory"),
        ("host_descriptors", 1.5, "the host's descriptors"),
        ("worker_threads", 1.5, "the worker's threads"),
        ("note", 3.0, "a note took"),
        ("list", 3.0, "a list took"),
    ],
)
def test_each_kind_of_growth_is_named(what: str, factor: float, message: str) -> None:
    (wrong,) = judge(lines(**{what: factor}), [])["wrong"]
    assert message in wrong


def test_a_machine_that_gets_slower_is_not_the_stores_fault() -> None:
    assert judge(lines(note=2.0, list=2.0, status=2.0), [])["wrong"] == []


def test_a_fault_and_a_soak_too_short_fail() -> None:
    assert judge(lines(), ["the host was replaced"])["wrong"] == ["the host was replaced"]
    assert judge(lines(2), [])["wrong"]
