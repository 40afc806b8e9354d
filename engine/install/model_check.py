"""Check a model folder's files before the model is built, and translate errors of the libraries."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from engine.catalog.settings_file import read_settings
from engine.errors import HeadcodeError, ModelError
from engine.install.weights_check import check_agreement
from engine.tensors.out_of_memory import is_out_of_memory

_PANIC = "PanicException"
"""Name of the panic exception of Rust libraries; it is not an Exception."""


@contextmanager
def foreign_errors(name: str, folder: Path) -> Iterator[None]:
    """Within the context, turn any library error about the files into a ModelError, except lack of memory."""
    try:
        yield
    except HeadcodeError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _not_loaded(name, folder, error) from error
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise _not_loaded(name, folder, error) from error


def check_model(folder: Path, name: str) -> None:
    """Check that the folder's settings, weights and tokenizer can belong to one model. Raises ModelError."""
    import transformers

    with foreign_errors(name, folder):
        check_agreement(folder, name)
        transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)


def _not_loaded(name: str, folder: Path, error: BaseException) -> ModelError:
    """Return why a model cannot be loaded: an architecture unknown to the bridge is not an error of the files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # A validation error names the class in its first line and the problem in its last.
    reason = (lines[-1] if "Validation" in type(error).__name__ else lines[0])[:400]
    reason = f"{type(error).__name__}: {reason}" if isinstance(error, LookupError) else reason
    frames = [Path(frame.filename).parts for frame in traceback.extract_tb(error.__traceback__)]
    packages = [each for parts in frames for each in ("transformers", "transformer_lens") if each in parts[:-1]]
    hint = "TransformerBridge must support its architecture, and its files must be complete."
    kind = ""
    if packages and packages[-1] == "transformer_lens":
        kind = f" ({_architecture(folder)})"
        hint = f"transformer-lens {version('transformer-lens')} does not know this architecture: choose another model."
    return ModelError(f"{name}{kind} cannot be loaded: {reason}", hint=hint)


def _architecture(folder: Path) -> str:
    config = read_settings(folder / "config.json")
    named = config.get("architectures")
    return str(named[0] if isinstance(named, list) and named else config.get("model_type", "architecture unknown"))
