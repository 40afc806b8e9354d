"""Train the adder from scratch: `python -m engine.asset_tools.train_adder [FOLDER]`.

A GPT-2 of two layers learns sums of two two-digit numbers from 700 of the 8,100 sums. It first learns those by heart
and, hundreds of steps later, jumps on all others. Every checkpoint is a model folder of its own: stepN/.
"""

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)
from transformers import GPT2Config, PreTrainedTokenizerFast

from engine.asset_tools.toy_model import Block, ToyModel
from engine.catalog.adder_sums import TRAINED_SUMS, shuffled_sums
from engine.catalog.local_models import ADDER, bundled_folder
from engine.planted import tokenizer

FIRST_ANSWER = len("10+10=") - 1
"""Position of the last token of a question: from there on, answers are predicted."""
ANSWERS = 4
"""Tokens of the longest answer: three digits and the end."""


class AdderTraining(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides the weights."""

    seed: int = 0
    layers: int = 2
    heads: int = 4
    width: int = 64
    inner: int = 128
    context: int = 32
    sums: int = TRAINED_SUMS
    """Sums that are trained on; the other 7,400 are held out."""
    batch: int = 100
    rate: float = 1e-3
    warmup: int = 20
    decay: float = 2.0
    """Weight decay. It shrinks the start of the weights away: half of it is gone after ln 2 / (rate x decay) steps."""
    scale: float = 14.0
    """Factor on the usual start of the weights. Starting large, the model learns by heart first (Liu et al. 2022,
    Omnigrok, arXiv:2210.01117); at 2, held-out sums are learnt with the others."""
    epsilon: float = 1e-6
    """Of AdamW. At the usual 1e-8, training often jumps back once its gradients are small."""
    steps: int = 4000
    cooling: int = 600
    """Steps at the end with a rate falling to 0."""
    checkpoints: tuple[int, ...] = (0, 250, 500, 1000, 1500, 1750, 2000, 2250, 2500, 2750, 3000, 3500, 4000)


class Sums(msgspec.Struct, frozen=True):
    """Sums as tokens, padded on the right."""

    questions: list[tuple[int, int]]
    inputs: Tensor
    """[sum, position]"""
    answers: Tensor
    """[sum, answer token]: digits, the end, padding."""
    weights: Tensor
    """[sum, answer token]: 1, and 0 for padding."""

    def part(self, places: slice | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs, answers and weights of some sums."""
        return self.inputs[places], self.answers[places], self.weights[places]


class Accuracy(msgspec.Struct, frozen=True):
    """How well a model adds."""

    loss: float
    """Mean cross entropy of answer tokens, nats."""
    right: float
    """Share of sums whose every digit, and the end, is the most probable token."""


class AdderModel(ToyModel):
    """The bundled model's function without the penalty on outputs, and with logits at the answers only."""

    def start(self, generator: torch.Generator, scale: float) -> None:
        """Set all weights: normal, `scale` times as large as usual."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif "ln_" in name:
                nn.init.ones_(parameter)
            else:
                usual = 0.02 if name.startswith("w") else 0.5 * self.config.n_embd**-0.5
                nn.init.normal_(parameter, std=scale * usual, generator=generator)

    def answer(self, tokens: Tensor) -> Tensor:
        """Return logits [sum, answer token, vocabulary]."""
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.blocks:
            assert isinstance(block, Block)
            batch, length, width = x.shape
            q, k, v = block.qkv(block.ln_1(x)).view(batch, length, 3, block.n_heads, -1).permute(2, 0, 3, 1, 4)
            z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + block.out(z.transpose(1, 2).reshape(batch, length, width))
            x = x + block.down(F.gelu(block.up(block.ln_2(x)), approximate="tanh"))
        return F.linear(self.ln_f(x[:, FIRST_ANSWER:]), self.wte.weight)


def main() -> None:
    """Train and write the checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=bundled_folder(ADDER))
    folder = parser.parse_args().folder
    # One thread: a fixed order of summation, so that the same machine and versions give the same weights bit for bit.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train(AdderTraining(), folder)


