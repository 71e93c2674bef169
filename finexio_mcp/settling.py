"""Settles what is in doubt: takes over what a crash left behind, and asks Finexio until it is known. Never sends."""

from __future__ import annotations

import copy
import logging
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import replace

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from finexio_mcp.api.client import FinexioClient
from finexio_mcp.calls import start_by_itself
from finexio_mcp.clock import Clock
from finexio_mcp.errors import FinexioError, LedgerUnavailable
from finexio_mcp.guards.ledger.book import Book
from finexio_mcp.guards.ledger.place import Peeked
from finexio_mcp.guards.ledger.rows import Look, Submission
from finexio_mcp.guards.ledger.states import OPEN, State
from finexio_mcp.readback import Finding, ReadBack, next_step
from finexio_mcp.settings import Settings

LEASE_SLACK_SECONDS = 30
"""How long after its deadline a write's process may still be alive and about to settle it."""
LOOK_SECONDS = 450.0
"""Longest look: 200 pages in no order are read twice, at one a second."""
LOOK_LEASE_MS = 540_000
NAP_SECONDS = 15.0
SHARED_NAP_SECONDS = 30.0
"""How often a ledger that others write too is asked whether one of them left something behind."""
FAILED_NAP_SECONDS = 60.0
MAX_FAILURES = 120
"""Two hours, as long as the looks go on; then the next write begins anew. A shared ledger is asked for ever."""
MAX_NAMED = 5

UNSENT = "A process ended, or was held up, before it sent {which}; nothing of that was submitted."
CUT_OFF = (
    "A process ended, or was held up, while submitting {which}; the outcome is unknown and is being looked up. Do not "
    "submit that in any other form."
)
WAITING = "Earlier submissions that wait for a person: {count}. The operator should run `finexio-mcp ledger list`."

logger = logging.getLogger("finexio_mcp.ledger")


