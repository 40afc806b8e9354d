"""Prompts and answers in tokens, and the positions at which nodes are read."""

import msgspec

from engine.errors import ConfigError, ExampleError
from engine.examples import Example
from engine.models.loading import Model

_OTHER_TOKENIZER = "Leave it out, or give the model its own tokenizer: this one has more tokens than the model."


class AnswerIds(msgspec.Struct, frozen=True, kw_only=True):
    """The token ids of an example's expected answers and foils, and the texts that are not a single token."""

    expected: tuple[int, ...]
    foils: tuple[int, ...]
    not_single: tuple[str, ...]
    both: tuple[str, ...] = ()
    """Foils that are also expected: they are dropped as foils, as an answer cannot be measured against itself."""
    joined: tuple[str, ...] = ()
    """Texts whose beginning merges with the prompt's last token; tokenized by themselves (engine.models.tokens)."""


def encode_prompt(model: Model, index: int, example: Example) -> tuple[list[int], list[bool]]:
    """Return the prompt's tokens and which are its own. Raises ExampleError for a prompt the model cannot read."""
    ids, own = model.encode(example.prompt)
    begins = example.prompt[:40]
    unknown = model.unknown_token(ids)
    if unknown is not None:
        raise ExampleError(f"Example {index + 1} ({begins!r}) has {unknown}.", hint=_OTHER_TOKENIZER)
    if len(ids) > model.info.context:
        raise ExampleError(
            f"Example {index + 1} ({begins!r}...) has {len(ids)} tokens; {model.info.name} reads {model.info.context}.",
            hint="Shorten the prompt, or choose a model with a longer context.",
        )
    if not any(own):
        raise ExampleError(f"Example {index + 1} ({begins!r}) has no token of its own.", hint="Write a word.")
    return ids, own


def answers_of(model: Model, example: Example) -> AnswerIds:
    """Return the example's answers in tokens. Raises ExampleError for a token without an embedding."""
    not_single: list[str] = []
    joined: list[str] = []
    texts = (*example.expected, *example.foils)
    tokens = dict(zip(texts, model.tokens.answers(example.prompt, texts), strict=True))

    def ids(texts: tuple[str, ...]) -> dict[int, str]:
        found: dict[int, str] = {}
        for text in texts:
            answer = tokens[text]
            if answer.joined:
                joined.append(text)
            unknown = model.unknown_token(answer.ids)
            if unknown is not None:
                raise ExampleError(f"The answer {text!r} has {unknown}.", hint=_OTHER_TOKENIZER)
            if len(answer.ids) != 1:
                not_single.append(text)
            else:
                found.setdefault(answer.ids[0], text)
        return found

    expected, foils = ids(example.expected), ids(example.foils)
    return AnswerIds(
        expected=tuple(expected),
        foils=tuple(token for token in foils if token not in expected),
        not_single=tuple(not_single),
        both=tuple(text for token, text in foils.items() if token in expected),
        joined=tuple(joined),
    )


def position_weights(model: Model, index: int, ids: list[int], own: list[bool], policy: str) -> list[float]:
    """Return the weight of each position in the head's vector; the weights of one example sum to 1."""
    places = [place for place, is_own in enumerate(own) if is_own]
    if policy == "mean":
        return [1.0 / len(places) if is_own else 0.0 for is_own in own]
    if policy == "last":
        chosen = places[-1]
    elif policy.startswith("at:"):
        wanted = int(policy[3:])
        if not -len(places) <= wanted < len(places):
            raise ConfigError(
                f"position={policy!r}: example {index + 1} has {len(places)} tokens.",
                hint=f"Use at:{-len(places)} to at:{len(places) - 1}, mean or last.",
            )
        chosen = places[wanted]
    else:
        text = policy.removeprefix("token:")
        matching = [place for place in places if model.token_text(ids[place]) == text]
        matching = matching or [place for place in places if model.token_text(ids[place]).strip() == text.strip()]
        if not matching:
            seen = ", ".join(repr(model.token_text(ids[place])) for place in places[:12])
            raise ConfigError(
                f"position={policy!r}: no token {text!r} in example {index + 1}.", hint=f"Its tokens begin {seen}."
            )
        chosen = matching[-1]
    return [1.0 if place == chosen else 0.0 for place in range(len(ids))]
