"""Reading payments, check images and drawdowns."""

from typing import Any
from xml.etree import ElementTree

import pytest

from finexio_mcp.simulator import Simulator
from finexio_mcp.simulator.images import amount_in_words

from .asking import client, invoice


async def get(sim: Simulator, path: str, **query: Any) -> Any:
    async with client(sim) as api:
        answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- Payments -----------------------------------------------------------------------------------------------------


async def test_a_payment_tells_its_whole_life(sim: Simulator) -> None:
    """Documented: every field of the printed sample."""
    sim.add_payment("p-1", status="settled", amount_cents=128450, created="2026-11-01T00:00:00.000000")
    payment = await get(sim, "/payments/p-1/")

    assert set(payment) == {
        "id", "amount_cents", "currency", "originating_counterparty_id", "receiving_counterparty_id", "payment_method",
        "reissue_payment_method", "delivery_method", "reconciliation_id", "tracking_id", "instrument_number", "status",
        "events", "invoices", "adjustments", "created", "updated", "funding_drawdown_request_id", "refund_user",
        "refund_timestamp", "refund_reason", "refund_comment", "refund_ticket_number", "reissue_user",
        "reissue_timestamp", "reissue_reason", "reissue_comment", "reissue_ticket_number", "finexio_express",
    }  # fmt: skip
    assert set(payment["events"][0]) == {
        "timestamp", "event_code", "description", "amount_cents", "stage", "method", "event_name", "status",
    }  # fmt: skip
    assert set(payment["invoices"][0]) == {
        "id", "invoice_number", "payment_amount_cents", "metadata", "public_account_number", "reconciliation_id",
        "payment_group_id",
    }  # fmt: skip


async def test_methods_may_be_written_another_way(sim: Simulator) -> None:
    """Unknown: three vocabularies exist at the vendor; one may leak into another."""
    sim.quirks.method_case = "title"
    sim.add_payment("p-1", payment_method="ach")
    payment = await get(sim, "/payments/p-1/")

    assert (payment["payment_method"], payment["events"][2]["method"]) == ("ACH", "ACH")
    assert payment["events"][0]["method"] is None


async def test_a_payment_that_is_not_there_is_a_404(sim: Simulator) -> None:
    """Documented as 404."""
    async with client(sim) as api:
        assert (await api.get("/payments/no/")).status_code == 404
        assert (await api.get("/payments/no/images")).status_code == 404


# --- Images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "side", "found"),
    [
        ("check", "settled", "Issued", True),
        ("check", "settled", "Deposited", True),
        ("check", "in-progress", "Issued", True),
        ("check", "in-progress", "Deposited", False),
        ("check", "pending", "Issued", False),
        ("ach", "settled", "Issued", False),
    ],
)
async def test_a_check_has_a_front_once_printed_and_a_back_once_deposited(
    sim: Simulator, method: str, status: str, side: str, found: bool
) -> None:
    """Documented: checks only. When each side appears is ours."""
    sim.add_payment("p-1", payment_method=method, status=status)
    answer = await get(sim, "/payments/p-1/images", checkImageType=side)

    assert (answer != []) == found


async def test_an_image_opens_without_credentials_and_is_void(sim: Simulator) -> None:
    """Ours: a picture that a person can look at, and nobody could cash."""
    sim.add_supplier(name="Wren & Daughters <Catering>")
    sim.add_payment("p-1", status="settled", amount_cents=1_284_50)
    front = (await get(sim, "/payments/p-1/images"))["check_image_url"]
    back = (await get(sim, "/payments/p-1/images", checkImageType="Deposited"))["check_image_url"]
    async with client(sim) as api:
        shown = [await api.get(url, auth=None) for url in (front, back)]

    words = ["".join(ElementTree.fromstring(answer.text).itertext()) for answer in shown]
    assert {answer.headers["content-type"] for answer in shown} == {"image/svg+xml; charset=utf-8"}
    assert all("SIMULATOR - VOID" in text for text in words)
    assert "One thousand two hundred eighty-four and 50/100 dollars" in words[0]
    assert "$1,284.50" in words[0]
    assert "Wren & Daughters <Catering>" in words[0]
    assert sim.payments["p-1"]["instrument_number"] in words[0]
    assert "Deposited" in words[1]


