"""While the database of the tokens is away: who goes on, for how long, and who waits for it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from finexio_mcp.access import book as book_module
from finexio_mcp.access import lasting
from finexio_mcp.access.book import NO_ANSWER, AccessBook, AccessUnavailable
from finexio_mcp.access.grants import Found, Grant
from finexio_mcp.access.lasting import LASTING_SECONDS, REST_SECONDS, Lasting
from finexio_mcp.access.looking import Looking
from finexio_mcp.access.secrets import mint
from finexio_mcp.guards.ledger.trouble import Unusable
from tests.access.conftest import CLIENT, HOUR_MS, READ, START_MS, World, asked

from .issuing import Clock

KNOWN, OTHER, STRANGER = (mint("token").text for _ in range(3))
GRANT = Grant(
    id="abcdefghijkm",
    kind="token",
    name="Night run",
    access="write",
    toolsets=None,
    tools=None,
    client_id=None,
    resource=None,
    created_at_ms=START_MS,
    expires_at_ms=None,
)
AWAY = AccessUnavailable("It is away.", retryable=True)
BROKEN = AccessUnavailable("It is damaged.")


class Books:
    """A database that fails, or keeps silent, as it is told to."""

    def __init__(self) -> None:
        self.known = {KNOWN: GRANT, OTHER: GRANT}
        self.failing: AccessUnavailable | None = None
        self.silence: anyio.Event | None = None
        self.asked = 0
        self.revoked: set[str] = set()
        self.clock = Clock()
        self.lasting = Lasting(self, self.clock)

    async def find(self, text: str) -> Grant | None:
        self.asked += 1
        if self.silence is not None:
            await self.silence.wait()
        if self.failing is not None:
            raise self.failing
        return self.known.get(text)

    def knows_revoked(self, grant_id: str) -> bool:
        return grant_id in self.revoked

    async def answers(self, text: str = KNOWN) -> Grant | str | None:
        """What is told of a token now."""
        return await answer_of(self.lasting, text)


async def answer_of(tokens: Lasting, text: str) -> Grant | str | None:
    """The grant, or why nobody can tell."""
    try:
        return await tokens.find(text)
    except AccessUnavailable as error:
        return "away" if error.retryable else "broken"


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(lasting, "LONGEST_SECONDS", 0.02)


async def test_a_token_that_was_good_a_moment_ago_goes_on(books: Books) -> None:
    """Ours: reads need no database; a token that was never seen is nobody's, until somebody can tell."""
    assert await books.answers() == GRANT
    books.failing = AWAY

    assert [await books.answers(text) for text in (KNOWN, OTHER, STRANGER)] == [GRANT, "away", "away"]


@pytest.mark.parametrize(
    ("expires_ms", "seconds", "answer"),
    [
        (None, LASTING_SECONDS - 1, "good"),
        (None, LASTING_SECONDS, "away"),
        (60_000, 59, "good"),
        (60_000, 60, "away"),
        (None, -1, "away"),
    ],
)
async def test_it_goes_on_for_a_while_and_no_longer_than_it_lasts(
    books: Books, expires_ms: int | None, seconds: float, answer: str
) -> None:
    """Ours: 15 minutes bound what a revoked one is still good for; a clock that was set back proves nothing."""
    ends = None if expires_ms is None else START_MS + expires_ms
    books.known[KNOWN] = grant = replace(GRANT, expires_at_ms=ends)
    await books.answers()
    books.failing = AWAY
    books.clock.seconds += seconds

    assert await books.answers() == (grant if answer == "good" else answer)


async def test_an_outage_does_not_prolong_anything(books: Books) -> None:
    """Ours: the time runs from when the database said so last."""
    await books.answers()
    books.failing = AWAY
    found: list[Any] = []
    for _ in range(3):
        books.clock.seconds += LASTING_SECONDS / 3
        found.append(await books.answers())

    assert found == [GRANT, GRANT, "away"]


async def test_while_the_database_answers_it_is_asked_each_time(books: Books) -> None:
    """Ours: revocation acts on the next request; what was revoked is remembered no longer."""
    await books.answers()
    await books.answers()
    assert books.asked == 2
    del books.known[KNOWN]
    assert await books.answers() is None
    books.failing = AWAY

    assert await books.answers() == "away"


async def test_what_was_revoked_by_this_process_does_not_go_on(books: Books) -> None:
    """Ours: it need not have been shown again in between."""
    await books.answers()
    books.failing = AWAY
    assert await books.answers() == GRANT
    books.revoked.add(GRANT.id)

    assert await books.answers() == "away"


