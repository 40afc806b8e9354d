"""Test the texts about available and requested memory."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from engine.config import ProbeConfig
from engine.machine import memory as module
from engine.machine.memory import format_bytes, format_memory, format_requested, memory, oom_kills, resident_bytes
from engine.protocol import RunProbe
from engine.tensors.out_of_memory import is_out_of_memory
from engine.worker.pipeline import out_of_memory

CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 460800000 bytes. Error code 12 (Cannot allocate memory)"
)
CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.80 GiB of which 512.00 MiB is "
    "free. Including non-PyTorch memory, this process has 139.30 GiB memory in use."
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 GB, described by files."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "cgroup" / "batch" / "job").mkdir(parents=True)
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 7\noom_kill 3\n")
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/batch/job\n")
    monkeypatch.setattr(module, "PROC", tmp_path / "proc")
    whole = SimpleNamespace(total=16_384_000_000, available=9_216_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: whole)
    monkeypatch.setattr(module, "CGROUPS", tmp_path / "cgroup")
    return tmp_path


def test_a_whole_machine(machine: Path) -> None:
    assert format_memory(memory()) == "9.2 GB of 16.4 GB are free"
    assert oom_kills() == 3
    (machine / "cgroup" / "batch" / "memory.max").write_text("max\n")
    assert "are free" in format_memory(memory())


def test_the_tightest_control_group_counts(machine: Path) -> None:
    for folder, limit, used in (("batch", 8_000_000_000, 100), ("batch/job", 2_000_000_000, 1_500_000_000)):
        (machine / "cgroup" / folder / "memory.max").write_text(f"{limit}\n")
        (machine / "cgroup" / folder / "memory.current").write_text(f"{used}\n")
    (machine / "cgroup" / "batch" / "job" / "memory.events").write_text("low 0\noom 2\noom_kill 2\n")
    found = memory()
    assert found is not None
    assert (found.limit, found.available) == (2_000_000_000, 500_000_000)
    assert format_memory(found) == "this process or its container is limited to 2.0 GB (1.5 GB in use)"
    assert oom_kills() == 5


def test_an_older_kernels_groups(machine: Path) -> None:
    (machine / "proc" / "self" / "cgroup").write_text("5:cpu:/x\n4:memory:/job\n")
    folder = machine / "cgroup" / "memory" / "job"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("1000000000\n")
    (folder / "memory.usage_in_bytes").write_text("250000000\n")
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    assert format_memory(memory()) == "this process or its container is limited to 1.0 GB (250 MB in use)"
    assert oom_kills() == 7


def test_a_system_that_does_not_tell(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(module, "PROC", machine / "nowhere")
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(machine / "nowhere"))
    assert memory() is None
    assert oom_kills() is None
    assert resident_bytes(1) is None
    assert "does not report" in format_memory(None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CPU, "461 MB were requested at once"),
        (CUDA, "21.5 GB were requested at once; the device has 139.80 GiB (512.00 MiB free)"),
        ("something else", ""),
    ],
)
def test_what_torch_was_asked_for(text: str, words: str) -> None:
    assert format_requested(text) == words


def test_the_failure_says_what_was_asked_what_there_is_and_what_to_lower() -> None:
    error = RuntimeError(CPU)
    assert is_out_of_memory(error)
    request = RunProbe(
        job="r", model="big", config=ProbeConfig(seeds=(1, 2, 3, 4)), spool="", models="", activations=""
    )
    failure = out_of_memory(error, request)
    assert "461 MB were requested" in failure.message
    assert memory() is None or "free" in failure.message or "may have" in failure.message
    for words in ("seeds (4)", "codes (", "prompts", "smaller model than big"):
        assert words in failure.hint


def test_sizes_are_short() -> None:
    assert [format_bytes(n) for n in (12, 5_000_000, 2_500_000_000, 150_000_000_000)] == [
        "12 B",
        "5.0 MB",
        "2.5 GB",
        "150 GB",
    ]
