"""`verify`: whether somebody changed what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from finexio_mcp.audit_cli.desk import (
    GetSettings,
    account_option,
    ask_audit,
    fail,
    json_option,
    nothing_there,
    place_of,
)
from finexio_mcp.guards.ledger.place import describe
from finexio_mcp.guards.ledger.rows import moment
from finexio_mcp.options import simulator_option
from finexio_mcp.printing import print_json, print_lines

if TYPE_CHECKING:
    from finexio_mcp.audit.chain import Removal
    from finexio_mcp.audit.reading import Reader, Verified

CHANGED = (
    "What was recorded was changed by something else than this server. Keep the database as it is, and compare it with "
    "backups, with earlier exports, and with the heads that the server logged. (Looked at: {where})"
)

NO_CHAIN = "There is no chain to check."


@click.command()
@account_option
@click.option(
    "--export",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Check an export instead of the database.",
)
@json_option
@simulator_option
@click.pass_obj
def verify(get_settings: GetSettings, account: str | None, directory: Path | None, as_json: bool) -> None:
    """Check that nobody edited, removed or reordered what was recorded. Prints the head of each chain, the time of its
    first entry, and every entry that tells that older ones were removed.

    A chain cannot show that its newest end was cut off, that somebody who may write in the database made all of it
    anew, or that they removed its beginning and made up the entry that tells of it. Comparing does: keep the heads
    outside this machine (the server logs them when it starts and when it removes what is too old, and exports hold
    them). An entry whose number was noted has the hash that was noted, and is there until it is too old.

    Exits with 1 if something is wrong or there is nothing to check, with 2 if what --export names cannot be checked.

    \b
    Example: finexio-mcp audit verify --json
    """
    if directory is not None:
        where = str(directory)
        problems, chains = _of_export(directory)
        nothing = NO_CHAIN
        chains = [found for found in chains if account in (None, found.head.account)]
    else:
        place = place_of(get_settings())
        where = describe(place)
        answer = ask_audit(place, lambda reader: _of_database(reader, account))
        if answer is None:
            fail(nothing_there(place))
        problems, chains, nothing = answer
    changed = bool(problems) or any(found.problems for found in chains)
    if not chains:
        problems = [*problems, nothing]
    wrong = changed or not chains
    if as_json:
        shown = [
            {
                "scope": found.head.scope,
                "account": found.head.account,
                "entries": found.entries,
                "first": found.head.first_seq,
                "last": found.head.seq,
                "head": found.head.hash,
                "first_at": None if found.first_ms is None else moment(found.first_ms),
                "removals": [_removal(each) for each in found.removals],
                "problems": list(found.problems),
            }
            for found in chains
        ]
        print_json({"ok": not wrong, "chains": shown, "problems": list(problems), "audit": where})
    else:
        print_lines([*problems, *_lines(chains)])
    if changed:
        click.echo(CHANGED.format(where=where), err=True)
    if wrong:
        sys.exit(1)


def _of_database(reader: Reader, account: str | None) -> tuple[list[str], list[Verified], str]:
    """What is wrong with its guards, its chains, and what is said if there are none."""
    from finexio_mcp.audit.reading import no_chain

    problems = [f"guard {name}: missing, so anybody could change entries" for name in reader.unguarded]
    return problems, list(reader.verify(account)), NO_CHAIN if account is None else no_chain(reader, account)


def _of_export(directory: Path) -> tuple[list[str], list[Verified]]:
    from finexio_mcp.audit import exporting

    try:
        return exporting.verify(directory)
    except exporting.Unreadable as error:
        # Not 1, which says that somebody changed it.
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{directory} cannot be checked: {error.strerror}.") from None


def _lines(chains: Sequence[Verified]) -> Iterator[str]:
    for found in chains:
        head = found.head
        yield f"account {head.account} at {head.scope}: {found.entries} entries, {head.first_seq} to {head.seq}"
        yield f"  head {head.hash}"
        yield from (f"  {problem}" for problem in found.problems)
        if found.first_ms is not None:
            yield f"  entry {head.first_seq} is the first, of {moment(found.first_ms)}"
        for each in found.removals:
            yield (
                f"  entry {each.seq} of {moment(each.at_ms)}: {each.removed} older than {each.days} days removed, "
                f"{each.first_seq} to {each.last_seq}, of {moment(each.start_ms)} to {moment(each.end_ms)}"
            )


def _removal(told: Removal) -> dict[str, Any]:
    return {
        "entry": told.seq,
        "at": moment(told.at_ms),
        "hash": told.hash,
        "days": told.days,
        "removed": told.removed,
        "first": told.first_seq,
        "last": told.last_seq,
        "from": moment(told.start_ms),
        "to": moment(told.end_ms),
    }
