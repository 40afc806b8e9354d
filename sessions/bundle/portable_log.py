"""Make a session's log portable: the same on every machine, without local paths."""

import re
from pathlib import PurePath

import msgspec

from engine.errors import Failure
from engine.events import Notice
from engine.sweeps.plan import SweepPlan
from sessions.events import (
    AnyEvent,
    EffectsEnded,
    RunEnded,
    RunQueued,
    RunVerified,
    SessionCreated,
    SessionImported,
    SteeringRecorded,
    SweepPlanned,
    VerificationEnded,
)
from sessions.ids import is_id
from sessions.store.projections import event_decoder

_HOME = re.compile(r"(?<![\w./~-])/(?:root|(?:home|Users)/[^/\s'\",;:)]+)(?=$|[\s'\",;:)])")
_PATH = re.compile(r"(?<![\w./~…-])~?(?:/[^/\s'\"]+)+/([^/\s'\"]*)")
_PID = re.compile(r" ?\(PID \d+\)|\bPID \d+")


class EventRow(msgspec.Struct, frozen=True):
    """A row of the event table."""

    seq: int
    at_us: int
    run_id: str | None
    payload: str


class _PortableLine(msgspec.Struct, frozen=True):
    """A bundle_manifest.BundleLine whose event is JSON text."""

    seq: int
    at_us: int
    run_id: str | None
    event: msgspec.Raw


def portable_event(payload: str) -> tuple[AnyEvent, bytes]:
    """Return a stored event in portable form, and its bytes."""
    event = make_portable(event_decoder.decode(payload))
    return event, msgspec.json.encode(event)


def make_line(seq: int, at_us: int, run_id: str | None, event: bytes) -> bytes:
    """Return one line of events.jsonl."""
    return msgspec.json.encode(_PortableLine(seq, at_us, run_id, msgspec.Raw(event))) + b"\n"


def make_portable(event: AnyEvent) -> AnyEvent:
    """Return the event without local information: a model folder becomes its name, paths in messages their last part.

    What users wrote (prompts, names, notes) is not changed. Applying it twice changes nothing more.
    """
    match event:
        case SessionCreated():
            return msgspec.structs.replace(event, model=model_name(event.model))
        case RunQueued():
            # Trust in a model's code must not be passed on to whoever repeats the run.
            return msgspec.structs.replace(event, model=model_name(event.model), trust_remote_code=False)
        case SweepPlanned():
            return msgspec.structs.replace(event, plan=_portable_plan(event.plan))
        case Notice():
            return Notice(message=strip_paths(event.message), hint=strip_paths(event.hint))
        case (
            RunEnded(failure=Failure() as failure)
            | EffectsEnded(failure=Failure() as failure)
            | VerificationEnded(failure=Failure() as failure)
        ):
            portable = msgspec.structs.replace(
                failure, message=strip_paths(failure.message), hint=strip_paths(failure.hint)
            )
            return msgspec.structs.replace(event, failure=portable)
        case RunVerified():
            return msgspec.structs.replace(event, words=strip_paths(event.words))
        case SteeringRecorded():
            notices = tuple(map(strip_paths, event.result.notices))
            return msgspec.structs.replace(event, result=msgspec.structs.replace(event.result, notices=notices))
        case _:
            return event


def _portable_plan(plan: SweepPlan) -> SweepPlan:
    """Return the plan without folders and without trust in a model's own code; keys identify the weights."""
    options = tuple(msgspec.structs.replace(each, trust_remote_code=False) for each in plan.options)
    units = tuple(
        msgspec.structs.replace(
            unit, model=model_name(unit.model), labels=tuple((axis, model_name(text)) for axis, text in unit.labels)
        )
        for unit in plan.units
    )
    sources = tuple(msgspec.structs.replace(each, label=model_name(each.label)) for each in plan.sources)
    return msgspec.structs.replace(plan, options=options, units=units, sources=sources)


def model_name(model: str) -> str:
    """Return a model folder's name; hub names and bundled models are kept.

    The run's identity determines the weights.
    """
    if model.startswith(("/", "~", "./", "../")) or model in (".", ".."):
        return PurePath(model).name or "model"
    return model


def strip_paths(text: str) -> str:
    """Return the text with every absolute path cut to its last part, without home folders and process ids."""
    while (shorter := _PID.sub("", _PATH.sub(r"…/\1", _HOME.sub("~", text)))) != text and len(shorter) < len(text):
        text = shorter
    return shorter


def is_origin(kind: str) -> bool:
    """Return whether an event only tells where the log before it came from.

    At a log's end it is not exported: see docs/bundle-format.md.
    """
    return kind == SessionImported.__struct_config__.tag


def rename_runs(event: AnyEvent, ids: dict[str, str]) -> AnyEvent:
    """Return the event with other ids for the runs that it names."""
    if isinstance(event, RunQueued) and event.again is not None and is_id(event.again):
        return msgspec.structs.replace(event, again=ids.get(event.again, event.again))
    return event
