"""Explain a code of a run: shorten prompts that have it, try other words, and predict it on prompts kept aside."""

import random
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec
import torch

from engine.capture.code_reader import CodeReader, TokenPair
from engine.errors import ConfigError
from engine.explaining.alternatives import ReadTokens
from engine.explaining.columns import Columns, TokenColumn
from engine.explaining.matching import Filling, Matcher
from engine.explaining.patterns import Pattern
from engine.explaining.prediction import best_threshold, frequent_token, judge, quality, telling_token
from engine.explaining.prompt_sets import PromptSets
from engine.explaining.shortening import shorten
from engine.explaining.ties import Ties
from engine.explaining.trials import Trial, WordSources, try_words
from engine.explaining.words import Words
from engine.explanations import (
    AtlasWords,
    CodeExplanation,
    ExplainedPattern,
    PatternPlace,
    PatternWord,
    Predicted,
    SalientPrompt,
    TokenRule,
)
from engine.nodes import NodeId
from engine.results import NO_CODE

_MOST_SHOWN = 12
"""Words listed of those that keep the code, and of those that lose it."""
_DIGITS = 4
_MATTERS = 0.01
"""Gain in quality below which a further pattern is not used."""
_SALIENT = 2
"""Examples of the run whose tokens' saliency is measured."""


class Found(msgspec.Struct):
    """A pattern, its trials, and what it says of the prompts that are learnt from."""

    matcher: Matcher
    trials: list[Trial]
    example: int | None
    said: list[bool]
    used: bool = False


class PromptCodes(NamedTuple):
    """Prompts, and the codes of all nodes on them."""

    prompts: list[tuple[TokenColumn, ...]]
    codes: torch.Tensor
    """[prompt, node]"""
    latents: torch.Tensor
    """[prompt, node]: the latent of that code."""


class Having(NamedTuple):
    """Prompts, which of them have a code of a node, and how large the largest latent is."""

    prompts: list[tuple[TokenColumn, ...]]
    has: list[bool]
    latents: list[float]

    def taken(self, rows: Collection[int]) -> "Having":
        return Having(
            [self.prompts[row] for row in rows], [self.has[row] for row in rows], [self.latents[row] for row in rows]
        )

    def joined(self, more: "Having") -> "Having":
        return Having(self.prompts + more.prompts, self.has + more.has, self.latents + more.latents)


class Explainer:
    """Explains codes of one run and seed. The codes of all nodes on all prompts are read once."""

    def __init__(self, reader: CodeReader, sets: PromptSets) -> None:
        self.reader, self.sets = reader, sets
        self.columns = Columns(reader.model, paired=reader.pairs_needed)
        self.words = Words(reader.model)
        self._nodes = reader.layout.ids
        self._read: dict[str, PromptCodes] = {}
        self.passes = 0

    def explain(
        self, node: NodeId, code: int, *, seed: int, atlas: AtlasWords | None = None, most_patterns: int = 4
    ) -> CodeExplanation:
        """Return the explanation. Raises NoSuchNode, Cancelled, and ConfigError for a code that no example has."""
        begun, before = time.perf_counter(), self.passes
        self.reader.layout.check(node)
        run, has, latents = of_run = self._of("run", node, code)
        if not any(has):
            raise ConfigError(f"No example of the run has code {code} of {node}.", hint=self._there(node))
        work = _Code(self, node, code, atlas)
        rows = dict(enumerate(self.sets.learn_from))
        learnt = of_run.taken(rows.values())
        for name in ("learn", "learn_others"):
            learnt = learnt.joined(self._of(name, node, code))
        prompts, truth = learnt.prompts, learnt.has
        found = work.patterns(learnt, rows, most_patterns)
        _choose(found, truth)

        same, contexts = (self._judge(name, node, code, found) for name in ("judge", "judge_others"))
        frequent, telling = (
            self._token_rule(pick([self._own(each) for each in prompts], truth), node, code)
            for pick in (frequent_token, telling_token)
        )
        return CodeExplanation(
            layer=node.layer,
            head=node.head,
            code=code,
            seed=seed,
            paired=self.columns.paired,
            examples=len(run),
            with_code=sum(has),
            patterns=tuple(work.described(each, run, has) for each in found),
            salient=work.salient(run, has, latents),
            held_out=self.sets.held_out,
            same_kind=same,
            contexts=contexts,
            together=_both(same, contexts),
            frequent=frequent,
            best_token=telling,
            passes=self.passes - before,
            seconds=round(time.perf_counter() - begun, 3),
            notices=self._notices(same),
            atlas_key="" if atlas is None else atlas.key,
            atlas_corpus="" if atlas is None else atlas.corpus,
            atlas_words=len(work.atlas),
        )

    def codes_of_run(self, node: NodeId) -> list[int]:
        """Return the node's code on every example of the run."""
        return self.codes_of("run").codes[:, self._nodes.index(node)].tolist()

    def codes_of(self, name: str) -> PromptCodes:
        """Return the codes on a set of prompts (a field of PromptSets), read once. Raises Cancelled."""
        if name not in self._read:
            pairs: Sequence[TokenPair] = getattr(self.sets, name)
            codes, latents = self.reader.codes(pairs, self._nodes)
            self._read[name] = PromptCodes([self.columns.of(each) for each in pairs], codes, latents)
            self.passes += len(pairs)
        return self._read[name]

    def _of(self, name: str, node: NodeId, code: int) -> Having:
        """Return the prompts of a set, and which of them have the code."""
        read, index = self.codes_of(name), self._nodes.index(node)
        return Having(read.prompts, (read.codes[:, index] == code).tolist(), read.latents[:, index].tolist())

    def _own(self, columns: Sequence[TokenColumn]) -> list[int]:
        return [column.own for column in columns if column.own is not None]

    def _judge(self, name: str, node: NodeId, code: int, found: Sequence[Found]) -> Predicted:
        prompts, truth, _ = self._of(name, node, code)
        used = [each.matcher for each in found if each.used]
        return judge([any(each.matches(columns) for each in used) for columns in prompts], truth)

    def _token_rule(self, token: int | None, node: NodeId, code: int) -> TokenRule:
        said, truth = [], []
        for name in ("judge", "judge_others"):
            prompts, has, _ = self._of(name, node, code)
            said += [token in self._own(columns) for columns in prompts]
            truth += has
        text = "" if token is None else self.reader.model.token_words(token)
        return TokenRule(token=text, predicted=judge(said, truth))

    def _there(self, node: NodeId) -> str:
        codes = sorted({each for each in self.codes_of_run(node) if each != NO_CODE})
        return f"It has {', '.join(map(str, codes[:20]))}." if codes else f"{node} is silent on all of them."

    def _notices(self, same: Predicted) -> tuple[str, ...]:
        found = []
        if self.sets.held_out == "examples":
            found.append("No task made the examples: half of them are held out, and nothing is learnt from those.")
        if not same.with_code:
            found.append("No held-out prompt of this kind has the code: nothing can be said of recall.")
        return tuple(found)


