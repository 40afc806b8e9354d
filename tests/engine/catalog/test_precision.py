"""What `--dtype auto` means, without torch's loader and without a GPU."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.catalog.local_models import bundled_folder
from engine.catalog.precision import BYTES, resolve_dtype, stored_precision
from engine.config import Dtype, LoadOptions, Precision, load_fields
from engine.errors import ConfigError


def unread() -> Precision:
    raise AssertionError("the checkpoint was read, though it decides nothing")


@pytest.mark.parametrize(
    ("asked", "on_cuda", "stored", "wanted"),
    [
        ("auto", False, "bfloat16", "float32"),
        ("auto", True, "bfloat16", "bfloat16"),
        ("auto", True, "float16", "float16"),
        ("auto", True, "float32", "float32"),
        ("float32", True, "bfloat16", "float32"),
        ("bfloat16", False, "float32", "bfloat16"),
    ],
)
def test_auto_is_the_checkpoints_own_on_cuda_and_float32_elsewhere(
    asked: Dtype, on_cuda: bool, stored: Precision, wanted: Precision
) -> None:
    decides = asked == "auto" and on_cuda
    assert resolve_dtype(asked, on_cuda=on_cuda, stored=(lambda: stored) if decides else unread) == wanted


def test_most_numbers_of_a_checkpoint_decide(tmp_path: Path) -> None:
    assert stored_precision(bundled_folder()) == "float32"
    (tmp_path / "config.json").write_text("{}")
    for kind, wanted in (
        (torch.bfloat16, "bfloat16"),
        (torch.float16, "float16"),
        (torch.float64, "float32"),
        (torch.int8, "float32"),
    ):
        # A model's norms are often kept in single precision.
        save_file({"w": torch.zeros(64, 64, dtype=kind), "norm": torch.ones(64)}, tmp_path / "model.safetensors")
        assert stored_precision(tmp_path) == wanted
    assert {BYTES[each] for each in ("float32", "bfloat16", "float16")} == {4, 2}


def test_a_precision_that_is_none_is_refused_with_the_ways_out() -> None:
    with pytest.raises(ConfigError, match="int8") as caught:
        LoadOptions(dtype="int8")  # type: ignore[arg-type]
    assert "auto, float32, bfloat16, float16" in caught.value.hint


def test_options_are_handed_on_whole_and_trust_only_if_told() -> None:
    given = LoadOptions(device="cpu", dtype="bfloat16", trust_remote_code=True)
    assert LoadOptions(**load_fields(given)) == given
    assert load_fields(given, trusted=False) == {**load_fields(given), "trust_remote_code": False}
