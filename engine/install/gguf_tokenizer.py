"""Build the tokenizer of a GGUF file with transformers, and report what is not carried over."""

from typing import Any

from engine.errors import ModelError
from engine.install.gguf_file import GgufFile

_SPACE = "▁"
_BY_GPT2 = ("default", "gpt-2", "gpt2")
"""Ways of splitting text that are GPT-2's, which transformers uses for unknown ones."""
_DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
"""GPT-2's way with every digit separate: the same tokens if the vocabulary joins no digits."""


def make_tokenizer(file: GgufFile) -> tuple[Any, list[str]]:
    """Return the tokenizer and notices for the user. Raises ModelError if it cannot be built."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(file.path.parent), gguf_file=file.path.name, local_files_only=True
        )
    except Exception as error:  # libraries raise many kinds for a vocabulary they do not understand
        raise _no_tokenizer(file, error) from error
    except BaseException as error:
        # The tokenizers library is written in Rust: its panics are not Exceptions.
        if type(error).__name__ != "PanicException":
            raise
        raise _no_tokenizer(file, error) from error
    notices = [*_settle_space(file, tokenizer), *_division(file)]
    if file.keys.get("tokenizer.ggml.remove_extra_whitespaces"):
        notices.append("The file's tokenizer removes doubled spaces; the one written here keeps them.")
    return tokenizer, notices


def _no_tokenizer(file: GgufFile, error: BaseException) -> ModelError:
    kind = file.keys.get("tokenizer.ggml.model", "none")
    lines = str(error).strip().splitlines()
    return ModelError(
        f"The tokenizer of {file.path.name} cannot be built ({kind}): {lines[0] if lines else type(error).__name__}",
        hint="Its weights were not read. Get the model as a Hugging Face folder, or another GGUF file of it.",
    )


def _settle_space(file: GgufFile, tokenizer: Any) -> list[str]:
    """Set whether a text gets a leading space, as the file says; transformers ignores that key."""
    wanted = file.keys.get("tokenizer.ggml.add_space_prefix")
    if wanted is None or not hasattr(tokenizer, "backend_tokenizer"):
        return []
    backend = tokenizer.backend_tokenizer
    if _begins_with_space(backend) == bool(wanted) or not _knows_space(backend):
        return []
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

    if bool(wanted) or not isinstance(backend, Tokenizer):
        return [f"The key tokenizer.ggml.add_space_prefix = {wanted} is not carried over."]
    if isinstance(backend.pre_tokenizer, pre_tokenizers.Metaspace):
        backend.pre_tokenizer = pre_tokenizers.Metaspace(
            replacement=_SPACE, prepend_scheme="never", split=backend.pre_tokenizer.split
        )
    else:
        backend.normalizer = normalizers.Replace(" ", _SPACE)
    if _begins_with_space(backend):
        return ["The key tokenizer.ggml.add_space_prefix = False is not carried over."]
    return []


def _begins_with_space(backend: Any) -> bool:
    tokens = backend.encode("a", add_special_tokens=False).tokens
    return bool(tokens) and tokens[0].startswith(_SPACE)


def _knows_space(backend: Any) -> bool:
    return backend.token_to_id(_SPACE) is not None


def _division(file: GgufFile) -> list[str]:
    """Report a vocabulary whose way of splitting text is unknown to transformers."""
    named = file.keys.get("tokenizer.ggml.pre")
    if file.keys.get("tokenizer.ggml.model") != "gpt2" or named is None or named in _BY_GPT2:
        return []
    from transformers.integrations.gguf import gguf_tokenizer_mapping

    known = getattr(gguf_tokenizer_mapping, "GGUF_PRE_TOKENIZER_SPLITS", {})
    if named in known or (named in _DIGITS_APART and not file.joins_digits):
        return []
    return [
        f"The file splits text into words in a way called {named!r}, which transformers does not know: it is "
        "split as in GPT-2. Some prompts may have other tokens than in llama.cpp."
    ]
