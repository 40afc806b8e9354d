"""What holds for all tests."""

import pytest
from hypothesis import settings

# A busy machine is no failure; what hangs is ended by pytest-timeout.
settings.register_profile("headcode", deadline=None)
settings.load_profile("headcode")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="run tests/families on every family, not on a dozen")
