"""Commands that only look: `list`, `show`, `verify`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from finexio_mcp.guards.ledger.chain import OPERATOR
from finexio_mcp.guards.ledger.place import describe, locate
from finexio_mcp.guards.ledger.rows import Event, Submission
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.ledger_cli.desk import (
    GetSettings,
    ask_ledger,
    fail,
    fail_unknown,
    json_option,
    nothing_there,
    read_call,
)
from finexio_mcp.ledger_cli.shown import (
    BRIEFLY,
    MAX_NOTE_CHARS,
    NEXT_SEEN_TO,
    PERSON,
    UNSETTLED,
    Shown,
    moment,
    plain,
    why,
)
from finexio_mcp.printing import print_json, print_lines

if TYPE_CHECKING:
    from finexio_mcp.guards.ledger.store import Store

PAGE = 500


@click.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="Only those in it; may be given several times.",
)
@click.option("--invoice", metavar="NUMBER", help="Only invoices with this number, however it is written.")
@click.option("--supplier", metavar="ID", help="Only invoices of this supplier.")
@click.option("--account", metavar="NAME", help="Only what this account submitted. Default: what all of them did.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many. Default: all.")
@json_option
@click.pass_obj
def list_submissions(
    settings: GetSettings,
    states: tuple[str, ...],
    invoice: str | None,
    supplier: str | None,
    account: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List what was submitted from here, newest first: invoices, and changes of master data.

    A table on a terminal. In a pipe a line for each, with tabs between: op_id, state, reason, who has to act (person
    or server), invoice number or record, cents, currency, supplier, time, Finexio's id, account, who called. What
    needs someone is said first, on stderr. Nothing is changed by it.

    \b
    Offline: finexio-mcp ledger list --state in_doubt --state conflict
    """
    place = locate(settings())

    def ask(store: Store) -> tuple[list[Shown], list[Shown]]:
        now_ms = store.now_ms()
        unsettled = _find(store, states=[State.INTENDED, State.SENT, *UNSETTLED])
        wanted = [State(state) for state in states] or None
        chosen = _find(store, number=invoice, supplier=supplier, states=wanted, limit=limit)
        return [Shown(row, now_ms) for row in unsettled], [Shown(row, now_ms) for row in chosen]

    answer = ask_ledger(place, ask, account=account)
    unsettled, chosen = answer or ([], [])
    for line in _summary(unsettled):
        click.echo(line, err=True)
    if answer is None:
        click.echo(nothing_there(place), err=True)
    elif not chosen:
        asked = (*states, invoice, supplier, account)
        click.echo("Nothing that was submitted fits." if any(asked) else "Nothing was submitted yet.", err=True)
    if as_json:
        print_json([row.fields() for row in chosen])
    elif sys.stdout.isatty():
        _print_table(chosen)
    else:
        print_lines("\t".join(_columns(row)) for row in chosen)


def _find(
    store: Store,
    *,
    number: str | None = None,
    supplier: str | None = None,
    states: Collection[State] | None = None,
    limit: int | None = None,
) -> Iterator[Submission]:
    """All that there are, page by page."""
    # Ids are kept in small letters, since their case means nothing.
    before_id: int | None = None
    while limit is None or limit > 0:
        size = PAGE if limit is None else min(limit, PAGE)
        page = store.find(number=number, supplier=supplier, states=states, limit=size, before_id=before_id)
        yield from page
        if len(page) < size:
            return
        before_id = page[-1].id
        limit = limit - size if limit is not None else None


def _summary(rows: Sequence[Shown]) -> Iterator[str]:
    """What somebody has to see to, in a line each."""
    counted = Counter(row.row.state for row in rows)
    doubts, conflicts = counted[State.IN_DOUBT], counted[State.CONFLICT]
    if doubts or conflicts:
        kinds = [
            *([f"{doubts} in doubt"] if doubts else []),
            *([f"{conflicts} conflict{'s' * (conflicts > 1)}"] if conflicts else []),
        ]
        waiting = sum(row.needs == PERSON for row in rows)
        whom = f"{waiting} for a person to settle" if waiting else "a server that runs looks them up"
        yield (
            f"{', '.join(kinds)}: {whom}. `finexio-mcp ledger show OP` tells what is known, "
            "`finexio-mcp ledger resolve OP` records what a person found out."
        )
    if left_behind := sum(row.left_behind for row in rows):
        yield f"{left_behind} left behind by a process that ended; {NEXT_SEEN_TO}."


def _columns(shown: Shown) -> Iterator[str]:
    row, invoice = shown.row, shown.row.invoice
    yield from (row.op_id, row.state.value, row.reason or "", shown.needs, shown.name)
    if invoice is not None:
        yield from (str(invoice.amount_cents), plain(invoice.currency), plain(invoice.supplier))
    else:
        yield from ("", "", "")
    yield from (moment(row.claimed_at_ms), plain(row.finexio_id or ""), plain(row.account), plain(row.caller or ""))


