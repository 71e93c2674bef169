"""`/token` and `/revoke`: the SDK's handler behind checks of ours, and one of our own for giving access back.

The SDK's handler of revocations refuses clients that send no secret, and here none has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from mcp.server.auth.handlers.token import TokenErrorResponse, TokenHandler, TokenSuccessResponse
from mcp.server.auth.json_response import PydanticJSONResponse
from mcp.server.auth.middleware.client_auth import ClientAuthenticator
from mcp.server.auth.provider import TokenErrorCode
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from finexio_mcp.issuer.forms import Parameters, in_form
from finexio_mcp.issuer.provider import Provider
from finexio_mcp.issuer.redirects import place_of
from finexio_mcp.issuer.refusals import Refused
from finexio_mcp.issuer.targets import Targets

VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
MAX_TOKEN_CHARS = 200
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "authorization_code": ("code", "code_verifier"),
    "refresh_token": ("refresh_token",),
}
HANDED_ON = ("grant_type", "client_id", "code", "code_verifier", "redirect_uri", "refresh_token", "scope")
GONE = "It is unknown, expired, used before or somebody else's, or what came with it does not fit. Sign in again."
SAID: Final[Mapping[TokenErrorCode, str]] = {
    "invalid_grant": GONE,
    "invalid_scope": "A refresh can ask for the scopes of the sign-in at most.",
    "unsupported_grant_type": "grant_type has to be authorization_code or refresh_token.",
}


class _Handler(TokenHandler):
    """The SDK's, in our words."""

    def response(self, obj: TokenSuccessResponse | TokenErrorResponse) -> PydanticJSONResponse:
        if isinstance(obj, TokenErrorResponse):
            # Malformed requests do not get here. The one that is left is another redirect URI than before, and that
            # is an `invalid_grant` in RFC 6749, 5.2.
            error: TokenErrorCode = "invalid_grant" if obj.error == "invalid_request" else obj.error
            obj = TokenErrorResponse(error=error, error_description=SAID.get(error))
        return super().response(obj)


class Tokens:
    """Gives tokens for codes and for refresh tokens, and takes access back."""

    def __init__(self, provider: Provider, targets: Targets) -> None:
        self._provider = provider
        self._targets = targets
        self._handler = _Handler(provider, ClientAuthenticator(provider))

    async def exchange(self, request: Request) -> Response:
        """Tokens (RFC 6749, 4.1.3 and 6; RFC 7636; RFC 8707).

        Raises:
            Refused: The request cannot be read, or asks for what there is not here.
        """
        form = await in_form(request)
        grant_type = form.needed("grant_type")
        if grant_type not in NEEDED:
            raise Refused("unsupported_grant_type", SAID["unsupported_grant_type"])
        for name in NEEDED[grant_type]:
            form.needed(name)
        self._check(form)
        self._targets.named_in(form)
        # The handler reads the form again, with another parser; what it gets is what was checked here.
        checked = {name: value for name in HANDED_ON if (value := form.one(name)) is not None}
        return await self._handler.handle(_again(request, checked))

    def _check(self, form: Parameters) -> None:
        redirect_uri, verifier = form.one("redirect_uri"), form.one("code_verifier")
        if redirect_uri is not None and place_of(redirect_uri) is None:
            raise Refused("invalid_grant", GONE)
        if verifier is not None and not VERIFIER.fullmatch(verifier):
            raise Refused("invalid_grant", GONE)
        if any(len(form.one(name) or "") > MAX_TOKEN_CHARS for name in ("code", "refresh_token")):
            raise Refused("invalid_grant", GONE)

    async def revoke(self, request: Request) -> Response:
        """End the grant behind a token (RFC 7009); nothing tells whether there was one.

        Raises:
            Refused: The request cannot be read, or its client is unknown.
        """
        form = await in_form(request)
        token, client_id = form.needed("token"), form.one("client_id") or ""
        client = await self._provider.get_client(client_id)
        if client is None:
            raise Refused("invalid_client", "client_id is missing or unknown.", status=401)
        if len(token) <= MAX_TOKEN_CHARS:
            found = await self._provider.load_access_token(token)
            found = found or await self._provider.load_refresh_token(client, token)
            if found is not None and found.client_id == client_id:
                await self._provider.revoke_token(found)
        return Response(status_code=200, headers={"Cache-Control": "no-store"})


def _again(request: Request, form: Mapping[str, str]) -> Request:
    """The request with this form as its body."""
    body = urlencode(form).encode()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)
