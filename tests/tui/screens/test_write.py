"""Writing examples: every action of its table at both sizes, and what must never be lost."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from engine.examples import Example, content_hash
from sessions.events import ExamplesSet, OptionsChosen
from tui.screens.write import WriteScreen
from tui.screens.write_keys import ACTIONS

SIZES = [(160, 48), (80, 24)]
sizes = pytest.mark.parametrize("size", SIZES, ids=["160x48", "80x24"])


def with_examples(host: Any, *examples: Example) -> Any:
    host.add(ExamplesSet(examples=examples, content_hash=content_hash(examples)))
    return host


def pairs(n: int) -> tuple[Example, ...]:
    return tuple(
        Example(prompt=f"The {side} prompt {pair} of", polarity=side, expected=("x",), foils=("y",), pair=pair)
        for pair in range(n)
        for side in ("positive", "negative")
    )


def prompts(app: Any) -> list[str]:
    return [each.prompt for each in app.state.session.examples.current]


def typed(text: str) -> list[str]:
    from textual.keys import _character_to_key

    return [_character_to_key(character) for character in text]


async def open_write(app: Any, pilot: Any, until: Any) -> WriteScreen:
    await pilot.press("w")
    await until(lambda: isinstance(app.screen, WriteScreen) and app.screen.rows.size.height > 2)
    screen = app.screen
    assert isinstance(screen, WriteScreen)
    return screen


# ---- every action


def chosen_line(screen: WriteScreen) -> int:
    return screen.graded.at


EFFECTS: dict[str, Callable[[Any, WriteScreen], Any]] = {
    "edit": lambda app, _: app.focused.id,
    "add": lambda app, _: app.focused.id,
    "negatives": lambda app, _: type(app.screen).__name__,
    "more": lambda app, _: prompts(app),
    "step.undo": lambda app, _: prompts(app),
    "step.redo": lambda app, _: prompts(app),
    "include": lambda app, _: [each.enabled for each in app.state.session.examples.current],
    "help": lambda app, _: type(app.screen).__name__,
    "palette": lambda app, _: type(app.screen).__name__,
    "take": lambda app, _: type(app.screen).__name__,
    "read": lambda app, _: type(app.screen).__name__,
    "store": lambda app, _: type(app.screen).__name__,
    "outside": lambda _, screen: screen.summary.status,
    "remove": lambda app, _: prompts(app),
    "copy": lambda app, _: prompts(app),
    "pair": lambda app, _: [each.pair for each in app.state.session.examples.current],
    "flip": lambda app, _: [each.polarity for each in app.state.session.examples.current],
    "unfold": lambda app, _: prompts(app),
    "trim": lambda app, _: prompts(app),
    "mend": lambda _, screen: chosen_line(screen),
    "run": lambda app, _: len(app.link._host.of_kind("QueueRun")),
    "choose.down": lambda _, screen: chosen_line(screen),
    "choose.up": lambda _, screen: chosen_line(screen),
    "choose.page_down": lambda _, screen: chosen_line(screen),
    "choose.page_up": lambda _, screen: chosen_line(screen),
    "choose.first": lambda _, screen: chosen_line(screen),
    "choose.last": lambda _, screen: chosen_line(screen),
    "move.down": lambda app, _: prompts(app),
    "move.up": lambda app, _: prompts(app),
    "position": lambda app, _: type(app.screen).__name__,
    "options": lambda app, _: type(app.screen).__name__,
    "close": lambda app, _: type(app.screen).__name__,
}


def test_every_action_is_tried_and_says_what_it_does() -> None:
    assert set(EFFECTS) == {action.id for action in ACTIONS}
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    assert all(action.title and action.tooltip for action in ACTIONS)


@sizes
async def test_each_key_does_it(size: tuple[int, int], recorded: Any, open_screen: Any) -> None:
    template = Example(prompt="a {name=Mary,John} template", polarity="positive")
    broken = Example(prompt="broken", polarity="positive", expected=("x",))
    spaced = Example(prompt="ends in a space ", polarity="positive", expected=("x",))
    host = with_examples(recorded.host(), *pairs(14), template, broken, spaced)
    async with open_screen(host, size=size) as (app, pilot, until):
        for action in ACTIONS:
            for key in action.keys:
                if not isinstance(app.screen, WriteScreen):
                    await open_write(app, pilot, until)
                screen = app.screen
                screen.rows.choose({"pair": 0, "move.down": 4, "move.up": 4}.get(action.id, 12))
                await until(lambda: screen.graded.saved)  # noqa: B023  # awaited in the same round
                await until(lambda: len(screen.graded.grades) > 25)  # noqa: B023
                if action.id == "unfold":
                    place = next(i for i, each in enumerate(screen.graded.examples) if "{" in each.prompt)
                    screen.rows.choose(place)
                for before in {"step.undo": "c", "step.redo": "cu"}.get(action.id, ""):
                    there = prompts(app)
                    await pilot.press(before)
                    await until(lambda: prompts(app) != there and screen.graded.saved)  # noqa: B023
                effect = EFFECTS[action.id]
                was = effect(app, screen)
                await pilot.press(key)
                try:
                    await until(lambda: effect(app, screen) != was)  # noqa: B023
                except AssertionError:
                    raise AssertionError(f"{key} did not do {action.id}") from None
                while app.screen is not app.screen_stack[0] and app.screen is not screen:
                    await pilot.press("escape")
                    await pilot.pause()
                if app.focused is screen.edit:
                    await pilot.press("escape")
                    await pilot.pause()


@sizes
async def test_spaces_at_the_ends_are_taken_off_together_and_come_back_together(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    spaced = [msgspec.structs.replace(each, prompt=f"{each.prompt} ") for each in pairs(2)]
    host = with_examples(recorded.host(), *spaced[:3], *pairs(4)[4:6])
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        await until(lambda: len(screen.graded.grades) == 5)
        assert "z removes the space" in text_of(app)
        await pilot.press("z")
        await until(lambda: prompts(app) == [each.prompt for each in (*pairs(2)[:3], *pairs(4)[4:6])])
        assert "Removed the space at the end of 3 prompts" in text_of(app)
        await until(lambda: screen.graded.saved)
        await pilot.press("u")
        await until(lambda: prompts(app)[0].endswith(" "))
        assert [each.endswith(" ") for each in prompts(app)] == [True, True, True, False, False]


# ---- writing


@sizes
async def test_lines_are_written_one_after_another_and_recorded(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        assert "No examples yet" in text_of(app)
        await pilot.press("a", *typed("When A and B met => B | A"), "enter")
        await pilot.press("ctrl+u", *typed("- When A and C met"), "enter", "escape")
        await until(lambda: len(prompts(app)) == 2)
        first, second = app.state.session.examples.current
        assert (first.prompt, first.expected, first.foils, first.positive) == ("When A and B met", ("B",), ("A",), True)
        assert (second.prompt, second.positive) == ("When A and C met", False)
        await until(lambda: len(screen.graded.grades) == 2)
        assert "as it should be" in text_of(app)
        assert "1 + 1" in text_of(app)
        # The session was empty before: so many undos lead back there, and as many redos return.
        for key in ("u", "u"):
            count = len(prompts(app))
            await pilot.press(key)
            await until(lambda: len(prompts(app)) < count)  # noqa: B023
        assert prompts(app) == []
        await pilot.press("ctrl+r", "ctrl+r")
        await until(lambda: len(prompts(app)) == 2)


async def test_a_line_is_recorded_while_it_is_typed_and_one_pause_is_one_undo(recorded: Any, open_screen: Any) -> None:
    host = with_examples(recorded.host(), *pairs(2))
    async with open_screen(host) as (app, pilot, until):
        await open_write(app, pilot, until)
        await pilot.press("enter", *"abc")
        await until(lambda: any(each.expected == ("x",) and "yabc" in each.foils for each in current(app)))
        assert len(host.of_kind("SetExamples")) == 1
        await pilot.press("escape", "u")
        await until(lambda: current(app) == pairs(2))


def current(app: Any) -> tuple[Example, ...]:
    found: tuple[Example, ...] = app.state.session.examples.current
    return found


async def test_a_line_that_cannot_be_read_is_kept_and_says_why(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = with_examples(recorded.host(), *pairs(1))
    async with open_screen(host) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        await pilot.press("a", *typed('x => "y'), "escape")
        await until(lambda: len(prompts(app)) == 3)
        assert prompts(app)[2] == '+ x => "y'  # not between the halves of the pair
        await until(lambda: 'A " is not closed' in text_of(app))
        assert "1 unread" in text_of(app)
        await pilot.press("enter", *typed('"'), "escape")
        await until(lambda: current(app)[2].expected == ("y",))
        assert not screen.graded.flaws


async def test_an_edit_elsewhere_appears_here_and_both_are_kept(recorded: Any, open_screen: Any) -> None:
    host = with_examples(recorded.host(), *pairs(2))
    async with open_screen(host) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        elsewhere = (*pairs(2), Example(prompt="from elsewhere", polarity="negative"))
        host.add(ExamplesSet(examples=elsewhere, content_hash=content_hash(elsewhere)))
        await pilot.press("c")  # made on what was there before: the host refuses, and it is laid on top
        host._tell_soon()
        await until(lambda: len(prompts(app)) == 6 and screen.graded.saved)
        assert prompts(app)[-1] == "from elsewhere"
        assert prompts(app)[0] == prompts(app)[2], "the copy stands below the pair"


async def test_what_cannot_be_recorded_stays_here_and_says_so(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = with_examples(recorded.host(), *pairs(2))
    async with open_screen(host) as (app, pilot, until):
        screen = await open_write(app, pilot, until)

        def full(_: Any) -> None:
            from sessions.errors import StoreError

            raise StoreError("The disk is full.", hint="Free some space.")

        keep, host._set = host._set, full
        await pilot.press("d")
        await until(lambda: "The disk is full" in text_of(app))
        assert len(screen.graded.examples) == 3
        assert len(prompts(app)) == 4
        host._set = keep
        await pilot.press("d")
        await until(lambda: len(prompts(app)) == 2 and screen.graded.saved)


async def test_undo_takes_back_what_the_host_would_not_record(recorded: Any, open_screen: Any, text_of: Any) -> None:
    host = with_examples(recorded.host(), *pairs(2))
    async with open_screen(host) as (app, pilot, until):
        screen = await open_write(app, pilot, until)

        def never(_: Any) -> None:
            from sessions.errors import StoreError

            raise StoreError("That is too much.", hint="Write less.")

        host._set = never
        await pilot.press("d")
        await until(lambda: "That is too much" in text_of(app))
        await pilot.press("u")
        await until(lambda: "The change is undone" in text_of(app))
        assert screen.graded.saved
        assert screen.graded.examples == app.state.session.examples.current == pairs(2)


async def test_a_set_larger_than_is_kept_is_not_begun(
    recorded: Any, open_screen: Any, text_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.editor.edits.MAX_EXAMPLES", 6)
    host = with_examples(recorded.host(), *pairs(2))
    async with open_screen(host) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        app.post_message(paste("+ one\n+ two\n+ three\n"))
        await until(lambda: "3 more make 7 examples; 6 is the most" in text_of(app))
        assert screen.graded.saved
        assert len(screen.graded.examples) == 4
        app.post_message(paste("+ one\n+ two\n"))
        await until(lambda: len(prompts(app)) == 6)


async def test_a_copy_stands_below_the_pair_and_an_empty_line_gives_its_place_back(
    recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = with_examples(recorded.host(), *pairs(2))
    async with open_screen(host) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        assert "enter edit" in text_of(app)
        await pilot.press("c")
        await until(lambda: len(prompts(app)) == 5)
        assert prompts(app)[:3] == ["The positive prompt 0 of", "The negative prompt 0 of", "The positive prompt 0 of"]
        assert [each.pair for each in app.state.session.examples.current] == [0, 0, None, 1, 1]
        await pilot.press("home", "a")
        await until(lambda: app.focused is screen.edit)
        assert "esc back to the list" in text_of(app)
        await pilot.press("enter")
        await until(lambda: app.focused is screen.rows)
        assert (screen.graded.at, len(screen.graded.examples)) == (0, 5)
        assert "enter edit" in text_of(app)


@pytest.mark.parametrize(
    ("keys", "prompt", "positive", "pair"),
    [
        ("+ A and B => B", "A and B", True, None),
        ("- A and B => B", "A and B", False, None),
        ("-3 A and B => B", "A and B", False, 3),
        ("1 + 1 is => 2", "1 + 1 is", True, None),
    ],
    ids=["plus", "minus", "pair", "no sign"],
)
async def test_a_sign_that_is_typed_takes_the_place_of_the_one_offered(
    keys: str, prompt: str, positive: bool, pair: int | None, recorded: Any, open_screen: Any
) -> None:
    async with open_screen(recorded.host()) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        await pilot.press("a")
        assert screen.edit.text == "+ "
        await pilot.press(*typed(keys), "escape")
        await until(lambda: len(prompts(app)) == 1)
        found = app.state.session.examples.current[0]
        assert (found.prompt, found.positive, found.pair) == (prompt, positive, pair)


@sizes
async def test_the_model_of_the_next_run_grades_and_is_named(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = with_examples(recorded.host(), *pairs(2))
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        await until(lambda: "toy says John" in text_of(app) and len(screen.graded.grades) == 4)
        assert {asked.model for asked in host.of_kind("GradeExamples")} == {"toy"}
        before = len(host.of_kind("GradeExamples"))
        # Chosen in another window while this one is open.
        other = msgspec.structs.replace(app.state.options, model="smollm2-135m", device="cpu")
        host.add_of_session(OptionsChosen(options=other))
        await until(lambda: "smollm2-135m, the model of the next run, says John" in text_of(app))
        await until(lambda: len(screen.graded.grades) == 4)
        asked = host.of_kind("GradeExamples")[before:]
        assert {(each.model, each.device) for each in asked} == {("smollm2-135m", "cpu")}
        await pilot.press("n")
        await until(lambda: len(host.of_kind("GradeExamples")) > before + len(asked))
        assert host.of_kind("GradeExamples")[-1].model == "smollm2-135m"
        await pilot.press("escape", "t", "enter")
        await until(lambda: host.of_kind("MakeTaskExamples"))
        assert host.of_kind("MakeTaskExamples")[-1].model == "smollm2-135m"


@sizes
async def test_what_is_read_is_chosen_beside_the_tokens(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = with_examples(recorded.host(), *pairs(2))
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        await until(lambda: "read where the pair differs most (mean, P changes it)" in text_of(app))
        # One example without a pair, and every head reads the mean of all tokens.
        await pilot.press("p")
        await until(lambda: "all are read (mean, P changes it)" in text_of(app))
        await pilot.press("P", "ctrl+u", *typed("behind"), "enter")
        await until(lambda: "position='behind' is not a position policy." in text_of(app))
        await pilot.press("ctrl+u", *typed("last"), "enter")
        await until(lambda: app.screen is screen and "1 read (last, P changes it)" in text_of(app))
        assert host.of_kind("GradeExamples")[-1].position == "last"
        await until(lambda: len(screen.graded.grades) == 4)
        await pilot.press("r")
        await until(lambda: host.of_kind("QueueRun"))
        assert host.of_kind("QueueRun")[-1].config.position == "last"


@sizes
async def test_pasted_lines_become_as_many_examples(size: tuple[int, int], recorded: Any, open_screen: Any) -> None:
    host = with_examples(recorded.host(), *pairs(1))
    text = "\n".join(f"+ pasted {number} => a | b" for number in range(1_000))
    async with open_screen(host, size=size) as (app, pilot, until):
        screen = await open_write(app, pilot, until)
        screen.rows.post_message(paste(text))
        await until(lambda: len(prompts(app)) == 1_002)
        await pilot.press("a")
        screen.edit.post_message(paste(text))
        await until(lambda: len(prompts(app)) == 2_002)
        await pilot.press("u")
        await until(lambda: len(prompts(app)) == 1_002)


@sizes
async def test_the_pane_says_when_the_set_was_edited_since_the_run(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    made = recorded.examples(10)
    async with open_screen(with_examples(host, *made), size=size) as (app, pilot, until):
        await pilot.press("1")
        assert "Edited since" not in text_of(app)
        await host.tell(ExamplesSet(examples=made[1:], content_hash=content_hash(made[1:])))
        await until(lambda: "Edited since: now 9 + 10" in text_of(app))
        await pilot.press(*["down"] * 4)
        await until(lambda: app.state.selected == 3)
        assert made[3].prompt[-20:] in text_of(app)


@sizes
async def test_ten_thousand_examples_are_walked_through(
    size: tuple[int, int], recorded: Any, open_screen: Any, text_of: Any
) -> None:
    many = tuple(Example(prompt=f"prompt number {number} of", polarity="positive") for number in range(10_000))
    async with open_screen(with_examples(recorded.host(), *many), size=size) as (app, pilot, until):
        await pilot.press("1", "end")
        await until(lambda: "prompt number 9999 of" in text_of(app))
        await pilot.press("pageup", "home")
        await until(lambda: "prompt number 0 of" in text_of(app))
        screen = await open_write(app, pilot, until)
        await pilot.press("end", "pageup", "up")
        await until(lambda: "prompt number 9988 of" in text_of(app))
        assert screen.graded.at == 9_988
        await pilot.press("d")
        await until(lambda: len(prompts(app)) == 9_999 and screen.graded.saved)
        assert "prompt number 9988 of" not in text_of(app)


def paste(text: str) -> Any:
    from textual import events

    return events.Paste(text)


@pytest.mark.parametrize("width", [40, 80, 100])
async def test_a_narrow_line_keeps_the_keys_that_matter(
    width: int, recorded: Any, open_screen: Any, text_of: Any
) -> None:
    host = recorded.host()
    host.add(*recorded.events())
    async with open_screen(host, size=(width, 24)) as (app, _pilot, _until):
        last = text_of(app).splitlines()[-1]
        assert "w write" in last
        assert width < 80 or "q leave" in last
