"""What gets no code and no token, and how that is said."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.types import Message

from finexio_mcp.access.grants import Grant
from finexio_mcp.access.store import AGAIN_MS
from finexio_mcp.issuer import tries
from finexio_mcp.issuer.tries import REGISTRATIONS_OF_ONE
from tests.issuer.world import (
    BASE,
    CHALLENGE,
    FROM_OUR_PAGE,
    ON_THIS_MACHINE,
    REDIRECT,
    VERIFIER,
    Page,
    World,
    build_app,
    parameters,
    world,
)

NO_CODE = "aaaa-bbbb-cccc-dddd"
FORM_HEADER = (b"content-type", b"application/x-www-form-urlencoded")


def refused(answer: httpx2.Response, error: str, status: int = 400) -> bool:
    """Whether it is the RFCs' kind of error, in words of ours."""
    told = answer.json()
    assert told.keys() == {"error", "error_description"}
    assert "Traceback" not in answer.text
    assert "pydantic" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    return (answer.status_code, told["error"]) == (status, error)


def sent_back(answer: httpx2.Response, error: str) -> bool:
    """Whether the client hears of an error, with its state and who says so."""
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{ON_THIS_MACHINE}?")
    told = parameters(answer.headers["location"])
    assert told["iss"] == BASE
    assert told.keys() <= {"error", "error_description", "state", "iss"}
    return told["error"] == error


def database_file() -> Path:
    """Where the book is kept."""
    return next(Path(os.environ["XDG_STATE_HOME"]).rglob("access.db"))


def forget_clients() -> None:
    """As when there were too many, and this one was not let in."""
    with contextlib.closing(sqlite3.connect(database_file())) as database, database:
        database.execute("DELETE FROM access_clients")


async def at_once(requests: Sequence[Callable[[], Awaitable[httpx2.Response]]]) -> list[httpx2.Response]:
    """The answers to requests that are all on their way together."""
    answers: list[httpx2.Response] = []

    async def ask(request: Callable[[], Awaitable[httpx2.Response]]) -> None:
        answers.append(await request())

    async with anyio.create_task_group() as tasks:
        for request in requests:
            tasks.start_soon(ask, request)
    return answers


# Requests for leave ----------------------------------------------------------------


def told_here(answer: httpx2.Response, uri: str, error: str) -> bool:
    """Whether the person reads it, and may take it to the client with a link that says all that a redirect would."""
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "refresh" not in answer.headers
    page = Page(answer.text)
    assert "This sign-in cannot go on" in page.text
    (link,) = page.all("a")
    href = str(link["href"])
    assert href.startswith(f"{uri}?")
    told = parameters(href)
    assert told["iss"] == BASE
    assert told.keys() <= {"error", "error_description", "state", "iss"}
    assert told["error_description"] in page.text
    return told["error"] == error


bad_requests = pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"code_challenge_method": "plain", "code_challenge": VERIFIER}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"scope": "finexio:admin"}, "invalid_scope"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
        ({"resource": f"{BASE}/mcp/deeper"}, "invalid_target"),
        ({"resource": f"{BASE}.evil.example/mcp"}, "invalid_target"),
    ],
    ids=str,
)


async def begin_at(server: World, uri: str, **asked: str | None) -> httpx2.Response:
    """What a client of this place gets."""
    client_id = (await server.register(redirect_uris=[uri]))["client_id"]
    return await server.begin(client_id, redirect_uri=uri, **asked)


@bad_requests
async def test_a_bad_request_is_told_to_a_program_on_this_machine(asked: dict[str, str | None], error: str) -> None:
    """Documented (RFC 6749, 4.1.2.1; RFC 7636; RFC 8707): with state and issuer, and no page."""
    async with world() as server:
        answer = await begin_at(server, ON_THIS_MACHINE, **asked)

        assert sent_back(answer, error)
        assert parameters(answer.headers["location"])["state"] == "s t&a=te"


