"""Small random models with tokenizers of other kinds, and what plain transformers makes of them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WORDS = ("When", "Mary", "John", "Anna", "Paul", "and", "left", "gave", "a", "ring", "to", "the", "shop", "spoke")
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_OUTPUT = re.compile(r"(attn|attention)(\.attention|\.output)?\.(o_proj|dense|out_proj|c_proj|Wo)$")


def sentencepiece(folder: Path, *, behind: bool = False, scheme: str = "prepend") -> Any:
    """A vocabulary of whole words that begin with a space, single letters and bytes; <s> in front, and where `behind`
    </s> after. `scheme`: how a text by itself gets its space, by a normalizer or as the pre-tokenizer's."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789,.")
    special = ["<unk>", "<s>", "</s>"]
    vocabulary = [(each, 0.0) for each in (*special, *_BYTES)]
    vocabulary += [("\u2581", -2.0), *((f"\u2581{word}", -1.0) for word in WORDS), *((each, -3.0) for each in letters)]
    vocabulary += [("17", -2.5), ("\u258117", -2.5), ("\u25811732", -2.5), ("32", -2.5)]
    made = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    if scheme == "prepend":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A" + (" </s>" if behind else ""), special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.save_pretrained(folder)
    return fast


def byte_level(folder: Path, *more: str) -> Any:
    """GPT-2's alphabet: every byte, the words behind a space, two bytes that begin a character; `more` are added."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces, merges = list(alphabet), []
    for word in (*("\u0120" + word for word in WORDS), "\u00e6\u013f"):  # the last: e6 9d, of U+6771
        built = word[0]
        for letter in word[1:]:
            if built + letter not in pieces:
                pieces.append(built + letter)
                merges.append((built, letter))
            built += letter
    made = Tokenizer(models.BPE({piece: place for place, piece in enumerate(pieces)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=made)
    fast.add_tokens(list(more))
    fast.save_pretrained(folder)
    return fast


def llama(folder: Path, vocabulary: int = 400) -> None:
    """Random weights, large enough that heads matter."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
    )
    save(LlamaForCausalLM(config), folder)


def save(model: Any, folder: Path, seed: int = 3) -> None:
    """Return the model with new random weights, large enough that heads matter."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() >= 2:
                parameter.normal_(0, 0.5 if re.search("embed|wte|wpe", name) else 0.25)
    model.save_pretrained(folder)


@dataclass(frozen=True)
class AfterAttention:
    """What a family does between attention's output projection and the stream, by the names of its modules."""

    middle: str | None = "post_attention_layernorm"
    """The module that is first to read the stream after attention; None: the MLP stands beside attention."""
    norm: str | None = None
    """The norm that attention's output goes through."""
    offset: float = 0.0
    """Added to the norm's weight."""
    factor: float = 1.0
    before: str | None = None
    """The module whose output attention is added to; None: the layer's input."""
    beside: tuple[str, float] | None = None
    """What else is added at the same place, and by what it is multiplied."""


