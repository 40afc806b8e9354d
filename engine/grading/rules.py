"""Grades: whether the model can do the positives and cannot do the negatives (docs/method.md 1)."""

from collections.abc import Sequence

from engine.capture.head_outputs import HeadOutputs
from engine.examples import Example
from engine.models.loading import Model
from engine.results import Grade, Verdict

_SURE = 0.5
_KNOWS_A_LITTLE = 0.1
_STILL_KNOWS = 0.4
"""How far above chance the answer of an ok negative may be, as a share of the way from chance to certainty."""
_KNOWS = 0.8
_WORDS = ("the", "a", "and")
_SHOWN = 48
"""Characters of a prompt's end in a reason."""


def grade_examples(model: Model, examples: Sequence[Example], reading: HeadOutputs) -> tuple[Grade, ...]:
    """Return one grade per example, in order."""
    lengths: dict[int, list[int]] = {}
    for example, n_tokens in zip(examples, reading.n_tokens, strict=True):
        if example.pair is not None:
            lengths.setdefault(example.pair, []).append(n_tokens)
    grades = []
    for index, example in enumerate(examples):
        says = model.token_words(reading.says[index])
        verdict, reason = _judge(model, example, reading, index, says)
        better = _without_space(model, example, reading, index)
        if better:
            verdict, reason = _ends_in_space(example, better, verdict, reason)
        in_pair = lengths.get(example.pair, []) if example.pair is not None else []
        graded = bool(reading.answers[index].expected)
        grades.append(
            Grade(
                index=index,
                verdict=verdict,
                reason=reason,
                n_tokens=reading.n_tokens[index],
                probability=reading.expected[index] if graded else None,
                rank=reading.rank[index] if graded else None,
                says=says,
                says_probability=reading.says_probability[index],
                equal_length=len(set(in_pair)) == 1 if len(in_pair) == 2 else None,
                better_prompt=better,
            )
        )
    return tuple(grades)


def _judge(model: Model, example: Example, reading: HeadOutputs, index: int, says: str) -> tuple[Verdict, str]:
    answers = reading.answers[index]
    if answers.not_single:
        return "broken", _not_one_token(model, example, answers.not_single[0])
    if answers.both:
        return "broken", f"{answers.both[0]!r} is expected and also a foil: remove it from one of them"
    if not answers.expected:
        return "ungraded", "no expected token: nothing to grade"
    probability, foils, rank = reading.expected[index], reading.foils[index], reading.rank[index]
    if example.positive:
        return _judge_positive(probability, foils, rank, says, reading.says_probability[index])
    above = _above_chance(probability, foils, len(answers.expected), len(answers.foils))
    if above <= _STILL_KNOWS:
        return "ok", f"the model cannot know it here: p {probability:.2f}"
    if above <= _KNOWS:
        return "weak", f"the model still leans to it: p {probability:.2f}"
    return "broken", f"the model still knows it: p {probability:.2f}; change more of the prompt"


def _not_one_token(model: Model, example: Example, text: str) -> str:
    kind = "expected" if text in example.expected else "foil"
    (answer,) = model.tokens.answers(example.prompt, [text])
    if not answer.ids:
        return f"{kind} {text!r} is not a token of this model: use another word"
    pieces = [model.token_words(token) for token in answer.ids]
    listed = ", ".join(repr(piece) for piece in pieces)
    # Where the model has no word that begins so, its first piece is only the space.
    typed = model.tokens.typed(example.prompt, answer.ids[0]) if pieces[0].strip() else None
    way = "use another word"
    if typed is not None:
        way = "use the first of them, or another word"
        if typed != pieces[0].strip(" "):
            way = f"use the first of them, written {typed}, or another word"
    return f"{kind} {text!r} is not one token but {listed}: {way}"


def _without_space(model: Model, example: Example, reading: HeadOutputs, index: int) -> str:
    """Return the prompt without its final space, if the model's own next word would begin with that space; else ""."""
    trimmed = example.prompt.rstrip(" ")
    if trimmed == example.prompt or not trimmed:
        return ""
    answers = reading.answers[index]
    if example.expected or example.foils:
        return trimmed if answers.joined else ""
    # Without answers any word shows whether the vocabulary has words that begin with a space.
    return trimmed if any(each.joined for each in model.tokens.answers(example.prompt, _WORDS)) else ""


def _ends_in_space(example: Example, better: str, verdict: Verdict, reason: str) -> tuple[Verdict, str]:
    end = better if len(better) <= _SHOWN else "\N{HORIZONTAL ELLIPSIS}" + better[1 - _SHOWN :]
    why = f"the prompt ends in a space, which the model reads as the start of the next word: end it {end!r}"
    if verdict == "ok" and not example.positive:
        return "weak", why  # the model may know the answer without the space
    if verdict in ("ok", "ungraded"):
        return verdict, f"{reason}; {why}"
    return verdict, why


def _judge_positive(
    probability: float, foils: float, rank: int, says: str, says_probability: float
) -> tuple[Verdict, str]:
    if rank == 1 or probability >= _SURE:
        return "ok", f"the model knows it: p {probability:.2f}"
    instead = f"it says {says!r} (p {says_probability:.2f})"
    if probability >= _KNOWS_A_LITTLE or (rank <= 10 and probability > foils):
        return "weak", f"rank {rank}, p {probability:.2f}: {instead}"
    return "broken", f"the model does not know it (rank {rank}, p {probability:.3f}): {instead}"


def _above_chance(probability: float, foils: float, n_expected: int, n_foils: int) -> float:
    """Return how far the answer is above chance: 0 at chance, 1 at certainty.

    With foils, chance is the share of expected among expected and foils; without, it is probability zero.
    """
    both = probability + foils
    if not n_foils or both <= 0:
        return probability
    chance = n_expected / (n_expected + n_foils)
    # An answer of almost no probability is not known, however that splits between expected and foils.
    return min(1.0, (probability / both - chance) / (1 - chance)) * min(1.0, both / _KNOWS_A_LITTLE)
