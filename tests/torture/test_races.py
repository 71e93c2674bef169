"""Many processes that want the same invoices at the same moment."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.torture.crew import Crew
from tests.torture.jobs import Call
from tests.torture.oracle import judge
from tests.torture.stage import stage
from tests.torture.upstream import invoice

PROCESSES = 12
NUMBERS = 100
AGENTS = 4


def test_of_twelve_processes_one_pays_each_of_a_hundred_invoices(tmp_path: Path, crew: Crew, ledger_url: str) -> None:
    """Ours: released together, through the whole way of a call, over a Finexio that would pay everything twice."""
    rows = [invoice(f"R-{number}") for number in range(NUMBERS)]
    # A tenth of the calls tells as much of the server, whose claims wait for each other where SQLite's try again.
    size = 10 if ledger_url.startswith("postgresql") else 1
    batches = [rows[start : start + size] for start in range(0, NUMBERS, size)]
    with stage(tmp_path, crew, ledger_url=ledger_url) as on, on.gate() as gate:
        for process in range(PROCESSES):
            order = Random(process).sample(batches, len(batches))
            lanes = [[Call(rows=batch, asks=40) for batch in order[agent::AGENTS]] for agent in range(AGENTS)]
            on.crew.start(on.job(f"racer{process}", lanes, gate=gate))
        on.crew.wait_until_said("ready", PROCESSES)
        with on.open_gate(gate):
            on.crew.wait(90)

        seen = on.settle(rows)

    assert judge(seen) == []
    assert len(seen.landed) == NUMBERS
    assert len(seen.posts) == len(batches)


@pytest.mark.parametrize("size", [10])
def test_batches_that_share_numbers_in_opposite_order_do_not_wait_for_each_other(
    tmp_path: Path, crew: Crew, ledger_url: str, size: int
) -> None:
    """Ours: no deadlock, and each invoice is paid by one of the batches."""
    rows = [invoice(f"O-{number}") for number in range(size)]
    orders = [rows, rows[::-1], rows[: size // 2], rows[size // 2 :][::-1], rows[::2], rows[1::2][::-1]]
    with stage(tmp_path, crew, ledger_url=ledger_url) as on, on.gate() as gate:
        for process, order in enumerate(orders):
            on.crew.start(on.job(f"racer{process}", [[Call(rows=order, asks=40)]], gate=gate))
        on.crew.wait_until_said("ready", len(orders))
        with on.open_gate(gate):
            on.crew.wait()

        seen = on.settle(rows)

    assert judge(seen) == []
    assert len(seen.landed) == size
