"""Grants and their secrets as the server and the commands use them: opened at the first use, asked in threads."""

from __future__ import annotations

import copy
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

import anyio
import anyio.to_thread

from finexio_mcp.access import secrets
from finexio_mcp.access.grants import Code, Found, Grant, NameTaken, Pair, SecretKind, Terms, TooManyClients
from finexio_mcp.access.scopes import lesser
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.guards.ledger.place import Place, describe, home
from finexio_mcp.guards.ledger.trouble import PASSING, Unusable, explain, is_foreign
from finexio_mcp.settings import Access, Settings

if TYPE_CHECKING:
    from finexio_mcp.access.looking import Looking
    from finexio_mcp.access.store import Store

__all__ = ["AccessBook", "AccessUnavailable", "NameTaken", "is_name"]

LAST_USE_MS: Final = 60_000
"""How exact the last use is: more would be a write for every call."""
MAX_NOTED: Final = 10_000
MAX_SHARED: Final = 100
"""How many secrets one read looks up."""
MAX_NAME_CHARS: Final = 80
MAX_ID_CHARS: Final = 2_048
"""Of a client: it may be a URL."""
MAX_METADATA_CHARS: Final = 16_384
STUCK_SECONDS: Final = 1.5
"""A question that takes longer, and whose asker has left, is one that others need not wait behind."""
LEAVING_SECONDS: Final = 5.0
"""How long the end waits for a question, or for a last use to be noted."""
NO_ANSWER: Final = (
    "The database of the grants does not answer, and does not refuse to. Check that it runs, and the network between."
)

logger = logging.getLogger("finexio_mcp.access")


class AccessUnavailable(Exception):
    """Who calls cannot be told, since the database cannot be used: not a word about the token itself."""

    def __init__(self, advice: str, *, retryable: bool = False) -> None:
        super().__init__(advice)
        self.advice = advice
        """What an operator should do. It may name a path."""
        self.retryable = retryable
        """Whether it may be over by the next try without anybody doing anything."""


