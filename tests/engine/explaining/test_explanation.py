"""Explanations of codes of the bundled model, checked through the model and against what must be so."""

from typing import Any

import pytest
import torch

from engine.errors import ConfigError, ModelError, NoSuchNode
from engine.explaining.columns import TokenColumn
from engine.explaining.explanation import Explainer
from engine.explaining.prompt_sets import prompt_sets
from engine.explanations import AtlasWords
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.nodes import EMBEDDING, NodeId
from engine.protocol import ExplainCode
from engine.tasks.registry import TASKS
from engine.worker.explain_code import explain_code


def frequent_code(run: Any, node: NodeId) -> int:
    codes = run.codes[0, :, run.reader().layout.index(node)]
    return int(codes[codes >= 0].mode().values)


@pytest.fixture
def explain(model: Model, finish: Any) -> Any:
    """Explains the most frequent code of a node of a run on numbers of years."""
    run = finish(TASKS["greater_than"].make(model, pairs=11, seed=0))
    explainer = Explainer(run.reader(), prompt_sets(model, run.examples, "greater_than", paired=True))

    def go(node: NodeId, code: int | None = None) -> Any:
        code = frequent_code(run, node) if code is None else code
        with torch.no_grad():
            return run, explainer, explainer.explain(node, code, seed=0)

    return go


def test_of_the_embedding_only_what_differs_matters(explain: Any) -> None:
    _, _, found = explain(EMBEDDING)
    # What the embedding writes of a token does not depend on others: shortest prompts are what differs, alone.
    of_run = [pattern for pattern in found.patterns if pattern.example is not None]
    assert of_run
    assert all(len(pattern.places) == 1 for pattern in of_run)
    assert all(pattern.places[0].own != pattern.places[0].other for pattern in of_run)
    assert found.together.precision > 0.7
    assert found.together.precision > found.frequent.predicted.precision
    # A token that is the same on both sides carries nothing of the code but its share of the scale.
    for prompt in found.salient:
        assert max(value for token, value in prompt.tokens if "|" not in token) < 0.6
        assert all(value >= 1.0 for token, value in prompt.tokens if "|" in token)


@pytest.mark.parametrize("node", [NodeId(0, 7), NodeId(3, -1)])
def test_shortest_prompts_have_the_code_and_lose_it_with_any_token(node: NodeId, explain: Any) -> None:
    run, explainer, found = explain(node)
    reader, columns = run.reader(), explainer.columns
    index = reader.layout.index(node)
    assert found.with_code == int((run.codes[0, :, index] == found.code).sum())
    for pattern in found.patterns:
        tokens = [word_token(explainer, word.token) for word in pattern.words]
        prompt = tuple(
            TokenColumn(*(None if each is None else tokens[each] for each in (place.own, place.other)))
            for place in pattern.places
        )
        without = [prompt[:place] + prompt[place + 1 :] for place in range(len(prompt))]
        pairs = [columns.pair(each) for each in (prompt, *without)]
        there = [pair is not None and int(reader.codes([pair], [node])[0][0, 0]) == found.code for pair in pairs]
        assert there[0]
        # Only what differs or repeats may stay though the code does without.
        for place, kept in zip(pattern.places, there[1:], strict=True):
            words = [pattern.words[each] for each in (place.own, place.other) if each is not None]
            assert not kept or place.own != place.other or any(word.places > 1 for word in words)
        for word in pattern.words:
            assert word.kept <= word.tried
            assert word.random_kept <= word.random_tried
            assert len(word.keeps) <= word.kept


def word_token(explainer: Explainer, text: str) -> int:
    """The token of a text, which no task's prompts spell in two ways."""
    model = explainer.reader.model
    return next(token for token in range(model.info.vocabulary) if model.token_words(token) == text)


