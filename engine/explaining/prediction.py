"""Judge a rule that says whether a prompt has a code, and the rules of one token beside it."""

from collections.abc import Sequence

from engine.explanations import Predicted


def judge(said: Sequence[bool], truth: Sequence[bool]) -> Predicted:
    """Return how often the rule said that a prompt has the code and how often that was so."""
    return Predicted(
        prompts=len(truth),
        with_code=sum(truth),
        said=sum(said),
        right=sum(one and other for one, other in zip(said, truth, strict=True)),
    )


def quality(predicted: Predicted) -> float:
    """Return F of precision and recall with precision counting twice (van Rijsbergen 1979, beta = 1/2); 0 for none."""
    if not predicted.right:
        return 0.0
    precision, recall = predicted.right / predicted.said, predicted.right / predicted.with_code
    return 1.25 * precision * recall / (0.25 * precision + recall)


def best_threshold(scores: Sequence[float], truth: Sequence[bool], least: float) -> tuple[float, float]:
    """Return the threshold from which scores tell best that a prompt has the code, and its quality.

    Halfway to the next lower score, so that what is a little less alike counts as well. No score below `least` counts.
    """
    levels = sorted({score for score in scores if score > least}, reverse=True)
    best = (float("inf"), 0.0)
    for place, level in enumerate(levels):
        found = quality(judge([score >= level for score in scores], truth))
        if found > best[1]:
            below = levels[place + 1] if place + 1 < len(levels) else level
            best = ((level + below) / 2, found)
    return best


def frequent_token(prompts: Sequence[Sequence[int]], truth: Sequence[bool]) -> int | None:
    """Return the token that most prompts with the code have; of equal ones, that which fewest others have."""
    return max(_tokens(prompts, truth), key=lambda token: _counts(token, prompts, truth), default=None)


def telling_token(prompts: Sequence[Sequence[int]], truth: Sequence[bool]) -> int | None:
    """Return the token by which prompts with the code are told apart best."""
    return max(
        _tokens(prompts, truth),
        key=lambda token: (quality(judge([token in set(each) for each in prompts], truth)), -token),
        default=None,
    )


def _tokens(prompts: Sequence[Sequence[int]], truth: Sequence[bool]) -> list[int]:
    return sorted({token for each, has in zip(prompts, truth, strict=True) if has for token in each})


def _counts(token: int, prompts: Sequence[Sequence[int]], truth: Sequence[bool]) -> tuple[int, int, int]:
    there = [token in each for each in prompts]
    with_code = sum(one and has for one, has in zip(there, truth, strict=True))
    return with_code, with_code - sum(there), -token
