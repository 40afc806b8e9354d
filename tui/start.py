"""Makes starting quick. Imported before anything large.

Imports make some hundred thousand objects that stay. Looking for unreachable ones among them again and again takes a
tenth of the time to the first frame. The workbench goes back to Python's own intervals (tui.terminal.idle_gc).
"""

import gc

gc.set_threshold(20_000, 10, 10)
