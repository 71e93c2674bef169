"""Where grants are kept: what lies there, what it leaves alone, and what happens when it cannot be used."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Collection, Generator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql

from finexio_mcp import catalog
from finexio_mcp.access.book import AccessBook, AccessUnavailable
from finexio_mcp.access.database import open_writer
from finexio_mcp.access.grants import Terms
from finexio_mcp.access.looking import Looking
from finexio_mcp.access.secrets import mint
from finexio_mcp.access.store import AGAIN_MS, Store
from finexio_mcp.guards.ledger.existing import consult
from finexio_mcp.guards.ledger.place import peek
from finexio_mcp.guards.ledger.store import open_store
from finexio_mcp.settings import ACCESS_ORDER, TOOLSETS, load
from tests.access.conftest import CLIENT, HOUR_MS, READ, START_MS, World, asked, file_world
from tests.conftest import simulator_settings
from tests.guards.ledger.conftest import new_schema


async def test_a_ledger_is_begun_as_a_write_would_begin_it(in_file: World) -> None:
    """Ours: a file with only grants in it would be taken for a damaged ledger."""
    async with in_file.book() as book:
        place = book.place
        await book.create("reports", READ, expires_at_ms=None)

    assert [(file.name, file.stat().st_mode & 0o777) for file in in_file.files] == [
        ("ledger.db", 0o600),
        ("ledger.key", 0o600),
    ]
    assert in_file.files[0].parent.stat().st_mode & 0o777 == 0o700
    peeked = peek(place)
    assert peeked is not None
    assert peeked.trouble is None
    verified = consult(place, lambda store: store.verify())
    assert verified is not None
    assert not verified.problems


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_ledger_that_is_there_is_left_as_it_is(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Ours: its rules, its chain and its version know nothing of grants; and it may be begun after them."""
    world = file_world(tmp_path)
    if kind == "postgresql":
        url = new_schema(request.getfixturevalue("postgresql"))
        world = World(load(FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY="k" * 32))
    async with world.book() as book:
        await book.create("reports", READ, expires_at_ms=None)
        with contextlib.closing(open_store(book.place, owner="me")) as store:
            before = store.verify()
        _, token = await book.create("another", READ, expires_at_ms=None)
        await book.revoke("reports")

        assert consult(book.place, lambda store: store.verify()) == before
        assert await book.find(token) is not None


