"""Clients that leave before their answer: what nobody waits for ends. Writes on their way are not the request's."""

from __future__ import annotations

import asyncio

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

WATCHED_AFTER_SECONDS = 0.5
"""Most calls are over by then, and cost no watching."""


class Leaving:
    """ASGI middleware that ends a request whose client has gone.

    Args:
        app: What answers; it has the body already when it is called, and asks for nothing more.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watching: list[asyncio.Task[None]] = []

        def watch() -> None:
            watching.append(asyncio.create_task(_cancel_when_gone(receive, request)))

        with anyio.CancelScope() as request:
            timer = asyncio.get_running_loop().call_later(WATCHED_AFTER_SECONDS, watch)
            try:
                await self._app(scope, receive, send)
            finally:
                timer.cancel()
                for task in watching:
                    task.cancel()


async def _cancel_when_gone(receive: Receive, request: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    request.cancel()
