"""From invoice to settlement: what time and the vendor's staff do."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finexio_mcp.simulator import NotPossible, Simulator, VirtualClock

from .asking import client, invoice
from .conftest import NOW

PACE = {"Check": ("check", 6, 30), "Card": ("card", 2, 10), "ACH": ("ach", 3, 7), "Wire": ("wire", 1, 4)}


async def submit(sim: Simulator, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    async with client(sim) as api:
        answer = await api.post("/invoices/batch/", json=list(rows))
    assert answer.status_code == 201, answer.text
    return answer.json()


def only_payment(sim: Simulator) -> dict[str, Any]:
    (payment,) = sim.payments.values()
    return payment


async def test_nothing_moves_until_the_clock_does(sim: Simulator) -> None:
    """Ours: tests and demonstrations decide when time passes."""
    await submit(sim, invoice(sim))
    async with client(sim) as api:
        first = (await api.get("/invoices/")).json()
        second = (await api.get("/invoices/")).json()

    assert first == second
    assert sim.payments == {}


async def test_an_invoice_becomes_a_payment_within_30_minutes(sim: Simulator) -> None:
    """Documented: 0 to 30 minutes; the invoice then names its payment."""
    (created,) = await submit(sim, invoice(sim))
    sim.advance(minutes=30)

    payment = only_payment(sim)
    assert payment["status"] == "pending"
    assert payment["events"][0]["event_code"] == "PU00"
    assert sim.invoices[created["id"]]["payment_id"] == payment["id"]
    assert sim.invoices[created["id"]]["status"] == "in-progress"


@pytest.mark.parametrize("method", list(PACE))
async def test_each_method_settles_at_its_pace(sim: Simulator, method: str) -> None:
    """Documented: the sandbox's days in progress; lower-case methods; instrument numbers per method."""
    name, low, high = PACE[method]
    supplier = sim.add_supplier(payment_method=method)
    await submit(sim, invoice(sim, receiving_counterparty_id=supplier["id"]))
    sim.advance(days=31)

    payment = only_payment(sim)
    lasted = datetime.fromisoformat(payment["updated"]) - datetime.fromisoformat(payment["created"])
    assert (payment["status"], payment["payment_method"]) == ("settled", name)
    assert timedelta(days=low) <= lasted <= timedelta(days=high)
    assert (payment["instrument_number"] is None) == (method == "Wire")
    assert payment["tracking_id"].startswith("RC")
    (settled,) = sim.invoices.values()
    assert settled["status"] == "complete"


async def test_the_known_events_come_in_the_printed_order(sim: Simulator) -> None:
    """Documented: five codes are public, in this order for a check."""
    await submit(sim, invoice(sim))
    sim.advance(days=31)

    codes = [event["event_code"] for event in only_payment(sim)["events"]]
    assert codes == ["PU00", "PU12", "FA00", "FA10", "DC13", "DC20", "DC30"]


@pytest.mark.parametrize(
    ("ending", "status", "event"),
    [
        (9900, "settled", "settled"),
        (1234, "settled", "settled"),
        (9901, "failed", "failed"),
        (9902, "failed", "returned"),
        (9903, "failed", "canceled"),
        (9904, "failed", "expired"),
    ],
)
async def test_the_last_four_digits_choose_the_outcome(sim: Simulator, ending: int, status: str, event: str) -> None:
    """Documented: the sandbox's outcome table."""
    await submit(sim, invoice(sim, amount_cents=50_0000 + ending))
    sim.advance(days=40)

    payment = only_payment(sim)
    assert (payment["status"], payment["events"][-1]["event_name"]) == (status, event)
    assert payment["events"][-1]["status"] == status


async def test_the_whole_payment_decides_not_the_invoice(sim: Simulator) -> None:
    """Documented: digits of the payment's amount."""
    await submit(
        sim,
        invoice(sim, invoice_number="A", amount_cents=10_9902),
        invoice(sim, invoice_number="B", amount_cents=1_0000, discount_amount_cents=2),
    )
    sim.advance(days=40)

    assert (only_payment(sim)["amount_cents"], only_payment(sim)["status"]) == (11_9900, "settled")


async def test_which_status_a_failure_gets_can_be_chosen(sim: Simulator) -> None:
    """Unknown at the vendor: pages use both `failed` and `canceled` for a funding that failed."""
    sim.quirks.outcome_statuses["9901"] = "canceled"
    await submit(sim, invoice(sim, amount_cents=5_9901))
    sim.advance(days=40)

    assert only_payment(sim)["status"] == "canceled"


