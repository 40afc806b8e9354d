"""The bundled model's tokenizer: a token for every word of its text, bytes for everything else."""

from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
PATTERN = r" ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s+"
"""A word, one or two digits, or signs, each with the space before it; or white space."""


def build(texts: list[str], *, context: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer for which each word, number and sign of the texts is one token, and any other text its bytes.

    Byte-level BPE without merges: `ignore_merges` looks up a whole word first, and without merges an unknown word stays
    its bytes; so no text is lost, and no unknown token is needed.
    """
    splitter = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words = {word for text in texts for word, _ in splitter.pre_tokenize_str(text)}
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [END, *symbols, *sorted(words - set(symbols))]
    tokenizer = Tokenizer(BPE({entry: number for number, entry in enumerate(entries)}, [], ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def save(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json into the folder."""
    tokenizer.save_pretrained(folder)
