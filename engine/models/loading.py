"""Load a model into memory through TransformerBridge, whatever its family."""

import gc
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from engine.catalog.device_maps import Gpu, Placement, describe, place
from engine.catalog.local_models import ModelSource, check_folder, find_model, model_identity
from engine.catalog.planted_models import PLANTED
from engine.catalog.precision import BYTES, resolve_dtype, stored_precision
from engine.catalog.safetensors_headers import read_headers
from engine.config import Dtype, LoadOptions, Precision
from engine.errors import ConfigError, ModelError
from engine.install.hub_cache import hub_folder
from engine.install.load_report import load_report
from engine.install.model_check import foreign_errors
from engine.install.weights_check import check_agreement
from engine.models.answer_directions import AnswerDirections
from engine.models.contributions import Contributions, RecordedPass
from engine.models.falcon import reordered_falcon
from engine.models.head_layout import check_heads, output_matrices, stacked
from engine.models.kv_cache import cache_argument, hand_on_cache
from engine.models.light_imports import import_bridge
from engine.models.mlps import MLPs
from engine.models.rotary import RowLengths
from engine.models.text_only import without_preprocessors
from engine.models.tokens import Tokens
from engine.nodes import NodeChoice, NodeLayout
from engine.planted.build import planted_folder
from engine.results import ModelInfo
from engine.tensors.threads import adapt_threads, threads_for


class Model:
    """A bridge, its tokenizer and its description. Nothing here depends on the model family."""

    def __init__(
        self,
        bridge: Any,
        tokenizer: Any,
        info: ModelInfo,
        folder: Path,
        device: torch.device,
        contributions: Contributions,
        mlps: MLPs,
        directions: AnswerDirections,
        precision: Precision = "float32",
        spread: str = "",
    ) -> None:
        self.bridge = bridge
        self.tokenizer = tokenizer
        self.tokens = Tokens(tokenizer)
        self.info = info
        self.folder = folder
        self.device = device
        """Where tokens go in and everything that is read from the model is put."""
        self.spread = spread
        """Where else its weights are: split over 2 GPUs, weights on disk; empty for one device."""
        self.precision: Precision = precision
        """Of weights and forward pass. What is read from them is computed in float32."""
        hand_on_cache(bridge)
        self.cache_argument = cache_argument(bridge.original_model)
        """Name of the argument that takes a key-value cache."""
        self.steerable: dict[str, bool] = {}
        """Hooks that were tried for adding directions, and whether that is right (engine.patching.steering_edits)."""
        self.continues: bool | None = None
        """True if a pass that continues from kept keys and values answers as a whole one; None: not tried yet."""
        self.lengths = RowLengths(bridge.original_model)
        """Row lengths, for the few models whose positions depend on the length of a prompt."""
        self.contributions = contributions
        """How a head's z becomes what it adds to the stream."""
        self.mlps = mlps
        """Where the outputs of MLPs are read and replaced."""
        self.directions = directions
        """From what is written into the stream to the logits."""

    def adapt_threads(self, n_tokens: int) -> None:
        """Set the number of threads for passes of so many tokens in one batch."""
        adapt_threads(self._operations(n_tokens), half=self.precision != "float32")

    def threads_for(self, n_tokens: int) -> AbstractContextManager[None]:
        """Within the context, use the number of threads for such passes."""
        return threads_for(self._operations(n_tokens), half=self.precision != "float32")

    def _operations(self, n_tokens: int) -> float:
        # Threads divide the work of one block at a time.
        return 2.0 * self.n_parameters / self.info.n_layers * n_tokens

    @property
    def n_heads_in_all(self) -> int:
        return self.info.n_layers * self.info.n_heads

    def layout(self, choice: NodeChoice) -> NodeLayout:
        """Return the nodes of a run; heads alone where TransformerLens does not show the MLPs."""
        return NodeLayout(
            n_layers=self.info.n_layers,
            n_heads=self.info.n_heads,
            choice="heads" if self.mlps.missing else choice,
            parallel=self.mlps.parallel,
        )

    @cached_property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.bridge.parameters())

    @property
    def output_weights(self) -> Float[Tensor, "layer head d_head d_model"]:
        """W_O, one matrix per head: z @ W_O is what the head adds to the stream (engine.models.contributions).

        Heads smaller than the largest are padded with zeros (engine.models.head_layout).
        """
        return stacked(self.head_weights)

    @property
    def head_weights(self) -> list[Float[Tensor, "head _ d_model"]]:
        """W_O of each layer's heads, in their own size."""
        return [matrix.to(self.device) for matrix in self.contributions.weights]

    def encode(self, text: str) -> tuple[list[int], list[bool]]:
        """Return the token ids the model reads before its answer, and which of them are the text's own."""
        encoded = self.tokens.encode(text)
        return encoded.ids, encoded.own

    def pieces(self, text: str) -> tuple[str, ...]:
        """Return the texts of the text's own tokens (tasks.base.Splitter)."""
        return self.tokens.pieces(text)

    def token_text(self, token: int) -> str:
        return self.tokens.text(token)

    def token_words(self, token: int) -> str:
        """Return token_text, but write a token that is part of a character as its bytes: <e6 97>."""
        return self.tokens.words(token)

    def prompt_words(self, ids: Sequence[int], own: Sequence[bool]) -> tuple[str, ...]:
        """Return the texts of a prompt's tokens (encode): joined they give the prompt, apart from special tokens."""
        begins = own.index(True) if any(own) else -1
        return tuple(self.tokens.words(token, begins=place == begins) for place, token in enumerate(ids))

    def unknown_token(self, ids: Iterable[int]) -> str | None:
        """Describe the first of these tokens that the model has no embedding for; None if it has all."""
        for token in ids:
            if token >= self.info.vocabulary:
                return (
                    f"the token {self.tokens.words(token)!r} ({token}), and {self.info.name} has embeddings for "
                    f"{self.info.vocabulary} tokens, 0 to {self.info.vocabulary - 1}"
                )
        return None


