"""Options of the next run: meaning, default and published value, presets, time and memory needed."""

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip

from engine.catalog.local_models import local_models
from engine.machine.folders import find_folders
from engine.machine.memory import format_bytes
from engine.planning.option_table import OPTIONS
from engine.planning.option_text import format_value
from engine.planning.presets import PRESETS, with_preset
from engine.planning.run_options import value_of, with_open_lambda
from tui.actions import screen_actions
from tui.connection.session_link import SessionLink
from tui.output.model_check import format_check
from tui.screens.memory_guard import warn_of_memory
from tui.screens.model_check import toggle_check
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LineWidget
from tui.widgets.option_list import RunOptionList
from tui.widgets.styled_line import fit, wrap

ACTIONS = screen_actions(
    "Options",
    ("close", "", "escape,O,shift+o,q", "Back", "Back to the workbench; changes are kept", "back"),
    ("step.down", "1", "down,j,tab", "Next option", "One option down", "option"),
    ("step.up", "-1", "up,k,shift+tab", "Previous option", "One option up", ""),
    ("step.page_down", "8", "pagedown", "Eight down", "Eight options down", ""),
    ("step.page_up", "-8", "pageup", "Eight up", "Eight options up", ""),
    ("step.first", "-1000", "home", "First option", "To the first option", ""),
    ("step.last", "1000", "end", "Last option", "To the last option", ""),
    ("pick.right", "1", "right,l", "Next value", "The next suggested value", "value"),
    ("pick.left", "-1", "left,h", "Previous value", "The previous suggested value", ""),
    ("type", "", "enter", "Type a value", "Type the value in place; kept with enter", "type"),
    ("put_back", "", "d,backspace,delete", "Default", "Reset this option to its default", "default"),
    ("run", "", "r", "Run", "Run the probe with these options; queued behind a running run", "run"),
    ("put_all_back", "", "D,shift+d", "All defaults", "Reset every option to its default", "all defaults"),
    ("preset", "", "p", "Preset", "The next preset: quick, published, thorough", "preset"),
    ("take_shown", "", "u", "As the shown run", "Copy the options of the shown run", "as shown"),
    (
        "check",
        "",
        "c",
        "Check the model",
        "Try what Headcode relies on in this model; again: stop it",
        "check",
    ),
)


class PresetLine(LineWidget):
    """One line with the presets; the one that matches the options is marked."""

    sheet: "OptionsScreen"

    def lines(self, size: Size, /) -> list[Strip]:
        now = self.sheet.preset()
        line = self.line().add(f" {self.state.key('options:preset')} ", "key").add("preset  ", "dim")
        for preset in PRESETS:
            on = preset.name == now
            line.add(" ▸" if on else "  ", "accent").add(preset.name, "strong" if on else "text").add(" ")
        about = next((preset.about for preset in PRESETS if preset.name == now), "")
        if not about:
            n = len(self.sheet.list.differing())
            about = f"{n} {'option differs' if n == 1 else 'options differ'} from the defaults" if n else "the defaults"
        line.add("   ").add(fit(about, max(size.width - line.width - 4, 0)), "dim")
        return [line.strip()]


class OptionDetails(LineWidget):
    """Description of the selected option: meaning, value, default, published value, accepted values."""

    sheet: "OptionsScreen"

    def lines(self, size: Size, /) -> list[Strip]:
        listed = self.sheet.list
        option, width = listed.option, max(size.width - 2, 10)
        head = self.line().add(f" {option.title}", "strong").add(f"  {option.flag}", "faint").strip()
        lines = [head]
        wrong = listed.trouble
        if wrong:
            lines += [self.line().add(" ").add(row, "bad").strip() for row in wrap(clean(wrong), width, 3)]
        words = [self.line().add(" ").add(row, "text").strip() for row in wrap(option.meaning, width, 8)]
        value = clean(format_value(option, value_of(listed.options, option.path)))
        facts = [("now", value), ("default", clean(listed.default_words(option)))]
        facts += [("published", option.published)] if option.published else []
        accepted = ", ".join(option.choices) or option.range or ("yes or no" if option.kind == "yes" else "")
        facts += [("accepted", accepted)]
        if option.kind == "model":
            facts.insert(1, ("check", clean(self._check(listed.options.model))))
        if size.height < 10:
            summary = self.line().add(" ")
            for name, each in facts[1:]:
                summary.add(f"{name} ", "faint").add(each, "dim").add("   ")
            keep = max(size.height - len(lines) - 1, 1)
            return [*lines, *words[:keep], summary.strip().crop(0, size.width)][: size.height]
        rows = []
        for name, each in facts:
            parts = wrap(each, width - 10, 3) if name == "check" else [fit(each, width - 10)]
            for place, part in enumerate(parts):
                rows.append(self.line().add(f" {'' if place else name:<10}", "faint").add(part, "dim").strip())
        return [*lines, self.line().strip(), *words, self.line().strip(), *rows]

    def _check(self, model: str) -> str:
        """Format what the model's check found, or what it is at."""
        running, key = self.state.checked.running, self.state.key("options:check")
        if running is not None and running.model == model:
            return f"{running.words}; {key} stops it"
        status = self.state.checked.of(model)
        offer = f"; {key} checks again" if status.state in ("holds", "fails") else f", or {key}"
        return f"{format_check(status, model)}{'' if running is not None else offer}"


