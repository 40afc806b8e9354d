"""Compare what is read with various tokenizers, and where, with plain transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.authoring.csv_format import read_csv, write_csv
from engine.authoring.text_format import read_line, write_line
from engine.capture.head_outputs import head_outputs, read_examples
from engine.capture.prompts import answers_of, encode_prompt
from engine.config import EffectsConfig, LoadOptions, ProbeConfig, SAEConfig
from engine.errors import ExampleError
from engine.events import EffectsMeasured, Graded, Notice, Scored
from engine.examples import Example, read_jsonl, write_jsonl
from engine.grading.grader import tokens_of
from engine.grading.rules import grade_examples
from engine.models.loading import Model, load_model
from engine.models.warm_model import WarmModel
from engine.protocol import RunProbe
from engine.results import Grade
from engine.tasks.base import spaced_words
from engine.worker.pipeline import ProbeJob

from ..plain import Plain, byte_level, llama, sentencepiece

QUICK = ProbeConfig(sae=SAEConfig(steps=3), seeds=(0,), shuffles=0, bootstraps=1, cause=EffectsConfig(method="exact"))
POSITIVE, NEGATIVE = "When Mary and John left, John gave a ring to", "When Mary and John left, Paul gave a ring to"


def pair(before: str = "", after: str = "") -> tuple[Example, ...]:
    sides = ((POSITIVE, "positive"), (NEGATIVE, "negative"))
    return tuple(
        Example(prompt=before + prompt + after, polarity=side, expected=("Mary",), foils=("John",), pair=1)  # type: ignore[arg-type]
        for prompt, side in sides
    )


def loaded(folder: Path) -> Model:
    torch.set_num_threads(1)
    return load_model(str(folder), folder.parent, LoadOptions(device="cpu"))


def probed(folder: Path, examples: tuple[Example, ...], recorder: Any) -> Any:
    monitor = recorder()
    request = RunProbe(
        job="r1",
        model=str(folder),
        config=QUICK,
        examples=examples,
        spool=str(folder.parent / "spool"),
        models=str(folder.parent),
        activations="",
        device="cpu",
    )
    ProbeJob(request, WarmModel(), monitor).run()
    return monitor


def numbers(received: Any) -> tuple[Any, ...]:
    cause = received.last(EffectsMeasured)
    return received.last(Graded).grades, received.last(Scored).nodes, cause.metric, cause.base, cause.effects


def notices(received: Any) -> list[str]:
    return [event.message for event in received.events if isinstance(event, Notice)]


def by_hand(tokenizer: Any, text: str) -> list[int]:
    """The ids as anybody would write them down: <s>, then a piece a word."""
    pieces = [f"\u2581{word}" for word in text.replace(",", " ,").split()]
    return [1, *(tokenizer.convert_tokens_to_ids("," if piece == "\u2581," else piece) for piece in pieces)]


@pytest.fixture
def grade(recorder: Any) -> Callable[[Model, Example], Grade]:
    def found(model: Model, one: Example) -> Grade:
        return grade_examples(model, [one], read_examples(model, [one], ProbeConfig(), recorder(), None))[0]

    return found


@pytest.mark.parametrize("behind", [False, True])
def test_everything_is_read_at_the_prompts_own_last_token(behind: bool, tmp_path: Path, recorder: Any) -> None:
    folder = tmp_path / "model"
    llama(folder)
    tokenizer = sentencepiece(folder, behind=behind)
    received = probed(folder, pair(), recorder)
    plain, ids = Plain(folder), [by_hand(tokenizer, text) for text in (POSITIVE, NEGATIVE)]
    mary, john = (tokenizer.convert_tokens_to_ids(f"\u2581{name}") for name in ("Mary", "John"))
    assert (tokenizer(POSITIVE).input_ids[-1] == 2) is behind
    for side, grade in enumerate(received.last(Graded).grades):
        assert grade.probability == pytest.approx(float(plain.run(ids[side])[0].softmax(-1)[mary]), rel=1e-4)
        assert grade.n_tokens == len(ids[side]) - 1
    cause = received.last(EffectsMeasured)
    assert cause.metric == "logit_difference"
    for each in cause.effects:
        found = plain.effect(ids[0], ids[1], (each.layer, each.head), mary, john)
        assert each.effect == pytest.approx(found, abs=1e-4)
    assert any(abs(each.effect) > 0.01 for each in cause.effects)
    assert sum("after every text" in each for each in notices(received)) == behind


def test_a_token_put_behind_changes_no_number(tmp_path: Path, recorder: Any) -> None:
    found = []
    for behind in (False, True):
        folder = tmp_path / str(behind) / "model"
        llama(folder)
        sentencepiece(folder, behind=behind)
        found.append(numbers(probed(folder, pair(), recorder)))
    assert found[0] == found[1]


@pytest.mark.parametrize("position", ["mean", "last"])
def test_heads_are_read_where_the_prompt_is(position: str, tmp_path: Path, recorder: Any) -> None:
    llama(tmp_path)
    tokenizer = sentencepiece(tmp_path, behind=True)
    model, plain = loaded(tmp_path), Plain(tmp_path)
    reading = read_examples(model, list(pair()), ProbeConfig(position=position), recorder(), None)
    outputs = head_outputs(model, reading.z)
    _, z = plain.run(by_hand(tokenizer, POSITIVE))
    for layer, head in ((0, 1), (1, 3)):
        own = z[layer][1:, head]
        expected = plain.written(own.mean(0) if position == "mean" else own[-1], (layer, head))
        assert torch.allclose(outputs[0, layer * 4 + head], expected, atol=1e-5)


@pytest.mark.parametrize("scheme", ["prepend", "first"])
def test_an_answer_is_what_follows_the_prompt(scheme: str, tmp_path: Path) -> None:
    llama(tmp_path)
    tokenizer = sentencepiece(tmp_path, scheme=scheme)
    model = loaded(tmp_path)
    mary = tokenizer.convert_tokens_to_ids("\u2581Mary")
    for text in ("Mary", " Mary"):
        found = answers_of(model, Example(prompt=POSITIVE, polarity="positive", expected=(text,)))
        assert (found.expected, found.not_single, found.joined) == ((mary,), (), ())
    ids, own = model.encode(POSITIVE)
    assert "".join(text for text, is_own in zip(model.prompt_words(ids, own), own, strict=True) if is_own) == POSITIVE
    # The ready-made tasks ask in this way which names they may use.
    assert spaced_words(model, WORDS_AND_NOT) == ["Mary", "John"]


WORDS_AND_NOT = ("Mary", "Nebuchadnezzar", "John")


def test_an_answer_that_the_prompts_end_swallows_is_taken_by_itself_and_told(tmp_path: Path, recorder: Any) -> None:
    llama(tmp_path / "model")
    tokenizer = sentencepiece(tmp_path / "model")
    examples = [
        Example(prompt="left the shop 17", polarity=side, expected=("32",), pair=1)  # type: ignore[arg-type]
        for side in ("positive", "negative")
    ]
    assert tokenizer.tokenize("left 1732")[-1] == "\u25811732"
    found = answers_of(loaded(tmp_path / "model"), examples[0])
    assert (found.expected, found.joined) == ((tokenizer.convert_tokens_to_ids("32"),), ("32",))
    every = notices(probed(tmp_path / "model", tuple(examples), recorder))
    output = [each for each in every if "one token with" in each]
    assert len(output) == 1
    assert "'32' of example 1 (and answers of 1 more)" in output[0]


def test_behind_a_long_prompt_answers_are_the_same(tmp_path: Path) -> None:
    llama(tmp_path)
    sentencepiece(tmp_path)
    tokens = loaded(tmp_path).tokens
    long = " ".join(["When Mary and John left, the shop"] * 40)
    answers = ["Mary", "Mary John", "x", "<e6>"]
    both = [tokens.own(f"{long} {text}")[len(tokens.own(long)) :] for text in answers[:3]]
    assert [list(each.ids) for each in tokens.answers(long, answers)][:3] == both
    assert tokens.answers(long, answers) == tokens.answers(POSITIVE, answers)


def test_a_character_that_the_vocabulary_lacks_is_no_answer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    llama(tmp_path)
    made = Tokenizer(models.WordLevel({"[UNK]": 0, "Mary": 1, "gave": 2}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]").save_pretrained(tmp_path)
    found = answers_of(loaded(tmp_path), Example(prompt="Mary gave", polarity="positive", expected=("Zorbax", "Mary")))
    assert (found.expected, found.not_single) == ((1,), ("Zorbax",))


def test_a_token_without_an_embedding_is_named_before_anything_is_computed(tmp_path: Path, recorder: Any) -> None:
    folder = tmp_path / "model"
    plain = byte_level(tmp_path / "plain")
    llama(folder, vocabulary=len(plain))
    byte_level(folder, "<|speaker|>", " Quib")
    model = loaded(folder)
    spoken = pair(before="<|speaker|> ")
    with pytest.raises(ExampleError) as refused:
        probed(folder, spoken, recorder)
    for words in ("Example 1", "'<|speaker|>'", str(len(plain)), "model has embeddings"):
        assert words in refused.value.message
    with pytest.raises(ExampleError, match="' Quib'"):
        answers_of(model, Example(prompt=POSITIVE, polarity="positive", expected=(" Quib",)))
    _, flaw = tokens_of(model, spoken[0], "mean")
    assert flaw.startswith("it has the token '<|speaker|>'")
    _, flaw = tokens_of(model, Example(prompt=POSITIVE, polarity="positive", foils=(" Quib",)), "mean")
    assert flaw.startswith("The answer ' Quib' has the token")


def test_a_first_token_typed_once_more_is_one(tmp_path: Path, recorder: Any) -> None:
    folder = tmp_path / "model"
    llama(folder)
    sentencepiece(folder)
    once, twice = probed(folder, pair(), recorder), probed(folder, pair(before="<s>"), recorder)
    assert numbers(once) == numbers(twice)
    output = [each for each in notices(twice) if "<s>" in each]
    words = "2 of 2 prompts begin with <s>; the tokenizer adds it itself: one is kept. The first is example 1."
    assert output == [words]
    assert not [each for each in notices(once) if "<s>" in each]
    with pytest.raises(ExampleError, match="no token of its own"):
        encode_prompt(loaded(folder), 0, Example(prompt="<s>", polarity="positive"))


def test_a_space_at_the_end_is_named_and_the_prompt_without_it_proposed(
    tmp_path: Path, recorder: Any, grade: Callable[[Model, Example], Grade]
) -> None:
    folder = tmp_path / "model"
    byte_level(folder)
    llama(folder)
    model = loaded(folder)
    positive, negative = (grade(model, each) for each in pair(after=" "))
    assert (positive.better_prompt, negative.better_prompt) == (POSITIVE, NEGATIVE)
    assert "ends in a space" in positive.reason
    assert repr(POSITIVE) in positive.reason
    assert positive.verdict == "broken"
    assert negative.verdict != "ok"
    assert sum("2 of 2 prompts end in a space" in each for each in notices(probed(folder, pair(after=" "), recorder)))
    # Without an answer, too.
    bare = grade(model, Example(prompt=POSITIVE + " ", polarity="positive"))
    assert (bare.verdict, bare.better_prompt) == ("ungraded", POSITIVE)
    # A space that the vocabulary keeps apart from what follows is the person's own.
    kept = grade(model, Example(prompt="17 left ", polarity="positive", expected=("3",)))
    assert (kept.better_prompt, "space" in kept.reason) == ("", False)
    assert grade(model, pair()[0]).better_prompt == ""


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
def test_a_token_of_bytes_is_shown_written_and_graded(
    kind: str, tmp_path: Path, grade: Callable[[Model, Example], Grade]
) -> None:
    llama(tmp_path)
    tokenizer, piece, shown = (
        (byte_level(tmp_path), "\u00e6\u013f", "<e6 9d>")
        if kind == "byte_level"
        else (sentencepiece(tmp_path), "<0xE6>", "<e6>")
    )
    model, plain = loaded(tmp_path), Plain(tmp_path)
    prompt = "gave the ring to \u65e5\u672c"
    broken = grade(model, Example(prompt=prompt, polarity="positive", expected=("\u6771",)))
    assert broken.verdict == "broken"
    assert broken.reason.startswith(f"expected '\u6771' is not one token but '{shown}', ")
    assert broken.reason.endswith("use the first of them, or another word")
    one = Example(prompt=prompt, polarity="positive", expected=(shown,), foils=("Mary",))
    token = tokenizer.convert_tokens_to_ids(piece)
    assert answers_of(model, one).expected == (token,)
    wanted = float(plain.run(model.encode(prompt)[0])[0].softmax(-1)[token])
    assert grade(model, one).probability == pytest.approx(wanted, rel=1e-4)
    assert read_line(write_line(one)) == one
    assert read_jsonl(write_jsonl([one])) == read_csv(write_csv([one])) == (one,)


def test_a_text_in_angle_brackets_that_is_a_token_is_that_token(tmp_path: Path) -> None:
    llama(tmp_path)
    tokenizer = byte_level(tmp_path, "<dd>")
    found = answers_of(loaded(tmp_path), Example(prompt=POSITIVE, polarity="positive", expected=("<dd>", "<de>")))
    assert found.expected == tuple(tokenizer.convert_tokens_to_ids(["<dd>", "\u00de"]))
