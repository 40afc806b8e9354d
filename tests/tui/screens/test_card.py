"""Test the card: it fits or shows that it scrolls; long lists are cut with a count; each effect is listed once."""

import re
from typing import Any

import pytest
from msgspec.structs import replace

from engine.analysis.run_state import RunSnapshot
from engine.errors import ModelError
from engine.events import CardWritten, EffectsMeasured
from engine.results import CardNode, NodeEffect
from sessions.protocol import GetSpecificity
from tui.output.card import MOST_NAMED, card_lines, format_list
from tui.output.effects import cause_lines
from tui.output.reported_effects import one_effect_per_head
from tui.screens.card import CardSheet, pack_items

from ...run_parts import effects_measured
from ..worlds import CARD

HEADS = tuple((layer, head) for layer in range(6) for head in range(8))
LONG = replace(
    CARD,
    reasons=tuple(f"{n} reasons speak against a circuit of these heads" for n in range(6)),
    above_chance=HEADS,
    heads=tuple(CardNode(layer=a, head=b, q_value=0.04, seeds=1.0, bootstraps=0.87, effect=0.12) for a, b in HEADS),
)


def cause(method: Any, effects: dict[tuple[int, int], float], **other: Any) -> EffectsMeasured:
    made = effects_measured(
        tuple(NodeEffect(layer=a, head=b, effect=effect, error=0.1) for (a, b), effect in effects.items()),
        method=method,
    )
    return replace(made, **other)


CAUSES = (
    cause("attribution", dict.fromkeys(HEADS, -0.1)),
    cause("exact", dict.fromkeys(HEADS[:12], -0.4)),
    cause("combined", {place: -0.4 if place in HEADS[:12] else -0.1 for place in HEADS}),
)


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_a_card_that_does_not_fit_says_how_much_is_below(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    events = recorded.events()
    host = recorded.host()
    host.add(*events[:-2], *CAUSES, CardWritten(card=LONG), *events[-2:])
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("b")
        await until(lambda: isinstance(app.screen, CardSheet) and "Evidence" in text_of(app))
        sheet = app.screen.query_one("#sheet")
        await until(lambda: "esc closes" in text_of(app))
        if size[1] == 48:
            assert sheet.lines_below == 0
            assert not re.search(r"more lines?", text_of(app))
            assert "Effects of heads on the answer" in text_of(app)
            return
        await until(lambda: sheet.lines_below > 2 and f"↓ {sheet.lines_below} more lines" in text_of(app))
        before = sheet.lines_below
        await pilot.press("down")
        await until(lambda: f"↓ {before - 1} more lines" in text_of(app))
        await pilot.press("end")
        await until(lambda: not re.search(r"more lines?", text_of(app)))


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_what_other_tasks_lose_is_measured_when_asked(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    events = recorded.events()
    host.add(*events[:-2], CardWritten(card=CARD), *events[-2:])
    async with open_screen(host, size=size) as (app, pilot, until):
        await pilot.press("b")
        await until(lambda: isinstance(app.screen, CardSheet) and "s other tasks" in text_of(app))
        assert not [each for each in host.asked if isinstance(each, GetSpecificity)]
        await pilot.press("s")
        await until(lambda: "circuit is not" in text_of(app))
        text = text_of(app)
        (own,) = re.findall(r"ioi +(\S+) +(\S+)", text)
        assert own == ("40%", "5%")
        assert re.findall(r"greater_than +(\S+) +(\S+)", text) == [("90%", "60%")]
        await pilot.press("b", "b")
        await until(lambda: isinstance(app.screen, CardSheet))
        await pilot.press("end")
        await until(lambda: "circuit is not" in text_of(app))
        assert len([each for each in host.asked if isinstance(each, GetSpecificity)]) == 1  # kept


async def test_why_other_tasks_cannot_be_measured_is_said(
    recorded: Any, open_screen: Any, text_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = recorded.host()
    events = recorded.events()
    host.add(*events[:-2], CardWritten(card=CARD), *events[-2:])
    answer = host._answer

    def refuse(request: Any) -> Any:
        if isinstance(request, GetSpecificity):
            raise ModelError("There is no model toy.", hint="Fetch it.")
        return answer(request)

    monkeypatch.setattr(host, "_answer", refuse)
    async with open_screen(host) as (app, pilot, until):
        await pilot.press("b", "s")
        await until(lambda: "There is no model toy." in text_of(app))


async def test_the_help_says_that_it_scrolls(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=(80, 24)) as (_app, pilot, until):
        await pilot.press("question_mark")
        await until(lambda: re.search(r"↓ \d+ more lines · ", text_of(_app)))


def test_lists_are_cut_with_a_count() -> None:
    names = [f"{layer}.{head}" for layer, head in HEADS]
    assert format_list(names, " ") == f"{' '.join(names[:MOST_NAMED])} and {len(HEADS) - MOST_NAMED} more"
    assert format_list(names[: MOST_NAMED + 1], " ") == " ".join(names[: MOST_NAMED + 1]), "and 1 more is no shorter"
    above = next(line for line in card_lines(LONG) if line.startswith("significant (q"))
    draws = next(line for line in card_lines(LONG) if line.startswith("heads in bootstraps"))
    assert f"and {len(HEADS) - MOST_NAMED} more" in above
    assert draws.count(" of 10") == MOST_NAMED


def test_no_effect_is_broken_in_two() -> None:
    lines = [
        "combined: of all heads",
        "  0.5 -2.6 ±.42 (45%)   0.0 -2.2 (37%)",
        "  0.6 -1.6 ±.32 (28%)   1.6 -1.2 (21%)",
    ]
    assert pack_items(lines, 40) == [
        "combined: of all heads",
        "  0.5 -2.6 ±.42 (45%)   0.0 -2.2 (37%)",
        "  0.6 -1.6 ±.32 (28%)   1.6 -1.2 (21%)",
    ]
    assert pack_items(lines, 22)[1:3] == ["  0.5 -2.6 ±.42 (45%)", "  0.0 -2.2 (37%)"]
    assert pack_items(lines, 70)[1] == "  0.5 -2.6 ±.42 (45%)   0.0 -2.2 (37%)   0.6 -1.6 ±.32 (28%)"


def test_an_effect_is_told_once() -> None:
    picture = one_effect_per_head(RunSnapshot(causes=CAUSES))
    text = "\n".join(cause_lines(picture))
    assert len(re.findall(r"(?m)(?:^|  )0\.1 ", text)) == 1
    assert [each.method for each in picture.causes] == ["combined"]
    two = one_effect_per_head(RunSnapshot(causes=CAUSES[:2]))
    assert [(each.method, len(each.effects)) for each in two.causes] == [
        ("attribution", len(HEADS) - 12),
        ("exact", 12),
    ]
    other = replace(CAUSES[0], metric="log_probability")
    assert one_effect_per_head(RunSnapshot(causes=(other, CAUSES[2]))).causes == (other, CAUSES[2]), (
        "unlike settings stay"
    )
