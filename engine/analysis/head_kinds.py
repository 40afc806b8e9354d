"""What kind of head one is, by its numbers on ordinary text, and where it does something else on a run's prompts."""

import msgspec

from engine.node_atlas import ATLAS_METRICS, Metrics

_TITLES = {each.name: each.title for each in ATLAS_METRICS}


class HeadKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of head: one of some metrics reaches a value."""

    name: str
    at_least: tuple[tuple[str, float], ...]
    """Thresholds by metric; reaching one of them is sufficient."""
    words: str
    negative: bool = False
    """True if a metric has to be as low as the value."""

    def reached(self, metrics: Metrics) -> list[tuple[str, float]]:
        """Return the metrics that reach their values, with what they are."""
        sign = -1 if self.negative else 1
        there = [(name, metrics[name], least) for name, least in self.at_least if name in metrics]
        return [(name, value) for name, value, least in there if sign * value >= sign * least]


KINDS: tuple[HeadKind, ...] = (
    HeadKind(
        name="induction",
        at_least=(("induction", 0.3), ("induction_text", 0.15)),
        words="attends to what followed the same token before",
    ),
    HeadKind(name="previous token", at_least=(("previous", 0.4),), words="attends to the token before"),
    HeadKind(
        name="duplicate token",
        at_least=(("duplicate", 0.3), ("duplicate_text", 0.2)),
        words="attends to earlier occurrences of the same token",
    ),
    HeadKind(name="current token", at_least=(("itself", 0.4),), words="attends to the token itself"),
    HeadKind(name="copying", at_least=(("copying", 1.0),), words="raises the logits of the tokens it attends to"),
    HeadKind(
        name="suppressing",
        at_least=(("copying", -0.8),),
        words="lowers the logits of the tokens it attends to",
        negative=True,
    ),
    HeadKind(name="broad", at_least=(("entropy", 3.0),), words="attends to many tokens at once"),
    HeadKind(name="mostly at rest", at_least=(("first", 0.7),), words="leaves most attention on the first token"),
)
"""In the order in which a head's kinds are named. The values are conventions: docs/atlas.md says what they find."""
_UNLIKE: dict[str, tuple[float, str]] = {
    "previous": (0.25, "attention to the token before"),
    "first": (0.25, "attention to the first position"),
    "itself": (0.25, "attention to the token itself"),
    "duplicate_text": (0.25, "attention to earlier occurrences of a repeated token"),
    "induction_text": (0.25, "attention to what followed a repeated token before"),
    "copying": (0.8, "copying of what it attends to"),
}
"""How far a metric on the prompts has to be from that on text to be named."""
_SHARE_TIMES = 2.5
"""The same for how much it writes, as a factor."""


class Unlike(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that is another on the prompts of a run than on ordinary text."""

    metric: str
    words: str
    prompts: float
    text: float

    def __str__(self) -> str:
        return f"{self.words}: {self.prompts:.2f} on these prompts, {self.text:.2f} on ordinary text"


def kinds_of(metrics: Metrics) -> tuple[HeadKind, ...]:
    """Return the kinds that a head's metrics make it; none for MLPs and for heads without a clear habit."""
    return tuple(kind for kind in KINDS if kind.reached(metrics))


def because(kind: HeadKind, metrics: Metrics) -> str:
    """Say which numbers make it that kind: induction .91, ind. text .20."""
    return ", ".join(f"{_TITLES[name]} {value:.2f}" for name, value in kind.reached(metrics))


def format_kinds(metrics: Metrics) -> str:
    """Name a head's kinds; empty for none."""
    return ", ".join(kind.name for kind in kinds_of(metrics))


def unlike_text(on_prompts: Metrics, on_text: Metrics) -> tuple[Unlike, ...]:
    """Return where a head or MLP does something else on a run's prompts than on ordinary text, the clearest first."""
    found: list[tuple[float, Unlike]] = []
    for name, (least, words) in _UNLIKE.items():
        if name in on_prompts and name in on_text:
            apart = abs(on_prompts[name] - on_text[name])
            if apart >= least:
                unlike = Unlike(metric=name, words=words, prompts=on_prompts[name], text=on_text[name])
                found.append((apart / least, unlike))
    here, there = on_prompts.get("share", 0.0), on_text.get("share", 0.0)
    if min(here, there) > 0 and (times := max(here / there, there / here)) >= _SHARE_TIMES:
        words = "length of what it writes, as a share of the stream"
        found.append((times / _SHARE_TIMES, Unlike(metric="share", words=words, prompts=here, text=there)))
    return tuple(unlike for _, unlike in sorted(found, key=lambda each: -each[0]))
