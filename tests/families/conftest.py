"""Which families a run of the tests takes: a dozen, or all with --whole."""

import pytest

from ..engine.conftest import Recorder
from .models import FAMILIES
from .refused import REFUSED

_USUAL = (
    "bloom",
    "cohere",
    "deepseek",
    "falcon_h1",
    "gemma2",
    "gemma3",
    "glm4",
    "gpt_neox",
    "gpt_oss",
    "granite",
    "mpt",
    "olmo2",
    "qwen3_moe",
)
_USUAL_REFUSED = ("lfm2", "bert", "laguna_by_layer")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    whole = metafunc.config.getoption("--whole")
    for name, usual, every in (("family", _USUAL, FAMILIES), ("refused", _USUAL_REFUSED, REFUSED)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, [*every] if whole else usual)


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder
