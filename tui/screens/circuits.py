"""The session's saved circuits: overlay, subtract, combine as sets, drop."""

from typing import Protocol

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.nodes import NodeId, format_count
from sessions.protocol import SetOperation
from tui.actions import screen_actions
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.text_prompt import TextPromptSheet
from tui.state.node_signs import KNOWN
from tui.state.session_state import SavedCircuit
from tui.state.set_previews import preview_circuit
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LinePicked, ScrollingLineWidget
from tui.widgets.preview_pane import PreviewPane
from tui.widgets.styled_line import StyledLine, fit, wrap

ACTIONS = screen_actions(
    "Circuits",
    ("close", "", "escape,C,shift+c,q", "Back", "Back to the workbench", "back"),
    ("walk.up", "-1", "up,k", "Circuit above", "The circuit above", ""),
    ("walk.down", "1", "down,j", "Circuit below", "The circuit below", ""),
    ("mark", "", "space", "Mark", "Mark this circuit for a union, an intersection or a difference", "mark"),
    ("lay", "", "enter", "Overlay on the grid", "Overlay this circuit on the grid", "overlay"),
    ("less", "", "d", "Subtract from the grid", "Subtract this circuit from the shown run", "subtract"),
    ("combine.union", "'union'", "u", "Union", "Keep the heads that are in any marked circuit", "union"),
    (
        "combine.intersection",
        "'intersection'",
        "i",
        "Intersection",
        "Keep the heads that are in all marked circuits",
        "intersection",
    ),
    (
        "combine.subtract",
        "'subtract'",
        "minus",
        "Difference",
        "Keep the heads of the first marked circuit that are in no other marked one",
        "difference",
    ),
    ("drop", "", "delete,x", "Drop", "Remove this circuit; the log still has it", "drop"),
)
_SIGNS: dict[SetOperation, str] = {"union": " + ", "intersection": " & ", "subtract": " - "}


class CircuitActions(Protocol):
    """Actions of the workbench that this screen uses."""

    def subtract(self, reference: str) -> None: ...
    def combine(self, operation: SetOperation, names: tuple[str, ...], name: str) -> None: ...
    def drop(self, name: str) -> None: ...


