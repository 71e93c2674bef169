"""What calls run on, whatever the transport: an engine for each account, and everybody who watches."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from finexio_mcp.accounts.account import Account
from finexio_mcp.accounts.accounts import Accounts
from finexio_mcp.callers import OPERATOR, Caller
from finexio_mcp.calls import Asked, Ended, Running, ids_in, new_request_id, running, start_by_itself
from finexio_mcp.catalog import Listed
from finexio_mcp.clock import Clock
from finexio_mcp.engine import LEAVING, Engine, Parts, refuse
from finexio_mcp.errors import FinexioError, NotConfigured, Unavailable
from finexio_mcp.observers import Observers
from finexio_mcp.settings import Settings
from finexio_mcp.telemetry.tracing import call_span

if TYPE_CHECKING:
    import httpx2
    from anyio.abc import TaskGroup

    from finexio_mcp.api.limits import Rate
    from finexio_mcp.envelope import Envelope

WARM_UP_DELAY_SECONDS: Final = 0.05
"""Lets the first answer leave before the import takes the interpreter."""
TEND_SECONDS: Final = 15.0
"""How often somebody sees to accounts that nobody calls for."""
RETIRE_SECONDS: Final = 5.0
"""For reads that are on their way when an account is changed or removed."""

NO_ACCOUNT = (
    "Whoever calls is known here, but this server has no Finexio account for them; nothing was sent. The operator "
    "would have to add the account, or to give another token."
)
NOT_NAMED = (
    "FINEXIO_MCP_ACCOUNT names no account of this server, so nothing was sent. The operator would have to set it to "
    "one that stands in the accounts file; `finexio-mcp doctor` shows them."
)
WITHOUT_TOKEN = frozenset({"operator", "anonymous"})
"""Callers that no token gives an account."""
LEFT = "caller_left"


@dataclass(eq=False)
class _Seat:
    """An account that is served, as it was when its engine was made."""

    account: Account
    engine: Engine
    taken: anyio.Event = field(default_factory=anyio.Event)
    leave: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)


class Hub:
    """Runs calls for every account that there is, each on an engine of its own, and knows how to stop.

    A start that only lists tools pays for nothing here.

    Args:
        settings: What the operator decides.
        transport: Another way to Finexio, for tests.
        clock: Time, for tests.
        patient: Wait for the outcome of a write however long it takes.
        serving: Several callers are served, so every account is seen to, and their calls are recorded.

    Raises:
        SettingsError: The accounts cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        transport: httpx2.AsyncBaseTransport | None = None,
        *,
        clock: Clock | None = None,
        patient: bool = False,
        serving: bool = False,
    ) -> None:
        self._settings, self._transport, self._clock, self._patient = settings, transport, clock, patient
        self._serving = serving
        self._accounts = Accounts(settings)
        self._seats: dict[str, _Seat] = {}
        self._retired: set[_Seat] = set()
        self._lock = anyio.Lock()
        self._observers = Observers(settings, serving=serving)
        self._shared = _Shared(settings, self._observers.asked, trusting=transport is None)
        self._tasks: TaskGroup | None = None
        self._warm = False
        self._draining = False
        self._arriving = 0
        self._arrived = anyio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        try:
            await self._observers.open(self._tasks, self)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
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
        """Close every account's connections, and let those who watch write down what they have seen."""
        self._draining = True
        for seat in self._all():
            seat.leave.set()
        for seat in self._all():
            await seat.gone.wait()
        await self._observers.aclose()
        self._shared.close()

    # Calls -----------------------------------------------------------------------

    async def run(
        self,
        listed: Listed,
        arguments: dict[str, Any] | None,
        *,
        caller: Caller = OPERATOR,
        client: str | None = None,
        request_id: str | None = None,
    ) -> Envelope:
        """Run one call. What keeps it from running is answered too.

        Args:
            listed: The tool.
            arguments: As the caller gave them.
            caller: Who calls, and for which account.
            client: What the client calls itself.
            request_id: What the request is called by those who handed it on.
        """
        if caller.origin in WITHOUT_TOKEN:
            caller = replace(caller, account=self._settings.account)
        call = Running(
            request_id=request_id or new_request_id(), caller=caller, tool=listed.entry["name"], client=client
        )
        at, began = time.time(), time.monotonic()
        with running(call), call_span(call) as span:

            async def tell(envelope: Envelope | None) -> None:
                ended = _ended(call, listed, arguments, envelope, at, time.monotonic() - began)
                span.ended(ended)
                await self._observers.ended(ended)

            try:
                envelope = await self._answer(listed, arguments, caller)
            except BaseException:
                # Who leaves is told of too, and what was begun for them may go on.
                with anyio.CancelScope(shield=True):
                    await tell(None)
                raise
            await tell(envelope)
            return envelope

    async def _answer(self, listed: Listed, arguments: dict[str, Any] | None, caller: Caller) -> Envelope:
        while not self._draining:
            try:
                engine = await self._arrive(caller)
            except FinexioError as error:
                return refuse(listed, arguments, error, self._settings)
            # Nothing is waited for in between: whoever has arrived is counted there.
            answer = await engine.take(listed, arguments, caller=caller)
            if answer is not None:
                return answer
            # The account was changed while this call waited for its turn; it has another engine now.
        return refuse(listed, arguments, Unavailable(LEAVING), self._settings)

    async def _arrive(self, caller: Caller) -> Engine:
        self._arriving += 1
        try:
            return await self._engine_of(caller)
        finally:
            self._arriving -= 1
            if self._draining and not self._arriving:
                self._arrived.set()

    @property
    def draining(self) -> bool:
        """Whether this server is on its way out, and takes no more calls."""
        return self._draining

    @property
    def accounts(self) -> Accounts:
        """Those that there are."""
        return self._accounts

    @property
    def engines(self) -> Mapping[str, Engine]:
        """Those of the accounts that are in use; may be asked from any thread."""
        return {name: seat.engine for name, seat in self._seats.copy().items()}

    @property
    def secrets(self) -> Collection[str]:
        """What accounts were signed in with."""
        return {secret for seat in self._all() for secret in seat.engine.secrets}

    async def drain(self) -> None:
        """Take no new calls, and let writes on their way end and be answered. Their deadlines bound the wait."""
        self._draining = True
        if self._arriving:
            await self._arrived.wait()
        await self._with_all(lambda engine: engine.drain())

    async def rest(self) -> None:
        """After `drain`: let reads end and be answered too. Whoever waits decides how long."""
        await self._with_all(lambda engine: engine.rest())

    async def _with_all(self, act: Callable[[Engine], Coroutine[Any, Any, None]]) -> None:
        async with anyio.create_task_group() as tasks:
            for seat in self._all():
                tasks.start_soon(act, seat.engine)

    # Accounts --------------------------------------------------------------------

    async def _engine_of(self, caller: Caller) -> Engine:
        """The engine of the caller's account as it is configured at this moment.

        Raises:
            NotConfigured: There is no such account.
        """
        engine = await self._engine(caller.account)
        if engine is None:
            raise NotConfigured(NOT_NAMED if caller.origin in WITHOUT_TOKEN else NO_ACCOUNT)
        return engine

    async def _engine(self, name: str) -> Engine | None:
        # Whoever looks at the file first finds out for all what has changed, and tells of it in nobody's name.
        account = Context().run(self._accounts.find, name)
        seat = self._seats.get(name)
        if seat is None or seat.account != account:
            async with self._lock:
                seat = await self._seated(name, account)
        return seat.engine if seat is not None else None

    async def _seated(self, name: str, account: Account | None) -> _Seat | None:
        seat = self._seats.get(name)
        if seat is not None and seat.account == account:
            return seat
        if seat is not None:
            self._retire(seat)
        if account is None:
            return None
        engine = Engine(
            account.settings,
            self._transport,
            login=account.login,
            parts=self._shared.parts,
            clock=self._clock,
            patient=self._patient,
        )
        assert self._tasks is not None, "calls run inside the hub's own scope"  # noqa: S101
        seat = _Seat(account, engine)
        start_by_itself(self._tasks, self._keep, seat)
        await seat.taken.wait()
        self._seats[name] = seat
        return seat

    def _retire(self, seat: _Seat) -> None:
        """Let what runs for an account end; nothing new begins there."""
        self._seats.pop(seat.account.name, None)
        self._retired.add(seat)
        seat.leave.set()

    async def _keep(self, seat: _Seat) -> None:
        """An engine works in a scope of its own, which one task enters and leaves."""
        try:
            async with seat.engine as engine:
                seat.taken.set()
                await seat.leave.wait()
                if not self._draining:
                    await engine.drain()
                    with anyio.move_on_after(RETIRE_SECONDS):
                        await engine.rest()
        finally:
            self._retired.discard(seat)
            seat.gone.set()

    def _all(self) -> list[_Seat]:
        return [*self._seats.values(), *self._retired]

    def warm_up_soon(self) -> None:
        """Get ready for calls once the answer on its way has left, and see to what an earlier process left behind."""
        if not self._warm and self._tasks is not None:
            self._warm = True
            start_by_itself(self._tasks, self._warm_up)

    async def _warm_up(self) -> None:
        await anyio.sleep(WARM_UP_DELAY_SECONDS)
        await self._tend()
        while self._serving and self._settings.accounts_file is not None:
            await anyio.sleep(TEND_SECONDS)
            await self._tend()

    async def _tend(self) -> None:
        """See to accounts that nobody calls for: what is in doubt there is settled all the same."""
        names = self._accounts.names() if self._serving else (self._settings.account,)
        for name in {*names, *self._seats}:
            if (engine := await self._engine(name)) is not None:
                await engine.warm_up()


