"""Tokens of ours: what they allow, and how they end."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection

from finexio_mcp.access import rows
from finexio_mcp.access.book import LAST_USE_MS, AccessBook, NameTaken
from finexio_mcp.access.grants import Grant, Terms
from finexio_mcp.access.secrets import mint
from finexio_mcp.settings import load
from tests.access.conftest import DAY_MS, HOUR_MS, MINUTE_MS, READ, START_MS, World
from tests.guards.ledger.conftest import new_schema

NARROW = Terms(
    access="write", toolsets=frozenset({"core", "ledger"}), tools=frozenset({"get_single_finexio_payment_by_id"})
)


async def test_a_token_shows_who_calls_and_how_far_they_may_go(world: World) -> None:
    """Ours: a server in another process knows it at once."""
    async with world.book() as maker, world.book() as server:
        grant, text = await maker.create("reports", NARROW, expires_at_ms=START_MS + DAY_MS)
        found = await server.find(text)

    assert grant == found
    assert grant == Grant(
        id=text.split("_")[1],
        kind="token",
        name="reports",
        access="write",
        toolsets=NARROW.toolsets,
        tools=NARROW.tools,
        client_id=None,
        resource=None,
        created_at_ms=START_MS,
        expires_at_ms=START_MS + DAY_MS,
    )


async def test_what_is_no_token_of_ours_finds_nothing(world: World) -> None:
    """Ours."""
    async with world.book() as book:
        _, text = await book.create("reports", READ, expires_at_ms=None)
        stranger = mint("token").text
        swapped = text[:17] + stranger[17:]

        others = ["", "fmcp_", text[:-1], text + "=", text.upper(), f" {text}", stranger, swapped, "x" * 100_000, "\0"]
        assert [await book.find(other) for other in others] == [None] * len(others)
        assert await book.find(text) is not None


async def test_asking_where_nothing_was_granted_makes_nothing(world: World) -> None:
    """Ours: a server that nobody made a token for leaves no trace, and has no callers."""
    async with world.book() as book:
        assert await book.find(mint("token").text) is None
        assert await book.grants() == []
        assert await book.revoke("reports") is None
        assert await book.invited(mint("invitation").text) is None
        assert await book.code(mint("code").text) is None
        assert await book.refresh(mint("refresh").text) is None
        assert await book.client("someone") is None
        assert world.files == []

        _, text = await book.create("reports", READ, expires_at_ms=None)
        assert await book.find(text) is not None


async def test_a_token_ends_at_its_moment(world: World) -> None:
    """Ours: not a call later."""
    async with world.book() as book:
        _, text = await book.create("reports", READ, expires_at_ms=START_MS + HOUR_MS)
        world.ms = START_MS + HOUR_MS - 1
        assert await book.find(text) is not None

        world.ms += 1
        assert await book.find(text) is None
        assert [grant.state(world.ms) for grant in await book.grants()] == ["expired"]


async def test_a_token_without_an_end_does_not_end(world: World) -> None:
    """Ours."""
    async with world.book() as book:
        _, text = await book.create("reports", READ, expires_at_ms=None)
        world.ms += 10_000 * DAY_MS

        assert await book.find(text) is not None


async def test_what_another_process_revokes_is_refused_at_the_next_call(world: World) -> None:
    """Ours: nothing is remembered from one call to the next."""
    async with world.book() as server, world.book() as operator:
        grant, text = await operator.create("reports", READ, expires_at_ms=None)
        assert await server.find(text) is not None

        revoked = await operator.revoke("reports")
        assert await server.find(text) is None

    assert revoked is not None
    assert (revoked.id, revoked.revoked_at_ms, revoked.state(world.ms)) == (grant.id, START_MS, "revoked")


async def test_a_grant_is_revoked_by_its_name_or_its_id_and_once(world: World) -> None:
    """Ours: only what could still be used is there to be revoked."""
    async with world.book() as book:
        by_name, _ = await book.create("Täglich", READ, expires_at_ms=None)
        by_id, _ = await book.create("by id", READ, expires_at_ms=None)
        over, _ = await book.create("over", READ, expires_at_ms=START_MS)

        nobody = ["", "nobody", "\0", "\ud800", "x" * 5000, mint("token").id, "over"]
        assert [await book.revoke(name) for name in nobody] == [None] * len(nobody)
        revoked = [await book.revoke(name) for name in ("TÄGLICH", by_id.id, over.id)]
        assert [grant and grant.id for grant in revoked] == [by_name.id, by_id.id, over.id]
        assert [await book.revoke(name) for name in ("Täglich", by_id.id, over.id)] == [None, None, None]


async def test_no_two_that_last_share_a_name(world: World) -> None:
    """Ours: who revokes by name ends the one that is meant."""
    async with world.book() as book:
        first, _ = await book.create("Reports", READ, expires_at_ms=START_MS + HOUR_MS)
        for name in ("Reports", "reports", first.id):
            with pytest.raises(NameTaken):
                await book.create(name, READ, expires_at_ms=None)
        with pytest.raises(NameTaken):
            await book.invite("REPORTS", READ, valid_ms=HOUR_MS, grant_expires_at_ms=None)

        world.ms += HOUR_MS
        second, _ = await book.create("reports", READ, expires_at_ms=None)
        assert await book.revoke("reports") is not None
        third, _ = await book.create("reports", READ, expires_at_ms=None)

        assert [grant.id for grant in await book.grants()] == [
            first.id,
            *sorted((second.id, third.id)),
        ]


@pytest.mark.parametrize("name", ["", " ", " reports", "re\nports", "re\x1bports", "re\u202eports", "-f", "x" * 81])
async def test_a_name_is_a_short_line(name: str, in_file: World) -> None:
    """Ours: it is shown on terminals and stands in logs."""
    async with in_file.book() as book:
        with pytest.raises(ValueError, match="one line"):
            await book.create(name, READ, expires_at_ms=None)

    assert in_file.files == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_token_for_the_sandbox_is_nothing_in_production(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Ours: both may keep their ledgers in one database."""
    url = f"sqlite:///{tmp_path}/ledger/ledger.db"
    if kind == "postgresql":
        url = new_schema(request.getfixturevalue("postgresql"))
    shared = {"FINEXIO_MCP_LEDGER_URL": url, "FINEXIO_MCP_STATE_KEY": "k" * 32, "FINEXIO_MCP_ALLOW_VOLATILE_LEDGER": 1}
    sandbox, production = (World(load(FINEXIO_ENVIRONMENT=name, **shared)) for name in ("sandbox", "production"))

    async with sandbox.book() as one, production.book() as other:
        _, token = await one.create("reports", READ, expires_at_ms=None)
        _, invitation = await one.invite("chatgpt", READ, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        assert await other.find(token) is None
        assert await other.invited(invitation) is None
        assert await other.grants() == []
        assert [await other.revoke(name) for name in ("reports", token.split("_")[1])] == [None, None]

        _, another = await other.create("reports", READ, expires_at_ms=None)
        assert await other.find(another) is not None
        assert await one.find(token) is not None


async def test_of_many_who_want_a_name_at_once_one_gets_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: in several processes, too."""
    won: list[str] = []
    together = threading.Barrier(2)
    known = rows.grants

    def meet(connection: Connection, scope: str) -> list[Grant]:
        found = known(connection, scope)
        # Two that were let in together would both have seen that the name is free. Alone, one does not wait for long.
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.3)
        return found

    async def want(book: AccessBook) -> None:
        try:
            grant, _ = await book.create("reports", READ, expires_at_ms=None)
        except NameTaken:
            return
        won.append(grant.id)

    async with world.book() as one, world.book() as other:
        for book, name in ((one, "one"), (other, "other")):
            await book.create(name, READ, expires_at_ms=None)
        monkeypatch.setattr(rows, "grants", meet)
        async with anyio.create_task_group() as tasks:
            for book in (one, other) * 5:
                tasks.start_soon(want, book)

        assert [grant.id for grant in await one.grants() if grant.name == "reports"] == won
    assert len(won) == 1


async def test_the_last_use_is_noted_and_not_at_every_call(world: World) -> None:
    """Ours: exact to a minute, in all processes together."""
    async with world.book() as book:
        _, text = await book.create("reports", READ, expires_at_ms=None)
        await book.find(text)
    assert await last_use(world) == START_MS

    world.ms += LAST_USE_MS - 1
    async with world.book() as book:
        await book.find(text)
    assert await last_use(world) == START_MS

    world.ms += 1
    async with world.book() as book:
        for _ in range(5):
            await book.find(text)
    assert await last_use(world) == world.ms


async def last_use(world: World) -> int | None:
    async with world.book() as book:
        (grant,) = await book.grants()
        return grant.last_used_at_ms


async def test_who_still_uses_what_has_ended_is_named_in_the_log_once_a_minute(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: of five programs, an operator sees which one has the old token; and never the token."""
    async with world.book() as book:
        grant, text = await book.create("month end", READ, expires_at_ms=None)
        await book.revoke("month end")
        for _ in range(3):
            assert await book.find(text) is None
        world.ms += MINUTE_MS
        assert await book.find(text) is None

    told = [record.getMessage() for record in caplog.records if "was refused" in record.getMessage()]
    assert told == [f"'month end' (id {grant.id}) was refused: it is revoked"] * 2
    assert text.split("_")[2] not in caplog.text
