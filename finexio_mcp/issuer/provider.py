"""The SDK's authorization-server provider on our book: what its handlers ask about clients, codes and tokens."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Sequence
from urllib.parse import urlencode

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyUrl

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Pair
from finexio_mcp.access.scopes import access_of, lesser, scopes_up_to
from finexio_mcp.issuer.clients import Client
from finexio_mcp.issuer.pending import PENDING_MS, Pending, Seal
from finexio_mcp.settings import Access

MAX_CLIENT_ID_CHARS = 100

logger = logging.getLogger("finexio_mcp.issuer")


class Refresh(RefreshToken):
    """A refresh token, and the grant behind it."""

    grant_id: str


class Issued(AccessToken):
    """An access token, and the grant behind it."""

    grant_id: str


class Provider(OAuthAuthorizationServerProvider[AuthorizationCode, Refresh, Issued]):
    """Clients, codes and tokens from the book.

    Args:
        book: Where they are kept.
        seal: Closes what a person is going to be asked.
        offered: The access that this server offers at most.
        consent_url: Where people are asked.
    """

    def __init__(self, book: AccessBook, seal: Seal, *, offered: Access, consent_url: str) -> None:
        self._book = book
        self._seal = seal
        self._offered: Access = offered
        self._consent_url = consent_url

    async def find_client(self, client_id: str) -> Client | None:
        """The client by this id."""
        kept = await self._book.client(client_id) if 0 < len(client_id) <= MAX_CLIENT_ID_CHARS else None
        return Client.from_json(client_id, kept) if kept is not None else None

    async def remember(self, client: Client) -> None:
        """Keep a client, its addresses character by character: the SDK's type writes them its own way."""
        await self._book.save_client(client.id, client.to_json())

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        """The client in the SDK's words."""
        client = await self.find_client(client_id)
        return client.described(self._offered) if client is not None else None

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        """Not this way: the SDK's handler, which asks for it, is not used, and would take any redirect URI."""
        raise NotImplementedError

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """Where a person is asked for what a client wants."""
        pending = Pending(
            nonce=secrets.token_urlsafe(16),
            client_id=client.client_id,
            redirect_uri=str(params.redirect_uri),
            redirect_uri_explicit=params.redirect_uri_provided_explicitly,
            code_challenge=params.code_challenge,
            asked=access_of(params.scopes or ()),
            resource=params.resource,
            state=params.state,
            expires_at_ms=self._book.now_ms() + PENDING_MS,
        )
        return f"{self._consent_url}?{urlencode({'request': self._seal.close(pending)})}"

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        """The code, a used one too: the exchange notices, and revokes what came of it."""
        code = await self._book.code(authorization_code)
        if code is None:
            return None
        return AuthorizationCode(
            code=authorization_code,
            scopes=[*scopes_up_to(code.access)],
            # The book tells of none that has expired, by the clock that it was made by.
            expires_at=math.inf,
            client_id=code.client_id,
            code_challenge=code.code_challenge,
            redirect_uri=AnyUrl(code.redirect_uri),
            redirect_uri_provided_explicitly=code.redirect_uri_explicit,
            resource=code.resource,
            subject=code.grant_id,
        )

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        """Tokens for a code, once."""
        pair = await self._book.exchange_code(authorization_code.code, client.client_id)
        if pair is None:
            logger.warning("a code came a second time, or too late: grant %s", authorization_code.subject)
            raise TokenError("invalid_grant")
        return self._told(pair)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> Refresh | None:
        """The refresh token, a used one too: the exchange notices, and revokes the grant."""
        found = await self._book.refresh(refresh_token)
        if found is None:
            return None
        grant, client_id = found
        return Refresh(
            token=refresh_token,
            client_id=client_id,
            scopes=[*scopes_up_to(grant.access)],
            resource=grant.resource,
            subject=grant.id,
            grant_id=grant.id,
        )

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: Refresh, scopes: Sequence[str]
    ) -> OAuthToken:
        """New tokens for a refresh token, once, and with these scopes at most."""
        access = access_of(scopes)
        if access is None:
            raise TokenError("invalid_scope")
        pair = await self._book.exchange_refresh(refresh_token.token, client.client_id, access)
        if pair is None:
            logger.warning("a refresh token came a second time, or too late: grant %s", refresh_token.grant_id)
            raise TokenError("invalid_grant")
        return self._told(pair)

    async def load_access_token(self, token: str) -> Issued | None:
        """The access token, if somebody signed in for it."""
        grant = await self._book.find(token)
        if grant is None or grant.client_id is None:
            return None
        return Issued(
            token=token,
            client_id=grant.client_id,
            scopes=[*scopes_up_to(grant.access)],
            resource=grant.resource,
            subject=grant.id,
            grant_id=grant.id,
        )

    async def revoke_token(self, token: Refresh | Issued) -> None:
        """End the grant, with everything that came of it."""
        await self._book.revoke(token.grant_id)
        logger.info("a client gave its access back: grant %s", token.grant_id)

    def _told(self, pair: Pair) -> OAuthToken:
        # What the server offers may have become less since the sign-in, and the answer must not promise more.
        scopes = scopes_up_to(lesser(pair.grant.access, self._offered))
        return OAuthToken(
            access_token=pair.access_text,
            expires_in=pair.expires_in_s,
            scope=" ".join(scopes),
            refresh_token=pair.refresh_text,
        )
