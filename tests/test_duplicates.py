"""Invoices that look like earlier ones, those that may be paid again after a refund, and the day's limit."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from mcp import Client

from finexio_mcp.simulator import Fault
from tests.calls import SUPPLIER, Content, changes, invoice
from tests.never_twice import Desk, paid, pay, quick_directory, rows_of, stands, until_absent

NEVER_THERE = Fault(reset="before_effect")


@pytest.fixture
def desk() -> Generator[Desk]:
    with quick_directory() as directory:
        yield Desk(directory / "ledger.db")


# Near-duplicates -------------------------------------------------------------------

ALIKE: Mapping[str, dict[str, Any]] = {
    "another form of the number": invoice("HP 0001-R", 77_00),
    "the same amount and date": invoice("ZZ-9", 125_00),
}
BEFORE = invoice("HP-1", 125_00)


@pytest.mark.parametrize("like", ALIKE)
async def test_an_invoice_like_an_earlier_one_is_sent_with_a_warning(like: str, desk: Desk) -> None:
    """Ours: by default nobody is stopped; the user hears which earlier invoice it looks like."""
    async with desk.open() as client:
        before = await pay(client, BEFORE)
        content = await pay(client, ALIKE[like])

    (sentence,) = [notice for notice in content["notices"] if "looks like" in notice]
    assert content["status"] == "confirmed"
    assert ALIKE[like]["invoice_number"] in sentence
    assert "HP-1" in sentence
    assert before["result"][0]["id"] in sentence
    assert len(changes(desk.sim)) == 2


@pytest.mark.parametrize("like", ALIKE)
async def test_an_operator_can_have_it_refused(like: str, desk: Desk) -> None:
    """Ours: `refuse` sends nothing, names the row and what it looks like, and says the way out."""
    async with desk.open(FINEXIO_MCP_DUPLICATES="refuse") as client:
        before = await pay(client, BEFORE)
        content = await pay(client, invoice("OTHER-5", 5_00), ALIKE[like])
        earlier = before["result"][0]["id"]
        passed = await pay(client, invoice("OTHER-5", 5_00), ALIKE[like] | {"not_a_duplicate_of": earlier})

    (field,) = content["error"]["fields"]
    assert (content["status"], content["error"]["code"]) == ("refused_by_policy", "refused_by_policy")
    assert field["field"] == "invoices[1]"
    assert earlier in field["problem"]
    assert "HP-1" in field["problem"]
    assert "not_a_duplicate_of" in content["error"]["message"]
    assert passed["status"] == "confirmed"
    assert "looks like" not in str(passed["notices"])
    assert len(changes(desk.sim)) == 2


@pytest.mark.parametrize("like", ALIKE)
async def test_an_operator_can_turn_the_warning_off(like: str, desk: Desk) -> None:
    """Ours: `off` says nothing about settled ones."""
    async with desk.open(FINEXIO_MCP_DUPLICATES="off") as client:
        await pay(client, BEFORE)
        content = await pay(client, ALIKE[like])

    assert content["status"] == "confirmed"
    assert "looks like" not in str(content["notices"])


@pytest.mark.parametrize("rule", ["warn", "refuse", "off"])
@pytest.mark.parametrize("like", ALIKE)
async def test_an_invoice_like_one_in_doubt_is_always_refused(like: str, rule: str, desk: Desk) -> None:
    """Ours: it may well be the same invoice in another form, sent because the first outcome was unclear."""
    desk.fault(NEVER_THERE)

    async with desk.open(FINEXIO_MCP_DUPLICATES=rule) as client:
        before = await pay(client, BEFORE)
        content = await pay(client, ALIKE[like])
        insisting = await pay(client, ALIKE[like] | {"not_a_duplicate_of": before["op_id"]})
        known = await stands(client)
        await until_absent(desk, client, BEFORE)
        settled = await pay(client, ALIKE[like])

    (field,) = content["error"]["fields"]
    assert (content["status"], insisting["status"]) == ("refused_by_policy", "refused_by_policy")
    assert "HP-1" in field["problem"]
    assert "in_doubt" in field["problem"]
    assert known == [("in_doubt", "no_answer")], "a refused call leaves no row"
    assert settled["status"] == "confirmed"
    assert len(changes(desk.sim)) == 2


async def test_an_invoice_like_one_on_its_way_is_refused(desk: Desk) -> None:
    """Ours: two agents with the same bill at the same moment pay it once."""
    told: list[Content] = []

    async def ask_for_it(client: Client, row: dict[str, Any]) -> None:
        told.append(await pay(client, row))

    async with desk.open() as first, desk.open() as second, anyio.create_task_group() as tasks:
        tasks.start_soon(ask_for_it, first, BEFORE)
        tasks.start_soon(ask_for_it, second, ALIKE["another form of the number"])

    assert paid(desk.sim, "HP-1") + paid(desk.sim, "HP 0001-R") == len(changes(desk.sim))
    assert {content["status"] for content in told} <= {"confirmed", "refused_by_policy"}
    # The slower of the two hears of the faster one, on its way or settled.
    assert sum("HP" in str(content.get("error", content.get("notices"))) for content in told) >= 1


async def test_an_invoice_like_one_in_conflict_is_refused(desk: Desk) -> None:
    """Ours: a conflict is not settled either."""
    desk.fault(NEVER_THERE)
    parties = {"originating_counterparty_id": "buyer-1", "receiving_counterparty_id": SUPPLIER}
    desk.sim.add_invoice("by-hand", invoice_number="HP-1", amount_cents=999_99, **parties)

    async with desk.open() as client:
        before = await pay(client, BEFORE)
        content = await pay(client, ALIKE["another form of the number"])

    assert (before["status"], content["status"]) == ("conflict", "refused_by_policy")
    assert len(changes(desk.sim)) == 1


async def test_other_suppliers_and_other_bills_are_not_alike(desk: Desk) -> None:
    """Ours: a warning that comes with every batch is read by nobody."""
    desk.sim.add_supplier("supplier-2", name="Other Paper Co")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()

    async with desk.open(FINEXIO_MCP_DUPLICATES="refuse") as client:
        await pay(client, BEFORE)
        content = await pay(
            client,
            invoice("HP-1", 125_00, receiving_counterparty_id="supplier-2"),
            invoice("HP-2", 125_00, invoice_date=yesterday),
            invoice("HP-10", 126_00),
            invoice("HP-11", 127_00),
        )

    assert content["status"] == "confirmed"
    assert "looks like" not in str(content["notices"])


async def test_what_the_caller_knows_better_never_reaches_finexio(desk: Desk) -> None:
    """Ours: `resubmit` and `not_a_duplicate_of` are between the caller and this server."""
    async with desk.open() as client:
        before = await pay(client, BEFORE)
        earlier = before["result"][0]["id"]
        await pay(client, invoice("ZZ-9", 125_00, not_a_duplicate_of=earlier, resubmit=True))

    bodies = [row for request in changes(desk.sim) for row in request.body]
    assert len(bodies) == 2
    assert not {"resubmit", "not_a_duplicate_of"} & set().union(*bodies)


async def test_a_wrong_id_lets_nothing_pass(desk: Desk) -> None:
    """Ours: only the id of the very invoice that it looks like says that somebody looked at that one."""
    async with desk.open(FINEXIO_MCP_DUPLICATES="refuse") as client:
        await pay(client, BEFORE)
        content = await pay(client, invoice("ZZ-9", 125_00, not_a_duplicate_of="somebody-elses"))

    assert content["status"] == "refused_by_policy"
    assert len(changes(desk.sim)) == 1


# Again, after a refund -------------------------------------------------------------

REFUNDABLE_CENTS = 125_00


async def refund(desk: Desk, finexio_id: str) -> None:
    """Days later the payment did not arrive, and people at Finexio give the money back."""
    for _ in range(40):
        desk.pass_time(hours=6)
        payment_id = desk.sim.invoices[finexio_id]["payment_id"]
        if payment_id and desk.sim.payments[payment_id]["funding_drawdown_request_id"]:
            break
    desk.sim.refund_payment(desk.sim.invoices[finexio_id]["payment_id"])
    assert desk.sim.invoices[finexio_id]["can_be_resubmitted"] is True


AGAIN = BEFORE | {"resubmit": True}


async def test_a_refunded_invoice_is_paid_again_once_if_the_caller_says_so(desk: Desk) -> None:
    """Documented: `can_be_resubmitted` is true after a full refund. Ours: a repeat of that is a repeat again."""
    async with desk.open() as client:
        first = await pay(client, BEFORE)
        await refund(desk, first["result"][0]["id"])
        silent = await pay(client, BEFORE)
        again = await pay(client, AGAIN)
        repeated = [await pay(client, AGAIN), await pay(client, BEFORE)]

    assert (silent["status"], again["status"]) == ("already_submitted", "confirmed")
    assert [content["status"] for content in repeated] == ["already_submitted"] * 2
    second = again["result"][0]["id"]
    assert second != first["result"][0]["id"]
    assert [content["result"][0]["id"] for content in repeated] == [second] * 2
    assert paid(desk.sim, "HP-1") == 2
    assert len(changes(desk.sim)) == 2


async def test_two_servers_that_resubmit_at_the_same_moment_pay_once(desk: Desk) -> None:
    """Ours: both hear from Finexio that it may be paid again, and one of them is first."""
    told: list[str] = []

    async def ask_for_it(client: Client) -> None:
        told.append((await pay(client, AGAIN))["status"])

    async with desk.open() as first, desk.open() as second:
        content = await pay(first, BEFORE)
        await refund(desk, content["result"][0]["id"])
        async with anyio.create_task_group() as tasks:
            for client in (first, second) * 3:
                tasks.start_soon(ask_for_it, client)

    assert told.count("confirmed") == 1
    assert set(told) <= {"confirmed", "in_progress", "already_submitted"}
    assert paid(desk.sim, "HP-1") == 2


async def test_an_invoice_that_was_not_refunded_is_not_paid_again_whatever_the_caller_says(desk: Desk) -> None:
    """Ours: Finexio is asked about the very invoice that was submitted; its word counts, not the caller's."""
    async with desk.open() as client:
        await pay(client, BEFORE)
        content = await pay(client, AGAIN)

    assert content["status"] == "already_submitted"
    assert "can_be_resubmitted" in str(content["notices"])
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("said", [b'{"id": "x"}', b"[]", b'{"can_be_resubmitted": "true"}', b"<html>"])
async def test_only_a_plain_yes_of_finexio_frees_an_invoice(said: bytes, desk: Desk) -> None:
    """Ours: an answer that does not say it is no."""
    async with desk.open() as client:
        first = await pay(client, BEFORE)
        desk.sim.fault(Fault(body=said), times=None, method="GET", path=f"/invoices/{first['result'][0]['id']}/")
        content = await pay(client, AGAIN)

    assert content["status"] in {"already_submitted", "not_executed"}
    assert len(changes(desk.sim)) == 1