def pick_device(asked: str) -> torch.device:
    """Return the device; "auto" is cuda if available. Raises ConfigError for a device that is not available."""
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device={asked!r} cannot be used here: {str(error).splitlines()[0]} ({describe(gpus())}).",
            hint="Use auto, cpu or cuda.",
        ) from error
    return device


def gpus() -> tuple[Gpu, ...]:
    """Return the CUDA devices of this machine."""
    if not torch.cuda.is_available():
        return ()
    return tuple(
        Gpu(name=torch.cuda.get_device_name(place), free_bytes=int(torch.cuda.mem_get_info(place)[0]))
        for place in range(torch.cuda.device_count())
    )


def resolve_load_options(options: LoadOptions) -> LoadOptions:
    """Return the options with the device chosen, and the precision where it does not depend on the checkpoint.

    Raises ConfigError for a device that is not available.
    """
    if options.devices is not None or options.device_map:
        place(options, gpus(), lambda: 0)  # contradictions, and devices that are not there
    device = pick_device(options.device)
    on_cuda = device.type == "cuda"
    dtype: Dtype = options.dtype if on_cuda else resolve_dtype(options.dtype, on_cuda=False, stored=lambda: "float32")
    split = options.devices is not None or bool(options.device_map)
    return msgspec.structs.replace(options, device="auto" if split else str(device), dtype=dtype)


def load_model(name: str, models: Path, options: LoadOptions) -> Model:
    """Load the model of that name or folder, in evaluation mode.

    Raises ModelError (and its subclasses), which says what is wrong and what is available, and ConfigError for a device
    that is not available.
    """
    options = resolve_load_options(options)
    source = find_model(name, models)
    folder = source.folder
    if folder is None and source.origin == "planted":
        folder = planted_folder(PLANTED[source.name], models)
    folder = folder or hub_folder(source.name, models)
    check_folder(folder)
    return _boot(source, folder, options)


def _boot(source: ModelSource, folder: Path, options: LoadOptions) -> Model:
    import_bridge()
    import transformers
    from transformer_lens.model_bridge import TransformerBridge

    device = pick_device(options.device)
    precision = resolve_dtype(options.dtype, on_cuda=device.type == "cuda", stored=lambda: stored_precision(folder))
    dtype = getattr(torch, precision)
    placement = _placement(options, folder, precision) or Placement(device=str(device))
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    with foreign_errors(source.name, folder):
        check_agreement(folder, source.name)
        # A separate tokenizer: the bridge changes its own copy to add a beginning-of-sequence token where the model's
        # authors add none.
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=options.trust_remote_code)
        with load_report() as report, without_preprocessors():
            try:
                bridge = TransformerBridge.boot_transformers(
                    str(folder),
                    hf_model=reordered_falcon(folder, source.name, placement.device, dtype),
                    dtype=dtype,
                    trust_remote_code=options.trust_remote_code,
                    **placement.arguments,
                )
            finally:
                report.check(source.name)  # explains more than the error that follows from it
        bridge.eval()
        if placement.device is None:
            device = torch.device(bridge.cfg.device or "cpu")
            device = torch.device("cpu") if device.type == "meta" else device  # an embedding on disk
        # Some modules need what a version of transformers lacks (CodeGen under 5.24): a test pass shows it here.
        record = RecordedPass(bridge, torch.tensor([[0, 0], [0, 1]], device=device))
        if record.logits.isnan().all():
            raise ModelError(
                f"{source.name} answers only NaN{'' if precision == 'float32' else f' in {precision}'}.",
                hint="Its activations may be too large for float16: use bfloat16 or float32."
                if precision == "float16"
                else "Its weights are damaged, or its settings are not those it was trained with.",
            )
        check_heads(bridge, source.name)
        record.check_causal(source.name)
        config = bridge.cfg
        contributions = Contributions(bridge, int(config.n_heads), record)
        mlps, directions = MLPs(bridge, record), AnswerDirections(bridge, record)
        info = ModelInfo(
            name=source.name,
            identity=model_identity(folder),
            n_layers=int(config.n_layers),
            n_heads=int(config.n_heads),
            d_model=int(config.d_model),
            d_head=max(each.shape[1] for each in output_matrices(bridge, int(config.n_heads))),
            context=int(config.n_ctx),
            vocabulary=int(config.d_vocab),
        )
    gc.collect()
    return Model(bridge, tokenizer, info, folder, device, contributions, mlps, directions, precision, _spread(bridge))


def _placement(options: LoadOptions, folder: Path, precision: Precision) -> Placement | None:
    """Return where several devices or a map put the model; None for one device. Raises ConfigError."""

    def weights_bytes() -> int:
        return sum(tensor.n_elements for tensor in read_headers(folder).values()) * BYTES[precision]

    return place(options, gpus(), weights_bytes)


def _spread(bridge: Any) -> str:
    """Describe where a split model's weights are; empty if they are on one device."""
    places = set((getattr(bridge.original_model, "hf_device_map", None) or {}).values())
    n_gpus = sum(str(each) not in ("cpu", "disk") for each in places)
    return f"split over {n_gpus} GPUs" if n_gpus > 1 else "weights on disk" if "disk" in places else ""
