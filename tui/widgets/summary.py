"""Whether what is written is worth running, said in two lines."""

from textual.geometry import Size
from textual.strip import Strip

from engine.worth import Worth
from tui.desk import Desk
from tui.keynames import Key
from tui.text import clean
from tui.widgets.ink import fit
from tui.widgets.painted import Painted


class Summary(Painted):
    """Whether the set is worth running, and what to mend first; or something that has just to be said."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name for it
        super().__init__(desk.bench, id=id)
        self.desk = desk
        self.said = ""

    def lines(self, size: Size, /) -> list[Strip]:
        found = self.desk.worth()
        right = "recorded " if self.desk.saved else "recording … "
        first = (
            self.line().add(" ").add(fit(found.words, size.width - len(right) - 3), "good" if found.ready else "second")
        )
        first.to(size.width - len(right), " ").add(right, "faint")
        failure = self.desk.failure or self.bench.failure
        if self.bench.link == "lost":
            words, ink = self.bench.link_words, "second"
        elif failure is not None:
            words, ink = f"{failure.message} {failure.hint}", "bad"
        else:
            words, ink = self.said or todo_words(found, self.bench.key), "dim"
        return [first.strip(), self.line().add(" ").add(fit(clean(words), size.width - 2), ink).strip()]


def todo_words(found: Worth, key: Key) -> str:
    """What to do next, with the key that does it."""
    return f"{key(f'write:{found.action}')} {found.todo}" if found.action else found.todo
