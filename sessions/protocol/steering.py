"""Requests that steer the model of a run, that check whether it can be, and that read what was recorded of it."""

from engine.results import ModelInfo
from engine.steering import SteerPlan
from sessions.events import SteeringRecorded
from sessions.protocol.base import Message, Request
from sessions.rows import RunRow


class GetSteering(Request, tag="steering", frozen=True, kw_only=True):
    """Steer the model of a run, and record it in the run's log.

    What was recorded of the same plan is returned at once. Answered by Steering, concurrently with other requests; the
    curve is measured strength by strength, so that the worker answers others in between.
    """

    run: str
    plan: SteerPlan
    circuit: str = ""
    """In place of the plan's nodes: a saved circuit by name, or `circuit`: the run's own."""
    again: bool = False
    """Measure although it is recorded."""
    record: bool = True
    note: str | None = None
    """Written in the same step, behind the words for what is steered: on the node, or on the run if it is not one node.
    """


class CheckSteering(Request, tag="check_steering", frozen=True, kw_only=True):
    """Say whether GetSteering would measure: refuse what it refuses, without the model.

    A token's place (where=place) is not checked: that needs the prompt's tokens. Answered by SteeringsAnswer with what
    is recorded of the same plan.
    """

    run: str
    plan: SteerPlan
    circuit: str = ""
    again: bool = False
    note: str | None = None


class Steering(Message, tag="steering", frozen=True, kw_only=True):
    """What steering did."""

    run: RunRow
    model: ModelInfo
    steered: SteeringRecorded
    """With the plan's nodes and seed as they were used."""
    at_us: int | None = None
    """When it was recorded; None: it is not."""
    note: str | None = None
    """The note as it was written, if one was asked for."""


class ListSteerings(Request, tag="steerings", frozen=True, kw_only=True):
    """Read what was recorded of steering a run. Answered by SteeringsAnswer."""

    run: str


class SteeringsAnswer(Message, tag="steerings", frozen=True, kw_only=True):
    """All of a run, the oldest first."""

    run: RunRow
    steerings: tuple[Steering, ...]
