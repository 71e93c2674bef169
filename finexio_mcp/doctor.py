"""Checks what must be so before an agent can work, one thing at a time, and says what to do."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio
import anyio.to_thread
import click

from finexio_mcp import catalog, clients
from finexio_mcp.accounts import Account, Accounts, Login
from finexio_mcp.accounts.logins import FileLogin, KeyringLogin, VariableLogin
from finexio_mcp.guards.ledger import moves
from finexio_mcp.guards.ledger.existing import consult
from finexio_mcp.guards.ledger.place import (
    KEY_BYTES,
    OWN_DIRECTORY,
    POSIX,
    Place,
    describe,
    key_of,
    locate,
    volatile_reason,
)
from finexio_mcp.guards.ledger.states import OPEN
from finexio_mcp.guards.ledger.states import State as Submitted
from finexio_mcp.guards.ledger.trouble import ADVICE as LEDGER_ADVICE
from finexio_mcp.guards.ledger.trouble import Kind, Unusable
from finexio_mcp.guards.names import needless_unmasks
from finexio_mcp.settings import DEFAULT_ACCOUNT, NAMES, OVER_HTTP, Credentials, Settings, SettingsError, unknown_names

if TYPE_CHECKING:
    import httpx2

    from finexio_mcp.engine import Parts
    from finexio_mcp.guards.ledger.rows import Submission, Verified
    from finexio_mcp.guards.ledger.store import Store

State = Literal["ok", "warn", "fail"]
S = TypeVar("S")
T = TypeVar("T")

REACH_SECONDS = 10.0
TOTAL_SECONDS = 60.0
CLOCK_SECONDS = 120.0
LEDGER_SECONDS = 30.0
KEYRING_SECONDS = 20.0
ACCOUNTS_AT_ONCE = 8
MAX_UNSETTLED = 1000
PROBE = "list_all_finexio_webhooks"
"""A read without arguments whose answer is short: an account has a handful of webhooks at most."""

NOT_REACHED = "Not checked: Finexio was not reached."
PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and what to do if it is not as it should be."""

    name: str
    state: State
    says: str
    do: str = ""


