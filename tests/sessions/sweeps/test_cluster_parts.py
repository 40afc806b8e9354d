"""Test what executors on clusters decide without one: which unit next, what an actor needs, what must be installed."""

import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import ConfigError
from engine.sweeps.content_key import installed_versions
from sessions.protocol.sweeps import ExecutorSettings
from sessions.sweeps.executors import find_executor
from sessions.sweeps.on_ray.messages import DriverPlan
from sessions.sweeps.on_ray.nodes import PACKAGES, RayNode, actor_options, room
from sessions.sweeps.on_ray.survey import survey
from sessions.sweeps.on_ray.unit_queue import UnitQueue, key_of

from .cluster_parts import plan_of, tasks_of

GIB = 2**30


def test_an_actor_gets_units_of_its_model_first_and_none_that_its_node_lost(tmp_path: Path) -> None:
    tasks = tasks_of(plan_of(3), tmp_path)
    other = msgspec.structs.replace(tasks[2], request=msgspec.structs.replace(tasks[2].request, model="other"))
    queue = UnitQueue()
    for task in (tasks[0], other, tasks[1]):
        queue.put(task)
    assert len(queue) == 3
    assert queue.take("one", key_of(other), ()) is other
    queue.lost(tasks[0], "one")
    assert queue.take("one", key_of(tasks[0]), ["two"]) is tasks[1]
    assert queue.take("one", key_of(tasks[0]), ["two"]) is None
    assert queue.take("one", key_of(tasks[0]), []) is tasks[0]  # no other node is left to do it
    queue.put(tasks[0])
    assert queue.drop({tasks[0].run_id, "unknown"}) == [tasks[0]]
    assert queue.run_ids == []


def test_actors_of_several_models_share_the_work(tmp_path: Path) -> None:
    tasks = tasks_of(plan_of(4), tmp_path)
    other = [msgspec.structs.replace(task, request=msgspec.structs.replace(task.request, model="b")) for task in tasks]
    queue = UnitQueue()
    for task in (*tasks, *other):
        queue.put(task)
    queue.use(None, key_of(tasks[0]))
    assert queue.take("two", None, ()) is other[0]  # the model that no actor has loaded yet


@pytest.mark.parametrize(
    ("gpu_gib", "peak_gib", "device", "options", "actors"),
    [
        (80, 10, "auto", {"num_cpus": 1, "num_gpus": 0.1428}, 14),
        (80, 60, "auto", {"num_cpus": 1, "num_gpus": 1.0}, 2),
        (80, 140, "auto", {"num_cpus": 1, "num_gpus": 2}, 1),
        (80, 10, "cpu", {"num_cpus": 1, "memory": 10 * GIB}, 10),
        (0, 10, "auto", {"num_cpus": 1, "memory": 10 * GIB}, 10),
        (80, None, "auto", {"num_cpus": 1, "num_gpus": 1.0}, 2),
        (0, None, "auto", {"num_cpus": 1}, 16),
    ],
)
def test_an_actor_takes_its_share_of_a_gpu(
    gpu_gib: int, peak_gib: int | None, device: str, options: dict[str, float], actors: int
) -> None:
    resources = {"CPU": 16.0, "memory": 100.0 * GIB}
    node = RayNode("n", resources | ({"GPU": 2.0} if gpu_gib else {}))
    node.gpus = [gpu_gib * GIB] * 2 if gpu_gib else []
    plan = DriverPlan(folder="", models="", peak_bytes=None if peak_gib is None else peak_gib * GIB, device=device)
    found = actor_options(node, plan)
    assert found == options
    assert room(node, found) == actors
    split = actor_options(node, msgspec.structs.replace(plan, devices=8))
    assert split == {"num_cpus": 1, "num_gpus": 8}
    assert room(node, split) == 0


def test_a_node_with_other_versions_is_refused_and_so_is_one_without_headcode() -> None:
    node = RayNode("n", {"CPU": 1.0})
    node.take_survey(survey(PACKAGES), installed_versions())
    assert node.usable
    found: dict[str, Any] = survey(PACKAGES)
    found["versions"]["headcode"] = ""
    node.take_survey(found, installed_versions())
    assert not node.usable
    assert node.refused is not None
    assert "Headcode is not installed on this node" in node.refused.message


def test_a_node_whose_actors_keep_dying_is_refused() -> None:
    node = RayNode("n", {"CPU": 1.0})
    node.take_survey(survey(PACKAGES), installed_versions())
    for _ in range(5):
        assert node.usable
        node.died("it was killed")
    assert node.refused is not None
    assert "it was killed" in node.refused.message


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_a_missing_extra_is_named_with_the_line_to_install_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="is not installed") as found:
        find_executor(name)
    assert found.value.hint == f"pip install 'headcode[{name}]'"


def test_settings_of_another_executor_are_refused() -> None:
    with pytest.raises(ConfigError, match="--address cannot be used with --on local"):
        find_executor("local", ExecutorSettings(address="auto"))
    with pytest.raises(ConfigError, match="--slurm cannot be used with --on ray"):
        find_executor("ray", ExecutorSettings(slurm={"partition": "x"}))
    with pytest.raises(ConfigError, match="no such executor"):
        find_executor("moon")
