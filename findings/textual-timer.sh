#!/bin/sh
# Textual 8.2.8: a timer of set_timer that starts late by its own delay never calls (seen on 2026-12-01, Linux).
#
# Such a timer has one call to make, and a timer skips calls that are already late, so that one call is counted as made and
# the timer ends without it. Late is judged just after the timer starts: with a delay of a nanosecond always, with a tenth of a
# microsecond for some of them, and with a millisecond where the process is held up that long between two lines (a busy
# machine, the garbage collector). asyncio's call_later calls with every delay, and so does Textual's set_interval, which has
# a next call. Whoever notes "a redraw is coming" until the timer calls never redraws again.
#
# Exit code 0: it is still so. 1: it has changed (good news; HookedPump.set_timer in tui/terminal/textual_private.py may go).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check textual==8.2.8
cat > "$folder/timers.py" <<'PYTHON'
import asyncio
import sys
from collections import Counter

from textual import _time
from textual.app import App

DELAYS = (1e-9, 1e-7, 1e-3)
ASKED = 200
made: Counter[str] = Counter()


def note(kind: str, delay: float):
    return lambda: made.update([f"{kind} {delay:g}"])


async def main() -> None:
    app = App()
    loop = asyncio.get_running_loop()
    async with app.run_test() as pilot:
        for delay in DELAYS:
            for _ in range(ASKED):
                app.set_timer(delay, note("set_timer", delay))
                loop.call_later(delay, note("call_later", delay))
        await pilot.pause(1)
        # A process that is held up for 2 ms whenever the timer looks at the clock.
        clock, now = _time.get_time, [0.0]
        _time.get_time = lambda: now.__setitem__(0, now[0] + 0.002) or now[0]
        for _ in range(ASKED):
            app.set_timer(1e-3, note("set_timer, held up,", 1e-3))
        await pilot.pause(1)
        _time.get_time = clock


asyncio.run(main())
for kind, delay in [(kind, delay) for kind in ("set_timer", "call_later") for delay in DELAYS] + [("set_timer, held up,", 1e-3)]:
    print(f"{kind} {delay:g}: {made[f'{kind} {delay:g}']} of {ASKED} called")
lost = made["set_timer 1e-09"] == 0 and made["set_timer, held up, 0.001"] == 0
sys.exit(0 if lost and made["call_later 1e-09"] == ASKED else 1)
PYTHON
"$folder/venv/bin/python" "$folder/timers.py"
