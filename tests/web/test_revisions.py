"""Clients of every revision, over both transports: they list and call, and what they see is theirs alone."""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from finexio_mcp.settings import ACCESS_ORDER, Access
from finexio_mcp.tools import TOOLS
from finexio_mcp.tools.spec import Effect
from tests.calls import PAY, WRITES, ask, changes, office
from tests.conftest import ERAS, Era
from tests.web.serving import Site, child, served, token
from tests.web.talking import HANDSHAKES, MODERN, REVISIONS, Stream, Wire, call, hello, post

PAYMENTS = "list_all_finexio_payments"
WIRES: tuple[Wire, ...] = ("mcp", "sse")
NEEDED: dict[Effect, Access] = {Effect.READ: "read", Effect.WRITE: "write", Effect.PAY: "pay"}


def expected(access: Access, *, toolsets: set[str] | None = None, tools: set[str] | None = None) -> list[str]:
    """What the registry says of a caller with these terms, in its order."""
    return [
        tool.name
        for tool in TOOLS
        if ACCESS_ORDER.index(NEEDED[tool.effect]) <= ACCESS_ORDER.index(access)
        and (toolsets is None or tool.toolset in toolsets)
        and (tools is None or tool.name in tools)
    ]


def listed(site: Site, revision: str, wire: Wire, key: str | None = None) -> list[str]:
    """Names of the tools that a client of this revision is shown."""
    return [tool["name"] for tool in tools_of(site, revision, wire, key)]


def tools_of(site: Site, revision: str, wire: Wire, key: str | None = None) -> list[dict[str, Any]]:
    if wire == "mcp":
        return post(site, revision, "tools/list", token=key).result["tools"]
    with Stream(site, token=key) as stream:
        stream.shake_hands(revision)
        return stream.ask(revision, "tools/list")["result"]["tools"]


# Clients that nobody here wrote ------------------------------------------------


@pytest.mark.parametrize("mode", ERAS)
async def test_the_official_client_lists_reads_and_pays_over_streamable_http(mode: Era) -> None:
    """Ours: both eras at one address, with a token of ours."""
    sim = office()
    with anyio.fail_after(20), served(sim) as site:
        headers = {"Authorization": f"Bearer {site.token('pay')}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{site.base_url}/mcp", http_client=http), mode=mode) as client,
        ):
            tools = [tool.name for tool in (await client.list_tools()).tools]
            read = await ask(client, PAYMENTS)
            paid = await ask(client, PAY, WRITES[PAY])
            version = client.protocol_version

    assert version == (MODERN if mode == "auto" else "2025-11-25")
    assert tools == expected("pay", toolsets={"core"})
    assert read["result_count"] == 1
    assert paid["status"] == "confirmed"
    assert len(changes(sim)) == 1


@pytest.mark.parametrize("mode", ERAS)
async def test_the_official_client_lists_reads_and_pays_over_server_sent_events(mode: Era) -> None:
    """Ours: the older transport serves the same tools, in both eras."""
    sim = office()
    with anyio.fail_after(20), served(sim) as site:
        headers = {"Authorization": f"Bearer {site.token('pay')}"}
        async with Client(sse_client(f"{site.base_url}/sse", headers=headers), mode=mode) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            read = await ask(client, PAYMENTS)
            paid = await ask(client, PAY, WRITES[PAY])

    assert tools == expected("pay", toolsets={"core"})
    assert read["result_count"] == 1
    assert paid["status"] == "confirmed"
    assert len(changes(sim)) == 1


async def test_the_official_client_without_a_token_reads_and_may_not_pay() -> None:
    """Ours: on this machine, reading needs no token, and a refusal says what would."""
    sim = office()
    with anyio.fail_after(20), served(sim) as site:
        async with Client(f"{site.base_url}/mcp") as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            read = await ask(client, PAYMENTS)
            refused = await ask(client, PAY, WRITES[PAY])

    assert tools == expected("read", toolsets={"core"})
    assert read["result_count"] == 1
    assert refused["error"]["code"] == "access_denied"
    assert "finexio-mcp tokens create --access pay" in refused["error"]["message"]
    assert changes(sim) == []


