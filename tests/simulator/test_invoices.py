"""Submitting a batch: what is accepted, what is refused, and how it is said."""

from typing import Any

import pytest

from finexio_mcp.simulator import Simulator

from .asking import client, invoice, without

BATCH = "/invoices/batch/"
REQUIRED = ["This field is required."]


async def submit(sim: Simulator, *rows: Any) -> tuple[int, Any]:
    async with client(sim) as api:
        answer = await api.post(BATCH, json=list(rows))
    return answer.status_code, answer.json()


async def test_a_batch_answers_with_every_invoice_in_order(sim: Simulator) -> None:
    """Documented: 201 and a bare array, without a payment yet."""
    row = invoice(sim, payment_group_id="RUN-41", line_items=[{"description": "paper"}], metadata={"po": 7})
    status, body = await submit(sim, row, invoice(sim, invoice_number="HP-2", discount_amount_cents=50))

    assert status == 201
    assert [invoice["invoice_number"] for invoice in body] == ["HP-20931", "HP-2"]
    assert without(body[0], "id", "created", "updated") == {
        "amount_cents": 128450,
        "currency": "USD",
        "discount_amount_cents": 0,
        "invoice_date": "2026-11-20",
        "invoice_due_date": None,
        "invoice_number": "HP-20931",
        "note": "",
        "originating_counterparty_id": row["originating_counterparty_id"],
        "receiving_counterparty_id": row["receiving_counterparty_id"],
        "metadata": {"po": 7},
        "payment_id": None,
        "reconciliation_id": None,
        "account_number": None,
        "accounting_id": None,
        "documentationPresented": False,
        "payment_group_id": "RUN-41",
        "can_be_resubmitted": False,
        "status": "pending",
    }
    assert [effect.kind for effect in sim.journal.effects] == ["invoice.created"] * 2
    assert {effect.request for effect in sim.journal.effects} == {0}


ROW_ERRORS: list[tuple[str, Any]] = [
    ("amount_cents", 0),
    ("amount_cents", -5),
    ("amount_cents", 999_999_901),
    ("amount_cents", 10.5),
    ("amount_cents", "ten"),
    ("amount_cents", True),
    ("amount_cents", None),
    ("invoice_date", "2026-13-01"),
    ("invoice_date", "20-11-2026"),
    ("invoice_date", "2026-11-20T00:00:00"),
    ("invoice_date", "2025-11-19"),
    ("invoice_date", "2027-11-21"),
    ("invoice_date", 20261120),
    ("invoice_number", ""),
    ("invoice_number", "x" * 50),
    ("invoice_number", "HP[1]"),
    ("invoice_number", "HP_1"),
    ("invoice_number", {"n": 1}),
    ("originating_counterparty_id", "11111111-1111-4111-8111-111111111111"),
    ("originating_counterparty_id", "not-a-uuid"),
    ("receiving_counterparty_id", "11111111-1111-4111-8111-111111111111"),
    ("currency", "EUR"),
    ("invoice_due_date", "soon"),
    ("discount_amount_cents", -1),
    ("note", "x" * 1001),
    ("metadata", [1]),
    ("metadata", {"a": 1.5}),
    ("line_items", "paper"),
    ("line_items", [{}]),
    ("reconciliation_id", "x" * 51),
    ("account_number", "x" * 251),
    ("payment_group_id", "x" * 101),
    ("accounting_id", "x" * 71),
]


@pytest.mark.parametrize(("field", "value"), ROW_ERRORS, ids=lambda value: str(value)[:24])
async def test_rules_of_an_invoice(sim: Simulator, field: str, value: Any) -> None:
    """Documented: limits and formats; positional errors are inferred."""
    good, bad = invoice(sim, invoice_number="GOOD"), invoice(sim, **{field: value})
    status, errors = await submit(sim, good, bad)

    assert status == 400
    assert errors[0] == {}
    assert list(errors[1]) == [field]
    assert sim.invoices == {}


@pytest.mark.parametrize(
    "name",
    ["amount_cents", "invoice_date", "invoice_number", "originating_counterparty_id", "receiving_counterparty_id"],
)
async def test_required_fields_of_an_invoice(sim: Simulator, name: str) -> None:
    """Documented: required by the vendor's description."""
    status, errors = await submit(sim, without(invoice(sim), name))

    assert (status, errors) == (400, [{name: REQUIRED}])


async def test_currency_and_discount_have_defaults(sim: Simulator) -> None:
    """Documented: USD and 0."""
    _, body = await submit(sim, without(invoice(sim), "currency"))

    assert (body[0]["currency"], body[0]["discount_amount_cents"]) == ("USD", 0)


@pytest.mark.parametrize("edge", ["2025-11-20", "2027-11-20"])
async def test_an_invoice_may_be_a_year_away(sim: Simulator, edge: str) -> None:
    """Documented: within 365 days of today, either way."""
    status, _ = await submit(sim, invoice(sim, invoice_date=edge))

    assert status == 201


