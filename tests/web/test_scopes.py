"""Too little scope: a status and a challenge that clients act on, and nothing reached."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from finexio_mcp.settings import Access
from tests.authority.running import Authority, authority
from tests.calls import CREATE_COUNTERPARTY, PAY, WRITES, changes, office
from tests.web.serving import Site, served
from tests.web.talking import MODERN, REVISIONS, Reply, Stream, bearer, call, post, request

PAYMENTS = "list_all_finexio_payments"
SCOPES = {
    "read": "finexio:read",
    "write": "finexio:read finexio:write",
    "pay": "finexio:read finexio:write finexio:pay",
}
STEPS: tuple[tuple[Access, str, Access], ...] = (
    ("read", CREATE_COUNTERPARTY, "write"),
    ("read", PAY, "pay"),
    ("write", PAY, "pay"),
)


@pytest.fixture(scope="module")
def issuer() -> Generator[Authority]:
    """A real authorization server."""
    with authority() as running:
        yield running


def challenge(reply: Reply) -> dict[str, str]:
    """The parameters of `WWW-Authenticate: Bearer`."""
    scheme, _, rest = reply.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    return {name: value.strip('"') for name, _, value in (part.partition("=") for part in rest.split(", "))}


def asked_for_more(reply: Reply, needs: Access) -> bool:
    """Whether a client learns what to ask its user for."""
    told = challenge(reply)
    return (reply.status, told["error"], told["scope"]) == (403, "insufficient_scope", SCOPES[needs])


@pytest.mark.parametrize(("has", "tool", "needs"), STEPS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_token_with_too_little_access_is_asked_for_more(revision: str, has: Access, tool: str, needs: Access) -> None:
    """Documented: 403 `insufficient_scope` with the scope that is needed, in both eras; Finexio hears nothing (A4)."""
    sim = office()
    with served(sim) as site:
        key = site.token(has)
        reply = call(site, revision, tool, WRITES[tool], token=key)
        with Stream(site, token=key) as stream:
            stream.shake_hands(revision)
            content = stream.call(revision, tool, WRITES[tool])
            alive = stream.call(revision, PAYMENTS)

    assert asked_for_more(reply, needs), reply
    # A stream has no status left to give.
    assert content["error"]["code"] == "access_denied"
    assert f"--access {needs}" in content["error"]["message"]
    assert alive["result_count"] == 1
    assert changes(sim) == []
    assert len(sim.journal.requests) == 1


def oauth(issuer: Authority, **settings: Any) -> dict[str, Any]:
    return {"FINEXIO_MCP_OAUTH_ISSUER": issuer.issuer, **settings}


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_sign_in_with_too_little_scope_is_asked_for_more(issuer: Authority, revision: str) -> None:
    """Documented: the challenge says where to get it, too (RFC 9728)."""
    sim = office()
    with served(sim, **oauth(issuer)) as site:
        resource = f"{site.base_url}/mcp"
        less = issuer.mint(resource=resource, scope="finexio:read")
        more = issuer.mint(resource=resource, scope="finexio:read finexio:pay")
        refused = call(site, revision, PAY, WRITES[PAY], token=less)
        read = call(site, revision, PAYMENTS, token=less)
        with Stream(site, token=less) as stream:
            stream.shake_hands(revision)
            content = stream.call(revision, PAY, WRITES[PAY])
        reached = changes(sim)
        paid = call(site, revision, PAY, WRITES[PAY], token=more)
        metadata = request(site, "GET", challenge(refused)["resource_metadata"].removeprefix(site.base_url))

    assert asked_for_more(refused, "pay"), refused
    assert metadata.json["resource"] == resource
    assert metadata.json["authorization_servers"] == [issuer.issuer]
    assert set(metadata.json["scopes_supported"]) == set(SCOPES["pay"].split())
    assert read.content["result_count"] == 1
    assert content["error"]["code"] == "access_denied"
    assert "finexio:pay" in content["error"]["message"]
    assert reached == []
    assert paid.content["status"] == "confirmed"


def test_a_sign_in_for_nothing_of_ours_is_no_sign_in_for_reading(issuer: Authority) -> None:
    """Documented: a good token without a scope of ours may not even look."""
    sim = office()
    with served(sim, **oauth(issuer)) as site:
        key = issuer.mint(resource=f"{site.base_url}/mcp", scope="openid profile")
        found = [
            call(site, MODERN, PAYMENTS, token=key),
            post(site, MODERN, "tools/list", token=key),
            request(site, "GET", "/sse", bearer(key)),
        ]

    assert all(asked_for_more(reply, "pay") for reply in found)
    assert sim.journal.requests == []


def test_no_more_scope_is_asked_for_than_the_server_offers(issuer: Authority) -> None:
    """Ours: a server that only reads would not give a payer more."""
    sim = office()
    with served(sim, **oauth(issuer, FINEXIO_MCP_ACCESS="write")) as site:
        key = issuer.mint(resource=f"{site.base_url}/mcp", scope="finexio:read")
        refused = {tool: call(site, MODERN, tool, WRITES[tool], token=key) for tool in (PAY, CREATE_COUNTERPARTY)}
        stranger = post(site, MODERN, "tools/list")
        metadata = request(site, "GET", "/.well-known/oauth-protected-resource/mcp").json

    # Paying is off here for everybody: no question of scope.
    assert refused[PAY].status == 200
    assert "FINEXIO_MCP_ACCESS" in refused[PAY].content["error"]["message"]
    assert asked_for_more(refused[CREATE_COUNTERPARTY], "write")
    assert challenge(stranger)["scope"] == SCOPES["write"]
    assert metadata["scopes_supported"] == SCOPES["write"].split()
    assert sim.journal.requests == []


@pytest.mark.parametrize("path", ["", "/mcp", "/sse"])
def test_each_address_says_who_gives_access_to_it(issuer: Authority, path: str) -> None:
    """Documented: RFC 9728, without a token, and for the address that was asked about."""
    with served(office(), **oauth(issuer)) as site:
        metadata = request(site, "GET", f"/.well-known/oauth-protected-resource{path}")
        stranger = _knock(site, path) if path else None

    assert metadata.status == 200
    assert metadata.json["resource"] == f"{site.base_url}{path}"
    assert metadata.json["bearer_methods_supported"] == ["header"]
    if stranger is not None:
        assert stranger.status == 401
        assert challenge(stranger)["resource_metadata"] == (
            f"{site.base_url}/.well-known/oauth-protected-resource{path}"
        )


def _knock(site: Site, path: str) -> Reply:
    return request(site, "GET", path) if path == "/sse" else request(site, "POST", path, body=b"{}")


def test_both_kinds_of_tokens_are_taken_side_by_side(issuer: Authority) -> None:
    """Ours: scripts and people at once, each with their own terms; one is not let into the stream of the other."""
    sim = office()
    with served(sim, **oauth(issuer)) as site:
        ours, theirs = site.token("pay"), issuer.mint(resource=f"{site.base_url}/mcp", scope="finexio:read")
        counts = [len(post(site, MODERN, "tools/list", token=key).result["tools"]) for key in (ours, theirs)]
        with Stream(site, token=ours) as stream:
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            headers = [("Content-Type", "application/json"), *bearer(theirs)]
            crossed = request(site, "POST", stream.endpoint, headers, json.dumps(message).encode()).status

    assert counts == [26, 15]
    assert crossed == 404
