"""Train the bundled model from scratch: `python -m engine.asset_tools.train_toy [FOLDER]`."""

import argparse
import itertools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import msgspec
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)
from transformers import GPT2Config, PreTrainedTokenizerFast

from engine.asset_tools import toy_corpus
from engine.asset_tools.toy_model import ToyModel
from engine.planted import tokenizer

FOLDER = Path(__file__).parent.parent / "assets" / "toy"


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides the weights."""

    seed: int = 0
    layers: int = 4
    heads: int = 8
    width: int = 96
    inner: int = 192
    """Width of the MLPs; narrow, so that the heads do the work."""
    context: int = 128
    steps: int = 2000
    cooling: int = 120
    """Steps after those, at a rate falling to 0, without dropped heads or the penalty on output norms.

    With more of them, the backups that dropping made grow until no single head is missed (docs/lab, bundled-model).
    """
    cooling_rate: float = 0.3
    """Share of the peak rates at the start of cooling."""
    fade_from: int = 1680
    fade_to: int = 2800
    """The steps at which the rate begins to fall, and at which it would reach 0; cooling comes first."""
    opening: int = 400
    """Initial steps on repeated lists only."""
    warmup: int = 100
    muon_rate: float = 0.01
    adam_rate: float = 2e-3
    decay: float = 0.05
    text_weight: float = 0.04
    """Loss weight of a token that is no answer: most of them are random and cannot be predicted."""
    drop: float = 0.06
    """Share of heads zeroed, per document and head, so that several heads share the work of one."""
    drop_layer: float = 0.08
    """Share of whole layers' heads zeroed, per document: otherwise the first layer does everything it can."""
    drop_from: int = 1120
    """The step from which heads are dropped: a circuit of two layers hardly forms while they are."""
    quiet: float = 0.015
    """Penalty on a head's output while heads are dropped: a useless one falls silent."""
    shift: float = 0.15
    """Share of documents that begin at a random position, so that no answer depends on its position."""


class Batch(msgspec.Struct, frozen=True):
    """Documents of similar length, padded on the right."""

    tokens: Tensor
    positions: Tensor
    weights: Tensor
    """Of each token as a target; 0 for padding and for a document's first."""


def main() -> None:
    """Train, then write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    # One thread: a fixed order of summation, so that the same machine and versions give the same weights bit for bit.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train(TrainingConfig(), folder)


def train(training: TrainingConfig, folder: Path) -> None:
    """Train and write model and tokenizer into the folder; progress goes to stdout."""
    tokens = tokenizer.build(toy_corpus.vocabulary_text(), context=training.context)
    end = tokens.eos_token_id
    config = GPT2Config(
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
    generator = torch.Generator().manual_seed(training.seed)
    model = ToyModel(config)
    model.initialise(generator)
    started = time.monotonic()
    batches = documents(training, tokens)
    for stage in (range(training.steps), range(training.steps, training.steps + training.cooling)):
        # Cooling starts with new optimisers: their momentum belongs to the higher rate.
        muon, adam = optimisers(model, training)
        for step in stage:
            share = rate(step, training)
            for optimiser, peak in ((muon, training.muon_rate), (adam, training.adam_rate)):
                for group in optimiser.param_groups:
                    group["lr"] = peak * share
            dropping = training if training.drop_from <= step < training.steps else None
            losses = []
            some = next(batches)
            total = sum(float(batch.weights.sum()) for batch in some)
            for batch in some:
                loss = batch_loss(model, batch, dropping, generator) / total
                loss.backward()
                losses.append(float(loss.detach()))
            for optimiser in (muon, adam):
                optimiser.step()  # type: ignore[no-untyped-call]  # torch's Muon is not annotated
                optimiser.zero_grad()
            if step % 100 == 99:
                print(f"step {step + 1} loss {sum(losses):.4f} {time.monotonic() - started:.0f} s", flush=True)
    write(model, tokens, folder)


def optimisers(model: ToyModel, training: TrainingConfig) -> tuple[torch.optim.Muon, torch.optim.AdamW]:
    """Return Muon for the layers' matrices, AdamW for everything else."""
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and name.startswith("blocks") else rest).append(parameter)
    muon = torch.optim.Muon(matrices, lr=training.muon_rate, momentum=0.95, weight_decay=training.decay)
    return muon, torch.optim.AdamW(rest, lr=training.adam_rate, betas=(0.9, 0.95), weight_decay=training.decay)


