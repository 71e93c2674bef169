"""The way back of an answer: a refusal may still take its place, and it repeats nothing that a client sent."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finexio_mcp.settings import Access
from finexio_mcp.web.exchange import Exchange

UNREADABLE = ("Parse error", "Validation error")
"""How the SDK begins, before it repeats what it could not read."""


class Answer:
    """The `send` of one POST. The start of the answer waits for its body.

    Too little scope has to be a status of HTTP, or no client would ask its user for more; and it shows only when the
    call is judged.

    Args:
        exchange: Where it is noted what the caller lacks.
        refusal: Makes the answer to a caller that lacks this access.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, exchange: Exchange, refusal: Callable[[Access], ASGIApp]
    ) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._exchange = exchange
        self._refusal = refusal
        self._start: Message | None = None
        self._refused = False

    async def __call__(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        if self._exchange.needs is not None:
            self._refused = True
            await self._refusal(self._exchange.needs)(self._scope, self._receive, self._send)
            return
        start, message = without_echo(self._start, message)
        self._start = None
        await self._send(start)
        await self._send(message)


def without_echo(start: Message, message: Message) -> tuple[Message, Message]:
    """The SDK's answer to a body that it cannot read, without the piece of the body that it repeats."""
    if start["status"] != 400 or message.get("more_body", False):
        return start, message
    try:
        body = json.loads(message.get("body", b""))
        text = body["error"]["message"]
    except (ValueError, TypeError, KeyError):
        return start, message
    opening = next((words for words in UNREADABLE if isinstance(text, str) and text.startswith(f"{words}:")), None)
    if opening is None:
        return start, message
    body["error"]["message"] = f"{opening}: the body is no JSON-RPC message."
    content = json.dumps(body).encode()
    headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    headers.append((b"content-length", str(len(content)).encode()))
    return {**start, "headers": headers}, {**message, "body": content}
