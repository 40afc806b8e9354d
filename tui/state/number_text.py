"""Numbers in few characters, the same on every screen."""


def format_number(value: float | None, width: int = 6) -> str:
    """Format a number in few characters: 7, 6.7, .12, .002; a dash if there is none."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 10 ** (width - 1):
        return str(int(value))
    for digits in (3, 2, 1, 0):
        text = f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{min(digits, 2)}f}"
        if len(text) <= width:
            return text
    return f"{value:.0e}"


def format_fixed(value: float | None, places: int = 2) -> str:
    """Format a number with a fixed number of decimals, so that the points of a column align."""
    if value is None:
        return "–".ljust(places + 1)
    if abs(value) >= 1000:
        return f"{value:.0f}"
    text = f"{round(value, places) + 0.0:.{places}f}"  # a value that rounds to zero gets no sign
    return text.replace("0.", ".", 1) if abs(value) < 1 else text
