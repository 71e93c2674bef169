"""The ledger as the server uses it: opened at the first write, asked in a thread of its own."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from finexio_mcp.errors import LedgerUnavailable
from finexio_mcp.guards.ledger.place import Peeked, Place, locate, peek, prepare
from finexio_mcp.guards.ledger.rows import Claim, Event, Look, Outcome, Rules, Submission, Wanted
from finexio_mcp.guards.ledger.seen import Sightings
from finexio_mcp.guards.ledger.states import Effect, State
from finexio_mcp.guards.ledger.trouble import PASSING, Kind, Unusable, explain, is_foreign
from finexio_mcp.settings import DEFAULT_ACCOUNT, Settings

if TYPE_CHECKING:
    from finexio_mcp.guards.ledger.engines import Pools
    from finexio_mcp.guards.ledger.store import Store

P = ParamSpec("P")
T = TypeVar("T")

SERVER_SECONDS = 20.0
"""How long a database server may leave a question unanswered. Its connections have limits of their own, which are
shorter; but a server that is frozen still takes what is sent to it, and keeps every connection."""
FLEETING: frozenset[Kind] = frozenset({"full", "locked"})
"""What says nothing against the connections that there are."""

logger = logging.getLogger("finexio_mcp.ledger")


class Book:
    """Every statement of the ledger, one at a time, for one process and one account.

    Nothing is opened, and SQLAlchemy is not imported, before the first use. A ledger that could not be opened is tried
    again by the next call, so that an operator need not restart anything. No call waits longer than `SERVER_SECONDS`
    for a database server.

    Args:
        settings: Where the ledger is.
        account: Whose submissions; `None`: those of all, for who only looks.
        pools: Connections that other accounts use too; `None` makes some.
        sightings: How far ledgers were seen by others of this process; `None`: there are none.
        now: Milliseconds since 1970, for tests; `None` is the database's own clock.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        account: str | None = DEFAULT_ACCOUNT,
        pools: Pools | None = None,
        sightings: Sightings | None = None,
        now: Callable[[], int] | None = None,
    ) -> None:
        self._settings = settings
        self._pools = pools
        self._now = now
        self._trouble: Kind | None = None
        self.account = account
        self._store: Store | None = None
        self._key = b""
        self._limiter: anyio.CapacityLimiter | None = None
        self.owner = token_hex(8)
        self.place: Place = locate(settings)
        self._seen = (sightings or Sightings()).of(self.place.url)

    async def key(self) -> bytes:
        """The key of the digests.

        Raises:
            LedgerUnavailable: Saying what an operator should do; so does every other method.
        """
        await self._run(lambda _store: None)
        return self._key

    async def claim(
        self,
        wanted: Sequence[Wanted],
        *,
        op_id: str,
        tool: str,
        effect: Effect,
        rules: Rules,
        caller: str | None = None,
    ) -> Claim:
        """Record what a call is about to submit, or say why not."""
        return await self._run(
            lambda store: store.claim(wanted, op_id=op_id, tool=tool, effect=effect, rules=rules, caller=caller)
        )

    async def recall(self, wanted: Wanted, *, effect: Effect, rules: Rules) -> Submission | None:
        """What stands in the way of this change, or answers it."""
        return await self._run(lambda store: store.recall(wanted, effect=effect, rules=rules))

    async def mark_sent(self, op_id: str, *, lease_ms: int) -> bool:
        """Record that the first byte is about to leave; `False` if this process may no longer send it."""
        return await self._run(lambda store: store.mark_sent(op_id, lease_ms=lease_ms))

    async def withdraw(self, op_id: str) -> bool:
        """Record that nothing left; `False` if it stands as sent."""
        return await self._run(lambda store: store.withdraw(op_id))

    async def settle(self, op_id: str, outcomes: Mapping[int, Outcome]) -> list[Submission]:
        """Record what came of rows, by position."""
        return await self._run(lambda store: store.settle(op_id, outcomes))

    async def extend(self, op_id: str, positions: Collection[int], *, lease_ms: int) -> None:
        """Keep rows that stay `sent` for a while."""
        await self._run(lambda store: store.extend(op_id, positions, lease_ms=lease_ms))

    async def take_over(self) -> list[Submission]:
        """Rows whose process did not come back in time, as they stand from now on."""
        return await self._run(lambda store: store.take_over())

    async def begin_look(self, *, lease_ms: int, ids: Collection[int] | None = None) -> list[Submission]:
        """Take rows in doubt to look them up: those that are due, or the named ones."""
        return await self._run(lambda store: store.begin_look(lease_ms=lease_ms, ids=ids, due_only=ids is None))

    async def end_look(self, looks: Mapping[int, Look]) -> list[Submission]:
        """Record what looks found."""
        return await self._run(lambda store: store.end_look(looks))

    async def owners_of(self, finexio_ids: Collection[str]) -> Mapping[str, int]:
        """Which submission a Finexio id belongs to, where one is known."""
        return await self._run(lambda store: store.owners_of(finexio_ids))

    async def has_rival(self, row: Submission, created_by: Sequence[str]) -> bool:
        """Whether another change may have made what this one was to create."""
        return await self._run(lambda store: store.has_rival(row, created_by))

    async def next_due_ms(self) -> int | None:
        """When something that is open asks for attention."""
        return await self._run(lambda store: store.next_due_ms())

    async def now_ms(self) -> int:
        """The time that leases go by."""
        return await self._run(lambda store: store.now_ms())

    async def get(self, op_id: str) -> list[Submission]:
        """The rows of one call. Asking creates no ledger."""
        return [] if self._never_written() else await self._run(lambda store: store.get(op_id))

    async def find(
        self,
        *,
        number: str | None = None,
        supplier: str | None = None,
        states: Collection[State] | None = None,
        limit: int = 50,
        before_id: int | None = None,
    ) -> list[Submission]:
        """Submissions, newest first. Asking creates no ledger."""
        return (
            []
            if self._never_written()
            else await self._run(
                lambda store: store.find(
                    number=number, supplier=supplier, states=states, limit=limit, before_id=before_id
                )
            )
        )

    async def history(self, op_id: str) -> list[Event]:
        """What happened to the rows of one call."""
        return await self._run(lambda store: store.history(op_id))

    async def counts(self) -> Mapping[State, int]:
        """How many submissions something still has to come of, by state. Asking creates no ledger."""
        return {} if self._never_written() else await self._run(lambda store: store.unsettled())

    async def resolve(self, op_id: str, *, number: str | None, state: State, note: str) -> list[Submission]:
        """Record a person's word."""
        return await self._run(lambda store: store.resolve(op_id, number=number, state=state, note=note))

    def peek(self) -> Peeked | None:
        """A glance at a ledger in a file, from any thread; opens and creates nothing."""
        return peek(self.place, account=self.account, now_ms=None if self._now is None else self._now())

    def tell_head(self, events: int, head: str) -> None:
        """Let the log have the end of the chain, once a start: a chain cannot show that its end was cut off later."""
        if self._seen.is_new():
            logger.info("ledger head %s after event %d", head, events, extra={"head": head, "events": events})

    def _never_written(self) -> bool:
        """Whether there is no ledger yet; one that was removed is another matter, and is found out by opening it."""
        file, key_file = self.place.file, self.place.key_file
        return file is not None and key_file is not None and not file.exists() and not key_file.exists()

    # In the thread -------------------------------------------------------------

    async def _run(self, ask: Callable[[Store], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        try:
            answer = await self._answer(functools.partial(self._ask, ask), self._limiter)
        except Exception as error:
            raise self._unavailable(error) from None
        self._note(None)
        return answer

    async def _answer(self, ask: Callable[[], T], limiter: anyio.CapacityLimiter) -> T:
        # Not abandoned when the caller leaves: what is being committed is waited for.
        if not self.place.shared:
            return await anyio.to_thread.run_sync(ask, limiter=limiter)
        # A server that does not answer is: what it may commit later was never acted on, so it is settled like anything
        # that a process left behind. Its thread stays behind until the server answers or the connection breaks.
        with anyio.move_on_after(SERVER_SECONDS, shield=True):
            return await anyio.to_thread.run_sync(ask, abandon_on_cancel=True, limiter=limiter)
        raise Unusable("unreachable")

    def _ask(self, ask: Callable[[Store], T]) -> T:
        if self._store is None:
            self._store = self._open()
        try:
            return ask(self._store)
        except Exception as error:
            if self.place.shared and is_foreign(error) and explain(error).kind not in FLEETING:
                # After a failover, connections that still stand may lead to a server that only reads.
                self._store.close()
            raise

    def _open(self) -> Store:
        from finexio_mcp.guards.ledger.store import open_store

        began = self._never_written()
        self._key = prepare(self.place, self._settings)
        engine = self._pools.engine(self.place.url) if self._pools is not None and self.place.shared else None
        store = open_store(
            self.place, owner=self.owner, account=self.account, engine=engine, seen=self._seen, now=self._now
        )
        store.recognise_key(self._key)
        if began:
            logger.warning("a new, empty ledger was begun; if there was one before, stop and restore it")
        self.tell_head(*store.end())
        return store

    def _unavailable(self, error: Exception) -> Exception:
        """What a failing database means for a call; a mistake of ours stays one."""
        if not isinstance(error, Unusable) and not is_foreign(error):
            return error
        trouble = error if isinstance(error, Unusable) else explain(error, file=self.place.file)
        self._note(trouble.kind)
        unavailable = LedgerUnavailable(f"Nothing was sent: {trouble.advice} Reads go on.")
        unavailable.retryable = trouble.kind in PASSING
        return unavailable

    def _note(self, trouble: Kind | None) -> None:
        """Tell the log when something begins and when it ends; every call that it stops is told anyway."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is None:
            logger.warning("the ledger can be used again")
        else:
            logger.error("the ledger cannot be used: %s", trouble, extra={"kind": trouble})
