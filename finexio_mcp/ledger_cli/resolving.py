"""`resolve`: a person's word on what is in doubt or in conflict."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.ledger.place import locate
from finexio_mcp.guards.ledger.rows import Submission
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.ledger_cli.desk import (
    GetSettings,
    ask_ledger,
    fail,
    fail_unknown,
    json_option,
    read_call,
)
from finexio_mcp.ledger_cli.shown import MAX_NOTE_CHARS, Shown, moment, moment_or_none, plain
from finexio_mcp.printing import print_json, print_lines

if TYPE_CHECKING:
    from finexio_mcp.guards.ledger.store import Store

UNZONED_MS = 26 * 3_600_000
"""Finexio's times have no zone, so its `created` may read as earlier than what we sent by as much."""

OTHER_NUMBER = "That call submitted no invoice with this number; `finexio-mcp ledger show` names them."
CHANGED = "Nothing was recorded: what is known changed meanwhile. Look at it again with `finexio-mcp ledger show`."
MAYBE = "Whether it was recorded, `finexio-mcp ledger show` tells."
SAY_YES = "Nothing was recorded: there is no terminal to ask on. Add --yes if it is certain."

FOLLOWS: Mapping[tuple[str, State], str] = {
    ("pay", State.CONFIRMED): (
        "Each counts as submitted and will never be sent again from here. What Finexio does not have after all stays "
        "unpaid."
    ),
    ("pay", State.ABSENT): (
        "Each may be sent again. What did land at Finexio after all is then paid twice, which cannot be undone from "
        "here."
    ),
    ("write", State.CONFIRMED): "It counts as done. If Finexio does not have it after all, it has to be made again.",
    ("write", State.ABSENT): (
        "It may be sent again. If it did land at Finexio after all, it is then done twice: what it creates is there "
        "twice."
    ),
}
"""What comes of a person's word, by effect and word."""

LOOK_FIRST: Mapping[str, str] = {
    "pay": (
        "Look first, in Finexio's portal: among the supplier's invoices and payments, in every status, search for the "
        "invoice number and for the amount, created since {since}. What left a moment ago may still turn up."
    ),
    "write": (
        "Look first, in Finexio's portal: open the record and its history, and see whether the change is there, made "
        "since {since}. What left a moment ago may still turn up."
    ),
}


