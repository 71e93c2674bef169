"""Pages, filters and order, the same for every list."""

from datetime import timedelta
from typing import Any

import pytest

from finexio_mcp.simulator import Simulator

from .asking import client


async def ids(sim: Simulator, path: str, **query: Any) -> list[str]:
    async with client(sim) as api:
        answer = await api.get(path, params=query)
    assert answer.is_success, answer.text
    return [row.get("id") or row["processor_request_id"] for row in answer.json()["results"]]


async def test_a_list_comes_in_pages_of_100_under_a_foreign_host(sim: Simulator) -> None:
    """Documented: fixed size, 1-based `page`; a vendor sample links to localhost:8000."""
    for number in range(214):
        sim.add_invoice(f"i-{number:03}", payment_id="p", status="complete")
    async with client(sim) as api:
        pages = [(await api.get("/invoices/", params={"page": page})).json() for page in (1, 2, 3)]

    assert [len(page["results"]) for page in pages] == [100, 100, 14]
    assert {page["count"] for page in pages} == {214}
    assert pages[0]["previous"] is None
    assert pages[1]["next"] == "http://localhost:8000/v2/invoices/?page=3"
    assert pages[1]["previous"] == "http://localhost:8000/v2/invoices/?page=1"
    assert pages[2]["next"] is None
    assert [row["id"] for page in pages for row in page["results"]] == [f"i-{number:03}" for number in range(214)]


@pytest.mark.parametrize("page", ["2", "0", "-1", "abc", "1.5", "99999999999999999999"])
async def test_a_page_that_is_not_there_is_a_404(sim: Simulator, page: str) -> None:
    """Documented: 404 on list calls; the body is the framework's."""
    async with client(sim) as api:
        answer = await api.get("/payments/", params={"page": page})

    assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid page."})


async def test_an_empty_list_is_one_empty_page(sim: Simulator) -> None:
    """Inferred: the framework allows an empty first page."""
    async with client(sim) as api:
        answer = await api.get("/payments/", params={"page": 1})

    assert answer.json() == {"count": 0, "next": None, "previous": None, "results": []}


async def test_filters_travel_in_the_links(sim: Simulator) -> None:
    """Ours: a link keeps the query, as the framework's does."""
    for _ in range(101):
        sim.add_payment(status="settled")
    async with client(sim) as api:
        answer = await api.get("/payments/", params={"status": "settled", "page": 1})

    assert answer.json()["next"] == "http://localhost:8000/v2/payments/?status=settled&page=2"


@pytest.mark.parametrize(
    ("order", "expected"),
    [("oldest_first", ["i-1", "i-2", "i-3"]), ("newest_first", ["i-3", "i-2", "i-1"])],
)
async def test_each_list_can_be_turned_round(sim: Simulator, order: Any, expected: list[str]) -> None:
    """Unknown at the vendor: the order of lists."""
    sim.order["invoices"] = order
    for number in (1, 2, 3):
        sim.add_invoice(f"i-{number}", created=f"2026-11-0{number}T00:00:00.000000")

    assert await ids(sim, "/invoices/") == expected


async def test_an_unordered_list_is_stable_but_not_by_age(sim: Simulator) -> None:
    """Ours: two reads agree, and age does not show."""
    sim.order["payments"] = "unordered"
    for number in range(40):
        sim.add_payment(f"p-{number:02}")
    first, second = await ids(sim, "/payments/"), await ids(sim, "/payments/")

    assert first == second
    assert sorted(first) not in (first, first[::-1])


async def test_payments_come_newest_first_and_invoices_oldest_first(sim: Simulator) -> None:
    """Unknown at the vendor: this is only where we begin."""
    sim.add_payment("p-1")
    sim.add_payment("p-2")

    assert await ids(sim, "/payments/") == ["p-2", "p-1"]
    assert sim.order["invoices"] == "oldest_first"


PAYMENT_FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"status": "settled"}, ["p-1"]),
    ({"status": ["settled", "pending"]}, ["p-2", "p-1"]),
    ({"tracking_id": "RC2"}, ["p-2"]),
    ({"created_start": "2026-11-02T00:00:00"}, ["p-3", "p-2"]),
    ({"created_end": "2026-11-02T00:00:00"}, ["p-2", "p-1"]),
    ({"created_start": "2026-11-02", "created_end": "2026-11-02T23:59:59"}, ["p-2"]),
    ({"created_start": "2026-11-01T20:00:00-05:00"}, ["p-3"]),
    ({"updated_start": "2026-11-05T00:00:00Z"}, ["p-3"]),
    ({"updated_end": "2026-11-04"}, ["p-2", "p-1"]),
    ({"refunded": "true"}, ["p-3"]),
    ({"refunded": "false"}, ["p-2", "p-1"]),
    ({"refunded": "maybe"}, ["p-3", "p-2", "p-1"]),
    ({"status": ""}, ["p-3", "p-2", "p-1"]),
    ({"status": "pending", "refunded": "true"}, []),
]