def train(training: AdderTraining, folder: Path) -> None:
    """Train, and write every checkpoint as a model folder; accuracies go to stdout."""
    tokens = tokenizer.build(["+", "="], context=training.context)
    known, held_out = split(training, tokens)
    generator = torch.Generator().manual_seed(training.seed)
    model = AdderModel(config(training, tokens))
    model.start(generator, training.scale)
    matrices = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    rest = [parameter for parameter in model.parameters() if parameter.ndim != 2]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": training.decay}, {"params": rest, "weight_decay": 0.0}],
        lr=training.rate,
        betas=(0.9, 0.98),
        eps=training.epsilon,
    )
    started = time.monotonic()
    for step in range(training.steps + 1):
        if step in training.checkpoints:
            write(model, tokens, folder / f"step{step}")
            of_known, of_others = (accuracy(as_stored(model), sums) for sums in (known, held_out))
            print(
                f"step {step} training {of_known.right:.3f} loss {of_known.loss:.3f} "
                f"held out {of_others.right:.3f} loss {of_others.loss:.3f} {time.monotonic() - started:.0f} s",
                flush=True,
            )
        for group in optimiser.param_groups:
            group["lr"] = training.rate * min(
                1.0, (step + 1) / training.warmup, (training.steps - step) / training.cooling
            )
        drawn = torch.randint(0, training.sums, (training.batch,), generator=generator)
        loss = mean_loss(model, *known.part(drawn))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def split(training: AdderTraining, tokens: PreTrainedTokenizerFast) -> tuple[Sums, Sums]:
    """Return the sums to train on and those held out, drawn from all sums of two two-digit numbers."""
    questions = shuffled_sums(training.seed)
    return sums(questions[: training.sums], tokens), sums(questions[training.sums :], tokens)


def sums(questions: Sequence[tuple[int, int]], tokens: PreTrainedTokenizerFast) -> Sums:
    """Return these sums as tokens: 37+48=85 and the end."""
    end = int(tokens.eos_token_id)
    rows = [[*tokens.encode(f"{a}+{b}={a + b}", add_special_tokens=False), end] for a, b in questions]
    length = FIRST_ANSWER + 1 + ANSWERS
    padded = torch.tensor([row + [end] * (length - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    weights = torch.arange(FIRST_ANSWER + 1, length)[None] < lengths[:, None]
    return Sums(list(questions), padded[:, :-1], padded[:, FIRST_ANSWER + 1 :], weights.float())


def mean_loss(model: AdderModel, inputs: Tensor, answers: Tensor, weights: Tensor) -> Tensor:
    """Return the mean cross entropy of the answer tokens, in nats."""
    losses = F.cross_entropy(model.answer(inputs).flatten(0, 1), answers.flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum()


@torch.no_grad()
def accuracy(model: AdderModel, sums: Sums) -> Accuracy:
    """Return how well the model does these sums, each digit given those before it."""
    right = (model.answer(sums.inputs).argmax(-1) == sums.answers) | (sums.weights == 0)
    return Accuracy(float(mean_loss(model, *sums.part(slice(None)))), float(right.all(dim=1).float().mean()))


@torch.no_grad()
def as_stored(model: AdderModel) -> AdderModel:
    """Return the model with its weights rounded as they are stored."""
    copy = AdderModel(model.config)
    copy.load_state_dict({name: value.half().float() for name, value in model.state_dict().items()})
    return copy


def config(training: AdderTraining, tokens: PreTrainedTokenizerFast) -> GPT2Config:
    """Return the model's configuration."""
    end = tokens.eos_token_id
    return GPT2Config(
        vocab_size=len(tokens),
        n_positions=training.context,
        n_embd=training.width,
        n_layer=training.layers,
        n_head=training.heads,
        n_inner=training.inner,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )


def write(model: AdderModel, tokens: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model, in float16, and its tokenizer as a Hugging Face folder, replacing an older one.

    Every float16 is a float32: loading in float32 changes no weight.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.export().half().save_pretrained(folder)
    tokenizer.save(tokens, folder)


if __name__ == "__main__":
    main()
