"""The commands. Each parses, calls what the server calls, and prints; no logic lives only here."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from finexio_mcp import __version__
from finexio_mcp.settings import BUILTIN, NAMES, SettingProblem, Settings, SettingsError, load, unknown_names

if TYPE_CHECKING:
    import anyio
    from anyio.abc import TaskStatus

    from finexio_mcp.catalog import Listed
    from finexio_mcp.envelope import Envelope
    from finexio_mcp.readiness.printing import Style

    JsonType = click.ParamType[dict[str, Any]]
else:
    # In earlier releases of click 8 a type takes no argument.
    JsonType = click.ParamType

logger = logging.getLogger("finexio_mcp.cli")

ToolFormat = Literal["table", "mcp", "openai", "anthropic"]


def _fail_settings(problems: list[SettingProblem]) -> NoReturn:
    for name, problem in problems:
        click.echo(f"{name}: {problem}" if name else problem, err=True)
    sys.exit(2)


def _settings(*, simulator: bool = False, **overrides: Any) -> Settings:
    """The settings, or an end with exit code 2 that names what is wrong with them.

    Args:
        simulator: Whatever the environment says.
        overrides: Values that win over the environment, by the names of variables.
    """
    from finexio_mcp import catalog

    if simulator:
        overrides |= {"FINEXIO_ENVIRONMENT": "simulator", "FINEXIO_BASE_URL": None}
    try:
        settings = load(**overrides)
    except SettingsError as error:
        _fail_settings(error.problems)
    if problems := catalog.unknown_tools(settings, catalog.read()):
        _fail_settings(problems)
    return settings


def _require_accounts(settings: Settings) -> None:
    """End with 2 where calls would find no accounts. Commands that call nothing go on without them."""
    if settings.accounts_file is None:
        return
    from finexio_mcp.accounts.accounts import Accounts

    try:
        Accounts(settings)
    except SettingsError as error:
        _fail_settings(error.problems)


def _warn(settings: Settings) -> None:
    from finexio_mcp.guards.names import needless_unmasks

    _announce(settings, *[*settings.warnings(), *needless_unmasks(settings), *unknown_names()])


def _announce(settings: Settings, *told: str | SettingProblem) -> None:
    """Say what people who start a server should know, in the shape that its log has."""
    for each in told:
        text = each if isinstance(each, str) else f"{each.name} {each.problem}"
        if settings.log_format == "json":
            logger.log(logging.INFO if isinstance(each, str) else logging.WARNING, "%s", text)
        else:
            _say(text if isinstance(each, str) else f"warning: {text}")


def _require_streams(*names: Literal["stdin", "stdout"]) -> None:
    """End with 2 where one was closed before we began: nothing could be heard, or nobody could be told."""
    if sys.stderr is None:
        # It gets the free descriptor 2, which the next socket would have got, with every stray message in it.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if closed := [name for name in names if getattr(sys, name) is None]:
        click.echo(f"Nothing was done: {' and '.join(closed)} must not be closed.", err=True)
        sys.exit(2)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="finexio-mcp")
@click.option("--simulator", is_flag=True, help="Use the built-in simulator instead of Finexio.")
@click.pass_context
def cli(context: click.Context, simulator: bool) -> None:
    """Serve Finexio to AI agents over MCP.

    Without a command it serves stdio, which is what goes into a client's configuration. Settings are environment
    variables; `finexio-mcp doctor` checks them and prints ready configurations.

    \b
    Try it offline: finexio-mcp demo
    """
    context.obj = simulator
    if context.invoked_subcommand is None:
        _serve_stdio(simulator=simulator)


def _serve_stdio(*, simulator: bool) -> None:
    _require_streams("stdin", "stdout")
    settings = _settings(simulator=simulator)
    _require_accounts(settings)
    _warn(settings)

    import anyio

    from finexio_mcp import logs, stdio

    logs.configure(settings)
    if sys.stdin.isatty():
        click.echo("Serving MCP on stdin and stdout; an MCP client should start this. Ctrl-C ends it.", err=True)
    if (missing := _missing(settings)) is not None:
        _announce(settings, missing)
    try:
        anyio.run(stdio.serve, settings)
    except SettingsError as error:
        _fail_settings(error.problems)


HTTP_OPTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("--host", "http_host", {"metavar": "ADDRESS"}),
    ("--port", "http_port", {"type": click.IntRange(0, 65535)}),
    ("--public-url", "public_url", {"metavar": "URL"}),
    ("--allowed-host", "allowed_hosts", {"metavar": "NAME", "multiple": True}),
    ("--allowed-origin", "allowed_origins", {"metavar": "ORIGIN", "multiple": True}),
    ("--forwarded-allow-ips", "forwarded_allow_ips", {"metavar": "ADDRESSES"}),
    ("--require-token", "require_token", {"is_flag": True, "default": None}),
    ("--no-auth-writes", "no_auth_writes", {"is_flag": True, "default": None}),
    ("--oauth", "oauth_issuer", {"metavar": "builtin|URL"}),
)
"""Settings that `serve --http` takes as options too."""


def _http_options(command: Callable[..., None]) -> Callable[..., None]:
    for flag, field, more in reversed(HTTP_OPTIONS):
        about = Settings.model_fields[field].description or ""
        about = about.removeprefix("With `serve --http`: ").removeprefix("Over HTTP: ")
        command = click.option(flag, field, help=f"{about[:1].upper()}{about[1:]} [{NAMES[field]}]", **more)(command)
    return command


@cli.command()
@click.option("--http", is_flag=True, help="Serve Streamable HTTP at /mcp and server-sent events at /sse.")
@click.option("--simulator", is_flag=True, help="Use the built-in simulator instead of Finexio.")
@_http_options
@click.pass_obj
def serve(everywhere: bool, http: bool, simulator: bool, **options: Any) -> None:
    """Serve over HTTP, for clients that connect to an address; without --http over stdio, as with no command.

    Listens on this machine only. Programs on it may read without a token; for more, make one with `finexio-mcp tokens
    create`. Where others can reach the server nobody is answered without a token or a sign-in. SIGTERM or Ctrl-C ends
    it once the writes on their way have ended.

    \b
    Offline: finexio-mcp serve --http --simulator
    """
    given = {NAMES[field]: value for field, value in options.items() if value not in (None, ())}
    if given and not http:
        raise click.UsageError("these options go with --http")
    simulator = simulator or everywhere
    if http:
        code = _serve_http(_settings(simulator=simulator, **given))
        # What had to be kept is kept by now. A thread that still asks a database which does not answer must not hold
        # the process until somebody kills it.
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
    _serve_stdio(simulator=simulator)


def _serve_http(settings: Settings) -> int:
    """Serve until a signal comes; gives the exit code."""
    import anyio

    from finexio_mcp import logs
    from finexio_mcp.web import rules, serving

    if problems := rules.refusals(settings):
        flags = {NAMES[field]: flag for flag, field, _ in HTTP_OPTIONS}
        _fail_settings(
            [SettingProblem(f"{name} ({flags[name]})" if name in flags else name, text) for name, text in problems]
        )
    _require_accounts(settings)
    logs.configure(settings)
    _warn(settings)
    _announce(settings, *rules.warnings(settings))
    try:
        sock = serving.listen(settings)
    except OSError as error:
        _say(f"Cannot listen on {settings.http_host}, port {settings.http_port}: {error.strerror or error}.")
        return 1
    with sock:
        port: int = sock.getsockname()[1]
        try:
            return anyio.run(
                functools.partial(serving.serve, settings, sock, ready=functools.partial(_greet, settings, port))
            )
        except SettingsError as error:
            _fail_settings(error.problems)


def _greet(settings: Settings, port: int, base_url: str) -> None:
    """Where to connect, and who may do what."""
    from finexio_mcp.guards.ledger.place import describe, home
    from finexio_mcp.web import rules

    older = f" and {base_url}{rules.SSE_PATH} (older clients)" if rules.streams(settings) else ""
    told = [f"Serving MCP at {base_url}{rules.MCP_PATH} (Streamable HTTP){older}."]
    if settings.public_url is not None:
        told.append(f"It listens on {settings.http_host}, port {port}.")
    guest = rules.anonymous(settings)
    if guest is None:
        ways = "a token from `finexio-mcp tokens create`"
        if settings.oauth_issuer is not None:
            ways += f", or a sign-in at {base_url if settings.oauth_issuer == BUILTIN else settings.oauth_issuer}"
        told.append(f"Clients need {ways}. This server allows {settings.granted!r} at most.")
    elif guest.access == "read" and settings.granted != "read":
        simulated = " --simulator" if settings.embedded else ""
        make = f"finexio-mcp tokens create --name NAME --access {settings.granted}{simulated}"
        told.append(f"Programs on this machine may read. A token for one that does more: {make}")
    told.append(f"Tokens are looked up in {describe(home(settings))}.")
    # Where nobody is answered without a token, nobody needs an account without one.
    missing = _missing(settings) if guest is not None or settings.accounts_file is None else None
    _announce(settings, *told, *([missing] if missing is not None else []))


def _missing(settings: Settings) -> str | None:
    """What calls without a token lack."""
    if settings.accounts_file is None:
        if settings.credentials() is not None:
            return None
        return f"No credentials yet: {settings.missing_credentials()}. Tools are listed all the same."
    from finexio_mcp.accounts.accounts import Accounts

    known = Accounts(settings).names()
    if settings.account in known:
        return None
    return (
        f"Calls without a token have no account: {NAMES['account']} is {settings.account!r}, and the accounts file has "
        f"{', '.join(known)}."
    )


@cli.command()
@click.option("--no-colour", is_flag=True, help="Plain text.")
def demo(no_colour: bool) -> None:
    """Play a short accounts payable day on the built-in simulator.

    Starts this server as a child process, as an MCP client would. Nothing leaves this machine.

    \b
    Example: finexio-mcp demo
    """
    from finexio_mcp import demo as script

    sys.exit(script.play(colour=not no_colour))


class JsonObject(JsonType):
    """A JSON object: as text, from a file (`@file`) or from stdin (`-`)."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        if isinstance(value, dict):
            return value  # pyright: ignore[reportUnknownVariableType]
        try:
            parsed = json.loads(_text_of(value))
        except OSError as error:
            self.fail(f"the file cannot be read: {error.strerror}", param, ctx)
        except (ValueError, RecursionError) as error:
            where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
            self.fail(f"this is no JSON that can be read{where}", param, ctx)
        if not isinstance(parsed, dict):
            self.fail("arguments are a JSON object, such as '{\"limit\": 5}'", param, ctx)
        return parsed  # pyright: ignore[reportUnknownVariableType]


