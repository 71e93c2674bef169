"""`list`: every token, invitation and sign-in, and never a secret."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Grant
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.ledger.rows import moment
from finexio_mcp.options import simulator_option
from finexio_mcp.printing import print_json, print_lines
from finexio_mcp.tokens_cli.desk import (
    GetSettings,
    ask_book,
    command,
    limits,
    moment_or_never,
    place_of,
)
from finexio_mcp.tokens_cli.terms import chosen_account_option

MAX_SHOWN_CHARS = 200
STATES = ("active", "pending", "expired", "revoked")


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@chosen_account_option
@simulator_option
@click.pass_obj
def list_grants(get_settings: GetSettings, as_json: bool, account: str | None) -> None:
    """List the tokens, and what was let in with an invitation: those that last first, then by name.

    A table on a terminal. In a pipe a line for each, with tabs between: id, name, kind, access, toolsets, tools, state,
    created, expires, last used, account. Nobody can be shown a token again.

    \b
    Offline: finexio-mcp tokens list --json
    """

    async def look(book: AccessBook) -> tuple[list[Grant], int]:
        return await book.grants(), book.now_ms()

    settings = get_settings()
    found, now_ms = ask_book(settings, look)
    grants = [grant for grant in found if account in (None, grant.account)]
    grants.sort(key=lambda grant: (STATES.index(grant.state(now_ms)), grant.name.casefold(), grant.created_at_ms))
    if not grants:
        whose = f" for the account {account!r}" if account is not None else ""
        making = command(settings, "create")
        click.echo(f"There are no tokens{whose} in {place_of(settings)}. `{making}` makes one.", err=True)
    if as_json:
        print_json([_fields(grant, now_ms) for grant in grants])
    elif sys.stdout.isatty():
        _print_table(grants, now_ms)
    else:
        print_lines("\t".join(_columns(grant, now_ms)) for grant in grants)


def _fields(grant: Grant, now_ms: int) -> dict[str, Any]:
    return {
        "id": grant.id,
        "name": grant.name,
        "kind": grant.kind,
        "access": grant.access,
        "toolsets": None if grant.toolsets is None else sorted(grant.toolsets),
        "tools": None if grant.tools is None else sorted(grant.tools),
        "state": grant.state(now_ms),
        "client_id": grant.client_id,
        "resource": grant.resource,
        "created": moment(grant.created_at_ms),
        "expires": _moment_or_none(grant.expires_at_ms),
        "revoked": _moment_or_none(grant.revoked_at_ms),
        "last_used": _moment_or_none(grant.last_used_at_ms),
        "account": grant.account,
    }


def _columns(grant: Grant, now_ms: int) -> Iterator[str]:
    yield from (grant.id, grant.name, grant.kind, grant.access)
    yield ",".join(sorted(grant.toolsets or ()))
    yield ",".join(sorted(grant.tools or ()))
    yield grant.state(now_ms)
    yield moment(grant.created_at_ms)
    yield moment_or_never(grant.expires_at_ms)
    yield moment_or_never(grant.last_used_at_ms)
    yield grant.account


def _print_table(grants: Sequence[Grant], now_ms: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not grants:
        return
    table = Table(show_lines=True)
    table.add_column("Name and id", overflow="fold")
    table.add_column("What it may do", overflow="fold")
    table.add_column("State", no_wrap=True)
    table.add_column("Times", overflow="fold")
    for grant in grants:
        state = grant.state(now_ms)
        client = f"\nclient {_plain(grant.client_id)}" if grant.client_id is not None else ""
        table.add_row(
            Text(f"{grant.name}\n{grant.id}"),
            Text(f"{limits(grant)}{client}"),
            Text(state, style="bold" if state in ("active", "pending") else "dim"),
            Text(
                f"created {moment(grant.created_at_ms)}\nends {moment_or_never(grant.expires_at_ms)}\n"
                f"last used {moment_or_never(grant.last_used_at_ms)}"
            ),
        )
    Console(highlight=False).print(table)


def _plain(text: str) -> str:
    """What clients chose, for a terminal."""
    return clean(text, limit=MAX_SHOWN_CHARS, single_line=True)


def _moment_or_none(ms: int | None) -> str | None:
    return moment(ms) if ms is not None else None
