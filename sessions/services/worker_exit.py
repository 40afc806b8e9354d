"""How a worker ended, in words: what happened, what there was, what a person can do."""

import signal

from engine.errors import Failure
from engine.machine.memory import memory, memory_words, size
from engine.protocol import RunProbe


def describe_exit(
    code: int, *, order: RunProbe | None = None, held: int | None = None, by_kernel: bool = False
) -> Failure:
    """A worker's end in the middle of a run, in words. `held`: bytes it was last seen with."""
    if code == -signal.SIGKILL:
        weight = f"; it held {size(held)} when it was last looked at" if held else ""
        there = memory_words(memory())
        if by_kernel:
            message = f"Memory ran out and the kernel ended the engine{weight}; {there}."
        else:
            message = f"The engine was killed in mid-run (SIGKILL), most often because memory ran out{weight}; {there}."
        hint = _lower(order)
    elif code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        message = f"The engine crashed in mid-run ({name})."
        once_more = f"headcode probe --again {order.job}" if order else "run it again"
        hint = f"The next run gets a new engine; once more: {once_more}. What this one last said: headcode host log."
    else:
        message = f"The engine left in mid-run (exit code {code})."
        hint = "What it last said: headcode host log. headcode doctor checks the installation."
    return Failure(family="engine", name="WorkerDied", message=message, hint=hint)


def _lower(order: RunProbe | None) -> str:
    if order is None:
        return "Free some memory, or lower examples, codes or seeds, or take a smaller model; then run again."
    config = order.config
    return (
        f"Free some memory, lower the seeds ({len(config.seeds)}), the codes ({config.sae.n_codes}) or the prompts, "
        f"or take a smaller model than {order.model}; then run again."
    )


def describe_kill() -> Failure:
    return Failure(
        family="engine",
        name="EngineEnded",
        message="The engine was ended while it was at this: it had reported nothing for a while.",
        hint="Ask once more; the next request gets a new engine.",
    )


def describe_garbled(what: str) -> Failure:
    return Failure(
        family="engine",
        name="WorkerDied",
        message=f"The engine said something the host does not understand: {what.rstrip('.')}.",
        hint="If Headcode was upgraded: headcode host stop. Otherwise see: headcode host log",
    )
