"""Every action of the sheets over the workbench, by its key on a real session, at both sizes."""

from typing import Any

from engine.machine.folders import AppFolders
from sessions.client.connection import HostClient
from sessions.protocol import CreateSession, SessionAnswer
from tui.actions.registry import all_tables

from .test_at_the_workbench import WALKS as AT_THE_WORKBENCH
from .test_inside_nodes import INSIDE
from .test_on_sweeps import WALKS as ON_SWEEPS

SCREEN = "~ (?s)(.*)"
"""Where a whole page or drawing moves."""
LONG = (*("O", "/▸ +Recipe/"), *("down",) * 5, "enter", "ctrl+u", "'100000'", "enter", "/Steps +100,?000/", "escape")
"""Options of a run that takes ten minutes unless it is stopped."""

CARD = (
    ("specificity", r"(?s)loses as much|circuit is not|no other"),
    ("dismiss_sheet", "- Evidence"),
)
HELP = (("dismiss_sheet", "- Run the probe"),)
DOCUMENT = (
    ("scroll.down", r"< (\d+) more lines"),
    ("scroll.up", r"+ (\d+) more lines"),
    ("close", "- One name for each"),
)
QUESTION = (("back", "- Jump to head"),)
CHOICE = (("back", "- Subtract from run"),)
CLOSE_LOOK = (
    ("step.down", r"~ on prompt (\d+) "),
    ("step.up", r"~ on prompt (\d+) "),
    ("walk.left", r"~ (?:: |(?<= ))(\S+) attends to(?! columns)"),
    ("walk.right", r"~ (?:: |(?<= ))(\S+) attends to(?! columns)"),
    ("colour", "~ coloured by (.*)"),
    ("order", r"- only \+"),
    ("seed", r"~ seed (\d)"),
    ("through", "Through whom", (), ("/each alone|No node is later/", "t"), "- Through whom"),
    ("steer", "Dose and response", (), ("/KL divergence/", "escape"), "attends to"),
    ("explain", "read from their end", (), "escape", "- read from their end"),
    ("atlas", "Atlas · ", (), "escape", "attends to"),
    ("rank.next", r"+ rank (\d+) by"),
    ("rank.previous", r"< rank (\d+) by"),
    ("close", "2 Heads: "),
)
EDGES = (
    ("step.down", "~ ▸ (.*)"),
    ("step.up", "~ ▸ (.*)"),
    ("step.page_down", "~ ▸ (.*)"),
    ("step.page_up", "~ ▸ (.*)"),
    ("cut.fewer", r"< (\d+) of \d+ edges"),
    ("cut.more", r"+ (\d+) of \d+ edges"),
    ("prune.on", "from .01 of the strongest"),
    ("prune.back", "- of the strongest"),
    ("patch", "answer's change, exact"),
    ("weigh", "code pairs only"),
    ("other", r"~ ▸ +\d+ (.*)"),
    ("pin", "•", (), "p", "- •"),
    ("group", "Group of", (), ("'movers'", "enter"), "a movers: "),
    ("name", "Name of the group movers", (), ("ctrl+u", "'others'", "enter"), "a others: "),
    ("fold", r"\(a others ×1\)", (), "f", r"- ×1\)"),
    ("alike", "(No other drawn nodes|alike 1: )"),
    ("save", "Written:"),
    ("inside", r"< \d+ of (\d+) edges", (), ("c",), r"of \d{3} edges"),
    ("pan.right", SCREEN),
    ("pan.left", SCREEN),
    ("pan.down", SCREEN),
    ("pan.up", SCREEN),
    ("end.source", "2 Heads: "),
    ("end.target", "2 Heads: ", ("e", r"/of \d+ edges/")),
    ("close", "2 Heads: ", ("e", r"/of \d+ edges/")),
)
COPY = (
    ("step.down", "▸ t "),
    ("step.up", "▸ h "),
    ("copy.txt", "Text, .* sent"),
    ("copy.md", "Markdown, .* sent"),
    ("copy.svg", "SVG picture, .* sent"),
    ("copy.ansi", "terminal colours, .* sent"),
    ("copy.command", "Command of the run, .* sent"),
    ("copy.python", "Python script of the run, .* sent"),
    ("copy.report", r"\.html"),
    ("copy.heads", "The marked heads, .* sent"),
    ("copy.chosen", "Text, .* sent", "down"),
    ("write", r"\.txt"),
    ("close", "- terminal colours"),
)
TABLE = (
    ("step.down", r"~ ▸ (\d\.\d)"),
    ("step.up", r"~ ▸ (\d\.\d)"),
    ("step.page_down", r"~ ▸ (\d\.\d)"),
    ("step.page_up", r"~ ▸ (\d\.\d)"),
    ("step.last", r"~ ▸ (\d\.\d)"),
    ("step.first", r"~ ▸ (\d\.\d)"),
    ("mark", " 1 marked", (), "space", "- 1 marked"),
    ("mark_listed", "32 marked", (), "a", "- 32 marked"),
    ("sort.right", "▾unique"),
    ("sort.left", "- ▾unique"),
    ("turn", "▴", (), "r", "- ▴"),
    ("filter", "For example: ", (), ("'layer > 2'", "enter"), r"8 of 32|layer > 2"),
    ("keep", r"\.csv"),
    ("show", "2 Heads: "),
    ("close", "2 Heads: ", ("L", "/head +.?tot/")),
)
CIRCUITS = (
    ("walk.down", "~ ▌.*(one|two)"),
    ("walk.up", "~ ▌.*(one|two)"),
    ("mark", "▌ 1 "),
    ("combine.union", "Keep the union", ("down", "space"), ("ctrl+u", "'both'", "enter"), "both"),
    ("combine.intersection", "Keep the intersection", (), "escape", "- Keep the"),
    ("combine.subtract", "Keep the difference", (), "escape", "- Keep the"),
    ("lay", "2 Heads: ", (), "C", "overlaid"),
    ("less", "this run minus", (), "escape", "- this run minus"),
    ("drop", r"< (\d) saved circuit", ("C", "/saved circuit/")),
    ("close", "2 Heads: "),
)
LOG = (
    ("source.right", "▸worker"),
    ("source.left", "▸host"),
    ("walk.up", "- following", "/following/"),
    ("follow", "following"),
    ("walk.page_up", "- following", "/following/"),
    ("walk.first", SCREEN),
    ("walk.down", SCREEN),
    ("walk.page_down", SCREEN),
    ("errors", "errors only", (), "e", "- errors only"),
    ("filter", "Words in a line", (), "escape"),
    ("close", "2 Heads: "),
)
OPTIONS = (
    ("step.down", "▸ +Codes"),
    ("step.up", "▸ +Recipe"),
    ("step.page_down", r"~ ▸ +(\S+)"),
    ("step.page_up", "▸ +Recipe"),
    ("step.last", r"~ ▸ +(\S+)"),
    ("step.first", "▸ +Recipe"),
    ("pick.right", "▸ ● Recipe +published"),
    ("pick.left", "- ● Recipe"),
    ("type", r"~ ▸[ ●]+Codes \(K\)(.*)", "down", ("ctrl+u", "'300'", "enter"), r"▸ ● Codes \(K\) +300"),
    ("put_back", r"- ● Codes \(K\)"),
    ("preset", "▸quick"),
    ("put_all_back", "the defaults"),
    ("take_shown", "Steps +30 "),
    ("check", "checking: ", (), "c", "- checking: "),
    ("run", "2 Heads: ", (), (), "run 3 .*✓ done"),
    ("close", "2 Heads: ", ("O", "/▸ +Recipe/")),
)
PROGRESS = (
    ("run", r"~ run (\d)", (), (), "✓ run 4 "),
    ("choose.down", r"~ ▸ . run (\d)"),
    ("show", SCREEN),
    ("choose.up", r"~ ▸ . run (\d)"),
    ("options", "Options of run", (), "escape"),
    ("stop", "(?i)stopping|stopped", (*LONG, "r", "/ left/"), (), "stopped"),
    ("close", "2 Heads: "),
)
REPLAY = (
    ("marker.next", "~ ‖ paused(.*)", ("less_than_sign", "/‖ paused/", "home")),
    ("marker.previous", "~ ‖ paused(.*)"),
    ("step.on", SCREEN),
    ("step.back", SCREEN),
    ("speed.up", " 2x "),
    ("speed.down", " 1x "),
    ("edge.end", "■ end"),
    ("edge.start", "- ■ end"),
    ("play", "▶ playing|■ end"),
    ("close", "w write"),
)
"""It may be at its end already when the first key is pressed: a step back halts it wherever it is."""
RUNS = (
    ("walk.right", r"~ ▌ run (\d)"),
    ("walk.left", r"~ ▌ run (\d)"),
    ("walk.down", r"~ ▌ run (\d)"),
    ("walk.up", r"~ ▌ run (\d)"),
    ("measure.next", "by unique codes"),
    ("measure.previous", "by total variation"),
    ("name", "Name of run", (), ("ctrl+u", "'called so'", "enter"), "called so"),
    ("tags", "Tags of run", (), ("ctrl+u", "'paper'", "enter"), "#paper"),
    ("show", "2 Heads: ", "right"),
    ("newest", "2 Heads: ", ("R", "/runs by/")),
    ("close", "2 Heads: ", ("R", "/runs by/")),
)
SESSIONS = (
    ("step.down", "~ ▸(.*)"),
    ("step.up", "~ ▸(.*)"),
    ("step.last", "~ ▸(.*)"),
    ("step.first", "~ ▸(.*)"),
    ("step.page_down", "~ ▸(.*)"),
    ("step.page_up", "~ ▸(.*)"),
    ("find", "Search", (), ("'at 80'", "enter"), "1 session"),
    ("rename", "The new name", "escape", ("ctrl+u", "'another name'", "enter"), "another name"),
    ("rename", "The new name", (), ("ctrl+u", "'at 80'", "enter"), "- another name"),
    ("tags", "Short words", (), ("'first'", "enter"), "first"),
    ("note", "Note on", (), ("'of mine'", "enter")),
    ("new", "Name of the new session", (), "escape"),
    ("delete", "1 session"),
    ("trash", "Trash: 1 session"),
    ("restore", "Trash: 0 sessions", (), "T", "2 sessions"),
    ("close", "2 Heads: "),
    ("open", "- 2 sessions", ("S", "/2 sessions/")),
)
NEW_SESSION = (
    ("take", "▸ write or paste them"),
    ("choose.down", "▸ from a file"),
    ("choose.up", "▸ write or paste them"),
    ("close", "- ▸ write or paste them", (), ("escape", "escape"), "2 sessions"),
)
SETTINGS = (
    ("step.down", "~ ▸(.*)"),
    ("step.up", "▸ Theme"),
    ("turn.on", "~ ▸ Theme +(.*)"),
    ("turn.back", "~ ▸ Theme +(.*)"),
    ("pick", SCREEN, (), "escape"),
    ("usual", "Default value: ", "right"),
    ("again", "Reloaded"),
    ("close", "2 Heads: "),
)
TOUR = (
    ("forward", "- Which heads have codes"),
    ("back", "Which heads have codes"),
    ("close", "- Which heads have codes"),
)
WALKS: dict[str, Any] = {
    "card": (("b", "/null hypothesis/"), CARD),
    "jump": (("f", "/Two letters go there/"), (("close", "- Two letters"),)),
    "document": (("ctrl+p", "'glossary'", "/Glossary +.docs/", "enter", "/One name for each/"), DOCUMENT),
    "help": (("question_mark", "/Run the probe/"), HELP),
    "question": (("slash", "/Jump to head/"), QUESTION),
    "choice": (("d", "/Subtract from run/"), CHOICE),
    "tour": (("f1", "/Which heads have codes/"), TOUR),
    "settings": (("comma", "/▸ Theme/"), SETTINGS),
    "log": (("G", "/▸host/"), LOG),
    "replay": (("p", "/playing|■ end/"), REPLAY),
    "close-look": (("enter", "/attends to/"), CLOSE_LOOK),
    "table-of-heads": (("L", "/head +.?tot/"), TABLE),
    "edges": (("e", r"/of \d+ edges/"), EDGES),
    "copy-the-grid": (("space", "y", "/Which form/"), COPY),
    "circuits": (("C", "/two/"), CIRCUITS),
    "options": (("O", "/▸ +Recipe/"), OPTIONS),
    "progress": (("i", "/queue empty/"), PROGRESS),
    "runs": (("R", "/runs by/"), RUNS),
    "new-session": (("S", "/2 sessions/", "n", "/Name of the new/", "enter", "/▸.*toy/"), NEW_SESSION),
    "sessions": (("/2 sessions/",), SESSIONS),
}
"""By table of actions: the way there from where the one before ended, and the steps."""
TROUBLE = {"trouble": ((), (("answer.again", "headcode +not there"), ("answer.leave", lambda walk: walk.app._exit)))}
"""Of a screen that opens by itself: one step a program."""


async def test_every_key(size: tuple[int, int], opened: Any) -> None:
    async with opened(size) as (_app, walk):
        for scope, (way, steps) in WALKS.items():
            await walk.on(scope, way, steps)


async def test_a_screen_that_finds_no_session(size: tuple[int, int], home: AppFolders, opened: Any) -> None:
    name = f"not there at {size[0]}"
    async with opened(size, name, ready=False) as (_app, walk):
        await walk.sees("There is no session")
        client = await HostClient.connect(home)
        await client.ask(CreateSession(name=name, model="toy", task="ioi", pairs=10), SessionAnswer)
        await client.close()
        await walk.on("trouble", (), TROUBLE["trouble"][1][:1])
    async with opened(size, "nor this one", ready=False) as (app, walk):
        await walk.on("trouble", ("/There is no session/",), TROUBLE["trouble"][1][1:])
        assert app.return_code == 2


def test_no_action_is_left_out() -> None:
    tried = {
        (scope, step[0])
        for walks in (WALKS, AT_THE_WORKBENCH, INSIDE, ON_SWEEPS, TROUBLE)
        for scope, (_, steps) in walks.items()
        for step in steps
    }
    assert tried == {(scope, action.id) for scope, table in all_tables().items() for action in table}
