"""A comparison as text: sides, signed grid, heads, numbers, and what else differs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.code_families import CodesComparison
from engine.examples import Example
from engine.measures import Measure
from engine.nodes import NodeId, NodeLayout, format_count, names, only_heads
from sessions.comparison.comparison import (
    MEMBERSHIP,
    SHARE,
    Comparison,
    ComparisonSide,
    FieldDifference,
    GridComparison,
)
from sessions.comparison.example_diff import ExamplesDifference
from tui.output.console import OutputStyle, make_console
from tui.output.families import code_lines
from tui.output.grid import ASCII_SHADES, SHADES, GridLayout, format_short
from tui.terminal.sanitize import clean
from tui.themes.diverging import diverging_colours, signed_level
from tui.themes.themes import LEVELS, needs_dark_text

if TYPE_CHECKING:
    from rich.text import Text

SCHEMA = "headcode.compare/1"
_MOST_EXAMPLES = 8
_PROMPT_WIDTH = 90
_MORE = "MLPs and the embedding"


def compare_json(
    a: ComparisonSide, b: ComparisonSide, found: Comparison, codes: CodesComparison | None = None
) -> dict[str, object]:
    """Return the comparison as JSON; docs/compare.md names every field."""
    import msgspec

    from tui.output.node_json import to_json

    grid = found.grid
    mixed = grid is not None and not only_heads(
        (
            *((cell.layer, cell.head) for cell in grid.cells),
            *(*grid.circuit_a, *grid.circuit_b, *grid.more_in_a, *grid.more_in_b),
        )
    )
    return {
        "schema": SCHEMA,
        "a": _side_json(a),
        "b": _side_json(b),
        "grid": to_json(found.grid, mixed=mixed),
        "config": msgspec.to_builtins(found.config),
        "model": msgspec.to_builtins(found.model),
        "versions": msgspec.to_builtins(found.versions),
        "examples": msgspec.to_builtins(found.examples),
        "codes": msgspec.to_builtins(codes),
    }


def print_comparison(
    a: ComparisonSide,
    b: ComparisonSide,
    found: Comparison,
    *,
    measure: Measure,
    output: OutputStyle,
    codes: CodesComparison | None = None,
    no_codes: str = "",
) -> None:
    """Print the comparison on stdout. `codes`: what changed between the codes of two runs, or why that is not known."""
    from rich.text import Text

    console = make_console(output)
    strong = "bold" if output.colours != "none" else ""

    def line(text: str = "", style: str = "") -> None:
        console.print(Text(text, style=style), soft_wrap=True)

    for name, side in (("A", a), ("B", b)):
        line(f"{name}  {format_side(side)}")
    if found.grid is not None:
        line()
        for row in difference_lines(found.grid, measure, output):
            console.print(row, soft_wrap=True)
        line()
        line("circuits", strong)
        for text in circuit_lines(found.grid):
            line(text)
        line("rankings", strong)
        for text in ranking_lines(found.grid):
            line(text)
    if codes is not None or no_codes:
        line("codes", strong)
        for text in [f"  {no_codes}"] if codes is None else code_lines(codes):
            line(clean(text))
    for title, fields in (("settings", found.config), ("model", found.model), ("versions", found.versions)):
        if fields is None:
            continue
        if not fields:
            line(f"{title:<9} the same")
            continue
        line(title, strong)
        for text in field_lines(fields):
            line(text)
    if found.examples is not None:
        difference = found.examples
        words = format_examples_difference(difference)
        line(f"{'examples':<9} {words}", strong if not difference.none else "")
        for text in example_lines(difference):
            line(text)


def format_side(side: ComparisonSide) -> str:
    """Describe a side on one line."""
    words = [clean(side.title)]
    if side.model is not None:
        mlps = " and MLPs" if side.choice == "all" else ""
        words.append(f"{clean(side.model.name)} {side.n_layers} x {side.n_heads}{mlps}")
    elif side.heads is not None:
        words.append(format_count(side.heads))
    if side.examples is not None:
        positive = sum(example.positive for example in side.examples if example.enabled)
        enabled = sum(example.enabled for example in side.examples)
        words.append(f"{positive} + {enabled - positive} examples")
    if side.source:
        words.append(clean(side.source))
    if not side.final:
        words.append("provisional scores: the run ended before its final ones")
    return "  ".join(words)


def difference_lines(grid: GridComparison, measure: Measure, output: OutputStyle) -> "list[Text]":
    """Return the signed grid A - B with header and legend; narrow output gets one digit per head, in blocks."""
    from rich.text import Text

    member = grid.measure == MEMBERSHIP
    title = "in the circuit: 1, not: 0" if member else f"{measure.title}: {measure.meaning}"
    if grid.measure == SHARE:
        title = f"{measure.title} and the file's scores, each as a share of its side's largest"
    lines = [Text(f"A - B  {title}", style="bold" if output.colours != "none" else "")]
    if not grid.cells:
        return [*lines, Text("Neither circuit comes from a run, so there is no grid: only the heads are compared.")]
    by_place = {NodeId(cell.layer, cell.head): cell.difference for cell in grid.cells}
    in_a, in_b = set(map(tuple, grid.circuit_a)), set(map(tuple, grid.circuit_b))
    layout = GridLayout(NodeLayout.of(list(by_place)), map(format_signed_value, by_place.values()), output, least=3)
    ground = diverging_colours(dark=True)

    def cell(layer: int, head: int) -> tuple[str, str]:
        value = by_place[NodeId(layer, head)]
        mark = membership_mark((layer, head) in in_a, (layer, head) in in_b)
        level = signed_level(value, grid.largest)
        if layout.compact:
            text = _digit(value, grid.largest).rjust(layout.cell_width - 1) + (mark or " ")
        else:
            number = format_signed_value(value).rjust(layout.number_width)
            text = _shade(level, output) + number + (mark or " ") + " "
        return text, _style(level, bool(mark), output, ground)

    legend = Text(_legend(grid, measure, layout.compact, output), style="dim" if output.colours != "none" else "")
    return [*lines, *layout.lines(cell), legend]


def circuit_lines(grid: GridComparison) -> list[str]:
    """Return the heads on one side only and on both."""
    rows = (("in both", grid.both), ("only in A", grid.only_a), ("only in B", grid.only_b))
    lines = [f"  {name:<10} {len(heads):>3}  {format_heads(heads)}" for name, heads in rows]
    shares = (("Jaccard", grid.jaccard), ("share of A in B", grid.precision), ("share of B in A", grid.recall))
    more = (("A", grid.more_in_a), ("B", grid.more_in_b))
    lines += [
        f"  only {name} says something about {_MORE} ({' '.join(names(nodes))}): the grid and the rankings are of heads"
        for name, nodes in more
        if nodes
    ]
    return [*lines, "  " + "   ".join(f"{name} {format_short(value)}" for name, value in shares)]


def ranking_lines(grid: GridComparison) -> list[str]:
    """Return the rank correlations, and the AUC of each side for the circuit of the other."""
    numbers = [("Spearman", grid.spearman), ("Kendall tau-b", grid.kendall)]
    first = "  " + "   ".join(f"{name} {format_short(value)}" for name, value in numbers)
    a_finds_b, b_finds_a = format_short(grid.auc_a_finds_b), format_short(grid.auc_b_finds_a)
    return [first, f"  AUC of A finding B's circuit {a_finds_b}   of B finding A's {b_finds_a}"]


def field_lines(fields: Sequence[FieldDifference]) -> list[str]:
    """Return one line per differing field."""
    width = max(len(each.field) for each in fields)
    return [f"  {each.field.ljust(width)}  {_value(each.a)}  ->  {_value(each.b)}" for each in fields]


def format_examples_difference(found: ExamplesDifference) -> str:
    """Summarise how two example sets differ."""
    if found.none:
        return f"the same {found.same}"
    words = [f"{found.same} the same"]
    counts = ((len(found.changed), "changed"), (len(found.only_a), "only in A"), (len(found.only_b), "only in B"))
    words += [f"{count} {name}" for count, name in counts if count]
    if found.order:
        words.append("in another order")
    return ", ".join(words)


def example_lines(found: ExamplesDifference) -> list[str]:
    """Return the first examples of every kind of difference."""
    lines: list[str] = []
    for change in found.changed[:_MOST_EXAMPLES]:
        lines.append(f"  ~ {', '.join(change.fields)}")
        lines.append(f"    A {format_example(change.a)}")
        lines.append(f"    B {format_example(change.b)}")
    for name, examples in (("A", found.only_a), ("B", found.only_b)):
        lines += [f"  only {name} {format_example(example)}" for example in examples[:_MOST_EXAMPLES]]
    most = max(len(found.changed), len(found.only_a), len(found.only_b))
    if most > _MOST_EXAMPLES:
        lines.append(f"  ... the first {_MOST_EXAMPLES} of each kind; --json has all")
    return lines


def format_example(example: Example) -> str:
    """Format sign, end of the prompt, and answers."""
    prompt = clean(example.prompt)
    if len(prompt) > _PROMPT_WIDTH:
        prompt = "..." + prompt[-(_PROMPT_WIDTH - 3) :]
    answers = f" => {clean(', '.join(map(str.strip, example.expected)))}" if example.expected else ""
    foils = f" | {clean(', '.join(map(str.strip, example.foils)))}" if example.foils else ""
    off = "" if example.enabled else "  (off)"
    return f"{'+' if example.positive else '-'} {prompt}{answers}{foils}{off}"


def format_heads(heads: Sequence[tuple[int, int]]) -> str:
    """Format nodes as 9.6 10.0 m8."""
    return " ".join(names(heads)) or "none"


def format_signed_value(value: float | None) -> str:
    """Format a number with its sign; a point for no difference, a question mark for no value."""
    if value is None:
        return "?"
    text = format_short(value)
    if text == "0":
        return "."
    if value == int(value):
        text = text.removesuffix(".0")
    return text if text.startswith("-") else f"+{text}"


def membership_mark(in_a: bool, in_b: bool) -> str:
    """Return "=" for both circuits, "a" for only A's, "b" for only B's, otherwise an empty string."""
    return "=" if in_a and in_b else "a" if in_a else "b" if in_b else ""


def _digit(value: float | None, largest: float) -> str:
    if value is None:
        return "?"
    if not value or not largest:
        return "."
    return f"{'+' if value > 0 else '-'}{min(9, int(10 * abs(value) / largest))}"


def _shade(level: int, output: OutputStyle) -> str:
    signs = SHADES if output.unicode else ASCII_SHADES
    step = level % LEVELS if level >= 0 else 0
    return signs[0] if not step else signs[min(len(signs) - 1, 1 + step * (len(signs) - 1) // LEVELS)]


def _style(level: int, marked: bool, output: OutputStyle, ground: Sequence[tuple[int, int, int]]) -> str:
    weight = "bold " if marked else ""
    if output.colours == "none" or level < 0:
        return ""
    if level % LEVELS == 0:
        return "bold" if marked else "dim"
    if output.colours == "16":
        return weight + ("bright_cyan" if level < LEVELS else "bright_yellow")
    red, green, blue = ground[level]
    ink = "rgb(0,0,0)" if needs_dark_text((red, green, blue)) else "rgb(255,255,255)"
    return f"{weight}{ink} on rgb({red},{green},{blue})"


def _legend(grid: GridComparison, measure: Measure, compact: bool, output: OutputStyle) -> str:
    words = "+ in A and not in B, - in B and not in A" if grid.measure == MEMBERSHIP else "+ more in A, - more in B"
    if grid.measure not in (MEMBERSHIP, SHARE) and not measure.high_is_evidence:
        words += " (low values are evidence for a head)"
    scale = f"digits: tenths of {format_short(grid.largest)}" if compact else f"largest {format_short(grid.largest)}"
    if not compact and output.unicode and output.colours in ("16", "none"):
        scale = f"{SHADES[1]} to {SHADES[-1]} up to {format_short(grid.largest)}"
    return f"{words}; {scale}; . none; circuits: = both, a only A, b only B"


def _value(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return clean(str(value))


def _side_json(side: ComparisonSide) -> dict[str, object]:
    import msgspec

    return {
        "reference": side.reference,
        "title": side.title,
        "kind": side.kind,
        "session_id": side.session_id or None,
        "run_id": side.run_id,
        "seed": side.seed,
        "n_layers": side.n_layers or None,
        "n_heads": side.n_heads or None,
        "final": side.final,
        "model": msgspec.to_builtins(side.model),
        "versions": msgspec.to_builtins(side.versions),
        "config": msgspec.to_builtins(side.config),
        "examples": None if side.examples is None else len(side.examples),
        "source": side.source or None,
    }
