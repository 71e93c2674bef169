"""Who of the suppliers cannot be paid, and why: the report of `finexio-mcp doctor --suppliers`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import click

from finexio_mcp.readiness.printing import Style, print_report
from finexio_mcp.readiness.survey import Report, survey

if TYPE_CHECKING:
    from finexio_mcp.settings import Settings


def examine(settings: Settings, *, style: Style) -> int:
    """Read the suppliers and print who cannot be paid.

    Returns:
        The exit code: 0 everybody can be paid, 1 somebody cannot or was not judged, 2 the list could not be read
        whole, or not printed.
    """
    with _bar() as show:
        report = anyio.run(partial(survey, settings, show=show))
    try:
        print_report(report, style)
    except OSError as error:
        # What is left in its buffer would fail once more at the end.
        sys.stdout = sys.stderr
        click.echo(f"The report could not be printed: {error.strerror}.", err=True)
        return 2
    for notice in report.notices:
        click.echo(notice, err=True)
    return _exit_code(report)


def _exit_code(report: Report) -> int:
    if not report.complete:
        return 2
    return 1 if report.not_payable or report.not_judged else 0


@contextmanager
def _bar() -> Generator[Callable[[Report], None]]:
    """What shows how far the reading is, where somebody can see it."""
    if not sys.stderr.isatty():
        yield lambda _report: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("Reading suppliers"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=None)
        yield lambda report: progress.update(task, completed=report.suppliers, total=report.total)
