"""What the built-in issuer keeps: invitations, codes, and tokens that follow one another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import pytest

from finexio_mcp.access import store
from finexio_mcp.access.book import MAX_METADATA_CHARS, AccessBook, AccessUnavailable
from finexio_mcp.access.grants import Grant, Pair, Terms
from finexio_mcp.access.secrets import mint
from finexio_mcp.access.store import ACCESS_TOKEN_MS, AGAIN_MS, MAX_CLIENTS, REFRESH_TOKEN_MS
from tests.access.conftest import CLIENT, DAY_MS, HOUR_MS, MINUTE_MS, READ, START_MS, World, asked

WRITE = Terms(access="write", toolsets=frozenset({"core"}))
Again = Callable[[AccessBook], Awaitable[Pair | None]]


async def let_in(book: AccessBook, terms: Terms = WRITE, *, until_ms: int | None = None) -> Pair:
    """A client that signed in."""
    _, invitation = await book.invite("chatgpt", terms, valid_ms=HOUR_MS, grant_expires_at_ms=until_ms)
    code = await book.accept(invitation, asked())
    assert code is not None
    pair = await book.exchange_code(code, CLIENT)
    assert pair is not None
    return pair


async def states(book: AccessBook) -> list[str]:
    return [grant.state(book.now_ms()) for grant in await book.grants()]


async def test_an_invitation_becomes_a_code_and_the_code_tokens(world: World) -> None:
    """Ours: each is used up by the next, and the tokens allow what the invitation does."""
    async with world.book() as issuer, world.book() as server:
        grant, invitation = await issuer.invite(
            "chatgpt", WRITE, valid_ms=15 * MINUTE_MS, grant_expires_at_ms=START_MS + 30 * DAY_MS
        )
        assert grant.state(world.ms) == "pending"
        assert grant.expires_at_ms == START_MS + 15 * MINUTE_MS
        assert await server.invited(invitation.upper()) == grant

        code_text = await server.accept(invitation, asked("pay"))
        assert code_text is not None
        assert await issuer.invited(invitation) is None
        agreed = await issuer.code(code_text)
        assert agreed is not None
        assert agreed == replace(asked("write"), grant_id=grant.id)

        pair = await server.exchange_code(code_text, CLIENT)
        assert pair is not None
        assert pair.expires_in_s == ACCESS_TOKEN_MS // 1000
        assert pair.grant == replace(
            grant,
            client_id=CLIENT,
            resource=agreed.resource,
            expires_at_ms=START_MS + 30 * DAY_MS,
        )
        assert await issuer.find(pair.access_text) == replace(pair.grant, expires_at_ms=START_MS + ACCESS_TOKEN_MS)
        refreshable = await issuer.refresh(pair.refresh_text)
        assert refreshable is not None
        assert (refreshable[0].id, refreshable[1]) == (grant.id, CLIENT)


async def test_a_code_may_be_chosen_and_is_given_once(world: World) -> None:
    """Ours: two replicas that are asked the same come to the same code, and the invitation is used up once."""
    text = mint("code").text
    async with world.book() as one, world.book() as other:
        _, invitation = await one.invite("chatgpt", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        with pytest.raises(ValueError, match="no text"):
            await one.accept(invitation, asked(), text="guessed")
        assert await one.accept(invitation, asked(), text=text) == text
        assert await other.accept(invitation, asked(), text=text) is None

        assert await other.code(text) is not None
        assert await other.exchange_code(text, CLIENT) is not None


async def test_a_client_that_asks_for_less_gets_less(world: World) -> None:
    """Ours."""
    async with world.book() as book:
        _, invitation = await book.invite("chatgpt", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        code = await book.accept(invitation, asked("read"))
        assert code is not None
        pair = await book.exchange_code(code, CLIENT)

    assert pair is not None
    assert (pair.grant.access, pair.grant.expires_at_ms) == ("read", None)


async def test_a_secret_is_only_good_for_what_it_was_made_for(world: World) -> None:
    """Ours: a refresh token is no access token, nor the reverse."""
    async with world.book() as book:
        grant, token = await book.create("reports", READ, expires_at_ms=None)
        _, invitation = await book.invite("another", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        code = await book.accept(invitation, asked())
        assert code is not None
        pair = await let_in(book)

        assert [await book.find(text) for text in (code, pair.refresh_text, invitation)] == [None] * 3
        assert [await book.code(text) for text in (token, pair.access_text, pair.refresh_text)] == [None] * 3
        assert [await book.refresh(text) for text in (token, code, pair.access_text)] == [None] * 3
        wrong = [await book.exchange_code(text, CLIENT) for text in (token, pair.access_text, pair.refresh_text)]
        wrong += [await book.exchange_refresh(text, CLIENT, "read") for text in (token, pair.access_text, code)]
        assert wrong == [None] * 6
        let = replace(pair.grant, expires_at_ms=START_MS + ACCESS_TOKEN_MS)
        assert [await book.find(text) for text in (token, pair.access_text)] == [grant, let]


async def test_what_is_not_used_in_time_is_gone(world: World) -> None:
    """Ours: a code that nobody exchanges frees the name of its grant, too."""
    async with world.book() as book:
        _, late = await book.invite("one", WRITE, valid_ms=MINUTE_MS, grant_expires_at_ms=None)
        _, timely = await book.invite("two", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        world.ms += MINUTE_MS
        assert await book.invited(late) is None
        assert await book.accept(late, asked()) is None

        code = await book.accept(timely, asked(expires_at_ms=world.ms + MINUTE_MS))
        assert code is not None
        world.ms += MINUTE_MS
        assert await book.code(code) is None
        assert await book.exchange_code(code, CLIENT) is None
        assert await states(book) == ["expired", "expired"]
        await book.create("two", READ, expires_at_ms=None)


async def test_an_invitation_that_was_revoked_lets_nobody_in(world: World) -> None:
    """Ours: nor does a code that came of it."""
    async with world.book() as book:
        _, invitation = await book.invite("one", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        await book.revoke("one")
        assert await book.invited(invitation) is None
        assert await book.accept(invitation, asked()) is None

        _, invitation = await book.invite("two", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        code = await book.accept(invitation, asked())
        assert code is not None
        await book.revoke("two")
        assert await book.code(code) is None
        assert await book.exchange_code(code, CLIENT) is None


async def test_another_client_cannot_use_a_code_nor_spoil_it(world: World) -> None:
    """Ours."""
    async with world.book() as book:
        _, invitation = await book.invite("chatgpt", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        code = await book.accept(invitation, asked())
        assert code is not None

        assert await book.exchange_code(code, "another") is None
        pair = await book.exchange_code(code, CLIENT)
        assert pair is not None
        assert await book.exchange_refresh(pair.refresh_text, "another", "read") is None
        assert await book.exchange_refresh(pair.refresh_text, CLIENT, "read") is not None


async def test_refresh_tokens_follow_one_another(world: World) -> None:
    """Ours: less may be asked for at one time, and all again at the next; more never is given."""
    async with world.book() as book:
        first = await let_in(book)
        world.ms += ACCESS_TOKEN_MS
        assert await book.find(first.access_text) is None

        second = await book.exchange_refresh(first.refresh_text, CLIENT, "read")
        assert second is not None
        found = await book.find(second.access_text)
        assert found == replace(second.grant, expires_at_ms=world.ms + ACCESS_TOKEN_MS)
        assert second.grant.access == "read"
        third = await book.exchange_refresh(second.refresh_text, CLIENT, "pay")
        assert third is not None
        assert third.grant.access == "write"

        world.ms += REFRESH_TOKEN_MS
        assert await book.refresh(third.refresh_text) is None
        assert await book.exchange_refresh(third.refresh_text, CLIENT, "write") is None
        assert await states(book) == ["active"]


async def test_no_token_outlasts_its_grant(world: World) -> None:
    """Ours: refreshing does not make an hour of a minute."""
    async with world.book() as book:
        pair = await let_in(book, until_ms=START_MS + 30 * MINUTE_MS)
        assert pair.expires_in_s == 30 * 60
        world.ms += 20 * MINUTE_MS
        again = await book.exchange_refresh(pair.refresh_text, CLIENT, "write")
        assert again is not None
        assert again.expires_in_s == 10 * 60

        world.ms += 10 * MINUTE_MS
        assert await book.find(again.access_text) is None
        assert await book.exchange_refresh(again.refresh_text, CLIENT, "write") is None


@pytest.mark.parametrize("client_id", [CLIENT, "a thief"])
async def test_a_code_that_comes_twice_ends_all_that_came_of_it(world: World, client_id: str) -> None:
    """Ours, as OAuth 2.1 asks: it was in two hands."""
    async with world.book() as book:
        _, invitation = await book.invite("chatgpt", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        code = await book.accept(invitation, asked())
        assert code is not None
        pair = await book.exchange_code(code, CLIENT)
        assert pair is not None
        # Looking at it ends nothing yet: whoever saw it go by proves nothing.
        assert await book.code(code) is not None
        assert await book.find(pair.access_text) is not None

        assert await book.exchange_code(code, client_id) is None
        assert await book.find(pair.access_text) is None
        assert await book.exchange_refresh(pair.refresh_text, CLIENT, "read") is None
        assert await states(book) == ["revoked"]


async def test_a_refresh_token_that_comes_twice_ends_all_that_came_of_it(world: World) -> None:
    """Ours, as OAuth 2.1 asks: it was in two hands."""
    async with world.book() as book:
        first = await let_in(book)
        second = await book.exchange_refresh(first.refresh_text, CLIENT, "write")
        assert second is not None
        world.ms += 29 * DAY_MS
        third = await book.exchange_refresh(second.refresh_text, CLIENT, "write")
        assert third is not None
        assert await book.refresh(first.refresh_text) is not None

        assert await book.exchange_refresh(first.refresh_text, CLIENT, "write") is None
        assert await book.find(third.access_text) is None
        assert await states(book) == ["revoked"]


async def at_once(world: World, act: Again) -> list[Pair]:
    """What eight attempts from two processes get."""
    got: list[Pair] = []

    async def attempt(book: AccessBook) -> None:
        if (pair := await act(book)) is not None:
            got.append(pair)

    async with world.book() as one, world.book() as other, anyio.create_task_group() as tasks:
        for book in (one, other) * 4:
            tasks.start_soon(attempt, book)
    return got


async def test_of_many_who_accept_at_once_one_does(world: World) -> None:
    """Ours: an invitation is for one client."""
    codes: list[str] = []

    async with world.book() as book:
        _, invitation = await book.invite("chatgpt", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)

    async def attempt(book: AccessBook, client_id: str) -> None:
        if (code := await book.accept(invitation, asked(client_id=client_id))) is not None:
            codes.append(code)

    async with world.book() as one, world.book() as other, anyio.create_task_group() as tasks:
        for number, book in enumerate((one, other) * 4):
            tasks.start_soon(attempt, book, f"client {number}")

    async with world.book() as book:
        (code,) = [await book.code(text) for text in codes]
        (grant,) = await book.grants()
    assert code is not None
    assert grant.client_id == code.client_id


async def test_of_many_who_exchange_a_code_at_once_one_does_and_all_is_revoked(world: World) -> None:
    """Ours: it was in many hands, and nobody can tell which was the right one."""
    async with world.book() as book:
        _, invitation = await book.invite("chatgpt", WRITE, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        code = await book.accept(invitation, asked())
        assert code is not None

        (pair,) = await at_once(world, lambda each: each.exchange_code(code, CLIENT))
        assert await book.find(pair.access_text) is None
        assert await states(book) == ["revoked"]


async def test_of_many_who_refresh_at_once_each_is_served(world: World) -> None:
    """Ours: a client in several processes is one client, and none of them is shut out."""
    async with world.book() as book:
        first = await let_in(book)

        pairs = await at_once(world, lambda each: each.exchange_refresh(first.refresh_text, CLIENT, "write"))
        assert len({pair.refresh_text for pair in pairs}) == len(pairs) > 1
        assert [await book.find(pair.access_text) is not None for pair in pairs] == [True] * len(pairs)
        assert await states(book) == ["active"]


async def test_whose_answer_was_lost_may_refresh_again_for_a_moment(world: World) -> None:
    """Ours: a broken connection does not end a sign-in; ten seconds later the same token does."""
    async with world.book() as book:
        first = await let_in(book)
        lost = await book.exchange_refresh(first.refresh_text, CLIENT, "write")
        world.ms += AGAIN_MS - 1
        kept = await book.exchange_refresh(first.refresh_text, CLIENT, "write")
        assert lost is not None
        assert kept is not None
        # A thief is no client of ours, however quick.
        assert await book.exchange_refresh(first.refresh_text, "a thief", "write") is None
        assert await book.find(kept.access_text) is not None

        world.ms += 1
        assert await book.exchange_refresh(first.refresh_text, CLIENT, "write") is None
        assert await book.find(kept.access_text) is None
        assert await book.exchange_refresh(kept.refresh_text, CLIENT, "write") is None
        assert await states(book) == ["revoked"]


async def test_an_access_token_is_revoked_with_its_grant(world: World) -> None:
    """Ours: by the id that a log shows, too."""
    async with world.book() as book:
        pair = await let_in(book)
        revoked = await book.revoke(pair.access_text.split("_")[1])

        assert revoked is not None
        assert revoked.id == pair.grant.id
        assert await book.find(pair.access_text) is None
        assert await book.refresh(pair.refresh_text) is None


async def test_what_is_long_over_makes_room(in_file: World) -> None:
    """Ours: a client that refreshes every hour does not fill the disk; what could be used twice is still known."""
    async with in_file.book() as book:
        first = await let_in(book)
        pair: Pair | None = first
        for _ in range(3):
            in_file.ms += 20 * DAY_MS
            assert pair is not None
            pair = await book.exchange_refresh(pair.refresh_text, CLIENT, "write")
        assert pair is not None

        found = [await book.revoke(text.split("_")[1]) for text in (first.access_text, first.refresh_text)]
        assert found == [None, None]
        assert await book.find(pair.access_text) is not None


async def test_clients_are_remembered(world: World) -> None:
    """Ours: the newest word of each counts."""
    async with world.book() as book, world.book() as other:
        await book.save_client(CLIENT, '{"client_name": "one"}')
        await book.save_client(CLIENT, '{"client_name": "zwei ☂"}')

        assert await other.client(CLIENT) == '{"client_name": "zwei ☂"}'
        assert [await other.client(text) for text in ("another", "", "\0", "\ud800", "x" * 9999)] == [None] * 5


@pytest.mark.parametrize(
    ("client_id", "metadata"),
    [("\0", "{}"), ("x" * 3000, "{}"), (CLIENT, "\0"), (CLIENT, "\ud800"), (CLIENT, "x" * (MAX_METADATA_CHARS + 1))],
)
async def test_what_cannot_be_kept_of_a_client_is_refused(in_file: World, client_id: str, metadata: str) -> None:
    """Ours: anybody may register one, so little is kept."""
    async with in_file.book() as book:
        with pytest.raises(ValueError, match="too long"):
            await book.save_client(client_id, metadata)


async def test_of_too_many_clients_those_go_that_nobody_let_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: whoever registers clients by the thousand does not drive out the one that is used."""
    assert MAX_CLIENTS == 4000
    monkeypatch.setattr(store, "MAX_CLIENTS", 3)
    async with world.book() as book:
        await book.save_client(CLIENT, "{}")
        await let_in(book)
        for name in ("a", "b", "c", "d"):
            world.ms += 1
            await book.save_client(name, "{}")

        assert [await book.client(name) for name in (CLIENT, "a", "b", "c", "d")] == ["{}", None, None, "{}", "{}"]