async def test_an_invoice_in_doubt_cannot_be_resubmitted(desk: Desk) -> None:
    """Ours: what is not known to be there cannot have been refunded."""
    desk.fault(NEVER_THERE)

    async with desk.open() as client:
        await pay(client, BEFORE)
        content = await pay(client, AGAIN)

    assert content["status"] == "in_doubt"
    assert len(changes(desk.sim)) == 1


async def test_an_invoice_that_is_new_is_sent_whether_or_not_it_says_resubmit(desk: Desk) -> None:
    """Ours: there is nothing to ask Finexio about."""
    async with desk.open() as client:
        content = await pay(client, AGAIN)

    assert content["status"] == "confirmed"
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("fault", [Fault(lost_answer=True), NEVER_THERE], ids=["landed", "never there"])
async def test_a_resubmission_in_doubt_is_not_settled_by_the_refunded_invoice(fault: Fault, desk: Desk) -> None:
    """Ours: same number, same amount, but that record belongs to the first submission."""
    async with desk.open() as client:
        first = await pay(client, BEFORE)
        await refund(desk, first["result"][0]["id"])
        desk.fault(fault)
        again = await pay(client, AGAIN)
        repeated = await pay(client, AGAIN)

    there = fault.lost_answer
    assert again["status"] == ("confirmed" if there else "in_doubt")
    assert repeated["status"] == ("already_submitted" if there else "in_doubt")
    assert paid(desk.sim, "HP-1") == (2 if there else 1)
    assert len(changes(desk.sim)) == 2