@bad_requests
async def test_a_bad_request_sends_nobody_to_a_website(asked: dict[str, str | None], error: str) -> None:
    """Documented (RFC 9700, 4.11.2): anybody registers one; the person is told here, and goes there by choice."""
    async with world() as server:
        answer = await begin_at(server, REDIRECT, **asked)

        assert told_here(answer, REDIRECT, error)
        assert "Go back to client.example" in Page(answer.text).text
        assert parameters(str(Page(answer.text).all("a")[0]["href"]))["state"] == "s t&a=te"


@pytest.mark.parametrize(
    ("uri", "name", "words"),
    [
        (REDIRECT, "client.example", "begun by this website"),
        ("https://client.example:8443/cb", "client.example:8443", "begun by this website"),
        ("com.example.app:/cb", "com.example.app", "begun by an app on this device"),
        ("vscode://vscode.example/cb", "vscode", "begun by an app on this device"),
    ],
)
async def test_nobody_is_sent_to_a_stranger_s_place_without_choosing_it(uri: str, name: str, words: str) -> None:
    """Documented (RFC 9700, 4.11.2): whatever is wrong, the page names the place before anybody goes there."""
    async with world() as server:
        answer = await begin_at(server, uri, response_type="token")

        assert told_here(answer, uri, "unsupported_response_type")
        assert f'<dd class="place">{name}</dd>' in answer.text
        assert words in Page(answer.text).text


@pytest.mark.parametrize("uri", ["http://localhost:4100/cb", "https://localhost/cb", "http://[::1]/cb"])
async def test_programs_on_this_machine_hear_of_it_at_once(uri: str) -> None:
    """Ours: a program that waits is told why nothing comes; no stranger is at the other end."""
    async with world() as server:
        answer = await begin_at(server, uri, response_type="token")

        assert answer.status_code == 302
        assert answer.headers["location"].startswith(f"{uri}?error=unsupported_response_type&")


async def test_a_state_that_is_too_long_is_not_carried() -> None:
    """Ours: addresses stay short enough for every proxy."""
    async with world() as server:
        answers = [await begin_at(server, uri, state="s" * 2001) for uri in (ON_THIS_MACHINE, REDIRECT)]

        assert sent_back(answers[0], "invalid_request")
        assert told_here(answers[1], REDIRECT, "invalid_request")
        assert not any("sss" in f"{answer.headers}{answer.text}" for answer in answers)


async def test_a_parameter_that_comes_twice_is_refused() -> None:
    """Documented (RFC 6749, 3.1): which of the two would count?"""
    async with world() as server:
        client_id = (await server.register(redirect_uris=[ON_THIS_MACHINE]))["client_id"]
        begun = await server.begin(client_id, redirect_uri=ON_THIS_MACHINE)
        url = str(begun.request.url)

        assert sent_back(await server.http.get(f"{url}&scope=finexio:read"), "invalid_request")
        assert (await server.http.get(f"{url}&redirect_uri=https://evil.example")).status_code == 400
        assert (await server.http.get(f"{url}&client_id={client_id}")).status_code == 400


@pytest.mark.parametrize("resource", [BASE, f"{BASE}/", f"{BASE}/mcp", f"{BASE}/mcp/", f"{BASE}/sse", None])
async def test_every_address_of_ours_is_us(resource: str | None) -> None:
    """Ours: a token is for the server, by whichever of its addresses it was asked for."""
    async with world() as server:
        _, tokens = await server.signed_in("read", resource=resource)

        assert await server.access_of(tokens["access_token"]) == "read"


