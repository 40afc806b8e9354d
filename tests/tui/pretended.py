"""What an engine would answer: made up, and the same every time."""

import re
from collections.abc import Sequence

from engine.examples import Example
from engine.planning.device_memory import DeviceMemory
from engine.planning.memory_estimate import MemoryPart
from engine.planning.preflight import Preflight
from engine.planning.time_estimate import Duration
from engine.protocol import CodeWrites
from engine.results import NO_CODE, Grade, PromptTokens
from sessions.protocol import GetHeadInspection, GetPreflight, GradeExamples, Grades, HeadInspection
from sessions.rows import HeadCodes

from .recorded import model_info


def preflight_for(request: GetPreflight) -> Preflight:
    """By the number of codes: a million of them do not fit."""
    enough = request.options.config.sae.n_codes < 50_000
    weights = MemoryPart(name="weights", n_bytes=1_000_000_000)
    split = (
        DeviceMemory(name="cpu", n_bytes=2_000_000_000, free_bytes=20_000_000_000, parts=(weights,)),
        DeviceMemory(name="disk", n_bytes=1_000_000_000, free_bytes=None, parts=(weights,)),
    )
    return Preflight(
        model=request.options.model,
        n_examples=20,
        parts=(MemoryPart(name="model", n_bytes=1_500_000), MemoryPart(name="SAE", n_bytes=8_000_000)),
        peak_bytes=500_000_000 if enough else 90_000_000_000,
        held_bytes=400_000_000,
        free_bytes=20_000_000_000,
        where="",
        fits=enough,
        lower=() if enough else ("the codes from 60000 to 9000",),
        cache_bytes=30_000,
        devices=split if request.options.device_map else (),
        duration=Duration(seconds=1.2, low=1.0, high=1.4, basis="by 3 earlier runs of this model", rough=False),
    )


def grades_for(request: GradeExamples) -> Grades:
    """Words as tokens; a negative is not known, a positive is, unless it asks for something else."""
    words = [re.findall(r"\s?\S+", each.prompt) for each in request.examples]
    grades = []
    for index, example in enumerate(request.examples):
        verdict = "broken" if "broken" in example.prompt else "weak" if "weak" in example.prompt else "ok"
        grade = Grade(
            index=index,
            verdict=verdict,
            reason={"ok": "as it should be", "weak": "half known", "broken": "not known at all"}[verdict],
            n_tokens=len(words[index]),
            probability=0.9 if example.positive else 0.1,
            rank=1 if example.positive else 7,
            says=" John",
            says_probability=0.9,
            better_prompt=example.prompt.rstrip() if example.prompt.endswith(" ") else "",
        )
        grades.append(grade)
    last = request.position == "last"
    tokens = tuple(
        PromptTokens(texts=tuple(each), read=tuple(not last or word is each[-1] for word in each)) for each in words
    )
    return Grades(model=model_info(6, 8), grades=tuple(grades), tokens=tokens)


def look_at(request: GetHeadInspection, examples: Sequence[Example], codes: HeadCodes) -> HeadInspection:
    """A head that fires and attends in steps; each code writes words of its own."""
    tokens = tuple(f"{word} " for word in examples[request.example].prompt.split())
    code = codes.codes[request.example]
    others = sorted(set(codes.codes) - {code, NO_CODE})
    return HeadInspection(
        model=model_info(6, 8),
        tokens=tokens,
        skipped=0,
        strength=tuple(float(place % 5) for place in range(len(tokens))),
        attention=tuple(
            tuple(1.0 if key == query else 0.0 for key in range(query + 1)) for query in range(len(tokens))
        ),
        code=code,
        writes=tuple(
            CodeWrites(
                code=each,
                raises=((f" up{each}", 2.0), (" more", 1.0)),
                lowers=((f" down{each}", -2.0),),
                along=tuple(0.5 for _ in tokens),
            )
            for each in ([code] if code != NO_CODE else []) + others
        ),
    )
