"""Report how a run compares with its repetition: what is equal, what differs first, and by how much."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from engine.config import Precision
from sessions.comparison.comparison import FieldDifference, struct_difference
from sessions.verification.artifacts import (
    MEASURED_HEADS,
    MEASURED_NODES,
    NOT_IN_TABLES,
    STAGES,
    CheckResult,
    RunArtifacts,
)
from sessions.verification.checks import NAMES, run_checks

Verdict = Literal["same", "rounding", "differs", "impossible"]


class RoundingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The largest differences that count as rounding if device, versions or threads differ."""

    probabilities: float
    """Of the forward pass."""
    grades: float
    """Share of the examples with another grade, rank or prediction; one always may."""
    losses: float
    """Relative."""
    codes: float
    """Share of all codes."""
    baselines: float
    """Relative: an AUC over 10 + 10 prompts moves by .01 when two swap ranks."""
    effects: float
    """As a share of the answer."""


ROUNDING: dict[Precision, RoundingLimits] = {
    "float32": RoundingLimits(probabilities=1e-3, grades=0.02, losses=0.02, codes=0.05, baselines=0.05, effects=0.01),
    "float16": RoundingLimits(probabilities=0.01, grades=0.1, losses=0.05, codes=0.2, baselines=1.0, effects=0.03),
    "bfloat16": RoundingLimits(probabilities=0.1, grades=0.3, losses=0.2, codes=0.5, baselines=1.0, effects=0.1),
}
"""By precision; three to ten times what other CPU instructions cause, as docs/verify.md lists.

Two positive numbers differ by at most 1 relative to the larger: in half precision baselines are reported, but not
judged.
"""


class VerificationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a verification."""

    run_id: str
    title: str
    verdict: Verdict
    words: str
    stage: str = ""
    """The first stage that differs."""
    largest: float = 0.0
    """The largest difference, in that stage's own unit."""
    checks: tuple[CheckResult, ...] = ()
    environment: tuple[FieldDifference, ...] = ()
    """Versions and device that differ from those of the run (a: then, b: now)."""
    dtype: Precision = "float32"
    """The precision of the run and of its repetition; if they had different ones, the coarser."""
    limits: RoundingLimits = ROUNDING["float32"]
    """The differences that count as rounding in that precision."""
    identity_then: str = ""
    identity_now: str = ""
    hint: str = ""
    seconds: float = 0.0
    not_repeated: tuple[str, ...] = ()
    """What is recorded with the run and was not measured again, each with the reason."""


def judge(
    run_id: str,
    title: str,
    stored: RunArtifacts,
    tables: RunArtifacts,
    now: RunArtifacts,
    *,
    seconds: float = 0.0,
    not_repeated: tuple[str, ...] = (),
) -> VerificationReport:
    """Return the verdict on a repeated run. `stored` comes from its log, `tables` from the store's tables."""
    tables = msgspec.structs.replace(tables, **{name: getattr(stored, name) for name in NOT_IN_TABLES})
    logged, tabled = run_checks(stored, now), run_checks(tables, now)
    checks = tuple(_worse(one, other) for one, other in zip(logged, tabled, strict=True))
    environment = struct_difference(stored.versions, now.versions) or ()
    differing = [each for each in checks if each.differing]
    dtype = _coarser(stored, now)
    limits = ROUNDING[dtype]
    about: dict[str, object] = {
        "run_id": run_id,
        "title": title,
        "checks": checks,
        "environment": environment,
        "dtype": dtype,
        "limits": limits,
        "identity_then": stored.model.identity if stored.model is not None else "",
        "identity_now": now.model.identity if now.model is not None else "",
        "seconds": round(seconds, 3),
        "not_repeated": not_repeated,
    }
    changed = format_environment(environment)
    more = f" and {len(not_repeated) - 1} more" if len(not_repeated) > 1 else ""
    apart = f"; not repeated: {not_repeated[0]}{more}" if not_repeated else ""
    if not differing:
        words = f"the same, bit for bit: {_format_counts(checks)}" + (f"; though {changed}" if changed else "")
        return VerificationReport(verdict="same", words=words + apart, **about)  # type: ignore[arg-type]
    first = min(differing, key=lambda each: STAGES.index(each.stage))
    summary = f"{first.stage}: {format_check(first)}"
    about |= {"stage": first.stage, "largest": first.largest}
    if environment and all(_is_rounding(each, differing, limits) for each in differing):
        later = "; ".join(f"{each.stage}: {format_check(each)}" for each in _first_of_later(differing, first.stage))
        rounding = "rounding" if dtype == "float32" else f"the rounding of {dtype}"
        words = f"the same to {rounding}: {changed}; first in {summary}" + (f"; then {later}" if later else "")
        return VerificationReport(verdict="rounding", words=words + apart, **about)  # type: ignore[arg-type]
    words = f"differs first in {summary}" + (f"; {changed}" if changed else "")
    if tabled != logged:
        words += "; the store's tables differ from its log"
    return VerificationReport(
        verdict="differs",
        words=words + apart,
        hint=_HINTS.get(first.stage, ""),
        **about,  # type: ignore[arg-type]
    )


