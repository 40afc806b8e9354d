"""The verb of the atlas: read ordinary text, and say what one node does there or which nodes were searched for."""

from engine.analysis.head_kinds import because, format_kinds, kinds_of
from engine.errors import Failure
from engine.node_atlas import ATLAS_METRICS, Atlas, AtlasContext
from engine.nodes import NodeId, parse_node
from sessions.protocol import AtlasAnswer, AtlasProgress, GetAtlas, OnPrompts, ReadOn
from tui.output.atlas import format_source
from tui.output.places import format_token
from tui.plain.workbench import PlainWorkbench
from tui.state.atlas import TOKENS, AtlasState, read_search
from tui.terminal.sanitize import clean

_FEW = 10
_CONTEXTS = 3
_WORDS = 12


class AtlasVerbs:
    """The verb that asks for the atlas of the run's model."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.state, self.link = plain, plain.state, plain.link
        self._atlas = AtlasState(self.state)

    async def do_atlas(self, rest: str) -> None:
        run = self.plain.run_for("atlas")
        if rest.strip() == "read":
            await self._read(run.run_id)
            return
        search = read_search(rest)
        node = parse_node(rest.strip()) if rest.strip() else self.state.cursor
        if search is None and node is None:
            self.plain.refuse(f"atlas {rest}: read, a node, writes TOKENS, attends TOKENS, at -N or kind NAME.")
            return
        parts, request = self.state.parts, self._atlas.request
        assert request is not None
        if not isinstance(parts.get(request, AtlasAnswer), AtlasAnswer):
            found = await self.link.ask_or_failure(request, AtlasAnswer)
            if isinstance(found, Failure):
                self.plain.refuse("there is no atlas of this model yet; atlas read reads one.")
                return
            parts.end(request, found)
        prompts = self._atlas.prompts_request
        if prompts is not None and not self._atlas.prompts:
            parts.end(prompts, await self.link.ask(prompts, OnPrompts))
        if search is None and node is not None:
            self._say_node(node)
            return
        self._atlas.search = search
        self._say_list()

    async def _read(self, run_id: str) -> None:
        request = ReadOn(run=run_id, tokens=TOKENS)
        told = 0
        while True:
            found = await self.link.ask(request, AtlasProgress)
            if found.finished or found.done * 4 // max(found.total, 1) > told:
                told = found.done * 4 // max(found.total, 1)
                self.plain.say(f"{found.done:,} of {found.total:,} tokens read.")
            if found.finished:
                break
            request = ReadOn(run=run_id, tokens=TOKENS, after=found.done)
        kept = self.state.parts.answers
        for each in [each for each in kept if isinstance(each, GetAtlas)]:
            del kept[each]

    def _say_node(self, node: NodeId) -> None:
        atlas, text, prompts = self._atlas.atlas, self._atlas.on_text(node), self._atlas.on_prompts(node)
        if atlas is None or text is None:
            self.plain.refuse(f"the atlas has no {node}.")
            return
        self.plain.say(f"{node} of {clean(format_source(atlas.model.name, atlas.source))}.")
        for kind in kinds_of(text.metrics):
            self.plain.say(f"{kind.name}, {because(kind, text.metrics)}: {kind.words}.")
        for each in self._atlas.unlike(node):
            self.plain.say(f"something else on these prompts: {each}.")
        for metric in ATLAS_METRICS:
            if metric.name in text.metrics:
                here = "" if prompts is None or metric.name not in prompts.metrics else (
                    f", on these prompts {prompts.metrics[metric.name]:.{metric.digits}f}"
                )  # fmt: skip
                self.plain.say(f"{metric.title} {text.metrics[metric.name]:.{metric.digits}f}{here}: {metric.words}.")
        for context in text.top[:_CONTEXTS]:
            self.plain.say(_context_words(atlas, context))

    def _say_list(self) -> None:
        nodes, hits = self._atlas.listed(), {hit.node: hit for hit in self._atlas.hits()}
        self.plain.say(f"{len(nodes)} nodes: {clean(str(self._atlas.search))}.")
        for node in nodes[:_FEW]:
            hit, text = hits.get(node), self._atlas.on_text(node)
            found = "" if hit is None else f" {hit.score:.3f}" + (f", {hit.strength:.2f}" if hit.strength else "")
            kinds = "" if text is None else format_kinds(text.metrics)
            self.plain.say(f"{node}{found}" + (f": {kinds}" if kinds else ""))


def _context_words(atlas: Atlas, context: AtlasContext) -> str:
    passage = [atlas.words[word] for word in atlas.passages[context.passage]]
    text = clean("".join(passage[max(context.position - _WORDS, 0) : context.position + 1]).replace("\n", " "))
    attends = ", ".join(f"{_word(passage[place])} {weight:.2f}" for place, weight in context.attends[:2])
    raises = ", ".join(_word(atlas.words[word]) for word, _ in context.raises[:3])
    return f"writes {context.norm:.1f} at the end of: {text.strip()}; attends {attends or 'nothing'}; raises {raises}"


def _word(token: str) -> str:
    return clean(format_token(token).strip() or repr(token))
