"""Time as it passes, in one object that a test can replace."""

from __future__ import annotations

import time

import anyio


class Clock:
    """The real clock."""

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)
