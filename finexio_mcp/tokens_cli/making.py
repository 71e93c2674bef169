"""`create` and `invite`: what is told once, and to whom."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable

import click

from finexio_mcp.access.book import AccessBook, NameTaken
from finexio_mcp.access.grants import Grant, Terms
from finexio_mcp.options import simulator_option
from finexio_mcp.printing import print_lines
from finexio_mcp.settings import BUILTIN, NAMES, Access, Settings
from finexio_mcp.tokens_cli.desk import (
    GetSettings,
    ask_book,
    command,
    fail,
    limits,
    moment_or_never,
    place_of,
)
from finexio_mcp.tokens_cli.terms import (
    access_option,
    account_option,
    beyond,
    expires_option,
    name_option,
    read_terms,
    tools_option,
    toolsets_option,
    valid_option,
)

TAKEN = (
    "There is {name!r} already, and it still lasts. Take another name, or end that one: `finexio-mcp tokens revoke "
    "{quoted}`."
)
UNTOLD = "It could not be printed, so it was revoked: {why}."


@click.command()
@name_option
@access_option
@toolsets_option
@tools_option
@account_option
@expires_option
@simulator_option
@click.pass_obj
def create(
    get_settings: GetSettings,
    name: str,
    access: Access,
    toolsets: str | None,
    tools: str | None,
    account: str | None,
    expires_ms: int | None,
) -> None:
    """Make a token for a program that calls over HTTP. It is printed once, alone on stdout, and kept nowhere.

    Without --expires it ends after 30 days. What the server's own settings forbid, no token allows.

    \b
    Example: TOKEN=$(finexio-mcp tokens create --name reports --access read --expires 90d)
    """
    settings = get_settings()
    terms = read_terms(access, toolsets, tools, account, settings)

    async def make(book: AccessBook) -> tuple[Grant, str]:
        return await book.create(name, terms, expires_at_ms=_end(book, expires_ms))

    grant = _make(settings, name, make)
    _say(
        f"Token {grant.name!r} (id {grant.id}): {limits(grant)}. It ends: {moment_or_never(grant.expires_at_ms)}.",
        f"It is kept, as a digest, in {place_of(settings)}.",
        "It is shown this once. Send it to `finexio-mcp serve --http` in the header `Authorization: Bearer TOKEN`.",
    )
    _say_about(grant, terms, settings)


@click.command()
@name_option
@access_option
@toolsets_option
@tools_option
@account_option
@expires_option
@valid_option
@simulator_option
@click.pass_obj
def invite(
    get_settings: GetSettings,
    name: str,
    access: Access,
    toolsets: str | None,
    tools: str | None,
    account: str | None,
    expires_ms: int | None,
    valid_ms: int,
) -> None:
    """Make a one-time code that lets a client such as ChatGPT sign in, where the server runs with --oauth builtin.

    It is printed once, alone on stdout, and typed into the page that asks for consent. The sign-in ends after 30 days
    without --expires; the client then has to be let in again.

    \b
    Example: finexio-mcp tokens invite --name chatgpt --access write --expires 90d
    """
    settings = get_settings()
    terms = read_terms(access, toolsets, tools, account, settings)
    ends_at_ms: int | None = None

    async def make(book: AccessBook) -> tuple[Grant, str]:
        nonlocal ends_at_ms
        ends_at_ms = _end(book, expires_ms)
        return await book.invite(name, terms, valid_ms=valid_ms, grant_expires_at_ms=ends_at_ms)

    grant = _make(settings, name, make)
    _say(
        f"Code for {grant.name!r} (id {grant.id}): {limits(grant)}. It works once, until "
        f"{moment_or_never(grant.expires_at_ms)}. The sign-in ends: {moment_or_never(ends_at_ms)}.",
        f"It is kept, as a digest, in {place_of(settings)}.",
        "Connect the client, and type the code into the page that asks whether to let it in.",
    )
    _say_about(grant, terms, settings)
    if settings.oauth_issuer != BUILTIN:
        _say(f"warning: only a server with --oauth builtin, or {NAMES['oauth_issuer']}={BUILTIN}, takes this code.")


def _end(book: AccessBook, expires_ms: int | None) -> int | None:
    return book.now_ms() + expires_ms if expires_ms is not None else None


def _make(settings: Settings, name: str, make: Callable[[AccessBook], Awaitable[tuple[Grant, str]]]) -> Grant:
    """Make it and print its text before anything else is said."""
    try:
        grant, text = ask_book(settings, make)
    except NameTaken:
        fail(TAKEN.format(name=name, quoted=shlex.quote(name)))
    try:
        print_lines([text])
    except OSError as error:
        # What is left in its buffer would fail once more at the end.
        sys.stdout = sys.stderr
        ask_book(settings, lambda book: book.revoke(grant.id))
        fail(UNTOLD.format(why=error.strerror))
    return grant


def _say_about(grant: Grant, terms: Terms, settings: Settings) -> None:
    _say(
        f"To end it: {command(settings, f'revoke {shlex.quote(grant.name)}')}",
        *(f"warning: {text}" for text in beyond(terms, settings)),
    )


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(line, err=True)