class Settler:
    """Finds out what became of submissions.

    Args:
        settings: When to look.
        client: Finexio; only ever read here.
        book: The ledger.
        clock: Time, for pauses.
        tasks: Where the waiting goes on.
    """

    def __init__(
        self, settings: Settings, client: FinexioClient, book: Book, *, clock: Clock, tasks: TaskGroup
    ) -> None:
        self._settings, self._client, self._book = settings, client, book
        self._clock, self._tasks = clock, tasks
        self._reader: ReadBack | None = None
        self._watching = False
        self._recovering = anyio.Lock()
        self._recovered = False
        self._failures = 0
        self._failure: LedgerUnavailable | None = None
        self._news: list[str] = []

    # Looks -----------------------------------------------------------------------

    async def look(self, rows: Iterable[Submission]) -> list[Submission]:
        """Look rows in doubt up now; gives them as they then stand."""
        rows = list(rows)
        doubtful = [row.id for row in rows if row.state is State.IN_DOUBT]
        taken = await self._book.begin_look(lease_ms=LOOK_LEASE_MS, ids=doubtful) if doubtful else []
        found_twice = await self._settle(taken)
        fresh = {
            row.id: row for op_id in dict.fromkeys(row.op_id for row in rows) for row in await self._book.get(op_id)
        }
        return [found_twice.get(row.id, fresh[row.id]) for row in rows]

    async def findings(self, rows: Sequence[Submission]) -> dict[int, Finding]:
        """What Finexio shows of rows, whatever their state; nothing is recorded."""
        if self._reader is None:
            # One for all looks, since together they read one page a second at most.
            self._reader = ReadBack(
                self._client,
                self._clock,
                key=await self._book.key(),
                owners_of=self._book.owners_of,
                has_rival=self._book.has_rival,
            )
        return await self._reader.look(rows, until=self._client.deadline(LOOK_SECONDS))

    async def _settle(self, taken: list[Submission]) -> dict[int, Submission]:
        """Look up rows that were taken for it; gives those, by id, that are there although they were given up."""
        if not taken:
            return {}
        begun_ms = await self._book.now_ms()
        findings = await self.findings(taken)
        now_ms = await self._book.now_ms()
        looks = {row.id: self._next_step(row, findings[row.id], begun_ms, now_ms) for row in taken}
        found_twice: dict[int, Submission] = {}
        for row in await self._book.end_look(looks):
            finding = findings[row.id]
            if row.state is State.ABSENT and finding.verdict in {"found", "other"}:
                # It was given up meanwhile and submitted anew: two are there now, and only a person can mend that.
                logger.error("%s is at Finexio although it was given up and submitted again", row.op_id)
                found_twice[row.id] = replace(row, state=State.CONFLICT, finexio_id=finding.finexio_id)
            logger.info(
                "%s row %d: %s after look %d",
                row.op_id,
                row.position,
                row.state,
                row.looks,
                extra={"op_id": row.op_id, "outcome": str(row.state)},
            )
        return found_twice

    def _next_step(self, row: Submission, finding: Finding, begun_ms: int, now_ms: int) -> Look:
        settings = self._settings
        sending = settings.batch_seconds if row.effect == "pay" else settings.write_seconds
        return next_step(
            row,
            finding,
            begun_ms=begun_ms,
            now_ms=now_ms,
            schedule_seconds=settings.look_seconds,
            lease_seconds=int(sending) + LEASE_SLACK_SECONDS,
        )

    # Watching --------------------------------------------------------------------

    def watch(self) -> None:
        """Go on looking, on schedule, until nothing is open; where others write too, for ever."""
        if not self._watching:
            self._watching = True
            start_by_itself(self._tasks, self._watch)

    async def _watch(self) -> None:
        failures, shared = 0, self._book.place.shared
        told: str | None = None
        try:
            while shared or failures < MAX_FAILURES:
                try:
                    nap_seconds = await self._watch_once()
                    failures, told = 0, None
                except Exception as error:
                    failures += 1
                    nap_seconds = SHARED_NAP_SECONDS if shared else FAILED_NAP_SECONDS
                    kind = type(error).__name__
                    if kind != told:
                        self._tell_failed(error)
                    told = kind
                if nap_seconds is None:
                    return
                await self._clock.sleep(nap_seconds)
        finally:
            self._watching = False

    def _tell_failed(self, error: Exception) -> None:
        """Once, not at each nap."""
        where = "" if isinstance(error, FinexioError) else "".join(traceback.format_tb(error.__traceback__))
        logger.warning("the ledger cannot be watched: %s\n%s", type(error).__name__, where)

    async def _watch_once(self) -> float | None:
        """See to what is due now; gives the seconds until the next time, `None` if nothing is open."""
        shared = self._book.place.shared
        if shared and await self._book.next_due_ms() is None:
            # Asking holds nobody up; to take over means to lock.
            return SHARED_NAP_SECONDS
        self._tell(await self._book.take_over())
        await self._settle(await self._book.begin_look(lease_ms=LOOK_LEASE_MS))
        due_ms = await self._book.next_due_ms()
        if due_ms is None:
            return SHARED_NAP_SECONDS if shared else None
        return min(max((due_ms - await self._book.now_ms()) / 1000, 1.0), NAP_SECONDS)

    # After a crash ---------------------------------------------------------------

    async def recover(self) -> None:
        """Take over, once, what processes left behind that did not come back; tell of it on stderr.

        With a ledger that others write too, that never ends: a process may end at any time, and leave it to the others.
        """
        failures = self._failures
        async with self._recovering:
            if self._recovered:
                return
            if self._failure is not None and failures != self._failures:
                # It failed while this one waited. Were each to find out for itself, the last would wait for all.
                raise copy.copy(self._failure)
            try:
                await self._recover()
            except LedgerUnavailable as error:
                self._failures, self._failure = self._failures + 1, copy.copy(error)
                raise
            self._recovered = True

    async def _recover(self) -> None:
        if self._book.place.shared:
            # Even if the database is away just now.
            self.watch()
        peeked = await anyio.to_thread.run_sync(self._book.peek)
        if peeked is not None and peeked.head:
            self._book.tell_head(peeked.events, peeked.head)
        if self._book.place.memory or (peeked is None and self._book.place.file is not None):
            return
        # A ledger that could not be read may hold anything; opening it mends it, or says what is wrong.
        if peeked is None or peeked.wants_care or peeked.trouble is not None:
            self._tell(await self._book.take_over())
            self.watch()
        elif peeked.ahead:
            # They may be a living neighbour's, or those of a process that was killed a moment ago.
            self.watch()
        if peeked is not None:
            self._tell_waiting(peeked)

    def news(self) -> list[str]:
        """What was found at the start, told once."""
        told, self._news = self._news, []
        return told

    def _tell(self, rows: list[Submission]) -> None:
        doubtful = [row for row in rows if row.state in OPEN]
        if unsent := [row for row in rows if row.state is State.ABSENT]:
            self._note(UNSENT.format(which=_named(unsent)), UNSENT.format(which=_calls(unsent)))
        if doubtful:
            self._note(CUT_OFF.format(which=_named(doubtful)), CUT_OFF.format(which=_calls(doubtful)))

    def _tell_waiting(self, peeked: Peeked) -> None:
        if peeked.waiting:
            sentence = WAITING.format(count=peeked.waiting)
            self._note(sentence, sentence)

    def _note(self, sentence: str, logged: str) -> None:
        logger.warning("%s", logged)
        self._news.append(sentence)


def _calls(rows: Sequence[Submission]) -> str:
    """Rows in a line of the log, which never holds what a caller wrote."""
    return ", ".join(dict.fromkeys(row.op_id for row in rows))


def _named(rows: Sequence[Submission]) -> str:
    """Rows in a sentence: by number where they are invoices, with the call that they belong to."""
    names = [f"{row.invoice.number if row.invoice else row.tool} ({row.op_id})" for row in rows[:MAX_NAMED]]
    more = len(rows) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
