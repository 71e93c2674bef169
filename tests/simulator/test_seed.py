"""The seeded world: worth looking at, and true to itself."""

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import finexio_mcp.simulator
from finexio_mcp.simulator import Simulator
from finexio_mcp.simulator.names import SUPPLIERS, UNPAYABLE

from .asking import client
from .conftest import NOW
from .test_lifecycle import assert_books_add_up


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_there_is_something_of_everything(seed: int) -> None:
    """Ours: what a demonstration or a test may want to find."""
    sim = Simulator(seed=seed, now=NOW)
    payments = list(sim.payments.values())
    contacts = [contact for row in sim.suppliers.values() for contact in row["contacts"]]

    assert (len(sim.buyers), len(sim.suppliers), len(sim.webhooks)) == (3, 51, 1)
    assert 300 <= len(sim.invoices) <= 400
    assert {row["status"] for row in payments} == {"pending", "in-progress", "settled", "failed", "canceled"}
    assert {row["payment_method"] for row in payments} == {"check", "ach", "card", "wire"}
    assert any(row["refund_timestamp"] for row in payments)
    assert any(row["reissue_timestamp"] for row in payments)
    assert {row["status"] for row in sim.drawdowns.values()} == {"requested", "received", "error"}
    assert any(row["payment_id"] is None for row in sim.invoices.values())
    assert any(row["note"] for row in sim.invoices.values())
    assert any(row["metadata"] for row in sim.invoices.values())
    assert any(contact["id"] is None for contact in contacts)


async def test_three_suppliers_cannot_be_paid_and_nobody_tries(busy: Simulator) -> None:
    """Ours: something to find for who looks; last in the lists, so that they are nobody's first example."""
    expected = {"Dockside Awning Repair": "Check", "Tupelo Honey Wholesale": "ACH", "Ravenel Art Framing": "Card"}
    async with client(busy) as api:
        rows: list[dict[str, Any]] = (await api.get("/counterparties/suppliers")).json()["results"][-3:]
    check, ach, card = rows
    paid = {row["receiving_counterparty_id"] for row in busy.invoices.values()}

    assert {row["name"]: row["payment_method"] for row in rows} == expected
    assert (check["delivery_method"], check["remit_zipcode"]) == ("Mail", "")
    assert (ach["bank_account_number"], ach["bank_routing_number"]) == (None, None)
    assert (card["delivery_method"], card["remit_email"]) == ("Email", "")
    assert paid.isdisjoint(row["id"] for row in rows)


def test_the_seeded_books_add_up(busy: Simulator) -> None:
    """Ours: they were lived through, not made up; and they go on so."""
    assert_books_add_up(busy)
    busy.advance(days=3)
    assert_books_add_up(busy)


def test_history_shows_a_changed_account_and_a_changed_method(busy: Simulator) -> None:
    """Ours: what a reviewer of payee fraud looks for."""
    changed = Counter(name for entry in busy.history if entry["action"] == "Updated" for name in entry["changes"])

    assert changed["bank_account_number"] >= 1
    assert changed["payment_method"] >= 1
    assert sum(entry["action"] == "Created" for entry in busy.history) == 54


def test_suppliers_are_told_apart_and_have_at_most_one_primary_contact(busy: Simulator) -> None:
    """Documented: references are unique, one primary contact."""
    assert len({who.reference for who in (*SUPPLIERS, *UNPAYABLE)}) == len(busy.suppliers) == 51
    for row in busy.suppliers.values():
        assert sum(contact["primary"] for contact in row["contacts"]) <= 1


def test_nothing_in_the_seed_could_be_real(busy: Simulator) -> None:
    """Ours: reserved mail domains, fictitious phones, bank numbers that no bank has."""
    for row in [*busy.suppliers.values(), *busy.buyers.values()]:
        numbers = [value for name, value in row.items() if name.endswith("routing_number") and value]
        assert all(number.startswith("99") and _checksum(number) == 0 for number in numbers)
        assert str(row["tax_id"]).startswith("00-")
        assert str(row.get("remit_email") or ".example").endswith(".example")
        for contact in row["contacts"]:
            assert str(contact["email"] or ".example").endswith(".example")
            assert not contact["phone"] or "-555-01" in contact["phone"]