async def test_a_refunded_invoice_beside_one_that_was_not_stops_the_batch(desk: Desk) -> None:
    """Ours: a batch that is part known is refused whole, resubmissions too."""
    other = invoice("HP-2", 9_99)

    async with desk.open() as client:
        first = await pay(client, BEFORE, other)
        await refund(desk, first["result"][0]["id"])
        # Both rode in one payment, so both are refunded; only one of them is asked for again.
        mixed = await pay(client, AGAIN, other)

    assert rows_of(mixed) == {"HP-1": "not_executed", "HP-2": "already_submitted"}
    assert len(changes(desk.sim)) == 1


async def test_a_second_refund_frees_it_a_second_time(desk: Desk) -> None:
    """Ours: the invoice that counts is the newest one."""
    async with desk.open() as client:
        content = await pay(client, BEFORE)
        for _ in range(2):
            await refund(desk, content["result"][0]["id"])
            content = await pay(client, AGAIN)

    assert content["status"] == "confirmed"
    assert paid(desk.sim, "HP-1") == 3


# The day's limit -------------------------------------------------------------------

LIMIT: dict[str, Any] = {"FINEXIO_MCP_MAX_DAY_CENTS": 100_00}


def share(at: int, cents: int) -> dict[str, Any]:
    return invoice(f"DAY-{at}", cents + at)


