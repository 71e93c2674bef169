"""Connections, with an end for those on which nothing whole ever comes: uvicorn itself would wait for ever."""

from __future__ import annotations

import asyncio
import sys
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 30.0
"""From the connection, or from the first byte of a request, to its last."""
MOST = 2_000
BACKLOG = 256
"""Connections that are accepted in one go, before any of them is looked at."""
RESERVE = 2 * BACKLOG
"""Open files beside those: the ledger, Finexio, logs, and a backlog that was accepted and is about to be refused."""

WHOLE = frozenset({h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR, h11.SWITCHED_PROTOCOL})


class Connection(H11Protocol):
    """Uvicorn's, where a request has to arrive within a time, and where there are so many at most.

    One too many takes the place of the one that has been waited for longest, so that nobody can shut others out by
    holding connections open.
    """

    most: ClassVar[int] = MOST
    late: ClassVar[dict[Connection, asyncio.TimerHandle | None]] = {}
    """Those that a request is waited for, the longest first; without a timer between two requests, where uvicorn's
    own runs."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room, and begin to wait."""
        if len(self.connections) >= self.most and not self._take_a_place():
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait from the first byte of a request until it is whole, its body included, even if nobody reads that."""
        if self.late.get(self) is None:
            self._wait()
        super().data_received(data)
        if self.conn.their_state in WHOLE:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Between two requests it keeps its place as long as nobody else needs it."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.late.setdefault(self, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _take_a_place(self) -> bool:
        """End the connection that has been waited for longest, if there is one."""
        latest = next(iter(self.late), None)
        if latest is None:
            return False
        latest.give_up()
        self.connections.discard(latest)
        return True

    def _wait(self) -> None:
        self.late.pop(self, None)
        self.late[self] = self.loop.call_later(REQUEST_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        if (timer := self.late.pop(self, None)) is not None:
            timer.cancel()

    @classmethod
    def give_all_up(cls) -> None:
        """Wait for nobody any longer, when the server ends."""
        for each, timer in list(cls.late.items()):
            if timer is not None:
                each.give_up()

    def give_up(self) -> None:
        """Wait no longer."""
        self._stop_waiting()
        self.transport.abort()


def make_room() -> int:
    """Allow as many open files as this user may have, and tell how many connections that leaves room for."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft - RESERVE))


def connections(most: int) -> type[Connection]:
    """The connections of one server, so many at most."""
    return type("ServedConnection", (Connection,), {"most": most, "late": {}})
