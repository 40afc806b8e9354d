"""What the driver asks of Ray: connect, list and survey nodes, make actors, send models. Only this imports ray."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import ConfigError, ModelError
from sessions.sweeps.executor import AnyReport, UnitDone, UnitFailed, UnitTask
from sessions.sweeps.on_ray import survey
from sessions.sweeps.on_ray.actor import FilesActor, UnitActor, find_model_here
from sessions.sweeps.on_ray.messages import UnitEnd
from sessions.sweeps.on_ray.model_files import NodeModel, as_sent, host_folder, parts_of
from sessions.sweeps.on_ray.nodes import RayNode

_SURVEY_S = 60.0
CONNECT_HINT = (
    "ray start --head starts one; its address is HOST:6379. If it asks for a token, use --address auto on one of its "
    "machines, or RAY_AUTH_MODE=token headcode ... after headcode host stop (docs/sweeps.md)."
)
log = logging.getLogger("headcode.ray")


class ActorHandle:
    """One actor, as the driver calls it."""

    def __init__(self, ray: Any, actor: Any, say: Callable[[AnyReport], None]) -> None:
        self._ray, self._actor, self._say = ray, actor, say
        self._listening: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Wait until the actor is there. Raises what Ray raises."""
        await self._actor.ready.remote()
        self._listening = asyncio.create_task(self._listen())

    async def run(self, task: UnitTask, model: str, models: str) -> tuple[UnitDone | UnitFailed, bytes]:
        """Run the unit; return how it ended and the bytes of its bundle. Raises what Ray raises."""
        end, data = await self._actor.run.remote(msgspec.json.encode(task), model, models)
        found = msgspec.json.decode(end, type=UnitEnd)
        for logged in found.logged:
            self._say(logged)
        report = found.report
        assert isinstance(report, UnitDone | UnitFailed)
        assert report.run_id == task.run_id
        return report, data

    def cancel(self, run_id: str) -> None:
        with suppress(Exception):
            self._actor.cancel.remote(run_id)

    def kill(self) -> None:
        """End the actor at once; calls under way raise."""
        if self._listening is not None:
            self._listening.cancel()
        with suppress(Exception):
            self._ray.kill(self._actor)

    async def _listen(self) -> None:
        with suppress(Exception):
            while True:
                found = await self._actor.reports.remote()
                for report in msgspec.json.decode(found, type=list[AnyReport]):
                    self._say(report)


class RayCalls:
    """Ray, connected."""

    def __init__(self) -> None:
        self._ray: Any = None

    def connect(self, address: str) -> str:
        """Connect, or start a cluster here; return the address. Raises ConfigError."""
        import ray

        try:
            context = ray.init(address=address or None, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            raise ConfigError(
                f"There is no Ray cluster at {address or 'the default address'}: {str(error).splitlines()[0][:300]}",
                hint=CONNECT_HINT,
            ) from error
        self._ray = ray
        ray.cloudpickle.register_pickle_by_value(survey)  # a node that has no Headcode can answer, too
        info = getattr(context, "address_info", None) or {}
        return str(info.get("gcs_address") or info.get("address") or address)

    def close(self) -> None:
        """Disconnect, which ends this driver's actors, and the cluster if it was started here."""
        self._ray.shutdown()

    def nodes(self) -> dict[str, Mapping[str, float]]:
        """Return the resources of every node that is alive, by its id."""
        return {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}

    async def survey(self, node_id: str, packages: tuple[str, ...]) -> Mapping[str, Any]:
        """Return what the node is like (survey.survey). Raises what Ray raises, TimeoutError."""
        asked = self._ray.remote(survey.survey).options(num_cpus=0, max_retries=0, **self._on(node_id))
        async with asyncio.timeout(_SURVEY_S):
            found: Mapping[str, Any] = await asked.remote(packages)
            return found

    def actor(
        self, node_id: str, name: str, options: Mapping[str, float], say: Callable[[AnyReport], None]
    ) -> ActorHandle:
        """Make an actor on the node."""
        made = self._ray.remote(UnitActor).options(
            max_restarts=0, max_task_retries=0, max_concurrency=16, **options, **self._on(node_id)
        )
        return ActorHandle(self._ray, made.remote(name), say)

    async def model_on(self, node: RayNode, task: UnitTask, models: Path) -> tuple[str, str]:
        """Return the model and the folder of models that the unit names on the node, once its files are there.

        The first unit that needs a model has it looked for and sent; others of the node wait for that. Raises
        ModelError, and what Ray raises.
        """
        name = task.request.model
        if name not in node.models:
            node.models[name] = asyncio.ensure_future(self._provide(node, name, task.identity, models))
        try:
            found: NodeModel = await asyncio.shield(node.models[name])
        except BaseException:
            node.models.pop(name, None)
            raise
        return found.model, found.models

    async def _provide(self, node: RayNode, model: str, identity: str, models: Path) -> NodeModel:
        folder = None
        if not identity.startswith("name:"):
            folder = await asyncio.to_thread(host_folder, model, models)
        if folder is None:
            return NodeModel(state="there")
        where = self._on(node.node_id)
        looking = self._ray.remote(find_model_here).options(num_cpus=0, max_retries=0, **where)
        found = msgspec.json.decode(await looking.remote(model, identity, folder.name), type=NodeModel)
        if found.state == "there":
            return found
        log.info("sending %s to %s", model, node.host)
        receiver = self._ray.remote(FilesActor).options(num_cpus=0, **where).remote(identity, folder.name)
        try:
            for name, part in parts_of(folder):
                await receiver.add.remote(name, part)
            arrived = await receiver.finish.remote()
        finally:
            with suppress(Exception):
                self._ray.kill(receiver)
        if arrived != identity:
            raise ModelError(
                f"{model} arrived on {node.host} with the weights {arrived[:12]}… in place of {identity[:12]}…",
                hint="Its files changed while they were sent, or on the way: headcode sweep retry",
            )
        return as_sent(model, identity, folder.name)

    def _on(self, node_id: str) -> dict[str, Any]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=False)}
