"""Bearer tokens at the door: who shows a bad one is told so, and reaches no tool."""

from __future__ import annotations

import json

from finexio_mcp.access.book import AccessBook
from finexio_mcp.guards.ledger.place import home
from tests.calls import office
from tests.web.serving import Site, elsewhere, served
from tests.web.talking import MODERN, Reply, Stream, call, headers_for, message, request

PAYMENTS = "list_all_finexio_payments"


def revoked(site: Site, key: str) -> Reply:
    """The answer to a token that was good once."""
    assert call(site, MODERN, PAYMENTS, token=key).status == 200

    async def revoke() -> None:
        book = AccessBook(site.settings)
        try:
            assert await book.revoke(key.split("_")[1]) is not None
        finally:
            await book.aclose()

    elsewhere(revoke)
    return call(site, MODERN, PAYMENTS, token=key)


def test_a_revoked_token_is_refused_from_the_next_request_on() -> None:
    """Ours: in the same process, without a restart, and by an open stream too."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay")
        with Stream(site, token=key) as stream:
            stream.shake_hands("2025-11-25")
            asked = len(sim.journal.requests)
            reply = revoked(site, key)
            late = stream.say({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": PAYMENTS}})

    assert (reply.status, late.status) == (401, 401)
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert len(sim.journal.requests) == asked + 1


AUTHORIZATIONS: dict[str, tuple[list[str], int]] = {
    "no scheme": (["fmcp_aaaaaaaaaaaa_" + "a" * 43], 401),
    "unknown": (["Bearer fmcp_aaaaaaaaaaaa_" + "a" * 43], 401),
    "garbage": (["Bearer x"], 401),
    "nothing": (["Bearer "], 401),
    "bare": (["Bearer"], 401),
    "empty": ([""], 401),
    "basic": (["Basic ZGVtbzpkZW1v"], 401),
    "two words": (["Bearer one two"], 401),
    "quotes": (['Bearer a"b'], 401),
    "latin": (["Bearer \xe9\xe8"], 401),
    "very long": (["Bearer " + "a" * 10_000], 401),
    "two of them": (["Bearer x", "Bearer y"], 400),
    "a signed one that nobody takes": (["Bearer e30.e30.e30"], 401),
}


PATHS = ("/mcp", "/sse", "/messages/")


def knock(site: Site, path: str, authorizations: list[str]) -> Reply:
    """A call, or the opening of a stream, with these headers."""
    params = {"name": PAYMENTS}
    headers = [*headers_for(MODERN, "tools/call", params), *(("Authorization", value) for value in authorizations)]
    if path == "/sse":
        return request(site, "GET", path, headers)
    return request(site, "POST", path, headers, json.dumps(message(MODERN, "tools/call", params)).encode())


def test_a_bad_token_is_never_taken_for_no_token() -> None:
    """Ours: whoever shows one is refused, where strangers may read as well; and it is not repeated (A2)."""
    sim = office()
    with served(sim) as site:
        found = {(case, path): knock(site, path, AUTHORIZATIONS[case][0]) for case in AUTHORIZATIONS for path in PATHS}

    assert {key: reply.status for key, reply in found.items()} == {key: AUTHORIZATIONS[key[0]][1] for key in found}
    for (case, path), reply in found.items():
        assert ("www-authenticate" in reply.headers) is (reply.status == 401), (case, path)
        secret = AUTHORIZATIONS[case][0][0].removeprefix("Bearer").strip()
        assert len(secret) < 3 or secret not in f"{reply.body.decode()} {dict(reply.headers)}", (case, path)
    assert sim.journal.requests == []


def test_where_tokens_are_required_nobody_is_answered_without_one() -> None:
    """Ours: a challenge without an error, since none was shown; only health is free."""
    sim = office()
    with served(sim, FINEXIO_MCP_REQUIRE_TOKEN=True) as site:
        found = [knock(site, path, []) for path in PATHS]
        free = [request(site, "GET", probe).status for probe in ("/healthz", "/readyz")]

    assert [reply.status for reply in found] == [401] * len(PATHS)
    assert all(reply.headers["www-authenticate"].startswith("Bearer ") for reply in found)
    assert not any("error=" in reply.headers["www-authenticate"] for reply in found)
    assert free == [200, 200]
    assert sim.journal.requests == []


def test_a_database_that_cannot_be_read_is_no_fault_of_the_token() -> None:
    """Ours: 503 and when to come back, never 401, which would make clients throw a good token away."""
    sim = office()
    with served(sim) as site:
        key = site.token("pay")
        file = home(site.settings).file
        assert file is not None
        file.write_bytes(b"no database at all" * 1_000)
        found = [knock(site, path, [f"Bearer {key}"]) for path in PATHS]
        ready = request(site, "GET", "/readyz")

    assert [reply.status for reply in found] == [503] * len(PATHS)
    assert all(int(reply.headers["retry-after"]) > 0 for reply in found)
    assert not any("www-authenticate" in reply.headers for reply in found)
    assert ready.status == 503
    assert ready.json["checks"]["tokens"] == "cannot be read"
    assert not any(str(file.parent).encode() in reply.body for reply in (*found, ready))
    assert sim.journal.requests == []