def _text_of(value: str) -> str:
    """What stands in the file or in stdin, or the value itself. Some editors put a mark before UTF-8."""
    if value == "-":
        _require_streams("stdin")
        return sys.stdin.buffer.read().decode("utf-8-sig")
    return Path(value[1:]).read_text(encoding="utf-8-sig") if value[:1] == "@" else value


@cli.command()
@click.argument("tool")
@click.argument("arguments", type=JsonObject(), default="{}", metavar="[JSON]")
@click.option("--simulator", is_flag=True, help="Ask the built-in simulator instead of Finexio.")
@click.pass_obj
def call(everywhere: bool, tool: str, arguments: dict[str, Any], simulator: bool) -> None:
    """Call one TOOL and print its answer.

    JSON holds the arguments: an object, @FILE, or - for stdin, so that no secret need stand in the process list.
    Exits with 0 on a result, 1 on an error, 2 if the call makes no sense. Ctrl-C ends a read at once; a write is
    seen through first, unless you insist. With --simulator each call meets a fresh one; for several calls run
    `finexio-mcp simulator`.

    \b
    Offline: finexio-mcp call list_all_finexio_payments '{"limit": 2}' --simulator
    """
    import anyio

    from finexio_mcp import catalog, logs

    _require_streams("stdout")
    settings = _settings(simulator=simulator or everywhere)
    _require_accounts(settings)
    _warn(settings)
    logs.configure(settings)
    tools = catalog.read()
    _require_tool(tool, tools)
    sys.exit(anyio.run(_call, settings, tools[tool], arguments))


