"""Sign-ins at two replicas on one PostgreSQL, each of which answers some of the requests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from finexio_mcp.access import secrets
from finexio_mcp.issuer.consent import TWICE_MS
from finexio_mcp.issuer.pending import Pending, Seal
from finexio_mcp.issuer.tries import REGISTRATIONS_OF_ONE, WRONG_CODES_FOR_ONE
from finexio_mcp.settings import load
from finexio_mcp.sharing.tries import Tries
from tests.guards.ledger.conftest import new_schema
from tests.guards.ledger.conftest import postgresql as postgresql
from tests.issuer.world import REDIRECT, Clock, Page, World, parameters, world

STATE_KEY = "k" * 40
WRONG = "aaaa-aaaa-aaaa-aaaa"


@pytest.fixture
def url(postgresql: str) -> str:
    """A place of the test's own."""
    return new_schema(postgresql).replace("+psycopg", "")


def shared(url: str) -> dict[str, Any]:
    return {
        "FINEXIO_ENVIRONMENT": "sandbox",
        "FINEXIO_MCP_LEDGER_URL": url,
        "FINEXIO_MCP_STATE_KEY": STATE_KEY,
        "FINEXIO_MCP_REPLICAS": 2,
    }


@contextlib.asynccontextmanager
async def replicas(url: str) -> AsyncGenerator[tuple[World, World]]:
    """Two servers with the same settings. Open them in the test itself."""
    clock = Clock()
    async with world(clock, **shared(url)) as one, world(clock, **shared(url)) as other:
        yield one, other


async def begun(one: World) -> tuple[str, Page]:
    """A client, and the page on which somebody is asked for it."""
    client_id = (await one.register(redirect_uris=[REDIRECT]))["client_id"]
    return client_id, await one.page(client_id)


async def let_in(server: World, page: Page, invitation: str, access: str = "pay") -> httpx2.Response:
    return await server.answer(page, code=invitation, access=access)


def code_in(answer: httpx2.Response) -> str:
    assert answer.status_code == 303, Page(answer.text).text
    return parameters(answer.headers["location"])["code"]


async def test_a_sign_in_may_wander_from_replica_to_replica(url: str) -> None:
    """Ours: registered here, asked there, let in here, and the token from there."""
    async with replicas(url) as (one, other):
        client_id = (await one.register())["client_id"]
        page = await other.page(client_id)
        code = code_in(await let_in(one, page, await other.invite("write"), "write"))
        answer = await other.exchange(client_id, code)

        assert answer.status_code == 200
        assert await one.access_of(answer.json()["access_token"]) == "write"


async def test_who_clicks_twice_gets_the_same_from_two_replicas(url: str) -> None:
    """Ours: the browser heeds only the second answer, which may come from another replica than the first."""
    async with replicas(url) as (one, other):
        client_id, page = await begun(one)
        invitation = await one.invite()

        first = code_in(await let_in(one, page, invitation))
        second = code_in(await let_in(other, page, invitation.upper()))
        answer = await one.exchange(client_id, second)

        assert second == first
        assert answer.status_code == 200
        assert await other.access_of(answer.json()["access_token"]) == "pay"


async def test_who_clicks_twice_at_the_same_moment_gets_the_same_from_two_replicas(url: str) -> None:
    """Ours: neither is told that the one-time code is used."""
    async with replicas(url) as servers:
        client_id, page = await begun(servers[0])
        invitation = await servers[0].invite()
        codes: list[str] = []

        async def click(server: World) -> None:
            codes.append(code_in(await let_in(server, page, invitation)))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for server in (*servers, *servers):
                    tasks.start_soon(click, server)

        assert len(codes) == 4
        assert len(set(codes)) == 1
        assert (await servers[1].exchange(client_id, codes[0])).status_code == 200


async def test_a_second_click_counts_as_one_for_a_moment_only(url: str) -> None:
    """Ours: later, the one-time code is used, wherever it is typed."""
    async with replicas(url) as (one, other):
        _, page = await begun(one)
        invitation = await one.invite()
        code_in(await let_in(one, page, invitation))
        one.clock.forward(TWICE_MS / 1000)

        for server in (one, other):
            assert (await let_in(server, page, invitation)).status_code == 400


async def test_a_second_click_with_another_choice_is_another_answer(url: str) -> None:
    """Ours: nobody gets what they did not choose."""
    async with replicas(url) as (one, other):
        _, page = await begun(one)
        invitation = await one.invite()
        code_in(await let_in(one, page, invitation, "pay"))

        assert (await let_in(other, page, invitation, "read")).status_code == 400


async def test_a_code_that_came_from_two_replicas_is_still_good_for_one_use(url: str) -> None:
    """Ours: the second use ends all that came of it, at whichever replica."""
    async with replicas(url) as (one, other):
        client_id, page = await begun(one)
        invitation = await one.invite()
        code = code_in(await let_in(one, page, invitation))
        code_in(await let_in(other, page, invitation))
        token = (await one.exchange(client_id, code)).json()["access_token"]

        assert (await other.exchange(client_id, code)).status_code == 400
        assert await one.access_of(token) is None


