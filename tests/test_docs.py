"""The pages for people say what is so: what they name exists, and what they promise is what the code holds to."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import anyio
import click
import pytest
from click.testing import CliRunner
from starlette.routing import Mount, Route

from finexio_mcp import catalog, gate
from finexio_mcp.access import claims, introspection, keys, store
from finexio_mcp.access.refusals import Reason
from finexio_mcp.access.scopes import SCOPES
from finexio_mcp.cli import HTTP_OPTIONS, cli
from finexio_mcp.errors import FinexioError, WriteStatus
from finexio_mcp.generated import README, ROOT
from finexio_mcp.issuer import consent, pending, tries
from finexio_mcp.settings import NAMES, SettingsError, load
from finexio_mcp.simulator import Fault
from finexio_mcp.tokens_cli import terms
from finexio_mcp.tools import TOOLS
from finexio_mcp.web import connections, create_app, edge, rules, sse
from tests.calls import PAY, ask, changes, invoice, office
from tests.conftest import Era, connect, simulator_settings

DOCS = ROOT / "docs"
CLIENTS = DOCS / "clients"
HTTP, SECURITY, CHATGPT = DOCS / "http.md", DOCS / "security.md", CLIENTS / "chatgpt.md"
PAGES = (README, *sorted(DOCS.rglob("*.md")))
PROGRAMS = tuple(CLIENTS / f"{name}.md" for name in ("langchain", "openai-agents", "pydantic-ai"))

FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LIKE_A_CODE = re.compile(r"(in|not|access|already|permission|rate|refused|upstream|ledger|invalid)_[a-z_]+|overload\w*")
COMMAND = "finexio-mcp"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
every_program = pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.stem)


@dataclass(frozen=True)
class Block:
    """Text between fences."""

    language: str
    text: str
    name: str | None
    """Of the file that it shows, from the comment before it."""


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> Iterator[Block]:
    text = read(page)
    for match in FENCED.finditer(text):
        indent, language, inside = match.groups()
        named = re.search(r"<!-- file: (\S+) -->\s*\Z", text[: match.start()])
        lines = "".join(line.removeprefix(indent) for line in inside.splitlines(keepends=True))
        yield Block(language, lines, named[1] if named else None)


def prose(page: Path) -> str:
    return FENCED.sub("", read(page))


def shown_commands(page: Path) -> Iterator[list[str]]:
    """The words after `finexio-mcp`, wherever a page tells somebody to run it."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in joined(block.text)]
    for line in [*lines, *(code.replace("\n", " ") for code in INLINE.findall(prose(page)))]:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        ends = [index for index, word in enumerate(words) if word in {"&&", "|", ";", ">"} or word.endswith(")")]
        for index in [index for index, word in enumerate(words) if word.split("(")[-1] == COMMAND]:
            end = min((each for each in ends if each > index), default=len(words))
            yield words[index + 1 : end]


def joined(text: str) -> list[str]:
    """Lines, those that end in a backslash with the next."""
    return text.replace("\\\n", " ").splitlines()


def is_command(words: list[str]) -> bool:
    """Not the name of the package, the container's image or the program beside other words."""
    return bool(words) and (words[0] in cli.commands or words[0].startswith("-"))


def walk(words: list[str]) -> tuple[list[click.Command], list[str]]:
    """The commands that the words lead through, and the words that are left."""
    path: list[click.Command] = [cli]
    left = list(words)
    while left and isinstance(path[-1], click.Group):
        if left[0].startswith("-"):
            left.pop(0)
            continue
        found = path[-1].get_command(click.Context(path[-1]), left[0])
        assert found is not None, f"no such command: {' '.join(words)}"
        path.append(found)
        left.pop(0)
    return path, left


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in HEADING.findall(prose(page)))
    return {heading.replace(" ", "-") for heading in plain}