async def test_the_simulators_grants_lie_in_a_file_that_the_commands_find_too(tmp_path: Path) -> None:
    """Ours: its ledger is memory, and a real one has nothing to do with it."""
    simulated = World(simulator_settings(FINEXIO_MCP_LEDGER_URL=f"sqlite:///{tmp_path}/real/ledger.db"))
    async with simulated.book() as book, simulated.book() as server:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        assert await server.find(token) is not None

    (file,) = simulated.files
    assert (file.name, file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == ("access.db", 0o600, 0o700)
    assert file.is_relative_to(tmp_path / "state")
    assert not (tmp_path / "real").exists()


async def test_only_digests_are_kept(
    in_file: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ours: whoever reads the disk, a log or a traceback cannot call, and cannot sign in."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    shown = ""
    async with in_file.book() as book:
        grant, token = await book.create("reports", READ, expires_at_ms=None)
        texts.append(token)
        invited, invitation = await book.invite("chatgpt", READ, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        texts += [invitation, invitation.replace("-", "")]
        code = await book.accept(invitation, asked())
        assert code is not None
        pair = await book.exchange_code(code, CLIENT)
        assert pair is not None
        texts += [code, pair.access_text, pair.refresh_text]
        again = await book.exchange_refresh(pair.refresh_text, CLIENT, "read")
        assert again is not None
        texts += [again.access_text, again.refresh_text]
        shown += repr([grant, invited, pair, again, await book.code(code), await book.refresh(again.refresh_text)])
        await book.find(again.access_text)
        in_file.ms += AGAIN_MS
        await book.exchange_refresh(pair.refresh_text, CLIENT, "read")
        in_file.files[0].unlink()
        for attempt in (book.find, book.code, book.refresh, book.revoke):
            with pytest.raises(AccessUnavailable) as caught:
                await attempt(token)
            shown += "".join(traceback.format_exception(caught.value))
        restored = world_bytes(in_file)
    async with file_world(in_file.files[0].parent.parent / "second").book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        texts.append(token)
    kept = restored + (in_file.files[0].parent.parent / "second" / "ledger" / "ledger.db").read_bytes()

    assert "revoked" in caplog.text
    secrets = [text.split("_", 2)[2] if text.startswith("fmcp_") else text for text in texts]
    everything = shown + caplog.text + "".join(capfd.readouterr())
    assert [secret for secret in secrets if secret in everything or secret.encode() in kept] == []


def world_bytes(world: World) -> bytes:
    return b"".join(file.read_bytes() for file in world.files)


async def test_a_database_that_is_busy_is_waited_for(in_file: World) -> None:
    """Ours: the ledger commits beside it, and callers are not turned away for that."""
    async with in_file.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        await book.find(token)
        limiter = book._looking._limiter  # pyright: ignore[reportPrivateUsage]
        assert limiter is not None
        holder = sqlite3.connect(in_file.files[0], isolation_level=None)
        with contextlib.closing(holder):
            holder.execute("BEGIN EXCLUSIVE")
            found: list[object] = []

            async def look() -> None:
                found.append(await book.find(token))

            with anyio.fail_after(5):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(look)
                    while not limiter.borrowed_tokens:
                        await anyio.lowlevel.checkpoint()
                    assert found == []
                    holder.execute("ROLLBACK")
            assert found != [None]


async def test_what_fails_fails_for_all_who_wait_and_is_tried_again_by_the_next(
    in_file: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: with a server that does not answer, each would otherwise wait for all before it."""
    attempts: list[str] = []
    real = Looking.find

    def fail(self: Looking, secret_ids: Collection[str]) -> None:
        attempts.extend(secret_ids)
        raise ConnectionRefusedError

    refused: list[AccessUnavailable] = []

    async def look(book: AccessBook, token: str) -> None:
        try:
            await book.find(token)
        except AccessUnavailable as error:
            refused.append(error)

    async with in_file.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        monkeypatch.setattr(Looking, "find", fail)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(look, book, token)
        assert (len(attempts), len(refused)) == (1, 20)
        assert all(error.retryable for error in refused)

        monkeypatch.setattr(Looking, "find", real)
        assert await book.find(token) is not None


async def test_a_ledger_that_was_removed_is_no_reason_to_call_a_token_bad(in_file: World) -> None:
    """Ours: nobody can tell then; and once it is back, all is as it was."""
    async with in_file.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        assert await book.find(token) is not None
        file = in_file.files[0]
        shutil.move(file, file.with_name("moved"))
        for attempt in (book.find(token), book.grants(), book.create("another", READ, expires_at_ms=None)):
            with pytest.raises(AccessUnavailable, match="Restore it from a backup"):
                await attempt

        shutil.move(file.with_name("moved"), file)
        assert await book.find(token) is not None


async def test_a_file_that_was_put_in_the_place_of_another_counts(in_file: World) -> None:
    """Ours: a kept connection would go on showing the one that is gone."""
    async with in_file.book() as maker:
        _, token = await maker.create("reports", READ, expires_at_ms=None)
        # Noted here, so that nobody writes while it is replaced.
        await maker.find(token)
    async with in_file.book() as server:
        file = in_file.files[0]
        copy = file.with_name("copy.db")
        shutil.copy(file, copy)
        assert await server.find(token) is not None
        with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("UPDATE access_grants SET revoked_at_ms = 1")
        os.replace(copy, file)

        assert await server.find(token) is None


async def test_tables_of_a_newer_version_are_left_alone(in_file: World) -> None:
    """Ours: what they mean, only that version knows."""
    async with in_file.book() as book:
        await book.create("reports", READ, expires_at_ms=None)
    with contextlib.closing(sqlite3.connect(in_file.files[0])) as connection, connection:
        connection.execute("UPDATE access_about SET version = 2")

    async with in_file.book() as book:
        for attempt in (book.grants(), book.create("another", READ, expires_at_ms=None)):
            with pytest.raises(AccessUnavailable, match="newer version"):
                await attempt


INTERRUPTED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
# With no room in memory, it has to write to the file before it is done.
connection.execute("PRAGMA cache_size = 1")
connection.execute("PRAGMA cache_spill = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE access_grants SET revoked_at_ms = 1")
connection.execute("CREATE TABLE much AS WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
    "SELECT i, hex(randomblob(50)) FROM n")
os._exit(0)
"""


async def test_what_a_process_left_half_done_is_undone_by_who_looks(in_file: World) -> None:
    """Ours: a server that only checks tokens need not wait for somebody who writes."""
    async with in_file.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
    await anyio.run_process([sys.executable, "-c", INTERRUPTED, str(in_file.files[0])], stderr=subprocess.DEVNULL)
    assert [file.name for file in in_file.files] == ["ledger.db", "ledger.db-journal", "ledger.key"]

    async with in_file.book() as book:
        assert await book.find(token) is not None
    assert [file.name for file in in_file.files] == ["ledger.db", "ledger.key"]


async def test_no_call_fails_because_its_use_cannot_be_noted(in_file: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a full disk does not shut anybody out who only reads."""

    def fail(self: Store, uses: object) -> None:
        raise OSError(28, "No space left on device")

    async with in_file.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        monkeypatch.setattr(Store, "record_uses", fail)
        assert await book.find(token) is not None
        in_file.ms += HOUR_MS
        assert await book.find(token) is not None


async def test_a_server_that_is_not_there_is_named_without_its_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ours: what is wrong is for the operator, and it may be over soon."""
    url = "postgresql://somebody:planted-password@127.0.0.1:1/finexio"
    book = AccessBook(load(FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY="planted-key" * 3))
    with pytest.raises(AccessUnavailable) as caught:
        await book.find(mint("token").text)
    await book.aclose()

    assert caught.value.retryable
    assert "127.0.0.1:1" in caught.value.advice
    assert "planted" not in "".join(traceback.format_exception(caught.value)) + caplog.text


async def test_a_connection_that_died_is_made_anew(request: pytest.FixtureRequest) -> None:
    """Ours: PostgreSQL was restarted, and no caller hears of it."""
    url = new_schema(request.getfixturevalue("postgresql"))
    world = World(load(FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY="k" * 32))
    async with world.book() as book:
        _, token = await book.create("reports", READ, expires_at_ms=None)
        assert await book.find(token) is not None
        with contextlib.closing(open_store(book.place, owner="me")) as store:
            engine = store._engine  # pyright: ignore[reportPrivateUsage]
            with engine.connect() as connection:
                connection.execute(
                    sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE pid <> pg_backend_pid() AND query LIKE '%access_%'"
                    )
                )

        assert await book.find(token) is not None


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[Store, Looking]]:
    world = file_world(tmp_path_factory.mktemp("terms"))
    if request.param == "postgresql":
        url = new_schema(request.getfixturevalue("postgresql"))
        world = World(load(FINEXIO_MCP_LEDGER_URL=url, FINEXIO_MCP_STATE_KEY="k" * 32))
    place = AccessBook(world.settings).place
    with (
        contextlib.closing(Store(open_writer(place, world.settings), scope=place.scope, now=world.now)) as store,
        contextlib.closing(Looking(place)) as looking,
    ):
        yield store, looking


NAMES = st.text(min_size=1, max_size=80).filter(lambda text: "\0" not in text and text.isprintable())
LIMITS = {
    "toolsets": st.none() | st.frozensets(st.sampled_from(TOOLSETS)),
    "tools": st.none() | st.frozensets(st.sampled_from(sorted(catalog.read()))),
}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=NAMES,
    terms=st.builds(Terms, access=st.sampled_from(ACCESS_ORDER), **LIMITS),
    expires_at_ms=st.none() | st.integers(START_MS + 1, 2**62),
)
def test_terms_are_kept_as_they_were_given(
    opened: tuple[Store, Looking], name: str, terms: Terms, expires_at_ms: int | None
) -> None:
    """Ours: none and all are different things, and no limit is lost on the way."""
    store, looking = opened
    grant, _ = store.create(name, terms, expires_at_ms=expires_at_ms)
    try:
        found = looking.find([grant.id])[grant.id]
        assert found.grant == grant
        assert Terms(access=found.grant.access, toolsets=found.grant.toolsets, tools=found.grant.tools) == terms
    finally:
        store.revoke(grant.id)
