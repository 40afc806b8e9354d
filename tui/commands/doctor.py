"""`headcode doctor`: check the installation and suggest fixes. Imports neither torch nor duckdb."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from engine.machine import child_processes
from tui.output.cli_options import JsonOption

if TYPE_CHECKING:
    from engine.machine.folders import AppFolders

Verdict = Literal["ok", "warn", "fail"]
_PACKAGES = (
    "torch",
    "transformer-lens",
    "transformers",
    "textual",
    "rich",
    "typer",
    "duckdb",
    "msgspec",
    "safetensors",
)
DEVICE_LIMIT_S = 30
CACHE_LIMIT_S = 60
_CACHE_ERROR = 1e-3
"""Largest logit difference attributed to rounding, which makes about 1e-5."""
_LEAST_MEMORY, _LEAST_DISK = 1_000_000_000, 1_000_000_000
_ASK_DEVICE = (
    "import torch;"
    "n = torch.cuda.device_count() if torch.cuda.is_available() else 0;"
    "d = [torch.cuda.get_device_name(i) for i in range(n)];"
    "m = getattr(torch.backends, 'mps', None);"
    "print('cuda: ' + ', '.join(d) if d else 'mps' if m and m.is_available() else 'cpu')"
)


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one check."""

    name: str
    verdict: Verdict
    found: str
    todo: str = ""


def doctor(
    device_check: Annotated[
        bool,
        typer.Option(help="Also check torch's device and run a forward pass, in separate processes (takes seconds)."),
    ] = True,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Save what can be read from a damaged store into a new one; the old one is kept."
        ),
    ] = False,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="With --repair: use the new store and move the old one aside.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check what Headcode needs: versions, device, memory, disk, store, socket, terminal, bundled model."""
    from engine.machine.folders import find_folders
    from tui.output.console import print_json, print_line

    places = find_folders()
    if repair or in_place:
        from engine.errors import ConfigError
        from tui.headless.repair_store import run_repair

        if not repair:
            raise ConfigError("--in-place needs --repair.", hint="headcode doctor --repair --in-place")
        raise typer.Exit(0 if run_repair(places, in_place=in_place, as_json=as_json) else 1)
    running = host(places)
    looked = [store(places, host_runs=running.found.startswith("process"))]
    checks = [python(), *versions(), memory(), *folders(places), *looked, socket_folder(places), running]
    checks += [terminal(), bundled()]
    if device_check:
        checks += [device(), key_value_cache()]
    broken = any(check.verdict == "fail" for check in checks)
    if as_json:
        print_json({"schema": "headcode.doctor/1", "works": not broken, "checks": msgspec.to_builtins(checks)})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            print_line(f"{check.verdict:<4}  {check.name:<{width}}  {check.found}")
            if check.todo:
                print_line(f"{'':4}  {'':{width}}  -> {check.todo}")
    if broken:
        raise typer.Exit(1)


def python() -> HealthCheck:
    """Check the Python version and PYTHONPATH."""
    version = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if good and named != [""] and not all(os.path.isabs(entry) for entry in named):  # noqa: PTH117
        return HealthCheck(
            name="python",
            verdict="warn",
            found=f"{version}  {child_processes.PYTHON}, PYTHONPATH contains the current folder",
            todo="Remove the empty or relative entry: it lets Python run files of the current folder.",
        )
    return HealthCheck(
        name="python",
        verdict="ok" if good else "warn",
        found=f"{version}  {child_processes.PYTHON}",
        todo="" if good else "Headcode is tested on Python 3.11 to 3.13.",
    )


def versions() -> list[HealthCheck]:
    """Check that the required packages are installed."""
    from importlib.metadata import PackageNotFoundError, version

    checks: list[HealthCheck] = []
    for name in ("headcode", *_PACKAGES):
        try:
            checks.append(HealthCheck(name=name, verdict="ok", found=version(name)))
        except PackageNotFoundError:
            todo = f"{child_processes.PYTHON} -m pip install {name}"
            checks.append(HealthCheck(name=name, verdict="fail", found="not installed", todo=todo))
    return checks


def memory() -> HealthCheck:
    """Check that enough memory is free for the bundled model."""
    from engine.machine.memory import format_bytes
    from engine.machine.memory import memory as machine_memory

    found = machine_memory()
    if found is None:
        return HealthCheck(name="memory", verdict="warn", found="unknown on this system")
    good = found.available >= _LEAST_MEMORY
    return HealthCheck(
        name="memory",
        verdict="ok" if good else "warn",
        found=f"{format_bytes(found.available)} free",
        todo="" if good else "The bundled model needs about 700 MB; close other programs.",
    )


