"""What a run's tokenizer does to its prompts that a person would not expect, as notices: each kind once."""

from collections.abc import Iterator, Sequence

from engine.capture.head_outputs import AnswerIds
from engine.events import Notice
from engine.examples import Example
from engine.models.loading import Model


def tokenizer_notices(model: Model, examples: Sequence[Example], answers: Sequence[AnswerIds]) -> Iterator[Notice]:
    """Tokens put behind every prompt, a first token typed once more, answers that the prompt's end swallows."""
    tokens = model.tokens
    if tokens.behind:
        yield Notice(
            message=f"The tokenizer puts {_told(model, tokens.behind)} behind every text: that is left out, and every "
            "prompt is read at its own last token.",
            hint="A language model is asked for what comes next; after such a token nothing would.",
        )
    doubled = [index for index, each in enumerate(examples) if tokens.encode(each.prompt).doubled]
    if doubled:
        first = tokens.encode(examples[doubled[0]].prompt).doubled
        yield Notice(
            message=f"{len(doubled)} of {len(examples)} prompts begin with {_told(model, first)}, which the tokenizer "
            f"puts there itself; one is kept. The first is example {doubled[0] + 1}.",
            hint="Leave it out of the prompts.",
        )
    joined = [index for index, each in enumerate(answers) if each.joined]
    spaces = [index for index in joined if examples[index].prompt.endswith(" ")]
    if spaces:
        yield Notice(
            message=f"{len(spaces)} of {len(examples)} prompts end in a space that the model reads as the beginning of "
            f"the next word; the first is example {spaces[0] + 1}.",
            hint="Take the space away: the answer brings it along.",
        )
    others = [index for index in joined if index not in set(spaces)]
    if others:
        yield Notice(
            message=f"The answer {answers[others[0]].joined[0]!r} of example {others[0] + 1}"
            + (f" (and answers of {len(others) - 1} more)" if len(others) > 1 else "")
            + " makes one token with the prompt's end when both are read together; it is taken by itself.",
            hint="End the prompt where a token ends, or keep it: a model that has read the prompt goes on from there.",
        )


def _told(model: Model, ids: Sequence[int]) -> str:
    return " ".join(model.token_words(token) for token in ids)