async def test_an_image_is_not_found_by_guessing(sim: Simulator) -> None:
    """Ours: only the whole address opens it."""
    sim.add_payment("p-1", status="settled")
    async with client(sim) as api:
        answer = await api.get("http://simulator.invalid/images/p-1.svg")

    assert answer.status_code == 404


async def test_an_unknown_side_is_refused(sim: Simulator) -> None:
    """Documented: Issued or Deposited."""
    sim.add_payment("p-1")
    async with client(sim) as api:
        answer = await api.get("/payments/p-1/images", params={"checkImageType": "Both"})

    assert answer.status_code == 400


@pytest.mark.parametrize(("shape", "nothing"), [("array", []), ("object", {}), ("null_url", {"check_image_url": None})])
async def test_no_image_comes_in_three_shapes(sim: Simulator, shape: Any, nothing: Any) -> None:
    """Documented: an empty array now, an empty object in v1; a null link is a guess."""
    sim.quirks.no_image_shape = shape
    sim.quirks.image_shape = "array"
    sim.add_payment("p-1", status="pending")
    sim.add_payment("p-2", status="settled")

    assert await get(sim, "/payments/p-1/images") == nothing
    assert len(await get(sim, "/payments/p-2/images")) == 1


@pytest.mark.parametrize(
    ("cents", "words"),
    [
        (0, "Zero and 00/100 dollars"),
        (5, "Zero and 05/100 dollars"),
        (2_100_00, "Two thousand one hundred and 00/100 dollars"),
        (
            999_999_900,
            "Nine million nine hundred ninety-nine thousand nine hundred ninety-nine and 00/100 dollars",
        ),
    ],
)
def test_amounts_in_words(cents: int, words: str) -> None:
    """Ours."""
    assert amount_in_words(cents) == words


# --- Drawdowns ----------------------------------------------------------------------------------------------------


@pytest.fixture
def funded(sim: Simulator) -> Simulator:
    sim.add_buyer("b-1", external_reference_id="STORE-7")
    sim.add_supplier("s-1", external_reference_id="HARBOR-01", remit_city="Mobile")
    sim.add_invoice("i-1", invoice_number="HP-20931", amount_cents=1000, discount_amount_cents=100, payment_id="p-1")
    sim.add_payment("p-1", invoice_ids=["i-1"], tracking_id="RC1")
    sim.add_payment("p-2", amount_cents=50, payment_method="ach", delivery_method=None)
    sim.add_drawdown("DJ1", payments=["p-1", "p-2"], created="2026-10-01T12:00:00.000000")
    sim.add_drawdown("DJ2", status="requested", amount_cents=777)
    return sim


DRAWDOWN_FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"invoice_number": "HP-20931"}, ["DJ1"]),
    ({"tracking_id": "RC1"}, ["DJ1"]),
    ({"supplier_ref_id": "HARBOR-01"}, ["DJ2", "DJ1"]),
    ({"buyer_ref_id": "STORE-7", "status": "requested"}, ["DJ2"]),
    ({"originating_counterparty_id": "b-1"}, ["DJ2", "DJ1"]),
    ({"amount_cents_start": 777}, ["DJ2", "DJ1"]),
    ({"amount_cents_start": 778, "amount_cents_end": 950}, ["DJ1"]),
    ({"created_end": "2026-10-31"}, ["DJ1"]),
    ({"completed_start": "2026-01-01"}, ["DJ1"]),
    ({"completed_end": "2026-01-01"}, []),
]


