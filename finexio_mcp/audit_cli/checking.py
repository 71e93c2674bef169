"""`verify`: whether somebody changed what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finexio_mcp.audit_cli.desk import (
    GetSettings,
    account_option,
    ask_audit,
    fail,
    json_option,
    nothing_there,
    place_of,
    simulator_option,
)
from finexio_mcp.guards.ledger.place import describe
from finexio_mcp.printing import print_json, print_lines

if TYPE_CHECKING:
    from finexio_mcp.audit.reading import Reader, Verified

CHANGED = (
    "What was recorded was changed by something else than this server. Keep the database as it is, and compare it with "
    "backups, with earlier exports, and with the heads that the server logged. (Looked at: {where})"
)


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
    """Check that nobody edited, removed or reordered what was recorded. Prints the head of each chain.

    A chain cannot show that its newest end was cut off, or that somebody who may write in the database made all of it
    anew. Comparing does: keep the heads outside this machine (the server logs them when it starts, and exports hold
    them). As long as nothing was recorded since, a head is the same; later its number is never smaller.

    Exits with 1 if something is wrong, or if there is nothing to check.

    \b
    Example: finexio-mcp audit verify --json
    """
    if directory is not None:
        where = str(directory)
        problems, chains = _of_export(directory)
        chains = [found for found in chains if account in (None, found.head.account)]
    else:
        place = place_of(get_settings())
        where = describe(place)
        answer = ask_audit(place, lambda reader: _of_database(reader, account))
        if answer is None:
            fail(nothing_there(place))
        problems, chains = answer
    if not chains:
        problems = [*problems, "There is no chain to check."]
    wrong = bool(problems) or any(found.problems for found in chains)
    if as_json:
        shown = [
            {
                "scope": found.head.scope,
                "account": found.head.account,
                "entries": found.entries,
                "first": found.head.first_seq,
                "last": found.head.seq,
                "head": found.head.hash,
                "problems": list(found.problems),
            }
            for found in chains
        ]
        print_json({"ok": not wrong, "chains": shown, "problems": list(problems), "audit": where})
    else:
        print_lines([*problems, *_lines(chains)])
    if wrong:
        click.echo(CHANGED.format(where=where), err=True)
        sys.exit(1)


def _of_database(reader: Reader, account: str | None) -> tuple[list[str], list[Verified]]:
    missing = [f"guard {name}: missing, so anybody could change entries" for name in reader.unguarded]
    return missing, list(reader.verify(account))


def _of_export(directory: Path) -> tuple[list[str], list[Verified]]:
    from finexio_mcp.audit import exporting

    try:
        return exporting.verify(directory)
    except exporting.Unreadable as error:
        fail(str(error))
    except OSError as error:
        fail(f"{directory} cannot be checked: {error.strerror}.")


def _lines(chains: Sequence[Verified]) -> Iterator[str]:
    for found in chains:
        head = found.head
        yield f"account {head.account} at {head.scope}: {found.entries} entries, {head.first_seq} to {head.seq}"
        yield f"  head {head.hash}"
        yield from (f"  {problem}" for problem in found.problems)