@pytest.mark.parametrize("by", ["the operator", "the client", "a thief"])
async def test_a_process_knows_what_it_revoked_or_saw_revoked(by: str, world: World) -> None:
    """Ours: all tokens of a sign-in end with it, whichever of them showed that."""
    async with world.book() as book, world.book() as operator:
        _, invitation = await book.invite("chatgpt", READ, valid_ms=HOUR_MS, grant_expires_at_ms=None)
        code = await book.accept(invitation, asked())
        assert code is not None
        pair = await book.exchange_code(code, CLIENT)
        assert pair is not None
        again = await book.exchange_refresh(pair.refresh_text, CLIENT, "read")
        assert again is not None
        assert not book.knows_revoked(pair.grant.id)

        match by:
            case "the client":
                await book.revoke(pair.grant.id)
            case "a thief":
                assert await book.exchange_code(code, CLIENT) is None
            case _:
                await operator.revoke("chatgpt")
                assert not book.knows_revoked(pair.grant.id)
                assert await book.find(again.access_text) is None
        assert book.knows_revoked(pair.grant.id)


async def test_trouble_that_stays_lets_nobody_in(books: Books) -> None:
    """Ours: somebody has to look at it, and may have revoked what is remembered."""
    await books.answers()
    books.failing = BROKEN

    assert [await books.answers() for _ in range(2)] == ["broken", "broken"]
    books.failing = None
    assert await books.answers() == GRANT


async def test_after_a_failure_the_remembered_do_not_ask_for_a_moment(books: Books) -> None:
    """Ours: each question may take long; others ask all the same, or nothing would ever be found out."""
    await books.answers()
    books.failing = AWAY
    await books.answers()
    asked = books.asked
    assert [await books.answers() for _ in range(5)] == [GRANT] * 5
    assert books.asked == asked
    assert await books.answers(STRANGER) == "away"
    assert books.asked == asked + 1

    books.failing = None
    books.clock.seconds += REST_SECONDS
    del books.known[KNOWN]
    assert await books.answers() is None


async def test_somebody_else_who_is_answered_ends_the_outage_for_all(books: Books) -> None:
    """Ours: what was revoked is so again from then on."""
    await books.answers()
    books.failing = AWAY
    await books.answers()
    books.failing = None
    del books.known[KNOWN]
    assert await books.answers(OTHER) == GRANT

    assert await books.answers() is None


async def test_nobody_waits_long_for_silence(books: Books, impatient: None) -> None:
    """Ours: a network that swallows packets fails nothing; one look-up at a time tells whether it still does."""
    await books.answers()
    books.silence = anyio.Event()
    with anyio.fail_after(5):
        assert [await books.answers() for _ in range(5)] == [GRANT] * 5
        assert books.asked == 2
        assert await books.answers(STRANGER) == "away"
        assert books.asked == 3

        books.clock.seconds += REST_SECONDS
        found: list[Any] = []
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(add_answer, books, found)
        assert found == [GRANT] * 50
        assert books.asked == 4


async def test_many_who_wait_for_silence_wait_at_once(books: Books, impatient: None) -> None:
    """Ours: at its beginning nobody knows yet."""
    await books.answers()
    books.silence = anyio.Event()
    found: list[Any] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(add_answer, books, found)

    assert found == [GRANT] * 50


async def add_answer(books: Books, found: list[Any]) -> None:
    found.append(await books.answers())


