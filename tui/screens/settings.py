"""The settings: meaning, value and source of each; changes apply at once and are saved."""

from textual import events
from textual.app import ComposeResult

from tui.actions import screen_actions
from tui.screens.sub_screen import SubScreen, SubScreenKeys
from tui.settings.table import SettingSpec, Value
from tui.state.workbench_state import WorkbenchState
from tui.terminal.sanitize import clean
from tui.widgets.line_widget import LinePicked
from tui.widgets.settings_list import SettingsList

ACTIONS = screen_actions(
    "Settings",
    ("step.down", "1", "down,j", "Next setting", "The setting below", "choose"),
    ("step.up", "-1", "up,k", "Previous setting", "The setting above", ""),
    ("turn.on", "1", "right,l,space", "Next value", "The next value; applies at once and is saved", "change"),
    ("turn.back", "-1", "left,h", "Previous value", "The previous value; applies at once and is saved", ""),
    ("pick", "", "enter", "Choose or type", "Choose from all values, or type one", "all values"),
    ("usual", "", "backspace,delete,u", "Default value", "Remove the entry from config.toml", "default"),
    (
        "again",
        "",
        "r",
        "Reload the files",
        "Reload config.toml and keys.toml and list their errors",
        "reload",
    ),
    ("close", "", "escape,comma,q", "Back", "Back to where you were", "back"),
)


class SettingsScreen(SubScreen):
    """The screen: the list and a description of the selected setting."""

    CSS_PATH = "settings.tcss"
    actions = ACTIONS

    def __init__(self, state: WorkbenchState, *, setting: str = "") -> None:
        """Make the screen; `setting` is the name of the one it begins at."""
        super().__init__(state)
        self.list = SettingsList(state, id="settings")
        self.list.border_title = "Settings"
        self._begin_at = setting

    def compose(self) -> ComposeResult:
        yield self.list
        yield SubScreenKeys(self.state, ACTIONS)

    def on_mount(self) -> None:
        if self._begin_at:
            self.list.find(self._begin_at)

    def paint(self) -> None:
        self.list.paint()

    def action_step(self, by: int) -> None:
        self.list.step(by)

    def action_turn(self, by: int) -> None:
        setting = self.list.setting
        if setting is None:
            self.list.turn_memory()
            return
        choices, value = setting.choices, self.list.value_of(setting)
        if value in choices:
            new = choices[(choices.index(value) + by) % len(choices)]
        else:
            # A value of the user's own is none of the choices: start from an end.
            new = choices[0 if by > 0 else -1]
        self._change(setting, new)

    def action_usual(self) -> None:
        if self.list.setting is not None:
            self._change(self.list.setting, None)

    def action_pick(self) -> None:
        setting = self.list.setting
        if setting is None:
            self.list.turn_memory()
        elif len(setting.choices) == 2:
            self.action_turn(1)
        elif setting.pattern or not isinstance(setting.default, str):
            self._type(setting)
        else:
            self._pick(setting)

    def action_again(self) -> None:
        problems = self.app.reload_files()  # type: ignore[attr-defined]
        text = f"Reloaded: {len(problems)} errors, listed under Files." if problems else "Reloaded: no errors."
        self.list.say(text, "bad" if problems else "good")

    def _pick(self, setting: SettingSpec) -> None:
        from tui.screens.choice import ChoiceItem, ChoiceSheet

        now = self.list.value_of(setting)
        entries = [
            ChoiceItem(
                id=str(choice),
                group=setting.meaning.partition(".")[0],
                title=setting.shown(choice),
                detail=" · ".join(
                    word for word, on in (("current", choice == now), ("default", choice == setting.default)) if on
                ),
            )
            for choice in setting.choices
        ]

        def chosen(name: str | None) -> None:
            if name is not None:
                self._change(setting, name)

        self.app.push_screen(ChoiceSheet(setting.title, entries, empty=""), chosen)

    def _type(self, setting: SettingSpec) -> None:
        from tui.screens.text_prompt import TextPromptSheet

        def wrong(text: str) -> str:
            return "" if setting.read(text) is not None else f"{text} is not {setting.wanted}."

        def typed(text: str | None) -> None:
            value = setting.read(text) if text else None
            if value is not None:
                self._change(setting, value)

        offered = ", ".join(f"{choice}" for choice in setting.choices)
        hint = f"{setting.unit or setting.wanted}; for example {offered}".strip()
        now = self.list.value_of(setting)
        shown = f"{now:g}" if isinstance(now, int | float) else str(now)
        self.app.push_screen(TextPromptSheet(setting.title, hint, text=shown, judge=wrong), typed)

    def _change(self, setting: SettingSpec, value: Value | None) -> None:
        words = self.app.change(setting, value)  # type: ignore[attr-defined]
        if words:
            self.list.say(clean(words), "bad")
        elif value is None:
            self.list.say(f"Default value: {setting.shown(setting.default)}.", "good")
        else:
            when = "" if setting.when == "at once" else f" It takes effect {setting.when}."
            self.list.say(f"Saved.{when}", "good")

    def on_line_picked(self, message: LinePicked) -> None:
        if message.place == self.list.at:
            self.action_pick()
        else:
            self.list.step(message.place - self.list.at)

    def on_resize(self, _event: events.Resize) -> None:
        self.list.paint()