def test_the_numbers_are_what_the_patterns_say(explain: Any) -> None:
    run, _, found = explain(NodeId(0, 7))
    for each in (found.same_kind, found.contexts, found.together):
        assert each.right <= min(each.said, each.with_code)
        assert each.said <= each.prompts
    assert found.together.prompts == found.same_kind.prompts + found.contexts.prompts
    assert found.same_kind.prompts == 48
    assert any(pattern.used for pattern in found.patterns)
    assert found.passes > 0
    _, _, again = explain(NodeId(0, 7))
    unimportant = ("seconds", "passes")
    assert {name: getattr(found, name) for name in found.__struct_fields__ if name not in unimportant} == {
        name: getattr(again, name) for name in again.__struct_fields__ if name not in unimportant
    }
    assert run.config.seeds[0] == found.seed


def test_words_of_an_atlas_are_tried_and_counted(explain: Any) -> None:
    run, explainer, plain = explain(EMBEDDING)
    model = explainer.reader.model
    seen = {token for pair in explainer.sets.run for token in (*pair.own, *(pair.other or ()))}
    others = [token for token in range(model.info.vocabulary) if token not in seen and explainer.words.is_plain(token)]
    texts = [model.token_words(token) for token in others[::40]]
    atlas = AtlasWords(key="k", corpus="a text", words=(*texts, "no such token, whatever", ""))
    with torch.no_grad():
        found = explainer.explain(EMBEDDING, plain.code, seed=0, atlas=atlas)
    assert (plain.atlas_corpus, plain.atlas_words) == ("", 0)
    assert not any(word.atlas_tried for pattern in plain.patterns for word in pattern.words)
    assert (found.atlas_corpus, found.atlas_words) == ("a text", len(texts))
    pattern = found.patterns[0]
    reader, texts = run.reader(), {text.strip() for text in texts}
    (place,) = pattern.places
    for index, word in enumerate(pattern.words):
        assert 0 < word.atlas_tried <= 8
        kept = 0
        for text in texts.intersection((*word.keeps, *word.loses)):
            sides = [word_token(explainer, pattern.words[each].token) for each in (place.own, place.other)]
            here = (place.own, place.other).index(index)
            sides[here] = explainer.words.token(text, like=sides[here])
            code = int(reader.codes([explainer.columns.pair([TokenColumn(*sides)])], [EMBEDDING])[0][0, 0])
            assert (code == found.code) == (text in word.keeps)
            kept += code == found.code
        assert kept <= word.atlas_kept <= word.kept


def test_a_token_is_found_by_its_text(explain: Any) -> None:
    _, explainer, _ = explain(EMBEDDING)
    model, words = explainer.reader.model, explainer.words
    plain = [token for token in range(model.info.vocabulary) if words.is_plain(token)]
    assert [words.of_text(model.token_words(token)) for token in plain] == plain
    assert words.of_text("no such token, whatever") is None


def test_a_code_that_no_example_has_is_named(explain: Any) -> None:
    with pytest.raises(ConfigError, match=r"code 199999 of 0\.7") as refused:
        explain(NodeId(0, 7), 199999)
    assert "It has " in refused.value.hint
    with pytest.raises(NoSuchNode):
        explain(NodeId(9, 0), 1)


def test_the_worker_explains_a_code_and_keeps_what_it_read(
    model: Model, warm_model: WarmModel, finish: Any, recorder: Any
) -> None:
    run = finish(TASKS["greater_than"].make(model, pairs=6, seed=0))
    asked: dict[str, Any] = {
        "job": "x1",
        "model": "toy",
        "models": "/nowhere",
        "device": "cpu",
        "identity": model.info.identity,
        "examples": run.examples,
        "config": run.config,
        "sae": str(run.sae),
        "layer": -1,
        "head": -1,
        "code": frequent_code(run, EMBEDDING),
    }
    found = explain_code(ExplainCode(**asked), warm_model, recorder())
    assert (found.job, found.explanation.held_out) == ("x1", "examples")
    assert any("held out" in notice for notice in found.explanation.notices)
    kept = warm_model.explainer
    explain_code(ExplainCode(**asked), warm_model, recorder())
    assert warm_model.explainer is kept
    with pytest.raises(ModelError, match="other weights"):
        explain_code(ExplainCode(**{**asked, "identity": "0" * 64}), warm_model, recorder())
