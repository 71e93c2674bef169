"""HTTP with server-sent events, the transport of clients from before Streamable HTTP."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server import Server
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from finexio_mcp.web.edge import MAX_BODY_BYTES
from finexio_mcp.web.exchange import exchange_of
from finexio_mcp.web.refusing import rpc_refusal
from finexio_mcp.web.rules import MESSAGES_PATH

STREAMS_AT_ONCE = 64
"""Open streams of one caller, and messages of one caller that are on their way in."""
UNANSWERED = 32
"""Requests of one stream whose answers have not left."""
UNREAD_SECONDS = 60.0
"""After that time a client that does not read its stream is gone."""
CANCELLED = "notifications/cancelled"
TOO_MANY = "Too many open streams or messages of yours; close or finish some."

Incoming = SessionMessage | Exception


class EventStreams:
    """The two ends of the transport, as ASGI apps: `open` is the stream, `post` takes what a client says.

    Args:
        server: The MCP server.
        unchecked: Says that Host and Origin were checked before.
    """

    def __init__(self, server: Server[Any], unchecked: TransportSecuritySettings) -> None:
        self._server = server
        self._transport = SseServerTransport(MESSAGES_PATH, unchecked, MAX_BODY_BYTES)
        self._open: Counter[str] = Counter()
        self._coming: Counter[str] = Counter()

    async def open(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client for as long as its stream is open."""
        if scope["method"] != "GET":
            # Routes that take GET take HEAD too, for which a stream would be opened and never read.
            await Response(status_code=405, headers={"Allow": "GET"})(scope, receive, send)
            return
        with _counted(self._open, exchange_of(scope).caller.key) as taken:
            if not taken:
                await rpc_refusal(429, "overloaded", TOO_MANY, {"Retry-After": "30"})(scope, receive, send)
                return
            stream = _Stream(send)
            async with (
                self._transport.connect_sse(scope, receive, stream.send) as (reading, writing),
                bounded(reading, writing) as (requests, answers),
            ):
                await self._server.run(requests, answers, self._server.create_initialization_options())
            await stream.end()

    async def post(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one message. The SDK accepts it at once, and hands it on when the stream has room for it."""
        with _counted(self._coming, exchange_of(scope).caller.key) as taken:
            if not taken:
                await rpc_refusal(429, "overloaded", TOO_MANY, {"Retry-After": "5"})(scope, receive, send)
                return
            await self._transport.handle_post_message(scope, receive, send)


@contextlib.contextmanager
def _counted(counter: Counter[str], key: str) -> Generator[bool]:
    """Whether there is room for one more of this caller; it counts until the end."""
    if counter[key] >= STREAMS_AT_ONCE:
        yield False
        return
    counter[key] += 1
    try:
        yield True
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]


@contextlib.asynccontextmanager
async def bounded(
    reading: Any, writing: Any
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]]:
    """The streams of a session, where so many requests are in hand until their answers have left.

    Otherwise the answers to a client that asks and does not read would pile up.

    Args:
        reading: What the client says.
        writing: What it is told.
    """
    turns = anyio.Semaphore(UNANSWERED)
    in_hand: set[RequestId] = set()
    requests_in, requests = anyio.create_memory_object_stream[Incoming](0)
    answers, answers_out = anyio.create_memory_object_stream[SessionMessage](0)

    def done(id_: RequestId | None) -> None:
        if id_ is not None and id_ in in_hand:
            in_hand.discard(id_)
            turns.release()

    async def hand_in() -> None:
        async with requests_in, reading:
            async for message in reading:
                asked = message.message if isinstance(message, SessionMessage) else None
                if isinstance(asked, JSONRPCRequest) and asked.id not in in_hand:
                    await turns.acquire()
                    in_hand.add(asked.id)
                await requests_in.send(message)
                if isinstance(asked, JSONRPCNotification) and asked.method == CANCELLED:
                    # What was taken back is not answered.
                    done((asked.params or {}).get("requestId"))

    async def hand_out() -> None:
        async with answers_out, writing:
            async for message in answers_out:
                # To a client that has left, the rest is said in vain.
                with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                    await writing.send(message)
                if isinstance(message.message, JSONRPCResponse | JSONRPCError):
                    done(message.message.id)

    async with requests, answers, anyio.create_task_group() as tasks:
        tasks.start_soon(hand_in)
        tasks.start_soon(hand_out)
        yield requests, answers
        tasks.cancel_scope.cancel()


class _Stream:
    """The `send` of a stream: it ends in due form, where it would be cut, and it does not wait for ever."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._open = False

    async def send(self, message: Message) -> None:
        """Send it to a client that reads.

        Raises:
            ClientDisconnect: It has not read for too long.
        """
        self._open = message["type"] == "http.response.start" or message.get("more_body", False)
        with anyio.move_on_after(UNREAD_SECONDS) as waiting:
            await self._send(message)
        if waiting.cancelled_caught:
            self._open = False
            raise ClientDisconnect

    async def end(self) -> None:
        """Say that no more comes, unless that was said."""
        if self._open:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
