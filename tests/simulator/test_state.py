"""Determinism, saved books, and beginning anew."""

import sqlite3
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest

from finexio_mcp.simulator import Fault, Simulator

from .asking import WEBHOOK, client, invoice
from .conftest import NOW


def test_the_same_seed_gives_the_same_world() -> None:
    """Ours: ids, amounts, events, all of it; another seed gives another."""
    first, second, other = (Simulator(seed=seed, now=NOW) for seed in (5, 5, 6))

    assert first.payments == second.payments
    assert first.history == second.history
    assert set(first.invoices).isdisjoint(other.invoices)


async def test_books_survive_in_a_file(tmp_path: Path) -> None:
    """Ours: a second process goes on where the first stopped, the clock included."""
    path = tmp_path / "state" / "books.sqlite"
    first = Simulator(now=NOW, populated=False, state=path)
    async with client(first) as api:
        created = (await api.post("/invoices/batch/", json=[invoice(first)])).json()[0]
    first.advance(minutes=30)
    second = Simulator(now=NOW, populated=False, state=path)

    assert second.clock.now() == NOW + timedelta(minutes=30)
    assert second.invoices == first.invoices
    second.advance(days=40)
    assert second.invoices[created["id"]]["status"] == "complete"


async def test_two_processes_share_one_file(tmp_path: Path) -> None:
    """Ours: each sees what the other wrote, and neither hands out an id twice."""
    path = tmp_path / "books.sqlite"
    here, there = (Simulator(now=NOW, populated=False, state=path) for _ in range(2))
    here.add_buyer("b-1")
    here.add_supplier("s-1")
    async with client(here) as one, client(there) as two:
        for number in range(6):
            api = (one, two)[number % 2]
            row = invoice(there, invoice_number=f"N-{number}")
            assert (await api.post("/invoices/batch/", json=[row])).status_code == 201
        duplicate = await two.post("/invoices/batch/", json=[invoice(here, invoice_number="N-0")])
        there.advance(days=2)

    assert duplicate.status_code == 400
    assert len(here.invoices) == 6
    assert here.payments == there.payments
    assert here.clock.now() == there.clock.now()


def test_a_populated_file_is_filled_once(tmp_path: Path) -> None:
    """Ours: opening it again does not sow the seed again."""
    path = tmp_path / "books.sqlite"
    first, second = (Simulator(now=NOW, state=path) for _ in range(2))

    assert first.payments == second.payments


def test_a_later_start_catches_up_with_the_real_time(tmp_path: Path) -> None:
    """Ours: a file left alone for a month wakes up a month later, never earlier than it was."""
    path = tmp_path / "books.sqlite"
    first = Simulator(now=NOW, populated=False, state=path)
    first.add_invoice("i-1")
    later = Simulator(now=NOW + timedelta(days=40), populated=False, state=path)

    assert later.invoices["i-1"]["status"] == "complete"
    assert Simulator(now=NOW, populated=False, state=path).clock.now() == NOW + timedelta(days=40)


def test_a_file_that_is_no_database_is_an_error_at_once(tmp_path: Path) -> None:
    """Ours."""
    path = tmp_path / "books.sqlite"
    path.write_text("This is not a database, it only plays one for a test. " * 40)
    with pytest.raises(sqlite3.DatabaseError):
        Simulator(state=path)


async def test_reset_begins_anew(busy: Simulator) -> None:
    """Ours: books, clock, journal and faults as at first."""
    before = deepcopy(busy.payments)
    busy.fault(Fault(status=500))
    busy.advance(days=10)
    async with client(busy) as api:
        await api.post("/webhooks/", json=WEBHOOK)
    busy.reset()

    assert busy.payments == before
    assert (busy.clock.now(), busy.faults_left, busy.journal.requests) == (NOW, 0, [])


def test_the_clock_has_no_zone_and_does_not_go_back(sim: Simulator) -> None:
    """Ours: naive as the vendor's timestamps are."""
    with pytest.raises(ValueError, match="back"):
        sim.advance(days=-1)
    assert sim.clock.now().tzinfo is None
    assert Simulator(populated=False).clock.now().tzinfo is None