async def test_a_flood_of_clients_drives_out_the_oldest_and_not_who_is_signing_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: one younger than the ten minutes of a sign-in stays while there is an older one, and as long as it can."""
    monkeypatch.setattr(store, "MAX_CLIENTS", 4)
    async with world.book() as book:
        for name in ("old", "older than a sign-in"):
            await book.save_client(name, "{}")
            world.ms += 600_000
        for name in ("young", "younger", "flood 1", "flood 2"):
            world.ms += 1
            await book.save_client(name, "{}")
        names = ("old", "older than a sign-in", "young", "younger", "flood 1", "flood 2")
        assert [await book.client(name) for name in names] == [None, None, "{}", "{}", "{}", "{}"]

        world.ms += 1
        await book.save_client("flood 3", "{}")
        assert [await book.client(name) for name in ("young", "younger", "flood 3")] == [None, "{}", "{}"]


async def test_where_all_clients_are_used_there_is_no_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: then the operator is told what to do."""
    monkeypatch.setattr(store, "MAX_CLIENTS", 1)
    async with world.book() as book:
        await book.save_client(CLIENT, "{}")
        pair = await let_in(book)
        with pytest.raises(AccessUnavailable, match="revoke"):
            await book.save_client("another", "{}")

        await book.revoke(pair.grant.id)
        await book.save_client("another", "{}")
        assert [await book.client(name) for name in (CLIENT, "another")] == [None, "{}"]


def test_a_pair_does_not_show_its_tokens() -> None:
    """Ours."""
    grant = Grant(
        id="g",
        kind="oauth",
        name="n",
        access="read",
        toolsets=None,
        tools=None,
        client_id=None,
        resource=None,
        created_at_ms=0,
        expires_at_ms=None,
    )
    texts = [mint("access").text, mint("refresh").text]
    shown = repr(Pair(grant=grant, access_text=texts[0], refresh_text=texts[1], expires_in_s=1))

    assert not any(text in shown for text in texts)