def examine(settings: Settings, *, as_json: bool) -> int:
    """Run every check and print the findings and ready client configurations; 1 if something failed."""
    checks = anyio.run(run_checks, settings)
    ready = {config.name: _ready(config, settings) for config in clients.CLIENTS}
    ok = all(check.state != "fail" for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": ok, "checks": [asdict(check) for check in checks], "clients": ready}, indent=2))
    else:
        _print(checks, ready)
    return 0 if ok else 1


async def run_checks(
    settings: Settings,
    transport: httpx2.AsyncBaseTransport | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Check]:
    """Every check, in the order in which one would look.

    Args:
        settings: What is checked.
        transport: Another way to Finexio, for tests.
        now: This machine's clock.
    """
    found = [*check_settings(settings), check_environment(settings), check_access(settings)]
    several: list[Known] | None = None
    if settings.accounts_file is None:
        found.append(check_presence(settings))
    else:
        checks, several = await check_accounts(settings)
        found += checks
    found += [check_place(settings), await check_ledger(settings), *check_http(settings)]
    async with _reachable(settings, transport) as settings:
        answer = await _reach(settings, transport)
        found.append(answer if isinstance(answer, Check) else _reached(settings, answer))
        if isinstance(answer, Check):
            return [*found, Check("clock", "warn", NOT_REACHED), Check("credentials", "warn", NOT_REACHED)]
        found.append(check_clock(answer.headers.get("date", ""), now()))
        if several is None:
            found.append(await check_credentials(settings, transport))
        else:
            found += await check_sign_ins(several, transport)
    return found


# What needs no connection ------------------------------------------------------


def check_settings(settings: Settings) -> Iterator[Check]:
    """What is allowed and still looks like a mistake, one finding each."""
    doubts = [*settings.warnings(), *needless_unmasks(settings)]
    strangers = unknown_names()
    for name, problem in doubts:
        yield Check("settings", "warn", f"{name} {problem}", f"Correct {name}, or unset it.")
    for name, problem in strangers:
        yield Check("settings", "warn", f"{name} {problem}", f"Rename {name}, or unset it.")
    if not doubts and not strangers:
        yield Check("settings", "ok", "Nothing looks like a mistake.")


def check_environment(settings: Settings) -> Check:
    """Which Finexio this is, and whether money there is real."""
    if settings.embedded:
        return Check(
            "environment", "ok", "The built-in simulator: a pretend Finexio inside this server. No real money."
        )
    money = "Payments are real." if settings.real_money else "No real money."
    return Check("environment", "ok", f"{settings.environment}, at {settings.api_url}. {money}")


def check_access(settings: Settings) -> Check:
    """How far agents may go."""
    listed = catalog.read().values()
    offered = sum(catalog.may_use(tool, settings) for tool in listed)
    says = f"{settings.granted}: {offered} of {len(listed)} tools are offered to agents."
    if not offered:
        return Check("access", "fail", says, "Widen FINEXIO_MCP_TOOLS or FINEXIO_MCP_ACCESS: agents can do nothing.")
    # Where there are several accounts, each has limits of its own.
    if settings.accounts_file is None and _is_unlimited(settings):
        return Check(
            "access",
            "warn",
            f"{says} {UNLIMITED}",
            "Set FINEXIO_MCP_MAX_DAY_CENTS and FINEXIO_MCP_MAX_INVOICE_CENTS to what is usual with you.",
        )
    if settings.access is None and settings.granted == "read":
        return Check("access", "ok", f"{says} Set FINEXIO_MCP_ACCESS=write to let them do more.")
    return Check("access", "ok", says)


UNLIMITED = "They may submit real payments of any amount."


def _is_unlimited(settings: Settings) -> bool:
    limits = (settings.max_invoice_cents, settings.max_batch_cents, settings.max_day_cents)
    return settings.real_money and settings.granted == "pay" and limits == (None, None, None)


def check_presence(settings: Settings) -> Check:
    """Whether there are credentials at all; who they belong to is only hinted at."""
    credentials = settings.credentials()
    if credentials is None:
        return Check("account", "fail", "No credentials for Finexio.", f"{_sentence(settings.missing_credentials())}.")
    if settings.password_file is not None:
        source = "a password from FINEXIO_PASSWORD_FILE"
    else:
        source = "the simulator's own password" if settings.password is None else "a password from FINEXIO_PASSWORD"
    return Check("account", "ok", f"User {hint(credentials.username)}, with {source}.")


def hint(username: str) -> str:
    """Enough of a user name to tell two apart, and no more."""
    return f"{username[:2] if len(username) > 2 else ''}***"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


# Several accounts ----------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """An account, and what it signs in with, if that could be had."""

    account: Account
    credentials: Credentials | None


async def check_accounts(settings: Settings) -> tuple[list[Check], list[Known]]:
    """The accounts file, and each account in it as far as that needs no connection."""
    try:
        accounts = Accounts(settings)
    except SettingsError as error:
        do = f"Correct that file, or {NAMES['accounts_file']}."
        return [Check("accounts", "fail", f"{name} {problem}.", do) for name, problem in error.problems], []
    every = [account for name in accounts.names() if (account := accounts.find(name)) is not None]
    several = await each_of(every, _look_up)
    found = [*_check_accounts_file(settings, accounts.names()), *_check_shared_users(several)]
    return [*found, *(check for known in several for check in check_account(known))], several


async def each_of(several: Sequence[S], ask: Callable[[S], Awaitable[T]]) -> list[T]:
    """What is found for each, in their order; some of them at once, since each may take its time."""
    found: dict[int, T] = {}
    limiter = anyio.CapacityLimiter(ACCOUNTS_AT_ONCE)

    async def one(index: int, asked: S) -> None:
        async with limiter:
            found[index] = await ask(asked)

    async with anyio.create_task_group() as tasks:
        for index, asked in enumerate(several):
            tasks.start_soon(one, index, asked)
    return [found[index] for index in range(len(several))]


async def _look_up(account: Account) -> Known:
    with anyio.move_on_after(KEYRING_SECONDS):
        return Known(account, await anyio.to_thread.run_sync(account.login.credentials, abandon_on_cancel=True))
    return Known(account, None)


def _check_accounts_file(settings: Settings, names: Sequence[str]) -> Iterator[Check]:
    path, chosen = settings.accounts_file, settings.account
    assert path is not None, "there are several accounts"  # noqa: S101
    says = f"{len(names)} in {path}: {', '.join(names)}."
    if _open_to_others(path) & stat.S_IWOTH:
        yield Check("accounts", "warn", f"Others may change {path}.", f"Run: chmod o-w '{path}'")
    if chosen in names:
        yield Check("accounts", "ok", f"{says} Who names none uses {chosen}.")
    elif chosen != DEFAULT_ACCOUNT:
        do = f"Name one of them in {NAMES['account']}."
        yield Check("accounts", "fail", f"{says} {NAMES['account']} names none of them.", do)
    elif settings.model_fields_set & OVER_HTTP:
        yield Check("accounts", "ok", f"{says} Callers have to name one: none is called {DEFAULT_ACCOUNT}.")
    else:
        yield Check(
            "accounts",
            "warn",
            f"{says} None is called {DEFAULT_ACCOUNT}, so stdio and the commands have none.",
            f"Name one of them in {NAMES['account']}.",
        )


def _check_shared_users(several: Sequence[Known]) -> Iterator[Check]:
    names: dict[str, list[str]] = {}
    for known in several:
        if known.credentials is not None:
            names.setdefault(known.credentials.username, []).append(known.account.name)
    for shared in names.values():
        if len(shared) > 1:
            yield Check(
                "accounts",
                "warn",
                f"{', '.join(shared)} sign in as one user: each sees what the others see, and their rates add up.",
                "Give each a user of its own, or lower their rates.",
            )


def check_account(known: Known) -> Iterator[Check]:
    """Whether one of several accounts has credentials, what bounds it, and whether its password is for it alone."""
    account, credentials = known.account, known.credentials
    name, settings = f"account {account.name}", account.settings
    if credentials is None:
        says = f"No credentials for Finexio: {account.login.missing_credentials()}."
        yield Check(name, "fail", says, "Correct that in the accounts file, or what it names.")
        return
    says = f"User {hint(credentials.username)}, with a password from {_source(account.login)}. {_bounds(settings)}"
    if _is_unlimited(settings):
        yield Check(
            name,
            "warn",
            f"{says} {UNLIMITED}",
            f"Give it max_day_cents and max_invoice_cents, or set {NAMES['max_day_cents']} and "
            f"{NAMES['max_invoice_cents']} for all.",
        )
    else:
        yield Check(name, "ok", says)
    if isinstance(account.login, FileLogin) and _open_to_others(path := account.login.path):
        yield Check(
            name,
            "warn",
            f"Others on this machine may open {path}, which holds its password.",
            f"Run: chmod o-rwx '{path}'. Where it is mounted, mount it with mode 0400.",
        )


def _open_to_others(path: Path) -> int:
    """What everybody on this machine may do with a file, as bits of its mode."""
    try:
        return path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH) if POSIX else 0
    except OSError:
        return 0


