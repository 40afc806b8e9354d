"""Edges: what nodes do through one another, as a list and as a drawing by layers that the user prunes and groups."""

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from textual.app import ComposeResult
from textual.containers import Horizontal

from engine.events import EdgesPatched
from engine.nodes import names
from sessions.errors import CannotWrite
from sessions.protocol import AlikeGroup
from tui.actions import screen_actions
from tui.headless.edge_picture import edge_files
from tui.screens.new_file import file_stem, write_new
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.screens.text_prompt import TextPromptSheet
from tui.state.disabled_reasons import disabled_reason
from tui.state.edges_state import EdgesState
from tui.state.number_text import format_fixed
from tui.state.weighted_edges import (
    add_groups,
    group_of,
    name_trouble,
    put_in_group,
    rename_group,
    step_least,
)
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.circuit_drawing import CircuitDrawing
from tui.widgets.edge_list import EdgeList
from tui.widgets.line_widget import LinePicked

_PAN = 8
_MOST_PATCHED = 200
"""Edges measured exactly by one key; each is a forward pass of its own."""
ACTIONS = screen_actions(
    "Edges",
    ("close", "", "escape,e,q", "Back", "Back to the workbench", "back"),
    ("step.down", "1", "down,j", "Next edge", "The next weaker edge", "edge"),
    ("step.up", "-1", "up,k", "Previous edge", "The next stronger edge", ""),
    ("step.page_down", "10", "pagedown", "Ten edges down", "Ten edges weaker", ""),
    ("step.page_up", "-10", "pageup", "Ten edges up", "Ten edges stronger", ""),
    ("cut.fewer", "-1", "t", "Edge cut: fewer", "Remove the weakest edge from the drawing", "cut"),
    ("cut.more", "1", "T,shift+t", "Edge cut: more", "Draw the next weaker edge too", ""),
    ("prune.on", "1", "minus", "Prune more", "Draw only edges above a higher share of the strongest", "prune"),
    ("prune.back", "-1", "plus,equals_sign", "Prune less", "Lower that share; at 0 nothing is pruned by weight", ""),
    ("weigh", "", "w", "Edge weight", "Weigh edges by codes, by attribution or by exact effects", "weight"),
    ("patch", "", "v", "Exact effects", "Measure the drawn edges by exact patching", "exact"),
    (
        "inside",
        "",
        "c",
        "Circuit only",
        "Only edges between heads of the circuit; again: all",
        "circuit only",
    ),
    ("other", "", "o", "Other end", "Select the node at the other end of the edge", "other end"),
    ("pin", "", "p", "Pin", "Keep the selected node in the drawing, with its strongest edge; again: release", "pin"),
    ("group", "", "g", "Group", "Put the selected node into a group, by its name", "group"),
    ("name", "", "n", "Name the group", "Rename the group of the selected node; without a name: dissolve it", "name"),
    (
        "fold",
        "",
        "f",
        "Fold the group",
        "Draw the selected node's group as one box, edges summed; again: unfold",
        "fold",
    ),
    (
        "alike",
        "",
        "G,shift+g",
        "Group alike",
        "Group drawn nodes with the same codes on the same prompts",
        "alike",
    ),
    ("save", "", "y", "Write the drawing", "Write the drawing as SVG and the graph as GraphML", "write"),
    ("end.source", "0", "left,h", "Go to its source", "The head that the edge comes from", "to its head"),
    ("end.target", "1", "right,l,enter", "Go to its target", "The head that the edge goes to", ""),
    ("pan.left", "-1, 0", "H,shift+h,shift+left", "Pan left", "Move a drawing wider than its pane", "pan"),
    ("pan.down", "0, 1", "J,shift+j,shift+down", "Pan down", "Move a drawing higher than its pane", ""),
    ("pan.up", "0, -1", "K,shift+k,shift+up", "Pan up", "Move a drawing higher than its pane", ""),
    ("pan.right", "1, 0", "L,shift+l,shift+right", "Pan right", "Move a drawing wider than its pane", ""),
)


