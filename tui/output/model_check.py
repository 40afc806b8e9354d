"""What the last check of a model found, as a line of text."""

import shlex

from engine.catalog.check_report import CheckStatus
from tui.terminal.times import moment


def format_check(status: CheckStatus, name: str) -> str:
    """Format the result with its date and device, and the command to check again if it is outdated."""
    command = f"headcode models check {shlex.quote(name)}"
    report = status.report
    if report is None:
        return f"{status.words}: {command}"
    again = f"; again: {command}" if status.state == "outdated" else ""
    return f"{status.about} ({moment(report.checked_us)}, {report.device}){again}"
