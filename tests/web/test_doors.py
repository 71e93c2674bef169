"""By which name the server is reached, from which page, and from which machine; and what every answer carries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from finexio_mcp.access.verifier import Undecided, Verifier
from finexio_mcp.web import create_app, edge
from tests.calls import PAY, WRITES, office
from tests.conftest import simulator_settings
from tests.web.serving import Site, served
from tests.web.talking import (
    ACCEPT,
    JSON,
    MODERN,
    Header,
    Reply,
    Stream,
    bearer,
    call,
    connect,
    head,
    headers_for,
    message,
    read,
    request,
    send,
)

PAYMENTS = "list_all_finexio_payments"
NAMED = {"FINEXIO_MCP_ALLOWED_HOSTS": "mcp.example.com", "FINEXIO_MCP_REQUIRE_TOKEN": True}
PATHS = (("POST", "/mcp"), ("GET", "/sse"), ("POST", "/messages/"), ("GET", "/nowhere"))
PARAMS = {"name": PAYMENTS, "arguments": {"limit": 1}}
CALL = json.dumps(message(MODERN, "tools/call", PARAMS)).encode()


def knock(site: Site, headers: Sequence[Header], *, key: str | None = None, target: str = "/mcp") -> Reply:
    """A read with these headers beside the usual ones; `Host` is one of those that are to be given."""
    usual = [*headers_for(MODERN, "tools/call", PARAMS), ("Content-Length", str(len(CALL))), *bearer(key)]
    return send(site, head("POST", target, [*headers, *usual]) + CALL)


# Host --------------------------------------------------------------------------

LET_IN = (
    "127.0.0.1:{port}",
    "127.0.0.1",
    "127.0.0.1:9",
    "localhost",
    "LocalHost:{port}",
    "localhost.:{port}",
    "[::1]:{port}",
    "[::1]",
    "mcp.example.com",
    "MCP.Example.COM",
    "mcp.example.com:443",
    "mcp.example.com.",
    "mcp.example.com.:8443",
)
TURNED_AWAY = (
    "",
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.evil.example:{port}",
    "evil.localhost",
    "xmcp.example.com",
    "sub.mcp.example.com",
    "mcp.example.com.evil.example",
    "example.com",
    "mcp.example.com:evil",
    "mcp.example.com:443:443",
    "evil.example@localhost",
    "localhost@evil.example",
    "localhost, evil.example",
    "localhost/evil.example",
    "localhost evil.example",
    "http://localhost",
    "0.0.0.0",
    "0.0.0.0:{port}",
    "[::]",
    "::1",
    "[::1",
    "[::1]evil.example",
    "[::1]:{port}:1",
    "127.0.0.1]",
    "[localhost]",
    "[[::1]]",
    "localhost:\xb2",
    "192.168.0.1",
    "*",
    ".",
)


def test_only_this_machine_and_named_hosts_are_hosts_of_ours() -> None:
    """Ours: on loopback too, or a page could reach it by a name of its own (T2)."""
    with served(office(), **NAMED) as site:
        key, port = site.token("read"), site.address[1]
        found = {host: knock(site, [("Host", host.format(port=port))], key=key) for host in LET_IN + TURNED_AWAY}

    wanted = dict.fromkeys(LET_IN, 200) | dict.fromkeys(TURNED_AWAY, 421)
    assert {host: reply.status for host, reply in found.items()} == wanted
    assert not any(b"evil" in reply.body for reply in found.values())


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_a_request_has_one_host(hosts: list[str]) -> None:
    """Ours: with none, or with two, nobody could tell which is meant."""
    sim = office()
    with served(sim) as site:
        reply = knock(site, [("Host", host) for host in hosts])

    assert reply.status in {400, 421}
    assert sim.journal.requests == []


def test_an_old_request_without_a_host_is_turned_away() -> None:
    """Ours: HTTP/1.0 may leave it out; this server may not take that."""
    with served(office()) as site:
        reply = send(site, b"GET /mcp HTTP/1.0\r\n\r\n")

    assert reply.status == 421


@pytest.mark.parametrize("target", ["http://evil.example/mcp", "http://localhost/mcp", "//evil.example/mcp", "*"])
def test_the_target_of_a_request_names_no_host(target: str) -> None:
    """Ours: absolute targets are for proxies, and this is none."""
    sim = office()
    with served(sim) as site:
        found = [knock(site, [("Host", host)], target=target) for host in ("localhost", "evil.example")]

    assert all(reply.status in {400, 404, 421} for reply in found)
    assert sim.journal.requests == []


def test_a_foreign_name_is_turned_away_everywhere_but_at_the_probes() -> None:
    """Ours: probes know an address and no name, and what they are told is nobody's secret."""
    with served(office()) as site:
        closed = [request(site, method, path, host="evil.example").status for method, path in PATHS]
        free = [request(site, "GET", path, host="10.0.0.7:1").status for path in ("/healthz", "/readyz")]
        pages = [request(site, "GET", "/healthz", [("Origin", "https://evil.example")]).status]

    assert closed == [421] * len(PATHS)
    assert (free, pages) == ([200, 200], [200])


