"""From the text of a bearer token to the caller it stands for."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Protocol

from finexio_mcp.access.book import AccessUnavailable
from finexio_mcp.access.claims import MAX_NAME_CHARS, bare, resources
from finexio_mcp.access.grants import Grant
from finexio_mcp.access.kept import Now
from finexio_mcp.access.lasting import Book, Lasting
from finexio_mcp.access.refusals import InvalidToken, NoScope, Reason, Undecided
from finexio_mcp.callers import Caller
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.settings import BUILTIN, Settings

if TYPE_CHECKING:
    import httpx2

__all__ = ["InvalidToken", "NoScope", "Reason", "Undecided", "Verifier"]

MAX_CHARS = 8 * 1024
BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""All that a token may consist of (RFC 6750)."""
OURS = "fmcp_"
RETRY_SECONDS = 5


class Outside(Protocol):
    """Checks tokens that the outside issuer made."""

    async def verify(self, text: str) -> Caller: ...


class Verifier:
    """Tells who a bearer token stands for.

    A token of ours is looked up in the book, at each use, and shown to nobody else; while the book cannot be read, one
    that was good a moment ago goes on. Any other one counts only if an outside issuer is set: a signed one is checked
    with its keys, an opaque one is asked about if this server has credentials there. Nothing is fetched before the
    first token that needs it.

    Args:
        settings: Which issuer, and the credentials there.
        book: Our own tokens.
        base_url: Where clients reach this server.
        http: For tests: what requests to the issuer go through. Otherwise a client of its own.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        book: Book,
        *,
        base_url: str,
        http: httpx2.AsyncClient | None = None,
        now: Now | None = None,
    ) -> None:
        self._book = Lasting(book, now or time.time)
        self._resources = resources(base_url)
        self._takes_sign_ins = settings.oauth_issuer == BUILTIN
        self._signed: Outside | None = None
        self._opaque: Outside | None = None
        self._own_http: httpx2.AsyncClient | None = None
        if settings.oauth_issuer is not None and settings.oauth_issuer != BUILTIN:
            self._look_outside(settings, settings.oauth_issuer, base_url, http, now or time.time)

    def _look_outside(
        self, settings: Settings, url: str, base_url: str, http: httpx2.AsyncClient | None, now: Now
    ) -> None:
        # Cryptography takes a tenth of a second to load, and most servers have no outside issuer.
        from finexio_mcp.access.claims import Rules
        from finexio_mcp.access.inquiry import http_client
        from finexio_mcp.access.introspection import Introspection
        from finexio_mcp.access.issuers import Issuer
        from finexio_mcp.access.keys import KeyRing
        from finexio_mcp.access.signed import SignedTokens

        if http is None:
            http = self._own_http = http_client()
        rules = Rules(url, base_url, settings.oauth_account_claim)
        issuer = Issuer(url, http, now)
        self._signed = SignedTokens(rules, KeyRing(issuer, http, now), now)
        client_id, client_secret = settings.oauth_client_id, settings.oauth_client_secret
        if client_id and client_secret is not None and client_secret.get_secret_value():
            self._opaque = Introspection(rules, issuer, http, client_id=client_id, client_secret=client_secret, now=now)

    async def verify(self, text: str) -> Caller:
        """Whom the token stands for.

        Raises:
            InvalidToken: It is no good. Says why in words of ours, fit for `error_description`.
            NoScope: It is good, and allows nothing here.
            Undecided: The database or the issuer cannot be asked; with advice for the operator.
        """
        if len(text) > MAX_CHARS or not BEARER.fullmatch(text):
            raise InvalidToken(Reason.UNREADABLE)
        # In any case of letters: a mistyped token of ours is none of the issuer's business either.
        if text[: len(OURS)].lower() == OURS:
            return await self._look_up(text)
        outside = self._signed if text.count(".") == 2 else self._opaque
        if outside is None:
            raise InvalidToken(Reason.NOT_TAKEN)
        return await outside.verify(text)

    async def aclose(self) -> None:
        """Close what this verifier opened."""
        if self._own_http is not None:
            await self._own_http.aclose()

    async def _look_up(self, text: str) -> Caller:
        failure: AccessUnavailable | None = None
        try:
            grant = await self._book.find(text)
        except AccessUnavailable as error:
            grant, failure = None, error
        if failure is not None:
            raise Undecided(failure.advice, RETRY_SECONDS)
        if grant is None:
            raise InvalidToken(Reason.UNKNOWN)
        return self._granted(grant)

    def _granted(self, grant: Grant) -> Caller:
        by_hand = grant.kind == "token"
        if not by_hand and not self._takes_sign_ins:
            raise InvalidToken(Reason.NOT_TAKEN)
        if grant.resource is not None and bare(grant.resource) not in self._resources:
            raise InvalidToken(Reason.AUDIENCE)
        return Caller(
            key=f"{'token' if by_hand else 'oauth'}:{grant.id}",
            name=clean(grant.name, limit=MAX_NAME_CHARS, single_line=True) or "unnamed",
            origin="token" if by_hand else "oauth",
            account=grant.account,
            access=grant.access,
            toolsets=grant.toolsets,
            tools=grant.tools,
        )
