"""Time as it passes, in one object that a test can replace."""

from __future__ import annotations

import time

import anyio


class Clock:
    """The real clock."""

    def monotonic(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, as the machine's clock shows them; may jump."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)
