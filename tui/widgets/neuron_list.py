"""The neurons of an MLP: the list of those that matter most, and one of them on a prompt."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.strip import Strip

from engine.errors import Failure
from engine.node_parts import RunNeuron
from tui.output.effects import format_signed
from tui.state.mlp_inspection import MlpState
from tui.state.number_text import format_fixed
from tui.terminal.sanitize import clean
from tui.themes.themes import Depth
from tui.widgets.line_widget import LinePicked, first_visible
from tui.widgets.places_strip import SignedWidget, failure_lines
from tui.widgets.styled_line import StyledLine, fit, one_line

_MANY = 8
"""Tokens that a neuron's row raises and lowers, at most."""


class NeuronList(SignedWidget):
    """Neurons in the chosen order: estimated and exact effect, and where each fires most."""

    def __init__(self, page: MlpState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(page.state, id=id)
        self.page, self.depth = page, depth
        self.first = 0

    def lines(self, size: Size, /) -> list[Strip]:
        found = self.page.found
        if found is None:
            words = self.state.parts.format_wait(self.page.request, "finding the neurons that matter")
            return [self.line().add(f" {fit(words, size.width - 2)}", "dim").strip()]
        if isinstance(found, Failure):
            return failure_lines(self.line, found, size)
        neurons = self.page.neurons
        if not neurons:
            return [self.line().add(" This MLP has no neurons to show.", "dim").strip()]
        by_difference = self.page.order == "difference"
        titles = "differs" if by_difference else "  size   attrib."
        head = self.line().add(f"  neuron  {titles}   exact  fires most at", "faint").strip()
        room = max(size.height - 1, 1)
        self.first = first_visible(self.first, self.page.chosen, room, len(neurons), centre=True)
        largest = max(abs(each.attribution) for each in neurons)
        rows = [
            self._row(place, neurons[place], largest, size.width, by_difference=by_difference).strip()
            for place in range(self.first, min(len(neurons), self.first + room))
        ]
        return [head, *rows]

    def _row(self, place: int, each: RunNeuron, largest: float, width: int, *, by_difference: bool) -> StyledLine:
        on = place == self.page.chosen
        exact = self.page.exact(each.neuron)
        line = self.line().add("▸" if on else " ", "accent").add(f"{each.neuron:>7} ", "strong" if on else "text")
        if by_difference:
            line.add(f"{each.difference:>8.3g} ", "text")
        else:
            # Sorted by mean size: effects of opposite signs on two prompts do not cancel.
            line.add(f"{format_fixed(each.size, 2):>6} ", "text")
            line.add_styled(f"{format_signed(each.attribution):>8} ", self.signed(each.attribution, largest))
        value = "·" if exact is None or exact.effect is None else format_signed(exact.effect)
        line.add(f"{value:>7}  ", "text" if exact is not None else "faint")
        return line.add(fit(one_line(each.token).strip() or "␣", width - line.width - 1), "text" if on else "dim")

    def on_click(self, event: events.Click) -> None:
        place = self.first + event.y - 1
        if event.y >= 1 and place < len(self.page.neurons):
            self.post_message(LinePicked(place))


class NeuronView(SignedWidget):
    """The selected neuron: its effect, what it writes, and the prompt's tokens coloured by its activation."""

    def __init__(self, page: MlpState, depth: Depth, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(page.state, id=id)
        self.page, self.depth = page, depth

    def lines(self, size: Size, /) -> list[Strip]:
        found, neuron = self.page.found, self.page.neuron
        if found is None or isinstance(found, Failure) or neuron is None:
            return []
        lines = [
            *self._tokens(found.tokens, neuron.activations, size.width),
            self._coloured(neuron),
            self._effect(neuron, found.base, found.how.metric == "kl"),
            self._fires(neuron, size.width),
            self._writes(" raises ", neuron.raises, "positive", size.width),
            self._writes(" lowers ", neuron.lowers, "negative", size.width),
        ]
        words = f" all {found.n_neurons} neurons together {format_signed(found.attribution)} by attribution"
        lines.append(self.line().add(fit(words, size.width - 1), "faint"))
        return [line.strip() for line in lines[: size.height]]

    def _tokens(self, tokens: Sequence[str], activations: Sequence[float], width: int) -> list[StyledLine]:
        largest = max((abs(each) for each in activations), default=0.0)
        lines = [self.line().add(" ")]
        for token, value in zip(tokens, activations, strict=True):
            text = clean(token) or "␣"
            if lines[-1].width + cell_len(text) > width - 1:
                lines.append(self.line().add(" "))
            style = self.signed(value, largest)
            lines[-1].add_styled(fit(text, width - 2), style if abs(value) > 0.02 * largest else self.ink("text"))
        return lines

    def _coloured(self, neuron: RunNeuron) -> StyledLine:
        if not self.page.current:
            words = self.state.parts.format_wait(
                self.page.request, f"its activations on prompt {self.page.example + 1}"
            )
            return self.line().add(f" {words}", "dim")
        largest = max(neuron.activations, key=abs, default=0.0)
        return self.line().add(f" coloured by its activation; largest {largest:.3g}", "faint")

    def _effect(self, neuron: RunNeuron, base: float, kl: bool) -> StyledLine:
        exact = self.page.exact(neuron.neuron)
        line = self.line().add(" replacing it ", "dim")
        if exact is not None and exact.effect is not None:
            error = "" if exact.error is None else f" ±{format_signed(exact.error).lstrip('+')}"
            share = "" if kl or not base else f" ({round(100 * exact.effect / base)}% of {base:.3g})"
            line.add(f"{format_signed(exact.effect)}{error}{share}", "strong").add(" exact · ", "dim")
        elif (failure := self._failure()) is not None:
            line.add(fit(one_line(failure.message), 40), "bad").add(" · ", "dim")
        else:
            line.add("measuring · ", "dim")
        return line.add(f"estimated {format_signed(neuron.attribution)}, mean size {neuron.size:.2g}", "dim")

    def _failure(self) -> Failure | None:
        found = self.state.parts.get(self.page.exact_wanted, object)
        return found if isinstance(found, Failure) else None

    def _fires(self, neuron: RunNeuron, width: int) -> StyledLine:
        token = fit(one_line(neuron.token).strip() or "␣", 16)
        line = self.line().add(" fires most ", "dim").add(f"{neuron.peak:.3g}", "strong")
        line.add(f" at {token}", "text").add(f" (prompt {neuron.example + 1}, token {neuron.position + 1})", "dim")
        words = f", {neuron.peak_other:.3g} on the other side; differs by {neuron.difference:.3g}"
        return line.add(fit(words, width - line.width - 1), "dim")

    def _writes(self, title: str, tokens: Sequence[tuple[str, float]], ink: str, width: int) -> StyledLine:
        line = self.line().add(title, "dim")
        for token, value in tokens[:_MANY]:
            text = fit(one_line(token).strip() or "␣", 16)
            number = f" {value:+.2g}"
            if line.width + cell_len(text) + len(number) + 2 > width:
                break
            line.add_styled(text, self.ink(ink) + Style()).add(f"{number}  ", "faint")
        return line
