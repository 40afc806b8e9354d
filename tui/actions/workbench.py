"""All actions of the workbench, in the order of the key line, the help and the palette."""

from tui.actions.action import Action
from tui.actions.comparing import COMPARING
from tui.actions.marking import MARKING
from tui.actions.moving import MOVING
from tui.actions.program import PROGRAM
from tui.actions.running import RUNNING
from tui.actions.saving import SAVING
from tui.actions.viewing import VIEWING

ACTIONS: tuple[Action, ...] = (*RUNNING, *VIEWING, *COMPARING, *MARKING, *MOVING, *SAVING, *PROGRAM)
