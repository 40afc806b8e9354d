"""The sizes of a model that decide the cost of a run: read from its folder, without loading it. No torch."""

from pathlib import Path

import msgspec

from engine.catalog.declared_shape import check_counts
from engine.catalog.local_models import find_model, read_summary
from engine.catalog.planted_models import D_HEAD, PLANTED, n_parameters
from engine.catalog.precision import most_common_precision
from engine.catalog.safetensors_headers import read_headers
from engine.catalog.settings_file import CONFIG, read_settings
from engine.config import Precision
from engine.errors import ModelError
from engine.nodes import NodeChoice, NodeLayout
from engine.results import ModelInfo


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a model that decide its cost."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    vocabulary: int
    parameters: int
    file_bytes: int = 0
    """Bytes of weights on disk: where they have to be converted, they are in memory beside the converted ones."""
    stored: Precision = "float32"
    """The precision of most weights on disk."""

    @property
    def n_nodes(self) -> int:
        """All heads."""
        return self.n_layers * self.n_heads

    def n_outputs(self, choice: NodeChoice) -> int:
        """Return the nodes of a run that are no heads."""
        return NodeLayout(n_layers=self.n_layers, n_heads=self.n_heads, choice=choice).n_outputs


def shape_of(model: str, models: Path) -> ModelShape:
    """Return the sizes, read from the model's folder; of an unbuilt planted model, from its plan.

    Raises ModelError if it is not on this machine.
    """
    source = find_model(model, models)
    sheet = read_summary(source)
    if source.folder is None and source.origin == "planted":
        return ModelShape(
            n_layers=sheet.n_layers,
            n_heads=sheet.n_heads,
            d_model=sheet.d_model,
            d_head=D_HEAD,
            vocabulary=sheet.vocabulary,
            parameters=n_parameters(PLANTED[source.name]),
            file_bytes=sheet.weights_bytes,
        )
    if source.folder is None or not (sheet.n_layers and sheet.n_heads and sheet.d_model):
        raise ModelError(
            f"The size of {model!r} is unknown until it is fetched.",
            hint=f"Fetch it first: headcode models fetch {model}",
        )
    raw = read_settings(source.folder / CONFIG)
    tensors = read_headers(source.folder)
    check_counts(raw, tensors)
    # In latent attention only the values' size is a head's; heads of some layers may be larger.
    names = ("v_head_dim",) if raw.get("v_head_dim") else ("head_dim", "global_head_dim")
    layers = raw.get("per_layer_config")
    sheets = [raw, *(each for each in (layers.values() if isinstance(layers, dict) else ()) if isinstance(each, dict))]
    known = [size for each in sheets for name in names if isinstance(size := each.get(name), int)]
    return ModelShape(
        n_layers=sheet.n_layers,
        n_heads=sheet.n_heads,
        d_model=sheet.d_model,
        d_head=max(known, default=sheet.d_model // sheet.n_heads),
        vocabulary=sheet.vocabulary,
        parameters=sum(tensor.n_elements for tensor in tensors.values()),
        file_bytes=sum(tensor.n_bytes for tensor in tensors.values()),
        stored=most_common_precision(tensors.values()),
    )


def shape_of_info(info: ModelInfo) -> ModelShape:
    """Return the sizes of a model that was loaded once; its parameters are estimated."""
    parameters = 12 * info.n_layers * info.d_model**2 + info.vocabulary * info.d_model
    return ModelShape(
        n_layers=info.n_layers,
        n_heads=info.n_heads,
        d_model=info.d_model,
        d_head=info.d_head,
        vocabulary=info.vocabulary,
        parameters=parameters,
    )
