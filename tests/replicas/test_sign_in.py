"""Signing in at the built-in issuer when every request may meet another replica."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from finexio_mcp.access.book import AccessBook
from finexio_mcp.access.grants import Terms
from tests.conftest import ERAS, Era
from tests.issuer.world import CHALLENGE, REDIRECT, VERIFIER, Page, parameters
from tests.replicas.clients import NO_CERTIFICATES, connected, said
from tests.replicas.cluster import Cluster
from tests.replicas.companies import BIRCH
from tests.web.serving import PATIENCE_SECONDS, elsewhere

INVOICES = "list_all_finexio_invoices"
CODE = re.compile(r"[a-z0-9]{4}(?:-[a-z0-9]{4}){3}")
WRONG = "aaaa-bbbb-cccc-dddd"
ROUNDS = 6
"""Of what two replicas are asked at the same time: one round alone might miss the moment."""


@dataclass(frozen=True)
class Browser:
    """A person and a client, whose requests go where the test says."""

    pair: Cluster

    def ask(self, replica: str, method: str, target: str, **more: Any) -> httpx2.Response:
        """One request to one replica, as the proxy would hand it on."""
        base = self.pair.proxy.url
        target = target.removeprefix(base)
        headers = {"Host": base.removeprefix("http://"), **more.pop("headers", {})}
        with httpx2.Client(verify=NO_CERTIFICATES, trust_env=False, timeout=PATIENCE_SECONDS) as http:
            return http.request(method, f"{self.pair.site(replica).base_url}{target}", headers=headers, **more)

    def register(self, replica: str) -> str:
        asked = {"redirect_uris": [REDIRECT], "client_name": "Robot"}
        answer = self.ask(replica, "POST", "/register", json=asked)
        assert answer.status_code == 201, answer.text
        return answer.json()["client_id"]

    def begin(self, first: str, second: str, client_id: str) -> Page:
        """The page that asks for a code: the sign-in begun at one replica, the page shown by the other."""
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "scope": "finexio:read finexio:write finexio:pay",
            "resource": f"{self.pair.proxy.url}/mcp",
        }
        begun = self.ask(first, "GET", "/authorize", params=query)
        assert begun.status_code == 302, begun.text
        shown = self.ask(second, "GET", begun.headers["location"])
        assert shown.status_code == 200, shown.text
        return Page(shown.text)

    def answer(self, replica: str, page: Page, code: str) -> httpx2.Response:
        headers = {"Origin": self.pair.proxy.url, "Sec-Fetch-Site": "same-origin"}
        form = {**page.fields, "code": code, "decision": "allow"}
        return self.ask(replica, "POST", "/consent", data=form, headers=headers)

    def token(self, replica: str, client_id: str, **form: str) -> httpx2.Response:
        return self.ask(replica, "POST", "/token", data={"client_id": client_id, **form})

    def exchange(self, replica: str, client_id: str, code: str) -> httpx2.Response:
        usual = {"grant_type": "authorization_code", "code_verifier": VERIFIER, "redirect_uri": REDIRECT}
        return self.token(replica, client_id, code=code, resource=f"{self.pair.proxy.url}/mcp", **usual)

    def refresh(self, replica: str, client_id: str, token: str) -> httpx2.Response:
        return self.token(replica, client_id, grant_type="refresh_token", refresh_token=token)


def invited_by_command(pair: Cluster, name: str) -> str:
    """A one-time code for the account `birch`, as an operator makes it."""
    done = pair.run("tokens", "invite", "--name", name, "--access", "pay", "--account", "birch")
    assert done.returncode == 0, done.stderr
    return CODE.findall(done.stdout)[0]


def invited(pair: Cluster, name: str) -> str:
    """The same, without a process for it."""

    async def invite() -> str:
        book = AccessBook(pair.site().settings)
        try:
            terms = Terms(access="pay", account="birch")
            _, code = await book.invite(name, terms, valid_ms=600_000, grant_expires_at_ms=None)
        finally:
            await book.aclose()
        return code

    return elsewhere(invite)


@pytest.mark.parametrize("era", ERAS)
async def test_a_sign_in_begins_at_one_replica_ends_at_the_other_and_is_renewed_at_either(
    pair: Cluster, era: Era
) -> None:
    """Ours: registration, page, consent, code, tokens, and the account that the invitation was for (A2, A3)."""
    browser, (first, second) = Browser(pair), pair.replicas
    client_id = browser.register(first)
    page = browser.begin(second, first, client_id)
    sent = browser.answer(second, page, invited_by_command(pair, f"ada {era}"))
    assert sent.status_code == 303, sent.text
    tokens = browser.exchange(first, client_id, parameters(sent.headers["location"])["code"]).json()
    shown: list[Any] = []
    for replica in (second, first, second):
        async with connected(pair.proxy.url, tokens["access_token"], era) as client:
            shown += [await said(client, INVOICES, {"limit": 2}) for _ in range(2)]
        renewed = browser.refresh(replica, client_id, tokens["refresh_token"])
        assert renewed.status_code == 200, renewed.text
        tokens = renewed.json()

    assert all(BIRCH.mark in str(content["result"]) for content in shown)


def test_wrong_codes_count_at_whichever_replica_they_are_typed(pair: Cluster) -> None:
    """Ours: five end a sign-in, and going to the other replica begins no new count."""
    browser, (first, second) = Browser(pair), pair.replicas
    client_id = browser.register(first)
    page, right = browser.begin(first, second, client_id), invited(pair, "guesser")
    tries = [browser.answer((first, second)[turn % 2], page, WRONG) for turn in range(5)]
    after = [browser.answer(replica, page, right) for replica in (first, second)]
    fresh = browser.answer(second, browser.begin(first, second, client_id), right)

    assert {answer.status_code for answer in tries} <= {400, 403}
    assert 303 not in {answer.status_code for answer in after}
    assert fresh.status_code == 303


def test_wrong_codes_typed_at_both_at_once_are_counted_once_each(pair: Cluster) -> None:
    """Ours: twenty at the same moment get five looked at, not five at each replica."""
    browser, (first, second) = Browser(pair), pair.replicas
    client_id = browser.register(first)
    page, right = browser.begin(first, second, client_id), invited(pair, "hurried guesser")
    with ThreadPoolExecutor(20) as people:
        typed = [people.submit(browser.answer, (first, second)[turn % 2], page, WRONG) for turn in range(20)]
        tries = [each.result() for each in typed]
    after = [browser.answer(replica, page, right).status_code for replica in (first, second)]

    looked_at = [answer for answer in tries if "does not work" in Page(answer.text).text]
    assert len(looked_at) <= 5
    assert 303 not in after


def test_a_double_click_that_two_replicas_answer_lets_the_client_in_once(pair: Cluster) -> None:
    """Ours: whichever answer the browser follows, the code in it works; nothing is given twice."""
    browser, (first, second) = Browser(pair), pair.replicas
    client_id = browser.register(first)
    for turn in range(ROUNDS):
        page, code = browser.begin(first, second, client_id), invited(pair, f"clicker {turn}")
        with ThreadPoolExecutor(2) as clicks:
            clicked = [clicks.submit(browser.answer, name, page, code) for name in (first, second)]
            sent = [each.result() for each in clicked]
        assert [answer.status_code for answer in sent] == [303, 303]
        followed = parameters(sent[turn % 2].headers["location"])["code"]
        given = browser.exchange((first, second)[turn // 2 % 2], client_id, followed)
        assert given.status_code == 200, given.text
        shown = browser.refresh((first, second)[turn % 2], client_id, given.json()["refresh_token"])
        assert shown.status_code == 200, shown.text


def test_a_code_that_is_exchanged_at_both_at_once_gives_tokens_once(pair: Cluster) -> None:
    """Documented (RFC 6749, 4.1.2): a code is for one use, at whichever replica."""
    browser, (first, second) = Browser(pair), pair.replicas
    client_id = browser.register(first)
    for turn in range(ROUNDS):
        sent = browser.answer(first, browser.begin(first, second, client_id), invited(pair, f"exchanger {turn}"))
        code = parameters(sent.headers["location"])["code"]
        with ThreadPoolExecutor(2) as clients:
            given = [clients.submit(browser.exchange, name, client_id, code) for name in (first, second)]
        assert sorted(each.result().status_code for each in given) == [200, 400]