def test_a_code_is_told_by_all_of_what_it_is_for_and_by_the_key() -> None:
    """Ours: who knows a sign-in and its one-time code cannot make the code that comes of them without the key."""
    pending = Pending("nonce", "client", REDIRECT, True, "challenge", "pay", None, None, 1)
    one, same, forger = (Seal(load(FINEXIO_MCP_STATE_KEY=key), lambda: 0) for key in (STATE_KEY, STATE_KEY, "z" * 40))
    code = one.code(pending, ("id", "digest"), "pay")

    assert same.code(pending, ("id", "digest"), "pay") == code
    assert secrets.parse(code) is not None
    others = {
        forger.code(pending, ("id", "digest"), "pay"),
        one.code(replace(pending, nonce="another"), ("id", "digest"), "pay"),
        one.code(pending, ("another", "digest"), "pay"),
        one.code(pending, ("id", "another"), "pay"),
        one.code(pending, ("id", "digest"), "read"),
    }
    assert len(others) == 5
    assert code not in others


async def test_two_sign_ins_never_get_the_same_code(url: str) -> None:
    """Ours: each has its own, with one-time codes of their own."""
    async with replicas(url) as (one, other):
        codes = {code_in(await let_in(server, (await begun(server))[1], await one.invite())) for server in (one, other)}

        assert len(codes) == 2


async def test_wrong_codes_count_at_all_replicas_together(url: str) -> None:
    """Ours: nobody gets more tries by going to another one; the right one comes too late then."""
    async with replicas(url) as servers:
        one, other = servers
        _, page = await begun(one)
        invitation = await one.invite()

        answers = [await let_in(servers[number % 2], page, WRONG) for number in range(WRONG_CODES_FOR_ONE)]
        assert [answer.status_code for answer in answers] == [400] * (WRONG_CODES_FOR_ONE - 1) + [403]
        for server in (one, other):
            assert (await let_in(server, page, invitation)).status_code == 403

        # Others are not kept from anything.
        _, next_page = await begun(other)
        code_in(await let_in(one, next_page, invitation))


async def test_many_wrong_codes_at_once_get_no_further(url: str) -> None:
    """Ours: a try is counted before the code is looked at."""
    async with replicas(url) as servers:
        _, page = await begun(servers[0])
        looked_at: list[int] = []

        async def guess(server: World, number: int) -> None:
            typed = f"{'abcdefghijkmnpqr'[number]}{WRONG[1:]}"
            looked_at.append((await let_in(server, page, typed)).status_code)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for number in range(16):
                    tasks.start_soon(guess, servers[number % 2], number)

        assert looked_at.count(400) <= WRONG_CODES_FOR_ONE
        assert looked_at.count(403) >= 16 - WRONG_CODES_FOR_ONE


async def test_the_last_try_may_be_the_right_one_anywhere(url: str) -> None:
    """Ours: five wrong codes are too many, four are not."""
    async with replicas(url) as servers:
        _, page = await begun(servers[0])
        invitation = await servers[0].invite()
        for number in range(WRONG_CODES_FOR_ONE - 1):
            assert (await let_in(servers[number % 2], page, WRONG)).status_code == 400

        first = code_in(await let_in(servers[1], page, invitation))
        assert code_in(await let_in(servers[0], page, invitation)) == first


async def test_registrations_count_at_all_replicas_together(url: str) -> None:
    """Ours: an address gets no more of them by going to another one."""
    asked = {"redirect_uris": [REDIRECT], "client_name": "Robot"}
    async with replicas(url) as servers:
        told = [
            (await servers[number % 2].http.post("/register", json=asked)).status_code
            for number in range(REGISTRATIONS_OF_ONE + 4)
        ]
        servers[1].comes_from("192.0.2.77")

        assert told == [201] * REGISTRATIONS_OF_ONE + [429] * 4
        assert (await servers[1].http.post("/register", json=asked)).status_code == 201


async def test_no_address_stands_in_the_database(url: str) -> None:
    """Ours: who registered from where is nobody's business."""
    async with replicas(url) as (one, _):
        one.comes_from("192.0.2.77")
        await one.register()
    with create_engine(url.replace("://", "+psycopg://", 1), poolclass=NullPool).begin() as connection:
        keys = list(connection.execute(text("SELECT key FROM shared_tries_1")).scalars())

    assert keys
    assert not any("192.0.2.77" in key for key in keys)


async def test_tries_are_forgotten_when_their_time_is_over(url: str) -> None:
    """Ours: then there are new ones, and strangers do not fill the database."""
    tries = Tries(load(**shared(url)))
    try:
        left = [await tries.take("test", "a", most=2, window_seconds=0.2) for _ in range(3)]
        assert left == [1, 0, None]

        with anyio.fail_after(5):
            while await tries.take("test", "a", most=2, window_seconds=0.2) is None:
                await anyio.lowlevel.checkpoint()
    finally:
        tries.close()


async def test_old_tries_are_swept_away(url: str) -> None:
    """Ours: once a minute, by whoever counts then."""
    tries = Tries(load(**shared(url)))
    try:
        for who in "abc":
            await tries.take("test", who, most=2, window_seconds=0.0)
    finally:
        tries.close()
    swept = Tries(load(**shared(url)))
    try:
        await swept.take("test", "d", most=2, window_seconds=60)
    finally:
        swept.close()
    with create_engine(url.replace("://", "+psycopg://", 1), poolclass=NullPool).begin() as connection:
        count = connection.execute(text("SELECT count(*) FROM shared_tries_1")).scalar_one()

    assert count == 1


async def test_who_asks_where_nobody_counts_together_is_counted_by_each(url: str) -> None:
    """Known gap: while PostgreSQL is away; but then nobody signs in either."""
    broken = {**shared(url), "FINEXIO_MCP_LEDGER_URL": "postgresql://u:p@127.0.0.1:1/x"}
    async with world(Clock(), **broken) as alone:
        answer = await alone.http.post("/register", json={"redirect_uris": [REDIRECT], "client_name": "Robot"})

    assert answer.status_code == 503