# Origin ------------------------------------------------------------------------

ORIGINS: dict[str, int] = {
    "http://127.0.0.1:{port}": 200,
    "https://app.example.com": 200,
    "https://127.0.0.1:{port}": 403,
    "http://127.0.0.1": 403,
    "http://127.0.0.1:9": 403,
    "http://localhost:{port}": 403,
    "null": 403,
    "": 403,
    "*": 403,
    "https://evil.example": 403,
    "https://app.example.com:8443": 403,
    "http://app.example.com": 403,
    "https://sub.app.example.com": 403,
    "https://app.example.com.evil.example": 403,
    "https://app.example.com/": 403,
    "https://app.example.com, https://evil.example": 403,
    "file://127.0.0.1:{port}": 403,
    "chrome-extension://127.0.0.1:{port}": 403,
    "127.0.0.1:{port}": 403,
    "://127.0.0.1:{port}": 403,
}


def test_only_named_pages_and_the_servers_own_may_call() -> None:
    """Ours: a browser says which page asks, and any page may ask a server on this machine (T2)."""
    with served(office(), FINEXIO_MCP_ALLOWED_ORIGINS="https://app.example.com") as site:
        port = site.address[1]
        found = {origin: knock(site, [("Host", site.host), ("Origin", origin.format(port=port))]) for origin in ORIGINS}

    assert {origin: reply.status for origin, reply in found.items()} == ORIGINS
    with_cors = {origin for origin, reply in found.items() if "access-control-allow-origin" in reply.headers}
    assert with_cors == {"https://app.example.com"}
    assert not any(b"evil" in reply.body for reply in found.values())


def test_of_two_origins_each_has_to_be_allowed() -> None:
    """Ours: whichever a proxy believes."""
    own, evil = "https://app.example.com", "https://evil.example"
    with served(office(), FINEXIO_MCP_ALLOWED_ORIGINS=own) as site:
        found = [
            knock(site, [("Host", site.host), ("Origin", first), ("Origin", second)])
            for first, second in ((own, evil), (evil, own))
        ]

    assert [reply.status for reply in found] == [403, 403]


def test_behind_tls_only_pages_over_tls_are_the_servers_own() -> None:
    """Ours: anybody on the way could write a page without it."""
    settings = {"FINEXIO_MCP_PUBLIC_URL": "https://mcp.example.com", "FINEXIO_MCP_REQUIRE_TOKEN": True}
    with served(office(), **settings) as site:
        key = site.token("read")
        found = {
            scheme: knock(site, [("Host", "mcp.example.com"), ("Origin", f"{scheme}://mcp.example.com")], key=key)
            for scheme in ("https", "http")
        }

    assert {scheme: reply.status for scheme, reply in found.items()} == {"https": 200, "http": 403}
    assert found["https"].headers["strict-transport-security"].startswith("max-age=")


def preflight(site: Site, origin: str, path: str = "/mcp") -> Reply:
    """What a browser asks before a page may send a token."""
    wishes = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,mcp-method")]
    return request(site, "OPTIONS", path, [("Origin", origin), *wishes])