def folders(places: "AppFolders") -> list[HealthCheck]:
    """Check that the data, cache, config and state folders can be written and have space."""
    from engine.machine.memory import format_bytes

    checks: list[HealthCheck] = []
    for name in ("data", "cache", "config", "state"):
        folder: Path = getattr(places, name)
        ancestor = _existing(folder)
        if not ancestor.is_dir():
            checks.append(_fail(f"{name} folder", f"{folder}: {ancestor} is a file", "Move it, or set HEADCODE_HOME."))
        elif not os.access(ancestor, os.W_OK | os.X_OK):
            found = f"{folder}: {ancestor} cannot be written"
            checks.append(_fail(f"{name} folder", found, f"chmod u+rwx {ancestor}, or set HEADCODE_HOME."))
        else:
            free = shutil.disk_usage(ancestor).free
            little = free < _LEAST_DISK
            checks.append(
                HealthCheck(
                    name=f"{name} folder",
                    verdict="warn" if little else "ok",
                    found=f"{folder}  {format_bytes(free)} free",
                    todo="Free some space: models and activations are stored there." if little else "",
                )
            )
    return checks


def store(places: "AppFolders", *, host_runs: bool) -> HealthCheck:
    """Check the store by reading every value of every table, or only its header while a host has it open."""
    from engine.machine.memory import format_bytes
    from sessions.errors import StoreDamaged
    from sessions.files.store_exchange import check_no_remains, exchange_record

    path = places.store
    if exchange_record(path).exists() and not host_runs:
        return _read_through(places, str(path))
    if not path.exists():
        try:
            check_no_remains(path)
        except StoreDamaged as error:
            return _fail("store", error.message, error.hint)
        return HealthCheck(name="store", verdict="ok", found=f"{path}  not created yet")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        return _fail("store", f"{path} is {kind}", "Move it aside; the store is a file.")
    try:
        with path.open("rb") as file:
            head = file.read(12)
        size = path.stat().st_size
    except OSError as error:
        return _fail("store", f"{path}: {error.strerror}", f"chmod u+rw {path}")
    if head[8:12] != b"DUCK":
        return _fail("store", f"{path} is not a DuckDB file", "Move it aside; the next run creates a new one.")
    if not os.access(path, os.W_OK):
        return _fail("store", f"{path} is read-only", f"chmod u+w {path}")
    found = f"{path}  {format_bytes(size)}"
    if host_runs:
        return HealthCheck(name="store", verdict="ok", found=f"{found}, open in the host (contents not checked)")
    return _read_through(places, found)


def _read_through(places: "AppFolders", found: str) -> HealthCheck:
    from sessions.errors import HostError, SessionError, StoreDamaged, StoreTooNew
    from tui.headless.repair_store import run_store_process

    try:
        report = run_store_process("check", places)
    except HostError:
        return HealthCheck(name="store", verdict="ok", found=f"{found}, a host is opening it")
    except (StoreDamaged, StoreTooNew) as error:
        return _fail("store", error.message, error.hint)
    except SessionError as error:
        return HealthCheck(name="store", verdict="warn", found=error.message, todo=error.hint)
    if not report.sound:
        todo = "headcode doctor --repair saves what can be read into a new store; this one is not changed."
        return _fail("store", f"{places.store}: {report.words}", todo)
    if report.network is not None:
        todo = "Data can be lost or locked there. Set HEADCODE_HOME=FOLDER to a local disk."
        found = f"{found}, on a network file system ({report.network})"
        return HealthCheck(name="store", verdict="warn", found=found, todo=todo)
    found = f"{found} ({report.words})" if report.words else found
    rows = next((table.kept for table in report.tables if table.name == "event"), 0)
    read, held = (sum(counts) for counts in zip(*((t.kept, t.rows or 0) for t in report.tables), strict=True))
    if read < held:
        found = f"{found}, sound in the {read:,} of {held:,} rows that were read"
        return HealthCheck(name="store", verdict="ok", found=found)
    return HealthCheck(name="store", verdict="ok", found=f"{found}, sound ({rows:,} events)")


def socket_folder(places: "AppFolders") -> HealthCheck:
    """Check the folder of the host's socket: length of the path, owner and permissions."""
    folder = places.runtime
    if len(str(places.socket)) > 100:
        return _fail("socket", f"{places.socket}: longer than 100 characters", "Set a shorter HEADCODE_HOME.")
    if not folder.exists():
        ancestor = _existing(folder)
        if not os.access(ancestor, os.W_OK | os.X_OK):
            return _fail("socket", f"{folder}: {ancestor} cannot be written", "Set HEADCODE_HOME.")
        return HealthCheck(name="socket", verdict="ok", found=f"{places.socket}  not created yet")
    about = folder.stat()
    if about.st_uid != os.getuid():
        return _fail("socket", f"{folder} belongs to another user", "Remove it, or set HEADCODE_HOME.")
    if about.st_mode & 0o077:
        return _fail("socket", f"{folder} is open to others", f"chmod 700 {shlex.quote(str(folder))}")
    return HealthCheck(name="socket", verdict="ok", found=str(places.socket))


