"""Read the directions of codes from a run's stored SAE weights."""

from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.errors import EngineError


def code_directions(path: Path, seed_index: int, *, others: bool = False) -> Float[Tensor, "code d_model"]:
    """Return one seed's decoder, a unit row per code. `others`: of the dictionary of MLPs and the embedding.

    Raises EngineError for a file that cannot be read or does not have it.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            weights: Tensor = file.get_slice("others.W_d_T" if others else "W_d_T")[seed_index]
    except (OSError, SafetensorError, IndexError) as error:
        raise EngineError(
            f"The SAE weights of this run cannot be read: {error}.", hint="Run the probe again to save new ones."
        ) from error
    return weights.float()