class AccessBook:
    """Every statement about grants, for one process.

    Nothing is opened, and SQLAlchemy is not imported, before the first use; what could not be opened is tried again
    by the next. Every coroutine here but `aclose` raises `AccessUnavailable` when the database cannot be used.

    Args:
        settings: Where the ledger is: as they were given, not as changed for a simulator inside the server.
        now: Milliseconds since 1970, for tests. Otherwise the host's clock, not the database's: signed tokens of other
            issuers and the SDK's part of a sign-in go by the host's too, and two clocks would judge one code
            differently. What is revoked is so by any clock.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], int] | None = None) -> None:
        self._settings = settings
        self._now = now
        self.place: Place = home(settings)
        self._looking = _Queue(_Opened(self.place, self._open_looking), "looked up", only_read=True)
        self._look_ups = _LookUps(self._looking)
        self._storing = _Queue(_Opened(self.place, self._open_store), "changed")
        self._uses = _LastUses(_Opened(self.place, self._open_store))
        self._told: dict[str, int] = {}
        self._revoked: dict[str, None] = {}

    def now_ms(self) -> int:
        """The time that everything here goes by."""
        return self._now() if self._now is not None else time.time_ns() // 1_000_000

    # Tokens of ours ------------------------------------------------------------

    async def find(self, text: str) -> Grant | None:
        """The grant behind a token of ours that is good now, with the access of this token, and its end.

        Returns:
            `None` if it is unknown, expired, revoked or of another kind: which of these is nobody's business.
        """
        found = await self._proved(secrets.parse(text), "token", "access")
        now_ms = self.now_ms()
        if found is None:
            return None
        if found.is_over(now_ms):
            self._note_end(found.grant)
            self._tell(found.grant, now_ms)
            return None
        self._uses.note(found.grant, now_ms)
        ends = [ms for ms in (found.expires_at_ms, found.grant.expires_at_ms) if ms is not None]
        access = lesser(found.grant.access, found.access)
        return replace(found.grant, access=access, expires_at_ms=min(ends, default=None))

    def knows_revoked(self, grant_id: str) -> bool:
        """Whether this process has heard that a grant was revoked; nobody is asked."""
        return grant_id in self._revoked

    def _note_end(self, grant: Grant | None) -> None:
        if grant is None or grant.revoked_at_ms is None:
            return
        while len(self._revoked) >= MAX_NOTED:
            del self._revoked[next(iter(self._revoked))]
        self._revoked[grant.id] = None

    def _tell(self, grant: Grant, now_ms: int) -> None:
        """Say in the log who still uses what has ended, not more than once a minute for each."""
        state = grant.state(now_ms)
        if state != "active" and now_ms - self._told.get(grant.id, 0) >= LAST_USE_MS:
            self._told[grant.id] = now_ms
            logger.warning("%r (id %s) was refused: it is %s", grant.name, grant.id, state)

    async def create(self, name: str, terms: Terms, *, expires_at_ms: int | None) -> tuple[Grant, str]:
        """A token of ours. Its text is told here, and never again.

        Raises:
            NameTaken: An active or pending grant has this name.
            ValueError: It is none (see `is_name`).
        """
        _require_name(name)
        return await self._storing.run(lambda store: store.create(name, terms, expires_at_ms=expires_at_ms))

    async def grants(self) -> list[Grant]:
        """All that ever were, the oldest first. Asking makes no database."""
        return await self._looking.run(lambda looking: looking.grants())

    async def revoke(self, name_or_id: str) -> Grant | None:
        """End a grant, by the id of it or of one of its secrets, or by its name; the next use of any of them fails.

        Returns:
            The grant as it now stands; `None` if there is nothing of that id or name that could still be used.
        """
        if not _can_be_kept(name_or_id):
            return None
        now_ms = self.now_ms()
        if not await self._looking.run(lambda looking: looking.can_revoke(name_or_id, now_ms)):
            return None
        revoked = await self._storing.run(lambda store: store.revoke(name_or_id))
        self._note_end(revoked)
        return revoked

    async def revoke_all(self, account: str | None = None) -> int:
        """End every grant that lasts, for this account or for all of them; how many. Asking makes no database."""
        now_ms = self.now_ms()
        lasting = [grant for grant in await self.grants() if grant.state(now_ms) in ("active", "pending")]
        if not any(account in (None, grant.account) for grant in lasting):
            return 0
        return await self._storing.run(lambda store: store.revoke_all(account))

    async def check(self) -> None:
        """Whether grants can be looked up now, at the least cost. That there are none yet is no trouble."""
        await self._looking.run(lambda looking: looking.check())

    # The built-in issuer -------------------------------------------------------

    async def invite(
        self, name: str, terms: Terms, *, valid_ms: int, grant_expires_at_ms: int | None
    ) -> tuple[Grant, str]:
        """A one-time code with which somebody lets a client in. Its text is told here, and never again.

        Raises:
            NameTaken: An active or pending grant has this name.
            ValueError: It is none (see `is_name`).
        """
        _require_name(name)
        return await self._storing.run(
            lambda store: store.invite(name, terms, valid_ms=valid_ms, grant_expires_at_ms=grant_expires_at_ms)
        )

    async def invited(self, code_text: str) -> Grant | None:
        """The grant that an invitation code is for, if it can still be used; it is not used up."""
        found = await self._proved(secrets.parse_invitation(code_text), "invitation")
        usable = found is not None and found.used_at_ms is None and not found.is_over(self.now_ms())
        return found.grant if found is not None and usable else None

    async def accept(self, code_text: str, code: Code, *, text: str | None = None) -> str | None:
        """Use an invitation up for an authorization code, with the lesser of the access that each is for.

        Args:
            code_text: The invitation.
            code: What is asked for.
            text: The authorization code, if the caller chose it: nobody else may be able to guess it.

        Returns:
            The code's text, or `None` if the invitation cannot be used, or not any more.

        Raises:
            ValueError: The chosen text is none that a code can have.
        """
        chosen = secrets.chosen(text) if text is not None else None
        parsed = secrets.parse_invitation(code_text)
        # Whoever tries codes does not get to hold up those who write.
        if parsed is None or await self.invited(code_text) is None:
            return None
        return await self._storing.run(lambda store: store.accept(*parsed, code, chosen=chosen))

    async def code(self, text: str) -> Code | None:
        """What an authorization code was asked for with, until it expires.

        One that was used is shown too: who exchanges it again, and so proves to be whom it was made for, ends what came
        of it. Who merely saw it does not.
        """
        found = await self._standing(text, "code")
        return Code(**json.loads(found.details)) if found is not None and found.details is not None else None

    async def exchange_code(self, text: str, client_id: str) -> Pair | None:
        """Use an authorization code up. The second time, it revokes the grant.

        Returns:
            `None` if it is not good, or not this client's.
        """
        parsed = secrets.parse(text)
        if parsed is None or await self._proved(parsed, "code") is None:
            return None
        pair = await self._storing.run(lambda store: store.exchange_code(*parsed, client_id))
        return pair if pair is not None else await self._not_exchanged(parsed)

    async def refresh(self, text: str) -> tuple[Grant, str] | None:
        """The grant that a refresh token is for, and whose it is. As a code, it is shown when it was used, too."""
        found = await self._standing(text, "refresh")
        return (found.grant, found.grant.client_id) if found is not None and found.grant.client_id is not None else None

    async def exchange_refresh(self, text: str, client_id: str, access: Access) -> Pair | None:
        """Use a refresh token up, for this access or the grant's, whichever is less. The second time, it revokes.

        Returns:
            `None` if it is not good, or not this client's.
        """
        parsed = secrets.parse(text)
        if parsed is None or await self._proved(parsed, "refresh") is None:
            return None
        pair = await self._storing.run(lambda store: store.exchange_refresh(*parsed, client_id, access))
        return pair if pair is not None else await self._not_exchanged(parsed)

    async def save_client(self, client_id: str, metadata_json: str) -> None:
        """Remember what a client says about itself. 4,000 are kept; those that nobody let in go first.

        Raises:
            ValueError: It is too long, or no text that can be kept.
        """
        if not _can_be_kept(client_id) or not _can_be_kept(metadata_json, MAX_METADATA_CHARS):
            raise ValueError("what this client says about itself is too long, or no text")
        try:
            await self._storing.run(lambda store: store.save_client(client_id, metadata_json))
        except TooManyClients:
            raise AccessUnavailable(
                "There is no room for another client. `finexio-mcp tokens list` shows who is signed in; revoke those "
                "that are not used any more."
            ) from None

    async def client(self, client_id: str) -> str | None:
        """What a client said about itself, if it is known."""
        return await self._looking.run(lambda looking: looking.client(client_id)) if _can_be_kept(client_id) else None

    async def aclose(self) -> None:
        """Let go of the database, once what is being written is written. It may be used again."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(LEAVING_SECONDS):
                await anyio.to_thread.run_sync(self._uses.close, abandon_on_cancel=True)
            for queue in (self._looking, self._storing):
                with anyio.move_on_after(LEAVING_SECONDS):
                    await queue.close()

    # Parts ---------------------------------------------------------------------

    async def _proved(self, parsed: tuple[str, str] | None, *kinds: SecretKind) -> Found | None:
        """The row of a secret of one of these kinds, if this is its digest."""
        if parsed is None:
            return None
        secret_id, digest = parsed
        found = await self._look_ups.find(secret_id)
        same = secrets.matches(found.digest if found is not None else None, digest)
        return found if found is not None and same and found.kind in kinds else None

    async def _not_exchanged(self, parsed: tuple[str, str]) -> None:
        """What came a second time has ended its grant, tokens that work without it included."""
        found = await self._proved(parsed, "code", "refresh")
        self._note_end(found.grant if found is not None else None)

    async def _standing(self, text: str, kind: SecretKind) -> Found | None:
        found = await self._proved(secrets.parse(text), kind)
        return None if found is None or found.is_over(self.now_ms()) else found

    def _open_looking(self) -> Looking:
        from finexio_mcp.access.looking import Looking

        return Looking(self.place)

    def _open_store(self) -> Store:
        from finexio_mcp.access.database import open_writer
        from finexio_mcp.access.store import Store

        return Store(open_writer(self.place, self._settings), scope=self.place.scope, now=self.now_ms)