def host(places: "AppFolders") -> HealthCheck:
    """Check that a running host answers and records. Does not start one."""
    import asyncio

    from engine.errors import HeadcodeError
    from tui.commands.host import ask_status

    try:
        status = asyncio.run(asyncio.wait_for(ask_status(), 10))
    except HeadcodeError as error:
        return _fail("host", error.message, error.hint)
    except TimeoutError:
        return _fail("host", "does not answer within 10 s", "headcode host stop; headcode host log")
    if status is None:
        return HealthCheck(name="host", verdict="ok", found="not running; it is started when needed")
    if status.trouble:
        return _fail("host", f"process {status.pid} has stopped recording", status.trouble)
    elsewhere = f", listens on {status.socket}" if status.socket != str(places.socket) else ""
    return HealthCheck(
        name="host", verdict="ok", found=f"process {status.pid}, worker {status.worker_state}{elsewhere}"
    )


def terminal() -> HealthCheck:
    """Check the terminal's size and colours."""
    from tui.output.console import find_colours, terminal_size

    name = os.environ.get("TERM", "unset")
    if not sys.stdout.isatty():
        return HealthCheck(name="terminal", verdict="ok", found=f"none (output is piped); TERM={name}")
    width, height = terminal_size()
    colours = find_colours("auto", terminal=True, environ=os.environ)
    found = f"{width}x{height}, {colours} colours, TERM={name}, COLORTERM={os.environ.get('COLORTERM', 'unset')}"
    if width < 80 or height < 24:
        return HealthCheck(name="terminal", verdict="warn", found=found, todo="The workbench needs at least 80x24.")
    if colours in ("16", "256") and not os.environ.get("COLORTERM"):
        todo = "If the terminal supports true colour, set COLORTERM=truecolor (SSH does not pass it on)."
        return HealthCheck(name="terminal", verdict="ok", found=found, todo=todo)
    return HealthCheck(name="terminal", verdict="ok", found=found)


def bundled() -> HealthCheck:
    """Check the bundled model's files."""
    from engine.catalog.local_models import BUNDLED, ModelSource, bundled_folder, model_identity, read_summary
    from engine.errors import ModelError

    folder = bundled_folder()
    try:
        sheet = read_summary(ModelSource(name=BUNDLED, origin="bundled", folder=folder))
    except ModelError as error:
        return _fail("bundled model", error.message, "Install Headcode again.")
    identity = model_identity(folder)[:16]
    return HealthCheck(
        name="bundled model", verdict="ok", found=f"{sheet.n_layers} x {sheet.n_heads} heads, identity {identity}"
    )


def device() -> HealthCheck:
    """Check which device torch uses, in a separate process with a time limit."""
    try:
        asked = child_processes.run(
            child_processes.python_command("-c", _ASK_DEVICE), capture_output=True, text=True, timeout=DEVICE_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        found = f"torch did not answer within {DEVICE_LIMIT_S} s"
        return HealthCheck(
            name="device", verdict="warn", found=found, todo="The machine may be busy or its disk slow; try again."
        )
    if asked.returncode != 0:
        last = asked.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return _fail("device", f"torch cannot be imported: {last[0]}", "Install torch again for this Python.")
    return HealthCheck(name="device", verdict="ok", found=asked.stdout.strip())


def key_value_cache() -> HealthCheck:
    """Check that cached keys and values give the same logits as the whole prompt.

    Mismatched versions of transformers and TransformerLens silently ignore the cache.
    """
    name, slower = "kept keys", "Effects are correct, but take up to twice as long."
    command = child_processes.python_command("-m", "engine.models.kv_cache")
    try:
        asked = child_processes.run(command, capture_output=True, text=True, timeout=CACHE_LIMIT_S)
    except subprocess.TimeoutExpired:
        found = f"a forward pass took longer than {CACHE_LIMIT_S} s"
        return HealthCheck(
            name=name, verdict="warn", found=found, todo="The machine may be busy or its disk slow; try again."
        )
    if asked.returncode != 0:
        last = asked.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return _fail(name, f"a forward pass failed: {last[0]}", "Install the versions of constraints.txt.")
    error = float(asked.stdout.split()[-1])
    if error <= _CACHE_ERROR:
        found = f"keys and values of a shared prefix are reused (logits within {error:.0e})"
        return HealthCheck(name=name, verdict="ok", found=found)
    found = "these versions of transformers and TransformerLens do not reuse keys and values"
    return HealthCheck(
        name=name, verdict="warn", found=found, todo=f"{slower} Install the versions of constraints.txt."
    )


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _fail(name: str, found: str, todo: str) -> HealthCheck:
    return HealthCheck(name=name, verdict="fail", found=found, todo=todo)