class Plain:
    """A model as transformers runs it, without Headcode and TransformerLens: one prompt a pass, hooks of torch's."""

    def __init__(
        self, folder: Path, n_heads: int = 4, after: AfterAttention = AfterAttention(), *, images: bool = False
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

        auto = AutoModelForImageTextToText if images else AutoModelForCausalLM
        self.model = auto.from_pretrained(str(folder), dtype=torch.float32, attn_implementation="eager").eval()
        self.n_heads, self.after = n_heads, after
        found = {
            name: module for name, module in self.model.named_modules() if _OUTPUT.search(name) and "vision" not in name
        }
        self.outputs = [*found.values()]
        self.layers = [self.model.get_submodule(re.match(r".*?\.\d+(?=\.)", name)[0]) for name in found]  # type: ignore[index]

    def run(
        self, ids: Sequence[int], head: tuple[int, int] | None = None, instead: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The logits after the last token and every layer's z [position, head, size]; with the head's z replaced by
        `instead` [position, size] at all positions."""
        kept: list[Tensor] = []

        def hook(layer: int) -> Any:
            def see(_module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                z = args[0].clone().view(1, len(ids), self.n_heads, -1)
                if head is not None and head[0] == layer:
                    assert instead is not None
                    z[0, :, head[1]] = instead
                kept.append(z[0])
                return (z.view(args[0].shape), *args[1:])

            return see

        handles = [module.register_forward_pre_hook(hook(layer)) for layer, module in enumerate(self.outputs)]
        try:
            with torch.no_grad():
                logits = self.model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -1]
        finally:
            for handle in handles:
                handle.remove()
        return logits, kept

    def effect(self, one: Sequence[int], other: Sequence[int], head: tuple[int, int], answer: int, foil: int) -> float:
        """What the logit difference gains when the head's z comes from the other prompt, at all positions."""
        clean, _ = self.run(one)
        _, there = self.run(other)
        patched, _ = self.run(one, head, there[head[0]][:, head[1]])
        return float((patched[answer] - patched[foil]) - (clean[answer] - clean[foil]))

    def written(self, z: Tensor, head: tuple[int, int]) -> Tensor:
        """What the head writes: its z through its part of the output projection."""
        module, size = self.outputs[head[0]], z.shape[-1]
        weight = module.weight if type(module).__name__ == "Conv1D" else module.weight.T
        return z @ weight[head[1] * size : (head[1] + 1) * size].detach()

    def contributions(self, ids: Sequence[int]) -> list[Tensor]:
        """What every layer's heads add to the stream [position, head, width]: a norm after attention is linear for a
        head, with the divisor that all heads together gave it. The last along `head` is the projection's bias."""
        norms = [getattr(layer, self.after.norm) if self.after.norm else None for layer in self.layers]
        seen: dict[int, Tensor] = {}

        def keep(layer: int) -> Any:
            return lambda _module, args: seen.__setitem__(layer, args[0][0])

        handles = [norm.register_forward_pre_hook(keep(layer)) for layer, norm in enumerate(norms) if norm is not None]
        try:
            _, z = self.run(ids)
        finally:
            for handle in handles:
                handle.remove()
        found = []
        for layer, norm in enumerate(norms):
            parts = [self.written(z[layer][:, head], (layer, head)) for head in range(self.n_heads)]
            bias = getattr(self.outputs[layer], "bias", None)
            parts.append((torch.zeros_like(parts[0][0]) if bias is None else bias.detach()).expand_as(parts[0]))
            each = torch.stack(parts, dim=1) * self.after.factor
            if norm is not None:
                epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
                divisor = (seen[layer].double().pow(2).mean(-1) + epsilon).sqrt().float()
                each = each / divisor[:, None, None] * (norm.weight.detach() + self.after.offset)
            found.append(each)
        return found

    def added(self, ids: Sequence[int]) -> list[Tensor]:
        """What every layer's attention adds to the stream [position, width]: the one after it less the one before."""
        after, seen = self.after, dict[tuple[int, str], Tensor]()
        handles = []

        def keep(layer: int, name: str) -> Callable[[Any], None]:
            # Some layers add to what they were given.
            return lambda value: seen.__setitem__((layer, name), (value if value.dim() == 2 else value[0]).clone())

        def entering(keep: Callable[[Any], None]) -> Any:
            return lambda _module, args, named: keep(args[0] if args else named["hidden_states"])

        def leaving(keep: Callable[[Any], None]) -> Any:
            return lambda _module, _args, out: keep(out[0] if isinstance(out, tuple | list) else out)

        for at, layer in enumerate(self.layers):
            handles.append(layer.register_forward_pre_hook(entering(keep(at, "in")), with_kwargs=True))
            handles.append(layer.register_forward_hook(leaving(keep(at, "out"))))
            middle = layer.get_submodule(after.middle or "mlp")
            if after.middle:
                handles.append(middle.register_forward_pre_hook(entering(keep(at, "middle")), with_kwargs=True))
            else:
                handles.append(middle.register_forward_hook(leaving(keep(at, "mlp"))))
            for name in (after.before, after.beside and after.beside[0]):
                if name:
                    handles.append(getattr(layer, name).register_forward_hook(leaving(keep(at, name))))
        try:
            self.run(ids)
        finally:
            for handle in handles:
                handle.remove()
        found = []
        for at in range(len(self.layers)):
            late = seen[at, "middle"] if after.middle else seen[at, "out"] - seen[at, "mlp"]
            late = late - (seen[at, after.beside[0]] * after.beside[1] if after.beside else 0)
            found.append(late - seen[at, after.before or "in"])
        return found
