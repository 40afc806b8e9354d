"""A warm probe beside a bare forward pass of the same prompts, on random models of well-known sizes.

    python tests/benchmarks/gpu.py [--shapes small,xl,8b] [--device auto] [--runs 5] [--json FILE]

Models are made in a temporary folder: random weights, the bundled model's tokenizer and its indirect objects (10 + 10).
Prints, per model: seconds of a forward pass of all prompts in one batch, of the whole probe (three seeds, chance,
stability, baselines, card) and of its stages, as medians; on a GPU also how many codes of the first model differ from
the CPU's. Sizes that do not fit into memory are left out, and said.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from safetensors.torch import load_file

from engine.catalog.local_models import BUNDLED
from engine.config import LoadOptions, ProbeConfig
from engine.events import ProbeFinished
from engine.models.loading import load_model, pick_device
from engine.models.warm_model import WarmModel
from engine.protocol import RunProbe
from engine.tasks.registry import find_task
from engine.worker.pipeline import ProbeJob


class Shape(NamedTuple):
    """The size of a random model."""

    layers: int
    heads: int
    width: int
    llama: bool = False
    """As Llama 3 8B: grouped queries, gated MLP, bfloat16 weights on disk."""


SHAPES = {
    "tiny": Shape(2, 4, 32),
    "small": Shape(12, 12, 768),
    "xl": Shape(48, 25, 1600),
    "8b": Shape(32, 32, 4096, llama=True),
}
"""tiny is for tests of this script; the others are GPT-2 small, GPT-2 XL and Llama 3 8B."""
_PAIRS = 10


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of one model, in seconds."""

    shape: str
    device: str
    heads: int
    forward: float
    probe: float
    stages: dict[str, float]


class Listening:
    """Keeps the last event of each kind."""

    def __init__(self) -> None:
        self.last: dict[str, Any] = {}

    def report(self, event: Any, /) -> None:
        self.last[type(event).__name__] = event

    def cancelled(self) -> bool:
        return False


def make(shape: Shape, folder: Path, device: torch.device) -> None:
    """Write a random model of this shape."""
    import transformers
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    if shape.llama:
        config: Any = LlamaConfig(
            vocab_size=128_256,
            hidden_size=shape.width,
            intermediate_size=7 * shape.width // 2,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads // 4,
            max_position_embeddings=1024,
            dtype=torch.bfloat16,
        )
        with device:
            torch.set_default_dtype(torch.bfloat16)
            model: Any = LlamaForCausalLM(config)
            torch.set_default_dtype(torch.float32)
    else:
        config = GPT2Config(
            vocab_size=50_257, n_embd=shape.width, n_layer=shape.layers, n_head=shape.heads, n_positions=1024
        )
        model = GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    own = load_model(BUNDLED, folder, LoadOptions(device="cpu"))
    own.tokenizer.save_pretrained(folder)


def seconds_of(work: Callable[[], object], runs: int, device: torch.device) -> float:
    """Return the median of some calls, after one that is not counted."""
    found = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - begun)
    return statistics.median(found[1:])


def measure(name: str, folder: Path, device: torch.device, runs: int) -> tuple[Measured, torch.Tensor]:
    """Return the medians and the codes of the last run."""
    warm = WarmModel()
    spool = folder.parent / f"spool-{name}-{device.type}"
    listening = Listening()

    def probe() -> None:
        request = RunProbe(
            job="r",
            model=str(folder),
            config=ProbeConfig(grade=False),
            spool=str(spool),
            models=str(folder.parent),
            activations="",
            task="ioi",
            pairs=_PAIRS,
            device=str(device),
            usable=False,
        )
        ProbeJob(request, warm, listening).run()

    stages: dict[str, list[float]] = {}
    whole = []
    for turn in range(runs + 1):
        begun = time.perf_counter()
        probe()
        if turn:
            whole.append(time.perf_counter() - begun)
            finished: ProbeFinished = listening.last["ProbeFinished"]
            for stage, seconds in msgspec.to_builtins(finished.timings).items():
                stages.setdefault(stage, []).append(seconds or 0.0)
    model = load_model(str(folder), folder.parent, LoadOptions(device=str(device)))
    prompts = [model.encode(each.prompt)[0] for each in find_task("ioi").make(model, pairs=_PAIRS, seed=0)]
    width = max(map(len, prompts))
    tokens = torch.tensor([ids + [0] * (width - len(ids)) for ids in prompts], device=device)

    @torch.inference_mode()
    def forward() -> object:
        return model.bridge.original_model(tokens).logits[:, -1].float().cpu()

    measured = Measured(
        shape=name,
        device=str(device),
        heads=model.n_heads_in_all,
        forward=seconds_of(forward, runs, device),
        probe=statistics.median(whole),
        stages={stage: statistics.median(each) for stage, each in stages.items() if max(each) > 0},
    )
    return measured, load_file(spool / "codes.safetensors")["codes"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="small,xl,8b")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = pick_device(args.device)
    folder, rows = Path(tempfile.mkdtemp(prefix="hc-gpu")), []
    print(f"{'model':8} {'heads':>6} {'forward':>9} {'probe':>9} {'ratio':>6}  stages")
    try:
        for place, name in enumerate(args.shapes.split(",")):
            try:
                make(SHAPES[name], folder / name, device)
                row, codes = measure(name, folder / name, device, args.runs)
            except (torch.OutOfMemoryError, MemoryError) as error:
                print(f"{name:8} left out: {str(error).splitlines()[0]}")
                continue
            rows.append(row)
            stages = "  ".join(f"{stage} {seconds:.3f}" for stage, seconds in row.stages.items() if stage != "total")
            print(
                f"{name:8} {row.heads:6} {row.forward:9.4f} {row.probe:9.4f} {row.probe / row.forward:6.2f}  {stages}"
            )
            if not place and device.type != "cpu":
                _, own = measure(name, folder / name, torch.device("cpu"), 1)
                print(f"{name:8} {int((own != codes).sum())} of {codes.numel()} codes differ from the CPU's")
            shutil.rmtree(folder / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        args.json.write_text(
            json.dumps({"schema": "headcode.bench-gpu/1", "rows": msgspec.to_builtins(rows)}, indent=1)
        )


if __name__ == "__main__":
    main()
