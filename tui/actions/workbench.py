"""What can be done on the workbench: its keys, the line at the bottom, the help and the palette, in this order."""

from tui.actions.action import Action
from tui.actions.comparing import COMPARING
from tui.actions.keeping import KEEPING
from tui.actions.looking import LOOKING
from tui.actions.marking import MARKING
from tui.actions.moving import MOVING
from tui.actions.program import PROGRAM
from tui.actions.running import RUNNING

ACTIONS: tuple[Action, ...] = (*RUNNING, *LOOKING, *COMPARING, *MARKING, *MOVING, *KEEPING, *PROGRAM)
