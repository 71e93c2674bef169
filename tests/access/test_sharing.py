"""Look-ups at the same time: who shares a read, and what none of them ever gets from it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncGenerator, Collection, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from sqlalchemy import Engine, event

from finexio_mcp.access import book as books
from finexio_mcp.access import database
from finexio_mcp.access.book import AccessBook, AccessUnavailable
from finexio_mcp.access.grants import Found, Grant
from finexio_mcp.access.looking import Looking
from finexio_mcp.access.secrets import mint
from tests.access.conftest import HOUR_MS, READ, World

PATIENCE_SECONDS = 10


class Reads:
    """Reads as they are made. One can be held up when the database has answered, and nobody has heard of it yet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.failing: Exception | None = None
        self.most_at_once = 0
        self._at_once = 0
        self._real = Looking.find
        self._gate: threading.Event | None = None
        self._answered = threading.Event()

        def find(looking: Looking, secret_ids: Collection[str]) -> Mapping[str, Found]:
            return self._find(looking, secret_ids)

        monkeypatch.setattr(Looking, "find", find)

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """Hold up the next read, and wait until all who asked meanwhile wait for it or for one after it."""
        self._gate = gate = threading.Event()
        self._answered.clear()
        try:
            yield
            await anyio.wait_all_tasks_blocked()
        finally:
            self._gate = None
            gate.set()

    async def is_answered(self) -> None:
        """Wait until a read that is held up has what it asked for."""
        assert await anyio.to_thread.run_sync(self._answered.wait, PATIENCE_SECONDS)

    def _find(self, looking: Looking, secret_ids: Collection[str]) -> Mapping[str, Found]:
        self.sizes.append(len(secret_ids))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        gate = self._gate
        try:
            if self.failing is not None:
                raise self.failing
            return self._real(looking, secret_ids)
        finally:
            self._answered.set()
            if gate is not None:
                assert gate.wait(PATIENCE_SECONDS)
            self._at_once -= 1


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


@contextmanager
def statements() -> Generator[list[str]]:
    """What any database is asked about secrets."""
    asked: list[str] = []

    def note(_1: Any, _2: Any, statement: str, *_: Any) -> None:
        if "FROM access_secrets" in statement:
            asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


Answers = dict[str, Grant | AccessUnavailable | None]


async def look(book: AccessBook, token: str, answers: Answers, who: str) -> None:
    try:
        answers[who] = await book.find(token)
    except AccessUnavailable as error:
        answers[who] = error


async def test_those_who_wait_share_the_next_read(world: World, reads: Reads) -> None:
    """Ours: however many ask, nobody waits for more than the read that is under way and the one after it."""
    answers: Answers = {}
    async with world.book() as book:
        made = [await book.create(f"reports {number}", READ, expires_at_ms=None) for number in range(5)]
        # Their last use is noted, so that nobody writes from here on.
        for _, token in made:
            await book.find(token)
    async with world.book() as book:
        stranger = mint("token").text
        with statements() as asked, anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as tasks, reads.held():
                tasks.start_soon(look, book, made[0][1], answers, "first")
                await reads.is_answered()
                for number in range(50):
                    tasks.start_soon(look, book, made[number % 5][1], answers, str(number))
                tasks.start_soon(look, book, stranger, answers, "stranger")

    assert len(asked) == 2
    assert reads.sizes[-2:] == [1, 6]
    assert {who: grant.id for who, grant in answers.items() if isinstance(grant, Grant)} == {
        "first": made[0][0].id,
        **{str(number): made[number % 5][0].id for number in range(50)},
    }
    assert answers["stranger"] is None