def _check_note(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    # No limit here: what is recorded is what was written, or nothing.
    note = clean(value, limit=len(value) + 1, single_line=True).strip()
    if not note:
        raise click.BadParameter("say in a few words how you know")
    if len(note) > MAX_NOTE_CHARS:
        raise click.BadParameter(f"may have {MAX_NOTE_CHARS} characters, this has {len(note)}")
    return note


@click.command()
@click.argument("op_id", metavar="OP")
@click.option("--invoice", metavar="NUMBER", help="Only the invoice with this number. Default: all that are unsettled.")
@click.option(
    "--as",
    "word",
    type=click.Choice([State.CONFIRMED.value, State.ABSENT.value]),
    required=True,
    help="confirmed: Finexio has it. absent: it never got there.",
)
@click.option(
    "--note",
    required=True,
    callback=_check_note,
    help=f"How you know, in up to {MAX_NOTE_CHARS} characters. Kept for ever: no account numbers.",
)
@click.option("--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@json_option
@click.pass_obj
def resolve(
    settings: GetSettings,
    op_id: str,
    invoice: str | None,
    word: str,
    note: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Record what a person found out about a submission that is in doubt or in conflict.

    As absent it may be sent again, and if it did land at Finexio after all, it is then paid twice: so look in
    Finexio's portal first, among the supplier's invoices and payments in every status. As confirmed it is never sent
    again. What would be recorded is shown first, and you are asked.

    What a process left behind as sent counts as in doubt, also where its account is gone and no server looks it up.

    Exits with 1 if nothing was recorded: you said no, or it is settled already or still being sent.

    \b
    Example: finexio-mcp ledger resolve op_0123456789abcdef --as confirmed --note "in the portal, payment PG-77"
    """
    place, state = locate(settings()), State(word)
    rows = ask_ledger(place, lambda store: read_call(store, op_id))
    if not rows:
        fail_unknown(place, begun=rows is not None)
    chosen = _choose(rows, invoice)
    for line in _announce(chosen, state, note):
        click.echo(line, err=True)
    if not yes:
        _ask()
    recorded = ask_ledger(place, lambda store: _record(store, chosen, invoice, state, note), on_trouble=MAYBE) or []
    try:
        if as_json:
            print_json([row.fields() for row in recorded])
        else:
            print_lines(f"{row.name}: {row.row.state}, recorded in {op_id}" for row in recorded)
    except OSError as error:
        # What is left in its buffer would fail once more at the end.
        sys.stdout = sys.stderr
        click.echo(f"It was recorded; that could not be printed: {error.strerror}.", err=True)


def _choose(rows: Sequence[Shown], invoice: str | None) -> list[Shown]:
    """The unsettled ones that are meant, or an end that says why there are none."""
    meant = _meant(rows, invoice)
    if not meant:
        fail(OTHER_NUMBER)
    chosen = [shown for shown in meant if shown.resolvable]
    if not chosen:
        for shown in meant:
            click.echo(f"{shown.name}: {shown.row.state}. {shown.why} {shown.what_next}".rstrip(), err=True)
        fail("Nothing was recorded: only what is in doubt or in conflict can be resolved.")
    return chosen


def _meant(rows: Iterable[Shown], invoice: str | None) -> list[Shown]:
    from finexio_mcp.guards.ledger.stored import canonical

    if invoice is None:
        return list(rows)
    wanted = canonical(invoice)
    return [shown for shown in rows if shown.row.invoice is not None and canonical(shown.row.invoice.number) == wanted]


def _announce(chosen: Sequence[Shown], state: State, note: str) -> Iterator[str]:
    """What would be recorded, and what follows from it."""
    effect = chosen[0].row.effect
    yield f"To be recorded as {state}, by a person's word:"
    for shown in chosen:
        row = shown.row
        yield "  ".join(("", shown.name, *filter(None, (shown.amount,)), *shown.whose))
        yield f"    {row.state}, sent {moment_or_none(row.sent_at_ms)}. {shown.why}"
        if row.invoice is not None:
            yield f"    supplier {plain(row.invoice.supplier)}, buyer {plain(row.invoice.buyer)}"
    yield f"  note: {note}"
    yield FOLLOWS[effect, state]
    sent = [shown.row.searched_from_ms or shown.row.claimed_at_ms for shown in chosen]
    yield LOOK_FIRST[effect].format(since=moment(min(sent) - UNZONED_MS)[:10])


def _ask() -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        click.echo(SAY_YES, err=True)
        sys.exit(2)
    try:
        agreed = click.confirm("Record this?", err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        fail("Nothing was recorded.")


def _record(store: Store, chosen: Sequence[Shown], invoice: str | None, state: State, note: str) -> list[Shown]:
    """Record it, if everything is still as it was shown."""
    from finexio_mcp.guards.ledger.store import Unresolvable

    op_id = chosen[0].row.op_id
    now = [shown for shown in _meant(read_call(store, op_id), invoice) if shown.resolvable]
    if [(shown.row.id, shown.row.state) for shown in now] != [(shown.row.id, shown.row.state) for shown in chosen]:
        fail(CHANGED)
    if any(shown.left_behind for shown in chosen):
        # Its process may not settle it from here on, and neither would anybody else for an account that is gone.
        store.take_over(op_id)
    # One number after the other: a row that comes into doubt at this moment was not shown to anybody.
    numbers = dict.fromkeys(shown.row.invoice.number if shown.row.invoice is not None else None for shown in chosen)
    recorded: list[Submission] = []
    for number in numbers:
        try:
            recorded += store.resolve(op_id, number=number, state=state, note=note)
        except Unresolvable as refusal:
            click.echo(f"{plain(number or op_id)} was not recorded: {refusal}", err=True)
    if not recorded:
        sys.exit(1)
    return [Shown(row, store.now_ms()) for row in recorded]
