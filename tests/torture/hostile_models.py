"""Hostile model folders against the real import and the real loading: settings, tokenizers and headers, mutated.

    python -m tests.torture.hostile_models --count 1000 --seed 0

Every folder is imported and, where that worked, loaded as a probe loads it. Either may refuse it, in words that are an
input error (exit 2); what is loaded has the layers, the width and the vocabulary of its weights. Nothing else may come
out: no other error, no hang, no process that dies. Memory and time are bounded from outside.
"""

import argparse
import collections
import copy
import json
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engine.config import LoadOptions
from engine.errors import InputError

CHUNK = 100
"""Folders per process: memory that libraries keep of them is freed with it."""
MEMORY_BYTES = 8 << 30
"""Limit of the address space; torch and transformers alone take 3 GB of it, little of which is memory."""
CPU_S = 60.0
"""CPU seconds that one folder may take; the slowest took 3."""
WALL_S = 900.0
"""Seconds after which a folder counts as hanging, even on a very busy machine."""
FAMILIES = ("gpt2", "llama", "gpt_neox", "qwen2", "gemma2", "opt", "falcon", "phi3", "gptj", "mixtral", "bloom")
VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 7, 10**9, 10**12, 2**31, 2**63, 10**400, -(10**9)),
    *(0.0, 0.5, -1.5, 1e30, float("nan"), float("inf"), float("-inf")),
    *(None, True, False, "", "12", "NaN", "\ud800", "\u202e", "x" * 100_000),
    *([], {}, [0], [1, 2, 3], [None], {"": None}, {"rope_type": "linear"}, {"rope_type": "yarn", "factor": -1}),
)
"""Values that replace a setting's."""
INVENTED = ("num_hidden_layers", "n_layer", "layer_types", "quantization_config", "auto_map", "text_config", "dtype")
INVENTED += ("num_experts", "rope_scaling", "sliding_window", "tie_word_embeddings", "torch_dtype", "pruned_heads")
"""Settings that a folder gets though its family may not have them."""


