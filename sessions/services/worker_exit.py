"""Describe why a worker ended and what the user can do."""

import signal

from engine.errors import Failure
from engine.machine.memory import format_bytes, format_memory, memory
from engine.protocol import RunProbe


def describe_exit(
    code: int, *, request: RunProbe | None = None, memory_bytes: int | None = None, by_kernel: bool = False
) -> Failure:
    """Describe the end of a worker during a run. `memory_bytes`: its last known memory in bytes."""
    if code == -signal.SIGKILL:
        weight = f"; it last used {format_bytes(memory_bytes)}" if memory_bytes else ""
        there = format_memory(memory())
        if by_kernel:
            message = f"Memory ran out and the kernel ended the engine{weight}; {there}."
        else:
            message = (
                f"The engine was killed during the run (SIGKILL), most often because memory ran out{weight}; {there}."
            )
        hint = _lower(request)
    elif code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        message = f"The engine crashed during the run ({name})."
        once_more = f"headcode probe --again {request.job}" if request else "run it again"
        hint = (
            f"The next run starts a new engine; to repeat this one: {once_more}. "
            "The engine's last output: headcode host log."
        )
    else:
        message = f"The engine exited during the run (exit code {code})."
        hint = "Its last output: headcode host log. headcode doctor checks the installation."
    return Failure(family="engine", name="WorkerDied", message=message, hint=hint)


def _lower(request: RunProbe | None) -> str:
    if request is None:
        return "Free some memory, or lower examples, codes or seeds, or use a smaller model; then run again."
    config = request.config
    return (
        f"Free some memory, lower the seeds ({len(config.seeds)}), the codes ({config.sae.n_codes}) or the prompts, "
        f"or use a smaller model than {request.model}; then run again."
    )


def describe_kill() -> Failure:
    """Return the failure of a job whose engine the user ended."""
    return Failure(
        family="engine",
        name="EngineEnded",
        message="The engine was ended during this job, which had reported nothing for a while.",
        hint="Try again; the next request starts a new engine.",
    )


def describe_garbled(what: str) -> Failure:
    """Return the failure of a job whose engine sent an invalid message."""
    return Failure(
        family="engine",
        name="WorkerDied",
        message=f"The engine sent a message that the host does not understand: {what.rstrip('.')}.",
        hint="If Headcode was upgraded: headcode host stop. Otherwise see: headcode host log",
    )