class _Code:
    """One code of one node."""

    def __init__(self, explainer: Explainer, node: NodeId, code: int, atlas: AtlasWords | None) -> None:
        self.explainer, self.node, self.code = explainer, node, code
        self.reads = ReadTokens(explainer.reader.model, node)
        of_texts = map(explainer.words.of_text, () if atlas is None else atlas.words)
        self.atlas = tuple(dict.fromkeys(token for token in of_texts if token is not None))
        """Tokens that the node has to do with in ordinary text."""
        self._known: dict[TokenPair, tuple[float, float]] = {}

    def patterns(self, learnt: Having, rows: Mapping[int, int], most: int) -> list[Found]:
        """Return patterns of prompts with the code that no pattern before was in. `rows`: the run's, by number."""
        prompts, truth, latents = learnt
        explainer = self.explainer
        sources = WordSources(
            reads=self.reads,
            seen=tuple(sorted({token for each in prompts for column in each for token in column if token is not None})),
            seen_there=tuple(
                sorted(
                    {token for each in prompts for column in each if column.differs for token in column if token}
                    if explainer.columns.paired
                    else ()
                )
            ),
            vocabulary=explainer.reader.model.info.vocabulary,
            atlas=self.atlas,
        )
        having = [at for at, has in enumerate(truth) if has]
        # The run's own examples first, the largest latent first.
        order = sorted(having, key=lambda at: (at not in rows, -latents[at]))
        ties = Ties(prompts, truth, explainer.words)
        found: list[Found] = []
        covered: set[int] = set()
        for at in order:
            if len(found) == most:
                break
            if at in covered:
                continue
            source = random.Random(f"{self.node} {self.code} {len(found)}")
            short = shorten(prompts[at], self.margins, ties.allows)
            pattern = Pattern(
                short.columns, explainer.words, anchored=explainer.reader.config.position in ("last", "at:-1")
            )
            trials = try_words(pattern, self.margins, explainer.words, sources, source)
            fillings = [Filling(tuple(pattern.tokens), True), *(Filling(each.tokens, each.kept) for each in trials)]
            matcher = Matcher(pattern, fillings, self.reads).with_prompts(prompts, truth)
            scores = [matcher.best(columns, without=number)[0] for number, columns in enumerate(prompts)]
            matcher.threshold, _ = best_threshold(scores, truth, -1.0)
            said = [score >= matcher.threshold for score in scores]
            covered |= {each for each in having if said[each]} | {at}
            found.append(Found(matcher=matcher, trials=trials, example=rows.get(at), said=said))
        return found

    def described(self, found: Found, run: Sequence[tuple[TokenColumn, ...]], has: Sequence[bool]) -> ExplainedPattern:
        pattern = found.matcher.pattern
        there = [found.matcher.matches(columns) for columns in run]
        (latent, _), *_ = self._measured([pattern.columns])
        return ExplainedPattern(
            words=tuple(self._word(found, index) for index in range(len(pattern.tokens))),
            places=tuple(
                PatternPlace(own=slot.own, other=slot.other, saliency=saliency)
                for slot, saliency in zip(pattern.slots, self.saliency(pattern.columns), strict=True)
            ),
            example=found.example,
            covers=sum(one and other for one, other in zip(there, has, strict=True)),
            wrong=sum(one and not other for one, other in zip(there, has, strict=True)),
            latent=round(latent, _DIGITS),
            used=found.used,
        )

    def salient(
        self, run: Sequence[tuple[TokenColumn, ...]], has: Sequence[bool], latents: Sequence[float]
    ) -> tuple[SalientPrompt, ...]:
        """Return the examples with the largest latents, and how much each of their tokens matters."""
        having = [row for row, each in enumerate(has) if each]
        best = sorted(having, key=lambda row: -latents[row])[:_SALIENT]
        found = []
        for row in best:
            texts = [self._text(column) for column in run[row]]
            found.append(SalientPrompt(example=row, tokens=tuple(zip(texts, self.saliency(run[row]), strict=True))))
        return tuple(found)

    def saliency(self, columns: tuple[TokenColumn, ...]) -> list[float]:
        """Return per column which share of the latent is lost without it; above 1 if another code takes its place."""
        without = [columns[:place] + columns[place + 1 :] for place in range(len(columns))]
        (whole, _), *others = self._measured([columns, *without])
        found = []
        for latent, margin in others:
            lost = 1 - latent / whole if whole > 0 else 0.0
            found.append(round(lost if margin > 0 else max(lost, 1.0), _DIGITS))
        return found

    def margins(self, prompts: Sequence[tuple[TokenColumn, ...]]) -> list[float]:
        return [margin for _, margin in self._measured(prompts)]

    def _measured(self, prompts: Sequence[tuple[TokenColumn, ...]]) -> list[tuple[float, float]]:
        """Return the code's latent on each prompt and by how much it exceeds all others; a margin of 0: no code."""
        pairs = [self.explainer.columns.pair(each) for each in prompts]
        new = list(dict.fromkeys(each for each in pairs if each is not None and each not in self._known))
        latents = self.explainer.reader.latents(new, self.node)
        own = latents[:, self.code].clone()
        latents[:, self.code] = 0.0
        others = latents.max(dim=1).values if len(new) else own
        for pair, latent, other in zip(new, own.tolist(), others.tolist(), strict=True):
            # Of equal latents the first is the code.
            self._known[pair] = latent, latent - other if latent > 0 else min(0.0, latent - other)
        self.explainer.passes += len(new)
        return [(0.0, -1.0) if each is None else self._known[each] for each in pairs]

    def _word(self, found: Found, index: int) -> PatternWord:
        pattern = found.matcher.pattern
        alone = [each for each in found.trials if each.changed == index]
        first = pattern.tokens[index]
        vectors = self.reads.vectors([first, *(each.tokens[index] for each in alone)])
        alike = (vectors[1:] @ vectors[0]).tolist()
        ranked = [each for _, each in sorted(zip(alike, alone, strict=True), key=lambda each: -each[0])]
        texts: dict[bool, list[str]] = {True: [], False: []}
        for each in ranked:
            texts[each.kept].append(self._word_text(each.tokens[index]))
        drawn, of_atlas = ([each for each in alone if each.source == name] for name in ("vocabulary", "atlas"))
        return PatternWord(
            token=self.explainer.reader.model.token_words(first),
            places=sum((slot.own == index) + (slot.other == index and slot.differs) for slot in pattern.slots),
            tried=len(alone),
            kept=sum(each.kept for each in alone),
            random_tried=len(drawn),
            random_kept=sum(each.kept for each in drawn),
            keeps=tuple(texts[True][:_MOST_SHOWN]),
            loses=tuple(texts[False][:_MOST_SHOWN]),
            atlas_tried=len(of_atlas),
            atlas_kept=sum(each.kept for each in of_atlas),
        )

    def _word_text(self, token: int) -> str:
        return self.explainer.reader.model.token_words(token).strip()

    def _text(self, column: TokenColumn) -> str:
        words = self.explainer.reader.model.token_words
        own = "" if column.own is None else words(column.own)
        if not column.differs:
            return own
        return f"{own}|{'' if column.other is None else words(column.other).strip()}"


def _choose(found: list[Found], truth: Sequence[bool]) -> None:
    """Mark the patterns that predict best together: one after another, as long as each makes it better.

    Those of the run's own examples come first; others are added to them.
    """
    best, said = 0.0, [False] * len(truth)
    for own in (True, False):
        while True:
            trials = []
            for each in found:
                if not each.used and (each.example is not None) == own:
                    together = [one or other for one, other in zip(said, each.said, strict=True)]
                    trials.append((quality(judge(together, truth)), each, together))
            better = max(trials, key=lambda each: each[0], default=None)
            if better is None or better[0] <= best + _MATTERS:
                break
            best, chosen, said = better
            chosen.used = True


def _both(one: Predicted, other: Predicted) -> Predicted:
    return Predicted(**{name: getattr(one, name) + getattr(other, name) for name in Predicted.__struct_fields__})
