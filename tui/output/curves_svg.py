"""Curves of a sweep as an SVG picture: no fonts, scripts or network access."""

from collections.abc import Callable
from html import escape

from engine.sweeps.curves import AxisCurve, Chart
from tui.output.grid import format_short
from tui.terminal.sanitize import clean

_COLOURS = ("#0b5ca8", "#a35200", "#1a7f37", "#b3362b", "#6f42c1", "#006b75", "#7a6500", "#444c56")
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "1 3", "4 2 1 2", "10 2")
"""Curves differ without colours, too."""
Scale = Callable[[float], float]
_LEFT, _TOP, _WIDTH, _HEIGHT, _RIGHT = 64, 56, 620, 300, 200


def curves_svg(chart: Chart) -> str:
    """Return the picture: means as lines, the range of draws as a band, a name at the end of every curve."""
    every = (value for curve in chart.curves for value in (*curve.low, *curve.high, *curve.values))
    values = [value for value in every if value is not None]
    low, high = min([0.0, *values]), max(values, default=1.0)
    high = 1.0 if 0.5 < high <= 1 else high if high > low else low + 1.0
    total_width, total_height = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + 56
    title = clean(chart.title)

    def x_of(place: float) -> float:
        return round(_LEFT + place * _WIDTH, 1)

    def y_of(value: float) -> float:
        return round(_TOP + _HEIGHT - (value - low) / (high - low) * _HEIGHT, 1)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width}" height="{total_height}" '
        f'viewBox="0 0 {total_width} {total_height}" font-family="ui-monospace, Menlo, Consolas, monospace" '
        'font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{total_width}" height="{total_height}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="14" font-weight="bold" fill="#14181d">{escape(title)}</text>',
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        y = y_of(low + tick * (high - low))
        out.append(f'<path d="M{_LEFT} {y}H{_LEFT + _WIDTH}" stroke="#e4e8ec"/>')
        label = format_short(low + tick * (high - low))
        out.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end" fill="#5d6875">{label}</text>')
    last = -1e9
    for label, place in zip(chart.labels, chart.places, strict=True):
        text, x = clean(label)[:14], x_of(place)
        out.append(f'<path d="M{x} {_TOP + _HEIGHT}v5" stroke="#5d6875"/>')
        if x - last > 7.4 * (len(text) + 1):
            out.append(
                f'<text x="{x}" y="{_TOP + _HEIGHT + 20}" text-anchor="middle" fill="#5d6875">{escape(text)}</text>'
            )
            last = x
    middle = _LEFT + _WIDTH / 2
    axis = escape(clean(chart.axis))
    out.append(f'<text x="{middle:g}" y="{_TOP + _HEIGHT + 40}" text-anchor="middle" fill="#14181d">{axis}</text>')
    names: list[tuple[float, int, str]] = []
    for number, curve in enumerate(chart.curves):
        colour = _COLOURS[number % len(_COLOURS)]
        out += _band(curve, chart.places, colour, x_of, y_of)
        dots = [(x_of(p), y_of(v)) for p, v in zip(chart.places, curve.values, strict=True) if v is not None]
        path = " ".join(f"{'M' if not place else 'L'}{x} {y}" for place, (x, y) in enumerate(dots))
        dash = f' stroke-dasharray="{_DASHES[number]}"' if number and _DASHES[number % len(_DASHES)] else ""
        out.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        out += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in dots]
        if dots:
            names.append((dots[-1][1], number, clean(curve.name)[:26]))
    y = _TOP - 14.0
    for wanted, number, name in sorted(names):
        y = max(wanted + 4, y + 15)
        colour = _COLOURS[number % len(_COLOURS)]
        out.append(f'<text x="{_LEFT + _WIDTH + 10}" y="{y:g}" fill="{colour}">{escape(name)}</text>')
    if chart.left_out:
        out.append(f'<text x="16" y="42" fill="#5d6875">and {chart.left_out} more curves</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def _band(curve: AxisCurve, places: tuple[float, ...], colour: str, x_of: Scale, y_of: Scale) -> list[str]:
    """Return the range of the draws; nothing where they are one."""
    draws = zip(places, curve.low, curve.high, strict=True)
    there = [(p, a, b) for p, a, b in draws if a is not None and b is not None]
    if not any(a != b for _, a, b in there):
        return []
    points = [f"{x_of(p)},{y_of(b)}" for p, _, b in there] + [f"{x_of(p)},{y_of(a)}" for p, a, _ in reversed(there)]
    return [f'<polygon points="{" ".join(points)}" fill="{colour}" opacity="0.12"/>']