async def test_one_read_looks_up_so_many_and_no_more(
    in_file: World, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: no database is asked for a list without end, and those who came first are served first."""
    monkeypatch.setattr(books, "MAX_SHARED", 2)
    answers: Answers = {}
    async with in_file.book() as book:
        tokens = [(await book.create(f"reports {number}", READ, expires_at_ms=None))[1] for number in range(6)]
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as tasks, reads.held():
                tasks.start_soon(look, book, tokens[0], answers, "0")
                await reads.is_answered()
                for number in range(1, 6):
                    tasks.start_soon(look, book, tokens[number], answers, str(number))

    assert reads.sizes == [1, 2, 2, 1]
    assert list(answers) == ["0", "1", "2", "3", "4", "5"]
    assert None not in answers.values()


@pytest.mark.parametrize("revoked", ["before it is asked", "while it waits"])
async def test_what_was_revoked_is_refused_although_a_read_was_under_way(
    revoked: str, world: World, reads: Reads
) -> None:
    """Ours: an answer that was read before somebody asked is not for them."""
    answers: Answers = {}
    async with world.book() as server, world.book() as operator:
        _, token = await operator.create("reports", READ, expires_at_ms=None)
        await server.find(token)
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as tasks, reads.held():
                tasks.start_soon(look, server, token, answers, "first")
                await reads.is_answered()
                if revoked == "while it waits":
                    tasks.start_soon(look, server, token, answers, "second")
                    await anyio.wait_all_tasks_blocked()
                assert await operator.revoke("reports") is not None
                if revoked == "before it is asked":
                    tasks.start_soon(look, server, token, answers, "second")

    assert isinstance(answers["first"], Grant)
    assert answers["second"] is None


async def test_what_expires_while_it_is_looked_up_is_refused(world: World, reads: Reads) -> None:
    """Ours: the time counts at which the answer is given."""
    answers: Answers = {}
    async with world.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=world.ms + HOUR_MS)
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as tasks, reads.held():
                tasks.start_soon(look, book, token, answers, "first")
                await reads.is_answered()
                world.ms += HOUR_MS

    assert answers == {"first": None}


async def test_who_leaves_while_waiting_takes_nobody_along(world: World, reads: Reads) -> None:
    """Ours: be it the one who would have read for all."""
    answers: Answers = {}
    async with world.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        with anyio.fail_after(PATIENCE_SECONDS):
            async with (
                anyio.create_task_group() as tasks,
                anyio.create_task_group() as leaving,
                reads.held(),
            ):
                tasks.start_soon(look, book, token, answers, "first")
                await reads.is_answered()
                leaving.start_soon(look, book, token, answers, "leaves")
                await anyio.wait_all_tasks_blocked()
                for who in ("second", "third"):
                    tasks.start_soon(look, book, token, answers, who)
                await anyio.wait_all_tasks_blocked()
                leaving.cancel_scope.cancel()

        assert sorted(answers) == ["first", "second", "third"]
        assert None not in answers.values()
        assert reads.sizes == [1, 1]
        assert await book.find(token) is not None


@pytest.mark.parametrize("by", ["anyio", "asyncio"])
async def test_who_leaves_while_reading_for_all_takes_nobody_along(by: str, world: World, reads: Reads) -> None:
    """Ours: asyncio leaves a thread at work behind, and no other may use the connection before it is done."""
    answers: Answers = {}
    scope = anyio.CancelScope()
    reader: asyncio.Task[None] | None = None
    async with world.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)

        async def leave() -> None:
            with scope:
                await look(book, token, answers, "leaves")
                await anyio.lowlevel.checkpoint()

        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as tasks, reads.held():
                reader = asyncio.create_task(leave())
                for who in ("second", "third"):
                    tasks.start_soon(look, book, token, answers, who)
                await reads.is_answered()
                if by == "anyio":
                    scope.cancel()
                else:
                    reader.cancel()
                tasks.start_soon(look, book, token, answers, "late")

        assert reader is not None
        assert reader.done()
        assert {"second", "third", "late"} <= set(answers)
        assert None not in answers.values()
        assert reads.most_at_once == 1
        assert await book.find(token) is not None


async def test_a_failure_is_for_those_who_shared_it_and_the_next_read_is_made(world: World, reads: Reads) -> None:
    """Ours: who asked after it began has another chance, and so has the database."""
    answers: Answers = {}
    async with world.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        await book.find(token)
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as tasks, reads.held():
                reads.failing = ConnectionRefusedError()
                for number in range(10):
                    tasks.start_soon(look, book, token, answers, f"shared {number}")
                await reads.is_answered()
                reads.failing = None
                for number in range(10):
                    tasks.start_soon(look, book, token, answers, f"later {number}")

        failed = {who: answer for who, answer in answers.items() if isinstance(answer, AccessUnavailable)}
        assert set(failed) == {f"shared {number}" for number in range(10)}
        assert len({id(error) for error in failed.values()}) == 10
        assert all(error.retryable for error in failed.values())
        assert sum(isinstance(answer, Grant) for answer in answers.values()) == 10
        assert reads.sizes == [1, 1, 1]
        assert await book.find(token) is not None


async def test_a_mistake_of_ours_is_shared_as_it_is(in_file: World, reads: Reads) -> None:
    """Ours: it is no trouble of the database, and it does not stay."""
    async with in_file.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        reads.failing = ZeroDivisionError()
        with anyio.fail_after(PATIENCE_SECONDS):
            outcomes = await asyncio.gather(*(book.find(token) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3
        assert reads.sizes == [1]

        reads.failing = None
        assert await book.find(token) is not None


# While others commit ---------------------------------------------------------------


class Waits:
    """How often a reader found the file locked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        self._often = threading.Event()
        monkeypatch.setattr(database, "randbelow", self._note)

    async def are_some(self) -> None:
        assert await anyio.to_thread.run_sync(self._often.wait, PATIENCE_SECONDS)

    def _note(self, below: int) -> int:
        self._count += 1
        if self._count == 20:
            self._often.set()
        return 0


@contextmanager
def locked(file: Path) -> Generator[sqlite3.Connection]:
    """Somebody commits, until they roll back."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield holder


@pytest.mark.parametrize("first_use", [True, False])
async def test_a_lock_is_asked_for_in_short_steps(
    first_use: bool, in_file: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: SQLite's own steps grow to a tenth of a second, and during a burst of writes miss most gaps."""
    waits = Waits(monkeypatch)
    answers: Answers = {}
    async with in_file.book() as maker, in_file.book() as server:
        _, token = await maker.create("reports", READ, expires_at_ms=None)
        if not first_use:
            await server.find(token)
        with anyio.fail_after(PATIENCE_SECONDS), locked(in_file.files[0]) as holder:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(look, server, token, answers, "first")
                await waits.are_some()
                assert answers == {}
                holder.execute("ROLLBACK")

    assert isinstance(answers["first"], Grant)


async def test_a_lock_that_stays_is_not_waited_for_without_end(in_file: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: it is called passing trouble, never a bad token."""
    async with in_file.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        assert await book.find(token) is not None
        with monkeypatch.context() as at_once, locked(in_file.files[0]):
            at_once.setattr(database, "BUSY_SECONDS", 0)
            with pytest.raises(AccessUnavailable) as caught:
                await book.find(token)
        assert caught.value.retryable

        assert await book.find(token) is not None
