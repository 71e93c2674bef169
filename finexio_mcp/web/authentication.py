"""Who makes a request, by its bearer token; and the challenge to those who may not."""

from __future__ import annotations

import logging
import math
import time

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from finexio_mcp.access.scopes import scopes_up_to
from finexio_mcp.access.verifier import InvalidToken, NoScope, Undecided, Verifier
from finexio_mcp.callers import Caller
from finexio_mcp.settings import Access
from finexio_mcp.web.answering import Answer
from finexio_mcp.web.edge import whole
from finexio_mcp.web.exchange import KEY, Exchange
from finexio_mcp.web.refusing import rpc_refusal
from finexio_mcp.web.rules import is_local

logger = logging.getLogger("finexio_mcp.web")

SCHEME = "bearer"
NOTED_SECONDS = 60.0
FORWARDED = (
    "forwarded",
    "via",
    "x-forwarded-",
    "x-original-",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-",
    "true-client-ip",
    "cf-",
    "fly-",
    "fastly-",
)
"""How headers begin that proxies add. What they hand on may come from anywhere."""

MISSING = "This server answers nobody without an access token."
NO_BEARER = "The Authorization header holds no bearer token."
UNDECIDED = "Tokens cannot be checked at the moment; the operator finds the cause in the log."
ELSEWHERE = "Only programs on this machine are answered without an access token."


class Authentication:
    """ASGI middleware that lets known callers in.

    Args:
        app: What is protected.
        verifier: Judges tokens.
        anonymous: Who calls without a token, from this machine; `None` where nobody may.
        offered: The access that this server offers at most.
        metadata_url: Where clients read how to get a token, if there is a way to get one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        verifier: Verifier,
        anonymous: Caller | None,
        offered: Access,
        metadata_url: str | None,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._anonymous = anonymous
        self._offered: Access = offered
        self._metadata_url = metadata_url
        self._noted: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = await self._judge(scope)
        if isinstance(found, Response):
            await found(scope, receive, send)
            return
        exchange = scope[KEY] = Exchange(found)
        # Sessions of the SDK belong to the principal that began them.
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=found.key, scopes=[]))
        if scope["method"] == "POST":
            receive = await whole(receive)
            send = Answer(scope, receive, send, exchange=exchange, refusal=self._too_little)
        await self._app(scope, receive, send)

    async def _judge(self, scope: Scope) -> Caller | Response:
        """Who makes the request, or the answer to somebody who may not."""
        headers = Headers(scope=scope)
        given = headers.getlist("authorization")
        if len(given) > 1:
            return rpc_refusal(400, "invalid_request", "More than one Authorization header.")
        if not given:
            return self._judge_without_token(scope, headers)
        scheme, _, token = given[0].partition(" ")
        if scheme.casefold() != SCHEME or not token.strip():
            return self._challenge(401, self._offered, "invalid_token", NO_BEARER)
        try:
            return await self._verifier.verify(token.strip())
        except InvalidToken as invalid:
            self._note(f"a token was refused: {invalid}")
            return self._challenge(401, self._offered, "invalid_token", str(invalid))
        except NoScope as lacking:
            self._note(f"a token was refused: {lacking}")
            return self._challenge(403, self._offered, "insufficient_scope", str(lacking))
        except Undecided as undecided:
            self._note(f"tokens cannot be checked: {undecided.advice}")
            again = {"Retry-After": str(undecided.retry_after_s)}
            return rpc_refusal(503, "temporarily_unavailable", UNDECIDED, again)

    def _note(self, what: str) -> None:
        """Say it in the log, where clients show nothing; not more than once a minute, since strangers cause it."""
        now = time.monotonic()
        if now - self._noted.get(what, -math.inf) >= NOTED_SECONDS:
            self._noted[what] = now
            logger.warning("%s", what)

    def _judge_without_token(self, scope: Scope, headers: Headers) -> Caller | Response:
        if self._anonymous is not None and _from_here(scope, headers):
            return self._anonymous
        reason = MISSING if self._anonymous is None else ELSEWHERE
        return self._challenge(401, self._offered, None, reason)

    def _too_little(self, needs: Access) -> Response:
        return self._challenge(403, needs, "insufficient_scope", f"This call needs the scope finexio:{needs}.")

    def _challenge(self, status: int, needs: Access, error: str | None, description: str) -> Response:
        """Say what kind of token it takes, for what, and where to get one. Whoever showed none made no error."""
        told = {
            "realm": "finexio-mcp",
            "error": error,
            "error_description": None if error is None else description,
            "scope": " ".join(scopes_up_to(needs)),
            "resource_metadata": self._metadata_url,
        }
        parts = [f'{name}="{value}"' for name, value in told.items() if value is not None]
        challenge = {"WWW-Authenticate": f"Bearer {', '.join(parts)}"}
        return rpc_refusal(status, error or "unauthorized", description, challenge)


def _from_here(scope: Scope, headers: Headers) -> bool:
    """Whether a request comes from this machine, and was not handed on by a proxy on it."""
    client: tuple[str, int] | None = scope.get("client")
    # Some proxies add no header at all, but speak the old version unless they are told not to.
    handed_on = scope.get("http_version") == "1.0" or any(name.startswith(FORWARDED) for name in headers)
    return client is not None and is_local(client[0]) and not handed_on
