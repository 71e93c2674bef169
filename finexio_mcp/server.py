"""The MCP server: lists from the catalog, hands calls to dispatch, lets no exception text out."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import mcp_types as types
import pydantic
from mcp.server import Server
from mcp.server.caching import CacheHint
from mcp.shared.exceptions import MCPError

from finexio_mcp import __version__, catalog
from finexio_mcp.callers import OPERATOR, Caller
from finexio_mcp.hub import Hub
from finexio_mcp.introduction import introduce
from finexio_mcp.settings import Settings, load

if TYPE_CHECKING:
    import httpx2
    from mcp.server.context import ServerRequestContext

    from finexio_mcp.envelope import Envelope

TTL_MS = 300_000
MAX_OFFERS = 256
MAX_CLIENT_CHARS = 80
INTRODUCTIONS = frozenset({"initialize", "server/discover"})

logger = logging.getLogger("finexio_mcp.server")


Lifespan = Callable[[Server[Hub]], contextlib.AbstractAsyncContextManager[Hub]]
CallerOf = Callable[["ServerRequestContext[Hub]"], Caller]
NameOf = Callable[["ServerRequestContext[Hub]"], str | None]


def build_server(
    settings: Settings | None = None,
    *,
    transport: httpx2.AsyncBaseTransport | None = None,
    lifespan: Lifespan | None = None,
    caller_of: CallerOf | None = None,
    name_of: NameOf | None = None,
) -> Server[Hub]:
    """The MCP server, ready for any transport of the SDK.

    Args:
        settings: What the operator decides; read from the environment if left out.
        transport: Another way to Finexio, for tests.
        lifespan: Yields a hub that outlives a connection, for those who serve several.
        caller_of: Who makes a request, where not everybody may do the same. Left out, all are the operator.
        name_of: What a request is called in the log, where those who handed it on gave it a name.
    """
    settings = settings or load()
    tools = catalog.read()
    offers = Offers(tools, settings)
    hint = CacheHint(ttl_ms=TTL_MS, scope="public" if caller_of is None else "private")
    caller_of = caller_of or (lambda _context: OPERATOR)

    @contextlib.asynccontextmanager
    async def own_hub(_server: Server[Hub]) -> AsyncGenerator[Hub]:
        async with Hub(settings, transport) as hub:
            yield hub

    async def list_tools(
        context: ServerRequestContext[Hub], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        context.lifespan_context.warm_up_soon()
        return offers.to(caller_of(context)).listed

    async def call_tool(
        context: ServerRequestContext[Hub], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        listed = tools.get(params.name)
        if listed is None:
            raise MCPError(types.INVALID_PARAMS, "Unknown tool. tools/list shows those there are.")
        context.lifespan_context.warm_up_soon()
        envelope = await context.lifespan_context.run(
            listed,
            params.arguments,
            caller=caller_of(context),
            client=_client_of(context),
            request_id=None if name_of is None else name_of(context),
        )
        return cast(types.CallToolResult, _on_the_wire(envelope))

    async def introduce_to(ctx: Any, call_next: Any) -> Any:
        """The SDK tells everybody the same; who may do less reads of what there is for them."""
        result = await call_next(ctx)
        if ctx.method in INTRODUCTIONS:
            instructions = {"instructions": offers.to(caller_of(ctx)).instructions}
            if isinstance(result, pydantic.BaseModel):
                return result.model_copy(update=instructions)
            return {**result, **instructions}
        return result

    server: Server[Hub] = Server(
        "finexio",
        version=__version__,
        title="Finexio accounts payable",
        instructions=offers.to(OPERATOR).instructions,
        lifespan=lifespan or own_hub,
        cache_hints={"tools/list": hint, "server/discover": hint},
        get_tool_input_schema=lambda name: tools[name].entry["inputSchema"] if name in tools else None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    server.middleware.insert(0, introduce_to)
    server.middleware.insert(0, _guard)
    # Once more inside: the SDK would put the text of an exception into spans.
    server.middleware.append(_guard)
    return server


def _client_of(context: ServerRequestContext[Hub]) -> str | None:
    """What the client calls itself, or else the library that it is made of; nobody has checked either."""
    from finexio_mcp.guards.cleaning import clean

    known = context.session.client_params
    if known is not None:
        told = f"{known.client_info.name} {known.client_info.version}"
    else:
        # Without sessions, only the first request of the handshake era says who the client is.
        headers: Mapping[str, str] = getattr(context.request, "headers", {})
        told = headers.get("user-agent", "")
    return clean(told, limit=MAX_CLIENT_CHARS, single_line=True) or None


@dataclass(frozen=True)
class Offer:
    """What somebody is offered."""

    listed: types.ListToolsResult
    instructions: str


class Offers:
    """What each caller is offered, made once for all who may do the same."""

    def __init__(self, tools: Mapping[str, catalog.Listed], settings: Settings) -> None:
        self._tools, self._settings = tools, settings
        self._names = [name for name, listed in tools.items() if catalog.may_use(listed, settings)]
        self._made: dict[object, Offer] = {}

    def to(self, caller: Caller) -> Offer:
        """What this caller is offered."""
        rights = (caller.access, caller.toolsets, caller.tools)
        if rights not in self._made:
            if len(self._made) >= MAX_OFFERS:
                self._made.clear()
            names = [name for name in self._names if catalog.may_use(self._tools[name], self._settings, caller)]
            # As it is sent: the SDK takes it so too, and would dump 26 models for each list.
            listed = {"resultType": "complete", "tools": [self._tools[name].entry for name in names]}
            self._made[rights] = Offer(cast(types.ListToolsResult, listed), introduce(names))
        return self._made[rights]


def _on_the_wire(envelope: Envelope) -> dict[str, Any]:
    """A `CallToolResult` as it is sent. The SDK takes it so too, and a model would be copied once more for that."""
    return {
        "resultType": "complete",
        "content": [{"type": "text", "text": envelope.text}],
        "structuredContent": envelope.content,
        "isError": envelope.is_error,
    }


async def _guard(ctx: Any, call_next: Any) -> Any:
    """Outermost: clients of the handshake era would otherwise read the text of any exception."""
    try:
        return await call_next(ctx)
    except MCPError as error:
        if error.error.code == types.METHOD_NOT_FOUND:
            # The SDK repeats the name, which may be anything that a client sent.
            raise MCPError(types.METHOD_NOT_FOUND, "There is no such method.") from None
        raise
    except pydantic.ValidationError:
        raise
    except Exception as error:
        logger.error("unhandled %s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        raise MCPError(types.INTERNAL_ERROR, "Internal error; the operator finds the cause in the log.") from None
