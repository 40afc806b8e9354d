"""Pictures of sweeps, each with a line of what it shows. HEADCODE_UPDATE_SNAPSHOTS=1 draws them again."""

from typing import Any

from .test_sweep import opened


async def draw(page: str, size: tuple[int, int], recorded: Any, open_screen: Any, screenshot: Any) -> None:
    async with open_screen(recorded.host(), size=size) as (app, pilot, until):
        sweep = await opened(pilot, until, app)
        await pilot.press("down", "right")
        if page == "births":
            await pilot.press("b")
            await until(lambda: sweep.births)
        await until(lambda: sweep.progress is not None and sweep.progress.workers)
        await pilot.pause(0.2)
        screenshot(app)


async def test_sweep_wide(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see 3 x 8 coloured cells, one failed, one under way, a worker, the reason, and the curve below."""
    await draw("grid", (160, 48), recorded, open_screen, screenshot)


async def test_sweep_small(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see the whole table in 24 lines, with the worker and the reason of the failed unit."""
    await draw("grid", (80, 24), recorded, open_screen, screenshot)


async def test_births_wide(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see nodes 0.0, m0 and 0.1 with the steps at which they came, 1.0 faint, and their curves beside."""
    await draw("births", (160, 48), recorded, open_screen, screenshot)


async def test_births_small(recorded: Any, open_screen: Any, screenshot: Any) -> None:
    """You should see the same list, and the curves below it."""
    await draw("births", (80, 24), recorded, open_screen, screenshot)