def _coarser(stored: RunArtifacts, now: RunArtifacts) -> Precision:
    """Return the precision that rounds more, of the run's and of its repetition's: they differ as much as it rounds."""
    both = [each.versions.dtype for each in (stored, now) if each.versions is not None]
    return max(both, key=lambda dtype: ROUNDING[dtype].probabilities, default="float32")


_HINTS = {
    "examples": "The stored examples are not those of the run: headcode doctor checks the store.",
    "capture": "Weights and tokenizer are the same: check config.json and tokenizer_config.json beside them.",
}


def format_check(each: CheckResult) -> str:
    """Describe how much differs."""
    if each.witness in ("identity", "content", "SAE weights"):
        return f"other {each.witness}"
    if each.witness in NAMES:
        words = f"{each.differing} of {each.compared} {each.witness} differ"
    else:
        words = f"{each.differing} of {each.compared} {each.witness} differ, by at most {each.largest:.2g}"
    return f"{words} (first: {each.where})" if each.where else words


def format_environment(environment: Sequence[FieldDifference]) -> str:
    """Describe what changed: threads 1 -> 2, torch 2.12.0 -> 2.13.0."""
    return ", ".join(_format_change(each) for each in environment)


def _format_change(each: FieldDifference) -> str:
    if each.field == "device":
        then, now = (_device_parts(str(value)) for value in (each.a, each.b))
        if then[0] == now[0]:
            return f"{then[1] or 'threads unknown'} then, {now[1] or 'threads unknown'} now"
    return f"{each.field} {each.a} then, {each.b} now"


def _device_parts(device: str) -> tuple[str, str]:
    """Split a device into name and threads: "cpu (x86_64, 2 threads)" is ("cpu (x86_64", "2 threads")."""
    machine, comma, threads = device.rstrip(")").rpartition(", ")
    return (machine, threads) if comma and threads.endswith(("threads", "thread")) else (device, "")


def _is_rounding(each: CheckResult, differing: Sequence[CheckResult], limits: RoundingLimits) -> bool:
    """Return whether a difference is no larger than summation in another order explains."""
    if each.stage in ("load", "examples"):
        return False
    also = {other.witness for other in differing}
    match each.witness:
        case "measured heads" | "measured nodes" | "measured edges":
            return False
        case "grades" | "steered texts" | "explanations":
            return each.differing <= max(1, int(each.compared * limits.grades))
        case "SAE weights":
            return True
        case "moving heads":
            return "losses" in also
        case "baselines":
            return each.size <= limits.baselines
        case "bootstraps":
            return "codes" in also or each.size <= limits.baselines
        case "estimated edges":  # those that weigh almost the same change places, and the last may drop out
            return each.differing <= max(2, int(each.compared * limits.codes))
        case "checked circuits":  # by effect
            return "effects" in also
        case "circuit checks" if "checked circuits" in also:
            return True
        case "saliencies":
            return "explanations" in also or each.size <= limits.losses
        case _ if each.stage in ("cause", "steer"):
            return each.size <= limits.effects
        case _:
            pass
    if each.stage == "scores":
        # Scores are counts of codes: if no code differs, only the rounding of a division may.
        return "codes" in also or each.size <= 1e-5
    by_stage = {"capture": limits.probabilities, "train": limits.losses, "codes": limits.codes}
    return each.size <= by_stage[each.stage]


def _first_of_later(differing: Sequence[CheckResult], stage: str) -> list[CheckResult]:
    """Return the first check of every later stage that differs, too."""
    found: dict[str, CheckResult] = {}
    for each in differing:
        if each.stage != stage:
            found.setdefault(each.stage, each)
    return list(found.values())


def _worse(one: CheckResult, other: CheckResult) -> CheckResult:
    return other if (other.differing, other.size) > (one.differing, one.size) else one


def _format_counts(checks: Sequence[CheckResult]) -> str:
    """Describe what was compared: 1920 codes, 416 node scores."""
    names = ["codes", "node scores", "losses", "probabilities", "edges", MEASURED_HEADS, MEASURED_NODES]
    names += ["estimated edges", "measured edges", "checked circuits", "explanations"]
    counts = {each.witness: each.compared for each in checks}
    return ", ".join(f"{counts[name]} {name}" for name in names if counts.get(name)) + ", the SAE's weights"
