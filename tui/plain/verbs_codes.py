"""Verbs about codes: what one answers to, and which occur together."""

from engine.nodes import parse_node
from sessions.protocol import Explained, Families, GetExplanation, GetFamilies
from tui.output.explanation import held_out, title
from tui.output.explanation_tree import share, summary, tree_rows
from tui.output.families import families_title, family_rows
from tui.plain.workbench import PlainWorkbench
from tui.terminal.sanitize import clean

_FEW = 10


class CodeVerbs:
    """Verbs that print what is known of codes; an explanation is recorded with the run."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.state, self.link = plain, plain.state, plain.link

    async def do_explain(self, rest: str) -> None:
        run, words = self.plain.run_for("close_up"), rest.split()
        node = parse_node(words[0]) if len(words) == 2 else self.state.cursor
        if node is None or not 1 <= len(words) <= 2 or not (words[-1].isascii() and words[-1].isdecimal()):
            self.plain.refuse(f"explain {rest}: give a node and a code, like 1.3 42.")
            return
        request = GetExplanation(run=run.run_id, node=str(node), code=int(words[-1]), seed=self.state.seed)
        found = await self.link.ask(request, Explained)
        explanation = found.explanation
        self.plain.tell([f"note: {clean(notice)}" for notice in explanation.notices])
        self.plain.say(clean(title(explanation, found.model.name)) + ".")
        self.plain.say("Shortest prompts that keep it, from their last token to their first:")
        for row in tree_rows(explanation):
            token = " | ".join(
                f"{text.strip()}{f' ({letter})' if letter else ''}"
                for text, letter in ((row.own, row.letter), (row.other, row.other_letter))
                if text
            )
            others = " | ".join(filter(None, (row.words, row.other_words)))
            ends = f"; {row.ends}" if row.ends else ""
            self.plain.say(clean(f"{token}: saliency {share(row.saliency)}; {others}{ends}"))
        self.plain.say(held_out(explanation) + ".")
        for name, precision, recall, counts in summary(explanation):
            self.plain.say(clean(f"{name}: precision {precision}, recall {recall}; {counts}"))

    async def do_families(self, rest: str) -> None:
        run = self.plain.run_for("close_up")
        if rest and not (rest.isascii() and rest.isdecimal() and int(rest) > 0):
            self.plain.refuse(f"families {rest}: give a number of families.")
            return
        found = await self.link.ask(GetFamilies(run=run.run_id, seed=self.state.seed), Families)
        self.plain.say(clean(families_title(found.tree, found.model.name)) + ".")
        for level in found.tree.levels:
            self.plain.say(
                f"together {share(level.level)}: {level.families} families of {level.codes} codes; by chance "
                f"{level.chance_families:.1f} of {level.chance_codes:.1f}, p {share(level.p_value)}"
            )
        for family in found.tree.families[: int(rest or _FEW)]:
            for _, (name, codes, together, explains, side, _covered, others) in family_rows(family):
                self.plain.say(
                    f"{name}, {codes} codes, together {together}: the parent explains {explains}, the side alone "
                    f"{side}; with {others}"
                )
