"""Several companies in one pretend Finexio."""

from datetime import timedelta
from typing import Any

import anyio
import httpx2
import pytest

from finexio_mcp.simulator import Companies, Fault, Simulator

from .asking import invoice
from .conftest import NOW

IMAGE_ORIGIN = "http://simulator.invalid"


@pytest.fixture
def companies() -> Companies:
    """Two firms with books of their own."""
    return Companies(
        {
            "acme": Simulator(seed=1, now=NOW, username="acme-api", password="a", populated=False),
            "zenith": Simulator(seed=2, now=NOW, username="zenith-api", password="z", populated=False),
        }
    )


def client(companies: Companies, user: str, password: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=companies.transport(), base_url=companies.base_url, auth=(user, password), trust_env=False
    )


def acme(companies: Companies) -> httpx2.AsyncClient:
    return client(companies, "acme-api", "a")


def zenith(companies: Companies) -> httpx2.AsyncClient:
    return client(companies, "zenith-api", "z")


async def test_each_user_sees_the_books_of_its_company_and_no_other(companies: Companies) -> None:
    """Ours."""
    companies["acme"].add_payment("p-1")
    async with acme(companies) as ours, zenith(companies) as theirs:
        seen = await ours.get("/payments/p-1/")
        unseen = await theirs.get("/payments/p-1/")
        listed = await theirs.get("/payments/")

    assert (seen.status_code, unseen.status_code, listed.json()["count"]) == (200, 404, 0)


async def test_an_invoice_lands_in_the_books_of_whoever_sent_it(companies: Companies) -> None:
    """Ours: effects are counted for each company."""
    async with acme(companies) as api:
        answer = await api.post("/invoices/batch/", json=[invoice(companies["acme"])])

    assert answer.status_code == 201
    assert [effect.kind for effect in companies["acme"].journal.effects if effect.request is not None] == [
        "invoice.created"
    ]
    assert companies["zenith"].journal.effects == []
    assert companies["zenith"].invoices == {}


async def test_the_journal_of_all_says_who_asked_in_the_order_of_arrival(companies: Companies) -> None:
    """Ours: an index is one request, wherever it is read."""
    async with acme(companies) as ours, zenith(companies) as theirs, client(companies, "nobody", "x") as strange:
        for api in (ours, theirs, strange, theirs, ours):
            await api.get("/payments/")

    users = ["acme-api", "zenith-api", "nobody", "zenith-api", "acme-api"]
    assert [(record.index, record.user) for record in companies.requests] == list(enumerate(users))
    assert [record.index for record in companies["acme"].journal.requests] == [0, 4]
    assert (companies.journal.requests, companies.journal.received) == (companies.requests, 5)


@pytest.mark.parametrize(("user", "password"), [("nobody", "a"), ("", ""), ("acme-api", "z"), ("zenith-api", "a")])
async def test_a_stranger_and_a_wrong_password_get_the_same_403(companies: Companies, user: str, password: str) -> None:
    """Documented: wrong credentials are a 403 with this text."""
    async with client(companies, user, password) as api:
        answer = await api.get("/payments/")

    assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid username/password."})


async def test_no_credentials_are_a_403_and_an_unknown_path_a_page(companies: Companies) -> None:
    """Inferred: the path is looked at before the caller, as with one company."""
    async with httpx2.AsyncClient(transport=companies.transport(), base_url=companies.base_url) as api:
        refused, lost = await api.get("/payments/"), await api.get("/nothing/")

    assert "credentials were not provided" in refused.json()["detail"]
    assert (lost.status_code, lost.headers["content-type"][:9]) == (404, "text/html")
    assert [record.user for record in companies.requests] == [None, None]


async def test_a_fault_meets_the_company_that_it_was_scripted_for(companies: Companies) -> None:
    """Ours: on the connection too."""
    companies["acme"].fault(Fault(connect_error=True))
    companies["acme"].fault(Fault(status=503))
    async with acme(companies) as ours, zenith(companies) as theirs:
        untouched = await theirs.get("/payments/")
        with pytest.raises(httpx2.ConnectError):
            await ours.get("/payments/")
        busy = await ours.get("/payments/")

    assert (untouched.status_code, busy.status_code) == (200, 503)
    assert [record.user for record in companies.requests] == ["zenith-api", "acme-api"]


async def test_an_effect_that_lands_late_lands_with_its_company(companies: Companies) -> None:
    """Ours: the index of the request goes with it."""
    companies["acme"].fault(Fault(lands_after=timedelta(minutes=5)), method="POST")
    async with acme(companies) as ours, zenith(companies) as theirs:
        await theirs.get("/payments/")
        with pytest.raises(httpx2.ReadTimeout):
            await ours.post("/invoices/batch/", json=[invoice(companies["acme"])])
    companies["acme"].advance(minutes=6)

    (created,) = [effect for effect in companies.journal.effects if effect.kind == "invoice.created"]
    assert companies.requests[created.request or 0].user == "acme-api"
    assert companies["zenith"].invoices == {}


