"""Test sweeps on a real Ray cluster of this machine: two nodes of one CPU; actors, nodes and driver may die."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from ray.cluster_utils import Cluster

from engine.catalog.local_models import bundled_folder
from engine.errors import ConfigError
from engine.machine.folders import find_folders
from engine.sweeps.expansion import identity_of
from sessions.bundle.import_bundle import CheckedBundle
from sessions.client.connection import HostClient, stop_host
from sessions.files.log_files import SizedLog
from sessions.protocol import StartSweep, SweepAnswer
from sessions.protocol.sweeps import ExecutorSettings
from sessions.sweeps.executor import Pack, UnitDone, UnitFailed, UnitProgress, UnitStarted, WorkerJoined
from sessions.sweeps.on_ray.executor import RayExecutor
from sessions.sweeps.on_ray.messages import DriverPlan

from .cluster_parts import CODES, ONCE, Reports, follow, plan_of, rows, run_all, tasks_of


@pytest.fixture(scope="module")
def node_home() -> Iterator[Path]:
    """The home of the cluster's nodes: not the host's."""
    home = Path(tempfile.mkdtemp(prefix="hcn-"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(node_home: Path) -> Iterator[Cluster]:
    before = {name: os.environ.get(name) for name in ("HEADCODE_HOME", "PYTHONWARNINGS")}
    os.environ["HEADCODE_HOME"] = str(node_home)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()
    signal.signal(signal.SIGTERM, on_sigterm)
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def executor_of(cluster: Any, home: Path, reports: Reports, **changes: Any) -> RayExecutor:
    places = find_folders({"HEADCODE_HOME": str(home)})
    plan = DriverPlan(folder=str(home / "out"), models=str(places.models), address=cluster.address, device="cpu")
    return RayExecutor(reports, msgspec.structs.replace(plan, **changes), errors=SizedLog(home / "worker.log"))


def processes(words: str, home: Path) -> list[psutil.Process]:
    """Return the processes with these words in their command that this test run started: others may run beside it."""
    every = psutil.process_iter(["cmdline", "environ"])
    found = [each for each in every if words in " ".join(each.info["cmdline"] or ())]
    return [each for each in found if (each.info["environ"] or {}).get("HEADCODE_HOME") == str(home)]


async def test_every_unit_is_done_once_though_an_actor_a_node_the_driver_and_the_host_die(
    cluster: Cluster, node_home: Path
) -> None:
    plan, homes = (
        plan_of(32, shuffles="4000", bootstraps="400"),
        [Path(tempfile.mkdtemp(prefix="hc-")) for _ in range(2)],
    )
    places, alone = (find_folders({"HEADCODE_HOME": str(home)}) for home in homes)
    start = StartSweep(plan=plan, on="ray", settings=ExecutorSettings(address=cluster.address))
    client = await HostClient.connect(places, timeout_s=600)
    await client.ask(start, SweepAnswer)
    answer = await follow(client, lambda answer: answer.progress.done >= 2)
    assert answer.progress.on == "ray"
    processes("ray::UnitActor", node_home)[0].kill()
    await follow(client, lambda answer: answer.progress.done >= 5)
    (driver,) = [
        each for each in psutil.Process(client.welcome.pid).children() if "on_ray.driver" in " ".join(each.cmdline())
    ]
    driver.kill()
    await follow(client, lambda answer: answer.progress.done >= 9)
    await asyncio.to_thread(cluster.remove_node, cluster.worker_nodes.copy().pop(), allow_graceful=False)
    cluster.add_node(num_cpus=1)  # it sets signal handlers: not in another thread
    answer = await follow(client, lambda answer: answer.progress.done >= 14)
    assert processes("on_ray.driver", node_home)
    acknowledged = answer.sweep.done
    os.kill(client.welcome.pid, signal.SIGKILL)
    await client.close()
    client = await HostClient.connect(places, timeout_s=600)
    answer = await client.ask(start, SweepAnswer)
    assert answer.sweep.done >= acknowledged
    answer = await follow(client, lambda answer: not answer.progress.active)
    assert (answer.sweep.done, answer.sweep.failed) == (32, 0)
    assert await rows(client, ONCE) == [[32, 32, 32]]
    assert await rows(client, "SELECT count(*) FROM runs WHERE state = 'done'") == [[32]]
    codes = await rows(client, CODES)
    await client.close()
    client = await HostClient.connect(alone, timeout_s=600)
    await client.ask(StartSweep(plan=plan, workers=1), SweepAnswer)
    await follow(client, lambda answer: not answer.progress.active)
    assert codes == await rows(client, CODES)
    await client.close()
    for home, its in zip(homes, (places, alone), strict=True):
        await stop_host(its)
        shutil.rmtree(home)
    assert not processes("on_ray.driver", node_home)


async def test_a_unit_is_stopped_in_two_seconds_and_what_waits_at_once(cluster: Cluster, home: Path) -> None:
    reports = Reports()
    tasks = tasks_of(plan_of(3, shuffles="200000", bootstraps="5000"), home)
    executor = executor_of(cluster, home, reports, workers=1)
    await executor.submit([Pack(units=tuple(tasks))])
    await reports.until(lambda: any(isinstance(each, UnitProgress) for each in reports.all))
    begun = time.monotonic()
    await executor.cancel([task.run_id for task in tasks])
    await reports.until(lambda: len(reports.ends) == 3)
    assert time.monotonic() - begun < 2.2
    assert {each.failure.family for each in reports.ends if isinstance(each, UnitFailed)} == {"cancelled"}
    started = [each.run_id for each in reports.all if isinstance(each, UnitStarted)]
    assert started == [tasks[0].run_id]
    await executor.close()


async def test_a_node_is_sent_the_model_and_refuses_other_versions_and_weights(
    cluster: Cluster, home: Path, node_home: Path
) -> None:
    models = find_folders({"HEADCODE_HOME": str(home)}).models
    shutil.copytree(bundled_folder(), models / "mine")
    reports = Reports()
    first, second, third, fourth = tasks_of(plan_of(4, models=models, model="mine"), home)
    other = msgspec.structs.replace(second, versions=msgspec.structs.replace(second.versions, torch="0.1"))
    executor = executor_of(cluster, home, reports)
    ends = await run_all(executor, reports, [first, other, third])
    assert isinstance(ends[first.run_id], UnitDone)
    assert isinstance(ends[third.run_id], UnitDone)
    refused = ends[other.run_id]
    assert isinstance(refused, UnitFailed)
    assert (refused.failure.name, refused.again) == ("VersionsDiffer", False)
    assert "0.1 on the host" in refused.failure.message
    sent = find_folders({"HEADCODE_HOME": str(node_home)}).cache / "sent" / identity_of("mine", models) / "mine"
    assert {path.name for path in sent.iterdir()} == {
        path.name for path in bundled_folder().iterdir() if path.suffix in (".json", ".safetensors")
    }
    bundle = CheckedBundle(Path(ends[first.run_id].bundle), home)  # the run names the model as the host does
    assert list(bundle.check.runs) == [first.run_id]
    bundle.close()
    # A node that has a model of that name with other weights refuses the unit.
    own = find_folders({"HEADCODE_HOME": str(node_home)}).models / "mine"
    shutil.copytree(bundled_folder(), own)
    (own / "tokenizer.json").write_bytes((own / "tokenizer.json").read_bytes() + b"\n")
    await executor.close()
    again = executor_of(cluster, home, reports)
    weights = (await run_all(again, reports, [fourth]))[fourth.run_id]
    await again.close()
    shutil.rmtree(own)
    assert isinstance(weights, UnitFailed)
    assert weights.failure.name == "OtherWeights"
    assert sum(isinstance(each, WorkerJoined) for each in reports.all) >= 2


async def test_an_address_where_nothing_listens_is_an_error_at_once(cluster: Cluster, home: Path) -> None:
    reports = Reports()
    executor = executor_of(cluster, home, reports, address="127.0.0.1:1", connect_s=4)
    task = tasks_of(plan_of(1), home)[0]
    with pytest.raises(ConfigError, match=r"No Ray cluster answers at 127\.0\.0\.1:1 within 4 s") as found:
        await executor.submit([Pack(units=(task,))])
    assert "ray start --head" in found.value.hint
    await executor.close()
    assert not reports.all
