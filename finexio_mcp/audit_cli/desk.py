"""What the commands of the audit share: which entries, asking for them, and saying what is to be said."""

from __future__ import annotations

import difflib
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from finexio_mcp.guards.ledger.place import Place, describe, home
from finexio_mcp.guards.ledger.trouble import Unusable

if TYPE_CHECKING:
    from finexio_mcp.audit.reading import Filter, Reader
    from finexio_mcp.settings import Settings

    MomentType = click.ParamType[int]
else:
    # In earlier releases of click 8 a type takes no argument.
    MomentType = click.ParamType

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])
GetSettings = Callable[..., "Settings"]

NOTHING_YET = "Nothing was recorded yet: there is no audit in {where}."
AGO = re.compile(r"([0-9]{1,5})([mhdw])", re.ASCII)
UNITS_MS: Mapping[str, int] = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Moment(MomentType):
    """Milliseconds since 1970, from `7d` or `24h` ago, or from a date or time by ISO 8601; in UTC without a zone.

    Args:
        end: A date stands for the end of its day.
    """

    name = "moment"

    def __init__(self, *, end: bool = False) -> None:
        self._end = end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if ago := AGO.fullmatch(value):
            return time.time_ns() // 1_000_000 - int(ago[1]) * UNITS_MS[ago[2]]
        try:
            found = datetime.fromisoformat(value)
            found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
            if self._end and DATE.fullmatch(value):
                found += timedelta(days=1)
            return int(found.timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail("allowed: 90m, 24h, 7d, 4w ago, or a date or time such as 2026-11-01 or 2026-11-01T09:30Z")


account_option = click.option("--account", metavar="NAME", help="Only calls for this account. Default: all.")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")

_OPTIONS = (
    account_option,
    click.option(
        "--caller",
        metavar="NAME|KEY|ID",
        help="Only calls of this token or sign-in: its name, its key such as token:4hvfrpuppuwa, or the id alone.",
    ),
    click.option("--tool", metavar="NAME", help="Only calls of this tool."),
    click.option("--outcome", metavar="WORD", help="Only calls that ended so: ok, a status, or the code of an error."),
    click.option("--since", type=Moment(), metavar="WHEN", help="Only calls from then on: 7d, 24h, or 2026-11-01."),
    click.option("--until", type=Moment(end=True), metavar="WHEN", help="Only calls up to then, that day included."),
)


def filter_options(command: F) -> F:
    """The options that say which entries; `chosen` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen(
    *,
    account: str | None,
    caller: str | None,
    tool: str | None,
    outcome: str | None,
    since: int | None,
    until: int | None,
) -> Filter:
    """Which entries the options ask for."""
    from finexio_mcp.audit.reading import Filter

    return Filter(account=account, caller=caller, tool=tool, outcome=outcome, since_ms=since, until_ms=until)


def require_tool(reader: Reader, name: str | None) -> None:
    """Refuse the name of a tool that there neither is nor was, before nothing is found under it."""
    from finexio_mcp import catalog

    known = catalog.read()
    if name is None or name in known or reader.knows_tool(name):
        return
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    raise click.UsageError(f"there is no tool {name!r}{f'; did you mean {near[0]}?' if near else ''}")


def place_of(settings: Settings) -> Place:
    """Where the audit is kept."""
    return home(settings)


def ask_audit(place: Place, ask: Callable[[Reader], T]) -> T | None:
    """What the audit answers; `None` if there is none. If it cannot be used, the command ends with what to do."""
    from finexio_mcp.audit.reading import reading

    try:
        with reading(place) as reader:
            return ask(reader) if reader is not None else None
    except Unusable as trouble:
        fail(trouble.advice)


def nothing_there(place: Place) -> str:
    """Why there is nothing to look at."""
    return NOTHING_YET.format(where=describe(place))


def fail(text: str) -> NoReturn:
    """End a command with 1."""
    click.echo(text, err=True)
    sys.exit(1)
