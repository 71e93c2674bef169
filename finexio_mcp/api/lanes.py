"""Connections for reads, each in a transport of its own: one of many looks at all its idle ones for every request."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import httpx2

MAX_LANES = 64
IDLE_SECONDS = 30.0

OpenLane = Callable[[], httpx2.AsyncBaseTransport]
Leave = Callable[[bool], Awaitable[None]]


def trusted() -> ssl.SSLContext:
    """How real hosts are told from others."""
    return httpx2.create_ssl_context(trust_env=False)


def of_one_connection(tls: ssl.SSLContext) -> OpenLane:
    """What opens lanes to real hosts. They share one TLS context, which is most of their memory."""
    limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS)
    return lambda: httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)


class Body(httpx2.AsyncByteStream):
    """An answer's body. Whoever closes it leaves the lane, which serves again if the body came to its end."""

    def __init__(self, body: httpx2.AsyncByteStream, leave: Leave) -> None:
        self._body = body
        self._leave: Leave | None = leave
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk
        self._ended = True

    async def aclose(self) -> None:
        leave, self._leave = self._leave, None
        if leave is None:
            return
        serves_again = False
        try:
            await self._body.aclose()
            serves_again = self._ended
        finally:
            await leave(serves_again)


class Lanes(httpx2.AsyncBaseTransport):
    """Sends each request down a lane that no other request uses meanwhile.

    Args:
        open_lane: Opens one more, when those there are all in use.
        now: Seconds that only ever grow.
        most: How many there may be. Whoever comes then waits as long as the request's `pool` timeout allows.
    """

    def __init__(self, open_lane: OpenLane, *, now: Callable[[], float], most: int = MAX_LANES) -> None:
        self._open_lane, self._now = open_lane, now
        self._turns = anyio.Semaphore(most, fast_acquire=True)
        self._lanes: set[httpx2.AsyncBaseTransport] = set()
        self._idle: deque[tuple[float, httpx2.AsyncBaseTransport]] = deque()
        """Since when, and which: the one used last at the end."""
        self._closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        lane = await self._take(request.extensions.get("timeout", {}).get("pool"))
        try:
            response = await lane.handle_async_request(request)
            assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101
        except BaseException:
            await self._leave(lane, serves_again=False)
            raise
        response.stream = Body(response.stream, lambda again: self._leave(lane, serves_again=again))
        return response

    async def aclose(self) -> None:
        """Close all, those in use too, and open no more."""
        self._closed = True
        self._idle.clear()
        for lane in list(self._lanes):
            await self._close(lane)

    async def _turn(self, patience_seconds: float | None) -> None:
        try:
            self._turns.acquire_nowait()
        except anyio.WouldBlock:
            try:
                with anyio.fail_after(patience_seconds):
                    await self._turns.acquire()
            except TimeoutError:
                raise httpx2.PoolTimeout("all connections are in use") from None

    async def _take(self, patience_seconds: float | None) -> httpx2.AsyncBaseTransport:
        """A lane and a turn with it; `_leave` gives both back."""
        await self._turn(patience_seconds)
        try:
            await self._close_old()
            if self._closed:
                raise RuntimeError("closed already")
            if self._idle:
                # The one used last, so that those of a busier time grow old and are closed.
                return self._idle.pop()[1]
            lane = self._open_lane()
        except BaseException:
            self._turns.release()
            raise
        self._lanes.add(lane)
        return lane

    async def _leave(self, lane: httpx2.AsyncBaseTransport, *, serves_again: bool) -> None:
        try:
            if serves_again:
                self._idle.append((self._now(), lane))
            else:
                await self._close(lane)
        finally:
            self._turns.release()

    async def _close_old(self) -> None:
        while self._idle and self._now() - self._idle[0][0] >= IDLE_SECONDS:
            await self._close(self._idle.popleft()[1])

    async def _close(self, lane: httpx2.AsyncBaseTransport) -> None:
        self._lanes.discard(lane)
        with anyio.CancelScope(shield=True):
            await lane.aclose()
