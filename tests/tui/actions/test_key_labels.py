"""Test that every text on the screen uses the configured keys: no key is named by hand."""

import ast
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Failure
from engine.examples import content_hash
from sessions.events import CircuitSaved, ExamplesSet
from sessions.rows import ComparisonChoice
from tui.actions.key_labels import fill_keys, key_label
from tui.actions.keymap import keys_text, load_keys, with_keys
from tui.actions.registry import all_tables
from tui.output.card import card_lines, format_advice
from tui.plain.verb_table import verb_for
from tui.screens.document import DocumentScreen
from tui.screens.error import ErrorSheet
from tui.screens.tour import STEPS
from tui.state.documents import documents
from tui.state.workbench_state import WorkbenchState

from ...run_parts import weak_card
from ..visits import WAYS, put_cursor, whole

ACTIONS = {action.full_id: action for table in all_tables().values() for action in table}
LETTERS = [chr(code) for code in range(0x1200, 0x1700) if unicodedata.category(chr(code)) == "Lo"]
ODD = dict(zip(ACTIONS, LETTERS, strict=False))
"""Every action on a key that no table uses: an Ethiopic, Cherokee or Canadian letter."""
USUAL = sorted({action.key for action in ACTIONS.values()} - set(",.-+_123"), key=len, reverse=True)
"""Without punctuation that occurs in every sentence, and without the numbers of the panes, which occur in titles."""
NOUNS = (
    "codes|heads|seeds|threads|layers|sides|this|does|is|has|was|us|as|its|stdin|class|less|plus|process|series|basis"
)
BY_HAND = re.compile(
    rf"(?<![\w.,'+·/-])(?<![\d] )(?<!\[ )({'|'.join(map(re.escape, USUAL))}) (?:again |once more )?"
    rf"(?!(?:{NOUNS})\b)([a-z]{{2,}}s|again|back)\b"
)
"""A key's name and what it does: r runs, esc again, w shows."""
NO_KEYS = {
    "enter chooses",  # of a list of Textual's, whose enter no table has
    "enter again overwrites",  # of a line that is typed
}
NO_SCREEN = ("tui/commands", "tui/headless", "tui/plain", "tui/cli.py", "tui/output")
CARD = weak_card(
    advice=(
        "take fewer heads into the circuit (t)",
        "rank by that baseline, or measure effects (v, or --cause combined)",
        "rank by that baseline, or measure effects (--cause combined)",
        "rank the heads by effect, or try another position",
        "take more heads into it",
    ),
)


def by_hand(text: str) -> list[str]:
    """The hints in a text that name a usual key."""
    found = (match[0] for match in BY_HAND.finditer(text))
    return [each for each in found if each not in NO_KEYS]