def is_name(text: str) -> bool:
    """Whether a grant may have this name: a short line, without what hides or misleads."""
    # One that begins like an option could not be typed after `revoke`.
    plain = bool(text) and text == text.strip() and not text.startswith("-")
    return plain and clean(text, limit=MAX_NAME_CHARS, single_line=True) == text


def _require_name(text: str) -> None:
    if not is_name(text):
        raise ValueError(f"a name is one line of 1 to {MAX_NAME_CHARS} characters")


def _can_be_kept(text: str, limit: int = MAX_ID_CHARS) -> bool:
    """Whether any database takes it: neither zeros, nor halves of characters."""
    return len(text) <= limit and "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


# In threads ------------------------------------------------------------------------


class _Closable(Protocol):
    def close(self) -> None: ...


R = TypeVar("R", bound=_Closable)
T = TypeVar("T")


class _Opened(Generic[R]):
    """What is opened when it is needed, and again after trouble. One thread at a time; others wait."""

    def __init__(self, place: Place, open_: Callable[[], R]) -> None:
        self._place = place
        self._open = open_
        self._held: R | None = None
        self._asked_at: float | None = None
        # A task that asyncio itself cancels leaves its thread behind, at work.
        self._lock = threading.RLock()

    def use(self, ask: Callable[[R], T]) -> T:
        """Ask it.

        Raises:
            AccessUnavailable: Saying what an operator should do.
        """
        with self._lock:
            try:
                self._asked_at = time.monotonic()
                if self._held is None:
                    self._held = self._open()
                return ask(self._held)
            except Exception as error:
                if not isinstance(error, Unusable) and not is_foreign(error):
                    raise
                self.close()
                trouble = error if isinstance(error, Unusable) else explain(error, file=self._place.file)
                # Not even as a cause: a driver's exception holds the connection, password included.
                raise AccessUnavailable(_placed(trouble, self._place), retryable=trouble.kind in PASSING) from None
            finally:
                self._asked_at = None

    def has_worked_for(self, seconds: float) -> bool:
        """Whether a question is under way, and for longer than this."""
        asked_at = self._asked_at
        return asked_at is not None and time.monotonic() - asked_at > seconds

    def close(self) -> None:
        with self._lock:
            held, self._held = self._held, None
            if held is not None:
                held.close()