def test_a_page_is_told_that_it_may_call_only_if_it_is_named() -> None:
    """Ours: the question comes without a token, and nobody else's page is answered with yes."""
    own = "https://app.example.com"
    with served(office(), FINEXIO_MCP_ALLOWED_ORIGINS=own, FINEXIO_MCP_REQUIRE_TOKEN=True) as site:
        yes = [preflight(site, own, path) for path in ("/mcp", "/sse", "/messages/")]
        no = preflight(site, "https://evil.example")
        stranger = knock(site, [("Host", site.host), ("Origin", own)])

    assert [reply.status for reply in yes] == [200] * 3
    for reply in yes:
        assert reply.headers["access-control-allow-origin"] == own
        assert {"authorization", "mcp-method"} <= {
            name.strip().lower() for name in reply.headers["access-control-allow-headers"].split(",")
        }
        assert "access-control-allow-credentials" not in reply.headers
    assert no.status == 403
    assert not any(name.startswith("access-control-") for name in no.headers)
    # A page has to be able to read the challenge.
    assert stranger.status == 401
    assert stranger.headers["access-control-allow-origin"] == own
    assert "www-authenticate" in stranger.headers["access-control-expose-headers"].lower()
    assert "origin" in stranger.headers["vary"].lower()


def test_without_named_origins_no_answer_is_for_pages() -> None:
    """Ours: no CORS unless origins are named."""
    with served(office()) as site:
        found = [preflight(site, site.base_url), knock(site, [("Host", site.host), ("Origin", site.base_url)])]

    assert [reply.status for reply in found] == [405, 200]
    assert not any(name.startswith("access-control-") for reply in found for name in reply.headers)


# From where --------------------------------------------------------------------

