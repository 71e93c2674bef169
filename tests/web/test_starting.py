"""What `serve --http` starts with, and what it refuses before anything listens."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
from typing import Any

import pytest

from finexio_mcp.settings import SettingsError
from finexio_mcp.web import create_app, rules
from tests.calls import office
from tests.conftest import simulator_settings
from tests.web.serving import COMMAND, PATIENCE_SECONDS, child, served
from tests.web.talking import MODERN, post, request

HERE = ("127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "::1")
ELSEWHERE = ("0.0.0.0", "::", "192.0.2.7", "2001:db8::7", "mcp.example.com", "localhost.example.com")
KNOWN: dict[str, dict[str, Any]] = {
    "nobody": {},
    "tokens": {"FINEXIO_MCP_REQUIRE_TOKEN": True},
    "outside issuer": {"FINEXIO_MCP_OAUTH_ISSUER": "https://login.example.com"},
    "own issuer": {"FINEXIO_MCP_OAUTH_ISSUER": "builtin"},
}
NAMED: dict[str, dict[str, Any]] = {
    "by no name": {},
    "by a local name": {"FINEXIO_MCP_ALLOWED_HOSTS": "localhost"},
    "by a local address": {"FINEXIO_MCP_PUBLIC_URL": "http://127.0.0.1:8000"},
    "by a name": {"FINEXIO_MCP_ALLOWED_HOSTS": "mcp.example.com"},
    "by a URL": {"FINEXIO_MCP_PUBLIC_URL": "https://mcp.example.com"},
}
FOREIGN = ("by a name", "by a URL")


def is_safe(bind: str, known: str, named: str, *, writes: bool) -> bool:
    """As an operator would put it."""
    local, authenticated, foreign = bind in HERE, known != "nobody", named in FOREIGN
    if foreign and not authenticated:
        return False
    if writes and (authenticated or not local):
        return False
    if local:
        return True
    # An audience that others have to know cannot be made up from the address that is bound.
    audience = "issuer" not in known or "URL" in named or named == "by a local address"
    # A container listens on every address and is reached through a port of this machine, if somebody says so.
    return authenticated and named != "by no name" and audience


def test_nothing_starts_that_strangers_could_use() -> None:
    """Ours: where others reach the server, callers are known, and so is its name (T2)."""
    cases = itertools.product(HERE + ELSEWHERE, KNOWN, NAMED, (False, True))
    found: dict[Any, bool] = {}
    for bind, known, named, writes in cases:
        more = {"FINEXIO_MCP_NO_AUTH_WRITES": True} if writes else {}
        settings = simulator_settings(FINEXIO_MCP_HTTP_HOST=bind, **KNOWN[known], **NAMED[named], **more)
        found[bind, known, named, writes] = not rules.refusals(settings)

    wrong = [key for key, starts in found.items() if starts is not is_safe(*key[:3], writes=key[3])]
    assert wrong == []
    assert 0 < sum(found.values()) < len(found)


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nobody is known": (
        {"FINEXIO_MCP_HTTP_HOST": "0.0.0.0", "FINEXIO_MCP_ALLOWED_HOSTS": "mcp.example.com"},
        ["FINEXIO_MCP_HTTP_HOST", "--require-token", "FINEXIO_MCP_REQUIRE_TOKEN", "FINEXIO_MCP_OAUTH_ISSUER"],
    ),
    "no name": (
        {"FINEXIO_MCP_HTTP_HOST": "0.0.0.0", "FINEXIO_MCP_REQUIRE_TOKEN": True},
        ["FINEXIO_MCP_HTTP_HOST", "--allowed-host", "FINEXIO_MCP_ALLOWED_HOSTS"],
    ),
    "a name without tokens": (
        {"FINEXIO_MCP_ALLOWED_HOSTS": "mcp.example.com"},
        ["FINEXIO_MCP_ALLOWED_HOSTS", "--require-token"],
    ),
    "a URL without tokens": (
        {"FINEXIO_MCP_PUBLIC_URL": "https://mcp.example.com"},
        ["FINEXIO_MCP_PUBLIC_URL", "--require-token"],
    ),
    "writes beside tokens": (
        {"FINEXIO_MCP_NO_AUTH_WRITES": True, "FINEXIO_MCP_REQUIRE_TOKEN": True},
        ["FINEXIO_MCP_NO_AUTH_WRITES"],
    ),
    "OAuth without an audience": (
        {
            "FINEXIO_MCP_HTTP_HOST": "0.0.0.0",
            "FINEXIO_MCP_OAUTH_ISSUER": "https://login.example.com",
            "FINEXIO_MCP_ALLOWED_HOSTS": "mcp.example.com",
        },
        ["FINEXIO_MCP_PUBLIC_URL"],
    ),
    "half a client": (
        {"FINEXIO_MCP_OAUTH_ISSUER": "https://login.example.com", "FINEXIO_MCP_OAUTH_CLIENT_ID": "finexio"},
        ["FINEXIO_MCP_OAUTH_CLIENT_SECRET"],
    ),
    "a client of the own issuer": (
        {
            "FINEXIO_MCP_OAUTH_ISSUER": "builtin",
            "FINEXIO_MCP_OAUTH_CLIENT_ID": "finexio",
            "FINEXIO_MCP_OAUTH_CLIENT_SECRET": "planted-secret",
        },
        ["FINEXIO_MCP_OAUTH_CLIENT_ID"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_what_to_change(case: str) -> None:
    """Ours: the setting that is wrong and the ones that help, for those who bring their own server as well."""
    settings, words = REFUSED[case]
    with pytest.raises(SettingsError) as refused:
        create_app(simulator_settings(**settings))

    text = str(refused.value)
    assert [word for word in words if word not in text] == []
    assert "planted-secret" not in text


@pytest.mark.parametrize("name", ["*", "*.example.com", "https://mcp.example.com", "mcp.example.com:443", "a/b", "a@b"])
def test_only_plain_names_are_taken_for_names(name: str) -> None:
    """Ours: an asterisk would let everybody in, and a URL would match nothing."""
    with pytest.raises(SettingsError, match="FINEXIO_MCP_ALLOWED_HOSTS"):
        simulator_settings(FINEXIO_MCP_ALLOWED_HOSTS=name)


@pytest.mark.parametrize(
    "origin", ["*", "null", "mcp.example.com", "http://app.example.com", "https://a.example.com/x"]
)
def test_only_whole_origins_are_taken_for_origins(origin: str) -> None:
    """Ours: neither everybody, nor the origin of documents that have none."""
    with pytest.raises(SettingsError, match="FINEXIO_MCP_ALLOWED_ORIGINS"):
        simulator_settings(FINEXIO_MCP_ALLOWED_ORIGINS=origin)


# As processes ------------------------------------------------------------------


def start(*options: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to end by itself."""
    return subprocess.run(
        [*COMMAND, "--simulator", *options], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


def test_a_bind_that_others_can_reach_ends_with_2_and_the_reasons() -> None:
    """Ours: in words that say what to set, and without a traceback."""
    done = start("--host", "0.0.0.0")

    assert (done.returncode, done.stdout) == (2, "")
    assert "FINEXIO_MCP_HTTP_HOST" in done.stderr
    assert "--require-token" in done.stderr
    assert "--allowed-host" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_ends_with_1_and_its_number() -> None:
    """Ours: what every operator meets one day."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = start("--port", str(port))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Cannot listen on 127.0.0.1, port {port}: ")
    assert "Traceback" not in done.stderr


def test_options_of_http_without_http_make_no_sense() -> None:
    """Ours: somebody who forgot `--http` would have served stdio, where nothing of this holds."""
    command = [word for word in COMMAND if word != "--http"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)

    assert done.returncode == 2
    assert "--http" in done.stderr


def test_writes_without_tokens_come_with_a_warning() -> None:
    """Ours: `--no-auth-writes` works on this machine, and says what it does."""
    with child("--no-auth-writes") as server:
        tools = {tool["name"]: tool for tool in post(server.site, MODERN, "tools/list").result["tools"]}
        said = "".join(server.said)

    assert "warning: FINEXIO_MCP_NO_AUTH_WRITES lets any program on this machine order payments." in said
    assert "finexio_invoices_bulk_create" in tools


def test_the_app_is_importable_for_another_server() -> None:
    """Ours: `uvicorn --factory finexio_mcp.web:create_app` starts, serves and ends."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "finexio_mcp.web:create_app", "--port", "0"]
    with child(command=command, ready="Uvicorn running on ", FINEXIO_MCP_TOOLSETS="core,ledger") as server:
        status = request(server.site, "GET", "/readyz").status
        tools = post(server.site, MODERN, "tools/list").result["tools"]
        server.terminate()
        code, said = server.end()

    assert (status, len(tools)) == (200, 17)
    # Uvicorn hands the signal on to itself when all is done.
    assert code in {0, -15}
    assert "Traceback" not in said


@pytest.mark.parametrize("host", ["::1", "localhost", "127.0.0.2"])
def test_every_address_of_this_machine_will_do(host: str) -> None:
    """Ours: also the one with colons in it, which stands in brackets in a URL."""
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with served(office(), FINEXIO_MCP_HTTP_HOST=host) as site:
        reply = post(site, MODERN, "tools/list")

    assert reply.status == 200


def test_the_app_is_refused_to_another_server_too() -> None:
    """Ours: the same rules, wherever it runs."""
    with pytest.raises(SettingsError), served(office(), FINEXIO_MCP_HTTP_HOST="0.0.0.0"):
        pass


# Several servers -----------------------------------------------------------------


def test_servers_that_share_the_load_do_not_start_on_a_file() -> None:
    """Ours: a file on one machine cannot tell the others what was paid."""
    alone = rules.refusals(simulator_settings())
    shared = rules.refusals(simulator_settings(FINEXIO_MCP_REPLICAS=2))
    told = rules.refusals(
        simulator_settings(
            FINEXIO_MCP_REPLICAS=2,
            FINEXIO_MCP_LEDGER_URL="postgresql://ledger.example.com/finexio",
            FINEXIO_MCP_STATE_KEY="k" * 40,
        )
    )

    assert ([problem.name for problem in shared], alone, told) == (["FINEXIO_MCP_REPLICAS"], [], [])


def test_a_claim_that_names_accounts_goes_with_an_outside_issuer() -> None:
    """Ours: tokens and invitations of ours name their account themselves."""
    names = [
        [problem.name for problem in rules.refusals(simulator_settings(FINEXIO_MCP_OAUTH_ACCOUNT_CLAIM="acct", **more))]
        for more in ({}, KNOWN["own issuer"], KNOWN["outside issuer"])
    ]

    assert names == [["FINEXIO_MCP_OAUTH_ACCOUNT_CLAIM"], ["FINEXIO_MCP_OAUTH_ACCOUNT_CLAIM"], []]


def test_streams_are_gone_where_several_servers_share_the_load() -> None:
    """Ours: a stream lives in one process, and the next message would reach another."""
    with served(
        office(),
        FINEXIO_MCP_REPLICAS=2,
        FINEXIO_MCP_LEDGER_URL="postgresql://127.0.0.1:1/finexio",
        FINEXIO_MCP_STATE_KEY="k" * 40,
    ) as site:
        answer = request(site, "GET", "/sse")

    assert answer.status == 410
    assert "/mcp" in answer.body.decode()


def test_a_log_for_machines_is_one_from_its_first_line_on() -> None:
    """Ours: what is said at the start is said in the same shape as the rest."""
    with child(FINEXIO_MCP_LOG_FORMAT="json", FINEXIO_MCP_MAX_INVOICE_CENT="1") as server:
        assert server.site.base_url
        server.terminate()
        _, said = server.end()

    lines = [json.loads(line) for line in said.splitlines()]
    assert any(line["message"].startswith("Serving MCP at ") for line in lines)
    assert [line["level"] for line in lines if "FINEXIO_MCP_MAX_INVOICE_CENT " in line["message"]] == ["warning"]