def _print_table(rows: Sequence[Shown]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(show_lines=True)
    table.add_column("Call", no_wrap=True)
    table.add_column("Invoice or record", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Why", overflow="fold")
    for shown in rows:
        table.add_row(
            Text("\n".join((shown.row.op_id, moment(shown.row.claimed_at_ms), *shown.whose))),
            Text(f"{shown.name}\n{shown.amount}".rstrip()),
            Text(shown.row.state.value, style="bold" if shown.needs else ""),
            Text(f"{shown.why} {BRIEFLY[shown.needs]}".rstrip()),
        )
    Console(highlight=False).print(table)


@click.command()
@click.argument("op_id", metavar="OP")
@json_option
@click.pass_obj
def show(settings: GetSettings, op_id: str, as_json: bool) -> None:
    """Show one call by its op_id, which its answer and the log carry: each row, and how it came to its state.

    Exits with 1 if the ledger does not know the call.

    \b
    Example: finexio-mcp ledger show op_0123456789abcdef
    """
    place = locate(settings())
    answer = ask_ledger(place, lambda store: (read_call(store, op_id), store.history(op_id)))
    if answer is None or not answer[0]:
        fail_unknown(place, begun=answer is not None)
    rows, events = answer
    if as_json:
        print_json(
            {
                "op_id": op_id,
                "tool": rows[0].row.tool,
                "account": rows[0].row.account,
                "caller": rows[0].row.caller,
                "submitted": moment(rows[0].row.claimed_at_ms),
                "rows": [row.fields() for row in rows],
                "history": [_event_fields(event, rows) for event in events],
            }
        )
    else:
        print_lines(_describe_call(rows, events))


def _describe_call(rows: Sequence[Shown], events: Sequence[Event]) -> Iterator[str]:
    first = rows[0].row
    yield ", ".join((f"{first.op_id}: {first.tool}", f"recorded {moment(first.claimed_at_ms)}", *rows[0].whose))
    for shown in rows:
        yield f"\n{shown.name}: {shown.row.state}. {shown.why}"
        yield from (f"  {name}: {value}" for name, value in shown.facts())
        if shown.what_next:
            yield f"  next: {shown.what_next}"
    yield "\nHistory, in UTC:"
    for event in events:
        whose = f"  {_name_of(event, rows)}:" if len(rows) > 1 else ""
        moved = f"{event.before} → {event.after}" if event.before is not None else event.after
        who = "a person" if event.by == OPERATOR else f"process {event.by}"
        yield f"  {moment(event.at_ms)}{whose}  {moved}, by {who}. {why(event.after, event.reason)}"
        if event.note is not None:
            yield f"    note: {plain(event.note, MAX_NOTE_CHARS)}"


def _event_fields(event: Event, rows: Sequence[Shown]) -> dict[str, Any]:
    return {
        "at": moment(event.at_ms),
        "row": event.position,
        "name": _name_of(event, rows),
        "before": event.before and event.before.value,
        "after": event.after.value,
        "reason": event.reason,
        "why": why(event.after, event.reason),
        "by": event.by,
        "note": event.note,
        "event": event.seq,
        "hash": event.hash,
    }


def _name_of(event: Event, rows: Iterable[Shown]) -> str:
    return next((shown.name for shown in rows if shown.row.position == event.position), f"row {event.position}")


@click.command()
@json_option
@click.pass_obj
def verify(settings: GetSettings, as_json: bool) -> None:
    """Check that nobody edited the ledger: its chain of events, and every row against it. Prints events and head.

    A chain cannot show that its newest end was cut off, or that all of it was replaced by an older copy. Comparing
    does: keep the number of events and the head outside this machine (the server logs the head when it starts). As
    long as nothing was submitted since, both are the same; later the number is never smaller.

    Exits with 1 if something is wrong, or if there is nothing to check.

    \b
    Offline: finexio-mcp ledger verify --json
    """
    place = locate(settings())
    found = ask_ledger(place, lambda store: store.verify())
    if found is None:
        fail(nothing_there(place))
    if as_json:
        report = {"ok": not found.problems, "events": found.events, "head": found.head}
        print_json({**report, "problems": list(found.problems), "ledger": describe(place)})
    else:
        print_lines([f"events {found.events}", f"head {found.head}", *found.problems])
    if found.problems:
        click.echo(
            "The ledger was changed by something else than this server. Keep it as it is, stop writes, and compare it "
            f"with a backup and with Finexio. (The ledger: {describe(place)})",
            err=True,
        )
        sys.exit(1)
