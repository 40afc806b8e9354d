"""`python -m sessions.sweeps.on_ray.driver`: speak to a Ray cluster for the host.

Reads a DriverPlan and then orders from stdin, one line of JSON each, and prints words (messages.AnyWord) on stdout. It
exits when stdin ends, so no actor outlives the host. It keeps nothing: the host can start another at any time.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import Cancelled, Failure, HeadcodeError
from engine.sweeps.content_key import installed_versions
from engine.sweeps.packs import PackKey
from sessions.sweeps.executor import (
    AnyReport,
    UnitDone,
    UnitFailed,
    UnitLogged,
    UnitProgress,
    UnitStarted,
    UnitTask,
    WorkerJoined,
    WorkerLost,
)
from sessions.sweeps.on_ray.actors import CONNECT_HINT, ActorHandle, RayCalls
from sessions.sweeps.on_ray.messages import (
    AnyOrder,
    AnyWord,
    CancelUnits,
    DriverPlan,
    DriverReady,
    DriverTrouble,
    SubmitPacks,
)
from sessions.sweeps.on_ray.nodes import PACKAGES, RayNode, actor_options, room
from sessions.sweeps.on_ray.unit_queue import UnitQueue, key_of

_LOOK_S = 1.0
"""Seconds between looks at the nodes."""
_KILL_S = 1.7
"""Seconds that a cancelled unit has; then its actor is killed. NodeWorker ends its engine before that."""

log = logging.getLogger("headcode.ray")


class Driver:
    """Keeps actors on the nodes that have room, and every one of them busy."""

    def __init__(self, plan: DriverPlan, calls: RayCalls, say: Callable[[AnyWord], None]) -> None:
        self._plan, self._calls, self._say = plan, calls, say
        self._folder = Path(plan.folder)
        self._queue = UnitQueue()
        self._nodes: dict[str, RayNode] = {}
        self._running: dict[str, ActorHandle] = {}
        """Units with an actor, by run id."""
        self._cancelled: set[str] = set()
        self._actors = 0
        """Those that exist or are being made."""
        self._names = 0
        self._work: set[asyncio.Task[None]] = set()

    async def look_forever(self) -> None:
        """Follow the nodes of the cluster: use those that join, forget those that leave."""
        while True:
            try:
                found = await asyncio.to_thread(self._calls.nodes)
            except Exception as error:  # noqa: BLE001  # Ray raises anything; the next look may do
                log.warning("nodes cannot be listed: %s", error)
            else:
                for node_id in set(self._nodes) - set(found):
                    node = self._nodes.pop(node_id)
                    log.warning("node %s is gone", node.host)
                    self._queue.wake()
                for node_id in set(found) - set(self._nodes):
                    node = self._nodes[node_id] = RayNode(node_id, found[node_id])
                    self._spawn(self._survey(node))
                self._fail_where_hopeless()
                self._fill()
            await asyncio.sleep(_LOOK_S)

    def order(self, order: AnyOrder) -> None:
        """Do what the host says."""
        match order:
            case SubmitPacks():
                for pack in order.packs:
                    for task in pack.units:
                        self._queue.put(task)
                self._fill()
            case CancelUnits():
                self._cancel(set(order.run_ids))

    def _cancel(self, run_ids: set[str]) -> None:
        self._cancelled |= run_ids
        for task in self._queue.drop(run_ids):
            self._end(task.run_id, Cancelled().as_failure())
        for run_id in run_ids & set(self._running):
            self._running[run_id].cancel(run_id)
            asyncio.get_running_loop().call_later(_KILL_S, self._force, run_id)

    def _force(self, run_id: str) -> None:
        actor = self._running.get(run_id)
        if actor is not None:
            actor.kill()

    # ---- nodes

    async def _survey(self, node: RayNode) -> None:
        try:
            found = await self._calls.survey(node.node_id, PACKAGES)
        except Exception as error:  # noqa: BLE001  # Ray raises anything
            log.warning("node %s cannot be asked: %s", node.host, error)
            if self._nodes.get(node.node_id) is node:
                del self._nodes[node.node_id]  # asked again at the next look
            return
        node.take_survey(found, installed_versions())
        if node.refused is not None:
            self._refuse(node)
        self._fill()

    def _refuse(self, node: RayNode) -> None:
        """Report a node that is not used."""
        assert node.refused is not None
        self._say(WorkerLost(worker=node.host, reason=node.refused.message))
        self._queue.wake()

    def _fail_where_hopeless(self) -> None:
        """Fail the waiting units where every node is refused. A cluster without room is waited for: nodes may join."""
        reasons = [node.refused for node in self._nodes.values()]
        if reasons and reasons[0] is not None and all(reason is not None for reason in reasons):
            for task in self._queue.drop(self._queue.run_ids):
                self._end(task.run_id, reasons[0])

    def _fill(self) -> None:
        """Make actors where there is room, on the emptiest node first."""
        wanted = len(self._queue) + len(self._running)
        if self._plan.workers:
            wanted = min(wanted, self._plan.workers)
        while self._actors < wanted:
            free = []
            for node in self._nodes.values():
                options = actor_options(node, self._plan)
                if node.usable and node.actors < room(node, options):
                    free.append((node.actors, node.deaths, node.node_id, node, options))
            if not free:
                return
            _, _, _, node, options = min(free, key=lambda each: each[:3])
            node.actors += 1
            self._actors += 1
            self._spawn(self._serve(node, options))

    # ---- actors

    async def _serve(self, node: RayNode, options: dict[str, float]) -> None:
        """Keep one actor and give it units until it dies or there is no more need of it."""
        self._names += 1
        actor: ActorHandle | None = None
        name = f"{node.host} {self._names}"
        loaded: PackKey | None = None
        reason = ""
        try:
            await asyncio.sleep(min(4.0, node.deaths))
            actor = self._calls.actor(node.node_id, name, options, self._pass_on)
            await actor.ready()
            self._say(WorkerJoined(worker=name, where=_where(node, options)))
            wanted = partial(self._is_used, node)
            while task := await self._queue.next(node.node_id, loaded, partial(self._others, node), wanted):
                self._queue.use(loaded, key_of(task))
                loaded = key_of(task)
                reason = await self._run(node, actor, task, name)
                if reason:
                    break
                node.deaths = 0
        except Exception as error:  # noqa: BLE001  # Ray raises anything
            reason = _first_line(error)
        finally:
            self._queue.use(loaded, None)
            node.actors -= 1
            self._actors -= 1
            if actor is not None:
                actor.kill()
        if reason:
            log.warning("%s is lost: %s", name, reason)
            self._say(WorkerLost(worker=name, reason=reason))
            node.died(reason)
            if node.refused is not None and self._nodes.get(node.node_id) is node:
                self._refuse(node)
        self._fill()

    async def _run(self, node: RayNode, actor: ActorHandle, task: UnitTask, name: str) -> str:
        """Run one unit; return why the actor is lost, empty if it is not."""
        run_id = task.run_id
        self._running[run_id] = actor
        self._say(UnitStarted(run_id=run_id, worker=name))
        try:
            model, models = await self._calls.model_on(node, task, Path(self._plan.models))
            if run_id in self._cancelled:
                self._end(run_id, Cancelled().as_failure())
                return ""
            end, data = await actor.run(task, model, models)
            if isinstance(end, UnitDone):
                goal = self._folder / f"{run_id}.headcode"
                await asyncio.to_thread(_write, goal, data)
                end = UnitDone(run_id=run_id, bundle=str(goal))
            elif end.again:
                self._queue.lost(task, node.node_id)
            self._say(end)
        except HeadcodeError as error:
            self._end(run_id, error.as_failure())
        except OSError as error:
            failure = Failure(
                family="engine",
                name="CannotWrite",
                message=f"The unit's file could not be written: {error.strerror or error}.",
                hint="Make room on the host's disk, then: headcode sweep retry",
            )
            self._say(UnitFailed(run_id=run_id, failure=failure, again=False))
        except Exception as error:  # noqa: BLE001  # Ray raises anything
            reason = _first_line(error)
            if run_id in self._cancelled:
                self._end(run_id, Cancelled().as_failure())
                return reason
            self._queue.lost(task, node.node_id)
            failure = Failure(
                family="engine",
                name="WorkerDied",
                message=f"The worker on {node.host} was lost: {reason}",
                hint="headcode sweep retry SWEEP --failed runs it again.",
            )
            self._say(UnitFailed(run_id=run_id, failure=failure, again=True))
            return reason
        finally:
            self._running.pop(run_id, None)
            self._cancelled.discard(run_id)
        return ""

    def _pass_on(self, report: AnyReport) -> None:
        """Pass on what an actor reports of the units that it has; what comes late is dropped, apart from logs."""
        if isinstance(report, UnitLogged) or (isinstance(report, UnitProgress) and report.run_id in self._running):
            self._say(report)

    def _is_used(self, node: RayNode) -> bool:
        return self._nodes.get(node.node_id) is node and node.refused is None

    def _others(self, node: RayNode) -> list[str]:
        """Return other nodes that do units."""
        return [each.node_id for each in self._nodes.values() if each is not node and each.usable and each.actors]

    def _end(self, run_id: str, failure: Failure) -> None:
        self._say(UnitFailed(run_id=run_id, failure=failure, again=False))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)


def _where(node: RayNode, options: dict[str, float]) -> str:
    share = options.get("num_gpus")
    return f"{node.host}, {share:g} GPU" if share else node.host


def _first_line(error: Exception) -> str:
    """Return what Ray says of a lost actor, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    known = [
        line for line in lines if not line.startswith(("class_name", "actor_id", "pid", "namespace", "ip", "name"))
    ]
    return f"{type(error).__name__}: {' '.join(known[:3])}"[:400] if known else type(error).__name__


