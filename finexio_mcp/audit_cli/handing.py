"""`export`: files for an auditor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finexio_mcp.audit_cli.desk import (
    GetSettings,
    ask_audit,
    chosen,
    fail,
    filter_options,
    nothing_there,
    place_of,
    require_tool,
)
from finexio_mcp.options import simulator_option

if TYPE_CHECKING:
    from finexio_mcp.audit.reading import Reader

MOVED = "Nothing was exported: old entries were removed at this moment. Export again."


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@filter_options
@simulator_option
@click.pass_obj
def export(get_settings: GetSettings, directory: Path, **options: Any) -> None:
    """Write calls into DIR, a new directory: entries.csv, entries.jsonl, manifest.json and SHA256SUMS.

    The manifest names what was asked for, the chains with their first and last hash, and how all of it is checked
    without this program. What is there already is never written over; the files are for this user alone.

    \b
    Example: finexio-mcp audit export audit-2026-11 --since 2026-11-01 --until 2026-11-30
    """
    from finexio_mcp.audit import exporting, reading

    place, wanted = place_of(get_settings()), chosen(**options)

    def ask(reader: Reader) -> int:
        require_tool(reader, wanted.tool)
        return exporting.export(reader, directory, wanted, now_ms=time.time_ns() // 1_000_000)

    try:
        count = ask_audit(place, ask)
    except exporting.NotExported as error:
        fail(f"Nothing was exported: {error}")
    except reading.Moved:
        fail(MOVED)
    except OSError as error:
        fail(f"Nothing was exported: {directory} cannot be written: {error.strerror}.")
    if count is None:
        fail(nothing_there(place))
    click.echo(f"{count:,} entr{'y' if count == 1 else 'ies'} in {directory}. Arguments are masked.", err=True)
