"""A Finexio that thinks as long as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta

from finexio_mcp.simulator import Fault, Received, Simulator
from tests.calls import BUYER, SUPPLIER
from tests.web.serving import PATIENCE_SECONDS


@dataclass
class Thinking:
    """Requests wait here until the test lets them go on."""

    sim: Simulator
    arrived: threading.Semaphore
    gone: threading.Event

    def hold(self, method: str, *, times: int = 1) -> None:
        """Keep the next requests of this kind waiting for their answers, where the simulator is in this process."""
        self.sim.fault(Fault(delay_seconds=0.1), times=times, method=method)

    @contextlib.contextmanager
    def listening(self, *, holding: str) -> Generator[dict[str, str]]:
        """On a port, where the first request of this kind, and all after it, wait; gives the settings that reach it."""

        def stop(request: Received) -> bool:
            if request.method == holding and not self.gone.is_set():
                self.arrived.release()
                self.gone.wait(PATIENCE_SECONDS)
            return False

        self.sim.fault(Fault(delay_seconds=0.1), times=None, match=stop)
        with self.sim.listening() as base_url:
            try:
                yield {"FINEXIO_BASE_URL": base_url}
            finally:
                self.release()

    @contextlib.contextmanager
    def never_answering(self, method: str) -> Generator[dict[str, str]]:
        """On a port, where requests of this kind are taken, and nothing comes of them for a day."""

        def lose(request: Received) -> bool:
            if request.method == method:
                self.arrived.release()
            return request.method == method

        self.sim.fault(Fault(lands_after=timedelta(days=1)), times=None, match=lose)
        with self.sim.listening() as base_url:
            yield {"FINEXIO_BASE_URL": base_url}

    def wait(self, count: int = 1) -> None:
        """Until so many have come."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=PATIENCE_SECONDS), "no request came"

    def release(self) -> None:
        """Let all of them go on, and those to come."""
        self.gone.set()


@contextlib.contextmanager
def thinking() -> Generator[Thinking]:
    """One buyer and one supplier at a Finexio that can be held up."""
    arrived, gone = threading.Semaphore(0), _Gate()

    async def until_let_go(_seconds: float) -> None:
        arrived.release()
        await gone.passed()

    sim = Simulator(seed=1, populated=False, sleep=until_let_go)
    sim.add_buyer(BUYER)
    sim.add_supplier(SUPPLIER)
    sim.add_payment("payment-1", status="settled")
    sim.journal.clear()
    try:
        yield Thinking(sim, arrived, gone)
    finally:
        gone.set()


class _Gate(threading.Event):
    """An event that coroutines of any thread wait for too, without a thread of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._lock = threading.Lock()

    async def passed(self) -> None:
        event = asyncio.Event()
        with self._lock:
            if not self.is_set():
                self._waiting.append((asyncio.get_running_loop(), event))
            else:
                event.set()
        await event.wait()

    def set(self) -> None:
        with self._lock:
            super().set()
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            # A loop that has ended waits for nothing.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)
