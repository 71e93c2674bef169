"""What the commands about tokens share: asking the book of grants, and saying what is to be said."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import anyio
import click

from finexio_mcp.access.book import AccessBook, AccessUnavailable
from finexio_mcp.access.grants import Grant
from finexio_mcp.guards.ledger.place import describe, home
from finexio_mcp.guards.ledger.rows import moment
from finexio_mcp.settings import DEFAULT_ACCOUNT

if TYPE_CHECKING:
    from finexio_mcp.settings import Settings

T = TypeVar("T")
GetSettings = Callable[..., "Settings"]

# What keeps a command from its work is said by the command itself, once.
logging.getLogger("finexio_mcp.access").addHandler(logging.NullHandler())


def ask_book(settings: Settings, ask: Callable[[AccessBook], Awaitable[T]]) -> T:
    """What the book answers. If the database cannot be used, the command ends with what to do."""

    async def asked() -> T:
        book = AccessBook(settings)
        try:
            return await ask(book)
        finally:
            await book.aclose()

    try:
        return anyio.run(asked)
    except AccessUnavailable as trouble:
        fail(trouble.advice)


def place_of(settings: Settings) -> str:
    """Where tokens are kept, for people who wonder whether it is the server's place."""
    return describe(home(settings))


def command(settings: Settings, words: str) -> str:
    """A command as it has to be typed to reach the same place."""
    return f"finexio-mcp tokens {words}{' --simulator' if settings.embedded else ''}"


def fail(text: str) -> NoReturn:
    """End a command with 1."""
    click.echo(text, err=True)
    sys.exit(1)


def limits(grant: Grant) -> str:
    """What it may do, for people."""
    parts = [f"access {grant.access}"]
    if grant.account != DEFAULT_ACCOUNT:
        parts.append(f"account {grant.account}")
    if grant.toolsets is not None:
        parts.append(f"toolsets {', '.join(sorted(grant.toolsets))}")
    if grant.tools is not None:
        parts.append(f"tools {', '.join(sorted(grant.tools))}")
    return "; ".join(parts)


def moment_or_never(ms: int | None) -> str:
    """When, for people."""
    return moment(ms) if ms is not None else "never"