# What is named exists --------------------------------------------------------------


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Ours: files of this repository, and headings in them."""
    for link in LINK.findall(read(page)):
        if link.startswith(("https://", "http://")):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_every_page_can_be_found_from_the_readme() -> None:
    """Ours: by links."""
    found, ahead = {README}, [README]
    while ahead:
        page = ahead.pop()
        for link in LINK.findall(read(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in found and target.is_file():
                found.add(target)
                ahead.append(target)

    assert set(PAGES) <= found


@every_page
def test_every_command_and_option_exists(page: Path) -> None:
    """Ours: what somebody is told to run can be run."""
    for words in filter(is_command, shown_commands(page)):
        path, _ = walk(words)
        known = {name for command in path for option in command.params for name in option.opts + option.secondary_opts}
        asked = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert asked <= known | {"--help"}, words


@every_page
def test_every_command_in_full_is_taken_as_it_stands(page: Path) -> None:
    """Ours: with its values, up to where it would begin to do something."""
    for block in blocks(page):
        for line in joined(block.text) if block.language == "sh" else ():
            words = shlex.split(line, comments=True)
            if words[:1] != [COMMAND] or set(words) & {"TOOL", "JSON", "@file"}:
                continue
            path, left = walk(words[1:])
            if path[-1] is not cli:
                path[-1].make_context("shown", left, obj=simulator_settings)


@every_page
def test_every_token_that_is_shown_can_be_made(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: its access and its tools go together."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in joined(block.text)]
    shown = [words for line in lines if (words := shlex.split(line, comments=True))[:1] == [COMMAND]]
    for number, words in enumerate(words for words in shown if {"create", "invite"} & set(words)):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / str(number)))

        done = CliRunner().invoke(cli, ["--simulator", *words[1:]])

        assert (done.exit_code, bool(done.stdout)) == (0, True), done.stderr


@every_page
def test_every_setting_exists(page: Path) -> None:
    """Ours: a variable that looks like ours is ours; others would be warned of as misspelt."""
    assert set(re.findall(r"\bFINEXIO_[A-Z_]*[A-Z]", read(page))) <= set(NAMES.values())


@every_page
def test_every_tool_exists(page: Path) -> None:
    """Ours: names with `finexio` in them, wherever they stand."""
    named = set(re.findall(r"\b[a-z]\w*_finexio_\w+|\bfinexio_(?!mcp)\w+", read(page)))

    assert named <= set(catalog.read())


@every_page
def test_every_scope_exists(page: Path) -> None:
    """Ours: as tokens carry them."""
    assert set(re.findall(r"finexio:[a-z]+", prose(page))) - {"finexio:{needs}"} <= set(SCOPES.values())


@pytest.mark.parametrize("page", [HTTP, SECURITY, *sorted(CLIENTS.glob("*.md"))], ids=lambda page: page.stem)
def test_every_code_of_an_error_or_a_status_exists(page: Path) -> None:
    """Ours: the words that answers carry and programs look for."""
    codes = {*get_args(WriteStatus), *(code for error in errors() if (code := getattr(error, "code", None)))}

    assert {word for word in INLINE.findall(prose(page)) if LIKE_A_CODE.fullmatch(word)} <= codes


def errors(root: type[FinexioError] = FinexioError) -> Iterator[type[FinexioError]]:
    yield root
    for child in root.__subclasses__():
        yield from errors(child)


def test_the_page_about_http_names_every_option() -> None:
    """Ours: nobody has to read the code for one."""
    page = read(HTTP)

    assert [flag for flag, *_ in HTTP_OPTIONS if flag not in page] == []


def test_the_page_about_http_names_every_path_and_no_other() -> None:
    """Ours: what is served, with the built-in issuer."""
    section = read(HTTP).split("## What is served")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {path for row in rows for path in INLINE.findall(row)}
    app = create_app(simulator_settings(FINEXIO_MCP_OAUTH_ISSUER="builtin"))
    routes = [route for route in app.routes if isinstance(route, Route | Mount)]
    # Some are served with a slash at the end as well, for those who type it.
    served = {f"{route.path}/" if isinstance(route, Mount) else route.path.rstrip("/") for route in routes}

    # RFC 9728 puts the path of what is protected behind the well-known one.
    behind = {f"/.well-known/oauth-protected-resource{path}" for path in (rules.MCP_PATH, rules.SSE_PATH)}
    assert behind <= served
    assert named == served - behind


# What is promised holds ------------------------------------------------------------


def deadlines() -> tuple[float, float, float]:
    """Of reads: by id, of lists, of what is slow."""
    by_id, of_lists, slow = sorted({tool.deadline_seconds for tool in TOOLS if tool.effect.value == "read"})
    return by_id, of_lists, slow


FACTS: Mapping[str, tuple[Path, str]] = {
    "size and time of a body": (HTTP, f"{edge.MAX_BODY_BYTES >> 20} MiB, within {edge.BODY_SECONDS:g} seconds"),
    "calls at once": (HTTP, f"`FINEXIO_MCP_CALLS_AT_ONCE`, {load().calls_at_once}"),
    "streams": (HTTP, f"| open SSE streams of one caller | {sse.STREAMS_AT_ONCE} |"),
    "requests of a stream": (HTTP, f"| unanswered requests of one SSE stream | {sse.UNANSWERED} |"),
    "a stream that is not read": (HTTP, f"does not read its stream for {sse.UNREAD_SECONDS:.0f} seconds"),
    "connections": (HTTP, f"| connections | {connections.MOST:,}, or as many"),
    "slow requests": (HTTP, f"its first byte to its last | {connections.REQUEST_SECONDS:g} seconds |"),
    "deadlines of reads": (HTTP, "{:g} seconds by id, {:g} for lists, {:g} for drawdowns".format(*deadlines())),
    "wait for a write": (HTTP, f"`FINEXIO_MCP_ANSWER_SECONDS`, {load().answer_seconds:g}"),
    "time of a batch": (HTTP, f"`FINEXIO_MCP_BATCH_SECONDS` for invoices, {load().batch_seconds:g}"),
    "life of a token": (HTTP, f"{terms.DEFAULT_EXPIRY.removesuffix('d')} days if it is left out"),
    "age of keys": (HTTP, f"every {keys.FRESH_SECONDS / 60:g} minutes"),
    "fetches for unknown keys": (HTTP, {10.0: "once in ten seconds at\nmost"}[keys.RENEWAL_SECONDS]),
    "keys of an issuer that is down": (HTTP, {3600.0: "good for an hour"}[keys.USABLE_SECONDS]),
    "revoked opaque tokens": (HTTP, {10.0: "after ten seconds, if it is opaque"}[introspection.REMEMBERED_SECONDS]),
    "life of an access token": (HTTP, {3_600_000: "an access token for an hour"}[store.ACCESS_TOKEN_MS]),
    "life of a refresh token": (HTTP, f"stayed away for {store.REFRESH_TOKEN_MS // 86_400_000} days"),
    "algorithms": (
        HTTP,
        {frozenset({"RS", "PS", "ES", "Ed"}): "by RS, PS or ES 256 to 512, or EdDSA"}[
            frozenset(name[:2] for name in keys.ALGORITHMS)
        ],
    ),
    "waiting": (SECURITY, {4: "four times as many wait"}[gate.WAITING_FOR_EACH_RUNNING]),
    "patience": (HTTP, {10.0: "for ten seconds at most"}[gate.PATIENCE_SECONDS]),
    "calls at once, again": (SECURITY, f"{load().calls_at_once} of one caller at once"),
    "bodies, again": (
        SECURITY,
        f"{edge.MAX_BODY_BYTES >> 20} MiB; {edge.BODY_SECONDS:g} seconds for a body and "
        f"{connections.REQUEST_SECONDS:g} for a whole request, headers included; {connections.MOST:,} connections",
    ),
    "life of a code": (SECURITY, f"80 random bits, {terms.DEFAULT_VALIDITY.removesuffix('m')} minutes by default"),
    "wrong codes": (SECURITY, {5: "Five wrong ones end a sign-in"}[tries.WRONG_CODES_FOR_ONE]),
    "clients of one address": (
        SECURITY,
        f"{tries.REGISTRATIONS_OF_ONE} in a minute from one address (IPv6: from one /{tries.SUBSCRIBER_BITS})",
    ),
    "clients of all": (SECURITY, f"{tries.REGISTRATIONS_A_MINUTE} in a minute from all, in each process"),
    "clients that are kept": (SECURITY, f"; {store.MAX_CLIENTS:,} are kept"),
    "addresses of a crowd": (
        SECURITY,
        {30: "thirty addresses"}[tries.REGISTRATIONS_A_MINUTE // tries.REGISTRATIONS_OF_ONE],
    ),
    "life of an authorization code": (SECURITY, {60_000: "works once, within a minute"}[consent.CODE_MS]),
    "refresh tokens that come again": (SECURITY, {10_000: "more than ten seconds later ends"}[store.AGAIN_MS]),
    "audience": (CHATGPT, f'"{Reason.AUDIENCE}"'),
    "when a code is typed": (CHATGPT, f"not more than {terms.DEFAULT_VALIDITY.removesuffix('m')} minutes before"),
}


@pytest.mark.parametrize("what", FACTS)
def test_numbers_are_those_of_the_code(what: str) -> None:
    """Ours: a page that speaks of a bound names the one that holds."""
    page, words = FACTS[what]

    assert words in read(page)


def test_audiences_are_those_that_are_taken() -> None:
    """Ours: what an issuer has to be told."""
    assert claims.resources("https://mcp.example.com") == {
        "https://mcp.example.com",
        "https://mcp.example.com/mcp",
        "https://mcp.example.com/sse",
    }
    assert "such as `https://mcp.example.com/mcp`. The public URL alone, and with `/sse`, is taken too" in read(HTTP)


def test_a_sign_in_stays_open_longer_than_it_takes_to_type_a_code() -> None:
    """Ours: the steps for ChatGPT can be done in their order."""
    assert pending.PENDING_MS >= 5 * 60_000


# Examples --------------------------------------------------------------------------


@pytest.mark.parametrize("page", [HTTP, CHATGPT], ids=lambda page: page.stem)
def test_settings_in_files_start_a_server(page: Path) -> None:
    """Ours: a file that is copied has no setting that would be refused, in a container either."""
    files = [block.text for block in blocks(page) if block.name == "finexio.env"]

    assert files
    for text in files:
        settings = dict(line.split("=", 1) for line in text.splitlines())
        try:
            loaded = load(**settings)
        except SettingsError as error:
            pytest.fail(str(error.problems))
        everywhere = loaded.model_copy(update={"http_host": "0.0.0.0"})
        assert rules.refusals(loaded) == rules.refusals(everywhere) == []


def test_proxies_are_told_what_the_server_needs() -> None:
    """Ours: the port, the size of bodies, the host's name, and to hold nothing back."""
    files = {block.name: block.text for block in blocks(HTTP) if block.name}
    port, size = load().http_port, edge.MAX_BODY_BYTES >> 20

    assert f"reverse_proxy 127.0.0.1:{port}\n" in files["Caddyfile"]
    assert f"max_size {size}MiB\n" in files["Caddyfile"]
    assert f"proxy_pass http://127.0.0.1:{port};" in files["nginx.conf"]
    assert f"client_max_body_size {size}m;" in files["nginx.conf"]
    assert "proxy_set_header Host $host;" in files["nginx.conf"]
    assert "proxy_buffering off;" in files["nginx.conf"]


