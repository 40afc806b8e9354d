"""Build a run in which every foreign text is the same given one."""

from typing import Any

from engine.events import ExamplesMade, Graded, ModelReady, Notice, ReferenceKnown
from engine.examples import Example
from engine.results import Grade, ModelInfo, Reference, Versions

from .visits import whole


def hostile_run(recorded: Any, text: str) -> list[Any]:
    """The events of a finished run with edges and a card."""
    examples = tuple(
        Example(prompt=text + f" {index}", polarity=polarity, expected=(text,), foils=(text, text), pair=index // 2)
        for index, polarity in enumerate(("positive", "negative") * 3)
    )
    events = whole(recorded, examples=examples)
    grade = {"verdict": "weak", "reason": text, "n_tokens": 9, "probability": 0.3, "rank": 2, "says": text}
    info = {"identity": "a" * 64, "n_layers": 6, "n_heads": 8, "d_model": 8, "d_head": 1, "context": 8, "vocabulary": 9}
    for index, event in enumerate(events):
        match event:
            case Graded():
                events[index] = Graded(grades=tuple(Grade(index=i, **grade) for i in range(6)))
            case ExamplesMade():
                events[index] = ExamplesMade(examples=examples, content_hash="c", task=text, made=True)
            case ReferenceKnown():
                events[index] = ReferenceKnown(reference=Reference(name=text, source=text, heads=recorded.known))
            case ModelReady():
                versions = Versions(headcode=text, python=text, torch=text, transformer_lens=text, device=text)
                events[index] = ModelReady(model=ModelInfo(name=text, **info), versions=versions, warm=True)
    return [*events[:-1], Notice(message=text, hint=text), events[-1]]
