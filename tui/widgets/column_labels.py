"""Labels of the grid's columns: as many numbers as have room above the cells."""

from rich.segment import Segment


def column_labels(heads: range, n_heads: int, cursor: int | None, width: int) -> list[str]:
    """Return the label of each head for cells of that width; empty where a neighbour's label needs the room.

    `cursor`: the head at the cursor, whose label is always shown; None if there is none.
    """
    digits = len(str(max(n_heads - 1, 0)))
    stride = 1 if digits < width else (2 if digits < width * 2 else 4)
    labels = []
    for head in heads:
        beside = cursor is not None and 0 < abs(head - cursor) < stride
        shown = head == cursor or (head % stride == 0 and not beside)
        text = str(head) if shown else ""
        if width >= 4:
            text = text.center(width) if len(text) % 2 == width % 2 else (" " + text).center(width)
        else:
            text = text.rjust(min(width, max(digits, width))) if stride == 1 else text.ljust(width)
        labels.append(text[: max(width, len(text.rstrip()))])
    return labels


def mlp_label(gap: int, width: int) -> str:
    """Return the label above the MLPs, gap included: centred over their cells, or using the gap over narrow ones."""
    return " " * gap + "mlp".center(width) if width >= 4 else "mlp".rjust(gap + width)


def join_labels(labels: list[Segment], width: int) -> list[Segment]:
    """Join the column labels; one wider than its cell uses the room of the empty ones after it."""
    out: list[Segment] = []
    over = 0
    for label in labels:
        text = label.text
        if over > 0 and not text.strip():
            text = " " * max(width - over, 0)
            over = max(over - width, 0)
        else:
            over = max(len(text) - width, 0)
            text = text.ljust(width)
        out.append(Segment(text, label.style))
    return out
