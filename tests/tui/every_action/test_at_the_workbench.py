"""Every action of the workbench and of the write screen, by its key on a real session, at both sizes."""

from typing import Any

SCREEN = "~ (?s)(.*)"
"""Where a whole page goes up or down."""


def panes(walk: Any) -> Any:
    """Which panes there are, and how their frames are drawn: the one that has the keys is drawn in another colour."""
    screen = walk.app.screen_stack[0]
    found = []
    for pane in (screen.examples, screen.grid, screen.head):
        if pane.display and pane.region.area:
            found.append((pane.id, str(walk.ink(pane.region.x, pane.region.y))))
    return found


def edited(walk: Any) -> Any:
    """The line that is edited, with its cursor."""
    region = walk.app.screen.query_one("#edit").region
    return [str(walk.ink(x, y)) for y in range(region.y, region.bottom) for x in range(region.x, region.right)]


def top(walk: Any) -> Any:
    """The colours of the line at the top."""
    return str(walk.ink(1, 0))


def break_pane(walk: Any) -> None:
    """As if the head's page had failed."""
    head = walk.app.screen_stack[0].head
    head.failed = "a pane failed"
    head.refresh()


LONG = (*("O", "/▸ +Recipe/"), *("down",) * 5, "enter", "ctrl+u", "'100000'", "enter", "/Steps +100,?000/", "escape")
"""Options of a run that takes ten minutes unless it is stopped."""

