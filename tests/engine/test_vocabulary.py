"""Examples, settings, rankings and folders: what every face relies on, without torch."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.ranking import auc, circuit_by_rank, circuit_by_softmax, ranked, strengths, ties_at_cut
from engine.catalog.local_models import bundled_folder, check_folder, find_model, model_identity
from engine.catalog.recommended_config import resolve_config
from engine.config import PUBLISHED, ProbeConfig, SAEConfig, find_recipe
from engine.errors import ConfigError, ExampleError, ModelError, PickledWeights
from engine.examples import answer_text, check_set, content_hash, read_jsonl, write_jsonl
from engine.machine.folders import find_folders
from engine.measures import DEFAULT_MEASURE, NUMBERS, find_measure, head_scores, number_of, value_of
from engine.nodes import NodeId
from engine.results import NodeScores

from ..run_parts import scores_of

GOOD = '{"prompt": "Mary and John", "polarity": "positive", "expected": " John", "foils": [" Mary"], "pair": 1}'


def head(layer: int, number: int, unique: float, share: float = 0.0, q: float | None = 1.0) -> NodeScores:
    return scores_of(layer, number, unique_positive=unique, unique_share=share, q_value=q)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ("{not json", "not JSON"),
        ('{"prompt": "a", "polarity": "neutral"}', "'neutral'"),
        ('{"prompt": "   ", "polarity": "positive"}', "empty"),
        ('{"polarity": "positive"}', "prompt"),
        ('{"prompt": "' + "x" * 300_000 + '", "polarity": "positive"}', "300000"),
        ('{"prompt": 3, "polarity": "positive"}', "str"),
    ],
)
def test_a_bad_line_is_named(bad: str, word: str) -> None:
    text = "\n".join([GOOD] * 6 + [bad])
    with pytest.raises(ExampleError, match=r"f\.jsonl, line 7") as caught:
        read_jsonl(text, source="f.jsonl")
    assert word in caught.value.message
    assert caught.value.hint


def test_examples_survive_their_own_file() -> None:
    examples = read_jsonl(GOOD + "\n\n" + GOOD.replace("positive", "negative").replace("1}", '"a"}'))
    assert read_jsonl(write_jsonl(examples)) == examples
    assert content_hash(examples) != content_hash(examples[::-1])


def test_one_side_alone_cannot_be_compared() -> None:
    with pytest.raises(ExampleError, match="There is no negative example, and 2 positive"):
        check_set(read_jsonl(f"{GOOD}\n" + GOOD.replace("1}", "2}")))


def test_a_crooked_pair_is_named() -> None:
    with pytest.raises(ExampleError, match="Pair 1"):
        check_set(read_jsonl(f"{GOOD}\n{GOOD}\n" + GOOD.replace("positive", "negative")))


def test_an_answer_gets_the_space_the_model_sees() -> None:
    assert answer_text("went to", "John") == " John"
    assert answer_text("went to", " John") == " John"
    assert answer_text("to the year 17", "33") == "33"
    assert answer_text("went to ", "John") == "John"


@pytest.mark.parametrize(
    "bad",
    [
        {"sae": {"n_codes": 1}},
        {"sae": {"sparsity": -1}},
        {"sae": {"steps": 0}},
        {"sae": {"learning_rate": 0}},
        {"sae": {"training_examples": 1}},
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": [-1]},
        {"position": "middle"},
        {"position": "at:x"},
        {"shuffles": -1},
        {"circuit_size": 0},
        {"theta": 2},
    ],
)
def test_settings_refuse_nonsense_at_birth_and_on_the_wire(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        msgspec.convert(bad, ProbeConfig)
    assert caught.value.hint


def test_what_a_models_folder_recommends_holds_unless_the_person_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / "m" / file).write_text("{}")
    published = ProbeConfig(sae=PUBLISHED)
    assert resolve_config(published, "m", tmp_path).sae.sparsity == 0.2
    (tmp_path / "m" / "probe_config.json").write_text('{"sparsity": 0.07}')
    assert resolve_config(published, "m", tmp_path).sae.sparsity == 0.07
    own = ProbeConfig(sae=SAEConfig(recipe="published", sparsity=0.5))
    assert resolve_config(own, "m", tmp_path).sae.sparsity == 0.5
    assert resolve_config(published, "no such model", tmp_path).sae.sparsity == 0.2
    # Under contrast lambda means the same in every model, so no folder has a say in it.
    assert resolve_config(ProbeConfig(), "m", tmp_path).sae.sparsity == 0.5


def test_the_published_recipe_is_the_published_one_lambda_aside() -> None:
    sae = find_recipe("published")
    assert (sae.n_codes, sae.steps, sae.learning_rate, sae.training_examples) == (200, 500, 1e-3, 10)
    assert sae.recipe == "published"
    assert find_recipe(None) == SAEConfig()
    with pytest.raises(ConfigError, match="'own'") as caught:
        find_recipe("own")
    assert "published" in (caught.value.hint or "")


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12))
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    true = [value for value, label in rows if label]
    false = [value for value, label in rows if not label]
    found = auc([value for value, _ in rows], [label for _, label in rows])
    if not true or not false:
        assert found is None
    else:
        wins = sum((a > b) + 0.5 * (a == b) for a in true for b in false)
        assert found == pytest.approx(wins / len(true) / len(false))


def test_ties_in_a_ranking_go_to_the_longer_contrast_then_to_the_smaller_p_then_to_the_earlier_head() -> None:
    def output(layer: int, number: int, variation: float, length: float, p: float) -> NodeScores:
        return msgspec.structs.replace(
            head(layer, number, 2), total_variation=variation, contrast_length=length, p_value=p
        )

    nodes = [
        output(1, 0, 1.0, 2.0, 0.01),
        output(0, 1, 1.0, 2.0, 0.5),
        output(0, 0, 1.0, 2.0, 0.5),
        output(1, 1, 1.0, 3.0, 1.0),
    ]
    nodes += [output(2, 0, 0.9, 9.0, 0.001), output(2, 1, 0.0, 10.0, 0.001)]
    assert [str(node.id) for node in ranked(nodes)] == ["1.1", "1.0", "0.0", "0.1", "2.0", "2.1"]
    # The AUC sees the same order, and what ties in everything but the head's number ties there, too.
    order = strengths(nodes, DEFAULT_MEASURE)
    assert order[3] > order[0] > order[1] == order[2] > order[4] > order[5]
    # Of heads that say nothing none is better than another, whatever its length.
    quiet = [output(0, number, 0.0, float(number), 1.0) for number in range(3)]
    assert len(set(strengths(quiet, DEFAULT_MEASURE))) == 1
    # A baseline that tells no head from another is not ordered by what the codes say.
    even = find_measure("baseline_linear_probe")
    assert [str(node.id) for node in ranked(nodes, even)] == ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]
    assert circuit_by_rank(nodes, 3, even) == []
    # Four heads tie at the cut of two; at four none is left outside, and what says nothing never enters.
    assert [ties_at_cut(nodes, size) for size in (2, 4, 5)] == [4, 0, 0]
    assert [str(found) for found in circuit_by_rank(nodes, 6)] == ["1.1", "1.0", "0.0", "0.1", "2.0"]


def test_runs_from_before_lengths_were_kept_are_ranked_as_they_were() -> None:
    nodes = [head(1, 0, 2, 0.5), head(0, 1, 2, 0.1), head(0, 0, 2, 0.5), head(1, 1, 3)]
    spoken = [msgspec.structs.replace(node, total_variation=0.5, contrast_length=None) for node in nodes]
    assert [str(node.id) for node in ranked(spoken)] == ["1.1", "0.0", "1.0", "0.1"]


def test_a_head_that_is_silent_throughout_is_in_no_circuit() -> None:
    silent = msgspec.structs.replace(head(0, 0, 5), total_variation=1.0, silent=1.0)
    speaking = msgspec.structs.replace(head(0, 1, 5), total_variation=0.1)
    assert circuit_by_rank([silent, speaking], 2) == [speaking.id]
    assert circuit_by_rank([silent, speaking], 2, find_measure("overlap")) == [speaking.id]


def test_the_softmax_circuit_is_those_above_theta() -> None:
    nodes = [head(0, 0, 5), head(0, 1, 0), head(1, 0, 5), head(1, 1, 0)]
    assert [str(found) for found in circuit_by_softmax(nodes)] == []
    assert [str(found) for found in circuit_by_softmax(nodes, 0.4)] == ["0.0", "1.0"]


def test_measures_without_a_field_of_their_own_are_kept_by_id() -> None:
    numbers = dict.fromkeys(NUMBERS, 0.25) | {"code_accuracy": 0.75, "p_value": None}
    kept = head_scores(NodeId(3, 1), numbers)
    assert kept.other == {"code_accuracy": 0.75, "direct_effect": 0.25}
    assert {name: number_of(kept, name) for name in NUMBERS} == numbers
    assert msgspec.json.decode(msgspec.json.encode(kept), type=NodeScores) == kept
    assert value_of(head(0, 0, 1.0), find_measure("code accuracy")) is None  # a run that did not record it


def test_folders_that_are_no_model_say_what_is_missing(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with pytest.raises(ModelError, match=r"no config\.json"):
        find_model(str(tmp_path), models)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="safetensors"):
        check_folder(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(PickledWeights, match="can run code") as caught:
        check_folder(tmp_path)
    assert "headcode models import" in caught.value.hint
    with pytest.raises(ModelError, match="no folder"):
        find_model("./nowhere", models)


def test_identity_is_of_content_not_of_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for file in ("model.safetensors", "tokenizer.json"):
            (tmp_path / name / file).write_bytes((bundled_folder() / file).read_bytes())
    assert model_identity(tmp_path / "a") == model_identity(tmp_path / "b") == model_identity(bundled_folder())
    (tmp_path / "b" / "tokenizer.json").write_text("{}")
    assert model_identity(tmp_path / "a") != model_identity(tmp_path / "b")


@pytest.mark.parametrize(
    ("prompt", "answer", "whole"),
    [
        ("37+48=", "85", "85"),
        ("from 17", "32", "32"),
        ("x =", "y", " y"),
        ("a word", "85", " 85"),
        ("x =", " 85", " 85"),
        ("1, 2,", "3", " 3"),
    ],
)
def test_an_answer_gets_a_space_where_a_word_would(prompt: str, answer: str, whole: str) -> None:
    assert answer_text(prompt, answer) == whole


def test_headcode_home_moves_every_folder(tmp_path: Path) -> None:
    places = find_folders({"HEADCODE_HOME": str(tmp_path)})
    for place in (places.store, places.models, places.activations, places.logs, places.settings, places.spool):
        assert place.is_relative_to(tmp_path)
    assert len(str(find_folders({"HEADCODE_HOME": "/" + "x" * 200}).socket)) < 100


@pytest.mark.parametrize(
    ("home", "named"),
    [
        ("/tmp/what?/home", "'?'"),
        ("/tmp/a\\b", "'\\'"),
        ("/tmp/caf\udce9", "the byte 0xe9, which is not UTF-8 text,"),
        ("~/?", "'?'"),
    ],
)
def test_a_home_that_no_store_can_have_names_the_character(home: str, named: str) -> None:
    with pytest.raises(ConfigError) as found:
        find_folders({"HEADCODE_HOME": home})
    assert f"and {named} cannot be in the path of a store" in found.value.message
    assert "HEADCODE_HOME" in found.value.hint


@pytest.mark.parametrize("home", ["/tmp/a b", "/tmp/é日\U0001f600", "/tmp/a*[b]'\";:#%&", "/tmp/a\nb"])
def test_other_homes_are_taken(home: str) -> None:
    assert find_folders({"HEADCODE_HOME": home}).store == Path(home) / "data" / "sessions.duckdb"
