"""Divide rows into batches of similar length."""


def batches_of(prompts: list[list[int]], pairs: list[tuple[int, int]], most_tokens: int) -> list[list[int]]:
    """Return batches of rows of similar length, so that there is little padding; both sides of a pair in one batch."""
    paired = {row for pair in pairs for row in pair}
    units = [*pairs, *((row,) for row in range(len(prompts)) if row not in paired)]
    sized = sorted((max(len(prompts[row]) for row in unit), min(unit), unit) for unit in units)
    batches: list[list[int]] = []
    for longest, _, unit in sized:
        if batches and (len(batches[-1]) + len(unit)) * longest <= most_tokens:
            batches[-1].extend(unit)
        else:
            batches.append([*unit])
    return batches