def make_family(family: str, folder: Path) -> Path:
    """Make a tiny random model of a family with a tokenizer of five words, as Hugging Face saves it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"a": 0, "b": 1, "c": 2, "?": 3, "</s>": 4}, unk_token="?"))  # type: ignore[arg-type]
    words.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    sizes = {"vocab_size": 5, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 16}
    more: dict[str, Any] = {"max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if family in ("llama", "qwen2", "gemma2", "phi3", "mixtral"):
        more |= {"intermediate_size": 24, "num_key_value_heads": 2}
    own: dict[str, dict[str, Any]] = {
        "gemma2": {"head_dim": 4},
        "opt": {"ffn_dim": 24, "word_embed_proj_dim": 16},
        "falcon": {"alibi": False},
        "gptj": {"rotary_dim": 4, "n_positions": 32},
        "mixtral": {"num_local_experts": 3},
    }
    with _quiet():
        config = AutoConfig.for_model(family, **{**sizes, **more, **own.get(family, {})})
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").save_pretrained(folder)
    return folder


def spoil(folder: Path, rng: random.Random) -> str:
    """Change one or a few things of the folder; return which."""
    ways: list[Callable[[Path, random.Random], str]] = [_setting] * 6 + [_other_json, _header, _raw, _nested, _huge]
    return "; ".join(rng.choice(ways)(folder, rng) for _ in range(rng.choice((1, 1, 1, 2))))


def _setting(folder: Path, rng: random.Random) -> str:
    return _change(folder / "config.json", rng)


def _other_json(folder: Path, rng: random.Random) -> str:
    names = [path.name for path in sorted(folder.glob("*.json")) if path.name != "config.json"]
    return _change(folder / rng.choice(names), rng)


def _change(path: Path, rng: random.Random) -> str:
    """Replace or remove one value of a JSON file, at any depth."""
    with suppress(ValueError, RecursionError):
        whole = json.loads(path.read_text())
        if isinstance(whole, dict):
            holder, key = rng.choice([*_places(whole), *((whole, name) for name in INVENTED)])
            value = copy.deepcopy(rng.choice(VALUES))
            if rng.random() < 0.1 and key in holder:
                del holder[key]
                value = "(gone)"
            else:
                holder[key] = value
            text = json.dumps(whole)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            return f"{path.name}: {key} = {repr(value)[:60]}"
    return f"{path.name}: as it was"


def _places(holder: Any) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(holder, dict):
        for key, value in list(holder.items()):
            yield holder, key
            yield from _places(value)
    elif isinstance(holder, list):
        for value in holder[:5]:
            yield from _places(value)


def _header(folder: Path, rng: random.Random) -> str:
    """Change one thing in the header of the weights: a shape, a type, an offset, a name, its length."""
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    try:
        header = json.loads(raw[8 : 8 + length])
    except ValueError:
        return "header: as it was"
    names = [name for name in header if name != "__metadata__"]
    name, what = rng.choice(names), rng.choice(("shape", "dtype", "data_offsets", "rename", "drop", "copy", "length"))
    entry = header[name]
    if what == "shape":
        entry["shape"] = rng.choice(([], [0], [-1, 4], [10**9, 10**9], [2**63, 2], [1.5], ["4"], [*entry["shape"], 1]))
    elif what == "dtype":
        entry["dtype"] = rng.choice(("F64", "BF16", "I8", "", "X" * 1000, None, 4))
    elif what == "data_offsets":
        entry["data_offsets"] = rng.choice(([0, 10**15], [-8, 8], [8, 0], [0], "0", [0, 0]))
    elif what == "rename":
        header[rng.choice(("", "model.layers.99999.x.weight", "x" * 9999, "model.layers.-1.x"))] = header.pop(name)
    elif what == "drop":
        del header[name]
    elif what == "copy":
        header[f"{name}.99.weight"] = entry
    text = json.dumps(header).encode()
    size = len(text) if what != "length" else rng.choice((0, 1, 2**63 - 1, 2**64 - 1, len(text) - 7, len(raw) + 9))
    path.write_bytes(size.to_bytes(8, "little") + text + raw[8 + length :])
    return f"header: {what} of {name}"


def _raw(folder: Path, rng: random.Random) -> str:
    """Replace bytes of any file, or cut off its end."""
    path = rng.choice(sorted(path for path in folder.iterdir() if path.stat().st_size < 1 << 20))
    raw = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        del raw[rng.randrange(len(raw) + 1) :]
    for _ in range(rng.choice((1, 3, 30))):
        if raw:
            raw[rng.randrange(min(len(raw), 2000))] = rng.randrange(256)
    path.write_bytes(raw)
    return f"{path.name}: bytes"


def _nested(folder: Path, rng: random.Random) -> str:
    path = folder / rng.choice(("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"))
    depth, (left, right) = rng.choice((50, 900, 100_000)), rng.choice((("[", "]"), ('{"a":', "}")))
    path.write_text(f'{{"model_type": "gpt2", "x": {left * depth}0{right * depth}}}')
    return f"{path.name}: nested to {depth}"


def _huge(folder: Path, rng: random.Random) -> str:
    """Add a sparse gigabyte."""
    path = folder / rng.choice(("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"))
    with path.open("ab") as file:
        file.truncate(1 << 30)
    return f"{path.name}: a gigabyte"


def attempt(folder: Path, models: Path) -> str:
    """Return how the folder ends: refused at import, refused at loading, or loaded. Raises what must not happen."""
    from engine.catalog.local_models import ModelSource, read_summary
    from engine.catalog.safetensors_headers import read_headers
    from engine.install.progress import ProgressWriter
    from engine.models.fetch import import_model
    from engine.models.loading import load_model

    for look in (lambda: read_summary(ModelSource(name="x", origin="folder", folder=folder)), lambda: _shape(folder)):
        with suppress(InputError):
            look()
    try:
        done = import_model(folder, models, ProgressWriter(BytesIO()), called="hostile")
    except InputError as error:
        _check_words(error)
        return "refused at import"
    made = Path(done.path)
    try:
        model = load_model(str(made), models, LoadOptions(device="cpu"))
    except InputError as error:
        _check_words(error)
        return "refused at loading"
    finally:
        tensors = read_headers(made)
        shutil.rmtree(made)
    sides = {side for tensor in tensors.values() for side in tensor.shape}
    layers = {name.split(".")[place + 1] for name in tensors for place in _layer_places(name)}
    found = (model.info.n_layers, model.info.d_model in sides, model.info.vocabulary in sides)
    assert found == (len(layers), True, True), f"{model.info} of {len(layers)} layers, sides {sorted(sides)}"
    return "loaded"


def _layer_places(name: str) -> list[int]:
    """Return the layer numbers in a name: the first number in it."""
    parts = name.split(".")
    first = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    return [] if first is None else [first - 1]


def _shape(folder: Path) -> object:
    from engine.catalog.model_shape import shape_of

    return shape_of(str(folder), folder.parent)


def _check_words(error: InputError) -> None:
    assert error.message, "no message"
    assert len(error.message) < 3000, f"a message of {len(error.message)} characters"
    error.message.encode()  # it can be printed anywhere


def _quiet() -> Any:
    import contextlib
    import io

    return contextlib.redirect_stderr(io.StringIO())


def _try_chunk(root: Path, seeds: list[int], line: Connection) -> None:
    """Try the folders in a separate process, with a message before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for seed in seeds:
        rng = random.Random(seed)
        folder = root / f"case-{seed}"
        shutil.copytree(root / rng.choice(FAMILIES), folder)
        line.send((seed, "begins", spoil(folder, rng)))
        begin = time.process_time()
        try:
            outcome = attempt(folder, root / "models")
        except BaseException as error:  # noqa: BLE001  # it is what is looked for
            import traceback

            outcome = f"ESCAPED {type(error).__name__}: {str(error)[:300]}\n{traceback.format_exc()[-1500:]}"
        took = time.process_time() - begin
        if took > CPU_S and not outcome.startswith("ESCAPED"):
            outcome = f"ESCAPED by taking {took:.0f} s: {outcome}"
        line.send((seed, outcome, f"{took:.2f}"))
        shutil.rmtree(folder)


