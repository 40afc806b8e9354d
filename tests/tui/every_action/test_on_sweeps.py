"""Every key of the list of sweeps and of a sweep's table, on sweeps that were run."""

from typing import Any

SWEEPS = True
"""Asks for them (conftest)."""
SWEEP_LIST = (
    ("step.down", "▸ small"),
    ("step.up", "▸ other"),
    ("step.last", "▸ small"),
    ("step.first", "▸ other"),
    ("open", "checkpoint →", (), "escape"),
    ("close", "- ▸ other"),
)
SWEEP = (
    ("measure.next", "total variation of"),
    ("node.next", r"~ total variation of (\S+)"),
    ("node.previous", r"~ total variation of (\S+)"),
    ("measure.previous", "AUC  of the codes"),
    ("page.curves", "mean over draws", (), "c"),
    ("page.births", "too few checkpoints", (), "b"),
    ("page.film", "2 of 2", (), "f"),
    ("play", lambda walk: walk.app.screen.sweep.playing, "f", "f"),
    ("page.workers", "- checkpoint →", (), "i"),
    ("log", "units \\d", (), "escape"),
    ("axis.across", r"~ (\w+) →"),
    ("axis.down", r"~ (\w+) ↓"),
    ("other.next", r"~ \((\d) of 2\)"),
    ("other.previous", r"~ \((\d) of 2\)"),
    *((f"move.{way}", lambda walk: walk.app.screen.sweep.table.column) for way in ("right", "left", "end", "home")),
    *((f"move.{way}", lambda walk: walk.app.screen.sweep.table.row) for way in ("down", "up", "page_down", "page_up")),
    ("retry.failed", "Nothing to run"),
    ("stop", "Stopped; finished units stay"),
    ("retry.all", "Nothing to run"),
    ("picture", "Written: "),
    ("report", "Report written: "),
    ("close", "▸ other"),
    ("open", "Heads: total variation|Nodes: total variation", ("enter", "/checkpoint|draw/")),
)
WALKS: dict[str, Any] = {
    "sweeps": (("W", "/▸ other/"), SWEEP_LIST),
    "sweep": (("W", "/▸ other/", "enter", "/AUC/"), SWEEP),
}


async def test_every_key(size: tuple[int, int], opened: Any) -> None:
    async with opened(size) as (_app, walk):
        for scope, (way, steps) in WALKS.items():
            await walk.on(scope, way, steps)