FORWARDED = (
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-For", ""),
    ("x-forwarded-host", "mcp.example.com"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "443"),
    ("X-Forwarded-Server", "proxy"),
    ("X-Original-Forwarded-For", "203.0.113.9"),
    ("Forwarded", "for=203.0.113.9"),
    ("Forwarded", "for=127.0.0.1"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Client-IP", "203.0.113.9"),
    ("True-Client-IP", "203.0.113.9"),
    ("CF-Connecting-IP", "203.0.113.9"),
    ("Via", "1.1 proxy"),
)


def test_what_a_proxy_handed_on_is_not_from_this_machine() -> None:
    """Ours: without a token, only programs on this machine are answered; with one, anybody who may."""
    sim = office()
    with served(sim) as site:
        key = site.token("read")
        found = {header: knock(site, [("Host", site.host), header]).status for header in FORWARDED}
        streams = [request(site, "GET", "/sse", [header]).status for header in FORWARDED[:1]]
        reached = len(sim.journal.requests)
        known = [knock(site, [("Host", site.host), header], key=key).status for header in FORWARDED[:2]]

    assert found == dict.fromkeys(FORWARDED, 401)
    assert (streams, reached, known) == ([401], 0, [200, 200])


@pytest.mark.parametrize("client", [("203.0.113.9", 40_000), ("10.0.0.7", 1), ("", 0), None])
async def test_wherever_the_app_is_bound_strangers_need_a_token(client: tuple[str, int] | None) -> None:
    """Ours: those who bring their own server may bind it elsewhere than these settings say."""
    app = create_app(simulator_settings(), base_url="http://127.0.0.1:8000")
    statuses: list[int] = []

    async def nothing() -> dict[str, Any]:
        return {"type": "http.request", "body": CALL, "more_body": False}

    async def note(sent: Any) -> None:
        if sent["type"] == "http.response.start":
            statuses.append(sent["status"])

    for method, path in PATHS[:3]:
        headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
        more = {"headers": headers, "client": client, "server": ("127.0.0.1", 8000), "scheme": "http"}
        await app({**scope, **more, "root_path": "", "http_version": "1.1"}, nothing, note)

    assert statuses == [401] * 3


# Headers of answers ------------------------------------------------------------

PROMISED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def test_every_answer_is_safe_to_show_in_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: whatever it is an answer to."""
    monkeypatch.setattr(edge, "BODY_SECONDS", 0.05)
    verify = Verifier.verify

    async def sometimes(self: Verifier, text: str) -> Any:
        if text == "broken":
            raise RuntimeError("planted-secret")
        if text == "later":
            raise Undecided("planted-secret", 3)
        return await verify(self, text)

    monkeypatch.setattr(Verifier, "verify", sometimes)
    origin = "https://app.example.com"
    with served(office(), FINEXIO_MCP_ALLOWED_ORIGINS=origin, FINEXIO_MCP_OAUTH_ISSUER="https://login.invalid") as site:
        key, less = site.token("pay"), site.token("read")
        found: dict[int, list[Reply]] = {}
        for reply in [
            *(call(site, revision, PAYMENTS, token=key) for revision in (MODERN, "2025-11-25")),
            *(call(site, revision, PAY, WRITES[PAY], token=less) for revision in (MODERN, "2025-11-25")),
            request(site, "GET", "/healthz"),
            request(site, "GET", "/readyz"),
            request(site, "GET", "/.well-known/oauth-protected-resource"),
            request(site, "GET", "/nowhere"),
            request(site, "GET", "/mcp"),
            request(site, "DELETE", "/mcp"),
            request(site, "GET", "/messages/", bearer(key)),
            request(site, "POST", "/mcp/", [JSON], b"{}"),
            request(site, "POST", "/mcp", [JSON], b"{}"),
            request(site, "POST", "/mcp", [ACCEPT, JSON, *bearer(key)], b"{}"),
            request(site, "POST", "/mcp", [JSON, *bearer(key)], b"{}"),
            request(site, "POST", "/mcp", [ACCEPT, ("Content-Type", "text/plain"), *bearer(key)], b"{}"),
            request(site, "POST", "/mcp", [ACCEPT, JSON, *bearer("broken")], b"{}"),
            request(site, "POST", "/mcp", [ACCEPT, JSON, *bearer("later")], b"{}"),
            request(site, "POST", "/messages/", [JSON, *bearer(key)], b"{}"),
            request(site, "POST", f"/messages/?session_id={'0' * 32}", [JSON, *bearer(key)], b"{}"),
            request(site, "GET", "/mcp", host="evil.example"),
            request(site, "GET", "/mcp", [("Origin", "https://evil.example")]),
            request(site, "GET", "/mcp", [("Origin", origin)]),
            preflight(site, origin),
            send(site, head("POST", "/mcp", [("Host", site.host), ("Content-Length", "1048577")])),
            half(site, key),
        ]:
            found.setdefault(reply.status, []).append(reply)
        with Stream(site, token=key) as stream:
            found[200].append(Reply(stream.status, stream.headers, b""))
            found.setdefault(202, []).append(stream.say(message("2025-11-25", "ping")))

    assert set(found) == {200, 202, 400, 401, 403, 404, 405, 406, 408, 413, 421, 500, 503}
    for status, replies in found.items():
        for reply in replies:
            carried = {name: reply.headers.get(name) for name in PROMISED}
            assert carried == PROMISED, (status, reply)
            assert "no-store" in reply.headers["cache-control"], (status, reply)
            assert "server" not in reply.headers
            assert b"planted-secret" not in reply.body
            assert b"Traceback" not in reply.body


def half(site: Site, key: str) -> Reply:
    """The answer to a body that never comes."""
    headers = [("Host", site.host), ACCEPT, JSON, *bearer(key), ("Content-Length", "100")]
    with connect(site) as sock:
        sock.sendall(head("POST", "/mcp", headers))
        return read(sock)


# What a request is called --------------------------------------------------------


def test_each_request_has_a_name_that_its_caller_did_not_choose(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: under it the call stands in the log; one that callers choose could be that of somebody else's call."""
    caplog.set_level("INFO")
    with served(office()) as site:
        host = ("Host", f"127.0.0.1:{site.address[1]}")
        names = [knock(site, [host, ("X-Request-ID", "req_of_mine")]).headers["x-request-id"] for _ in range(2)]

    logged = [getattr(record, "request_id", None) for record in caplog.records if record.name == "finexio_mcp.calls"]
    assert logged == names
    assert len(set(names) - {"req_of_mine"}) == 2