class EdgeRequests(Protocol):
    """What the screen asks of the host."""

    def record_drawing(self) -> None: ...
    async def patch_edges(self, edges: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> bool: ...
    async def find_alike(self, nodes: Collection[tuple[int, int]]) -> tuple[AlikeGroup, ...] | None: ...


class EdgesScreen(SubScreen):
    """The screen: list and drawing side by side, or one below the other on small terminals."""

    CSS_PATH = "edges.tcss"
    actions = ACTIONS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, state: WorkbenchState, link: EdgeRequests) -> None:
        super().__init__(state)
        self.link = link
        self.board = EdgesState(state, link.record_drawing)
        self.list = EdgeList(self.board, id="edges")
        self.drawing = CircuitDrawing(self.board, id="drawing")
        self._folder = Path.cwd()
        self._patching = False
        """A measurement was requested here, and its result will be shown."""
        self._patched: EdgesPatched | None = None
        """What was measured before."""
        self._asked: set[asyncio.Task[None]] = set()

    def compose(self) -> ComposeResult:
        with Horizontal(id="halves"):
            yield self.list
            yield self.drawing
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self.list.border_title = "Edges"
        self.drawing.border_title = "Circuit by layers"

    def paint(self) -> None:
        """Redraw after the workbench state changed."""
        run = self.state.shown
        if self._patching and run is not None and run.cause is None and run.picture.exact_edges is not self._patched:
            # What was asked for here is shown as soon as it is measured.
            self._patching = False
            self.board.change(msgspec.structs.replace(self.board.drawing, weight="exact"))
        self.board.settle()
        self.list.paint()
        self.drawing.paint()

    # ---- what is drawn

    def action_step(self, by: int) -> None:
        self.board.step(by)
        self.paint()

    def action_cut(self, by: int) -> None:
        self.board.cut(by)
        self.paint()

    def action_prune(self, by: int) -> None:
        before = self.board.drawing
        self.board.change(step_least(before, by))
        if self.board.drawing == before:
            self._say("Nothing is pruned by weight." if by < 0 else f"{format_fixed(before.least)} is the highest.")
        self.paint()

    def action_weigh(self) -> None:
        if not self.board.weigh():
            exact, cause = self.state.key("edges:patch"), self.state.key("options")
            self._say(
                f"Nothing else was measured: {exact} measures the drawn edges exactly; Edges in {cause} has them "
                "estimated together with effects."
            )
        self.paint()

    def action_inside(self) -> None:
        if self.board.of_marked:
            self.board.of_marked = False
        else:
            self.board.inside = not self.board.inside
        self.board.chosen = 0
        self.paint()

    def action_pan(self, x: int, y: int) -> None:
        was, corner = self.board.pan, self.drawing.corner
        self.board.pan = (was[0] + x * _PAN, was[1] + y * _PAN // 2)
        self.drawing.paint()
        if self.drawing.corner == corner:
            # Undo it, or as many presses the other way would have no effect.
            self.board.pan = was
            self._say("The drawing ends here.")

    def action_end(self, which: int) -> None:
        edge = self.board.chosen_edge
        if edge is not None:
            self.state.put_cursor(*edge.nodes[which])
            self.dismiss()

    def on_line_picked(self, message: LinePicked) -> None:
        self.board.step(message.place - self.board.chosen)
        self.paint()

    # ---- the selected node

    def action_other(self) -> None:
        self.board.end = 1 - self.board.end
        self.paint()

    def action_pin(self) -> None:
        node = self.board.chosen_node
        if node is not None and self._allowed("pin"):
            self.board.toggle_pin(node)
            self.paint()

    def action_fold(self) -> None:
        """Fold the group of the selected node, or unfold it."""
        node = self.board.chosen_node
        if node is not None and self._allowed("fold"):
            if not self.board.fold():
                self._say(f"{node} is in no group: {self.state.key('edges:group')} puts it into one.")
            self.paint()

    def action_group(self) -> None:
        """Ask for the group of the selected node."""
        node = self.board.chosen_node
        if node is None or not self._allowed("group"):
            return
        drawing = self.board.drawing
        if node in self.board.graph.groups:
            self._say(f"This box is a folded group: {self.state.key('edges:fold')} unfolds it.")
            return
        group = group_of(drawing, node)
        there = ", ".join(each.name for each in drawing.groups) or "none yet"

        def put(name: str | None) -> None:
            if name is not None:
                self.board.change(put_in_group(self.board.drawing, [node], clean(name).strip()))
                self.paint()

        hint = f"A name, or nothing to take it out. Groups: {there}"
        text = group.name if group is not None else ""
        self.app.push_screen(TextPromptSheet(f"Group of {node}", hint, text=text, judge=name_trouble), put)

    def action_name(self) -> None:
        """Ask for another name of the selected node's group."""
        node = self.board.chosen_node
        group = None if node is None else group_of(self.board.drawing, node)
        if not self._allowed("name"):
            return
        if group is None:
            self._say(f"{node} is in no group: {self.state.key('edges:group')} puts it into one.")
            return

        def rename(name: str | None) -> None:
            if name is not None:
                self.board.change(rename_group(self.board.drawing, group.name, clean(name).strip()))
                self.paint()

        hint = f"{' '.join(names(group.nodes))}. Without a name, the group is dissolved."
        sheet = TextPromptSheet(f"Name of the group {group.name}", hint, text=group.name, judge=name_trouble)
        self.app.push_screen(sheet, rename)

    # ---- requests

    def action_alike(self) -> None:
        if self._allowed("alike"):
            self._ask(self._group_alike())

    async def _group_alike(self) -> None:
        nodes = {node for edge in self.board.drawn for node in edge.nodes}
        found = await self.link.find_alike(nodes)
        if found is None:
            self._refused()
            return
        before = self.board.drawing
        self.board.change(add_groups(before, [group.nodes for group in found]))
        new = len(self.board.drawing.groups) - len(before.groups)
        if new:
            name = self.state.key("edges:name")
            self._say(f"{new} {'group' if new == 1 else 'groups'} of nodes with the same codes; {name} names one.")
        else:
            self._say("No other drawn nodes have the same codes on the same prompts.")
        self.paint()

    def action_patch(self) -> None:
        if self._allowed("patch"):
            self._ask(self._patch())

    async def _patch(self) -> None:
        edges = [edge.nodes for edge in self.board.graph.parts(self.board.drawn)][:_MOST_PATCHED]
        run = self.state.shown
        self._patched = None if run is None else run.picture.exact_edges
        if await self.link.patch_edges(edges):
            self._patching = True
            self._say(f"Measuring {len(edges)} edges exactly.")
            self.paint()
        else:
            self._refused()

    def action_save(self) -> None:
        """Write the drawing and the graph as new files into the folder where Headcode was started."""
        run, view = self.state.shown, self.state.view()
        if run is None:
            return
        circuit = frozenset() if view is None else view.circuit
        title = f"{self.state.session_name}, run {run.number}, {run.model}"
        files = edge_files(run.picture, self.board.drawing, circuit, title, edges=self.board.drawn)
        try:
            paths = [write_new(self._folder, f"{file_stem(self.state)}-edges", *file) for file in files]
        except CannotWrite as error:
            self._say(f"{error.message} Start headcode in another folder.")
        else:
            self._say(f"Written: {', '.join(str(path) for path in paths)}")

    # ---- inside

    def _allowed(self, action: str) -> bool:
        reason = disabled_reason(self.state, f"edges:{action}", key=self.state.key)
        if reason:
            self._say(f"{reason[0].upper()}{reason[1:]}.")
        return not reason

    def _ask(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    def _refused(self) -> None:
        failure = self.state.failure
        if failure is not None:
            self._say(f"{failure.message} {failure.hint}")

    def _say(self, words: str) -> None:
        self.notify(clean(words), markup=False, timeout=6)
