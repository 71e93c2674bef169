"""How many calls of one caller run at once, and how many may wait."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import anyio

from finexio_mcp.errors import Overloaded

WAITING_FOR_EACH_RUNNING = 4
PATIENCE_SECONDS = 10.0
RETRY_AFTER_SECONDS = 5.0


@dataclass
class Lane:
    """The calls of one caller."""

    turns: anyio.Semaphore
    inside: int = 0
    """Those that run and those that wait."""


class Gate:
    """Lets each caller's calls in, so many at once; a caller that fills its lane keeps nobody else waiting.

    Args:
        at_once: Calls of one caller that run at the same time. Four times as many may wait.
        patience_seconds: How long one waits for its turn.
    """

    def __init__(self, at_once: int, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._at_once = at_once
        self._room = at_once * (1 + WAITING_FOR_EACH_RUNNING)
        self._patience_seconds = patience_seconds
        self._lanes: dict[str, Lane] = {}

    @property
    def running(self) -> int:
        """Calls that have their turn; may be asked from any thread, as `waiting` may."""
        return sum(self._at_once - lane.turns.value for lane in self._lanes.copy().values())

    @property
    def waiting(self) -> int:
        """Calls that wait for one."""
        return max(0, sum(lane.inside for lane in self._lanes.copy().values()) - self.running)

    @contextlib.asynccontextmanager
    async def turn(self, key: str) -> AsyncGenerator[None]:
        """Wait for a turn in the lane of this caller, and keep it.

        Raises:
            Overloaded: The lane is full, or the turn did not come in time.
        """
        lane = self._lanes.setdefault(key, Lane(anyio.Semaphore(self._at_once, fast_acquire=True)))
        if lane.inside >= self._room:
            raise _overloaded()
        lane.inside += 1
        try:
            with anyio.move_on_after(self._patience_seconds) as waited:
                await lane.turns.acquire()
            if waited.cancelled_caught:
                raise _overloaded()
            try:
                yield
            finally:
                lane.turns.release()
        finally:
            lane.inside -= 1
            if not lane.inside:
                self._lanes.pop(key, None)


def _overloaded() -> Overloaded:
    return Overloaded(
        "Too many calls of yours are running or waiting here; this one was not sent. Make fewer at once, and call "
        "again later.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
