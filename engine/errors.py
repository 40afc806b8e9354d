"""Errors of the engine; each names the wrong value and what to do."""

import msgspec


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An error as a plain value that crosses processes and is stored."""

    family: str
    """input, engine, cancelled, store or host; the command line maps each to one exit code (2, 3, 130, 4, 4)."""
    name: str
    """The class of the error, for tests and logs."""
    message: str
    hint: str = ""


class HeadcodeError(Exception):
    """The base of every error that Headcode raises; never raised itself."""

    family = "engine"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_failure(self) -> Failure:
        return Failure(family=self.family, name=type(self).__name__, message=self.message, hint=self.hint)


class EngineError(HeadcodeError):
    """The engine could not do what was requested."""


class InputError(EngineError):
    """A user's input that cannot be used and must be changed."""

    family = "input"


class ConfigError(InputError):
    """A setting with an invalid value."""


class ExampleError(InputError):
    """A prompt, polarity, expected token or pair that cannot be used."""


class TaskError(InputError):
    """A ready-made task that does not exist, or that a model's tokenizer cannot express."""


class ModelError(InputError):
    """A model that does not exist, is not a model, or is not supported."""


class PickledWeights(ModelError):
    """Weights in a format that can execute code when loaded."""


class HubUnreachable(ModelError):
    """The hub did not answer."""


class NoSuchNode(InputError):
    """A node that this run or model does not have."""

    def __init__(self, node: str, n_layers: int, n_heads: int, *, mlps: bool = False) -> None:
        """`mlps`: True if MLPs and the embedding are nodes, too."""
        layers, heads = f"layers are 0-{n_layers - 1}", f"heads 0-{n_heads - 1}"
        if mlps:
            super().__init__(
                f"Node {node!r} does not exist: {layers}, {heads}, MLPs m0-m{n_layers - 1}.",
                hint="Nodes are written 9.6 (layer.head), m8 (MLP of layer 8) or emb.",
            )
        elif node.startswith(("m", "e")):
            super().__init__(
                f"{node!r} is not in this run, which has heads only: {layers}, {heads}.",
                hint="Run it with --nodes all for MLPs and the embedding.",
            )
        else:
            super().__init__(
                f"Head {node!r} does not exist: {layers}, {heads}.",
                hint="Heads are written layer.head, for example 9.6.",
            )


class NoSuchNeuron(InputError):
    """A neuron, or a layer, that this model does not have."""

    def __init__(self, neuron: str, n_layers: int, n_neurons: int | None = None) -> None:
        """`n_neurons`: of the layer, where that is known."""
        of_layer = "" if n_neurons is None else f", neurons 0-{n_neurons - 1}"
        super().__init__(
            f"Neuron {neuron!r} does not exist: layers are 0-{n_layers - 1}{of_layer}.",
            hint="Neurons are written layer.neuron, for example 8.1023; an MLP is written m8.",
        )


class OutOfMemory(EngineError):
    """The machine or the device has less memory than needed."""


class Cancelled(EngineError):
    """The user stopped the run; what was reported before stays."""

    family = "cancelled"

    def __init__(self) -> None:
        super().__init__("Stopped by the user.", hint="What was reported before is kept.")