async def _call(settings: Settings, listed: Listed, arguments: dict[str, Any]) -> int:
    """Run one call and print its answer before anything else can go wrong; gives the exit code."""
    import anyio

    code, answered = 1, anyio.Event()
    async with anyio.create_task_group() as tasks:
        if sys.platform != "win32":
            await tasks.start(_mind_signals, listed.access != "read", answered)

        from finexio_mcp.hub import Hub

        async with Hub(settings, patient=True) as hub:
            code = _tell(await hub.run(listed, arguments))
            answered.set()
        tasks.cancel_scope.cancel()
    return code


async def _mind_signals(writes: bool, answered: anyio.Event, *, task_status: TaskStatus[None]) -> None:
    """End a read at once, and let a write end within its deadlines: only its answer tells what it did."""
    import anyio

    asked_before = False
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            if answered.is_set():
                continue
            if writes and not asked_before:
                asked_before = True
                _say("This write may be on its way, so its answer is waited for. A second signal cuts it short.")
                continue
            if writes:
                _say("The outcome of this write is unknown. Repeat the same call to see: it is not sent twice.")
            os._exit(128 + number)


def _tell(envelope: Envelope) -> int:
    """Print an answer, or say what can still be said of it; gives the exit code."""
    content = envelope.content
    try:
        from finexio_mcp.printing import print_json

        print_json(content)
    except OSError as error:
        # What is left in its buffer would fail once more at the end.
        sys.stdout = sys.stderr
        written = f" This write is {content['status']} ({content['op_id']})." if "op_id" in content else ""
        _say(f"The answer could not be printed: {error.strerror}.{written}")
        # A script that sees a failure calls again, which must not follow from a write that is done.
        return 1 if envelope.is_error or not written else 0
    return 1 if envelope.is_error else 0