def _source(login: Login) -> str:
    if isinstance(login, FileLogin):
        return "a file"
    return "the environment" if isinstance(login, VariableLogin) else "the system's keyring"


def _bounds(settings: Settings) -> str:
    """What bounds an account, in a sentence."""
    amounts = (
        (settings.max_invoice_cents, "an invoice"),
        (settings.max_batch_cents, "a batch"),
        (settings.max_day_cents, "in 24 hours"),
    )
    told = [f"{cents} cents {what}" for cents, what in amounts if cents is not None] or ["any amount"]
    told.append(f"{settings.rate:g} requests a second" if settings.rate else "any number of requests")
    return f"At most {', '.join(told)}."


async def check_sign_ins(several: Sequence[Known], transport: httpx2.AsyncBaseTransport | None = None) -> list[Check]:
    """Whether Finexio takes the credentials of each account."""
    from finexio_mcp.api.lanes import trusted
    from finexio_mcp.engine import Parts

    # It takes longer to load what is trusted than to ask.
    parts = Parts(tls=await anyio.to_thread.run_sync(trusted)) if transport is None else Parts()
    return await each_of(several, lambda known: _check_sign_in(known, transport, parts))


async def _check_sign_in(known: Known, transport: httpx2.AsyncBaseTransport | None, parts: Parts) -> Check:
    name, kept = known.account.name, known.account.login
    key = kept.key if isinstance(kept, FileLogin | VariableLogin | KeyringLogin) else f"accounts.{name}"
    login = known.account.login if known.credentials is not None else None
    check = await _sign_in(known.account.settings, login, transport, parts)
    own = {
        ASK_FINEXIO: f"Correct accounts.{name}.username, or the password that {key} names; {EACH_ITS_OWN}",
        SET_THEM: f"Look at {key} and at what it names.",
    }
    return replace(check, name=f"credentials {name}", do=own.get(check.do, check.do))


