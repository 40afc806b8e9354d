"""Effects of a node position by position, as a table and as JSON."""

import msgspec

from engine.analysis.effects import METRIC_WORDS
from engine.node_parts import GridKind, MeasuredHow, PlaceEffect, PromptPlaces, mean_grid, mean_places
from sessions.protocol import Places, StreamGrid
from tui.output.console import narrate, print_columns, print_line, shorten
from tui.output.effects import REPLACED, format_signed

SCHEMA = "headcode.places/1"
GRID_SCHEMA = "headcode.grid/1"
_TITLES: dict[GridKind, str] = {
    "stream": "stream: the input of a layer",
    "attention": "attention: all that a layer's heads write",
    "mlp": "MLPs: all that a layer's MLP writes",
}
_BAR = 20
_TOKEN = 16
_COLUMN = 7


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


def grid_json(found: StreamGrid) -> dict[str, object]:
    """Return the grid as JSON values, schema headcode.grid/1: prompt by prompt, and the means from the end."""
    means = mean_grid(found.prompts)
    return {
        "schema": GRID_SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        **how_json(found.how),
        "grid": {
            kind: [
                {"layer": layer, "places": [{"from_end": each.from_end, "effect": each.effect} for each in places]}
                for layer, places in enumerate(rows)
            ]
            for kind, rows in means.items()
        },
        "prompts": msgspec.to_builtins(found.prompts),
    }


def print_grid(found: StreamGrid) -> None:
    """Print the mean effects, one table per kind: a row per layer, a column per distance from the end."""
    for notice in found.how.notices:
        narrate(f"note: {notice}")
    base = sum(each.base for each in found.prompts) / len(found.prompts)
    print_line(f"{found.model.name}, replaced at one layer and position alone {REPLACED[found.how.replacement]}")
    print_line(format_how(found.how, len(found.prompts), base))
    means = mean_grid(found.prompts)
    # Before the first difference of all pairs nothing changes.
    columns = range(len(means["stream"][0]))
    changed = [any(row[at].effect for rows in means.values() for row in rows) for at in columns]
    for kind, rows in means.items():
        shown = [[each for each, keep in zip(row, changed, strict=True) if keep] for row in rows]
        header = ("", *(f"-{each.from_end + 1}" for each in shown[0]))
        tokens = ("", *(shorten(format_token(each.token).strip(), _COLUMN) for each in shown[0]))
        print_line()
        print_line(_TITLES[kind])
        table = [
            tokens,
            *((str(layer), *(format_signed(each.effect) for each in row)) for layer, row in enumerate(shown)),
        ]
        print_columns(table, header=header, right=range(len(header)))


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
        format_token(place.token) + more,
        format_token(place.other) if place.other != place.token else "",
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
            format_token(token),
            format_token(other) if other != token else "",
            format_signed(effect),
            _bar(effect, unit),
        )
        for place, (token, other, effect) in enumerate(zip(prompt.tokens, others, prompt.effects, strict=True))
    ]


def format_token(text: str) -> str:
    """Format a token's text in a few cells, with line breaks and the like as escapes."""
    return shorten(repr(text)[1:-1], _TOKEN)


def _bar(effect: float, unit: float) -> str:
    return ("-" if effect < 0 else "+") * round(_BAR * abs(effect) / unit) if unit else ""
