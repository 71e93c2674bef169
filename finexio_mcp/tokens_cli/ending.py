"""`revoke`: the end of a token, at once."""

from __future__ import annotations

import click

from finexio_mcp.tokens_cli.desk import GetSettings, ask_book, command, fail, place_of, simulator_option

NONE = "Nothing was revoked: in {place} no token or sign-in of that name or id still lasts. See `{list}`."


@click.command()
@click.argument("name_or_id", metavar="NAME|ID")
@simulator_option
@click.pass_obj
def revoke(get_settings: GetSettings, name_or_id: str) -> None:
    """End a token, an invitation or a sign-in, by its name or id. The next request with it is refused.

    What runs already is not cut short. Exits with 1 if there is none.

    \b
    Example: finexio-mcp tokens revoke reports
    """
    settings = get_settings()
    grant = ask_book(settings, lambda book: book.revoke(name_or_id))
    if grant is None:
        fail(NONE.format(place=place_of(settings), list=command(settings, "list")))
    click.echo(f"Revoked {grant.name!r} (id {grant.id}). From its next request on it is refused.", err=True)
