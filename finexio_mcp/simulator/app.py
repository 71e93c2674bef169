"""The simulator as an ASGI application, for any server; the one in `server` can also break connections."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from .faults import Fault
from .wire import Answer, Received, answer_headers, drips

if TYPE_CHECKING:
    from .reachable import Reachable

CUT = "finexio.simulator.cut"
"""ASGI extension: a function that ends the connection, by a reset or, when called with True, in good order."""

Cut = Callable[[bool], None]


def build_app(simulator: "Reachable") -> Starlette:
    async def relay(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            received = _received(request, await request.body())
        except ClientDisconnect:
            return
        exchange = simulator.receive(received)
        await _Reply(scope, receive, send).give(exchange.answer, exchange.fault)

    return Starlette(routes=[Mount("/", app=relay)])


def _received(request: Request, body: bytes) -> Received:
    return Received(
        method=request.method,
        path=request.scope["raw_path"].decode(),
        query_string=request.scope["query_string"].decode(),
        headers=dict(request.headers),
        body=body,
        address=request.client.host if request.client else "",
    )


class _Reply:
    """Sends an answer, or acts out what keeps it from arriving."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._cut: Cut | None = scope.get("extensions", {}).get(CUT)

    async def give(self, answer: Answer | None, fault: Fault | None) -> None:
        if fault and not await self._patience(fault.delay_seconds):
            return
        if fault and fault.never_answers:
            await self._gone()
        elif answer is None or (fault and fault.reset):
            await self._break(orderly=bool(fault and fault.orderly))
        else:
            await self._answer(answer, fault or Fault())

    async def _answer(self, answer: Answer, fault: Fault) -> None:
        await self._send({"type": "http.response.start", "status": answer.status, "headers": answer_headers(answer)})
        body = answer.body if fault.truncate_at is None else answer.body[: fault.truncate_at]
        for chunk in drips(body) if fault.drip_seconds else [body]:
            if not await self._patience(fault.drip_seconds or 0):
                return
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        if len(body) < len(answer.body):
            await self._break(orderly=True)
        else:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _patience(self, seconds: float) -> bool:
        """Wait; tells whether the client is still there afterwards."""
        if seconds <= 0:
            return True
        with anyio.move_on_after(seconds):
            await self._gone()
            return False
        return True

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _break(self, *, orderly: bool) -> None:
        if self._cut is None:
            raise RuntimeError("This server cannot break connections; use finexio_mcp.simulator.server.")
        self._cut(orderly)
        await self._gone()
