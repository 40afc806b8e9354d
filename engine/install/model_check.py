"""Check a model folder's files before the model is built, and word what the libraries raise about them."""

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
"""What libraries in Rust raise where they did not expect something; it is no Exception."""


@contextmanager
def foreign_errors(name: str, folder: Path) -> Iterator[None]:
    """Inside, whatever a library raises about somebody's files becomes a ModelError; a lack of memory stays one."""
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
    """Returns when the folder's settings, weights and tokenizer can be those of one model. Raises ModelError."""
    import transformers

    with foreign_errors(name, folder):
        check_agreement(folder, name)
        transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)


def _not_loaded(name: str, folder: Path, error: BaseException) -> ModelError:
    """Why a model cannot be loaded: an architecture that the bridge does not fit is no fault of its files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # A check of settings says what it is about in its first line, and what is wrong in its last.
    told = (lines[-1] if "Validation" in type(error).__name__ else lines[0])[:400]
    told = f"{type(error).__name__}: {told}" if isinstance(error, LookupError) else told
    frames = [Path(frame.filename).parts for frame in traceback.extract_tb(error.__traceback__)]
    packages = [each for parts in frames for each in ("transformers", "transformer_lens") if each in parts[:-1]]
    hint = "TransformerBridge has to know its architecture, and its files have to be whole."
    kind = ""
    if packages and packages[-1] == "transformer_lens":
        kind = f" ({_architecture(folder)})"
        hint = f"transformer-lens {version('transformer-lens')} does not fit this architecture: choose another model."
    return ModelError(f"{name}{kind} cannot be loaded: {told}", hint=hint)


def _architecture(folder: Path) -> str:
    config = read_settings(folder / "config.json")
    named = config.get("architectures")
    return str(named[0] if isinstance(named, list) and named else config.get("model_type", "architecture unknown"))