# The ledger ----------------------------------------------------------------------


def check_place(settings: Settings) -> Check:
    """Whether the ledger has a place that keeps it, for this user alone. Nothing is made or changed."""
    place = locate(settings)
    if place.trouble is not None:
        return Check("state", _hindering(settings), f"The ledger is {describe(place)}.", LEDGER_ADVICE[place.trouble])
    if place.file is None:
        return Check("state", "ok", f"The ledger is {describe(place)}.")
    says = f"The ledger's place is {place.file}."
    if (reason := volatile_reason(place.file)) is not None:
        says = f"{says} That is on {reason}."
        if not settings.allow_volatile_ledger:
            return Check("state", _hindering(settings), says, LEDGER_ADVICE["volatile"])
        return Check("state", "warn", says, "Unset FINEXIO_MCP_ALLOW_VOLATILE_LEDGER where money is real.")
    try:
        return _check_directory(place.file.parent, settings, says) or _check_files(place, settings, says)
    except OSError as error:
        return Check("state", _hindering(settings), f"{says} {error.strerror}.", LEDGER_ADVICE["permission"])


def _hindering(settings: Settings) -> State:
    """How bad it is that nothing can be written: not at all for agents that only read."""
    return "warn" if settings.granted == "read" else "fail"


def _check_directory(directory: Path, settings: Settings, says: str) -> Check | None:
    """What is wrong with it, or that it is still to be made."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    status = there.stat()
    if not stat.S_ISDIR(status.st_mode):
        return Check("state", _hindering(settings), f"{says} {there} is no directory.", LEDGER_ADVICE["misconfigured"])
    if not os.access(there, os.W_OK | os.X_OK):
        hindered = f"{says} This user may not write in {there}."
        return Check("state", _hindering(settings), hindered, LEDGER_ADVICE["permission"])
    if there != directory:
        return Check("state", "ok", f"{says} It is made by the first write.")
    if not POSIX:
        return None
    if os.geteuid() not in {0, status.st_uid} and status.st_uid != 0:
        return Check("state", _hindering(settings), f"{says} {there} belongs to another user.", OWN_DIRECTORY)
    open_to = status.st_mode & (0o077 if settings.ledger_url is None else 0o022)
    if open_to and (settings.ledger_url is not None or there.is_symlink()):
        return Check("state", _hindering(settings), f"{says} Others may write in {there}.", OWN_DIRECTORY)
    if open_to:
        return Check("state", "warn", f"{says} Others may look into {there}.", f"Run: chmod 700 '{there}'")
    return None


def _check_files(place: Place, settings: Settings, says: str) -> Check:
    """The ledger's file and its key, as far as they are there."""
    for path in filter(None, (place.file, place.key_file)):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode):
            return Check("state", _hindering(settings), f"{says} {path} is no file.", LEDGER_ADVICE["misconfigured"])
        if path == place.key_file and status.st_size != KEY_BYTES:
            return Check("state", _hindering(settings), f"{says} {path} holds no key.", LEDGER_ADVICE["wrong_key"])
        if not os.access(path, os.R_OK | os.W_OK):
            hindered = f"{says} This user may not use {path}."
            return Check("state", _hindering(settings), hindered, LEDGER_ADVICE["permission"])
        if POSIX and status.st_mode & 0o077:
            return Check("state", "warn", f"{says} Others may open {path}.", f"Run: chmod 600 '{path}'")
    return Check("state", "ok", f"{says} It is this user's alone.")