async def test_the_days_limit_counts_every_call_of_the_last_24_hours(desk: Desk) -> None:
    """Ours: the operator's limit; a call over it is refused whole and names the setting, and one that fits goes."""
    async with desk.open(**LIMIT) as client:
        first = await pay(client, share(0, 60_00))
        over = await pay(client, share(1, 50_00))
        fits = await pay(client, share(2, 39_00))
        desk.pass_time(hours=23)
        still = await pay(client, share(1, 50_00))
        desk.pass_time(hours=2)
        next_day = await pay(client, share(1, 50_00))

    told = [content["status"] for content in (first, over, fits, still, next_day)]
    assert told == ["confirmed", "refused_by_policy", "confirmed", "refused_by_policy", "confirmed"]
    assert "(FINEXIO_MCP_MAX_DAY_CENTS)" in over["error"]["message"]
    assert "Do not split" in over["error"]["message"]
    assert len(changes(desk.sim)) == 3


async def test_what_is_in_doubt_counts_and_what_was_refused_does_not(desk: Desk) -> None:
    """Ours: what may have been paid is money; what was not is none."""
    async with desk.open(**LIMIT) as client:
        desk.fault(Fault(status=401))
        refused = await pay(client, share(0, 90_00))
        desk.fault(NEVER_THERE)
        doubtful = await pay(client, share(1, 90_00))
        over = await pay(client, share(2, 50_00))
        await until_absent(desk, client, share(1, 90_00))
        fits = await pay(client, share(2, 50_00))

    told = [content["status"] for content in (refused, doubtful, over, fits)]
    assert told == ["rejected", "in_doubt", "refused_by_policy", "confirmed"]