def literals() -> Iterator[tuple[Path, int, str]]:
    """Every text in the code of engine and screen; what is told to readers of the code is none."""
    root = Path(__file__).parents[3]
    for folder in ("engine", "tui"):
        for path in sorted((root / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            result = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in result:
                    yield path.relative_to(root), node.lineno, node.value


def test_every_action_has_an_odd_key() -> None:
    assert set(ODD) == set(ACTIONS)
    assert len(set(ODD.values())) == len(ODD)


def test_every_screen_has_a_way_in() -> None:
    assert set(WAYS) == set(all_tables())


def test_a_hint_by_hand_would_be_found() -> None:
    for words in (
        "No run yet: r runs the probe.",
        "esc closes",
        "x again ends the engine",
        "] goes on",
        "ctrl+p finds",
    ):
        assert by_hand(words), words


def test_no_text_in_the_code_names_a_key() -> None:
    found = [f"{path}:{line}: {words!r}" for path, line, words in literals() if by_hand(words)]
    found = [each for each in found if not each.startswith(NO_SCREEN)]
    assert not found, "\n".join(found)


def test_every_key_that_a_text_asks_for_is_there() -> None:
    """A misspelt id would only be met by whoever gets to see that text."""
    asked = re.compile(r"""(?:\bkey|key_label_in|_key|key_label)\((?:self\.app, )?f?["']([a-z_:.-]+)["']\)""")
    root = Path(__file__).parents[3] / "tui"
    found = {name for path in root.rglob("*.py") for name in asked.findall(path.read_text(encoding="utf-8"))}
    assert len(found) > 15
    assert not [name for name in found if not any(each == name or each.endswith(f":{name}") for each in ACTIONS)]
    for step in STEPS:
        for words in (step.title, step.words):
            assert "{" not in fill_keys(words, key_label)


def test_plain_mode_names_its_verbs() -> None:
    assert verb_for("stop") == "stop"
    assert verb_for("write:step.undo") == "undo"
    state = WorkbenchState(model="toy", task="ioi")
    state.key = verb_for
    assert state.key("mark") == "mark"
    assert state.key("next_pane") == "tab"  # no verb: the key on the screen


def test_a_card_names_the_key_on_the_screen_and_the_option_elsewhere() -> None:
    result = card_lines(CARD)[1]
    assert not re.search(r"\([tTmv]\)|\(v,", result)
    assert result.count("measure effects (--cause combined)") == 2
    shown = card_lines(CARD, ODD.__getitem__)[1]
    for action in ("cut.fewer", "cut.more", "cause", "measure.next"):
        assert f"({ODD[action]})" in shown
    assert "--cause" not in shown
    options = ODD["options"]
    for result, there in (
        ("use more seeds (--seeds 8)", f"({options}, --seeds 8)"),
        ("take --shuffles 9: x", f"9 ({options}): x"),
    ):
        assert format_advice(result) == result
        assert format_advice(result, ODD.__getitem__).endswith(there)


def scopes(app: Any) -> set[str]:
    """The tables of actions that are in sight."""
    nodes = [app.screen, *(each for each in app.screen.query("*") if each.region.area)]
    found = {action.scope for node in nodes for action in getattr(node, "actions", ())}
    if hasattr(app.screen, "bound_actions"):
        found |= {action.scope for action in app.screen.bound_actions}
    return found


def titles(app: Any) -> Iterator[str]:
    for node in app.screen.query("*"):
        for title in (node.border_title, node.border_subtitle):
            if title:
                yield str(title)


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["160x48", "80x24"])
async def test_no_screen_names_a_key_that_was_given_away(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any, tmp_path: Path
) -> None:
    own = {name: with_keys(table, {full: (odd,) for full, odd in ODD.items()}) for name, table in all_tables().items()}
    path = tmp_path / "keys.toml"
    path.write_text(keys_text(own), encoding="utf-8")
    read = load_keys(path)
    assert not read.problems
    assert read.keys == {full_id: (odd,) for full_id, odd in ODD.items()}

    host = recorded.host()
    examples = recorded.examples(10)
    host.add(
        ExamplesSet(examples=examples, content_hash=content_hash(examples)),
        *whole(recorded, card=CARD),
        CircuitSaved(name="mine", heads=((0, 1),), source="by hand"),
    )  # fmt: skip
    host.choices = (ComparisonChoice(reference="a", group="Runs", title="run 1", detail="other"),)
    async with open_screen(host, size=size, keys=read.keys, notifications=True) as (app, pilot, until):
        for name, way in WAYS.items():
            while len(app.screen_stack) > 1:
                app.pop_screen()
                await pilot.pause()
            put_cursor(app, "")
            await pilot.press(ODD["show_pane.grid"])
            put_cursor(app, name)
            for place, full_id in enumerate(way):
                depth = len(app.screen_stack)
                await pilot.press(ODD[full_id])
                if place + 1 < len(way) and place == 0:
                    await until(lambda: len(app.screen_stack) > depth)  # noqa: B023
            if name == "trouble":
                app.push_screen(ErrorSheet(Failure(family="host", name="X", message="gone", hint="look")))
            if name == "document":
                app.push_screen(DocumentScreen(documents()[0]))
            scope = "" if name == "keys" else name
            await until(lambda: scope in scopes(app))  # noqa: B023
            await pilot.pause()
            steps = len(STEPS) if name == "tour" else 1
            for _ in range(steps):
                seen = text_of(app)
                assert not by_hand(seen), (name, by_hand(seen))
                for title in titles(app):
                    assert not by_hand(title), (name, title)
                    assert not re.match(r"[123] [A-Z]", title), (name, title)
                for keys in app.screen.query("KeyLine, SubScreenKeys"):
                    assert all(action.key in ODD.values() for _, action in keys.spots), name
                if name == "tour":
                    await pilot.press(ODD["tour:forward"])
                    await pilot.pause()
            # What follows from the keys: the usual ones of this screen do nothing any more.
            assert app.return_code is None, name


async def test_what_is_said_names_the_keys_too(recorded: Any, open_screen: Any, text_of: Any) -> None:
    """Notices and empty screens, which no way leads to."""
    host = recorded.host()
    async with open_screen(host, keys={full: (odd,) for full, odd in ODD.items()}) as (app, pilot, until):
        await until(lambda: f"{ODD['run']} runs the probe" in text_of(app))
        assert not by_hand(text_of(app))
        await pilot.press(ODD["write"])
        await until(lambda: f"{ODD['write:add']} adds" in text_of(app))
        assert not by_hand(text_of(app))
        await pilot.press(ODD["write:close"])
        await until(lambda: len(app.screen_stack) == 1)
        examples = recorded.examples(2)
        host.add_of_session(ExamplesSet(examples=examples, content_hash=content_hash(examples)))
        await until(lambda: app.state.session.examples.current)
        await pilot.press(ODD["write"], ODD["write:remove"])
        await until(lambda: f"Deleted; {ODD['write:step.undo']} restores it" in text_of(app))
        assert not by_hand(text_of(app))
