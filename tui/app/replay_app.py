"""The application of `headcode replay`, its screenshots and recordings."""

from collections.abc import Mapping, Sequence

from textual.screen import Screen

from engine.errors import HeadcodeError
from tui.app.app import HeadcodeApp
from tui.connection.requests import Connect
from tui.screens.replay import ReplayScreen
from tui.settings.settings import Settings
from tui.themes.themes import Depth


class ReplayApp(HeadcodeApp):
    """The application with a replay as its first screen."""

    def __init__(
        self,
        connect: Connect,
        *,
        session: str,
        run: str | None = None,
        speed: float = 1.0,
        playing: bool = True,
        start: str | None = None,
        driven: bool = False,
        theme: str | None = None,
        depth: Depth | None = None,
        settings: Settings | None = None,
        keys: Mapping[str, tuple[str, ...]] | None = None,
        problems: Sequence[HeadcodeError] = (),
    ) -> None:
        super().__init__(
            connect,
            session=session,
            model="",
            task="",
            theme=theme,
            depth=depth,
            settings=settings,
            keys=keys,
            problems=problems,
        )
        self._order = (session, run, speed, playing, start, driven)
        self.replay: ReplayScreen

    def get_default_screen(self) -> Screen[None]:
        session, run, speed, playing, start, driven = self._order
        self.replay = self._workbench = ReplayScreen(
            self.link.connect,
            self.shown_depth,
            session=session,
            size=self.size,
            run=run,
            speed=speed,
            playing=playing,
            start=start,
            driven=driven,
        )
        self.link, self.state = self.replay.link, self.replay.state
        return self.replay

    def _start_link(self) -> None:
        """Do nothing: the replay screen starts its own link."""