@pytest.mark.parametrize(
    "asked",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"client_id": "x" * 5_000},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": f"{REDIRECT}/deeper"},
        {"redirect_uri": f"{REDIRECT}?more=1"},
        {"redirect_uri": "javascript:alert(1)"},
    ],
    ids=lambda asked: str(asked)[:60],
)
async def test_nobody_is_sent_to_a_place_that_is_not_registered(asked: dict[str, str | None]) -> None:
    """Documented (RFC 6749, 4.1.2.1): the person is told here, on a page that repeats nothing."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        answer = await server.begin(**{"client_id": client_id, **asked})  # pyright: ignore[reportArgumentType]

        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "This sign-in cannot go on" in Page(answer.text).text
        assert not any(value in answer.text for value in asked.values() if value)


# The person ------------------------------------------------------------------------


async def test_five_wrong_codes_end_a_sign_in_even_for_the_right_one() -> None:
    """Ours: guessing gets nowhere."""
    async with world() as server:
        invitation = await server.invite()
        page = await server.page((await server.register())["client_id"])
        for left in range(4, -1, -1):
            answer = await server.answer(page, code=NO_CODE)
            assert answer.status_code == (400 if left else 403)
            if left:
                page = Page(answer.text)
                assert "does not work" in page.text

        assert (await server.answer(page, code=invitation)).status_code == 403
        assert await server.book.invited(invitation) is not None
        again = await server.page((await server.register())["client_id"])
        assert (await server.answer(again, code=invitation)).status_code == 303


async def test_wrong_codes_of_strangers_keep_nobody_else_from_signing_in() -> None:
    """Ours: they are bounded for each sign-in, and a good code works however many others did not."""
    async with world() as server:
        client_id, invitation = (await server.register())["client_id"], await server.invite()
        for _ in range(20):
            page = await server.page(client_id)
            assert [(await server.answer(page, code=NO_CODE)).status_code for _ in range(5)] == [400] * 4 + [403]

        page = await server.page((await server.register())["client_id"])
        assert (await server.answer(page, code=invitation)).status_code == 303


async def test_nobody_waits_for_the_sign_in_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: one answer after the other is for the same sign-in only."""
    async with world() as server:
        client_id, invitation = (await server.register())["client_id"], await server.invite()
        slow, other = await server.page(client_id), await server.page(client_id)
        asked, go_on, invited = anyio.Event(), anyio.Event(), server.book.invited

        async def slowly(code_text: str) -> Grant | None:
            if code_text == NO_CODE:
                asked.set()
                await go_on.wait()
            return await invited(code_text)

        monkeypatch.setattr(server.book, "invited", slowly)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(functools.partial(server.answer, slow, code=NO_CODE))
                await asked.wait()
                assert (await server.answer(other, code=invitation)).status_code == 303
                go_on.set()


