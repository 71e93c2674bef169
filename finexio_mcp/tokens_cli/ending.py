"""`revoke`: the end of a token, at once, or of all of them."""

from __future__ import annotations

import sys

import click

from finexio_mcp.access.book import AccessBook
from finexio_mcp.options import simulator_option
from finexio_mcp.settings import Settings
from finexio_mcp.tokens_cli.desk import GetSettings, ask_book, command, fail, place_of
from finexio_mcp.tokens_cli.terms import chosen_account_option

NONE = "Nothing was revoked: in {place} no token or sign-in of that name or id still lasts. See `{list}`."


@click.command()
@click.argument("name_or_id", metavar="[NAME|ID]", required=False)
@click.option("--all", "every", is_flag=True, help="End all of them: for a machine that was broken into.")
@chosen_account_option
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
@simulator_option
@click.pass_obj
def revoke(get_settings: GetSettings, name_or_id: str | None, every: bool, account: str | None, yes: bool) -> None:
    """End a token, an invitation or a sign-in, by its name or id. The next request with it is refused.

    What runs already is not cut short. Exits with 1 if there is none. With --all every one ends that lasts, or every
    one of an account; that there is none is no failure then.

    \b
    Example: finexio-mcp tokens revoke reports
    """
    if every == (name_or_id is not None):
        raise click.UsageError("a NAME or ID, or --all, is needed" if not every else "--all goes with no NAME or ID")
    if not every and (account is not None or yes):
        raise click.UsageError("--account and --yes go with --all")
    settings = get_settings()
    if name_or_id is None:
        _revoke_all(settings, account, asking=not yes)
        return
    grant = ask_book(settings, lambda book: book.revoke(name_or_id))
    if grant is None:
        fail(NONE.format(place=place_of(settings), list=command(settings, "list")))
    click.echo(f"Revoked {grant.name!r} (id {grant.id}). From its next request on it is refused.", err=True)


def _revoke_all(settings: Settings, account: str | None, *, asking: bool) -> None:
    whose = f"for the account {account!r} " if account is not None else ""
    if asking:
        if not sys.stdin.isatty():
            raise click.UsageError("--all asks before it ends them; without a terminal, say --yes")
        lasting = ask_book(settings, lambda book: _count(book, account))
        click.confirm(
            f"{lasting} tokens, invitations and sign-ins {whose}last in {place_of(settings)}. End them all?",
            abort=True,
            err=True,
        )
    ended = ask_book(settings, lambda book: book.revoke_all(account))
    click.echo(
        f"Revoked {ended} tokens, invitations and sign-ins {whose}in {place_of(settings)}. From their next request on "
        "they are refused.",
        err=True,
    )


async def _count(book: AccessBook, account: str | None) -> int:
    now_ms = book.now_ms()
    states = [grant.state(now_ms) for grant in await book.grants() if account in (None, grant.account)]
    return sum(state in ("active", "pending") for state in states)