@pytest.mark.parametrize(("query", "expected"), DRAWDOWN_FILTERS)
async def test_drawdown_filters(funded: Simulator, query: dict[str, Any], expected: list[str]) -> None:
    """Documented: ten filters, two amounts."""
    page = await get(funded, "/reconciliation/drawdown", **query)

    assert [row["processor_request_id"] for row in page["results"]] == expected


@pytest.mark.parametrize(
    "query", [{}, {"page": 1}, {"nonsense": "x"}, {"status": ""}, {"status": "canceled"}, {"amount_cents_end": "x"}]
)
async def test_drawdowns_want_a_filter_and_say_nothing_when_refusing(funded: Simulator, query: dict[str, Any]) -> None:
    """Documented: at least one parameter; 400 without a body. That `page` does not count is a guess."""
    async with client(funded) as api:
        answer = await api.get("/reconciliation/drawdown", params=query)

    assert (answer.status_code, answer.content) == (400, b"")


async def test_the_drawdown_filter_rule_can_be_relaxed(funded: Simulator) -> None:
    """Unknown at the vendor: whether `page` alone will do, or nothing at all."""
    funded.quirks.page_counts_as_filter = True
    assert (await get(funded, "/reconciliation/drawdown", page=1))["count"] == 2
    funded.quirks.drawdown_filter_required = False
    assert (await get(funded, "/reconciliation/drawdown"))["count"] == 2


async def test_a_drawdown_lists_its_payments_with_their_invoices(funded: Simulator) -> None:
    """Documented: an envelope of details; the address where mailed."""
    page = await get(funded, "/reconciliation/drawdown/DJ1/payments")
    mailed, sent = page["results"]

    assert page["count"] == 2
    assert (mailed["id"], mailed["amount_cents"], mailed["city"], mailed["email"]) == ("p-1", 900, "Mobile", None)
    assert mailed["supplier_ref_id"] == "HARBOR-01"
    assert (sent["city"], sent["email"]) == (None, None)
    (row,) = mailed["invoices"]
    assert (row["invoice_number"], row["payment_amount_cents"], row["discount_amount_cents"]) == ("HP-20931", 900, 100)
    assert sum(row["amount_cents"] for row in page["results"]) == funded.drawdowns["DJ1"]["amount_cents"]


@pytest.mark.parametrize("shape", ["object", "envelope", "array"])
async def test_a_drawdown_by_id_and_its_payments_come_in_three_shapes(funded: Simulator, shape: Any) -> None:
    """Unknown at the vendor: enveloped, bare or in an array."""
    funded.quirks.drawdown_by_id_shape = funded.quirks.drawdown_payments_shape = shape
    one = await get(funded, "/reconciliation/drawdown/DJ1")
    payments = await get(funded, "/reconciliation/drawdown/DJ1/payments")

    def first(answer: Any) -> Any:
        return {"object": [answer], "envelope": shape == "envelope" and answer["results"], "array": answer}[shape][0]

    assert first(one)["processor_request_id"] == "DJ1"
    assert first(payments)["id"] == "p-1"


async def test_a_drawdown_that_is_not_there_is_a_404(sim: Simulator) -> None:
    """Documented as 404."""
    async with client(sim) as api:
        assert (await api.get("/reconciliation/drawdown/no")).status_code == 404
        assert (await api.get("/reconciliation/drawdown/no/payments")).status_code == 404


async def test_a_drawdown_is_found_by_invoice_number_only_once_it_is_requested(sim: Simulator) -> None:
    """Documented: the number is found once funding was requested."""
    async with client(sim) as api:
        await api.post("/invoices/batch/", json=[invoice(sim)])
    assert (await get(sim, "/reconciliation/drawdown", invoice_number="HP-20931"))["count"] == 0
    sim.advance(days=1)
    assert (await get(sim, "/reconciliation/drawdown", invoice_number="HP-20931"))["count"] == 1