async def test_strangers_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: what anybody can cause is said ten times a minute for one client, and sixty times for all."""
    caplog.set_level("INFO", logger="finexio_mcp.issuer")
    async with world() as server:
        client_ids = [(await server.register())["client_id"] for _ in range(8)]
        for client_id in client_ids:
            page = await server.page(client_id)
            for _ in range(6):
                await server.answer(page, "deny")
            for _ in range(5):
                await server.answer(page, code=NO_CODE)
        lines = [record.getMessage() for record in caplog.records if record.name == "finexio_mcp.issuer"]
        assert len(lines) == 60
        assert len([line for line in lines if client_ids[0] in line]) == 10

        server.clock.forward(60)
        await server.answer(await server.page(client_ids[0]), code=NO_CODE)
        assert len([record for record in caplog.records if record.name == "finexio_mcp.issuer"]) == 61


@pytest.mark.parametrize("typed", ["", "   "])
async def test_an_empty_code_is_no_try(typed: str) -> None:
    """Ours: who only pressed the button may do so again."""
    async with world() as server:
        page = await server.page((await server.register())["client_id"])
        answers = [(await server.answer(page, code=typed)).status_code for _ in range(7)]

        assert set(answers) == {400}
        assert (await server.answer(page, code=await server.invite())).status_code == 303


async def test_a_code_works_once_and_not_after_its_time() -> None:
    """Ours: one invitation lets one client in."""
    async with world() as server:
        client_id, invitation = (await server.register())["client_id"], await server.invite()
        assert (await server.answer(await server.page(client_id), code=invitation)).status_code == 303
        assert (await server.answer(await server.page(client_id), code=invitation)).status_code == 400

        late = await server.invite(valid_ms=60_000)
        server.clock.forward(61)
        assert (await server.answer(await server.page(client_id), code=late)).status_code == 400


async def test_a_token_of_another_kind_is_no_one_time_code() -> None:
    """Ours: what a program has opens no door that a person opens."""
    async with world() as server:
        client_id, tokens = await server.signed_in()
        for secret in (tokens["access_token"], tokens["refresh_token"]):
            assert (await server.answer(await server.page(client_id), code=secret)).status_code == 400


async def test_a_sign_in_is_open_for_ten_minutes() -> None:
    """Ours: an old page leads nowhere."""
    async with world() as server:
        page = await server.page((await server.register())["client_id"])
        server.clock.forward(599)
        assert (await server.http.get("/consent", params={"request": page.fields["request"]})).status_code == 200
        server.clock.forward(2)

        assert (await server.http.get("/consent", params={"request": page.fields["request"]})).status_code == 400
        assert (await server.answer(page, code=await server.invite())).status_code == 400


async def test_a_sign_in_that_somebody_changed_is_none() -> None:
    """Ours: nobody gets another redirect URI, client or scope past the checks."""
    async with world() as server:
        page = await server.page((await server.register())["client_id"])
        payload, mark = page.fields["request"].split(".")
        values = json.loads(base64.urlsafe_b64decode(payload + "=="))
        values[values.index(REDIRECT)] = "https://evil.example/callback"
        forged = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")

        for request in (f"{forged}.{mark}", forged, f"{payload}.", f".{mark}", "", "é" * 50, "x" * 20_000):
            answer = await server.answer(page, code=await server.invite(), request=request)
            assert answer.status_code == 400
            assert "location" not in answer.headers
            assert "evil" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": BASE, "Sec-Fetch-Site": "cross-site"},
        {"Origin": BASE, "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": f"{BASE}.evil.example"},
        {"Origin": "http://mcp.example.com"},
        {},
    ],
    ids=str,
)
async def test_only_our_own_page_may_answer(headers: dict[str, str]) -> None:
    """Ours: no other page answers for a person, be it to allow or to deny."""
    async with world() as server:
        page, invitation = await server.page((await server.register())["client_id"]), await server.invite()
        for decision in ("allow", "deny"):
            answer = await server.answer(page, decision, headers, code=invitation)
            assert answer.status_code == 403
            assert "location" not in answer.headers
        assert await server.book.invited(invitation) is not None


@pytest.mark.parametrize("headers", [FROM_OUR_PAGE, {"Origin": BASE}, {"Sec-Fetch-Site": "same-origin"}], ids=str)
async def test_our_own_page_may(headers: dict[str, str]) -> None:
    """Ours: browsers differ in what they say."""
    async with world() as server:
        page = await server.page((await server.register())["client_id"])

        assert (await server.answer(page, headers=headers, code=await server.invite())).status_code == 303


async def test_a_client_that_is_gone_is_not_let_in() -> None:
    """Ours: no code for nobody, and the invitation stays good."""
    async with world() as server:
        page, invitation = await server.page((await server.register())["client_id"]), await server.invite()
        await server.book.aclose()
        forget_clients()

        assert (await server.answer(page, code=invitation)).status_code == 400
        assert await server.book.invited(invitation) is not None


async def test_many_answers_at_once_get_no_further_than_one_after_the_other() -> None:
    """Ours: one invitation, one code; five tries, not one more."""
    async with world() as server:
        client_id, invitation = (await server.register())["client_id"], await server.invite()
        pages = [await server.page(client_id) for _ in range(8)]
        with anyio.fail_after(10):
            sent = await at_once([functools.partial(server.answer, page, code=invitation) for page in pages])
        assert sorted(answer.status_code for answer in sent) == [303] + [400] * 7

        page = await server.page(client_id)
        with anyio.fail_after(10):
            wrong = await at_once([functools.partial(server.answer, page, code=NO_CODE)] * 12)
        looked_at = [answer for answer in wrong if "does not work" in answer.text]
        assert len(looked_at) == 4
        assert {answer.status_code for answer in wrong} <= {400, 403}
        assert (await server.answer(page, code=await server.invite())).status_code == 403

        page, good = await server.page(client_id), await server.invite()
        guesses = [functools.partial(server.answer, page, code=typed) for typed in [NO_CODE] * 8 + [good]]
        with anyio.fail_after(10):
            guessed = await at_once(guesses)
        assert 303 not in {answer.status_code for answer in guessed}
        assert await server.book.invited(good) is not None


# Tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "error", "status"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant", 400),
        ({"code_verifier": CHALLENGE}, "invalid_grant", 400),
        ({"code_verifier": "short"}, "invalid_grant", 400),
        ({"code_verifier": None}, "invalid_request", 400),
        ({"redirect_uri": "https://client.example/other"}, "invalid_grant", 400),
        ({"redirect_uri": None}, "invalid_grant", 400),
        ({"redirect_uri": "no uri"}, "invalid_grant", 400),
        ({"resource": "https://other.example/mcp"}, "invalid_target", 400),
        ({"client_id": "nobody"}, "invalid_client", 401),
        ({"client_id": None}, "invalid_client", 401),
        ({"code": None}, "invalid_request", 400),
        ({"code": "fmcp_aaaaaaaaaaaa_" + "A" * 43}, "invalid_grant", 400),
        ({"code": "x" * 5_000}, "invalid_grant", 400),
        ({"grant_type": None}, "invalid_request", 400),
        ({"grant_type": "password"}, "unsupported_grant_type", 400),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type", 400),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, "unsupported_grant_type", 400),
    ],
    ids=lambda value: str(value)[:70],
)
async def test_a_code_is_exchanged_only_with_all_that_belongs_to_it(
    other: dict[str, str | None], error: str, status: int
) -> None:
    """Documented (RFC 6749, 5.2; RFC 7636, 4.6; RFC 8707): and the right request still works afterwards."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        code = await server.code(client_id, await server.invite())

        assert refused(await server.exchange(**{"client_id": client_id, "code": code, **other}), error, status)  # pyright: ignore[reportArgumentType]
        assert (await server.exchange(client_id, code)).status_code == 200


