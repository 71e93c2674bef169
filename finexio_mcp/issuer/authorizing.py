"""`/authorize`: a client sends a person here, who is sent on to the consent page.

Anybody may register a website and would then have us send people there, by a link with our name in it (RFC 9700,
4.11.2). So what is wrong with a request is sent on by itself only to programs on the person's own machine; elsewhere
the person reads it, and decides.

The SDK's handler is not used: it takes a request without a method for S256, where RFC 7636 says plain, and its errors
carry no `iss`.
"""

from __future__ import annotations

import re

from mcp.server.auth.provider import AuthorizationParams
from pydantic import AnyUrl
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from finexio_mcp.access.scopes import access_of
from finexio_mcp.issuer import page
from finexio_mcp.issuer.clients import Client
from finexio_mcp.issuer.forms import Parameters, in_query
from finexio_mcp.issuer.provider import Provider
from finexio_mcp.issuer.redirects import matches, place_of, with_answer
from finexio_mcp.issuer.refusals import Refused
from finexio_mcp.issuer.targets import Targets
from finexio_mcp.settings import Access

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
MAX_STATE_CHARS = 2_000
UNKNOWN_CLIENT = (
    "This server does not know the app that sent you here, or not any more. Remove the connection in the app and "
    "connect it again."
)
UNKNOWN_PLACE = "The app that sent you here asked for the answer to go to a place that it did not register."


class Authorizing:
    """Checks what a client asks for.

    Args:
        provider: Knows clients, and where people are asked.
        targets: What tokens may be for.
        offered: The access that this server offers at most.
        issuer: Who answers (RFC 9207).
    """

    def __init__(self, provider: Provider, targets: Targets, *, offered: Access, issuer: str) -> None:
        self._provider = provider
        self._targets = targets
        self._offered: Access = offered
        self._issuer = issuer

    async def authorize(self, request: Request) -> Response:
        """Send the person on to the consent page, or say what is wrong.

        Raises:
            Refused: It is not known who asks, or where to send the person back to.
        """
        asked = in_query(request)
        client = await self._client(asked)
        redirect_uri = self._redirect_uri(asked, client)
        state: str | None = None
        try:
            state = self._state(asked)
            params = self._params(asked, redirect_uri, state)
        except Refused as refused:
            return self._told(refused, redirect_uri, state)
        return _sent_to(await self._provider.authorize(client.described(self._offered), params))

    async def _client(self, asked: Parameters) -> Client:
        client = await self._provider.find_client(asked.one("client_id") or "")
        if client is None:
            raise Refused("invalid_request", UNKNOWN_CLIENT)
        return client

    def _redirect_uri(self, asked: Parameters, client: Client) -> str:
        uri = asked.one("redirect_uri")
        if uri is None and len(client.redirect_uris) == 1:
            return client.redirect_uris[0]
        if uri is None or not matches(uri, client.redirect_uris):
            raise Refused("invalid_request", UNKNOWN_PLACE)
        return uri

    def _told(self, refused: Refused, redirect_uri: str, state: str | None) -> Response:
        place = place_of(redirect_uri)
        if place is None:
            raise refused
        answer = {"error": refused.error, "error_description": refused.description, "state": state}
        where = with_answer(redirect_uri, {**answer, "iss": self._issuer})
        return _sent_to(where) if place.kind == "machine" else page.back(refused, place, where)

    def _state(self, asked: Parameters) -> str | None:
        state = asked.one("state")
        if state is not None and len(state) > MAX_STATE_CHARS:
            raise Refused("invalid_request", f"state may have {MAX_STATE_CHARS} characters at most.")
        return state

    def _params(self, asked: Parameters, redirect_uri: str, state: str | None) -> AuthorizationParams:
        if asked.needed("response_type") != "code":
            raise Refused("unsupported_response_type", "response_type has to be code.")
        challenge = asked.needed("code_challenge")
        if asked.one("code_challenge_method") != "S256":
            raise Refused("invalid_request", "code_challenge_method has to be S256.")
        if not CHALLENGE.fullmatch(challenge):
            raise Refused("invalid_request", "code_challenge is no SHA-256 in base64url.")
        scope = asked.one("scope")
        # Scopes of others, such as `openid`, are left out; the token's answer says what was given.
        if scope is not None and access_of(scope.split()) is None:
            raise Refused("invalid_scope", "None of these scopes is known here; the server's metadata names them.")
        return AuthorizationParams(
            state=state,
            scopes=scope.split() if scope is not None else None,
            code_challenge=challenge,
            redirect_uri=AnyUrl(redirect_uri),
            redirect_uri_provided_explicitly=asked.one("redirect_uri") is not None,
            resource=self._targets.named_in(asked),
        )


def _sent_to(where: str) -> Response:
    return RedirectResponse(where, status_code=302, headers={"Cache-Control": "no-store"})
