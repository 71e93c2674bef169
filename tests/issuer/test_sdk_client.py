"""The SDK's own client does the whole dance against us: discovery, registration, PKCE, code, refresh."""

from __future__ import annotations

import anyio
import pytest
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.issuer.world import BASE, Page, World, parameters, world

CALLBACK = "http://127.0.0.1:41000/callback"


class Memory:
    """Where the client keeps what it was given."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """At a browser that the client opens, with a code that an operator gave out."""

    def __init__(self, server: World, invitation: str, decision: str = "allow") -> None:
        self._server, self.invitation, self._decision = server, invitation, decision
        self.times_asked = 0
        self._answer: dict[str, str] = {}

    async def opens(self, url: str) -> None:
        self.times_asked += 1
        shown = await self._server.http.get(url, follow_redirects=True)
        sent = await self._server.answer(Page(shown.text), self._decision, code=self.invitation)
        assert sent.headers["location"].startswith(f"{CALLBACK}?")
        self._answer = parameters(sent.headers["location"])

    async def comes_back(self) -> AuthorizationCodeResult:
        answer = self._answer
        return AuthorizationCodeResult(code=answer.get("code", ""), state=answer.get("state"), iss=answer.get("iss"))


def client_of(memory: Memory, person: Person) -> OAuthClientProvider:
    return OAuthClientProvider(
        f"{BASE}/mcp",
        OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="SDK"),
        memory,
        redirect_handler=person.opens,
        callback_handler=person.comes_back,
    )


async def test_the_sdk_client_signs_in_and_renews_by_itself() -> None:
    """Ours: whatever an official client checks of us (issuer, `iss`, method, resource) is as it expects."""
    async with world() as server:
        memory, person = Memory(), Person(server, await server.invite("write"))
        auth = client_of(memory, person)
        with anyio.fail_after(10):
            first = await server.http.post("/mcp", auth=auth)
            assert first.json()["access"] == "write"
            assert memory.client is not None
            assert memory.client.client_secret is None
            assert memory.client.issuer == BASE
            assert memory.tokens is not None
            assert memory.tokens.scope == "finexio:read finexio:write"
            before = memory.tokens

            # Its own clock is the real one, so it is told rather than waited for.
            auth.context.token_expiry_time = 1.0
            assert (await server.http.post("/mcp", auth=auth)).json()["access"] == "write"
        assert memory.tokens.refresh_token != before.refresh_token
        assert person.times_asked == 1


async def test_the_sdk_client_signs_in_anew_when_its_grant_is_revoked() -> None:
    """Ours: a revoked client is asked to sign in, and nothing else goes wrong."""
    async with world() as server:
        memory, person = Memory(), Person(server, await server.invite("pay", "first"))
        auth = client_of(memory, person)
        with anyio.fail_after(10):
            assert (await server.http.post("/mcp", auth=auth)).json()["name"] == "first"
            await server.book.revoke("first")
            person.invitation = await server.invite("read", "second")
            assert (await server.http.post("/mcp", auth=auth)).json() == {"name": "second", "access": "read"}


async def test_the_sdk_client_hears_of_a_denial() -> None:
    """Ours: the client gets no code, and knows that it was us who said so."""
    async with world() as server:
        auth = client_of(Memory(), Person(server, "", "deny"))
        with anyio.fail_after(10), pytest.raises(OAuthFlowError, match="No authorization code"):
            await server.http.post("/mcp", auth=auth)