IN_WORDS: Mapping[Kind, str] = {
    "auth": "this user is not let in",
    "io_error": "reading or writing failed",
    "tls": "no trusted TLS connection",
}
"""Kinds of trouble whose names say too little."""


async def check_ledger(settings: Settings) -> Check:
    """Whether the ledger can be read, is whole, and waits for somebody. Nothing is made or changed."""
    place = locate(settings)
    if place.trouble is not None:
        return Check("ledger", "warn", "Not checked: it has no place.")
    if place.memory:
        return Check("ledger", "ok", "The simulator's: in the server's memory, and empty at each start.")
    try:
        with anyio.fail_after(LEDGER_SECONDS):
            read = await anyio.to_thread.run_sync(_look_into, place, settings, abandon_on_cancel=True)
    except TimeoutError:
        return Check(
            "ledger",
            "warn",
            f"Not checked: reading it took more than {LEDGER_SECONDS:.0f} seconds.",
            "Run `finexio-mcp ledger verify`, which takes the time it needs.",
        )
    except Unusable as trouble:
        what = IN_WORDS.get(trouble.kind, trouble.kind.replace("_", " "))
        return Check("ledger", _hindering(settings), f"It cannot be used, so writes are off: {what}.", trouble.advice)
    if read is None:
        return Check("ledger", "ok", "Nothing was submitted yet; the first write begins it.")
    return _judge_ledger(*read)


def _look_into(place: Place, settings: Settings) -> tuple[Verified, list[Submission], int] | None:
    def ask(store: Store) -> tuple[Verified, list[Submission], int]:
        # With another key than it was begun with, every write is refused.
        store.check_key(key_of(place, settings))
        return _read_ledger(store)

    return consult(place, ask)


def _read_ledger(store: Store) -> tuple[Verified, list[Submission], int]:
    unsettled = store.find(states=[*OPEN, Submitted.CONFLICT], limit=MAX_UNSETTLED)
    return store.verify(), unsettled, store.now_ms()


def _judge_ledger(verified: Verified, unsettled: list[Submission], now_ms: int) -> Check:
    says = f"{verified.events} events, head {verified.head}."
    if verified.problems:
        return Check(
            "ledger",
            "fail",
            f"{says} It does not agree with itself: {verified.problems[0]}.",
            "Something else than this server changed it. Keep it as it is, stop writes, run `finexio-mcp ledger "
            "verify`, and compare it with a backup and with Finexio.",
        )
    doubts = sum(row.state is Submitted.IN_DOUBT for row in unsettled)
    deciding = sum(
        row.state is Submitted.CONFLICT or (row.state is Submitted.IN_DOUBT and row.next_look_at_ms is None)
        for row in unsettled
    )
    left_behind = sum(moves.is_left_behind(row, now_ms) for row in unsettled)
    if not (doubts or deciding or left_behind):
        return Check("ledger", "ok", f"{says} Nothing is in doubt.")
    counted = f"{says} In doubt: {doubts}. For a person to settle: {deciding}. Left behind by a crash: {left_behind}."
    if deciding:
        do = "Run `finexio-mcp ledger list`, look in Finexio's portal, then use `finexio-mcp ledger resolve`."
    else:
        do = "Start the server, or leave it running: it looks up what became of them."
    return Check("ledger", "warn", counted, do)


def check_http(settings: Settings) -> Iterator[Check]:
    """Whether `serve --http` would start, where its settings are used; nothing if none of them is."""
    if not settings.model_fields_set & OVER_HTTP:
        return
    # Not before it is needed: with it comes the whole server over HTTP.
    from finexio_mcp.web import rules

    refused, doubtful = rules.refusals(settings), rules.warnings(settings)
    for name, problem in refused:
        yield Check(
            "http", "fail", f"`serve --http` would not start: {name} {problem}.", f"Correct {name}, or unset it."
        )
    for name, problem in doubtful:
        yield Check("http", "warn", f"{name} {problem}", f"Unset {name} unless that is meant.")
    if not refused and not doubtful:
        guest = rules.anonymous(settings)
        who = "Nobody is answered without a token." if guest is None else "Programs on this machine may read."
        yield Check("http", "ok", f"Served at {rules.base_url(settings)}{rules.MCP_PATH}. {who}")


# What does ---------------------------------------------------------------------


