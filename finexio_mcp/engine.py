"""What calls run on: built at the first call, shared by all of them, closed once."""

from __future__ import annotations

import contextlib
import importlib
import logging
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.to_thread

from finexio_mcp.callers import OPERATOR, Caller
from finexio_mcp.catalog import Listed
from finexio_mcp.clock import Clock
from finexio_mcp.errors import Overloaded, Unavailable
from finexio_mcp.gate import Gate
from finexio_mcp.settings import Settings

if TYPE_CHECKING:
    import ssl

    import httpx2
    from anyio.abc import TaskGroup

    from finexio_mcp.accounts.account import Login
    from finexio_mcp.api.client import FinexioClient
    from finexio_mcp.api.limits import Rate
    from finexio_mcp.calls import Asked
    from finexio_mcp.dispatch import Dispatcher
    from finexio_mcp.envelope import Envelope
    from finexio_mcp.errors import FinexioError
    from finexio_mcp.guards.ledger.engines import Pools
    from finexio_mcp.guards.ledger.seen import Sightings
    from finexio_mcp.guards.ledger.states import State

LAST_ANSWER_SECONDS = 0.1
"""From the end of a call to its answer on the wire, where nobody tells when it has left."""

LEAVING = "This server is shutting down; nothing was sent. Call again once it runs again."
NOT_READY = "This server could not get ready; nothing was sent. Call again; the operator finds the cause in the log."

logger = logging.getLogger("finexio_mcp.engine")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the engines of one process have in common. What is left out, each makes for itself."""

    tls: ssl.SSLContext | None = None
    pools: Pools | None = None
    """Connections to the ledger's database."""
    sightings: Sightings | None = None
    """How far the ledger had come, for engines that are made later."""
    rate: Callable[[Settings, Clock], Rate] | None = None
    """Makes the limit on requests to Finexio."""
    watch: Callable[[Asked], None] | None = None
    """Told of each request to Finexio."""