def _placed(trouble: Unusable, place: Place) -> str:
    where = describe(place)
    return trouble.advice if where in trouble.advice else f"{trouble.advice} (Grants are kept in {where}.)"


class _Queue(Generic[R]):
    """Questions to one thing, one after the other, in threads.

    Args:
        opened: The thing.
        verb: For the log, what becomes of grants here. It hears of the first of many failures, and of their end.
        only_read: A question may be left to itself. What is being written is waited for.
    """

    def __init__(self, opened: _Opened[R], verb: str, *, only_read: bool = False) -> None:
        self._opened = opened
        self._verb = verb
        self._only_read = only_read
        self._is_left = False
        self._limiter: anyio.CapacityLimiter | None = None
        self._failures = 0
        self._failure: AccessUnavailable | None = None
        self._failing = ""

    async def run(self, ask: Callable[[R], T]) -> T:
        try:
            return await self._thread(functools.partial(self._ask, ask, self._failures))
        except anyio.get_cancelled_exc_class():
            self._is_left = self._only_read
            raise

    async def close(self) -> None:
        """Once what is being asked is answered; who cannot wait for that may leave."""
        await self._thread(self._opened.close, may_leave=True)

    async def _thread(self, act: Callable[[], T], *, may_leave: bool = False) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(
            act, limiter=self._limiter, abandon_on_cancel=may_leave or self._only_read
        )

    def _ask(self, ask: Callable[[R], T], failures: int) -> T:
        if self._failure is not None and failures != self._failures:
            # It failed while this one waited. Were each to find out for itself, the last would wait for all of them.
            raise AccessUnavailable(self._failure.advice, retryable=self._failure.retryable)
        if self._is_left and self._opened.has_worked_for(STUCK_SECONDS):
            self._note(NO_ANSWER)
            raise AccessUnavailable(NO_ANSWER, retryable=True)
        try:
            answer = self._opened.use(ask)
        except AccessUnavailable as error:
            self._failures, self._failure = self._failures + 1, error
            self._note(error.advice)
            raise
        finally:
            self._is_left = False
        self._note("")
        return answer

    def _note(self, advice: str) -> None:
        """Say in the log what has changed; within an outage somebody asks every other second."""
        if advice and advice != self._failing:
            logger.error("grants cannot be %s: %s", self._verb, advice)
        elif self._failing and not advice:
            logger.warning("grants can be %s again", self._verb)
        self._failing = advice