class _Shared:
    """What engines have in common, made when the first of them needs it."""

    def __init__(self, settings: Settings, watch: Callable[[Asked], None], *, trusting: bool) -> None:
        self._settings = settings
        self._watch = watch
        self._trusting = trusting
        self._lock = threading.Lock()
        self._parts: Parts | None = None
        self._stack = contextlib.ExitStack()

    def parts(self) -> Parts:
        """Blocks a little, the first time."""
        with self._lock:
            if self._parts is None:
                self._parts = self._make()
            return self._parts

    def close(self) -> None:
        """Let go of connections."""
        self._stack.close()

    def _make(self) -> Parts:
        from finexio_mcp.api.lanes import trusted
        from finexio_mcp.guards.ledger.seen import Sightings

        tls, sightings = trusted() if self._trusting else None, Sightings()
        if not self._settings.shares_ledger:
            return Parts(tls=tls, sightings=sightings, watch=self._watch)
        from finexio_mcp.guards.ledger.engines import Pools

        rate = self._shared_rate() if self._settings.replicas > 1 else None
        pools = self._stack.enter_context(contextlib.closing(Pools()))
        return Parts(tls=tls, pools=pools, sightings=sightings, rate=rate, watch=self._watch)

    def _shared_rate(self) -> Callable[[Settings, Clock], Rate]:
        from finexio_mcp.sharing.rate import SharedRate
        from finexio_mcp.sharing.turns import Turns

        turns = self._stack.enter_context(contextlib.closing(Turns(self._settings)))
        return lambda settings, clock: SharedRate(turns, settings, clock)


def _ended(
    call: Running,
    listed: Listed,
    arguments: dict[str, Any] | None,
    envelope: Envelope | None,
    at: float,
    seconds: float,
) -> Ended:
    content: dict[str, Any] = {} if envelope is None else envelope.content
    status: str = LEFT if envelope is None else content.get("status", "ok")
    return Ended(
        request_id=call.request_id,
        at=at,
        duration_seconds=seconds,
        caller=call.caller,
        client=call.client,
        tool=call.tool,
        access=listed.access,
        arguments=arguments,
        outcome=content["error"]["code"] if "error" in content else status,
        failed=envelope is not None and envelope.is_error,
        # A repeated call is answered for the one that the ledger knows.
        op_id=content.get("op_id", call.op_id),
        ids=ids_in(content),
        upstream=call.upstream,
        retries=call.retries,
    )