def main() -> int:
    """Try all folders; return 0 if nothing forbidden happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    slowest, escaped = 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for family in FAMILIES:
            make_family(family, root / family)
        left = list(range(given.seed, given.seed + given.count))
        context = multiprocessing.get_context("spawn")
        while left:
            ours, theirs = context.Pipe()
            process = context.Process(target=_try_chunk, args=(root, left[:CHUNK], theirs))
            process.start()
            theirs.close()
            doing = (left[0], "(it starts)")
            try:
                while ours.poll(WALL_S):
                    seed, outcome, more = ours.recv()
                    if outcome == "begins":
                        doing = (seed, more)
                        continue
                    left.remove(seed)
                    slowest = max(slowest, float(more))
                    counts[outcome.split(" ")[0] if outcome.startswith("ESCAPED") else outcome] += 1
                    if outcome.startswith("ESCAPED"):
                        escaped += 1
                        sys.stdout.write(f"seed {seed}: {doing[1]}: {outcome}\n")
                else:
                    raise TimeoutError
            except (EOFError, TimeoutError) as error:
                if not (isinstance(error, EOFError) and doing[0] not in left):
                    escaped += 1
                    died = f"took more than {WALL_S:.0f} s" if isinstance(error, TimeoutError) else "ended its process"
                    sys.stdout.write(f"seed {doing[0]}: {doing[1]}: {died}\n")
                    left.remove(doing[0])
                process.kill()
            process.join()
            sys.stdout.write(f"{given.count - len(left)} tried: {dict(counts)}, slowest {slowest:.1f} s\n")
            sys.stdout.flush()
    sys.stdout.write(f"{given.count} tried, {escaped} escaped\n")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
