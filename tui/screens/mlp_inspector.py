"""The page of an MLP: the neurons that matter most for the run's answers, and where in the prompt the MLP matters."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content

from sessions.protocol import MlpInspection
from tui.actions import screen_actions
from tui.screens.node_screen import NodeScreen
from tui.screens.parts_loader import FetchPart, Wanted
from tui.screens.sub_screen import SubScreenKeys
from tui.state.mlp_inspection import MlpState
from tui.state.workbench_state import WorkbenchState
from tui.themes.themes import Depth
from tui.widgets.line_widget import LinePicked
from tui.widgets.neuron_list import NeuronList, NeuronView
from tui.widgets.places_strip import PlacesStrip
from tui.widgets.top_line import format_head_title

ACTIONS = screen_actions(
    "MLP page",
    ("close", "", "escape,enter,q", "Back", "Back to the workbench", "back"),
    ("neuron.next", "1", "right_square_bracket", "Next neuron", "The next neuron of the list", "neuron"),
    ("neuron.previous", "-1", "left_square_bracket", "Previous neuron", "The neuron before", ""),
    ("order", "", "g", "By attribution or difference", "Order neurons by effect or by how they differ", "order"),
    ("step.down", "1", "down,j", "Next prompt", "Activations on the next prompt of the run", "prompt"),
    ("step.up", "-1", "up,k", "Previous prompt", "Activations on the previous prompt", ""),
    ("walk.right", "1", "right,l", "Next token", "Effect of the MLP at the next token", "token"),
    ("walk.left", "-1", "left,h", "Previous token", "Effect of the MLP at the previous token", ""),
    (
        "through",
        "",
        "t",
        "Through whom",
        "What it does through each later node, measured exactly; again: back",
        "through",
    ),
    (
        "steer",
        "",
        "d",
        "Steer",
        "Add a code's direction, turn it off, or keep a circuit alone: what is said then",
        "steer",
    ),
    ("explain", "", "x", "Explain its code", "Shortest prompts that keep it, and how well they predict it", "explain"),
    ("rank.next", "1", "n", "Next node of the ranking", "The page of the next weaker node", "node"),
    ("rank.previous", "-1", "N,shift+n", "Previous node of the ranking", "The page of the next stronger node", ""),
)


class MlpScreen(NodeScreen):
    """The screen: neurons left, the selected one right, the MLP's places below."""

    CSS_PATH = "mlp_inspector.tcss"
    actions = ACTIONS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual declares it so

    def __init__(
        self,
        state: WorkbenchState,
        depth: Depth,
        fetch: FetchPart,
        want_codes: Callable[[], object] = lambda: None,
        reopen: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(state, depth, fetch, want_codes, reopen)
        self.inspector = MlpState(state)
        self.token: int | None = None
        self.neurons = NeuronList(self.inspector, depth, id="neurons")
        self.neuron = NeuronView(self.inspector, depth, id="neuron")
        self.places = PlacesStrip(state, depth, lambda: self.inspector.example, lambda: self.token, id="places")

    def compose(self) -> ComposeResult:
        with Horizontal(id="mlp"):
            yield self.neurons
            with Vertical():
                yield self.neuron
                yield self.places
                yield self.through
        yield SubScreenKeys(self.state, ACTIONS)

    @property
    def example_shown(self) -> int:
        return self.inspector.example

    def paint(self) -> None:
        if self.leaves():
            return
        title = format_head_title(self.state)
        found, order = self.inspector.found, self.inspector.order
        count = f": {len(found.neurons)} of {found.n_neurons}" if isinstance(found, MlpInspection) else ""
        self.neurons.border_title = Content(f"{title} neurons by {order}{count}")
        neuron = self.inspector.neuron
        which = "Neuron" if neuron is None else f"Neuron {self.state.cursor.layer}.{neuron.neuron}"
        self.neuron.border_title = Content(f"{which} on prompt {self.inspector.example + 1}")
        self.places.border_title = Content(f"{self.state.cursor} replaced at one token alone")
        for part in (self.neurons, self.neuron, self.places):
            part.paint()
        self.paint_through()

    def wanted(self) -> Wanted:
        """Return the neurons, the places, then the exact effects of the neurons around the selected one."""
        return [
            (self.inspector.request, MlpInspection),
            *self.places.wanted,
            (self.inspector.exact_wanted, MlpInspection),
            *super().wanted(),
        ]

    def action_neuron(self, by: int) -> None:
        self.inspector.step(by)
        self.moved()

    def action_order(self) -> None:
        self.inspector.turn_order()
        self.moved()

    def action_step(self, by: int) -> None:
        self.inspector.step_prompt(by)
        self.token = None
        self.moved()

    def action_walk(self, by: int) -> None:
        self.token = self.step_token(self.token, by, self.inspector.example, self.places.found)
        self.paint()

    def on_line_picked(self, message: LinePicked) -> None:
        self.inspector.chosen = message.place
        self.moved()
