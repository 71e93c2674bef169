"""What `create` and `invite` take: a name, how far, for which tools, and how long."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from finexio_mcp import catalog
from finexio_mcp.access.book import MAX_NAME_CHARS, is_name
from finexio_mcp.access.grants import Terms
from finexio_mcp.accounts import Accounts, is_account_name
from finexio_mcp.accounts.account import NAME_RULE
from finexio_mcp.settings import ACCESS_ORDER, DEFAULT_ACCOUNT, NAMES, TOOLSETS, Access, Settings, SettingsError

if TYPE_CHECKING:
    TextType = click.ParamType[str]
    DurationType = click.ParamType[int | None]
else:
    # In earlier releases of click 8 a type takes no argument.
    TextType = DurationType = click.ParamType

F = TypeVar("F", bound=Callable[..., None])

UNITS_MS: Mapping[str, int] = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
MAX_MS = 10 * UNITS_MS["y"]
DURATION = re.compile(r"([0-9]{1,7})([mhdwy])", re.ASCII)
NEVER = "never"
DEFAULT_EXPIRY = "30d"
DEFAULT_VALIDITY = "15m"
MAX_VALIDITY_MS = 7 * UNITS_MS["d"]


class Name(TextType):
    """By what people know a token."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_name(value):
            self.fail(f"a name is one line of 1 to {MAX_NAME_CHARS} characters that begins with no hyphen", param, ctx)
        return value


class AccountName(TextType):
    """How the accounts file names an account."""

    name = "account"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_account_name(value):
            self.fail(NAME_RULE, param, ctx)
        return value


class Duration(DurationType):
    """Milliseconds from `90m`, `12h`, `30d`, `2w`, `1y`; `None` for `never`, where that is allowed."""

    name = "duration"

    def __init__(self, max_ms: int, *, or_never: bool) -> None:
        self._max_ms = max_ms
        self._or_never = or_never

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value == NEVER and self._or_never:
            return None
        match = DURATION.fullmatch(value)
        ms = int(match[1]) * UNITS_MS[match[2]] if match is not None else 0
        if not 0 < ms <= self._max_ms:
            longest = "10y, or never" if self._or_never else "7d"
            self.fail(f"allowed: a duration such as 90m, 12h or 30d, up to {longest}", param, ctx)
        return ms


name_option = click.option("--name", required=True, type=Name(), help="Whose it is; no other that lasts may have it.")
access_option = click.option(
    "--access",
    required=True,
    type=click.Choice(ACCESS_ORDER),
    help="How far it may go: read, write (suppliers, contacts, webhooks) or pay (invoices).",
)
toolsets_option = click.option(
    "--toolsets", metavar="A,B", help="Only these groups of tools. Default: all that the server offers."
)
tools_option = click.option("--tools", metavar="A,B", help="Only these tools. Default: all that the server offers.")
expires_option = click.option(
    "--expires",
    "expires_ms",
    type=Duration(MAX_MS, or_never=True),
    default=DEFAULT_EXPIRY,
    show_default=True,
    help="How long it lasts: 90m, 12h, 30d, 1y, or never.",
)
account_option = click.option(
    "--account",
    metavar="NAME",
    type=AccountName(),
    help="For which Finexio account. Default: that of FINEXIO_MCP_ACCOUNT, else `default`.",
)
chosen_account_option = click.option(
    "--account", metavar="NAME", type=AccountName(), help="Only what is for this Finexio account. Default: all."
)
valid_option = click.option(
    "--valid",
    "valid_ms",
    type=Duration(MAX_VALIDITY_MS, or_never=False),
    default=DEFAULT_VALIDITY,
    show_default=True,
    help="How long the code can be used.",
)


def read_terms(
    access: Access, toolsets: str | None, tools: str | None, account: str | None, settings: Settings
) -> Terms:
    """What is asked for.

    Raises:
        UsageError: A name that does not exist, or one that these terms could never use.
    """
    known = catalog.read()
    chosen = _names(toolsets, TOOLSETS, "toolset") if toolsets is not None else None
    named = _names(tools, known, "tool") if tools is not None else None
    for name in sorted(named or ()):
        listed = known[name]
        if chosen is not None and listed.toolset not in chosen:
            raise click.UsageError(f"{name} is in the toolset {listed.toolset}, which --toolsets leaves out")
        if ACCESS_ORDER.index(listed.access) > ACCESS_ORDER.index(access):
            raise click.UsageError(f"{name} needs --access {listed.access}")
    return Terms(access=access, toolsets=chosen, tools=named, account=account or settings.account)


def _names(given: str, known: Collection[str], what: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in given.split(",") if name.strip())
    if not names:
        raise click.UsageError(f"--{what}s names none; leave it out to allow all")
    for name in sorted(names - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        raise click.UsageError(f"there is no {what} {name!r}{f'; did you mean {near[0]}?' if near else ''}")
    return names


def beyond(terms: Terms, settings: Settings) -> Iterator[str]:
    """What a server with these settings would not offer, whatever the token says."""
    if ACCESS_ORDER.index(terms.access) > ACCESS_ORDER.index(settings.granted):
        yield (
            f"a server with these settings offers access {settings.granted!r} at most; "
            f"{NAMES['access']}={terms.access} would allow what this asks for."
        )
    if missing := sorted((terms.toolsets or frozenset()) - set(settings.toolsets)):
        yield f"a server with these settings has no {', '.join(missing)}; {NAMES['toolsets']} names what it offers."
    known = catalog.read()
    offered = settings.model_copy(update={"access": "pay"})
    if missing := sorted(name for name in terms.tools or () if not catalog.may_use(known[name], offered)):
        yield (
            f"a server with these settings does not offer {', '.join(missing)}; {NAMES['toolsets']} and "
            f"{NAMES['tools']} decide."
        )
    if without := _without(terms.account, settings):
        yield without


def _without(account: str, settings: Settings) -> str | None:
    """Why a server with these settings has no such account, if it has none."""
    file = NAMES["accounts_file"]
    if settings.accounts_file is None:
        known = account == DEFAULT_ACCOUNT
        return None if known else f"a server with these settings has no account {account!r}, since {file} is not set."
    try:
        known = Accounts(settings).find(account) is not None
    except SettingsError:
        return f"whether there is an account {account!r} cannot be told: what {file} names cannot be used."
    return None if known else f"what {file} names has no account {account!r} yet; until it does, calls are refused."