async def test_a_verifier_that_could_be_guessed_is_refused() -> None:
    """Documented (RFC 7636, 4.1): 43 to 128 characters, even where the challenge is its own."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        challenge = base64.urlsafe_b64encode(hashlib.sha256(b"short").digest()).decode().rstrip("=")
        code = await server.code(client_id, await server.invite(), code_challenge=challenge)

        assert refused(await server.exchange(client_id, code, code_verifier="short"), "invalid_grant")


async def test_a_code_is_for_its_own_client() -> None:
    """Documented (RFC 6749, 4.1.3): another one learns nothing and breaks nothing."""
    async with world() as server:
        client_id, other = [(await server.register())["client_id"] for _ in range(2)]
        code = await server.code(client_id, await server.invite())

        assert refused(await server.exchange(other, code), "invalid_grant")
        assert (await server.exchange(client_id, code)).status_code == 200


async def test_a_code_lasts_a_minute() -> None:
    """Ours: long enough for any client, too short for a log."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        code = await server.code(client_id, await server.invite())
        server.clock.forward(61)

        assert refused(await server.exchange(client_id, code), "invalid_grant")


async def test_a_code_that_comes_twice_ends_all_that_came_of_it() -> None:
    """Documented (RFC 6749, 4.1.2): two have it, and one of them stole it."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        code = await server.code(client_id, await server.invite())
        tokens = (await server.exchange(client_id, code)).json()

        assert refused(await server.exchange(client_id, code), "invalid_grant")
        assert await server.access_of(tokens["access_token"]) is None
        assert refused(await server.refresh(client_id, tokens["refresh_token"]), "invalid_grant")


async def test_one_code_exchanged_many_times_at_once_gives_one_answer_and_then_none() -> None:
    """Ours: whichever comes first; what it got ends with the second."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        code = await server.code(client_id, await server.invite())
        with anyio.fail_after(10):
            answers = await at_once([functools.partial(server.exchange, client_id, code)] * 6)

        given = [answer for answer in answers if answer.status_code == 200]
        assert len(given) == 1
        assert all(refused(answer, "invalid_grant") for answer in answers if answer not in given)
        assert await server.access_of(given[0].json()["access_token"]) is None