def _write(goal: Path, data: bytes) -> None:
    """Write a file, complete or not at all."""
    goal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = goal.with_suffix(".part")
    part.write_bytes(data)
    part.replace(goal)


class _Lines:
    """Prints words as whole lines on what was stdout; what Ray prints there goes to stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def say(self, word: AnyWord) -> None:
        line = msgspec.json.encode(word) + b"\n"
        with self._lock:
            self._out.write(line)
            self._out.flush()


async def _drive(plan: DriverPlan, say: Callable[[AnyWord], None]) -> None:
    """Drive the cluster until stdin ends."""
    calls = RayCalls()
    try:
        async with asyncio.timeout(plan.connect_s):
            address = await asyncio.to_thread(calls.connect, plan.address)
    except TimeoutError:
        where = plan.address or "the default address"
        say(DriverTrouble(f"No Ray cluster answers at {where} within {plan.connect_s:g} s.", CONNECT_HINT))
        return
    except HeadcodeError as error:
        say(DriverTrouble(error.message, error.hint))
        return
    driver = Driver(plan, calls, say)
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    def listen() -> None:
        decoder: msgspec.json.Decoder[AnyOrder] = msgspec.json.Decoder(AnyOrder)
        for line in sys.stdin.buffer:
            if line.endswith(b"\n"):
                loop.call_soon_threadsafe(driver.order, decoder.decode(line))
        loop.call_soon_threadsafe(closed.set)

    say(DriverReady(address))
    threading.Thread(target=listen, daemon=True, name="orders").start()
    looking = asyncio.create_task(driver.look_forever())
    await closed.wait()
    looking.cancel()
    await asyncio.to_thread(calls.close)


def main() -> None:
    """Run the driver until its stdin ends."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    lines = _Lines()
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=DriverPlan)

    async def drive() -> None:
        await _drive(plan, lines.say)
        sys.stderr.flush()
        os._exit(0)  # threads of calls that never return are not waited for

    asyncio.run(drive())


if __name__ == "__main__":
    main()
