"""Notices about what the tokenizer does to a run's prompts; each kind once."""

from collections.abc import Iterator, Sequence

from engine.capture.prompts import AnswerIds
from engine.events import Notice
from engine.examples import Example
from engine.models.loading import Model


def tokenizer_notices(model: Model, examples: Sequence[Example], answers: Sequence[AnswerIds]) -> Iterator[Notice]:
    """Yield notices on added end tokens, doubled first tokens, and answers merged with the prompt's end."""
    tokens = model.tokens
    if tokens.behind:
        yield Notice(
            message=f"The tokenizer adds {_token_list(model, tokens.behind)} after every text: it is left out; every "
            "prompt is read at its own last token.",
            hint="A language model predicts the next token; after such an end token there is none.",
        )
    doubled = [index for index, each in enumerate(examples) if tokens.encode(each.prompt).doubled]
    if doubled:
        first = tokens.encode(examples[doubled[0]].prompt).doubled
        yield Notice(
            message=f"{len(doubled)} of {len(examples)} prompts begin with {_token_list(model, first)}; the tokenizer "
            f"adds it itself: one is kept. The first is example {doubled[0] + 1}.",
            hint="Leave it out of the prompts.",
        )
    joined = [index for index, each in enumerate(answers) if each.joined]
    spaces = [index for index in joined if examples[index].prompt.endswith(" ")]
    if spaces:
        yield Notice(
            message=f"{len(spaces)} of {len(examples)} prompts end in a space that the model reads as the beginning of "
            f"the next word; the first is example {spaces[0] + 1}.",
            hint="Remove the space: the answer brings its own.",
        )
    others = [index for index in joined if index not in set(spaces)]
    if others:
        yield Notice(
            message=f"The answer {answers[others[0]].joined[0]!r} of example {others[0] + 1}"
            + (f" (and answers of {len(others) - 1} more)" if len(others) > 1 else "")
            + " makes one token with the prompt's end when both are read together; it is tokenized by itself.",
            hint="End the prompt at a token's end, or keep it: a model that has read the prompt continues from there.",
        )


def _token_list(model: Model, ids: Sequence[int]) -> str:
    return " ".join(model.token_words(token) for token in ids)