async def test_invoices_share_a_payment_by_buyer_supplier_and_group(sim: Simulator) -> None:
    """Documented: only invoices with the same group share one; without a group is unknown."""
    invoice(sim)
    other = sim.add_supplier()["id"]
    rows = [
        invoice(sim, invoice_number="1", payment_group_id="RUN-1"),
        invoice(sim, invoice_number="2", payment_group_id="RUN-1"),
        invoice(sim, invoice_number="3", payment_group_id="RUN-2"),
        invoice(sim, invoice_number="4", payment_group_id="RUN-1", receiving_counterparty_id=other),
        invoice(sim, invoice_number="5"),
        invoice(sim, invoice_number="6"),
    ]
    await submit(sim, *rows)
    sim.advance(hours=1)

    groups = sorted(sorted(row["invoice_number"] for row in p["invoices"]) for p in sim.payments.values())
    assert groups == [["1", "2"], ["3"], ["4"], ["5", "6"]]


async def test_invoices_without_a_group_may_be_paid_one_by_one(sim: Simulator) -> None:
    """Unknown at the vendor."""
    sim.quirks.ungrouped_share_payment = False
    await submit(sim, invoice(sim, invoice_number="5"), invoice(sim, invoice_number="6"))
    sim.advance(hours=1)

    assert len(sim.payments) == 2


async def test_an_invoice_that_was_given_a_payment_gets_no_second_one(sim: Simulator) -> None:
    """Ours: a scene may be set while an invoice is still queued."""
    sim.add_invoice("i-1")
    sim.add_payment("p-1", status="settled", invoice_ids=["i-1"])
    sim.advance(days=1)

    assert list(sim.payments) == ["p-1"]
    assert sim.invoices["i-1"]["payment_id"] == "p-1"


async def test_an_express_payment_is_an_ach_payment(sim: Simulator) -> None:
    """Documented: `finexio_express` marks an ACH payment."""
    supplier = sim.add_supplier(payment_method="FinexioExpress")
    await submit(sim, invoice(sim, receiving_counterparty_id=supplier["id"]))
    sim.advance(hours=1)

    assert (only_payment(sim)["payment_method"], only_payment(sim)["finexio_express"]) == ("ach", True)


async def test_a_buyer_is_debited_once_a_day_for_all_its_payments(sim: Simulator) -> None:
    """Documented: one funding pull for one or more payments; the daily rhythm is ours."""
    for number in range(3):
        supplier = sim.add_supplier()["id"]
        await submit(sim, invoice(sim, receiving_counterparty_id=supplier, invoice_number=f"N-{number}"))
    sim.advance(hours=9)
    (drawdown,) = sim.drawdowns.values()

    assert (drawdown["status"], drawdown["amount_cents"]) == ("requested", 3 * 128450)
    assert {p["funding_drawdown_request_id"] for p in sim.payments.values()} == {drawdown["processor_request_id"]}
    sim.advance(days=1)
    assert drawdown["status"] == "received"
    assert drawdown["funding_complete_date"] == "2026-11-21T08:30:00.000000"


async def test_a_failed_funding_has_a_drawdown_of_its_own(sim: Simulator) -> None:
    """Ours: the bank refuses one pull, and the others are not drawn into it."""
    await submit(sim, invoice(sim, amount_cents=5_9901, payment_group_id="A"))
    await submit(sim, invoice(sim, invoice_number="B", amount_cents=500, payment_group_id="B"))
    sim.advance(days=2)

    assert sorted((row["status"], row["amount_cents"]) for row in sim.drawdowns.values()) == [
        ("error", 5_9901),
        ("received", 500),
    ]


async def test_wire_funding_has_events_of_its_own(sim: Simulator) -> None:
    """Inferred from the grammar of the codes."""
    buyer = sim.add_buyer(funding_method="wire")
    await submit(sim, invoice(sim, originating_counterparty_id=buyer["id"]))
    sim.advance(hours=12)
    (drawdown,) = sim.drawdowns.values()

    assert (drawdown["bank_account_last_four"], drawdown["status"]) == (None, "received")
    assert [event["event_code"] for event in only_payment(sim)["events"]][2:4] == ["FW00", "FW10"]


async def test_a_payment_can_be_canceled_in_the_portal_until_it_is_funded(sim: Simulator) -> None:
    """Documented: canceled means stopped before funding."""
    await submit(sim, invoice(sim))
    sim.advance(minutes=30)
    payment = sim.cancel_payment(next(iter(sim.payments)))
    sim.advance(days=40)

    assert payment["status"] == "canceled"
    assert sim.drawdowns == {}
    with pytest.raises(NotPossible):
        sim.cancel_payment(payment["id"])