class PreflightLines(LineWidget):
    """Two lines: memory and time that the next run needs."""

    def lines(self, size: Size, /) -> list[Strip]:
        ahead = self.state.preflight
        if ahead is None:
            return [self.line().add(" …", "faint").strip()]
        memory = ahead.memory_words
        time = "; ".join(part for part in (ahead.missing_words, ahead.time_words) if part)
        if ahead.fits is not False:
            parts = "  ".join(f"{part.name} {format_bytes(part.n_bytes)}" for part in ahead.parts)
            if ahead.devices:
                parts = "  ".join(f"{device.name}: {device.words}" for device in ahead.devices)
            first = self.line().add(" ✓ " if ahead.fits else " ? ", "good" if ahead.fits else "second")
            first.add(fit(clean(memory), size.width - 4), "text")
            first.add("   ").add(fit(parts, max(size.width - first.width - 1, 0)), "faint")
            second = self.line().add("   ").add(fit(clean(time), size.width - 4), "dim")
            return [first.strip(), second.strip()]
        rows = wrap(clean(memory), size.width - 4, 2)
        return [self.line().add(" ✗ " if not i else "   ", "bad").add(row, "bad").strip() for i, row in enumerate(rows)]


class OptionsScreen(SubScreen):
    """The screen: list and description side by side, or one below the other on small terminals."""

    CSS_PATH = "options.tcss"
    actions = ACTIONS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (122, "-wide")]  # noqa: RUF012  # Textual declares it so
    AUTO_FOCUS = "#options"

    def __init__(self, state: WorkbenchState, link: SessionLink) -> None:
        super().__init__(state)
        self.link = link
        models = find_folders().models
        self.list = RunOptionList(state, link.choose_options, models, id="options")
        names = [source.name for source in local_models(models)]
        self.list.model_names = tuple(dict.fromkeys([*names, state.model]))
        self.presets = PresetLine(state, id="presets")
        self.meaning = OptionDetails(state, id="meaning-of")
        self.takes = PreflightLines(state, id="takes")
        self.presets.sheet = self.meaning.sheet = self

    def compose(self) -> ComposeResult:
        yield self.presets
        with Container(id="both"):
            yield self.list
            yield self.meaning
        yield self.takes
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        self._title()

    def paint(self) -> None:
        self._title()
        self.presets.paint()
        self.list.paint()
        self.meaning.paint()
        self.takes.paint()

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self.paint)

    def preset(self) -> str:
        """Return the name of the preset that equals the options; empty if none does."""
        options, models = self.list.options, self.list.models
        fitting = (
            each.name for each in PRESETS if with_open_lambda(with_preset(options, each.name), models) == options
        )
        return next(fitting, "")

    # ---- actions

    def action_close(self) -> None:
        self.link.record_options()
        self.dismiss()

    def action_step(self, by: int) -> None:
        self.list.step(by)

    def action_pick(self, by: int) -> None:
        self.list.pick(by)

    def action_type(self) -> None:
        self.list.type()

    def action_put_back(self) -> None:
        self.list.put_back()

    def action_put_all_back(self) -> None:
        self.list.put_all_back()

    def action_preset(self) -> None:
        names = [each.name for each in PRESETS]
        now = self.preset()
        name = names[(names.index(now) + 1) % len(names)] if now in names else names[0]
        self.list.take(with_preset(self.list.options, name))

    def action_take_shown(self) -> None:
        run = self.state.shown
        if run is not None:
            self.list.take(run.options)

    def action_run(self) -> None:
        if self.state.link == "live" and not warn_of_memory(self, self.state, "options:run"):
            self.app.run_worker(self.link.queue_run(), group="ask", exit_on_error=True)
            self.dismiss()

    def action_check(self) -> None:
        options = self.list.options
        self.list.put(next(place for place, option in enumerate(OPTIONS) if option.kind == "model"))
        toggle_check(self, self.state, options.model, options.dtype, options.device)

    @on(RunOptionList.Changed)
    def _changed(self) -> None:
        if self.presets.is_attached:  # a message may arrive after the screen was closed
            self.presets.paint()
            self.meaning.paint()

    def _title(self) -> None:
        shown = self.state.active
        behind = f", behind run {shown.number}" if shown is not None else ""
        self.list.border_title = Content(f"Options of run {len(self.state.runs) + 1}{behind}")