WORKBENCH = (
    ("jump_labels", "Two letters go there", (), "escape", "2 Heads: "),
    ("jump", "Jump to head", (), ("'1.3'", "enter"), r"1\.3 total variation"),
    ("move.right", r"1\.4 total variation"),
    ("move.left", r"1\.3 total variation"),
    ("move.down", r"2\.3 total variation"),
    ("move.up", r"1\.3 total variation"),
    # In the grid's own line, which follows the key at once; the head's page follows later.
    ("ranking.next", r"+ total variation +\S+ +rank +(\d+) of 32"),
    ("ranking.previous", r"< total variation +\S+ +rank +(\d+) of 32"),
    ("ranking_first", r"total variation +\S+ +rank +1 of 32"),
    ("measure.next", "Heads: unique codes"),
    ("measure.previous", "Heads: total variation"),
    ("pick_measure", "Measure ", (), ("'overlap'", "enter"), "Heads: overlap"),
    ("cut.fewer", r"< \] (\d+) heads", ("M", "M", "M", "/Heads: total variation/")),
    ("cut.more", r"+ \] (\d+) heads"),
    ("mark", "1 marked", ("slash", "'1.3'", "enter", r"/1\.3 total/")),
    ("unmark", "- marked"),
    ("mark_layer", "8 marked"),
    ("mark_circuit", r"\D[^8] marked", "u"),
    ("mark_box.right", "2 marked", "u"),
    ("mark_box.left", "1 marked"),
    ("mark_box.down", "2 marked"),
    ("mark_box.up", "1 marked"),
    ("signs", "every seed", "u", "g", "- every seed"),
    ("overlay", "◆ one", (), ("o", "/◆ two/", "o", "- ◆ two", "o"), "◆ one"),
    ("difference", "Subtract from run", (), ("enter",), "this run minus"),
    ("end_difference", "- this run minus"),
    ("show_pane.head", panes),
    ("seed", r"~ codes +seed (\d)"),
    ("reopen", "- a pane failed", (break_pane, "/a pane failed/")),
    ("show_pane.grid", panes),
    ("show_pane.examples", panes),
    ("next_pane", panes),
    ("next_pane.back", panes),
    ("write", "edit the line|enter edit", "2", "escape"),
    ("options", r"Options of run", (), "escape"),
    ("progress", "queue empty", (), "escape"),
    ("card", r"significant \(q|expected false", (), "escape"),
    ("close_up", "on prompt 1 ", (), "escape"),
    ("stream_grid", r"layer 0, -1 \S+  stream", (), "escape"),
    ("side_by_side", "attends to", (), "escape"),
    ("switch_off", "KL divergence", (), "escape"),
    ("atlas", "Atlas · ", (), "escape"),
    ("scatter", "total variation by ", (), "escape"),
    ("edges", r"of \d+ edges", (), "escape"),
    ("runs", r"\d runs by ", (), "escape"),
    ("sweeps", "No sweep yet", (), "escape"),
    ("table", "head +.?tot", (), "escape"),
    ("circuits", "two", (), "escape"),
    ("sessions", "2 sessions", (), "escape"),
    ("copy", "Which form", (), "escape"),
    ("replay", "▶ playing|■ end", (), "escape"),
    ("log", r"worker \d", (), "escape"),
    ("tour", "Which heads have codes of their own", (), "escape"),
    ("settings", "Takes effect at once", (), "escape"),
    ("palette", "Search for commands", (), "escape"),
    ("keys", "Run the probe", (), "escape"),
    ("keep", r"Keep these \d+ heads as a circuit", (), ("ctrl+u", "'mine'", "enter", "C"), "mine"),
    ("note.head", "Note on head", "escape", ("'seen here'", "enter", "3"), "seen here"),
    ("note.run", "Note on run", "2", ("'a good one'", "enter", "3"), "a good one"),
    ("theme", top, "2"),
    ("cause", "- Heads: total variation"),
    ("backups", "Heads: backup growth"),
    ("verify", "Verifying run"),
    ("run", "run 4 ", (), (), "run 4 .*✓ done"),
    ("stop", "Stopping|stopped", (*LONG, "r", r"/ left/"), (), "stopped, results kept"),
    ("suspend", lambda walk: len(walk.sent)),
    ("leave", lambda walk: walk.app._exit),
)
EXAMPLES = (
    ("choose.down", "→ .* not  "),
    ("choose.same", "- → .* not  "),
    ("choose.up", SCREEN, ("down", "down")),
    ("choose.page_down", SCREEN),
    ("choose.page_up", SCREEN),
    ("choose.last", SCREEN),
    ("choose.first", SCREEN),
    ("close", "- → .* not  "),
)
"""At the start the first example is at hand, and closed."""
HEAD_PAGE = (
    ("scroll_down", SCREEN),
    ("scroll_up", SCREEN),
    ("page_down", SCREEN),
    ("page_up", SCREEN),
    ("scroll_end", SCREEN),
    ("scroll_home", SCREEN),
)
WRITE = (
    ("choose.down", "▸ +2 "),
    ("choose.up", "▸ +1 "),
    ("choose.page_down", "▸ +11 "),
    ("choose.page_up", "▸ +1 "),
    ("choose.last", "▸ +20 "),
    ("choose.first", "▸ +1 "),
    ("move.down", r"▸ +2 ╰ +\+"),
    ("move.up", r"▸ +1 ╭ +\+"),
    ("include", "left out of runs"),
    ("step.undo", "- left out of runs", (), (), "The change is undone"),
    ("step.redo", "left out of runs", (), ("/The change is redone/", "u", "/The change is undone/")),
    ("remove", r"9 \+ 10", ("home", "/▸ +1 /"), "u", r"10 \+ 10"),
    ("pair", "- ▸ +1 ╭", "home", "u", "▸ +1 ╭"),
    ("copy", r"11 \+ 10", (), "u", r"10 \+ 10"),
    ("flip", r"▸ +1 .* -0? ", "home", "u", r"▸ +1 ╭ +\+"),
    ("mend", r"~ ▸ +(\d+) ", "home"),
    ("add", "A line is:", (), "'{name=Mary,John} ran => home'", "✓|✗|~|·"),
    ("unfold", "2 examples; u removes them", "escape"),
    ("more", r"\d pairs? added, of \d+ tried; u removes", (), ("u", "/The change is undone/"), r"10 \+ 12"),
    ("trim", "No graded prompt ends in a space"),
    ("edit", "enter done", "home", "escape", "enter edit"),
    ("help", "Duplicate the line", (), "escape", "enter edit"),
    ("palette", "Search for commands", (), "escape", "enter edit"),
    ("take", "Greater than", (), "escape", "enter edit"),
    ("read", "Examples from which file", (), "escape", "enter edit"),
    ("outside", "VISUAL|EDITOR|This terminal cannot be handed"),
    ("store", "Write the examples where", (), ("escape", "escape"), "enter edit"),
    ("position", "Which tokens the next run reads", (), ("ctrl+u", "'last'", "enter"), r"read \(last"),
    ("options", "Options of run", (), "escape", "enter edit"),
    ("negatives", "▸ 1 ", (), "escape", "enter edit"),
    ("close", "2 Heads: "),
    ("run", "2 Heads: ", ("w", "/enter edit/"), (), "run 3 .*✓ done"),
)
LINE = (
    ("word", edited),
    ("cut", "- one two"),
    ("rest", "▸two"),
    ("break", "▸⏎two"),
    ("done", "A line is:"),
    ("leave", "enter edit"),
    ("above", r"< ▸ +(\d+) ", ("e", "/enter done/")),
    ("below", r"+ ▸ +(\d+) ", ("escape", "/enter edit/", "end", "up", "e", "/enter done/"), "escape", "enter edit"),
)
NEGATIVES = (
    ("choose.down", "▸ 2 "),
    ("choose.up", "▸ 1 "),
    ("accept", "Negative added"),
    ("accept_and_edit", "enter done", ("home", "n", "/▸ 1 /")),
    ("close", "enter edit", ("escape", "home", "n", "/▸ 1 /")),
)
FILES = (
    ("hidden", r"\.hidden"),
    ("choose.down", r"▸ \.hidden"),
    ("choose.up", "▸ folder"),
    ("choose.page_down", r"▸ a\.txt"),
    ("choose.page_up", "▸ folder"),
    ("open", "Empty folder"),
    ("parent", "- Empty folder"),
    ("type", "▸/", (), "escape"),
    ("close", "enter edit"),
)
TASKS = (
    ("choose.down", "▸ Greater than"),
    ("choose.up", "▸ Indirect"),
    ("pairs.more", r"+ (\d+) pairs"),
    ("pairs.fewer", r"< (\d+) pairs"),
    ("take", "20 examples added"),
    ("close", "enter edit", ("t", "/▸ Indirect/")),
)
WALKS: dict[str, Any] = {
    "write": (("w", "/▸ +1 .*✓/"), WRITE),
    "write-in-a-line": (("w", "end", "a", "/A line is/", "'one two'", "/one two/"), LINE),
    "negatives": (("home", "n", "/▸ 1 /"), NEGATIVES),
    "files": (("i", r"/a\.txt/"), FILES),
    "tasks": (("t", "/▸ Indirect/"), TASKS),
    "examples": (("escape", "/2 Heads: /", "1"), EXAMPLES),
    "head-page": (("3",), HEAD_PAGE),
    "keys": (("2",), WORKBENCH),
}
"""By table of actions: the way there from where the one before ended, and the steps."""


async def test_every_key(size: tuple[int, int], opened: Any, suspended: list[int]) -> None:
    async with opened(size) as (_app, walk):
        walk.sent = suspended
        for scope, (way, steps) in WALKS.items():
            await walk.on(scope, way, steps)