def rate(step: int, training: TrainingConfig) -> float:
    """Return the share of the peak rates: linear warmup, constant, slow decay; in cooling up again and down to 0."""
    cooled = step - training.steps
    if cooled >= 0:
        return training.cooling_rate * min(1.0, (cooled + 1) / 10) * (training.cooling - cooled) / training.cooling
    left = (training.fade_to - step) / (training.fade_to - training.fade_from)
    return min(1.0, (step + 1) / training.warmup, max(left, 0.02))


def batch_loss(model: ToyModel, batch: Batch, dropping: TrainingConfig | None, generator: torch.Generator) -> Tensor:
    """Return the weighted sum of the batch's cross entropies; with `dropping`, heads are dropped and penalised."""
    keep = None
    if dropping is not None:
        layers = (len(batch.tokens), model.config.n_layer, 1)
        kept = torch.rand((*layers[:2], model.config.n_head), generator=generator) >= dropping.drop
        whole = torch.rand(layers, generator=generator) >= dropping.drop_layer
        keep = (kept & whole).float() / (1 - dropping.drop)
    logits, output_norm = model(batch.tokens[:, :-1], batch.positions[:, :-1], keep)
    losses = F.cross_entropy(logits.flatten(0, 1), batch.tokens[:, 1:].flatten(), reduction="none")
    weights = batch.weights[:, 1:]
    loss = (losses * weights.flatten()).sum()
    if dropping is not None:
        loss = loss + dropping.quiet * (output_norm * (weights > 0)).sum() * weights.sum() / (weights > 0).sum()
    return loss


def documents(training: TrainingConfig, tokens: PreTrainedTokenizerFast) -> Iterator[list[Batch]]:
    """Yield batches without end, each as one of short and one of long documents, to keep padding small."""
    rng = random.Random(f"text/{training.seed}")
    known: dict[str, list[int]] = {}
    for step in itertools.count():
        kinds = toy_corpus.OPENING if step < training.opening else toy_corpus.KINDS
        rows: dict[bool, list[tuple[list[int], list[float]]]] = {False: [], True: []}
        for make, count, long in kinds.values():
            for _ in range(count):
                ids, weights = [], []
                if rng.random() < 0.5:
                    ids, weights = [tokens.eos_token_id], [0.0]
                for piece, answer in make(rng):
                    found = known.get(piece)
                    if found is None:
                        found = tokens.encode(piece, add_special_tokens=False)
                        if len(piece) < 12:
                            known[piece] = found
                    ids += found
                    weights += [1.0 if answer else training.text_weight] * len(found)
                rows[long].append((ids, weights))
        yield [_padded(some, training, tokens.eos_token_id, rng) for some in rows.values() if some]


def _padded(rows: list[tuple[list[int], list[float]]], training: TrainingConfig, pad: int, rng: random.Random) -> Batch:
    length = max(len(ids) for ids, _ in rows)
    starts = [rng.randrange(training.context - length) if rng.random() < training.shift else 0 for _ in rows]
    return Batch(
        torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in rows]),
        torch.tensor(starts)[:, None] + torch.arange(length),
        torch.tensor([weights + [0.0] * (length - len(weights)) for _, weights in rows]),
    )


def write(model: ToyModel, tokens: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model and its tokenizer as a Hugging Face folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model.export().save_pretrained(folder)
    tokenizer.save(tokens, folder)


if __name__ == "__main__":
    main()
