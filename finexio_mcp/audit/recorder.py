"""Writes entries in a thread of its own: in groups, in their order, and again until they are kept."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from finexio_mcp.audit.entries import Entry
from finexio_mcp.audit.waiting import Item, Waiting, tell
from finexio_mcp.guards.ledger.place import Place, describe
from finexio_mcp.guards.ledger.trouble import Unusable, explain, is_foreign
from finexio_mcp.logs import log_fault
from finexio_mcp.settings import Settings

if TYPE_CHECKING:
    from finexio_mcp.audit.chain import Removal
    from finexio_mcp.audit.store import Store

GROUP: Final = 200
"""How many entries one transaction adds, at most."""
GROUP_SECONDS: Final = 0.5
"""How long a read waits for others."""
RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)
"""After the first failure, the second, and so on; the last one holds."""
RETENTION_SECONDS: Final = 24 * 60 * 60.0
NEVER: Final = math.inf

logger = logging.getLogger("finexio_mcp.audit")


class Recorder:
    """The audit of one process, on its way into the database.

    Args:
        settings: How long entries are kept.
        place: Where.
        now: Milliseconds since 1970.
        waiting: The queue, for tests.
    """

    def __init__(
        self, settings: Settings, place: Place, *, now: Callable[[], int], waiting: Waiting | None = None
    ) -> None:
        self._settings, self._place, self._now = settings, place, now
        self._waiting = waiting or Waiting()
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._store: Store | None = None
        self._ended: dict[str, int] = {}
        self._astray: set[str] = set()
        self._in_hand = 0
        self._hurry = False
        self._close_by: float | None = None
        self._group_by = 0.0
        self._failures = 0
        self._retry_at = 0.0
        self._retain_at = 0.0
        self._one_by_one = False
        self._flushed: list[Future[None]] = []

    @property
    def waiting(self) -> int:
        """Entries that are not yet kept."""
        return len(self._waiting) + self._in_hand

    @property
    def lost(self) -> int:
        """Entries that were given up since the start."""
        return self._waiting.lost

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def add(self, entry: Entry, *, hurry: bool) -> Future[None]:
        """Queue an entry. What comes back is done when it is kept, or given up."""
        done: Future[None] = Future()
        with self._turn:
            if not len(self._waiting):
                self._group_by = time.monotonic() + GROUP_SECONDS
            self._waiting.add(Item(entry, done if hurry else None))
            self._hurry = self._hurry or hurry
            self._wake()
        return done

    def flush(self) -> Future[None]:
        """Write what waits, now. Done when nothing waits any more."""
        done: Future[None] = Future()
        with self._turn:
            if self.waiting:
                self._flushed.append(done)
                self._wake()
            else:
                tell(done)
        return done

    def close(self, seconds: float) -> None:
        """Write what waits, for so long at most, and let go of the database. It may be used again."""
        with self._turn:
            thread = self._thread
            self._close_by = time.monotonic() + seconds
            self._turn.notify()
        if thread is not None:
            thread.join(seconds)
        if left := self.waiting:
            logger.error("%d entries of the audit were not recorded when the server ended", left)

    # In the thread -------------------------------------------------------------

    def _wake(self) -> None:
        if self._thread is None:
            self._close_by = None
            # A daemon: what a database that hangs does to a thread must not keep the process.
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
            self._thread.start()
        self._turn.notify()

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except BaseException as error:
            # Never to be seen; whoever adds the next entry starts over.
            if isinstance(error, Exception):
                log_fault(logger, error)
            with self._turn:
                self._thread = None
        finally:
            self._let_go()

    def _step(self) -> bool:
        """One group, or one portion of what is too old; `False` at the end."""
        with self._turn:
            if not self._await_work():
                self._thread = None
                return False
            group: list[Item] = []
            if self._entries_due() <= time.monotonic():
                group = self._waiting.take(1 if self._one_by_one else GROUP, at_ms=self._now())
                self._in_hand = len(group)
                self._hurry = self._hurry and len(self._waiting) > 0
        if group:
            self._write(group)
        else:
            self._retain()
        return True

    def _await_work(self) -> bool:
        """Wait until there is something to do; `False` if there is nothing left and all is to end."""
        while True:
            now = time.monotonic()
            if self._close_by is not None and (not len(self._waiting) or now >= self._close_by):
                return False
            due = min(self._entries_due(), self._retention_due())
            if due <= now:
                return True
            until = due if self._close_by is None else min(due, self._close_by)
            self._turn.wait(until - now if until != NEVER else None)

    def _entries_due(self) -> float:
        if not len(self._waiting):
            return NEVER
        if self.failing:
            return self._retry_at
        at_once = self._hurry or self._flushed or self._close_by is not None or self._one_by_one
        return 0.0 if at_once or len(self._waiting) >= GROUP else self._group_by

    def _retention_due(self) -> float:
        # Before the first entry is kept, nothing need be opened for it.
        return NEVER if self._store is None or self.failing or self._close_by is not None else self._retain_at

    def _write(self, group: Sequence[Item]) -> None:
        tried = False
        try:
            if self._store is None:
                self._store = self._open()
            tried = True
            self._store.append([item.entry for item in group])
        except Exception as error:
            self._let_go()
            self._failed(group, error, tried=tried)
        else:
            self._kept(group)

    def _open(self) -> Store:
        from finexio_mcp.audit.database import open_writer
        from finexio_mcp.audit.store import Store

        store = Store(open_writer(self._place, self._settings), scope=self._place.scope, ended=self._ended)
        if self._failures == 0:
            for head in store.heads():
                logger.info(
                    "audit of account %s: entry %d, head %s",
                    head.account,
                    head.seq,
                    head.hash,
                    extra={"account": head.account, "head": head.hash},
                )
        if store.unguarded:
            logger.error("somebody took guards from the tables of the audit: %s", ", ".join(store.unguarded))
        return store

    def _kept(self, group: Sequence[Item]) -> None:
        with self._turn:
            recovered, self._failures = self._failures > 0, 0
            self._in_hand = 0
            self._one_by_one = self._one_by_one and bool(len(self._waiting))
            self._group_by = time.monotonic() + GROUP_SECONDS
            done = [item.done for item in group if item.done is not None]
            if not len(self._waiting):
                done += self._flushed
                self._flushed = []
        for each in done:
            tell(each)
        if recovered:
            logger.warning("the audit is recorded again; %d entries were lost since the start", self.lost)
        if self._store is not None and (found := self._store.astray - self._astray):
            self._astray |= found
            for account in sorted(found):
                logger.error(
                    "the audit of account %s was changed by something else: run `finexio-mcp audit verify`",
                    account,
                    extra={"account": account},
                )

    def _failed(self, group: Sequence[Item], error: Exception, *, tried: bool) -> None:
        ours = not isinstance(error, Unusable) and not is_foreign(error)
        with self._turn:
            self._in_hand = 0
            # A mistake of ours about one entry would stand in the way of all others for ever.
            self._one_by_one = ours and tried
            if self._one_by_one and len(group) == 1:
                self._waiting.give_up(group[0])
            else:
                self._waiting.put_back(group, tried=tried)
            first = self._failures == 0
            if not self._one_by_one:
                self._retry_at = time.monotonic() + RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
                self._failures += 1
            count = len(self._waiting)
        if ours and (tried or first):
            log_fault(logger, error)
        if first and not self._one_by_one:
            self._complain(error, count)

    def _complain(self, error: Exception, count: int) -> None:
        trouble = error if isinstance(error, Unusable) else explain(error, file=self._place.file)
        logger.error(
            "the audit cannot be recorded (%s): %s Until then calls wait in memory, %d so far. (It is kept in %s.)",
            trouble.kind,
            trouble.advice,
            count,
            describe(self._place),
            extra={"kind": trouble.kind},
        )

    def _retain(self) -> None:
        """Remove what is too old: a portion, so that entries do not wait for all of it."""
        removed = None
        if self._settings.audit_days and self._store is not None:
            try:
                removed = self._store.retain(self._settings.audit_days, at_ms=self._now())
            except Exception as error:
                logger.warning("what is too old stays in the audit until tomorrow: %s", type(error).__name__)
        if removed is not None:
            _tell_removal(*removed)
        else:
            self._retain_at = time.monotonic() + RETENTION_SECONDS

    def _let_go(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()


def _tell_removal(account: str, told: Removal) -> None:
    """What an auditor compares with: whoever made up such an entry did not have it logged."""
    logger.info(
        "audit of account %s: entry %d, head %s, tells that %d entries, %d to %d, were older than %d days and removed",
        account,
        told.seq,
        told.hash,
        told.removed,
        told.first_seq,
        told.last_seq,
        told.days,
        extra={"account": account, "head": told.hash},
    )
