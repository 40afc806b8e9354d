"""Estimate a run's needs from the model's folder, earlier runs, the worker and free memory."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.authoring.distinct_pairs import missing_pairs, text_keys
from engine.catalog.device_maps import Gpu, Placement, place
from engine.catalog.local_models import find_model
from engine.catalog.model_shape import ModelShape, shape_of, shape_of_info
from engine.catalog.precision import BYTES, resolve_dtype
from engine.catalog.safetensors_headers import read_headers
from engine.config import Precision, ProbeConfig
from engine.errors import ConfigError, HeadcodeError
from engine.examples import Example
from engine.machine import child_processes
from engine.machine.memory import memory, resident_bytes
from engine.planning.device_memory import DeviceMemory, memory_by_device
from engine.planning.memory_estimate import Workload, estimate_memory, fits, tokens_of, what_to_lower
from engine.planning.preflight import Preflight
from engine.planning.time_estimate import PastRun, estimate_time
from engine.results import ModelInfo, Timings
from engine.sample_size import pairs_needed
from sessions.handlers.context import HandlerContext
from sessions.protocol import GetPreflight
from sessions.store.database import Store
from sessions.store.queries import find_session, plan_run
from sessions.store.views import DTYPE

_LOOKED_AT = 200
"""Maximum number of earlier runs to use, the newest first."""
_TASK_CHARACTERS = 75
"""Approximate prompt length of a built-in task, before its prompts are generated."""
_GPU_S = 3.0


class _RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows about the next run and similar ones."""

    n_examples: int
    n_characters: int
    pasts: tuple[tuple[str, PastRun, ModelInfo], ...]
    left_open: bool = False
    """The number of pairs depends on the model's number of heads."""
    examples: tuple[Example, ...] = ()
    """The run's examples, if they exist already."""
    pairs: int = 0
    """The requested number of a task's pairs."""


async def preflight(host: HandlerContext, request: GetPreflight, *, as_warm: bool = False) -> Preflight:
    """Return the estimate, which lists what is unknown. Raises NoSuchRecord.

    `as_warm`: for a worker that has the model loaded, whether or not there is one.
    """
    options = request.options
    gpus = await _gpus()
    gpu = _chosen(options.device, gpus)
    facts = await host.writer.read(lambda store: _facts(store, request, on_gpu=gpu is not None))
    shape, name, trouble = await asyncio.to_thread(_shape, host.places.models, options.model, facts)
    if facts.left_open and shape is not None:
        n = 2 * pairs_needed(shape.n_nodes + shape.n_outputs(options.config.nodes))
        facts = msgspec.structs.replace(facts, n_examples=n, n_characters=n * _TASK_CHARACTERS)
    amount = Workload(n_examples=facts.n_examples, n_tokens=tokens_of(facts.n_characters, facts.n_examples))
    supervisor = host.supervisor
    started = supervisor.state in ("warm", "busy")
    warm = started and supervisor.model == name
    weights: dict[str, int] = {}
    placement: Placement | None = None
    refused = False
    if shape is not None:
        stored = shape.stored
        precision = resolve_dtype(options.dtype, on_cuda=gpu is not None, stored=lambda: stored)
        try:
            if options.devices is not None or options.device_map or options.max_memory:
                weights = await asyncio.to_thread(_weights, host.places.models, options.model, precision)
                placement = place(options, gpus, lambda: sum(weights.values()))
        except ConfigError as error:
            shape, trouble, refused = None, f"{error.message} {error.hint}", True
    if shape is None:
        return Preflight(
            model=options.model,
            n_examples=facts.n_examples,
            parts=(),
            peak_bytes=None,
            held_bytes=0,
            free_bytes=None,
            where="",
            fits=False if refused else None,
            lower=(),
            cache_bytes=0,
            duration=None,
            trouble=trouble,
        )
    found = estimate_memory(shape, amount, options.config, precision)
    peak = found.peak
    free: int | None
    if gpu is not None:
        free, where, held_bytes = gpu.free_bytes, " on the GPU", 0
        peak -= found.parts[0].n_bytes
    else:
        there = memory()
        free = None if there is None else there.available
        where = " in this container" if there is not None and there.limit is not None else ""
        held_bytes = (resident_bytes(supervisor.pid) or 0) if supervisor.pid is not None and started else 0
    held_bytes = min(held_bytes, peak)
    enough = fits(peak, held_bytes, free)
    devices: tuple[DeviceMemory, ...] = ()
    if placement is not None and placement.device is None and weights:
        there = memory()
        available = None if there is None else there.available
        devices = memory_by_device(found, placement, weights, gpus, available)
        each = [
            fits(device.n_bytes, held_bytes if device.name == "cpu" else 0, device.free_bytes)
            for device in devices
            if device.free_bytes is not None
        ]
        enough = all(each) if each and None not in each else None
    lower: tuple[str, ...] = ()
    if enough is False and free is not None and not devices:
        lower = what_to_lower(shape, amount, options.config, precision, held=held_bytes, free=free)
    pasts = [msgspec.structs.replace(past, same_model=model == name) for model, past, _ in facts.pasts]
    return Preflight(
        model=options.model,
        n_examples=facts.n_examples,
        parts=found.parts,
        peak_bytes=peak,
        held_bytes=held_bytes,
        free_bytes=free,
        where=where,
        fits=enough,
        lower=lower,
        cache_bytes=found.cache_bytes,
        duration=estimate_time(
            shape,
            amount,
            options.config,
            pasts,
            warm=warm or as_warm,
            started=started or as_warm,
            precision=precision,
        ),
        missing_pairs=_missing_pairs(facts, shape.n_nodes + shape.n_outputs(options.config.nodes)),
        n_heads=shape.n_nodes + shape.n_outputs(options.config.nodes),
        nodes="all" if options.config.nodes == "all" else msgspec.UNSET,
        dtype=precision,
        devices=devices,
    )