@asynccontextmanager
async def _reachable(settings: Settings, transport: httpx2.AsyncBaseTransport | None) -> AsyncGenerator[Settings]:
    """The settings with an address that something listens on: the built-in simulator is started for the checks."""
    if not settings.embedded or transport is not None:
        yield settings
        return
    from finexio_mcp import embedded

    with embedded.simulator(settings, settings) as listening:
        yield listening


async def _reach(settings: Settings, transport: httpx2.AsyncBaseTransport | None) -> httpx2.Response | Check:
    """Any answer at all to a request without credentials, or why there was none."""
    import httpx2

    # As the server's own client: verified, and blind to proxies and certificates named in the environment.
    own = transport or httpx2.AsyncHTTPTransport(trust_env=False)
    try:
        with anyio.fail_after(REACH_SECONDS):
            async with httpx2.AsyncClient(transport=own, trust_env=False, timeout=None) as http:
                request = http.build_request(
                    "GET", f"{settings.api_url}/webhooks/", headers={"User-Agent": "finexio-mcp"}
                )
                answer = await http.send(request, stream=True)
                # What it says does not matter, only that it does.
                await answer.aclose()
                return answer
    except (httpx2.TransportError, TimeoutError) as error:
        says, do = _explain(error)
        return Check("reach", "fail", says, f"{do}{_proxy_note()}")


def _reached(settings: Settings, answer: httpx2.Response) -> Check:
    how = "over verified TLS" if settings.api_url.startswith("https:") else "on this machine, without TLS"
    return Check("reach", "ok", f"Finexio's address answers {how} (HTTP {answer.status_code} to a call without user).")


def _explain(error: BaseException) -> tuple[str, str]:
    """What went wrong, from what lies under the library's exception, and what to do about it."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = getattr(cause, "verify_message", "") or "it could not be verified"
            return (
                f"The certificate is not trusted: {reason}.",
                "Check this machine's date and FINEXIO_BASE_URL. Behind a proxy that inspects TLS, add its authority "
                "to the operating system's certificates; in a slim container install ca-certificates.",
            )
        if isinstance(cause, ssl.SSLError):
            return ("What answers there does not speak TLS as it should.", "Check host and port of FINEXIO_BASE_URL.")
        if isinstance(cause, socket.gaierror):
            return ("The host name cannot be resolved.", "Check FINEXIO_BASE_URL, the network and its DNS.")
        if isinstance(cause, ConnectionRefusedError):
            return ("Nothing listens at that address.", "Check FINEXIO_BASE_URL; is a firewall in between?")
    if any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in causes):
        return (
            f"No answer within {REACH_SECONDS:.0f} seconds.",
            "Check that this machine may reach that address; a firewall often drops silently.",
        )
    return ("The connection failed.", "Check FINEXIO_BASE_URL and that this machine may reach that address.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _proxy_note() -> str:
    named = [name for name in PROXIES if os.environ.get(name)]
    return f" {named[0]} is set, but proxies from the environment are not used." if named else ""


def check_clock(date: str, now: datetime) -> Check:
    """Finexio's clock against ours, from the `Date` of its answer."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return Check("clock", "warn", "Not checked: the answer has no date.")
    drift = (now - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))).total_seconds()
    if abs(drift) <= CLOCK_SECONDS:
        return Check("clock", "ok", f"Agrees with Finexio's to {abs(drift):.0f} s.")
    way = "ahead of" if drift > 0 else "behind"
    return Check(
        "clock",
        "warn",
        f"This machine's clock is {abs(drift):.0f} s {way} Finexio's.",
        "Set it by NTP: invoice dates and logs follow it.",
    )


async def check_credentials(settings: Settings, transport: httpx2.AsyncBaseTransport | None = None) -> Check:
    """Whether Finexio takes the credentials, asked the way an agent would."""
    return await _sign_in(settings, settings if settings.credentials() is not None else None, transport)


