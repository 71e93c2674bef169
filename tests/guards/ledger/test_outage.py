"""A database server that stops, is killed or freezes, and comes back: no call waits long, and nothing is restarted."""

from __future__ import annotations

import time
from collections.abc import Generator
from zlib import crc32

import anyio
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from finexio_mcp.errors import LedgerUnavailable
from finexio_mcp.guards.ledger import book as books
from finexio_mcp.guards.ledger.book import Book
from finexio_mcp.guards.ledger.engines import MORE, POOLED, Pools
from finexio_mcp.guards.ledger.states import State
from finexio_mcp.settings import Settings, load
from tests.replicas.databases import PostgreSQL, postgresql

from .conftest import RULES, SCOPE, invoice, new_schema

ACCOUNTS = 30


@pytest.fixture(scope="module")
def server() -> Generator[PostgreSQL]:
    with postgresql() as server:
        yield server


@pytest.fixture
def settings(server: PostgreSQL) -> Settings:
    url = new_schema(server.url).replace("+psycopg", "")
    return load(FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY="k" * 32, FINEXIO_BASE_URL=SCOPE)


@pytest.fixture
def pools() -> Generator[Pools]:
    pools = Pools()
    yield pools
    pools.close()


async def claim(book: Book, number: str) -> str:
    """Whether an invoice that looks like no other is ours to send."""
    amount_cents = 1 + crc32(number.encode())
    wanted = [invoice(number, amount_cents=amount_cents, near_number=number)]
    told = await book.claim(wanted, op_id=f"op-{book.account}-{number}", tool="t", effect="pay", rules=RULES)
    return "claimed" if told.rows else "known" if told.known else "elsewhere"


async def refused(book: Book, number: str) -> LedgerUnavailable:
    with anyio.fail_after(10), pytest.raises(LedgerUnavailable) as raised:
        await claim(book, number)
    return raised.value


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_that_ends_and_comes_back_needs_no_restart(
    end: str, server: PostgreSQL, settings: Settings, pools: Pools, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: calls meanwhile are told so at once, the first one after is served, and the log says each once."""
    caplog.set_level("WARNING", "finexio_mcp.ledger")
    book = Book(settings, pools=pools)
    assert await claim(book, "BEFORE") == "claimed"

    getattr(server, end)()
    try:
        errors = [await refused(book, f"DURING-{attempt}") for attempt in range(3)]
    finally:
        server.start()
    with anyio.fail_after(10):
        told = [await claim(book, number) for number in ("BEFORE", "DURING-0")]

    assert [error.retryable for error in errors] == [True] * 3
    assert told == ["known", "claimed"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["the ledger cannot be used: unreachable", "the ledger can be used again"]


async def test_a_server_that_freezes_holds_no_call_for_long(
    server: PostgreSQL, settings: Settings, pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: it takes what is sent to it and keeps its connections, so only our own clock tells. Nothing is lost."""
    monkeypatch.setattr(books, "SERVER_SECONDS", 1.0)
    book, other = Book(settings, pools=pools), Book(settings, account="acme", pools=pools)
    assert await claim(book, "BEFORE") == "claimed"

    server.freeze()
    try:
        begun = time.monotonic()
        errors = [await refused(book, "DURING"), await refused(book, "DURING-2"), await refused(other, "DURING-3")]
        took = time.monotonic() - begun
    finally:
        server.thaw()
    told: list[str] = []
    with anyio.fail_after(30):
        while len(told) < 2:
            try:
                told = [await claim(book, number) for number in ("BEFORE", "AFTER")]
            except LedgerUnavailable:
                await anyio.lowlevel.checkpoint()

    assert [error.retryable for error in errors] == [True] * 3
    assert took < 6
    assert told == ["known", "claimed"]
    # What was asked while nobody answered may have been recorded after all: then it is known, and never sent by two.
    assert await claim(book, "DURING") in {"known", "claimed"}


async def test_a_server_that_is_not_there_at_the_first_use_is_found_later(
    server: PostgreSQL, settings: Settings, pools: Pools
) -> None:
    """Ours: a process that starts during an outage serves writes when it is over."""
    book = Book(settings, pools=pools)

    server.stop()
    try:
        error = await refused(book, "DURING")
    finally:
        server.start()

    assert error.retryable
    assert await claim(book, "DURING") == "claimed"


async def test_many_accounts_share_a_few_connections(server: PostgreSQL, settings: Settings, pools: Pools) -> None:
    """Ours: a server has a hundred at most, and every replica wants some."""
    held = Book(settings, pools=pools)
    await held.key()
    accounts = [Book(settings, account=f"a{n}", pools=pools) for n in range(ACCOUNTS)]
    most: list[int] = []
    done = anyio.Event()

    async def count() -> None:
        engine = create_engine(server.url, poolclass=NullPool)
        asked = "SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
        with engine.connect() as connection:
            while not done.is_set():
                most.append(connection.execute(text(asked)).scalar_one())
                connection.rollback()
                await anyio.lowlevel.checkpoint()

    told: list[str] = []

    async def submit(book: Book, n: int) -> None:
        told.extend([await claim(book, f"N-{n}-{at}") for at in range(3)])

    with anyio.fail_after(60):
        async with anyio.create_task_group() as watching:
            watching.start_soon(count)
            async with anyio.create_task_group() as tasks:
                for n, book in enumerate(accounts):
                    tasks.start_soon(submit, book, n)
            done.set()

    assert told == ["claimed"] * 3 * ACCOUNTS
    assert 1 < max(most) <= POOLED + MORE == 8


async def test_counts_are_an_accounts_own(settings: Settings, pools: Pools) -> None:
    """Ours: what is to come of its submissions, for whoever watches."""
    book, other = Book(settings, pools=pools), Book(settings, account="acme", pools=pools)
    await claim(book, "ONE")

    assert (await book.counts())[State.INTENDED] == 1
    assert set((await other.counts()).values()) == {0}
    assert await claim(other, "ONE") == "elsewhere"