def _missing_pairs(facts: _RunFacts, n_heads: int) -> int | None:
    """Return how many pairs the run lacks for a single head to become significant.

    None if a polarity has no examples.
    """
    if len({example.positive for example in facts.examples}) == 2:
        return missing_pairs(facts.examples, text_keys(facts.examples), n_heads)
    if facts.examples:
        return None
    return max(0, pairs_needed(n_heads) - facts.pairs) if facts.pairs else 0


def _facts(store: Store, request: GetPreflight, *, on_gpu: bool) -> _RunFacts:
    own = [example for example in request.examples if example.enabled]
    task, pairs = request.task, request.pairs
    if request.session:
        found = plan_run(store, find_session(store, request.session))
        if not own:
            own = [example for example in found.examples if example.enabled]
        if not own and task is None:
            task, pairs = found.task, found.pairs
    n, characters = len(own), sum(len(example.prompt) for example in own)
    if not own and task is not None:
        n, characters = 2 * pairs, 2 * pairs * _TASK_CHARACTERS
    return _RunFacts(
        n_examples=n,
        n_characters=characters,
        pasts=tuple(_pasts(store, on_gpu=on_gpu)),
        examples=tuple(own),
        pairs=0 if own or task is None else pairs,
        left_open=not own and task is not None and pairs == 0,
    )


def _pasts(store: Store, *, on_gpu: bool) -> list[tuple[str, PastRun, ModelInfo]]:
    """Return the newest finished runs, with the name and shape of their model."""
    rows = store.rows(
        "SELECT model_name, n_layers, n_heads, d_model, d_head, context, vocabulary, model_identity, config, "  # noqa: S608  # names of our own
        f"n_positive + n_negative, timings, warm, cached, started_us, ended_us, {DTYPE} FROM run r "
        "WHERE state = 'done' AND timings IS NOT NULL AND model_name IS NOT NULL AND n_positive IS NOT NULL "
        "AND starts_with(device, 'cpu') = $cpu ORDER BY ended_us DESC, run_id LIMIT $limit",
        {"limit": _LOOKED_AT, "cpu": not on_gpu},
    )
    found = []
    for row in rows:
        with contextlib.suppress(msgspec.MsgspecError, HeadcodeError, ValueError):
            info = ModelInfo(
                name=row[0],
                n_layers=row[1],
                n_heads=row[2],
                d_model=row[3],
                d_head=row[4],
                context=row[5],
                vocabulary=row[6],
                identity=row[7],
            )
            timings = msgspec.json.decode(row[10], type=Timings)
            whole = (row[14] - row[13]) / 1e6 if row[13] is not None and row[14] is not None else timings.total
            past = PastRun(
                shape=shape_of_info(info),
                same_model=False,
                n_examples=row[9],
                config=msgspec.json.decode(row[8], type=ProbeConfig),
                timings=timings,
                warm=bool(row[11]),
                cached=bool(row[12]),
                overhead=max(0.0, whole - timings.total),
                precision=row[15],
            )
            found.append((str(row[0]), past, info))
    return found


def _shape(models: Path, model: str, facts: _RunFacts) -> tuple[ModelShape | None, str, str]:
    """Return the model's shape, name, and why the shape is unknown.

    A model that is not installed has the shape that an earlier run recorded.
    """
    try:
        shape = shape_of(model, models)
        return shape, Path(model).name if "/" in model else model, ""
    except HeadcodeError as error:
        for name, _, info in facts.pasts:
            if name == model:
                return shape_of_info(info), name, ""
        return None, model, f"{error.message} {error.hint}".strip()


async def _gpus() -> tuple[Gpu, ...]:
    """Return the GPUs and what is free of them, as nvidia-smi says; none if it says nothing."""
    program = child_processes.find_program("nvidia-smi")
    if program is None:
        return ()
    try:
        process = await child_processes.start_async(
            [program, "--query-gpu=memory.free,name", "--format=csv,noheader,nounits"],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ()
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _GPU_S)
    except TimeoutError:
        process.kill()
        return ()
    return read_gpus(output.decode("ascii", "replace")) if process.returncode == 0 else ()


def read_gpus(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs that nvidia-smi lists: free MiB, a comma, a name."""
    lines = [line.partition(",") for line in text.splitlines()]
    return tuple(
        Gpu(name=name.strip(), free_bytes=int(free) << 20) for free, _, name in lines if free.strip().isdecimal()
    )


def _chosen(device: str, gpus: Sequence[Gpu]) -> Gpu | None:
    """Return the GPU that a run on one device would use; None if there is none."""
    if device not in ("auto", "cuda") and not device.startswith("cuda:"):
        return None
    place = int(device[5:]) if device[5:].isdecimal() else 0
    return gpus[place] if place < len(gpus) else None


def _weights(models: Path, model: str, precision: Precision) -> dict[str, int]:
    """Return the bytes of every tensor of an installed model; none if it is not installed."""
    with contextlib.suppress(HeadcodeError):
        folder = find_model(model, models).folder
        if folder is not None:
            tensors = read_headers(folder)
            return {name: tensor.n_elements * BYTES[precision] for name, tensor in tensors.items()}
    return {}