async def _sign_in(
    settings: Settings,
    login: Login | None,
    transport: httpx2.AsyncBaseTransport | None,
    parts: Parts | None = None,
) -> Check:
    from finexio_mcp.engine import Engine, Parts

    if login is None:
        return Check("credentials", "warn", "Not checked: there are none.")
    # Which tools agents are offered has no bearing on whether the credentials work.
    settings = settings.model_copy(update={"tools": (), "toolsets": ("core",)})
    shared = parts or Parts()
    with anyio.move_on_after(TOTAL_SECONDS):
        async with Engine(settings, transport, login=login, parts=lambda: shared) as engine:
            envelope = await engine.run(catalog.read()[PROBE], {"limit": 1})
        return _judge(envelope.content)
    return _judge({"error": {"code": "timeout", "message": "Finexio did not answer in time."}})


EACH_ITS_OWN = "sandbox and production each have their own."
ASK_FINEXIO = f"Correct FINEXIO_USERNAME and the password; {EACH_ITS_OWN}"
SET_THEM = "Set FINEXIO_USERNAME and FINEXIO_PASSWORD or FINEXIO_PASSWORD_FILE."
ADVICE: dict[str, tuple[State, str]] = {
    "not_authorized": ("fail", ASK_FINEXIO),
    "not_configured": ("fail", SET_THEM),
    "permission_denied": (
        "warn",
        "The credentials are good, but this user may not list webhooks. Ask Finexio for it if agents need webhooks.",
    ),
    "not_found": ("fail", "Check FINEXIO_BASE_URL: what answers there is not Finexio's API; it ends in /v2."),
    "upstream_unreadable": ("fail", "Check FINEXIO_BASE_URL: what answers there is not Finexio's API."),
    "rate_limited": ("warn", "Wait a minute and run this again."),
    "unavailable": ("fail", "Wait and run this again; if it lasts, ask Finexio."),
    "timeout": ("fail", "Wait and run this again; if it lasts, ask Finexio."),
}


def _judge(answer: dict[str, Any]) -> Check:
    if "error" not in answer:
        return Check("credentials", "ok", "Finexio accepts them; a read through this server worked.")
    code, message = answer["error"]["code"], answer["error"]["message"]
    state, do = ADVICE.get(code, ("fail", "The log says more: run this with FINEXIO_MCP_LOG_LEVEL=debug."))
    return Check("credentials", state, f"{code}: {message}", do)


# Saying it ---------------------------------------------------------------------


def _ready(config: clients.ClientConfig, settings: Settings) -> dict[str, str]:
    environment = {**clients.environment_of(settings), **_ledger_environment(settings)}
    return {"where": config.where, "text": config.text(clients.installed_command(), environment)}


def _ledger_environment(settings: Settings) -> dict[str, str]:
    """What makes a client's server use the ledger that was checked: another one would not know what was submitted."""
    if settings.ledger_url is None:
        state = os.environ.get("XDG_STATE_HOME", "")
        return {"XDG_STATE_HOME": state} if os.path.isabs(state) and not settings.embedded else {}
    # Those that stand in files are named by their files.
    told: dict[str, str] = {}
    if settings.ledger_url_file is None:
        url = "postgresql://your-ledger" if settings.shares_ledger else settings.ledger_url.get_secret_value()
        told["FINEXIO_MCP_LEDGER_URL"] = url
    if settings.shares_ledger and settings.state_key_file is None:
        told["FINEXIO_MCP_STATE_KEY"] = "your-state-key"
    return told


COLOURS: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def _print(checks: list[Check], ready: dict[str, dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for overflow in ("ignore", "ignore", "fold"):
        # A path that is cut short cannot be copied.
        table.add_column(overflow=overflow)
    for check in checks:
        table.add_row(Text(check.state, style=COLOURS[check.state]), check.name, Text(check.says))
        if check.do:
            table.add_row("", "", Text(f"-> {check.do}", style="bold"))
    Console(highlight=False).print(table)
    click.echo(f"\n{_conclusion(checks)}")
    click.echo("\nReady configurations. Values such as your-api-user are for you to fill in.")
    for name, told in ready.items():
        # Not through rich, which would break long lines where a copy must not.
        click.echo(f"\n{name}: {told['where']}\n\n{told['text']}")


def _conclusion(checks: list[Check]) -> str:
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    if failed:
        return f"{failed} of {len(checks)} checks failed."
    return f"Ready, with {warned} warning{'s' if warned > 1 else ''}." if warned else "Ready."
