"""The report for people, for programs and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from finexio_mcp.printing import defused, print_json, use_utf8
from finexio_mcp.readiness.judging import SHOWN, Finding
from finexio_mcp.readiness.survey import Report

if TYPE_CHECKING:
    from rich.text import Text

Style = Literal["table", "json", "csv"]

HEADER = (*SHOWN, "status", "field", "problem")

GAP = 2
LEAST_NAME_COLUMNS = 28
MOST_ID_COLUMNS = 64
LEAST_PROBLEM_COLUMNS = 32


def print_report(report: Report, style: Style) -> None:
    """Print it on stdout: UTF-8 wherever it goes, and nothing that cannot be printed."""
    # The lines of CSV end alike on every system.
    use_utf8(newline="" if style == "csv" else None)
    match style:
        case "table":
            _print_tables(report)
        case "json":
            print_json(_as_json(report))
        case "csv":
            click.echo(as_csv(report), nl=False)


def summary(report: Report) -> str:
    """The counts, in a sentence."""
    read = f"{report.suppliers:,} supplier{'' if report.suppliers == 1 else 's'} read"
    lack, unjudged = "lacks" if report.payable == 1 else "lack", len(report.not_judged)
    counts = (
        f"{report.payable:,} {lack} nothing, {len(report.not_payable):,} cannot be paid, "
        f"{unjudged:,} {'was' if unjudged == 1 else 'were'} not judged."
    )
    if not report.complete:
        of = "" if report.total is None else f", of {report.total:,}"
        return f"Incomplete. {read}{of}: {counts}"
    return f"{read}: {counts}"


# For programs ------------------------------------------------------------------


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "suppliers": report.suppliers,
        "payable": report.payable,
        "not_payable": [_fields(finding) for finding in report.not_payable],
        "not_judged": [_fields(finding) for finding in report.not_judged],
        "complete": report.complete,
        "notices": report.notices,
    }


def _fields(finding: Finding) -> dict[str, Any]:
    shown = {name: getattr(finding, name) for name in SHOWN}
    return {**shown, "problems": [problem._asdict() for problem in finding.problems]}


# For spreadsheets --------------------------------------------------------------


def as_csv(report: Report) -> str:
    """A line for each problem; a last one says so where the list is incomplete, for whoever gets only the file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for status, findings in (("not_payable", report.not_payable), ("not_judged", report.not_judged)):
        for finding in findings:
            who = [getattr(finding, name) for name in SHOWN]
            writer.writerows([defused(cell or "") for cell in (*who, status, *problem)] for problem in finding.problems)
    if not report.complete:
        writer.writerow([*[""] * len(SHOWN), "incomplete", "", summary(report)])
    return text.getvalue()


# For people --------------------------------------------------------------------


def _print_tables(report: Report) -> None:
    for title, findings in (("Cannot be paid", report.not_payable), ("Not judged", report.not_judged)):
        if findings:
            click.echo(f"{title}:\n")
            _print_table(findings)
    click.echo(summary(report))


def _print_table(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    # An id in pieces cannot be copied, so it has its room first. A mere minimum for it would let rich crop the rest.
    longest = min(max(len(finding.id or "") for finding in findings), MOST_ID_COLUMNS)
    room = max(console.width - LEAST_PROBLEM_COLUMNS, console.width // 2) - GAP
    left = max(1, min(max(longest, LEAST_NAME_COLUMNS), room))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 1, 0))
    table.add_column(overflow="fold", width=left)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(_who(finding), Text("\n").join(_what(finding)))
    console.print(table)
    click.echo()


def _who(finding: Finding) -> Text:
    from rich.text import Text

    code = finding.external_reference_id or "no vendor code"
    method = finding.payment_method or "no payment_method"
    return Text.assemble((finding.name or "no name", "bold"), f"\n{code}, {method}\n{finding.id or 'no id'}")


def _what(finding: Finding) -> Iterator[Text]:
    """What is missing and the way out; what is said of several fields is said once."""
    from rich.text import Text

    fields: dict[str, list[str]] = {}
    for problem in finding.problems:
        fields.setdefault(problem.problem, []).append(problem.field)
    for problem, names in fields.items():
        named = ", ".join(filter(None, names))
        problem = problem.replace("is required", "are required", 1) if len(names) > 1 else problem
        yield Text.assemble((named, "yellow"), f"{': ' if named else ''}{problem}")
