"""Effects of a node position by position, as a table and as JSON."""

import msgspec

from engine.analysis.effects import METRIC_WORDS
from engine.node_parts import MeasuredHow, PlaceEffect, PromptPlaces, mean_places
from sessions.protocol import Places
from tui.output.console import narrate, print_columns, print_line, shorten
from tui.output.effects import REPLACED, format_signed

SCHEMA = "headcode.places/1"
_BAR = 20
_TOKEN = 16


def places_json(found: Places, node: str) -> dict[str, object]:
    """Return the effects as JSON values, schema headcode.places/1: prompt by prompt, and the means from the end."""
    return {
        "schema": SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        "node": node,
        **how_json(found.how),
        "places": msgspec.to_builtins(mean_places(found.prompts)),
        "prompts": msgspec.to_builtins(found.prompts),
    }


def how_json(how: MeasuredHow) -> dict[str, object]:
    """Return how effects were measured as JSON values."""
    values: dict[str, object] = msgspec.to_builtins(how)
    return values


def print_places(found: Places, node: str, *, prompts: bool) -> None:
    """Print the mean effect at every distance from the end; `prompts`: every prompt below it."""
    for notice in found.how.notices:
        narrate(f"note: {notice}")
    base = sum(each.base for each in found.prompts) / len(found.prompts)
    print_line(f"{node} of {found.model.name}, replaced at one position alone {REPLACED[found.how.replacement]}")
    print_line(format_how(found.how, len(found.prompts), base))
    means = mean_places(found.prompts)
    unit = max((abs(each.effect) for each in means), default=0.0)
    rows = [_mean_row(each, unit) for each in means]
    header = ("from the end", "token", "replaced from", "effect", "±", "prompts", "")
    print_columns(rows, header=header, right=(0, 3, 4, 5))
    if prompts:
        for each in found.prompts:
            print_line()
            print_line(f"example {each.example + 1}, base {each.base:.3g}")
            print_columns(_prompt_rows(each), header=("position", "token", "replaced from", "effect", ""), right=(0, 3))


def format_how(how: MeasuredHow, n: int, base: float) -> str:
    """Format metric, base, number of prompts and cost."""
    of = "" if how.metric == "kl" else f", base {base:.3g}"
    sides = "pairs" if how.replacement == "pair" else "positives"
    cost = f"{how.passes:.3g} forward passes and {how.prepared:.3g} to prepare, {how.seconds:.2g} s"
    return f"{METRIC_WORDS[how.metric]}{of}, {n} {sides}; {cost}"


def _mean_row(place: PlaceEffect, unit: float) -> tuple[str, ...]:
    error = "" if place.error is None else format_signed(place.error).lstrip("+")
    more = f" +{place.tokens - 1}" if place.tokens > 1 else ""
    return (
        f"-{place.from_end + 1}",
        _token(place.token) + more,
        _token(place.other) if place.other != place.token else "",
        format_signed(place.effect),
        error,
        str(place.prompts),
        _bar(place.effect, unit),
    )


def _prompt_rows(prompt: PromptPlaces) -> list[tuple[str, ...]]:
    unit = max((abs(each) for each in prompt.effects), default=0.0)
    others = prompt.other or ("",) * len(prompt.tokens)
    return [
        (
            str(place + 1),
            _token(token),
            _token(other) if other != token else "",
            format_signed(effect),
            _bar(effect, unit),
        )
        for place, (token, other, effect) in enumerate(zip(prompt.tokens, others, prompt.effects, strict=True))
    ]


def _token(text: str) -> str:
    return shorten(repr(text)[1:-1], _TOKEN)


def _bar(effect: float, unit: float) -> str:
    return ("-" if effect < 0 else "+") * round(_BAR * abs(effect) / unit) if unit else ""
