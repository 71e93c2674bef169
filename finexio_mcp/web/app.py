"""The ASGI app: every transport over HTTP, for every account, on one hub and one ledger."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import anyio
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from finexio_mcp import catalog
from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.scopes import scopes_up_to
from finexio_mcp.access.verifier import Verifier
from finexio_mcp.callers import Caller
from finexio_mcp.hub import Hub
from finexio_mcp.server import build_server
from finexio_mcp.settings import BUILTIN, Settings, SettingsError, load
from finexio_mcp.web import rules
from finexio_mcp.web.authentication import Authentication
from finexio_mcp.web.edge import MAX_BODY_BYTES, Edge
from finexio_mcp.web.exchange import NAME_HEADER, exchange_of, name_of
from finexio_mcp.web.leaving import Leaving
from finexio_mcp.web.probes import Readiness, healthz
from finexio_mcp.web.refusing import rpc_refusal
from finexio_mcp.web.rules import MCP_PATH, MESSAGES_PATH, SSE_PATH
from finexio_mcp.web.sse import EventStreams

if TYPE_CHECKING:
    import httpx2
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

METADATA_PATH = "/.well-known/oauth-protected-resource"
UNCHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""For the SDK, since the edge checks Host and Origin of every request."""
CORS_HEADERS = ("Authorization", "Content-Type", "Last-Event-ID", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name")
BEARERS = ("token", "oauth")
NO_STREAMS = rpc_refusal(410, "gone", "Several servers share the load here, and a stream needs one. Connect to /mcp.")


def create_app(
    settings: Settings | None = None,
    *,
    base_url: str | None = None,
    hub: Hub | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> Starlette:
    """The server over HTTP, for any ASGI server that runs lifespans.

    Args:
        settings: What the operator decides; read from the environment if left out.
        base_url: How clients reach it, if the settings do not say.
        hub: What calls run on, if it outlives the app; otherwise the app has one of its own.
        transport: Another way to Finexio, for tests.

    Raises:
        SettingsError: It would not be safe to serve like that; each reason is named.
    """
    settings = settings or load()
    if problems := rules.refusals(settings):
        raise SettingsError(problems)
    return _Assembly(settings, base_url or rules.base_url(settings), hub, transport).app()


class _Assembly:
    """Puts one app together."""

    def __init__(
        self,
        settings: Settings,
        base_url: str,
        hub: Hub | None,
        transport: httpx2.AsyncBaseTransport | None,
    ) -> None:
        self._settings, self._base_url, self._given, self._transport = settings, base_url, hub, transport
        self._hub: Hub | None = None
        self._book = AccessBook(settings)
        self._verifier = Verifier(settings, self._book, base_url=base_url)
        self._server = build_server(settings, lifespan=self._shared, caller_of=_caller_of, name_of=_name_of)
        self._server.middleware.append(_ScopeNote(settings))
        # Answers are plain JSON in every revision: calls here tell nothing on their way, so a stream would only cost
        # time, and be cut when the server is told to stop.
        self._streamable = StreamableHTTPSessionManager(
            self._server,
            stateless=True,
            json_response=True,
            security_settings=UNCHECKED,
            max_request_body_size=MAX_BODY_BYTES,
        )

    def app(self) -> Starlette:
        """The app itself."""
        settings = self._settings
        edge = Middleware(
            Edge,
            names=rules.allowed_names(settings),
            origins={*settings.allowed_origins, self._base_url},
            https=self._base_url.startswith("https:"),
        )
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=("GET", "POST"),
            allow_headers=CORS_HEADERS,
            expose_headers=("WWW-Authenticate", NAME_HEADER),
        )
        routes: list[BaseRoute] = [
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", self._readiness().readyz, methods=["GET"]),
            *_both(MCP_PATH, self._guarded(Leaving(self._streamable.handle_request), MCP_PATH), methods=["POST"]),
            *self._streams(),
            *self._oauth(),
        ]
        app = Starlette(
            routes=routes,
            middleware=[edge, *([cors] if settings.allowed_origins else [])],
            lifespan=self._lifespan,
        )
        # It would redirect to what a client says is the host, with the scheme that a proxy does not use outside.
        app.router.redirect_slashes = False
        return app

    def _readiness(self) -> Readiness:
        return Readiness(self._settings, self._book, lambda: self._hub, lambda: self._running.accounts)

    def _streams(self) -> list[BaseRoute]:
        """Server-sent events. A stream lives in one process, and the next message would reach another replica."""
        if not rules.streams(self._settings):
            return [*_both(SSE_PATH, NO_STREAMS, methods=["GET"])]
        streams = EventStreams(self._server, UNCHECKED)
        return [
            *_both(SSE_PATH, self._guarded(streams.open, SSE_PATH), methods=["GET"]),
            Mount(MESSAGES_PATH, self._guarded(streams.post, SSE_PATH)),
        ]

    def _guarded(self, app: ASGIApp, path: str) -> ASGIApp:
        return Authentication(
            app,
            verifier=self._verifier,
            anonymous=rules.anonymous(self._settings),
            offered=self._settings.granted,
            metadata_url=f"{self._base_url}{METADATA_PATH}{path}" if self._settings.oauth_issuer else None,
        )

    def _oauth(self) -> list[BaseRoute]:
        """Where clients read how to get a token, and where the built-in issuer gives it."""
        issuer = self._settings.oauth_issuer
        if issuer is None:
            return []
        resources = ("", MCP_PATH, *([SSE_PATH] if rules.streams(self._settings) else []))
        routes: list[BaseRoute] = [
            Route(f"{METADATA_PATH}{path}", self._resource(path), methods=["GET"]) for path in resources
        ]
        if issuer == BUILTIN:
            from finexio_mcp import issuer as builtin

            routes += builtin.routes(self._settings, self._book, base_url=self._base_url)
        return routes

    def _resource(self, path: str) -> Callable[[Request], Awaitable[JSONResponse]]:
        """RFC 9728: what is protected, and who gives access to it."""
        issuer = self._settings.oauth_issuer
        metadata = {
            "resource": f"{self._base_url}{path}",
            "authorization_servers": [self._base_url if issuer == BUILTIN else issuer],
            "scopes_supported": [*scopes_up_to(self._settings.granted)],
            "bearer_methods_supported": ["header"],
            "resource_name": "Finexio accounts payable",
        }

        async def tell(_request: Request) -> JSONResponse:
            return JSONResponse(metadata)

        return tell

    @contextlib.asynccontextmanager
    async def _shared(self, _server: Server[Hub]) -> AsyncGenerator[Hub]:
        """Builds nothing: the SDK enters it for each stream of server-sent events."""
        yield self._running

    @property
    def _running(self) -> Hub:
        assert self._hub is not None, "requests come within the app's lifespan"  # noqa: S101
        return self._hub

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncGenerator[None]:
        async with contextlib.AsyncExitStack() as stack:
            self._hub = self._given or await stack.enter_async_context(
                Hub(self._settings, self._transport, serving=True)
            )
            stack.push_async_callback(self._book.aclose)
            stack.push_async_callback(self._verifier.aclose)
            self._hub.warm_up_soon()
            await stack.enter_async_context(self._streamable.run())
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._hub.drain()


def _both(path: str, app: ASGIApp, *, methods: list[str]) -> list[BaseRoute]:
    """With and without the slash at the end, which people type."""
    return [Route(each, app, methods=methods) for each in (path, f"{path}/")]


def _caller_of(context: ServerRequestContext[Hub]) -> Caller:
    return exchange_of(cast(Request, context.request).scope).caller


def _name_of(context: ServerRequestContext[Hub]) -> str:
    return name_of(cast(Request, context.request).scope)


class _ScopeNote:
    """Middleware of the MCP server: notes that a call needs more scope than its caller has.

    The call itself is refused further in, whatever becomes of the note.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tools = catalog.read()

    async def __call__(self, ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/call" and ctx.params:
            listed = self._tools.get(str(ctx.params.get("name")))
            exchange = exchange_of(cast(Request, ctx.request).scope)
            if listed is not None and exchange.caller.origin in BEARERS:
                exchange.needs = catalog.missing_access(listed, self._settings, exchange.caller)
        return await call_next(ctx)
