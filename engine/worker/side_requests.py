"""What the worker answers between the reports of a run: grades, and a close look at a head."""

from engine.events import Monitor
from engine.grading.grader import Grader, key_of
from engine.models.warm_model import WarmModel
from engine.protocol import GradePrompts, InspectHead, MakeExamples, SideAnswer, SideRequest
from engine.worker.head_inspection import Inspector, inspect_key


class SideRequestHandler:
    """Answers side orders with the model on the shelf."""

    def __init__(self, shelf: WarmModel) -> None:
        self._shelf = shelf
        self._grader = Grader(shelf)
        self._inspector = Inspector(shelf)

    def answer(self, order: SideRequest, monitor: Monitor) -> SideAnswer:
        """Raises what the order's kind raises, and Cancelled."""
        if isinstance(order, GradePrompts):
            return self._grader.answer(order, monitor)
        if isinstance(order, MakeExamples):
            return self._grader.make(order, monitor)
        return self._inspector.answer(order)

    def ready(self, order: SideRequest) -> bool:
        """Whether its model is here: another one would push out that of a run. Raises ConfigError for a device that is
        not here."""
        return self._shelf.holds(inspect_key(order) if isinstance(order, InspectHead) else key_of(order))
