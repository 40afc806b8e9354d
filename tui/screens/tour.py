"""The tour: a small sheet over the real screen that explains panes and keys."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import screen_actions
from tui.actions.key_labels import fill_keys, key_label_in
from tui.widgets.action_keys import ActionKeys

ACTIONS = screen_actions(
    "Tour",
    ("forward", "", "enter,space", "Next", "The next step of the tour", "next"),
    ("back", "", "backspace", "Back", "The previous step", "back"),
    ("close", "", "escape", "Leave the tour", "Back to the workbench, unchanged", "leave"),
)
Pane = Literal["examples", "grid", "head"]


class TourStep(msgspec.Struct, frozen=True):
    """One step. Action ids in braces in title and words are replaced by their keys."""

    title: str
    words: str
    pane: Pane
    keys: str = ""
    """Id of the action that is run on the real screen."""


STEPS: tuple[TourStep, ...] = (
    TourStep(
        "Which heads have codes of their own?",
        "A one-minute tour of the screen, on the model bundled with Headcode. Everything behind this sheet is real: ",
        "grid",
    ),
    TourStep(
        "{show_pane.examples} Examples",
        "+ are prompts on which the model does the task, - are minimal edits on which it cannot. Below each:"
        " probability of the expected token, and a grade. Weak negatives give weak results. {write} writes your own.",
        "examples",
    ),
    TourStep(
        "{show_pane.grid} The grid: layers down, heads across",
        "A sparse autoencoder turns each head's output into one code per prompt. A bright head has other codes on "
        "positives than on negatives. The frame is the cursor: move it with "
        "{move.left} {move.down} {move.up} {move.right} or the mouse.",
        "grid",
    ),
    TourStep(
        "[ ] the circuit, ◆ the known circuit",
        "[ ] marks the best heads, up to the cut: {cut.fewer} and {cut.more} move it. ◆ marks heads that change the "
        "answer when patched, if that was measured. AUC says how well the ranking finds them.",
        "grid",
        "cut.more",
    ),
    TourStep(
        "{measure.next}: other measures",
        "Overlap, mutual information, paired flips, p- and q-values from label permutation, and baselines without an "
        "autoencoder. If a baseline does as well as the codes, prefer the baseline.",
        "grid",
        "measure.next",
    ),
    TourStep(
        "{show_pane.head} A head's page",
        "Its measures, its codes with their prompts, and single prompts the score depends on. {close_up} inspects "
        "the head: output and attention per token, and which tokens its codes write. {close-look:close} goes back.",
        "head",
    ),
    TourStep(
        "Now find the name-mover heads",
        "Press {tour:forward}, then {close_up} to inspect the best head. If the last token attends to the name that "
        "comes next, the head moves names; {ranking.next} goes to the next best. {cause} measures the effect of every "
        "head, {card} shows the evidence. {keys} lists every key, {palette} finds actions by name. "
        "Everything is saved automatically.",
        "grid",
    ),
)


class TourTarget(msgspec.Struct, frozen=True):
    """Functions by which the tour drives the screen behind it."""

    show_pane: Callable[[Pane], object]
    press: Callable[[str], object]
    """Runs the action with that id."""
    origin: str = ""
    """Where the run behind the sheet comes from; ends the words of the first step."""


class TourSheet(ModalScreen[None], ActionKeys):
    """The sheet; restores measure and cut when it closes."""

    CSS_PATH = "tour.tcss"
    actions = ACTIONS

    def __init__(self, stage: TourTarget) -> None:
        super().__init__()
        self._stage = stage
        self.place = 0
        self._done: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="tour") as box:
            goes, back, leaves = (key_label_in(self.app, f"tour:{name}") for name in ("forward", "back", "close"))
            box.border_subtitle = Content(f"{goes} next · {back} back · {leaves} leaves")
            yield Static(id="words")

    def on_mount(self) -> None:
        self._show()

    def on_key(self, event: events.Key) -> None:
        """Close the tour and pass the key on if it is not one of the tour's."""
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
        title, text = fill_keys(step.title, key), fill_keys(step.words, key)
        if self.place == 0:
            text += self._stage.origin
        words = Content.assemble((title, "bold $ink-strong"), "\n", (text, "$ink"))
        self.query_one("#words", Static).update(words)


_BACK = {"cut.more": "cut.fewer", "measure.next": "measure.previous"}
"""Actions that undo those of the tour."""