class Engine:
    """Runs calls for one account, and knows how to stop.

    A start that only lists tools pays for nothing here.

    Args:
        settings: What the operator decides, for this account.
        transport: Another way to Finexio, for tests.
        login: The account's credentials; left out, those in the settings.
        parts: What it shares with others; asked for at the first call, in a thread.
        clock: Time, for tests.
        patient: Wait for the outcome of a write however long it takes.
    """

    def __init__(
        self,
        settings: Settings,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        login: Login | None = None,
        parts: Callable[[], Parts] = Parts,
        clock: Clock | None = None,
        patient: bool = False,
    ) -> None:
        self._settings, self._transport, self._clock, self._patient = settings, transport, clock, patient
        self._login = login or settings
        self._parts = parts
        self._gate = Gate(settings.calls_at_once)
        self._stack = contextlib.AsyncExitStack()
        self._lock = anyio.Lock()
        self._tasks: TaskGroup | None = None
        self._dispatcher: Dispatcher | None = None
        self._client: FinexioClient | None = None
        self._warm = False
        self._calls = 0
        self._writes = 0
        self._draining = False
        self._idle = anyio.Event()
        self._quiet = anyio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(kind, value, trace)

    async def aclose(self) -> None:
        """Close connections, and the embedded simulator if there is one."""
        await self._stack.aclose()

    async def warm_up(self) -> None:
        """Import what calls need, once, and see what an earlier process left behind."""
        if self._warm:
            return
        self._warm = True
        # What fails here fails again at the first call, which can tell someone.
        with contextlib.suppress(Exception):
            await anyio.to_thread.run_sync(importlib.import_module, "finexio_mcp.dispatch", abandon_on_cancel=True)
            if not self._settings.embedded:
                await (await self._build()).recover()

    @property
    def running(self) -> int:
        """Calls that are being run."""
        return self._gate.running

    @property
    def waiting(self) -> int:
        """Calls that wait for others of their caller."""
        return self._gate.waiting

    async def counts(self) -> Mapping[State, int] | None:
        """How many submissions something still has to come of, by state; `None` before the first call.

        Raises:
            LedgerUnavailable: The ledger cannot be read.
        """
        return None if self._dispatcher is None else await self._dispatcher.counts()

    @property
    def secrets(self) -> Collection[str]:
        """What was signed in with, for those who make sure that it does not come back."""
        return () if self._client is None else self._client.secrets

    async def run(self, listed: Listed, arguments: dict[str, Any] | None, *, caller: Caller = OPERATOR) -> Envelope:
        """Run one call. What keeps it from running is answered too."""
        answer = await self.take(listed, arguments, caller=caller)
        return answer or refuse(listed, arguments, Unavailable(LEAVING), self._settings)

    async def take(
        self, listed: Listed, arguments: dict[str, Any] | None, *, caller: Caller = OPERATOR
    ) -> Envelope | None:
        """As `run`; `None` if it takes no more calls, and so did nothing about this one."""
        if self._draining:
            return None
        writes = listed.access != "read"
        self._writes += writes
        self._calls += 1
        try:
            async with self._gate.turn(caller.key):
                return None if self._draining else await self._run(listed, arguments, caller)
        except Overloaded as error:
            return refuse(listed, arguments, error, self._settings)
        finally:
            self._writes -= writes
            self._calls -= 1
            if self._draining and not self._writes:
                self._idle.set()
            if self._draining and not self._calls:
                self._quiet.set()

    async def _run(self, listed: Listed, arguments: dict[str, Any] | None, caller: Caller) -> Envelope:
        try:
            dispatcher = self._dispatcher or await self._build()
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__))
            logger.error("not ready: %s\n%s", type(error).__name__, where)
            return refuse(listed, arguments, Unavailable(NOT_READY), self._settings)
        return await dispatcher.run(listed, arguments, caller=caller)

    async def _build(self) -> Dispatcher:
        async with self._lock, contextlib.AsyncExitStack() as stack:
            if self._dispatcher is None:
                await anyio.to_thread.run_sync(importlib.import_module, "finexio_mcp.dispatch")
                from finexio_mcp.api.client import open_client
                from finexio_mcp.dispatch import Dispatcher
                from finexio_mcp.guards.ledger.book import Book

                settings, clock = self._settings, self._clock
                parts = await anyio.to_thread.run_sync(self._parts)
                # Under a clock of a test, leases go by that too.
                now = None if clock is None else lambda: int(clock.wall() * 1000)
                book = Book(settings, account=settings.account, pools=parts.pools, sightings=parts.sightings, now=now)
                if settings.embedded and self._transport is None:
                    from finexio_mcp import embedded

                    settings = stack.enter_context(embedded.simulator(settings, self._login))
                client = open_client(
                    settings,
                    transport=self._transport,
                    login=self._login,
                    clock=clock,
                    tls=parts.tls,
                    rate=parts.rate(settings, clock or Clock()) if parts.rate is not None else None,
                    watch=parts.watch,
                )
                stack.push_async_callback(client.aclose)
                self._client = client
                assert self._tasks is not None, "calls run inside the engine's own scope"  # noqa: S101
                self._dispatcher = Dispatcher(
                    settings, client, book, clock=clock or Clock(), tasks=self._tasks, patient=self._patient
                )
                self._stack.push_async_callback(stack.pop_all().aclose)
        return self._dispatcher

    async def drain(self) -> None:
        """Take no new calls, and let writes on their way end and be answered. Their deadlines bound the wait."""
        self._draining = True
        answers_wait = bool(self._writes)
        # It is asked before, to cut short what need not be waited for, and after, for what a caller has just left.
        await self._drain_dispatcher()
        if self._writes:
            await self._idle.wait()
        await self._drain_dispatcher()
        if answers_wait:
            await anyio.sleep(LAST_ANSWER_SECONDS)

    async def _drain_dispatcher(self) -> None:
        """Writes that nobody waits for any more are among those it waits for."""
        if self._dispatcher is not None:
            await self._dispatcher.drain()

    async def rest(self) -> None:
        """After `drain`: let reads end and be answered too. Whoever waits decides how long."""
        if self._calls:
            await self._quiet.wait()
            await anyio.sleep(LAST_ANSWER_SECONDS)


def refuse(listed: Listed, arguments: dict[str, Any] | None, error: FinexioError, settings: Settings) -> Envelope:
    """The answer to a call that never began."""
    from finexio_mcp.batch import rows_of_failure
    from finexio_mcp.envelope import Outlet, Written, new_op_id
    from finexio_mcp.guards.masking import Mask

    outlet = Outlet(Mask(settings.unmask), settings.result_chars)
    if listed.access == "read":
        return outlet.failed(error)
    rows = rows_of_failure(arguments) if listed.access == "pay" else None
    return outlet.failed(error, arguments=arguments, written=Written(new_op_id(), error.status), rows=rows)
