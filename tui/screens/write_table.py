"""What can be done on the write screen, and the keys of a line that is being edited."""

from tui.actions import sheet_actions

_PAGE = 10
ACTIONS = sheet_actions(
    "Write",
    ("edit", "", "enter,e", "Edit the line", "Change the line at hand; all is kept as it is typed", "edit"),
    ("add", "", "a", "Add a line", "Write a new line below the one at hand", "add"),
    ("negatives", "", "n", "Propose negatives", "Minimal edits of a positive, each graded by the model", "negatives"),
    ("step.undo", "-1", "u", "Undo", "Take the last change back, also after a restart", "undo"),
    ("mend", "", "m", "Go to what to mend", "Choose the line that should be looked at first", "mend"),
    ("run", "", "r", "Run the probe", "Run the set as it stands, back on the workbench", "run"),
    ("close", "", "escape,w,q", "Back", "Back to the workbench; everything is recorded", "back"),
    ("help", "", "question_mark", "Keys", "All keys of this screen", "keys"),
    ("palette", "", "ctrl+p,colon", "Command palette", "Find any of these by name", ""),
    ("remove", "", "d,delete", "Delete the line", "Take the line away; undo brings it back", "delete"),
    ("include", "", "space", "Leave out or take in", "A line that is left out takes no part in runs", "leave out"),
    ("pair", "", "p", "Pair or part", "Make a pair with the neighbour on the other side, or take a pair apart", "pair"),
    ("copy", "", "c", "Duplicate the line", "The same line once more, below", "copy"),
    ("flip", "", "s", "Other side", "Make a negative of a positive, or the other way round", "side"),
    ("unfold", "", "x", "Expand slots", "Fill {name=Mary,John} in every way", "slots"),
    ("take", "", "t", "Take a task", "Add the examples of a ready-made task", "task"),
    ("read", "", "i", "Import a file", "Add the examples of a file: lines, JSONL or CSV", "import"),
    ("store", "", "o", "Export to a file", "Write the examples as .jsonl, .csv or lines", "export"),
    (
        "position",
        "",
        "P,shift+p",
        "What is read",
        "Which tokens of a prompt the next run reads: mean, last, at:N, token:TEXT",
        "what is read",
    ),
    ("options", "", "O,shift+o", "Options of the next run", "Every option with its meaning; presets", ""),
    ("step.redo", "1", "ctrl+r,U,shift+u", "Redo", "Make the change again that was taken back", "redo"),
    ("choose.down", "1", "down,j", "Line below", "Choose the next line", ""),
    ("choose.up", "-1", "up,k", "Line above", "Choose the line before", ""),
    ("choose.page_down", str(_PAGE), "pagedown", "Ten lines down", "Choose a line further down", ""),
    ("choose.page_up", str(-_PAGE), "pageup", "Ten lines up", "Choose a line further up", ""),
    ("choose.first", "-1000000", "home,g", "First line", "Choose the first line", ""),
    ("choose.last", "1000000", "end,G,shift+g", "Last line", "Choose the last line", ""),
    ("move.down", "1", "J,shift+j,shift+down", "Move the line down", "Change places with the line below", ""),
    ("move.up", "-1", "K,shift+k,shift+up", "Move the line up", "Change places with the line above", ""),
)
EDITING = sheet_actions(
    "Write: in a line",
    ("done", "", "enter", "Done", "The line is kept; after a new one comes the next, until one is left empty", "done"),
    ("leave", "", "escape", "Back to the list", "The line is kept as it is typed", "back to the list"),
    ("above", "", "up", "Line above", "From the first row of a line, edit the one before", "neighbours"),
    ("below", "", "down", "Line below", "From the last row of a line, edit the next one", ""),
    ("break", "", "ctrl+j", "Line break", "A line break inside the prompt, written ⏎", "line break in it"),
    ("word", "", "ctrl+left", "Word by word", "Go by words, to the left and to the right", "by words"),
    (
        "cut",
        "",
        "ctrl+w",
        "Delete a word",
        "The word before the cursor; ctrl+k: the rest of the line",
        "delete a word",
    ),
    ("rest", "", "ctrl+u", "Delete to the start", "Everything left of the cursor", "to the start"),
)
"""Keys the line editor takes itself: listed here for the line at the bottom and for the help."""