async def test_a_failed_payment_can_be_reissued_in_the_portal(sim: Simulator) -> None:
    """Documented: reissue fields on the same payment, perhaps by another method."""
    supplier = sim.add_supplier(payment_method="ACH")
    await submit(sim, invoice(sim, receiving_counterparty_id=supplier["id"], amount_cents=5_9902))
    sim.advance(days=10)
    payment = sim.reissue_payment(next(iter(sim.payments)), method="check", reason="Asked for a check")
    sim.advance(days=35)

    assert (payment["status"], payment["payment_method"], payment["reissue_payment_method"]) == (
        "settled",
        "ach",
        "check",
    )
    assert payment["reissue_reason"] == "Asked for a check"
    with pytest.raises(NotPossible):
        sim.reissue_payment(payment["id"], method="ach")


async def test_a_refund_stops_a_payment_that_is_under_way(sim: Simulator) -> None:
    """Documented: refund fields, and the invoice may be submitted again."""
    await submit(sim, invoice(sim))
    sim.advance(days=4)
    payment = sim.refund_payment(next(iter(sim.payments)), reason="Lost in the mail")
    sim.advance(days=40)

    assert (payment["status"], payment["refund_reason"]) == ("canceled", "Lost in the mail")
    (resubmittable,) = sim.invoices.values()
    assert resubmittable["can_be_resubmitted"] is True
    with pytest.raises(NotPossible):
        sim.refund_payment(payment["id"])


async def test_what_time_does_is_in_the_journal_without_a_request(sim: Simulator) -> None:
    """Ours: one effect for each change of the world."""
    await submit(sim, invoice(sim))
    sim.journal.clear()
    sim.clock.advance(timedelta(days=40))

    kinds = [effect.kind for effect in sim.journal.effects]
    assert (kinds[0], kinds[-1]) == ("payment.created", "payment.settled")
    assert {effect.request for effect in sim.journal.effects} == {None}


BATCHES = st.lists(
    st.lists(
        st.tuples(
            st.integers(1, 99_9999),
            st.sampled_from((0, 0, 100, 9901, 9902, 9903, 9904)),
            st.integers(0, 4),
            st.sampled_from(("", "RUN-1", "RUN-2")),
        ),
        min_size=1,
        max_size=5,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=BATCHES, steps=st.lists(st.integers(1, 400), min_size=4, max_size=4))
async def test_the_books_add_up_at_every_moment(batches: list[list[Any]], steps: list[int]) -> None:
    """Ours: no cent appears or vanishes between invoices, payments and drawdowns."""
    sim = Simulator(seed=3, now=NOW, populated=False)
    suppliers = [sim.add_supplier(payment_method=method)["id"] for method in (*PACE, "FinexioExpress")]
    number = 0
    for batch, hours in zip(batches, steps, strict=False):
        rows: list[dict[str, Any]] = []
        for amount, ending, supplier, group in batch:
            number += 1
            cents = amount // 10_000 * 10_000 + ending if ending else amount
            row = {"amount_cents": max(cents, 1), "invoice_number": f"N-{number}", "payment_group_id": group}
            rows.append(invoice(sim, receiving_counterparty_id=suppliers[supplier], **row))
        await submit(sim, *rows)
        sim.advance(hours=hours)
        assert_books_add_up(sim)
    sim.advance(days=60)
    assert_books_add_up(sim)
    assert {payment["status"] for payment in sim.payments.values()} <= {"settled", "failed"}


def assert_books_add_up(sim: Simulator) -> None:
    paid = [row["id"] for payment in sim.payments.values() for row in payment["invoices"]]
    assert len(paid) == len(set(paid))
    assert set(paid) == {key for key, row in sim.invoices.items() if row["payment_id"]}
    for payment in sim.payments.values():
        assert payment["amount_cents"] == sum(row["payment_amount_cents"] for row in payment["invoices"])
        for row in payment["invoices"]:
            record = sim.invoices[row["id"]]
            assert row["payment_amount_cents"] == record["amount_cents"] - record["discount_amount_cents"]
        times = [event["timestamp"] for event in payment["events"]]
        assert all(earlier <= later for earlier, later in pairwise(times))
        assert payment["updated"] == times[-1]
    for key, drawdown in sim.drawdowns.items():
        funded = [row for row in sim.payments.values() if row["funding_drawdown_request_id"] == key]
        assert drawdown["amount_cents"] == sum(row["amount_cents"] for row in funded)
        assert {row["originating_counterparty_id"] for row in funded} == {drawdown["originating_counterparty_id"]}


def test_a_running_clock_slows_to_the_pace_outside_before_today_is_a_year_ago() -> None:
    """Ours: whoever leaves it running can still submit an invoice of today."""
    elapsed = [0.0]
    clock = VirtualClock(NOW, monotonic=lambda: elapsed[0])
    clock.run(24.0)

    elapsed[0] = 24.0 * 30
    assert clock.now() - NOW == timedelta(days=30)

    elapsed[0] = 24.0 * 60 + 86_400
    assert clock.now() - NOW == timedelta(days=61)
