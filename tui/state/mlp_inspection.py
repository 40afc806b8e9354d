"""State of the MLP's page: the selected neuron and prompt, the order of neurons, what was measured."""

from typing import Literal

from engine.errors import Failure
from engine.node_parts import RunNeuron
from sessions.protocol import GetMlp, MlpInspection
from tui.state.node_parts import EXACT_AT_ONCE, exact_request, mlp_request
from tui.state.workbench_state import WorkbenchState

NeuronOrder = Literal["attribution", "difference"]


class MlpState:
    """Selection and loaded data of the MLP's page."""

    def __init__(self, state: WorkbenchState) -> None:
        self.state = state
        self.example = state.selected or 0
        self.order: NeuronOrder = "attribution"
        self.chosen = 0
        """Place of the selected neuron in the order."""
        self._last: tuple[GetMlp, MlpInspection] | None = None

    @property
    def request(self) -> GetMlp | None:
        """The request for the neurons on the selected prompt."""
        return mlp_request(self.state.shown, self.state.cursor, self.example)

    @property
    def found(self) -> MlpInspection | Failure | None:
        """The neurons; while another prompt is loaded, those of the one before."""
        request = self.request
        found = self.state.parts.get(request, MlpInspection)
        if request is not None and isinstance(found, MlpInspection):
            self._last = request, found
        if found is None and request is not None and self._last is not None:
            asked, last = self._last
            return last if (asked.run, asked.layer) == (request.run, request.layer) else None
        return found

    @property
    def current(self) -> bool:
        """True if what is shown is of the selected prompt."""
        return isinstance(self.state.parts.get(self.request, MlpInspection), MlpInspection)

    @property
    def neurons(self) -> tuple[RunNeuron, ...]:
        """The neurons in the chosen order."""
        found = self.found
        if not isinstance(found, MlpInspection):
            return ()
        if self.order == "difference":
            return tuple(sorted(found.neurons, key=lambda each: (-each.difference, each.neuron)))
        return found.neurons

    @property
    def neuron(self) -> RunNeuron | None:
        """The selected neuron."""
        neurons = self.neurons
        return neurons[min(self.chosen, len(neurons) - 1)] if neurons else None

    def step(self, by: int) -> None:
        self.chosen = min(max(self.chosen + by, 0), max(len(self.neurons) - 1, 0))

    def step_prompt(self, by: int) -> None:
        self.example = min(max(self.example + by, 0), max(len(self.state.examples) - 1, 0))

    def turn_order(self) -> None:
        """Order by the other measure; the same neuron stays selected."""
        kept = self.neuron
        self.order = "difference" if self.order == "attribution" else "attribution"
        if kept is not None:
            self.chosen = next(place for place, each in enumerate(self.neurons) if each.neuron == kept.neuron)

    # ---- exact effects, which do not depend on the prompt that is looked at

    @property
    def exact_wanted(self) -> GetMlp | None:
        """The request for exact effects of the selected neuron and those after it; None if its own is known."""
        own, asked = self.neuron, mlp_request(self.state.shown, self.state.cursor, 0)
        if own is None or asked is None or self.exact(own.neuron) is not None:
            return None
        rest = self.neurons[self.chosen :]
        unknown = tuple(each.neuron for each in rest if self.exact(each.neuron) is None)[:EXACT_AT_ONCE]
        return exact_request(asked, tuple(sorted(unknown)))

    def exact(self, neuron: int) -> RunNeuron | None:
        """Return the neuron with its exact effect, if it was measured."""
        run, layer = self.state.shown, self.state.cursor.layer
        for request, answer in self.state.parts.answers.items():
            if isinstance(request, GetMlp) and neuron in request.neurons and isinstance(answer, MlpInspection):
                here = run is not None and request.run == run.run_id and request.layer == layer
                if here:
                    return next((each for each in answer.neurons if each.neuron == neuron), None)
        return None
