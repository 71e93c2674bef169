"""The addresses of the built-in authorization server, and what it tells about itself (RFC 8414)."""

from __future__ import annotations

from mcp.server.auth.handlers.metadata import MetadataHandler
from mcp.shared.auth import OAuthMetadata
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.scopes import scopes_up_to
from finexio_mcp.issuer.authorizing import Authorizing
from finexio_mcp.issuer.clients import registered
from finexio_mcp.issuer.consent import Consent
from finexio_mcp.issuer.forms import body_of
from finexio_mcp.issuer.page import in_pages
from finexio_mcp.issuer.pending import Seal
from finexio_mcp.issuer.provider import Provider
from finexio_mcp.issuer.refusals import Endpoint, Refused, in_json
from finexio_mcp.issuer.targets import Targets
from finexio_mcp.issuer.tokens import Tokens
from finexio_mcp.issuer.tries import Registrations, subscriber
from finexio_mcp.settings import Access, Settings
from finexio_mcp.sharing.tries import Tries

METADATA_PATH = "/.well-known/oauth-authorization-server"
AUTHORIZE_PATH = "/authorize"
CONSENT_PATH = "/consent"
TOKEN_PATH = "/token"
REGISTER_PATH = "/register"
REVOKE_PATH = "/revoke"


def routes(settings: Settings, book: AccessBook, *, base_url: str) -> list[BaseRoute]:
    """The built-in authorization server, to be mounted at the root of an app.

    Args:
        settings: What the operator decides.
        book: Where clients, invitations and tokens are kept.
        base_url: How clients reach the server, and its name as an issuer; without a slash at the end.
    """
    offered = settings.granted
    seal, targets = Seal(settings, book.now_ms), Targets(base_url)
    provider = Provider(book, seal, offered=offered, consent_url=f"{base_url}{CONSENT_PATH}")
    authorizing = Authorizing(provider, targets, offered=offered, issuer=base_url)
    tries = Tries(settings) if settings.shares_ledger else None
    consent = Consent(settings, book, provider, seal, issuer=base_url, tries=tries)
    tokens = Tokens(provider, targets)
    return [
        Route(METADATA_PATH, MetadataHandler(_metadata(base_url, offered)).handle, methods=["GET"]),
        Route(AUTHORIZE_PATH, in_pages(authorizing.authorize), methods=["GET"]),
        Route(CONSENT_PATH, in_pages(consent.ask), methods=["GET"]),
        Route(CONSENT_PATH, in_pages(consent.answer), methods=["POST"]),
        Route(TOKEN_PATH, in_json(tokens.exchange), methods=["POST"]),
        Route(REGISTER_PATH, in_json(_registration(provider, book, offered, tries)), methods=["POST"]),
        Route(REVOKE_PATH, in_json(tokens.revoke), methods=["POST"]),
    ]


def _metadata(base_url: str, offered: Access) -> OAuthMetadata:
    """What there is, and nothing that there is not: public clients, S256, codes and refresh tokens."""
    return OAuthMetadata.model_validate(
        {
            "issuer": base_url,
            "authorization_endpoint": f"{base_url}{AUTHORIZE_PATH}",
            "token_endpoint": f"{base_url}{TOKEN_PATH}",
            "registration_endpoint": f"{base_url}{REGISTER_PATH}",
            "revocation_endpoint": f"{base_url}{REVOKE_PATH}",
            "scopes_supported": [*scopes_up_to(offered)],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
    )


def _registration(provider: Provider, book: AccessBook, offered: Access, tries: Tries | None) -> Endpoint:
    """RFC 7591. The SDK's handler is not used: it gives secrets to most clients, and takes any redirect URI."""
    registrations = Registrations(book.now_ms, tries)

    async def register(request: Request) -> Response:
        client = registered(await body_of(request), now_ms=book.now_ms())
        if not await registrations.take(subscriber(request.client.host if request.client is not None else None)):
            raise Refused("temporarily_unavailable", "Too many clients register at once; try again later.", status=429)
        await provider.remember(client)
        return JSONResponse(client.metadata(offered), status_code=201, headers={"Cache-Control": "no-store"})

    return register
