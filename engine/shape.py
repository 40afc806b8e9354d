"""As much of a model as decides what a run on it takes: read from its folder, without loading it. No torch."""

from pathlib import Path

import msgspec

from engine.catalog import find_model, read_sheet, weight_files
from engine.errors import ModelError
from engine.planted.plan import D_HEAD, PLANTED, n_parameters
from engine.results import ModelInfo


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a model as decides what it takes."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    vocabulary: int
    parameters: int
    file_bytes: int = 0
    """Of its weights on the disk, where those are not in single precision: they stand in memory beside the others."""

    @property
    def n_nodes(self) -> int:
        return self.n_layers * self.n_heads


def shape_of(model: str, models: Path) -> Shape:
    """Read from the model's folder, without loading it; of a planted model that is built on first use, from its plan.

    Raises ModelError where it is not on this machine.
    """
    source = find_model(model, models)
    sheet = read_sheet(source)
    if source.folder is None and source.origin == "planted":
        return Shape(
            n_layers=sheet.n_layers,
            n_heads=sheet.n_heads,
            d_model=sheet.d_model,
            d_head=D_HEAD,
            vocabulary=sheet.vocabulary,
            parameters=n_parameters(PLANTED[source.name]),
        )
    if source.folder is None or not (sheet.n_layers and sheet.n_heads and sheet.d_model):
        raise ModelError(
            f"The size of {model!r} is not known before it is here.",
            hint=f"Fetch it first: headcode models fetch {model}",
        )
    parameters, single = _count(source.folder)
    raw = msgspec.json.decode((source.folder / "config.json").read_bytes(), type=dict[str, object])
    # Of latent attention only the values' size is a head's; some layers' heads may be larger than others'.
    names = ("v_head_dim",) if raw.get("v_head_dim") else ("head_dim", "global_head_dim")
    layers = raw.get("per_layer_config")
    sheets = [raw, *(each for each in (layers.values() if isinstance(layers, dict) else ()) if isinstance(each, dict))]
    known = [size for each in sheets for name in names if isinstance(size := each.get(name), int)]
    return Shape(
        n_layers=sheet.n_layers,
        n_heads=sheet.n_heads,
        d_model=sheet.d_model,
        d_head=max(known, default=sheet.d_model // sheet.n_heads),
        vocabulary=sheet.vocabulary,
        parameters=parameters,
        file_bytes=0 if single else sheet.weights_bytes,
    )


def shape_of_info(info: ModelInfo) -> Shape:
    """Of a model that was loaded once; its parameters are estimated."""
    parameters = 12 * info.n_layers * info.d_model**2 + info.vocabulary * info.d_model
    return Shape(
        n_layers=info.n_layers,
        n_heads=info.n_heads,
        d_model=info.d_model,
        d_head=info.d_head,
        vocabulary=info.vocabulary,
        parameters=parameters,
    )


def _count(folder: Path) -> tuple[int, bool]:
    """Parameters of the weights in a folder, and whether they are in single precision: from the files' headers."""
    total, single = 0, True
    for path in weight_files(folder):
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if not 2 <= length <= 100_000_000:
                    raise ModelError(f"{path} is no safetensors file.", hint="Fetch the model again.")
                header = msgspec.json.decode(file.read(length), type=dict[str, dict[str, object]])
        except (OSError, msgspec.MsgspecError) as error:
            raise ModelError(f"{path} cannot be read: {error}.", hint="Fetch the model again.") from error
        for name, tensor in header.items():
            shape = tensor.get("shape")
            if name != "__metadata__" and isinstance(shape, list):
                count = 1
                for side in shape:
                    count *= side if isinstance(side, int) else 1
                total += count
                single &= tensor.get("dtype") == "F32"
    return total, single
