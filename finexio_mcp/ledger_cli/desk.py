"""What the commands of the ledger share: asking it, and saying what is to be said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from finexio_mcp.guards.ledger.existing import consult
from finexio_mcp.guards.ledger.place import Place, describe
from finexio_mcp.guards.ledger.trouble import Unusable
from finexio_mcp.ledger_cli.shown import Shown

if TYPE_CHECKING:
    from finexio_mcp.guards.ledger.store import Store
    from finexio_mcp.settings import Settings

T = TypeVar("T")
GetSettings = Callable[[], "Settings"]

NOTHING_YET = "Nothing was submitted yet: there is no ledger at {where}."
IN_MEMORY = "The built-in simulator's ledger lives in the server's memory and ends with it; there is none to look at."
UNKNOWN_CALL = (
    "The ledger knows no call of that op_id; one that was refused before it was recorded stands only in the log and in "
    "the audit. (The ledger: {where})"
)

json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


def ask_ledger(
    place: Place, ask: Callable[[Store], T], *, account: str | None = None, on_trouble: str = ""
) -> T | None:
    """What the ledger answers; `None` if there is none. If it cannot be used, the command ends with what to do.

    Operators see the submissions of all accounts, or of the one that they name.
    """
    try:
        return consult(place, ask, account=account)
    except Unusable as trouble:
        fail(f"{trouble.advice} {on_trouble}".rstrip())


def nothing_there(place: Place) -> str:
    """Why there is nothing to look at."""
    return IN_MEMORY if place.memory else NOTHING_YET.format(where=describe(place))


def fail_unknown(place: Place, *, begun: bool) -> NoReturn:
    """End a command about a call that is not there; `begun`: there is a ledger."""
    fail(UNKNOWN_CALL.format(where=describe(place)) if begun else nothing_there(place))


def fail(text: str) -> NoReturn:
    """End a command with 1."""
    click.echo(text, err=True)
    sys.exit(1)


def read_call(store: Store, op_id: str) -> list[Shown]:
    """The rows of a call, as they stand now."""
    now_ms = store.now_ms()
    return [Shown(row, now_ms) for row in store.get(op_id)]
