"""The whole way from a stranger's registration to tokens that are renewed, by hand."""

from __future__ import annotations

import json
import logging
from urllib.parse import urlsplit

import anyio
import pytest

from tests.issuer.world import BASE, DAY_MS, REDIRECT, Clock, Page, parameters, world


async def test_what_the_server_says_about_itself_is_what_there_is() -> None:
    """Documented (RFC 8414, RFC 9207): the issuer to the letter, public clients, S256, and `iss` in every answer."""
    async with world() as server:
        answer = await server.http.get("/.well-known/oauth-authorization-server")
        told = answer.json()

        assert told == {
            "issuer": BASE,
            "authorization_endpoint": f"{BASE}/authorize",
            "token_endpoint": f"{BASE}/token",
            "registration_endpoint": f"{BASE}/register",
            "revocation_endpoint": f"{BASE}/revoke",
            "scopes_supported": ["finexio:read", "finexio:write", "finexio:pay"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        assert (await server.http.get("/.well-known/openid-configuration")).status_code == 404


async def test_scopes_that_the_server_does_not_offer_are_not_named() -> None:
    """Ours: a server that only reads does not promise to pay."""
    async with world(FINEXIO_MCP_ACCESS="read") as server:
        told = (await server.http.get("/.well-known/oauth-authorization-server")).json()

        assert told["scopes_supported"] == ["finexio:read"]


async def test_a_client_is_let_in_and_stays_in() -> None:
    """Documented (OAuth 2.1): register, ask, be allowed, get tokens, use them, renew them."""
    async with world() as server:
        client = await server.register(token_endpoint_auth_method="client_secret_basic")
        assert client["token_endpoint_auth_method"] == "none"
        assert "client_secret" not in client

        page = await server.page(client["client_id"])
        sent = await server.answer(page, code=await server.invite("pay"))
        answer = parameters(sent.headers["location"])
        assert sent.status_code == 303
        assert sent.headers["location"].startswith(f"{REDIRECT}?")
        assert answer.keys() == {"code", "state", "iss"}
        assert (answer["state"], answer["iss"]) == ("s t&a=te", BASE)

        given = await server.exchange(client["client_id"], answer["code"])
        tokens = given.json()
        assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
        assert tokens["scope"] == "finexio:read finexio:write finexio:pay"
        assert given.headers["cache-control"] == "no-store"

        used = await server.http.post("/mcp", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert used.json() == {"name": "person 0", "access": "pay"}

        renewed = (await server.refresh(client["client_id"], tokens["refresh_token"])).json()
        assert renewed["refresh_token"] != tokens["refresh_token"]
        assert await server.access_of(renewed["access_token"]) == "pay"


async def test_the_least_of_all_bounds_holds() -> None:
    """Ours: what was asked, what the person chose, what the invitation allows, what the server offers."""
    async with world() as server:
        _, asked = await server.signed_in("pay", scope="finexio:read")
        assert asked["scope"] == "finexio:read"
    async with world() as server:
        _, chosen = await server.signed_in("pay", choose="write")
        assert chosen["scope"] == "finexio:read finexio:write"
    async with world() as server:
        _, invited = await server.signed_in("read")
        assert invited["scope"] == "finexio:read"
        assert await server.access_of(invited["access_token"]) == "read"
    async with world(FINEXIO_MCP_ACCESS="write") as server:
        client_id = (await server.register())["client_id"]
        assert (await server.page(client_id)).offered == ["read", "write"]
        refused = await server.answer(await server.page(client_id), code=await server.invite("pay"), access="pay")
        assert refused.status_code == 400


async def test_who_asks_for_no_scope_in_particular_is_offered_the_least_first() -> None:
    """Ours: the person may allow more, but has to choose it."""
    async with world() as server:
        page = await server.page((await server.register())["client_id"], scope=None)

        assert page.offered == ["read", "write", "pay"]
        assert page.fields["access"] == "read"


async def test_who_clicks_twice_is_let_in_once() -> None:
    """Ours: browsers send the form twice and heed only the second answer, when the one-time code is already used."""
    async with world() as server:
        client_id, invitation = (await server.register())["client_id"], await server.invite()
        page = await server.page(client_id)
        answers: list[str] = []

        async def click() -> None:
            answers.append((await server.answer(page, code=invitation)).headers["location"])

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(click)
                tasks.start_soon(click)
        assert len(answers) == 2
        assert len(set(answers)) == 1
        assert (await server.answer(page, code=invitation, access="read")).status_code == 400
        assert (await server.exchange(client_id, parameters(answers[0])["code"])).status_code == 200

        server.clock.forward(6)
        assert (await server.answer(page, code=invitation)).status_code == 400


async def test_scopes_of_others_are_left_out() -> None:
    """Documented (RFC 6749, 3.3): the answer tells what was given when it is not what was asked."""
    async with world() as server:
        _, tokens = await server.signed_in("pay", scope="openid offline_access finexio:write")

        assert tokens["scope"] == "finexio:read finexio:write"


async def test_denying_needs_no_code_and_is_told_to_the_client() -> None:
    """Documented (RFC 6749, 4.1.2.1; RFC 9207): `access_denied`, with state and issuer."""
    async with world() as server:
        page = await server.page((await server.register())["client_id"])
        sent = await server.answer(page, "deny", code="")

        assert sent.status_code == 303
        told = parameters(sent.headers["location"])
        assert (told["error"], told["state"], told["iss"]) == ("access_denied", "s t&a=te", BASE)


async def test_a_redirect_uri_that_was_left_out_is_the_only_one_registered() -> None:
    """Documented (RFC 6749, 3.1.2.3): and then the exchange leaves it out too."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        code = await server.code(client_id, await server.invite(), redirect_uri=None)

        assert (await server.exchange(client_id, code, redirect_uri=None)).status_code == 200


async def test_a_program_on_this_machine_may_listen_on_any_port() -> None:
    """Documented (RFC 8252, 7.3): the port is free at run time, not at registration."""
    async with world() as server:
        client_id = (await server.register(redirect_uris=["http://127.0.0.1/callback?x=1"]))["client_id"]
        listening = "http://127.0.0.1:49152/callback?x=1"
        page = await server.page(client_id, redirect_uri=listening)
        sent = await server.answer(page, code=await server.invite())

        assert sent.headers["location"].startswith(f"{listening}&code=")
        code = parameters(sent.headers["location"])["code"]
        assert (await server.exchange(client_id, code, redirect_uri=listening)).status_code == 200


async def test_another_replica_with_the_same_key_goes_on_with_a_sign_in() -> None:
    """Ours: what is pending travels with the browser; nothing of it stays in one process."""
    clock, key = Clock(), "k" * 32
    async with world(clock, FINEXIO_MCP_STATE_KEY=key) as one, world(clock, FINEXIO_MCP_STATE_KEY=key) as other:
        client_id = (await one.register())["client_id"]
        page = await one.page(client_id)
        sent = await other.answer(page, code=await one.invite())

        assert sent.status_code == 303
        assert (await one.exchange(client_id, parameters(sent.headers["location"])["code"])).status_code == 200


async def test_without_a_key_only_the_process_that_began_goes_on() -> None:
    """Known gap: after a restart, a sign-in that was begun before has to be begun again."""
    async with world() as before, world() as after:
        page = await before.page((await before.register())["client_id"])
        sent = await after.answer(page, code=await before.invite())

        assert sent.status_code == 400
        assert "connect again" in Page(sent.text).text


async def test_a_refresh_may_ask_for_less_and_later_for_all_again() -> None:
    """Documented (RFC 6749, 6): the scopes of the sign-in at most."""
    async with world() as server:
        client_id, tokens = await server.signed_in("write", scope="finexio:write")
        less = (await server.refresh(client_id, tokens["refresh_token"], scope="finexio:read")).json()
        assert less["scope"] == "finexio:read"
        assert await server.access_of(less["access_token"]) == "read"

        again = (await server.refresh(client_id, less["refresh_token"])).json()
        assert again["scope"] == "finexio:read finexio:write"
        more = await server.refresh(client_id, again["refresh_token"], scope="finexio:pay")
        assert (more.status_code, more.json()["error"]) == (400, "invalid_scope")


async def test_a_server_that_offers_less_than_before_does_not_promise_more() -> None:
    """Ours: the operator's setting holds for those who signed in earlier, and they are told."""
    clock = Clock()
    async with world(clock) as before:
        client_id, tokens = await before.signed_in("pay")
    async with world(clock, FINEXIO_MCP_ACCESS="read") as after:
        renewed = (await after.refresh(client_id, tokens["refresh_token"])).json()

        assert renewed["scope"] == "finexio:read"


async def test_a_grant_that_ends_ends_its_tokens() -> None:
    """Ours: an access token lasts an hour, a refresh token 30 days, and neither longer than the operator said."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        invitation = await server.invite(until_ms=server.clock.ms + 1_800_000)
        tokens = (await server.exchange(client_id, await server.code(client_id, invitation))).json()
        assert tokens["expires_in"] == 1800

        server.clock.forward(1801)
        assert await server.access_of(tokens["access_token"]) is None
        assert (await server.refresh(client_id, tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_an_hour_ends_the_access_token_and_thirty_days_the_sign_in() -> None:
    """Ours: whoever comes back in time goes on, with new tokens each time."""
    async with world() as server:
        client_id, tokens = await server.signed_in()
        server.clock.forward(3601)
        assert await server.access_of(tokens["access_token"]) is None

        renewed = (await server.refresh(client_id, tokens["refresh_token"])).json()
        server.clock.forward(30 * DAY_MS / 1000 + 1)
        assert (await server.refresh(client_id, renewed["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_a_client_gives_its_access_back(kind: str) -> None:
    """Documented (RFC 7009): either token ends both."""
    async with world() as server:
        client_id, tokens = await server.signed_in()
        given_back = await server.http.post("/revoke", data={"token": tokens[kind], "client_id": client_id})

        assert (given_back.status_code, given_back.content) == (200, b"")
        assert await server.access_of(tokens["access_token"]) is None
        assert (await server.refresh(client_id, tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_no_secret_gets_into_a_log(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: neither a one-time code nor a code nor a token, good or bad."""
    caplog.set_level(logging.DEBUG)
    async with world() as server:
        client_id = (await server.register())["client_id"]
        page, invitation = await server.page(client_id), await server.invite()
        await server.answer(page, code="abcd-abcd-abcd-abcd")
        code = parameters((await server.answer(page, code=invitation)).headers["location"])["code"]
        tokens = (await server.exchange(client_id, code)).json()
        await server.exchange(client_id, code)
        await server.refresh(client_id, tokens["refresh_token"])
        await server.http.post("/revoke", data={"token": tokens["access_token"], "client_id": client_id})

    logged = "\n".join([record.getMessage() for record in caplog.records if record.name.startswith("finexio_mcp")])
    assert f"client {client_id}" in logged
    secrets = ["abcd-abcd", invitation, code, tokens["access_token"], tokens["refresh_token"]]
    assert [secret for secret in secrets if secret in logged] == []


async def test_the_answer_to_the_client_is_the_only_place_with_a_code() -> None:
    """Ours: addresses of ours, which logs of proxies keep, hold none."""
    async with world() as server:
        client_id = (await server.register())["client_id"]
        invitation = await server.invite()
        begun = await server.begin(client_id)
        sent = await server.answer(await server.page(client_id), code=invitation)

        code = parameters(sent.headers["location"])["code"]
        assert urlsplit(sent.headers["location"]).netloc == "client.example"
        assert sent.headers["referrer-policy"] == "no-referrer"
        assert invitation not in sent.headers["location"]
        assert code not in begun.headers["location"]
        assert sent.content == b""
        assert json.dumps({**sent.headers}).count(code) == 1
