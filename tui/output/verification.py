"""A verification as text and as JSON."""

from typing import TYPE_CHECKING

from sessions.verification.artifacts import STAGES
from sessions.verification.report import VerificationReport, format_check
from tui.output.console import OutputStyle, make_console
from tui.terminal.sanitize import clean

if TYPE_CHECKING:
    from sessions.events import RunVerified

SCHEMA = "headcode.verify/1"
VERDICTS = {
    "same": ("✓", "the same, bit for bit"),
    "rounding": ("≈", "the same to rounding"),
    "differs": ("✗", "differs"),
    "impossible": ("✗", "cannot be repeated"),
}


def report_json(report: VerificationReport) -> dict[str, object]:
    """Return the report as JSON; docs/verify.md names every field. An infinite difference is null."""
    import msgspec

    return {"schema": SCHEMA, **msgspec.to_builtins(report)}


def print_report(report: VerificationReport, output: OutputStyle) -> None:
    """Print the report on stdout: a line for the verdict and one for every stage."""
    from rich.text import Text

    console = make_console(output)
    colour = {"same": "green", "rounding": "green", "differs": "red", "impossible": "red"}[report.verdict]

    def line(text: str, style: str = "") -> None:
        console.print(Text(text, style=style if output.colours != "none" else ""), soft_wrap=True)

    sign, _ = VERDICTS[report.verdict]
    mark = f"{sign} " if output.unicode else ""
    line(f"{mark}{clean(report.title)}: {clean(report.words)}", f"bold {colour}")
    for stage in STAGES:
        checks = [each for each in report.checks if each.stage == stage]
        off = [each for each in checks if each.differing]
        total = sum(each.compared for each in checks)
        if not total:
            continue  # no such stage: most runs have no effects, and were never steered
        words = "; ".join(clean(format_check(each)) for each in off) if off else "the same"
        line(f"  {stage:<9} {words}  ({total} compared)" if not off else f"  {stage:<9} {words}", "" if off else "dim")
    for words in report.not_repeated:
        line(f"  not repeated: {clean(words)}")
    for each in report.environment:
        line(f"  {each.field:<9} {clean(str(each.a))} then, {clean(str(each.b))} now")
    if report.hint:
        line(f"  hint: {clean(report.hint)}")
    if report.seconds:
        line(f"  {report.seconds:.1f} s", "dim")


def format_verdict(verified: "RunVerified | None") -> str:
    """Format a run's last verdict; empty if it was never verified."""
    return (
        ""
        if verified is None
        else {"same": "bit for bit", "rounding": "to rounding"}.get(
            verified.verdict,
            f"differs ({clean(verified.stage)})" if verified.verdict == "differs" else verified.verdict,
        )
    )