@pytest.mark.parametrize(("query", "expected"), PAYMENT_FILTERS)
async def test_payment_filters(sim: Simulator, query: dict[str, Any], expected: list[str]) -> None:
    """Documented: different filters narrow, a repeated one widens, both ends are inclusive."""
    first_day = "2026-11-01T00:00:00.000000"
    sim.add_payment("p-1", status="settled", created=first_day, updated=first_day, tracking_id="RC1")
    sim.add_payment("p-2", status="pending", created="2026-11-02T00:00:00.000000", tracking_id="RC2")
    sim.add_payment(
        "p-3",
        status="failed",
        created="2026-11-03T00:00:00.000000",
        updated="2026-11-05T00:00:00.000000",
        refund_timestamp="2026-11-05T00:00:00.000000",
    )

    assert await ids(sim, "/payments/", **query) == expected


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/payments/", {"status": "canceled"}),
        ("/payments/", {"status": "failed"}),
        ("/payments/", {"created_start": "yesterday"}),
        ("/counterparties/", {"type": "Bank"}),
        ("/counterparties/suppliers", {"updated_after": "soon"}),
    ],
)
async def test_a_filter_value_that_is_not_offered_is_a_400_that_names_it(
    sim: Simulator, path: str, query: dict[str, str]
) -> None:
    """Documented: the status filter lists three values; the body is inferred."""
    async with client(sim) as api:
        answer = await api.get(path, params=query)

    assert answer.status_code == 400
    assert list(answer.json()) == list(query)


async def test_counterparty_filters(sim: Simulator) -> None:
    """Documented: name contains, type in any case, internal_id exact, updated_after."""
    sim.add_supplier("s-1", name="Harbor Paper", external_reference_id="harbor-1")
    sim.add_buyer("b-1", name="Harbor View Hotel", updated="2026-12-01T00:00:00.000000")

    assert await ids(sim, "/counterparties/", name="hARBOR") == ["b-1", "s-1"]
    assert await ids(sim, "/counterparties/", name="harbor", type="buyer") == ["b-1"]
    assert await ids(sim, "/counterparties/", internal_id="HARBOR-1") == ["s-1"]
    assert await ids(sim, "/counterparties/", internal_id="harbor-1") == []
    assert await ids(sim, "/counterparties/", updated_after="2026-11-25") == ["b-1"]
    assert await ids(sim, "/counterparties/suppliers", external_reference_id="harbor-1") == ["s-1"]
    assert await ids(sim, "/counterparties/buyers", external_reference_id="nobody") == []


async def test_suppliers_filter_by_enabled_and_card_by_mail_opt_out(sim: Simulator) -> None:
    """Documented: `enabled` and the range of the opt-out date, which no record shows."""
    sim.add_supplier("s-1", enabled=False)
    sim.add_supplier("s-2", _cbm_optout_date="2026-05-01T00:00:00.000000")

    assert await ids(sim, "/counterparties/suppliers", enabled="false") == ["s-1"]
    assert await ids(sim, "/counterparties/suppliers", enabled="true") == ["s-2"]
    assert await ids(sim, "/counterparties/suppliers", enabled="perhaps") == ["s-1", "s-2"]
    assert await ids(sim, "/counterparties/suppliers", cbm_optout_date_start="2026-04-01") == ["s-2"]
    assert await ids(sim, "/counterparties/suppliers", cbm_optout_date_end="2026-04-01") == []


@pytest.mark.parametrize(("inclusive", "expected"), [(True, ["s-1"]), (False, [])])
async def test_updated_after_may_or_may_not_include_its_moment(
    sim: Simulator, inclusive: bool, expected: list[str]
) -> None:
    """Unknown at the vendor: both readings can be had."""
    sim.quirks.updated_after_inclusive = inclusive
    sim.add_supplier("s-1", updated="2026-11-01T10:00:00.000000")

    assert await ids(sim, "/counterparties/suppliers", updated_after="2026-11-01T10:00:00") == expected


async def test_invoices_ignore_filters_unless_told_otherwise(sim: Simulator) -> None:
    """Documented: v2 lists only `page`; an old page named more."""
    sim.add_invoice("i-1", invoice_number="A")
    sim.add_invoice("i-2", invoice_number="B")

    assert await ids(sim, "/invoices/", invoice_number="A") == ["i-1", "i-2"]
    sim.quirks.ignore_invoice_filter = False
    assert await ids(sim, "/invoices/", invoice_number="A") == ["i-1"]


async def test_a_new_invoice_may_be_missing_from_the_list_for_a_while(sim: Simulator) -> None:
    """Unknown at the vendor: whether lists lag behind writes."""
    sim.quirks.visible_after = timedelta(minutes=10)
    sim.add_invoice("i-1")

    assert await ids(sim, "/invoices/") == []
    async with client(sim) as api:
        assert (await api.get("/invoices/i-1/")).status_code == 200
    sim.advance(minutes=10)
    assert await ids(sim, "/invoices/") == ["i-1"]