class CircuitList(ScrollingLineWidget):
    """The list, two lines per circuit: name and source, heads."""

    def __init__(self, state: WorkbenchState, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(state, id=id)
        self.chosen = 0
        self.marked: list[str] = []
        """Names in the order they were marked; a difference subtracts the others from the first."""

    @property
    def circuits(self) -> list[SavedCircuit]:
        return list(self.state.session.circuits.values())

    def lines(self, size: Size, /) -> list[Strip]:
        circuits = self.circuits
        if not circuits:
            return [self.line().add(f" {row}", ink).strip() for row, ink in self._nothing(size.width - 2)]
        lines: list[Strip] = []
        for place, circuit in enumerate(circuits):
            lines += [self._about(circuit, place, size.width).strip(), self._heads(circuit, place, size.width).strip()]
        return lines

    def _nothing(self, width: int) -> list[tuple[str, str]]:
        about = (
            f"{self.state.key('keep')} on the workbench keeps the heads inside the cut, or the marked ones, "
            "under a name. A saved circuit can be overlaid on or subtracted from any grid of the same shape, and "
            "combined with others."
        )
        return [("No saved circuits yet.", "text"), *((row, "dim") for row in wrap(about, width, 4))]

    def on_click(self, event: events.Click) -> None:
        place = (event.y + self.scroll_offset.y) // 2
        if place < len(self.circuits):
            self.post_message(LinePicked(place))

    def _about(self, circuit: SavedCircuit, place: int, width: int) -> StyledLine:
        on = place == self.chosen
        line = self.line().add("▌" if on else " ", "accent")
        mark = str(self.marked.index(circuit.name) + 1) if circuit.name in self.marked else " "
        line.add(f" {mark} ", "second").add(fit(clean(circuit.name), width - 30), "strong" if on else "text")
        line.add(f"  {format_count(circuit.heads)}", "dim")
        if self.state.overlay.chosen == f"kept:{circuit.name}":
            line.add(f"  {KNOWN} overlaid", "accent")
        return line.add(fit(f"  {clean(circuit.source)}", width - line.width - 1), "faint")

    def _heads(self, circuit: SavedCircuit, place: int, width: int) -> StyledLine:
        heads = " ".join(str(NodeId(*node)) for node in circuit.heads) or "none"
        return (
            self.line().add("▌" if place == self.chosen else " ", "accent").add(f"     {fit(heads, width - 7)}", "dim")
        )


class CircuitsScreen(SubScreen):
    """The screen: arrows move, space marks; combinations are kept as new circuits."""

    CSS_PATH = "circuits.tcss"
    actions = ACTIONS
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState, owner: CircuitActions) -> None:
        super().__init__(state)
        self.owner = owner
        self.rows = CircuitList(state, id="rows")
        self.rows.can_focus = False
        self.preview = PreviewPane(state)

    def compose(self) -> ComposeResult:
        yield self.rows
        yield self.preview
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self._title()
        self._preview()

    def paint(self) -> None:
        circuits = self.state.session.circuits
        self.rows.marked = [name for name in self.rows.marked if name in circuits]
        self.rows.chosen = min(self.rows.chosen, max(0, len(circuits) - 1))
        self._title()
        self.rows.paint()
        self._preview()

    def _preview(self) -> None:
        """Show the circuit at the cursor."""
        circuit = self._chosen()
        self.preview.border_title = Content(fit(clean(circuit.name), 70)) if circuit is not None else ""
        others = [each for each in self.rows.circuits if each is not circuit]
        shown = (self.state.shown, self.state.view())
        self.preview.show(preview_circuit(circuit, others, *shown) if circuit is not None else ())

    def action_walk(self, by: int) -> None:
        goal = self.rows.chosen + by
        if 0 <= goal < len(self.rows.circuits):
            self.rows.chosen = goal
            self.rows.show_lines(2 * goal, 2 * goal + 1)
            self.rows.paint()
            self._preview()

    def action_mark(self) -> None:
        circuit = self._chosen()
        if circuit is not None:
            marked = self.rows.marked
            (marked.remove if circuit.name in marked else marked.append)(circuit.name)
            self.rows.paint()

    def action_lay(self) -> None:
        circuit = self._chosen()
        if circuit is not None:
            self.state.overlay.choose(circuit.name)
            self.dismiss()

    def action_less(self) -> None:
        circuit = self._chosen()
        if circuit is not None and self.state.session_id is not None:
            self.owner.subtract(f"circuit:{self.state.session_id}/{circuit.name}")
            self.dismiss()

    def action_combine(self, operation: SetOperation) -> None:
        names = tuple(self.rows.marked)
        if len(names) < 2:
            mark = self.state.key("circuits:mark")
            words = f"{_word(operation).capitalize()} needs two or more circuits: {mark} marks the selected one."
            self.notify(words, markup=False, timeout=4)
            return
        ask = TextPromptSheet(
            f"Keep the {_word(operation)}", "A name; an existing one is replaced", text=_SIGNS[operation].join(names)
        )
        self.app.push_screen(ask, lambda name: self.owner.combine(operation, names, name) if name else None)

    def action_drop(self) -> None:
        circuit = self._chosen()
        if circuit is not None:
            self.owner.drop(circuit.name)

    def on_line_picked(self, message: LinePicked) -> None:
        self.rows.chosen = message.place
        self.rows.paint()
        self._preview()

    def _chosen(self) -> SavedCircuit | None:
        circuits = self.rows.circuits
        return circuits[self.rows.chosen] if self.rows.chosen < len(circuits) else None

    def _title(self) -> None:
        count = len(self.state.session.circuits)
        words = f"{count} saved {'circuit' if count == 1 else 'circuits'}" if count else "Saved circuits"
        self.rows.border_title = Content(words)


def _word(operation: SetOperation) -> str:
    return "difference" if operation == "subtract" else operation