async def test_a_refresh_token_that_comes_twice_ends_all_that_came_of_it() -> None:
    """Documented (OAuth 2.1, 4.3.1): two have it, and one of them stole it."""
    async with world() as server:
        client_id, tokens = await server.signed_in()
        renewed = (await server.refresh(client_id, tokens["refresh_token"])).json()
        server.clock.forward(AGAIN_MS / 1000)

        assert refused(await server.refresh(client_id, tokens["refresh_token"]), "invalid_grant")
        assert await server.access_of(renewed["access_token"]) is None
        assert refused(await server.refresh(client_id, renewed["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize(
    ("other", "error", "status"),
    [
        ({"scope": "finexio:read finexio:pay"}, "invalid_scope", 400),
        ({"scope": "finexio:admin"}, "invalid_scope", 400),
        ({"resource": "https://other.example"}, "invalid_target", 400),
        ({"refresh_token": None}, "invalid_request", 400),
        ({"refresh_token": "fmcp_aaaaaaaaaaaa_" + "A" * 43}, "invalid_grant", 400),
        ({"client_id": "nobody"}, "invalid_client", 401),
    ],
    ids=str,
)
async def test_a_refresh_gets_no_more_than_there_was(other: dict[str, str | None], error: str, status: int) -> None:
    """Documented (RFC 6749, 5.2 and 6): and the token can still be used."""
    async with world() as server:
        client_id, tokens = await server.signed_in("write", scope="finexio:write")
        token = tokens["refresh_token"]

        asked = {"client_id": client_id, "token": token}
        asked |= {"token": other.pop("refresh_token")} if "refresh_token" in other else {}
        assert refused(await server.refresh(**{**asked, **other}), error, status)  # pyright: ignore[reportArgumentType]
        assert (await server.refresh(client_id, token)).status_code == 200


async def test_a_refresh_token_is_for_its_own_client() -> None:
    """Documented (RFC 6749, 6)."""
    async with world() as server:
        client_id, tokens = await server.signed_in()
        other = (await server.register())["client_id"]

        assert refused(await server.refresh(other, tokens["refresh_token"]), "invalid_grant")
        assert (await server.refresh(client_id, tokens["refresh_token"])).status_code == 200


async def test_only_one_token_stands_for_another() -> None:
    """Ours: an access token renews nothing, a refresh token calls nothing, and a code does neither."""
    async with world() as server:
        client_id, tokens = await server.signed_in()
        code = await server.code(client_id, await server.invite())

        assert await server.access_of(tokens["refresh_token"]) is None
        assert await server.access_of(code) is None
        assert refused(await server.refresh(client_id, tokens["access_token"]), "invalid_grant")
        assert refused(await server.refresh(client_id, code), "invalid_grant")
        assert refused(await server.exchange(client_id, tokens["refresh_token"]), "invalid_grant")
        assert await server.access_of(tokens["access_token"]) == "pay"


@pytest.mark.parametrize("path", ["/token", "/revoke"])
async def test_a_body_that_is_no_form_is_refused(path: str) -> None:
    """Documented (RFC 6749, 3.2): one form, each parameter once, and not endless."""
    async with world() as server:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        twice = "grant_type=refresh_token&grant_type=refresh_token&token=a&token=b"

        assert refused(await server.http.post(path, json={"grant_type": "refresh_token"}), "invalid_request")
        assert refused(await server.http.post(path, content=twice, headers=form), "invalid_request")
        assert refused(await server.http.post(path, content="a=1&" * 60, headers=form), "invalid_request")
        assert refused(await server.http.post(path, content=b"\xff\xfe%ff", headers=form), "invalid_request")
        assert refused(await server.http.post(path, content="a" * 70_000, headers=form), "invalid_request", 413)
        assert (await server.http.get(path)).status_code == 405


async def test_nobody_ends_what_is_not_theirs() -> None:
    """Documented (RFC 7009, 2.1): the answer is the same, and nothing happens."""
    async with world() as server:
        client_id, tokens = await server.signed_in()
        other = (await server.register())["client_id"]
        for token in (tokens["access_token"], tokens["refresh_token"], "garbage", "x" * 5_000):
            answer = await server.http.post("/revoke", data={"token": token, "client_id": other})
            assert (answer.status_code, answer.content) == (200, b"")

        assert await server.access_of(tokens["access_token"]) == "pay"
        assert refused(await server.http.post("/revoke", data={"client_id": client_id}), "invalid_request")
        nobody = await server.http.post("/revoke", data={"token": tokens["access_token"]})
        assert refused(nobody, "invalid_client", 401)


async def test_a_client_that_leaves_in_the_middle_gets_nothing_and_breaks_nothing() -> None:
    """Ours: half a form is no form."""
    messages: list[Message] = [
        {"type": "http.request", "body": b"grant_type=refresh_token&refresh_", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/token", "query_string": b"", "headers": [FORM_HEADER]}
    async with world() as server:
        await build_app(server.settings, server.book)(scope, receive, send)

    assert sent[0]["status"] == 400


# Registration ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": None}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://client.example"}, "invalid_redirect_uri"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://client.example/" + "a" * 2000]}, "invalid_redirect_uri"),
        ({"redirect_uris": [f"https://client.example/{number}" for number in range(11)]}, "invalid_redirect_uri"),
        ({"redirect_uris": [f"https://c.example/{n}{'a' * 1900}" for n in range(10)]}, "invalid_redirect_uri"),
        ({"redirect_uris": [REDIRECT, "http://client.example/callback"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"client_name": 7}, "invalid_client_metadata"),
        ({"client_name": ["a"]}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"grant_types": "authorization_code"}, "invalid_client_metadata"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_client_that_cannot_be_used_is_not_registered(metadata: dict[str, Any], error: str) -> None:
    """Documented (RFC 7591, 3.2.2)."""
    async with world() as server:
        assert refused(await server.http.post("/register", json={"redirect_uris": [REDIRECT], **metadata}), error)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"[" * 60_000, b'{"a":' * 12_000, b'{"redirect_uris":["\\ud800"]}', b"\xff"],
    ids=lambda body: repr(body[:20]),
)
async def test_a_registration_that_cannot_be_read_is_refused(body: bytes) -> None:
    """Ours: however it is broken, and however deep."""
    async with world() as server:
        answer = await server.http.post("/register", content=body)

        assert answer.status_code == 400
        assert answer.json()["error"] in {"invalid_client_metadata", "invalid_redirect_uri"}


async def try_to_register(server: World, address: str) -> httpx2.Response:
    """What somebody at this address hears."""
    server.comes_from(address)
    return await server.http.post("/register", json={"redirect_uris": [REDIRECT]})


async def test_a_registration_is_bounded_in_size() -> None:
    """Ours: strangers fill no memory."""
    async with world() as server:
        assert refused(await server.http.post("/register", content=b"x" * 70_000), "invalid_request", 413)


@pytest.mark.parametrize(
    ("addresses", "another"),
    [
        (["192.0.2.1"], "192.0.2.2"),
        (["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3"], "2001:db8:0:2::1"),
        (["not an address", "nor this"], "192.0.2.1"),
    ],
    ids=str,
)
async def test_who_registers_many_clients_waits_and_others_do_not(addresses: list[str], another: str) -> None:
    """Ours: by the address, of IPv6 by the part that a subscriber has whole; a minute later it goes on."""
    async with world() as server:
        for number in range(REGISTRATIONS_OF_ONE):
            assert (await try_to_register(server, addresses[number % len(addresses)])).status_code == 201

        for address in addresses:
            slow = await try_to_register(server, address)
            assert refused(slow, "temporarily_unavailable", 429)
            assert int(slow.headers["retry-after"]) > 0
        assert (await try_to_register(server, another)).status_code == 201
        server.clock.forward(60)
        assert (await try_to_register(server, addresses[0])).status_code == 201


async def test_registrations_of_all_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known gap: whoever has many addresses keeps newcomers waiting, but does not fill the database."""
    monkeypatch.setattr(tries, "REGISTRATIONS_A_MINUTE", 15)
    async with world() as server:
        for number in range(15):
            assert (await try_to_register(server, f"192.0.2.{number}")).status_code == 201

        assert refused(await try_to_register(server, "198.51.100.1"), "temporarily_unavailable", 429)
        server.clock.forward(60)
        assert (await try_to_register(server, "198.51.100.1")).status_code == 201


async def test_who_could_not_be_registered_uses_nothing_up() -> None:
    """Ours: a client with a mistake in its metadata may try until it is mended."""
    async with world() as server:
        for _ in range(2 * REGISTRATIONS_OF_ONE):
            assert refused(await server.http.post("/register", json={"redirect_uris": []}), "invalid_redirect_uri")

        await server.register()


@pytest.mark.parametrize(
    "method", ["client_secret_basic", "client_secret_post", "private_key_jwt", "none", "odd", None]
)
async def test_no_client_gets_a_secret(method: str | None) -> None:
    """Documented (RFC 7591, 2 and 3.2.1): the server may put another method in the place of the one asked for."""
    async with world() as server:
        given = await server.register(token_endpoint_auth_method=method, client_secret="mine", client_id="mine")

        assert given["token_endpoint_auth_method"] == "none"
        assert given["redirect_uris"] == [REDIRECT]
        assert given["client_id"] != "mine"
        assert "client_secret" not in given


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Robot \n\t\u202e 2  ", "Robot 2"),
        ("R\u200bo\u0000bot", "Robot"),
        ("", "A client without a name"),
        ("\u202e", "A client without a name"),
        (None, "A client without a name"),
        ("R" * 5_000, "R" * 79 + "…"),
        ("Róbot 机器人", "Róbot 机器人"),
    ],
    ids=ascii,
)
async def test_names_are_cleaned_and_bounded(name: str | None, shown: str) -> None:
    """Ours: what hides, misleads or floods does not reach the page."""
    async with world() as server:
        given = await server.register(client_name=name)

        assert given["client_name"] == shown
        assert shown in (await server.page(given["client_id"])).text


# Trouble ---------------------------------------------------------------------------


async def everywhere(server: World, page: Page, client_id: str) -> list[httpx2.Response]:
    """One request to each endpoint that needs the database."""
    return [
        await server.http.post("/register", json={"redirect_uris": [REDIRECT]}),
        await server.exchange(client_id, "fmcp_aaaaaaaaaaaa_" + "A" * 43),
        await server.http.post("/revoke", data={"token": "fmcp_aaaaaaaaaaaa_" + "A" * 43, "client_id": client_id}),
        await server.begin(client_id),
        await server.http.get("/consent", params={"request": page.fields["request"]}),
        await server.answer(page, code=NO_CODE),
    ]


async def test_a_database_that_cannot_be_used_is_said_as_such() -> None:
    """Ours: 503 with a time to wait, and neither a path nor an exception's text."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        page = await server.page(client_id)
        await server.book.aclose()
        database_file().write_bytes(b"this is no database at all" * 100)
        answers = await everywhere(server, page, client_id)

        assert [answer.status_code for answer in answers] == [503] * 6
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        assert not any(word in answer.text for answer in answers for word in ("access.db", "Error", "sqlite"))
        assert [answer.json()["error"] for answer in answers[:3]] == ["temporarily_unavailable"] * 3
        assert all("Sign-ins cannot be looked up" in Page(answer.text).text for answer in answers[3:])