@dataclass(eq=False)
class _Read:
    """What one read looks up, and what came of it once it was made."""

    ids: set[str] = field(default_factory=set[str])
    found: Mapping[str, Found] | None = None
    failure: Exception | None = None


class _LookUps:
    """Rows of secrets. Those who ask while a read is under way share the next one, so that no queue builds up.

    A read takes no more ids once it has begun. So each answer is from a read that began after it was asked for, and
    what was revoked by then is seen.
    """

    def __init__(self, queue: _Queue[Looking]) -> None:
        self._queue = queue
        self._turn = anyio.Lock()
        self._next = _Read()

    async def find(self, secret_id: str) -> Found | None:
        read = self._next
        read.ids.add(secret_id)
        if len(read.ids) >= MAX_SHARED:
            self._next = _Read()
        async with self._turn:
            # The first whose turn it is reads for all; if they leave before it is done, the next of them does.
            if read.found is None and read.failure is None:
                await self._make(read)
        if read.failure is not None:
            # One for each: the same one, raised by many, would trail the frames of all.
            raise copy.copy(read.failure) from read.failure
        return read.found.get(secret_id) if read.found is not None else None

    async def _make(self, read: _Read) -> None:
        if self._next is read:
            self._next = _Read()
        try:
            read.found = await self._queue.run(lambda looking: looking.find(read.ids))
        except Exception as error:
            read.failure = error


class _LastUses:
    """Notes when grants were last used, behind the callers' backs: no call waits for it, and none fails by it."""

    def __init__(self, opened: _Opened[Store]) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._noted: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._executor: ThreadPoolExecutor | None = None

    def note(self, grant: Grant, now_ms: int) -> None:
        """Record a use, unless one was a moment ago."""
        last = max(grant.last_used_at_ms or 0, self._noted.get(grant.id, 0))
        # A clock that was set back must not keep it from being noted until it catches up.
        if 0 <= now_ms - last < LAST_USE_MS:
            return
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted[grant.id] = now_ms
        with self._lock:
            begun = bool(self._waiting)
            self._waiting[grant.id] = now_ms
        if not begun:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="last-uses")
            self._executor.submit(self._record)

    def close(self) -> None:
        """Wait for what is being recorded."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()
        self._opened.close()

    def _record(self) -> None:
        with self._lock:
            uses, self._waiting = self._waiting, {}
        try:
            self._opened.use(lambda store: store.record_uses(uses))
        except Exception as error:
            logger.debug("the last use of %d grants was not recorded: %s", len(uses), type(error).__name__)