@every_program
def test_programs_can_be_read_and_keep_the_token_out_of_themselves(page: Path) -> None:
    """Ours: each is whole, imports nothing of ours, and takes address and token from the environment."""
    programs = [block.text for block in blocks(page) if block.language == "python"]

    assert len(programs) == 2
    for text in programs:
        tree = ast.parse(text)
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        assert not any(name.startswith("finexio") for name in imported)
        assert "{os.environ['MCP_TOKEN']}" in text
        assert f'"http://127.0.0.1:{load().http_port}{rules.MCP_PATH}"' in text


@every_program
def test_programs_wait_as_long_as_the_server_may_take(page: Path) -> None:
    """Ours: a client that gives up earlier loses answers."""
    waits = [
        float(found)
        for block in blocks(page)
        if block.language == "python"
        for found in re.findall(r'(?:sse_read_timeout"?: |session_timeout_seconds=|read_timeout=)(\d+)', block.text)
    ]

    assert len(waits) >= 2
    assert min(waits) > max(load().answer_seconds, *deadlines()) + 5


def test_every_agent_is_told_the_same_about_uncertain_outcomes() -> None:
    """Ours: one wording, which says what to do and what never."""
    told = {
        constant.value
        for page in PROGRAMS
        for block in blocks(page)
        if block.language == "python"
        for constant in ast.walk(ast.parse(block.text))
        if isinstance(constant, ast.Constant) and "in_doubt" in str(constant.value)
    }

    assert len(told) == 1
    assert "not sent twice" in str(told.pop())


@every_page
def test_no_page_shows_a_secret(page: Path) -> None:
    """Ours: not even one that was made up, or it would be copied."""
    assert not re.search(r"fmcp_\w{6,}|eyJ[\w-]{10,}", read(page))


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_fault_that_is_shown_makes_an_uncertain_outcome(era: Era) -> None:
    """Ours: what the page lets people watch; repeated, the call is answered the same, and there is one POST."""
    text = next(block.text for block in blocks(HTTP) if "/_simulator/fault" in block.text)
    fault: dict[str, Any] = json.loads(shlex.split(text.replace("\\\n", " "))[-1])
    simulator = office()

    simulator.fault(Fault(status=fault.pop("status")), **fault)

    with anyio.fail_after(20):
        async with connect(simulator, era) as client:
            answers = [await ask(client, PAY, {"invoices": [invoice()]}) for _ in range(3)]

    assert [answer["status"] for answer in answers] == ["in_doubt"] * 3
    assert len(changes(simulator)) == 1