async def test_the_oldest_are_forgotten_when_there_are_too_many(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: memory is bounded, whatever the number of tokens."""
    monkeypatch.setattr(lasting, "REMEMBERED", 2)
    books.lasting = Lasting(books, books.clock)
    books.known[STRANGER] = GRANT
    for text in (KNOWN, OTHER, STRANGER):
        await books.answers(text)
    books.failing = AWAY

    assert [await books.answers(text) for text in (KNOWN, OTHER, STRANGER)] == ["away", GRANT, GRANT]


class Silence:
    """Looks that a real book makes, none of which comes back before the test lets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self._gate = threading.Event()
        real = Looking.find

        def find(looking: Looking, secret_ids: Collection[str]) -> Mapping[str, Found]:
            self.begun += 1
            assert self._gate.wait(10)
            return real(looking, secret_ids)

        monkeypatch.setattr(Looking, "find", find)

    def end(self) -> None:
        self._gate.set()


@pytest.mark.parametrize("seen_before", [True, False])
async def test_who_comes_while_a_look_hangs_is_not_made_to_wait_behind_it(
    seen_before: bool,
    in_file: World,
    monkeypatch: pytest.MonkeyPatch,
    impatient: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ours: one thread waits for a database that keeps silent, however many ask; and the log hears of it once."""
    monkeypatch.setattr(book_module, "STUCK_SECONDS", 0)
    clock = Clock()
    async with in_file.book() as book:
        _, text = await book.create("reports", READ, expires_at_ms=None)
        tokens = Lasting(book, clock)
        if seen_before:
            await tokens.find(text)
        caplog.clear()
        with monkeypatch.context() as hanging, anyio.fail_after(5):
            silence = Silence(hanging)
            answers: list[Any] = []
            try:
                for _ in range(20):
                    answers.append(await answer_of(tokens, text))
                    clock.seconds += REST_SECONDS
                with pytest.raises(AccessUnavailable):
                    await book.grants()
            finally:
                silence.end()
        await wait_until_answered(book)
        after = await tokens.find(text)

    assert [isinstance(answer, Grant) for answer in answers] == [seen_before] * 20
    assert seen_before or set(answers) == {"away"}
    assert silence.begun == 1
    assert after is not None
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"grants cannot be looked up: {NO_ANSWER}", "grants can be looked up again"]
    assert text not in f"{told} {vars(tokens)}"


async def wait_until_answered(book: AccessBook) -> None:
    """Until what hung is over, so that the next is not refused for it."""
    with anyio.fail_after(5):
        while book._looking._is_left:  # pyright: ignore[reportPrivateUsage]
            await anyio.lowlevel.checkpoint()


async def test_who_leaves_in_a_hurry_is_no_outage(
    in_file: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: clients go away at any moment, and those who stay wait for their answer as they would have."""
    found: list[Any] = []
    async with in_file.book() as book:
        _, text = await book.create("reports", READ, expires_at_ms=None)
        caplog.clear()
        with monkeypatch.context() as hanging, anyio.fail_after(5):
            silence = Silence(hanging)
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(book.find, text)
                while not silence.begun:
                    await anyio.lowlevel.checkpoint()
                leaving.cancel_scope.cancel()

            async def stay() -> None:
                found.append(await book.find(text))

            async with anyio.create_task_group() as staying:
                staying.start_soon(stay)
                await anyio.wait_all_tasks_blocked()
                assert found == []
                silence.end()

    assert len(found) == 1
    assert found[0] is not None
    assert caplog.records == []


async def test_the_end_does_not_wait_for_a_database_that_keeps_silent(
    in_file: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: a server that is told to stop does."""
    monkeypatch.setattr(book_module, "LEAVING_SECONDS", 0.01)
    book = AccessBook(in_file.settings, now=in_file.now)
    _, text = await book.create("reports", READ, expires_at_ms=None)
    with monkeypatch.context() as hanging, anyio.fail_after(5):
        silence = Silence(hanging)
        try:
            with anyio.move_on_after(0.01):
                await book.find(text)
            await book.aclose()
        finally:
            silence.end()
    await wait_until_answered(book)
    await book.aclose()


@pytest.mark.parametrize("kind", ["unreachable", "damaged"])
async def test_an_outage_is_two_lines_in_the_log(
    kind: Any, in_file: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: its beginning, with what to do, and its end."""
    real = Looking.find

    def fail(_looking: Looking, _secret_ids: Collection[str]) -> None:
        raise Unusable(kind)

    async with in_file.book() as book:
        _, text = await book.create("reports", READ, expires_at_ms=None)
        caplog.clear()
        for finding in (fail, fail, fail, real, real):
            monkeypatch.setattr(Looking, "find", finding)
            if finding is real:
                await book.find(text)
            else:
                with pytest.raises(AccessUnavailable):
                    await book.find(text)

    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("grants cannot be looked up: ")
    assert told[1] == "grants can be looked up again"


async def test_what_is_told_is_when_the_token_ends(world: World) -> None:
    """Ours: an hour's token of a sign-in that lasts is not remembered beyond the hour."""
    async with world.book() as book:
        _, forever = await book.create("forever", READ, expires_at_ms=None)
        _, until = await book.create("until", READ, expires_at_ms=START_MS + 5)
        found = [await book.find(text) for text in (forever, until)]

    assert [grant and grant.expires_at_ms for grant in found] == [None, START_MS + 5]
