"""The table of settings, from which the settings screen, config.toml and `headcode settings` are made."""

import math
import re
from typing import Literal

import msgspec

from tui.themes.colour_maps import DEFAULT_MAP, MAPS

Value = str | int | float | bool
When = Literal["at once", "when the screen starts next", "when the host starts next: headcode host stop"]


class SettingSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One setting."""

    table: Literal["screen", "host"]
    key: str
    title: str
    meaning: str
    default: Value
    choices: tuple[Value, ...] = ()
    """Allowed values; for a number, the ones offered, while any from `low` to `high` is allowed."""
    words: tuple[str, ...] = ()
    """Names of the choices, where the value does not explain itself."""
    low: float = 0
    high: float = math.inf
    unit: str = ""
    pattern: str = ""
    """Pattern of further allowed texts."""
    variable: str = ""
    """Environment variable that overrides it."""
    when: When = "at once"

    @property
    def name(self) -> str:
        return f"{self.table}.{self.key}"

    @property
    def wanted(self) -> str:
        """Description of the allowed values."""
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, int | float):
            high = "" if self.high == math.inf else f" to {self.high:g}"
            kind = "a whole number" if isinstance(self.default, int) and self.table == "screen" else "a number"
            return f"{kind} from {self.low:g}{high}"
        more = " or another size like 512MB or 2GB" if self.pattern else ""
        return "one of " + ", ".join(str(choice) for choice in self.choices) + more

    def checked(self, value: object) -> Value | None:
        """Return the value if it is valid, else None."""
        if isinstance(self.default, bool):
            return value if isinstance(value, bool) else None
        if isinstance(self.default, int | float):
            if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
                return None
            whole = isinstance(self.default, int) and self.table == "screen"
            return value if math.isfinite(value) and (not whole or value == int(value)) else None
        if not isinstance(value, str):
            return None
        return value if value in self.choices or (self.pattern and re.fullmatch(self.pattern, value)) else None

    def read(self, text: str) -> Value | None:
        """Parse a value that was typed or comes from the environment; None if it is invalid."""
        text = text.strip()
        if isinstance(self.default, bool):
            return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}.get(
                text.lower()
            )
        if isinstance(self.default, int | float):
            try:
                number = float(text)
            except ValueError:
                return None
            return self.checked(int(number) if math.isfinite(number) and number == int(number) else number)
        return self.checked(text)

    def shown(self, value: Value) -> str:
        """Format the value for reading."""
        if value in self.choices and self.words:
            return self.words[self.choices.index(value)]
        if isinstance(value, bool):
            return "yes" if value else "no"
        number = f"{value:g}" if isinstance(value, int | float) else str(value)
        return f"{number} {self.unit}".rstrip()

    def written(self, value: Value) -> str:
        """Format the value as TOML."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return f"{value:g}" if isinstance(value, int | float) else f'"{value}"'


_HOST: When = "when the host starts next: headcode host stop"
_NEXT: When = "when the screen starts next"
SETTINGS: tuple[SettingSpec, ...] = (
    SettingSpec(
        table="screen",
        key="theme",
        title="Theme",
        meaning="Colours of the screen. sixteen uses your terminal's own sixteen colours, dark or light.",
        default="night",
        choices=("night", "dusk", "day", "contrast", "sixteen"),
        words=("night, dark and cool", "dusk, dark and warm", "day, light", "contrast, black and white", "sixteen"),
    ),
    SettingSpec(
        table="screen",
        key="map",
        title="Colours of the grid",
        meaning="From low to high. Every map increases evenly in lightness, so it works in grey and for colour-blind"
        " users; digits and signs show the same.",
        default=DEFAULT_MAP,
        choices=tuple(each.id for each in MAPS),
        words=tuple(each.title for each in MAPS),
    ),
    SettingSpec(
        table="screen",
        key="signs",
        title="Significance and seeds",
        meaning="Signs in the cells of the grid when the screen starts: * and ' for significance, ● and ○ for how many"
        " seeds agree.",
        default=False,
        choices=(False, True),
        words=("no signs", "signs in the cells"),
    ),
    SettingSpec(
        table="screen",
        key="colours",
        title="Terminal colours",
        meaning="Number of colours. auto follows TERM, COLORTERM and NO_COLOR; none draws shades and digits.",
        default="auto",
        choices=("auto", "truecolor", "256", "16", "none"),
        when=_NEXT,
    ),
    SettingSpec(
        table="screen",
        key="redraws",
        title="Redraws per second",
        meaning="Maximum while a run is active. Fewer redraws send less over a slow line.",
        default=10,
        choices=(1, 2, 4, 10, 20),
        low=1,
        high=30,
    ),
    SettingSpec(
        table="screen",
        key="motion",
        title="Motion",
        meaning="Moving bars and counting seconds. Without it the screen changes only when there is something new.",
        default=True,
        choices=(True, False),
    ),
    SettingSpec(
        table="screen",
        key="mouse",
        title="Mouse",
        meaning="Clicks and tooltips. Without it the terminal selects and copies text as usual.",
        default=True,
        choices=(True, False),
        when=_NEXT,
    ),
    SettingSpec(
        table="screen",
        key="plain",
        title="Plain mode",
        meaning="Text lines and a prompt instead of a screen, for screen readers and logs, like headcode --plain.",
        default=False,
        choices=(False, True),
        variable="HEADCODE_PLAIN",
        when=_NEXT,
    ),
    SettingSpec(
        table="host",
        key="trash_days",
        title="Days in the trash",
        meaning="Days until a deleted session is removed permanently; 0: never.",
        default=30,
        choices=(0, 7, 30, 90, 365),
        high=36_500,
        unit="days",
        when=_HOST,
    ),
    SettingSpec(
        table="host",
        key="idle_minutes",
        title="Host idle time",
        meaning="Minutes without a client and a run until the host exits; 0: never.",
        default=30,
        choices=(0, 5, 30, 120, 480),
        unit="minutes",
        when=_HOST,
    ),
    SettingSpec(
        table="host",
        key="worker_idle_minutes",
        title="Engine idle time",
        meaning="Minutes without work until the engine frees its model and the GPU; 0: never.",
        default=10,
        choices=(0, 1, 10, 60),
        unit="minutes",
        when=_HOST,
    ),
    SettingSpec(
        table="host",
        key="store_memory",
        title="Memory of the store",
        meaning="Maximum memory of the session database.",
        default="512MB",
        choices=("256MB", "512MB", "1GB", "4GB"),
        pattern=r"[1-9]\d{0,6} ?(MB|GB)",
        when=_HOST,
    ),
    SettingSpec(
        table="host",
        key="store_threads",
        title="Threads of the store",
        meaning="Maximum CPU cores of the session database.",
        default=2,
        choices=(1, 2, 4, 8),
        low=1,
        high=64,
        when=_HOST,
    ),
)


def find_setting(name: str) -> SettingSpec:
    """Return the setting of that full name. Raises KeyError."""
    return {each.name: each for each in SETTINGS}[name]