async def test_calls_at_the_same_moment_do_not_pass_the_limit_together(desk: Desk) -> None:
    """Ours: the sum is made in the transaction that claims; two servers on one ledger share it."""
    told: list[str] = []

    async def ask_for_it(client: Client, at: int) -> None:
        told.append((await pay(client, share(at, 30_00)))["status"])

    async with desk.open(**LIMIT) as first, desk.open(**LIMIT) as second, anyio.create_task_group() as tasks:
        for at in range(8):
            tasks.start_soon(ask_for_it, (first, second)[at % 2], at)

    assert sorted(told) == ["confirmed"] * 3 + ["refused_by_policy"] * 5
    assert sum(row["amount_cents"] for request in changes(desk.sim) for row in request.body) <= 100_00


async def test_a_repeat_needs_no_room_under_the_limit(desk: Desk) -> None:
    """Ours: what was submitted already costs nothing again."""
    async with desk.open(**LIMIT) as client:
        first = await pay(client, share(0, 100_00))
        again = await pay(client, share(0, 100_00))

    assert (first["status"], again["status"]) == ("confirmed", "already_submitted")


async def test_another_account_has_a_limit_of_its_own(desk: Desk) -> None:
    """Ours: one ledger may hold several addresses of Finexio; rows of one mean nothing to the other."""
    elsewhere: dict[str, Any] = {**LIMIT, "FINEXIO_BASE_URL": "http://127.0.0.1:9/other/v2"}

    async with desk.open(**LIMIT) as client:
        await pay(client, share(0, 90_00))
    async with desk.open(**elsewhere) as client:
        states = await stands(client)
        doors = await pay(client, share(1, 90_00))

    assert states == []
    # The office does not answer at that address, so nothing of it can have happened.
    assert doors["status"] != "refused_by_policy"


async def test_the_limit_holds_after_a_restart(desk: Desk) -> None:
    """Ours: the sum is in the ledger, not in the server's memory."""
    async with desk.open(**LIMIT) as client:
        await pay(client, share(0, 90_00))
    async with desk.open(**LIMIT) as client:
        over = await pay(client, share(1, 50_00))

    assert over["status"] == "refused_by_policy"
    assert len(changes(desk.sim)) == 1


async def test_equal_monthly_bills_pass_one_by_one_each_with_the_one_before(desk: Desk) -> None:
    """Ours: the newest that is named rules out all before it, or a third one could never be paid."""
    async with desk.open(FINEXIO_MCP_DUPLICATES="refuse") as client:
        first = await pay(client, invoice("SC-A", 50_00))
        second = await pay(client, invoice("SC-B", 50_00, not_a_duplicate_of=first["result"][0]["id"]))
        of_the_oldest = await pay(client, invoice("SC-C", 50_00, not_a_duplicate_of=first["result"][0]["id"]))
        third = await pay(client, invoice("SC-C", 50_00, not_a_duplicate_of=second["result"][0]["id"]))

    assert of_the_oldest["status"] == "refused_by_policy"
    assert "the newest" in of_the_oldest["error"]["message"]
    assert [content["status"] for content in (first, second, third)] == ["confirmed"] * 3


async def test_a_batch_of_bills_that_look_alike_is_answered_when_it_was_paid_before(desk: Desk) -> None:
    """Ours: a repeated call is answered; only what would be submitted is held to the rule."""
    rows = invoice("SC-A", 50_00), invoice("SC-B", 50_00)
    async with desk.open() as client:
        paid_before = await pay(client, *rows)
    async with desk.open(FINEXIO_MCP_DUPLICATES="refuse") as client:
        again = await pay(client, *rows)

    assert (paid_before["status"], again["status"]) == ("confirmed", "already_submitted")