def _checksum(number: str) -> int:
    weights = (3, 7, 1) * 3
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True)) % 10


async def test_every_seeded_record_can_be_asked_for(busy: Simulator) -> None:
    """Ours: each record passes through its own operation."""
    paths = [
        *(f"/invoices/{key}/" for key in list(busy.invoices)[:20]),
        *(f"/payments/{key}/" for key in list(busy.payments)[:20]),
        *(f"/payments/{key}/images" for key in list(busy.payments)[:20]),
        *(f"/reconciliation/drawdown/{key}/payments" for key in busy.drawdowns),
        *(f"/counterparties/{key}/" for key in [*busy.suppliers, *busy.buyers]),
        *(f"/counterparties/suppliers/{key}/" for key in busy.suppliers),
        *(f"/counterparties/buyers/{key}/" for key in busy.buyers),
        *(f"/webhooks/{key}/" for key in busy.webhooks),
    ]
    async with client(busy) as api:
        answers = [await api.get(path) for path in paths]

    assert {answer.status_code for answer in answers} == {200}
    assert all("_" not in {name[0] for name in answer.json()} for answer in answers if isinstance(answer.json(), dict))


def test_records_for_tests_are_complete_and_misspelt_fields_are_refused(sim: Simulator) -> None:
    """Ours: a test that sets a field that does not exist should not pass."""
    made: list[dict[str, Any]] = [
        sim.add_counterparty("c-1", name="Old", payment_method="PrintedCheck", city="Boise"),
        sim.add_counterparty("c-2", type="Buyer", name="Older", internal_id="b-7"),
        sim.add_contact("c-1"),
        sim.add_invoice(id="i-9"),
        sim.add_payment(status="canceled"),
        sim.add_webhook("w-1"),
        sim.add_history(),
    ]

    assert made[0]["remit_city"] == "Boise"
    assert sim.buyers["c-2"]["external_reference_id"] == "B-7"
    assert sim.journal.effects == []
    for add in (sim.add_supplier, sim.add_invoice, sim.add_payment, sim.add_drawdown, sim.add_counterparty):
        with pytest.raises(TypeError):
            add(nonsense=1)
    with pytest.raises(KeyError):
        sim.add_contact("nobody")


def test_a_supplier_for_a_test_may_lack_what_no_operation_would_let_it_lack(sim: Simulator) -> None:
    """Ours: what is said is kept, what is not said is sensible."""
    ach = sim.add_supplier(payment_method="ACH", bank_account_number=None, enabled=False)
    card = sim.add_supplier(payment_method="Card", delivery_method=None, remit_email="")
    check = sim.add_supplier(delivery_method=None, remit_country="", contacts=[])
    usual = [sim.add_supplier(payment_method=method) for method in ("ACH", "Wire", "FinexioExpress", "Card", "Check")]

    assert (ach["bank_account_number"], bool(ach["bank_routing_number"]), ach["enabled"]) == (None, True, False)
    assert (card["delivery_method"], card["remit_email"]) == (None, "")
    assert (check["delivery_method"], check["remit_country"]) == (None, "")
    assert [row["delivery_method"] for row in usual] == [None, None, None, "Email", "Mail"]
    assert [bool(row["bank_account_number"]) for row in usual] == [True, True, True, False, False]


async def test_a_thousand_suppliers_are_ten_pages(sim: Simulator) -> None:
    """Documented: 100 rows a page."""
    made = [sim.add_supplier()["id"] for _ in range(1_000)]
    async with client(sim) as api:
        pages = [(await api.get("/counterparties/suppliers", params={"page": page})).json() for page in range(1, 11)]

    assert [row["id"] for page in pages for row in page["results"]] == made
    assert (pages[0]["count"], pages[-1]["next"]) == (1_000, None)


def test_it_imports_nothing_of_ours() -> None:
    """Ours: written from the vendor's contract, so that a wrong declaration cannot hide behind an equal mistake."""
    folder = Path(finexio_mcp.simulator.__file__).parent
    foreign: set[str] = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                foreign |= {name.name for name in node.names if name.name.startswith("finexio_mcp")}
            if isinstance(node, ast.ImportFrom) and (node.level > 1 or (node.module or "").startswith("finexio_mcp")):
                foreign.add(str(node.module))

    assert foreign == set()
