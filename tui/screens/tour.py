"""The first minute: a small sheet over the real screen that shows what is where and what the keys do."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import screen_actions
from tui.actions.key_labels import fill_keys, key_label_in
from tui.widgets.action_keys import ActionKeys, make_bindings

ACTIONS = screen_actions(
    "Tour",
    ("forward", "", "enter,space", "Go on", "The next step of the tour", "go on"),
    ("back", "", "backspace", "Back", "The step before", "back"),
    ("close", "", "escape", "Leave the tour", "To the workbench as it was", "leave"),
)
Pane = Literal["examples", "grid", "head"]


class TourStep(msgspec.Struct, frozen=True):
    """One thing to see. In title and words, the id of an action in braces stands for its key."""

    title: str
    words: str
    pane: Pane
    keys: str = ""
    """What is done on the real screen, as if the person had pressed it: ids of actions."""


STEPS: tuple[TourStep, ...] = (
    TourStep(
        "Which heads speak a code of their own?",
        "A minute around the screen, on a model that comes with Headcode. Everything behind this sheet is real: the "
        "prompts were run, the grid was computed just now.",
        "grid",
    ),
    TourStep(
        "{show_pane.examples} Examples",
        "+ are prompts on which the model does the thing, - are the same prompts changed so that it cannot. Below each:"
        " how probable the expected word is, and a verdict. Weak negatives make weak results. {write} writes your own.",
        "examples",
    ),
    TourStep(
        "{show_pane.grid} The grid: layers down, heads across",
        "A small autoencoder turns each head's output into one code per prompt. A bright head says other codes on "
        "the positives than on the negatives. The frame is the cursor: move it with "
        "{move.left} {move.down} {move.up} {move.right} or the mouse.",
        "grid",
    ),
    TourStep(
        "[ ] the circuit, ◆ what is known",
        "[ ] marks the best heads, as many as the cut takes in: {cut.fewer} and {cut.more} move it. ◆ marks heads that "
        "move the answer when patched, where that was measured. AUC says how well the ranking finds them.",
        "grid",
        "cut.more",
    ),
    TourStep(
        "{measure.next}: other measures",
        "Overlap, mutual information, paired flips, p- and q-values against shuffled labels, and baselines that need "
        "no autoencoder. If a baseline does as well as the codes, believe the baseline.",
        "grid",
        "measure.next",
    ),
    TourStep(
        "{show_pane.head} A head's page",
        "Its measures, its codes with the prompts that carry each, which single prompt the score rests on. {close_up} "
        "looks closer: where it fires and attends, and which words its codes write. {close-look:close} comes back.",
        "head",
    ),
    TourStep(
        "Now find the heads that move the name",
        "Press {tour:forward}, then {close_up}: the best head, closely. Where the last token looks at the name that "
        "comes next, the head moves names; {ranking.next} goes to the next best. {cause} measures what every head does "
        "to the answer, {card} says what to believe. {keys} lists every key, {palette} finds anything by name. "
        "Nothing needs saving.",
        "grid",
    ),
)


class TourTarget(msgspec.Struct, frozen=True):
    """What the tour does to the screen behind it."""

    show_pane: Callable[[Pane], object]
    press: Callable[[str], object]
    """Does the action of that id."""


class TourSheet(ActionKeys, ModalScreen[None]):
    """Leaves the measure and the cut as they were."""

    CSS_PATH = "tour.tcss"
    actions = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = make_bindings(ACTIONS)

    def __init__(self, stage: TourTarget) -> None:
        super().__init__()
        self._stage = stage
        self.place = 0
        self._done: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="tour") as box:
            goes, back, leaves = (key_label_in(self.app, f"tour:{name}") for name in ("forward", "back", "close"))
            box.border_subtitle = Content(f"{goes} goes on · {back} back · {leaves} leaves")
            yield Static(id="words")

    def on_mount(self) -> None:
        self._show()

    def on_key(self, event: events.Key) -> None:
        """Whoever presses a key of the workbench knows what they want."""
        if event.key not in {key for action in self.bound_actions for key in action.keys}:
            event.stop()
            self.action_close()
            self.app.call_after_refresh(self.app.simulate_key, event.key)

    def action_forward(self) -> None:
        if self.place + 1 == len(STEPS):
            self.action_close()
            return
        self.place += 1
        step = STEPS[self.place]
        if step.keys and step.keys not in self._done:
            self._done.append(step.keys)
            self._stage.press(step.keys)
        self._show()

    def action_back(self) -> None:
        if self.place:
            self.place -= 1
            self._show()

    def action_close(self) -> None:
        for done in self._done:
            self._stage.press(_BACK[done])
        self._stage.show_pane("grid")
        self.dismiss()

    def _show(self) -> None:
        step = STEPS[self.place]
        self._stage.show_pane(step.pane)
        box = self.query_one("#tour", Vertical)
        box.border_title = Content(f"{self.place + 1} of {len(STEPS)}")
        key = partial(key_label_in, self.app)
        title, told = fill_keys(step.title, key), fill_keys(step.words, key)
        words = Content.assemble((title, "bold $ink-strong"), "\n", (told, "$ink"))
        self.query_one("#words", Static).update(words)


_BACK = {"cut.more": "cut.fewer", "measure.next": "measure.previous"}
"""How what the tour did is undone."""