async def test_the_knobs_turn_one_company(companies: Companies) -> None:
    """Ours: the control endpoint is each company's own, and nobody else's."""
    async with acme(companies) as ours, zenith(companies) as theirs, client(companies, "nobody", "x") as strange:
        await ours.get("/payments/")
        await ours.post(f"{IMAGE_ORIGIN}/_simulator/advance", json={"days": 1})
        states: list[Any] = [(await api.get(f"{IMAGE_ORIGIN}/_simulator/state")).json() for api in (ours, theirs)]
        journal = (await theirs.get(f"{IMAGE_ORIGIN}/_simulator/journal")).json()
        refused = await strange.post(f"{IMAGE_ORIGIN}/_simulator/reset")

    assert [state["now"][:10] for state in states] == ["2026-11-21", "2026-11-20"]
    assert (journal, refused.status_code) == ({"requests": [], "effects": []}, 403)


async def test_pictures_of_all_open_by_their_address_alone(companies: Companies) -> None:
    """Ours: a browser has no credentials, and each picture is the one that was asked for."""
    for cents, (name, company) in enumerate(companies.items(), start=5000):
        company.add_payment(f"p-{name}", status="settled", amount_cents=cents)
    with companies.listening() as base_url:
        async with httpx2.AsyncClient(base_url=base_url, trust_env=False) as browser:
            links = [
                (await browser.get(f"/payments/p-{name}/images", auth=login)).json()["check_image_url"]
                for name, login in (("acme", ("acme-api", "a")), ("zenith", ("zenith-api", "z")))
            ]
            pictures = [await browser.get(link) for link in links]
            missing = await browser.get(f"{base_url.removesuffix('/v2')}/images/none.svg")

    assert [picture.status_code for picture in pictures] == [200, 200]
    assert pictures[0].text != pictures[1].text
    assert missing.status_code == 404


async def test_many_clients_at_once_lose_nothing_on_a_port(companies: Companies) -> None:
    """Ours: requests of all companies are numbered without a gap."""
    with companies.listening(day_seconds=24) as base_url:

        async def ask(user: str, password: str) -> None:
            async with httpx2.AsyncClient(base_url=base_url, auth=(user, password), trust_env=False) as api:
                for _ in range(10):
                    assert (await api.get("/payments/")).status_code == 200

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(ask, "acme-api", "a")
                    group.start_soon(ask, "zenith-api", "z")

    assert [record.index for record in companies.requests] == list(range(60))
    assert [len(company.journal.requests) for company in companies.values()] == [30, 30]


def test_time_passes_for_all_while_they_are_served(companies: Companies) -> None:
    """Ours."""
    with companies.ticking(0.001):
        for company in companies.values():
            begin = company.clock.now()
            while (company.clock.now() - begin).days < 1:
                pass

    assert all(company.clock.now() > NOW for company in companies.values())


async def test_a_new_beginning_is_one_for_all(companies: Companies) -> None:
    """Ours: numbers begin anew too."""
    companies["acme"].add_payment("p-1")
    async with acme(companies) as api:
        await api.get("/payments/")
        companies.reset()
        await api.get("/payments/")

    assert [record.index for record in companies.requests] == [0]
    assert companies["acme"].payments == {}


def test_two_companies_cannot_have_one_user() -> None:
    """Ours."""
    with pytest.raises(ValueError, match="of its own"):
        Companies({"a": Simulator(populated=False), "b": Simulator(populated=False)})


async def test_companies_can_be_named_as_a_command_names_them() -> None:
    """Ours: books of their own; a password may hold a colon."""
    companies = Companies.of(["acme:secret:1", "zenith:2"], seed=5)

    async with client(companies, "acme", "secret:1") as api:
        answer = await api.get("/payments/")

    assert (answer.status_code, list(companies)) == (200, ["acme", "zenith"])
    assert [company.seed for company in companies.values()] == [5, 6]
    assert set(companies["acme"].payments).isdisjoint(companies["zenith"].payments)


@pytest.mark.parametrize("logins", [["acme"], ["acme:"], [":x"], ["acme:1", "acme:2"]])
def test_a_company_without_name_or_password_is_refused(logins: list[str]) -> None:
    """Ours: and what was refused is not told, since it may be a password."""
    with pytest.raises(ValueError, match=r"is NAME:PASSWORD|twice") as caught:
        Companies.of(logins)

    assert "2" not in str(caught.value)
