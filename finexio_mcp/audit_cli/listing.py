"""`list`: who called what, and what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from finexio_mcp.audit_cli.desk import (
    GetSettings,
    ask_audit,
    chosen,
    filter_options,
    json_option,
    nothing_there,
    place_of,
    require_tool,
)
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.ledger.rows import moment
from finexio_mcp.options import simulator_option
from finexio_mcp.printing import print_json, print_lines

if TYPE_CHECKING:
    from finexio_mcp.audit.reading import Reader

USUAL_LIMIT = 100
MAX_CELL_CHARS = 8_000
MAX_SHOWN_CHARS = 300
NOTHING_FITS = "No call that was recorded fits."
MORE = "These are the newest {limit}. There are more: --limit shows them, --since and the others narrow them down."

Row = Mapping[Any, Any]


@click.command("list")
@filter_options
@click.option(
    "--limit", type=click.IntRange(min=1), default=USUAL_LIMIT, show_default=True, help="At most so many entries."
)
@json_option
@simulator_option
@click.pass_obj
def list_entries(get_settings: GetSettings, limit: int, as_json: bool, **options: Any) -> None:
    """List calls, newest first: who made them, for which account, with which arguments, and what came of them.

    A table on a terminal. In a pipe a line for each, with tabs between: time, account, caller, caller's key, client,
    tool, outcome, milliseconds, op_id, request id, kind, arguments. Arguments are masked. Nothing is changed by it.

    \b
    Example: finexio-mcp audit list --since 7d --tool finexio_invoices_bulk_create
    """
    from finexio_mcp.audit.reading import no_chain

    place, wanted = place_of(get_settings()), chosen(**options)

    def ask(reader: Reader) -> None:
        require_tool(reader, wanted.tool)
        shown = _Limited(reader.newest(wanted, limit + 1), limit)
        _print(shown, as_json=as_json)
        if not shown.count:
            never = wanted.account is not None and not reader.heads(wanted.account)
            click.echo(no_chain(reader, wanted.account or "") if never else NOTHING_FITS, err=True)
        if shown.more:
            click.echo(MORE.format(limit=limit), err=True)

    # What is there is printed as it is read, however much it is.
    if ask_audit(place, lambda reader: (ask(reader), True)) is None:
        click.echo(nothing_there(place), err=True)
        _print(_Limited(iter(()), limit), as_json=as_json)


class _Limited:
    """Rows up to a limit, and whether there were more."""

    def __init__(self, rows: Iterator[Row], limit: int) -> None:
        self._rows, self._limit = rows, limit
        self.count = 0
        self.more = False

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            if self.count == self._limit:
                self.more = True
                return
            self.count += 1
            yield row


def _print(rows: Iterable[Row], *, as_json: bool) -> None:
    if as_json:
        print_json([_fields(row) for row in rows])
    elif sys.stdout.isatty():
        _print_table(list(rows))
    else:
        print_lines("\t".join(_columns(row)) for row in rows)


def _fields(row: Row) -> dict[str, Any]:
    return {
        "at": moment(row["at_ms"]),
        "account": row["account"],
        "entry": row["seq"],
        "kind": row["kind"],
        "request_id": row["request_id"],
        "caller": row["caller_name"],
        "caller_key": row["caller_key"],
        "origin": row["origin"],
        "client": row["client"],
        "tool": row["tool"] or None,
        "access": row["access"] or None,
        "arguments": _read(row["arguments"]),
        "outcome": row["outcome"],
        "failed": bool(row["failed"]),
        "op_id": row["op_id"],
        "ids": _read(row["ids"]),
        "upstream": row["upstream"],
        "duration_ms": row["duration_ms"],
        "hash": row["hash"],
    }


def _read(text: str) -> Any:
    """What is kept as JSON; somebody may have put anything there."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _columns(row: Row) -> Iterator[str]:
    yield moment(row["at_ms"])
    for name in ("account", "caller_name", "caller_key", "client", "tool", "outcome", "duration_ms", "op_id"):
        yield _plain(row[name])
    yield from (_plain(row["request_id"]), _plain(row["kind"]), _plain(row["arguments"], MAX_CELL_CHARS))


def _print_table(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(show_lines=True)
    table.add_column("When, in UTC", no_wrap=True)
    table.add_column("Who", overflow="fold")
    table.add_column("What", overflow="fold")
    table.add_column("Outcome", overflow="fold")
    for row in rows:
        client = f"\n{_plain(row['client'])}" if row["client"] else ""
        ended = f"{_plain(row['outcome'])}\n{row['duration_ms']} ms"
        table.add_row(
            Text(f"{moment(row['at_ms'])}\n{_plain(row['account'])}"),
            Text(f"{_plain(row['caller_name'])}{client}"),
            Text(f"{_plain(row['tool']) or row['kind']}\n{_plain(row['arguments'])}"),
            Text(f"{ended}\n{row['op_id']}" if row["op_id"] else ended, style="bold" if row["failed"] else ""),
        )
    Console(highlight=False).print(table)


def _plain(value: Any, limit: int = MAX_SHOWN_CHARS) -> str:
    """What callers chose, for a terminal."""
    return "" if value is None else clean(str(value), limit=limit, single_line=True)
