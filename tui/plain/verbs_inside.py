"""Verbs that look inside nodes: places, the grid, neurons, through whom a node acts, nodes turned off."""

from engine.nodes import NodeId, parse_node
from sessions.protocol import Ablation, GetAblation, GetMlp, GetThrough, MlpInspection, Places, StreamGrid, Through
from tui.output.effects import format_signed
from tui.output.node_parts import ablation_lines, next_token_rows, through_rows
from tui.output.places import format_token
from tui.plain.workbench import PlainWorkbench
from tui.state.node_parts import parts_config, places_request
from tui.state.stream_grid import GridState
from tui.state.switched_off import SWITCH_KINDS, SwitchState
from tui.terminal.sanitize import clean

_FEW = 10


class InsideVerbs:
    """Verbs that ask the model; each prints its result. Nothing is recorded."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.state, self.link = plain, plain.state, plain.link

    def _node(self, text: str, verb: str, kind: str = "") -> NodeId | None:
        """Return the named node, else the one at hand; None after refusing what is no node of that kind."""
        node = parse_node(text) if text else self.state.cursor
        if node is None or (kind and node.kind != kind):
            example = "m2, an MLP" if kind else "1.3, m2 or emb"
            self.plain.refuse(f"{verb} {text or node}: give a node like {example}.")
            return None
        return node

    async def do_places(self, rest: str) -> None:
        run, node = self.plain.run_for("close_up"), self._node(rest, "places")
        request = None if node is None else places_request(run, node)
        if request is None:
            return
        found = await self.link.ask(request, Places)
        self.plain.tell([f"note: {clean(notice)}" for notice in found.how.notices])
        self.plain.say(f"{node} replaced at one token alone, {found.how.metric}, {len(found.prompts)} prompts:")
        for each in found.prompts:
            changed = [
                f"{place + 1} {_word(token)} {format_signed(effect)}"
                for place, (token, effect) in enumerate(zip(each.tokens, each.effects, strict=True))
                if effect
            ]
            words = ", ".join(changed) or "no effect at any token"
            self.plain.say(f"example {each.example + 1}, base {each.base:.3g}: {words}")

    async def do_grid(self, _: str) -> None:
        self.plain.run_for("stream_grid")
        grid = GridState(self.state)
        requests = grid.requests
        told = 0
        for number, request in enumerate(requests, start=1):
            if request not in self.state.parts.answers:
                self.state.parts.end(request, await self.link.ask(request, StreamGrid))
            if number == len(requests) or number * 4 // len(requests) > told:
                told = number * 4 // len(requests)
                self.plain.say(f"{number} of {len(requests)} layers measured.")
        for kind in grid.kinds:
            for layer, row in enumerate(grid.rows(kind)):
                cells = [f"{-each.from_end - 1} {_word(each.token)} {format_signed(each.effect)}" for each in row or ()
                         if each.effect]  # fmt: skip
                self.plain.say(f"{kind}, layer {layer}: {', '.join(cells) or 'no effect'}")

    async def do_neurons(self, rest: str) -> None:
        run, node = self.plain.run_for("close_up"), self._node(rest, "neurons", "mlp")
        if node is None:
            return
        request = GetMlp(run=run.run_id, layer=node.layer, exact=_FEW, config=parts_config(run))
        found = await self.link.ask(request, MlpInspection)
        self.plain.say(f"{node}: the first {_FEW} of {found.n_neurons} neurons by attribution, base {found.base:.3g}.")
        for each in found.neurons[:_FEW]:
            exact = "" if each.effect is None else f", exactly {format_signed(each.effect)}"
            writes = f"raises {_few(each.raises)}; lowers {_few(each.lowers)}"
            fires = f"fires {each.peak:.3g} at {_word(each.token)} of example {each.example + 1}"
            self.plain.say(f"neuron {each.neuron}: {format_signed(each.attribution)}{exact}; {fires}; {writes}")

    async def do_through(self, rest: str) -> None:
        run, node = self.plain.run_for("close_up"), self._node(rest, "through")
        if node is None:
            return
        request = GetThrough(run=run.run_id, node=str(node), config=parts_config(run))
        found = await self.link.ask(request, Through)
        self.plain.say(
            f"{node} acts through {len(found.through)} later nodes, base {found.base:.3g}, exact, each alone:"
        )
        for name, effect, error in through_rows(found, _FEW):
            self.plain.say(f"{name}: {effect}" + (f", error {error}" if error else ""))

    async def do_off(self, rest: str) -> None:
        run, switch = self.plain.run_for("switch_off"), SwitchState(self.state)
        words = rest.split()
        kinds = [kind for kind in SWITCH_KINDS if kind in words]
        numbers = [int(word) for word in words if word.isascii() and word.isdecimal()]
        if len(kinds) > 1 or len(numbers) > 1 or len(kinds) + len(numbers) != len(words):
            self.plain.refuse(f"off {rest}: give pair, mean or zero, and the number of an example.")
            return
        request = GetAblation(
            run=run.run_id,
            nodes=tuple(map(str, switch.nodes)),
            example=numbers[0] - 1 if numbers else switch.example,
            replacement=kinds[0] if kinds else "auto",
        )
        found = await self.link.ask(request, Ablation)
        self.plain.tell([clean(line) for line in ablation_lines(found)])
        for token, before, rank, after, rank_after, change in next_token_rows(found):
            self.plain.say(f"{clean(token)}: {before} {rank} before, {after} {rank_after} after, {change}")


def _word(token: str) -> str:
    return clean(format_token(token).strip() or repr(token))


def _few(tokens: tuple[tuple[str, float], ...]) -> str:
    return ", ".join(_word(token) for token, _ in tokens[:3])