async def test_buyer_and_supplier_must_be_what_they_are_said_to_be(sim: Simulator) -> None:
    """Documented: originating is a Buyer, receiving a Supplier; an enabled one, by our reading."""
    row = invoice(sim)
    buyer, supplier = row["originating_counterparty_id"], row["receiving_counterparty_id"]
    swapped = invoice(sim, originating_counterparty_id=supplier, receiving_counterparty_id=buyer)
    _, errors = await submit(sim, swapped)
    sim.suppliers[supplier]["enabled"] = False
    _, disabled = await submit(sim, row)

    assert set(errors[0]) == {"originating_counterparty_id", "receiving_counterparty_id"}
    assert disabled == [{"receiving_counterparty_id": ["This supplier is not enabled."]}]


@pytest.mark.parametrize("body", [{}, [], "x", [1] * 501, None])
async def test_a_batch_is_an_array_of_1_to_500(sim: Simulator, body: Any) -> None:
    """Documented: 500 at most; the error bodies are inferred."""
    async with client(sim) as api:
        answer = await api.post(BATCH, json=body)

    assert answer.status_code == 400
    assert list(answer.json()) == ["non_field_errors"]


async def test_500_invoices_are_accepted_at_once(sim: Simulator) -> None:
    """Documented: the maximum."""
    status, body = await submit(sim, *(invoice(sim, invoice_number=f"N-{number}") for number in range(500)))

    assert (status, len(body), len(sim.invoices)) == (201, 500, 500)


async def test_a_duplicate_is_refused(sim: Simulator) -> None:
    """Documented: same buyer, supplier and number; case counts, by our reading."""
    await submit(sim, invoice(sim))
    again, errors = await submit(sim, invoice(sim, amount_cents=1))
    other_case, _ = await submit(sim, invoice(sim, invoice_number="hp-20931"))
    other_buyer, _ = await submit(sim, invoice(sim, originating_counterparty_id=sim.add_buyer()["id"]))

    assert (again, list(errors[0])) == (400, ["invoice_number"])
    assert (other_case, other_buyer) == (201, 201)


async def test_a_batch_may_not_repeat_itself(sim: Simulator) -> None:
    """Ours: the second of two equal rows is the duplicate."""
    status, errors = await submit(sim, invoice(sim), invoice(sim))

    assert (status, errors[0], list(errors[1])) == (400, {}, ["invoice_number"])


@pytest.mark.parametrize(
    ("where", "key"), [("field", "invoice_number"), ("non_field", "non_field_errors"), ("detail", "detail")]
)
async def test_where_a_duplicate_is_named_can_be_chosen(sim: Simulator, where: Any, key: str) -> None:
    """Unknown at the vendor."""
    sim.quirks.duplicate_error = where
    _, errors = await submit(sim, invoice(sim), invoice(sim))

    assert list(errors[1]) == [key]


async def test_an_invoice_can_be_submitted_again_after_a_full_refund(sim: Simulator) -> None:
    """Documented: `can_be_resubmitted`, and no longer once it was."""
    _, (first,) = await submit(sim, invoice(sim, amount_cents=5_9902))
    sim.advance(days=40)
    refused, _ = await submit(sim, invoice(sim, amount_cents=5_9902))
    payment = next(iter(sim.payments))
    sim.refund_payment(payment)
    shown = sim.invoices[first["id"]]
    second, _ = await submit(sim, invoice(sim, amount_cents=5_9902))
    third, _ = await submit(sim, invoice(sim, amount_cents=5_9902))

    assert shown["can_be_resubmitted"] is True
    assert (refused, second, third) == (400, 201, 400)


async def test_a_refused_batch_may_still_have_created_its_good_rows(sim: Simulator) -> None:
    """Unknown at the vendor: whether a batch is all or nothing. This is the worse of the two."""
    sim.quirks.batch_atomic = False
    status, errors = await submit(sim, invoice(sim, invoice_number="GOOD"), invoice(sim, amount_cents=0))

    assert (status, errors[0], list(errors[1])) == (400, {}, ["amount_cents"])
    assert [row["invoice_number"] for row in sim.invoices.values()] == ["GOOD"]


async def test_a_batch_of_one_may_be_answered_with_an_object(sim: Simulator) -> None:
    """Documented by the description, against the printed array."""
    sim.quirks.batch_answers = "object"
    _, one = await submit(sim, invoice(sim))
    _, two = await submit(sim, invoice(sim, invoice_number="A"), invoice(sim, invoice_number="B"))

    assert isinstance(one, dict)
    assert len(two) == 2


async def test_an_invoice_is_read_by_its_key(sim: Simulator) -> None:
    """Documented: line items do not come back; status only since September 2025."""
    _, (created,) = await submit(sim, invoice(sim, line_items=[{"description": "paper"}]))
    async with client(sim) as api:
        read = (await api.get(f"/invoices/{created['id']}/")).json()
        sim.quirks.invoice_status_shown = False
        older = (await api.get(f"/invoices/{created['id']}/")).json()
        missing = await api.get("/invoices/nobody/")

    assert read == created
    assert "line_items" not in read
    assert "status" not in older
    assert missing.status_code == 404