def _say(text: str) -> None:
    """On stderr, if that is still there: a terminal that hung up must not cut a write short."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


@cli.command()
@click.argument("tool", required=False)
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "mcp", "openai", "anthropic"]),
    default="table",
    help="A table, or JSON for an agent framework.",
)
def tools(tool: str | None, style: ToolFormat) -> None:
    """List the tools, in a table that says which are off, or as schemas of those that these settings offer.

    With TOOL, show that one with its arguments.

    \b
    Example: finexio-mcp tools --format openai
    """
    from finexio_mcp import catalog

    settings, known = _settings(), catalog.read()
    if tool is not None:
        _require_tool(tool, known)
        known = {tool: known[tool]}
        style = "mcp" if style == "table" else style
    elif style != "table":
        known = {name: listed for name, listed in known.items() if catalog.may_use(listed, settings)}
    if style != "table":
        shape = TOOL_SHAPES[style]
        click.echo(json.dumps([shape(listed.entry) for listed in known.values()], indent=2, ensure_ascii=False))
        return
    rows = [
        (name, listed.access if catalog.may_use(listed, settings) else f"{listed.access} (off)", listed.entry)
        for name, listed in known.items()
    ]
    if not sys.stdout.isatty():
        for name, access, entry in rows:
            click.echo(f"{name}\t{access}\t{entry['description']}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(rows)} tools")
    table.add_column("Tool", no_wrap=True, min_width=max(len(name) for name in known))
    table.add_column("Access")
    table.add_column("What it is for", overflow="fold")
    for name, access, entry in rows:
        table.add_row(name, access, entry["description"])
    Console().print(table)


def _require_tool(name: str, known: Mapping[str, object]) -> None:
    import difflib

    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        raise click.UsageError(f"there is no such tool{f'; did you mean {near[0]}?' if near else ''}")


def _mcp_shape(entry: dict[str, Any]) -> dict[str, Any]:
    return entry


def _openai_shape(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": entry["name"],
            "description": entry["description"],
            "parameters": entry["inputSchema"],
        },
    }


def _anthropic_shape(entry: dict[str, Any]) -> dict[str, Any]:
    return {"name": entry["name"], "description": entry["description"], "input_schema": entry["inputSchema"]}


TOOL_SHAPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "mcp": _mcp_shape,
    "openai": _openai_shape,
    "anthropic": _anthropic_shape,
}


@cli.command()
@click.option("--write/--check", default=False, help="Rewrite what is stale, or only say so (the default).")
def schemas(write: bool) -> None:
    """Keep the files that derive from the registry fresh: tool_schemas/, the catalog, the README's tables.

    Exits with 1 if --check finds one stale. For a checkout of the source.

    \b
    Example: finexio-mcp schemas --check
    """
    from finexio_mcp import generated

    if not generated.in_checkout():
        raise click.UsageError("this needs a checkout of the source; an installed package has nothing to write")
    changed = generated.write() if write else generated.stale()
    for path in changed:
        click.echo(f"{'wrote' if write else 'stale'}: {path.name}")
    if changed and not write:
        click.echo("Run `make schemas`.", err=True)
        sys.exit(1)


@cli.command()
@click.option("--simulator", is_flag=True, help="Check against the built-in simulator instead of Finexio.")
@click.option("--suppliers", is_flag=True, help="Tell which suppliers cannot be paid, and why, instead of the checks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option("--csv", "as_csv", is_flag=True, help="With --suppliers: a line for each problem, for spreadsheets.")
@click.pass_obj
def doctor(everywhere: bool, simulator: bool, suppliers: bool, as_json: bool, as_csv: bool) -> None:
    """Check settings, connection, credentials, clock and ledger; say what to do; print ready client configurations.

    Exits with 1 if something needs attention. Without an account: `finexio-mcp doctor --simulator`.

    With --suppliers it looks at the suppliers instead, before a payment run: all are read, a hundred a request, and
    those who cannot be paid as Finexio has them are listed with what is missing and the way out. Nothing is changed.
    Exits with 0 if everybody can be paid, 1 if somebody cannot or was not judged, 2 if the list could not be read
    whole: what was read is printed all the same, marked as incomplete. In CSV a cell that a spreadsheet would take
    for a formula begins with an apostrophe.

    \b
    Offline: finexio-mcp doctor --suppliers --simulator
    """
    if as_csv and not suppliers:
        raise click.UsageError("--csv goes with --suppliers")
    if as_csv and as_json:
        raise click.UsageError("--json and --csv exclude each other")
    if suppliers:
        sys.exit(_survey(simulator=simulator or everywhere, style="csv" if as_csv else "json" if as_json else "table"))
    from finexio_mcp import doctor as checks

    sys.exit(checks.examine(_settings(simulator=simulator or everywhere), as_json=as_json))


def _survey(*, simulator: bool, style: Style) -> int:
    """The report on suppliers; gives the exit code."""
    _require_streams("stdout")
    try:
        settings = _settings(simulator=simulator)
        _require_accounts(settings)
        _warn(settings)
        from finexio_mcp import logs, readiness

        # A line for each page would break the progress bar, and says nothing to whoever waits for the report.
        level = "warning" if settings.log_level == "info" else settings.log_level
        logs.configure(settings.model_copy(update={"log_level": level}))
        return readiness.examine(settings, style=style)
    except KeyboardInterrupt:
        # Not 1, which says that somebody cannot be paid.
        _say("Interrupted: this report is not whole.")
        return 128 + signal.SIGINT


class LazyGroup(click.Group):
    """Its commands are loaded when one of them is asked for, from `COMMANDS` in a package of its own."""

    def __init__(self, *args: Any, package: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._load())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._load().get(cmd_name)

    def _load(self) -> dict[str, click.Command]:
        return importlib.import_module(self._package).COMMANDS


def _settings_later(context: click.Context) -> Callable[..., Settings]:
    """How the commands of a group get settings: not before they need them, since `--help` needs none."""
    everywhere: bool = context.obj

    def settings(*, simulator: bool = False) -> Settings:
        found = _settings(simulator=simulator or everywhere)
        # A misspelt name may be the one that says where the ledger is.
        _warn(found)
        return found

    return settings


@cli.group(cls=LazyGroup, package="finexio_mcp.ledger_cli")
@click.pass_context
def ledger(context: click.Context) -> None:
    """Show what was submitted from here and what is in doubt; record what a person found out about it.

    \b
    Offline: finexio-mcp ledger list
    """
    _require_streams("stdout")
    context.obj = _settings_later(context)


@cli.group(cls=LazyGroup, package="finexio_mcp.tokens_cli")
@click.pass_context
def tokens(context: click.Context) -> None:
    """Make, list and end what callers over HTTP show: access tokens, and invitations to sign in.

    They are kept where the ledger is, as digests.

    \b
    Example: finexio-mcp tokens create --name reports --access read
    """
    _require_streams("stdout")
    context.obj = _settings_later(context)


@cli.group(cls=LazyGroup, package="finexio_mcp.audit_cli")
@click.pass_context
def audit(context: click.Context) -> None:
    """Show who called what and what came of it; export that for auditors; check that nobody changed it.

    \b
    Example: finexio-mcp audit list --since 7d
    """
    _require_streams("stdout")
    context.obj = _settings_later(context)


@cli.command("simulator")
@click.option("--port", type=click.IntRange(0, 65535), default=8899, show_default=True, help="0 takes a free one.")
@click.option("--user", envvar="FINEXIO_USERNAME", default="demo", show_default=True)
@click.option("--password", envvar="FINEXIO_PASSWORD", default="demo", show_default=True)
@click.option(
    "--company",
    "companies",
    multiple=True,
    metavar="NAME:PASSWORD",
    help="An API user with books of its own, instead of --user; may be given several times.",
)
@click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), help="Keep the books of the one user in this file."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same books.")
@click.option(
    "--day-seconds",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="How long a day takes; 0 stops time.",
)
def simulate(
    port: int,
    user: str,
    password: str,
    companies: tuple[str, ...],
    state: Path | None,
    seed: int,
    day_seconds: float,
) -> None:
    """Run the pretend Finexio as a server on this machine.

    Point the MCP server at it with FINEXIO_ENVIRONMENT=simulator and FINEXIO_BASE_URL.

    \b
    Example: finexio-mcp simulator --port 8899
    """
    import sqlite3

    from finexio_mcp.simulator import Companies, Simulator
    from finexio_mcp.simulator.server import serve

    if companies and state is not None:
        raise click.UsageError("--state keeps the books of one company; it does not go with --company")
    users = ", ".join(company.partition(":")[0] for company in companies) or user

    def tell(base_url: str) -> None:
        click.echo(f"Pretend Finexio at {base_url}, user {users}. Ctrl-C ends it.", err=True)

    several = None
    if companies:
        try:
            several = Companies.of(companies, seed=seed)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--company") from None
    try:
        simulated = several or Simulator(seed=seed, username=user, password=password, state=state)
        serve(simulated, port=port, day_seconds=day_seconds or None, ready=tell)
    except OSError as error:
        raise click.ClickException(f"cannot serve on port {port} with these books: {error.strerror or error}") from None
    except sqlite3.DatabaseError:
        raise click.ClickException(f"{state} holds no books of a simulator; name another file") from None


def main() -> None:
    """The `finexio-mcp` command."""
    cli()


if __name__ == "__main__":
    main()
