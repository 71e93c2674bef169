"""Opaque tokens: how the issuer is asked, what of its answer counts, and how long."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import anyio
import httpx2
import pytest

from finexio_mcp.access.introspection import REMEMBERED, Introspection
from finexio_mcp.access.refusals import Advice
from finexio_mcp.access.verifier import InvalidToken, NoScope, Reason, Undecided
from finexio_mcp.callers import Caller

from .issuing import (
    BASE_URL,
    INTROSPECTION_PATH,
    ISSUER,
    KEYS_PATH,
    METADATA_PATH,
    NOW,
    Answer,
    World,
    claims,
    token,
    world,
)

TEXT = "opaque/token+of~the-issuer=="


def answered(**changes: Any) -> World:
    """The issuer knows the token, and says this about it."""
    tried = world()
    tried.issuer.active[TEXT] = {**claims(token_type="Bearer", **changes), "active": changes.get("active", True)}
    return tried


async def test_an_active_token_passes_and_the_issuer_is_asked_as_its_client() -> None:
    """Documented: RFC 7662 for the question, RFC 6749 2.3.1 for the credentials in it."""
    tried = answered()

    caller = await tried.verifier.verify(TEXT)

    assert (caller.name, caller.origin, caller.access) == ("ada@example.com", "oauth", "pay")
    asked = tried.issuer.requests[-1]
    assert (asked.method, asked.url.path) == ("POST", INTROSPECTION_PATH)
    assert parse_qs(asked.content.decode()) == {"token": [TEXT], "token_type_hint": ["access_token"]}
    assert TEXT not in str(asked.url)
    assert tried.issuer.asked == {METADATA_PATH: 1, INTROSPECTION_PATH: 1}


async def test_signed_and_opaque_tokens_of_one_principal_are_one_caller() -> None:
    """Ours: they share a lane."""
    tried = answered()

    assert (await tried.verifier.verify(TEXT)).key == (await tried.verifier.verify(token())).key


LEFT_OUT = ("iss", "exp", "iat", "sub", "client_id", "token_type")


@pytest.mark.parametrize("name", LEFT_OUT)
@pytest.mark.parametrize("how", ["missing", "null"])
async def test_what_an_answer_may_leave_out(name: str, how: str) -> None:
    """Documented: RFC 7662 requires `active` alone; who asked knows the issuer, and that the token is alive."""
    tried = answered()
    tried.issuer.active[TEXT][name] = None
    if how == "missing":
        del tried.issuer.active[TEXT][name]

    assert (await tried.verifier.verify(TEXT)).access == "pay"


REFUSED: dict[str, tuple[dict[str, Any], Reason]] = {
    "not active": ({"active": False}, Reason.INACTIVE),
    "no audience": ({"aud": ...}, Reason.AUDIENCE),
    "another audience": ({"aud": ["https://calendar.example.com"]}, Reason.AUDIENCE),
    "another issuer": ({"iss": f"{ISSUER}/"}, Reason.ISSUER),
    "expired": ({"exp": NOW - 31}, Reason.EXPIRED),
    "not valid yet": ({"nbf": NOW + 31}, Reason.NOT_YET),
    "an expiry that is a text": ({"exp": "1800000600"}, Reason.CLAIM),
    "a subject that is a number": ({"sub": 7}, Reason.CLAIM),
    "a refresh token": ({"token_use": "refresh_token"}, Reason.NO_ACCESS_TOKEN),
    "a token that takes a proof": ({"cnf": {"jkt": "x"}}, Reason.BOUND),
    "nobody": ({"sub": ..., "client_id": ...}, Reason.NOBODY),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_an_answer_that_does_not_fit_is_a_refusal(what: str) -> None:
    """Ours: the same checks as for signed tokens."""
    changes, reason = REFUSED[what]
    tried = answered(**changes)

    for _ in range(5):
        with pytest.raises(InvalidToken) as refused:
            await tried.verifier.verify(TEXT)
        assert refused.value.reason is reason

    assert tried.issuer.asked[INTROSPECTION_PATH] == 1


@pytest.mark.parametrize("kind", ["DPoP", "mac", "N_A", "", ["Bearer"], 7])
async def test_a_token_of_another_type_does_not_count(kind: Any) -> None:
    """Ours: taken as a bearer token it would be worth as much to a thief."""
    tried = answered()
    tried.issuer.active[TEXT]["token_type"] = kind

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify(TEXT)

    assert refused.value.reason is Reason.NO_ACCESS_TOKEN


async def test_an_active_token_without_a_scope_of_ours_is_told_apart() -> None:
    """Ours: 403, and one question."""
    tried = answered(scope="openid")

    for _ in range(3):
        with pytest.raises(NoScope):
            await tried.verifier.verify(TEXT)

    assert tried.issuer.asked[INTROSPECTION_PATH] == 1


def late(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadTimeout("late", request=request)


NONSENSE: dict[str, tuple[Answer, Advice]] = {
    "late": (late, Advice.FAILED),
    "500": (lambda _: httpx2.Response(500, json={"active": True}), Advice.FAILED),
    "503": (lambda _: httpx2.Response(503), Advice.FAILED),
    "400": (lambda _: httpx2.Response(400, json={"active": True}), Advice.UNREADABLE_ANSWER),
    "401": (lambda _: httpx2.Response(401, json={"active": False}), Advice.CREDENTIALS),
    "403": (lambda _: httpx2.Response(403), Advice.CREDENTIALS),
    "HTML": (lambda _: httpx2.Response(200, text="<html>"), Advice.UNREADABLE_ANSWER),
    "a list": (lambda _: httpx2.Response(200, json=[{"active": True}]), Advice.UNREADABLE_ANSWER),
    "nothing about active": (lambda _: httpx2.Response(200, json=claims()), Advice.UNREADABLE_ANSWER),
    "active as a text": (lambda _: httpx2.Response(200, json=claims(active="true")), Advice.UNREADABLE_ANSWER),
    "active as a number": (lambda _: httpx2.Response(200, json=claims(active=1)), Advice.UNREADABLE_ANSWER),
    "a redirect": (
        lambda _: httpx2.Response(307, headers={"location": "https://evil.example/introspect"}),
        Advice.UNREADABLE_ANSWER,
    ),
    "more than 1 MiB": (
        lambda _: httpx2.Response(200, json={**claims(), "active": True, "pad": "x" * (1 << 20)}),
        Advice.UNREADABLE_ANSWER,
    ),
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_an_issuer_that_cannot_tell_leaves_the_token_undecided(what: str) -> None:
    """Ours: a token that may be good is never called bad, nor asked about again at once."""
    answer, advice = NONSENSE[what]
    tried = answered()
    tried.issuer.instead[INTROSPECTION_PATH] = answer

    for _ in range(5):
        with pytest.raises(Undecided) as undecided:
            await tried.verifier.verify(TEXT)
        assert undecided.value.advice == advice
        assert undecided.value.retry_after_s > 0

    assert tried.issuer.asked[INTROSPECTION_PATH] == 1
    assert {request.url.host for request in tried.issuer.requests} == {"login.example.com"}
    tried.issuer.instead.clear()
    tried.clock.seconds += 5
    assert (await tried.verifier.verify(TEXT)).access == "pay"


async def test_a_failure_over_one_token_does_not_stop_the_others() -> None:
    """Ours: else anybody could, with a token that the issuer stumbles over."""
    tried = answered()
    tried.issuer.instead[INTROSPECTION_PATH] = lambda _: httpx2.Response(500)
    with pytest.raises(Undecided):
        await tried.verifier.verify("poison")
    tried.issuer.instead.clear()

    assert (await tried.verifier.verify(TEXT)).access == "pay"


@pytest.mark.parametrize("trouble", ["down", "credentials"])
async def test_what_would_fail_for_every_token_is_not_tried_with_each(trouble: str) -> None:
    """Ours: one try every few seconds."""
    tried = answered()
    await tried.verifier.verify(TEXT)
    if trouble == "down":
        tried.issuer.down = True
    else:
        tried.issuer.instead[INTROSPECTION_PATH] = lambda _: httpx2.Response(401)
    for number in range(20):
        with pytest.raises(Undecided):
            await tried.verifier.verify(f"opaque-{number}")

    assert tried.issuer.asked[INTROSPECTION_PATH] == 2


async def test_an_issuer_without_introspection_is_undecided_with_advice() -> None:
    """Ours: the credentials say that the operator expects it."""
    tried = answered()
    del tried.issuer.metadata["introspection_endpoint"]

    with pytest.raises(Undecided) as undecided:
        await tried.verifier.verify(TEXT)

    assert undecided.value.advice == Advice.NO_INTROSPECTION
    assert (await tried.verifier.verify(token())).access == "pay"


async def test_our_credentials_are_not_sent_over_http() -> None:
    """Ours: nor is the token."""
    tried = answered()
    tried.issuer.metadata["introspection_endpoint"] = f"http://login.example.com{INTROSPECTION_PATH}"

    with pytest.raises(Undecided) as undecided:
        await tried.verifier.verify(TEXT)

    assert undecided.value.advice == Advice.UNSAFE_ADDRESS
    assert tried.issuer.asked[INTROSPECTION_PATH] == 0


async def test_an_answer_holds_for_ten_seconds() -> None:
    """Ours: so soon does a revocation at the issuer act here."""
    tried = answered()
    await tried.verifier.verify(TEXT)
    tried.issuer.active.clear()
    tried.clock.seconds += 9.9
    await tried.verifier.verify(TEXT)
    tried.clock.seconds += 0.2

    with pytest.raises(InvalidToken):
        await tried.verifier.verify(TEXT)


async def test_an_answer_does_not_outlive_the_token() -> None:
    """Ours: its expiry ends it, with the leeway that every expiry has."""
    tried = answered(exp=NOW - 28)
    await tried.verifier.verify(TEXT)
    tried.clock.seconds += 2

    with pytest.raises(InvalidToken) as refused:
        await tried.verifier.verify(TEXT)

    assert refused.value.reason is Reason.EXPIRED
    assert tried.issuer.asked[INTROSPECTION_PATH] == 2


async def test_a_hundred_calls_with_one_token_make_one_question() -> None:
    """Ours: all of them get its answer, good or bad."""
    tried = answered()
    seen: list[str] = []

    async def call(text: str) -> None:
        try:
            seen.append((await tried.verifier.verify(text)).access)
        except InvalidToken as refused:
            seen.append(refused.reason.name)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(call, TEXT)
                tasks.start_soon(call, "made-up")

    assert sorted(seen) == ["INACTIVE"] * 100 + ["pay"] * 100
    assert tried.issuer.asked == {METADATA_PATH: 1, INTROSPECTION_PATH: 2}


async def test_different_tokens_wait_only_for_so_many_at_once() -> None:
    """Ours: a flood of made-up tokens is a flood for nobody else."""
    tried = answered()
    running, most = 0, 0

    async def slow(_request: httpx2.Request) -> httpx2.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        running -= 1
        return httpx2.Response(200, json={"active": False})

    async def call(text: str) -> None:
        with pytest.raises(InvalidToken):
            await tried.verifier.verify(text)

    tried.issuer.instead[INTROSPECTION_PATH] = slow
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(call, f"made-up-{number}")

    assert 1 < most <= 16


async def test_whoever_goes_away_leaves_the_question_to_the_next() -> None:
    """Ours: nobody waits for one who is gone."""
    tried = answered()
    seen: list[Caller] = []

    async def call() -> None:
        seen.append(await tried.verifier.verify(TEXT))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()

            async def leave() -> None:
                with first:
                    await call()

            tasks.start_soon(leave)
            while not tried.issuer.asked[INTROSPECTION_PATH]:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(call)
            await anyio.lowlevel.checkpoint()
            first.cancel()

    assert len(seen) == 1


async def test_memory_stays_flat_under_made_up_tokens_and_good_ones_are_kept() -> None:
    """Ours: nobody drives out those who were there before."""
    tried = answered()
    await tried.verifier.verify(TEXT)
    for number in range(REMEMBERED + 50):
        with pytest.raises(InvalidToken):
            await tried.verifier.verify(f"made-up-{number}")
    asked = tried.requests
    await tried.verifier.verify(TEXT)

    opaque = tried.verifier._opaque  # pyright: ignore[reportPrivateUsage]
    assert isinstance(opaque, Introspection)
    assert tried.requests == asked
    assert len(opaque._bad) == REMEMBERED  # pyright: ignore[reportPrivateUsage]
    assert opaque._flights == {}  # pyright: ignore[reportPrivateUsage]


async def test_a_signed_token_is_never_sent_to_introspection() -> None:
    """Ours: it can be checked here, and a bad one is nothing to ask about."""
    tried = answered()
    for text in (token(payload=claims(aud="x")), token(kind="other RSA", header={"kid": "RSA"}), "a.b.c"):
        with pytest.raises(InvalidToken):
            await tried.verifier.verify(text)

    assert tried.issuer.asked[INTROSPECTION_PATH] == 0
    assert tried.issuer.asked[KEYS_PATH] == 1


@pytest.mark.parametrize("text", [f"a.b.c.d.{BASE_URL.rsplit('/', 1)[1]}", "one.dot", "no-dots"])
async def test_everything_else_is_asked_about(text: str) -> None:
    """Ours: encrypted tokens (five parts) are opaque to us as well."""
    tried = world()
    tried.issuer.active[text] = {**claims(), "active": True}

    assert (await tried.verifier.verify(text)).access == "pay"