# Every revision ----------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("revision", REVISIONS)
def test_clients_of_every_revision_list_and_call(revision: str, wire: Wire) -> None:
    """Ours: one address for each transport, whatever a client was written for."""
    with served(office()) as site:
        names = listed(site, revision, wire)
        if wire == "mcp":
            content = call(site, revision, PAYMENTS, {"limit": 1}).content
        else:
            with Stream(site) as stream:
                stream.shake_hands(revision)
                content = stream.call(revision, PAYMENTS, {"limit": 1})

    assert names == expected("read", toolsets={"core"})
    assert [row["id"] for row in content["result"]] == ["payment-1"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("revision", HANDSHAKES)
def test_a_handshake_settles_on_the_revision_that_was_asked_for(revision: str, wire: Wire) -> None:
    """Documented: `initialize` answers with the client's revision where the server knows it."""
    with served(office()) as site:
        if wire == "mcp":
            result = post(site, revision, "initialize", hello(revision)).result
        else:
            with Stream(site) as stream:
                result = stream.shake_hands(revision)

    assert result["protocolVersion"] == revision
    assert result["serverInfo"]["name"] == "finexio"
    assert result["capabilities"] == {"tools": {"listChanged": False}}


def test_no_session_is_kept_between_requests() -> None:
    """Ours: any replica may answer the next one."""
    with served(office()) as site:
        replies = [post(site, revision, "initialize", hello(revision)) for revision in HANDSHAKES]
        replies.append(post(site, MODERN, "server/discover"))

    assert [reply.status for reply in replies] == [200] * 5
    assert not any("mcp-session-id" in reply.headers for reply in replies)


@pytest.mark.parametrize("method", ["tools/list", "server/discover"])
def test_nobody_may_share_what_one_caller_was_told(method: str) -> None:
    """Ours: what is listed depends on who asks, so no cache on the way may serve it to another."""
    with served(office()) as site:
        replies = [post(site, MODERN, method, token=key) for key in (None, site.token("pay"))]

    assert [reply.result["cacheScope"] for reply in replies] == ["private", "private"]
    assert [reply.headers["cache-control"] for reply in replies] == ["no-store", "no-store"]


def test_a_list_is_the_same_to_the_byte_from_two_processes() -> None:
    """Ours: it depends on the settings and the token alone, so replicas and restarts agree (N5)."""
    settings = {"FINEXIO_MCP_TOOLSETS": "core,ledger,suppliers"}
    with child(**settings) as one, child(**settings) as other:
        keys = [None, token(one.site.settings, "write", toolsets=frozenset({"core", "ledger"}))]

        def lists(site: Site) -> list[bytes]:
            return [post(site, revision, "tools/list", token=key).body for revision in REVISIONS for key in keys]

        first, second = lists(one.site), lists(other.site)

    assert first == second
    assert len(set(first)) > len(keys)


# Who sees what -----------------------------------------------------------------

EVERYTHING = "core,suppliers,buyers,ledger,chatgpt"
TERMS: dict[str, tuple[Access, dict[str, Any]]] = {
    "read": ("read", {}),
    "write": ("write", {}),
    "pay": ("pay", {}),
    "one toolset": ("pay", {"toolsets": frozenset({"ledger"})}),
    "two toolsets, to read": ("read", {"toolsets": frozenset({"core", "chatgpt"})}),
    "named tools": ("pay", {"tools": frozenset({PAYMENTS, PAY})}),
    "named tools, to read": ("read", {"tools": frozenset({PAYMENTS, PAY})}),
    "a tool of a toolset that it has not": ("pay", {"toolsets": frozenset({"ledger"}), "tools": frozenset({PAYMENTS})}),
}


@pytest.mark.parametrize("terms", TERMS)
def test_a_token_decides_what_is_listed(terms: str) -> None:
    """Ours: its access, its toolsets and its tools, on every wire alike."""
    access, limits = TERMS[terms]
    with served(office(), FINEXIO_MCP_TOOLSETS=EVERYTHING) as site:
        key = site.token(access, **limits)
        seen = {(revision, wire): listed(site, revision, wire, key) for revision in REVISIONS for wire in WIRES}

    wanted = expected(access, **limits)
    assert all(names == wanted for names in seen.values()), seen
    assert terms == "a tool of a toolset that it has not" or wanted


@pytest.mark.parametrize(
    ("settings", "access", "wanted"),
    [
        ({"FINEXIO_MCP_ACCESS": "read"}, "pay", expected("read", toolsets={"core"})),
        ({"FINEXIO_MCP_ACCESS": "write"}, "pay", expected("write", toolsets={"core"})),
        ({"FINEXIO_MCP_TOOLS": PAYMENTS}, "pay", [PAYMENTS]),
        ({"FINEXIO_MCP_TOOLSETS": "ledger"}, "read", expected("read", toolsets={"ledger"})),
    ],
)
def test_no_token_gets_more_than_the_server_offers(settings: dict[str, str], access: Access, wanted: list[str]) -> None:
    """Ours: the operator's settings bound every token."""
    with served(office(), **settings) as site:
        key = site.token(access)
        seen = [listed(site, revision, "mcp", key) for revision in REVISIONS]

    assert seen == [wanted] * len(REVISIONS)


def test_a_server_without_tokens_lets_programs_on_its_machine_pay_if_told_so() -> None:
    """Ours: `--no-auth-writes` lifts the bound of access `read`."""
    sim = office()
    with served(sim, FINEXIO_MCP_NO_AUTH_WRITES=True) as site:
        names = listed(site, MODERN, "mcp")
        paid = call(site, MODERN, PAY, WRITES[PAY]).content

    assert names == expected("pay", toolsets={"core"})
    assert paid["status"] == "confirmed"
    assert len(changes(sim)) == 1


@pytest.mark.parametrize("revision", REVISIONS)
def test_tools_beside_a_tokens_own_are_refused_by_name_and_reach_nothing(revision: str) -> None:
    """Ours: what is not listed cannot be called either; it is no question of scope, so no sign-in helps."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay", tools=frozenset({PAY}))
        denied = call(site, revision, PAYMENTS, token=key)
        unknown = call(site, revision, "pay_everybody", token=key)

    assert denied.status == 200
    assert denied.content["error"]["code"] == "access_denied"
    assert unknown.message["error"]["code"] == -32602
    assert sim.journal.requests == []
