"""Several processes at once: never two claims of one invoice, whichever of the two protections is left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

import pytest

from finexio_mcp.guards.ledger.store import Store

from . import racers
from .conftest import Ledger

PROCESSES = 12
Batch = list[int]


def race(ledger: Ledger, claims: Sequence[Sequence[Batch]], *, kind: str = "Store") -> list[tuple[Batch, str]]:
    """What became of each claim, all processes released at one moment."""
    task = json.dumps({"url": ledger.url, "kind": kind, "claims": claims})
    done = subprocess.run(
        [sys.executable, racers.__file__],
        input=task,
        capture_output=True,
        text=True,
        timeout=racers.PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [(batch, outcome) for _, batch, outcome in json.loads(done.stdout)]


def live(ledger: Ledger) -> int:
    return sum(Store(ledger.engine, scope=racers.SCOPE, owner="me").counts().values())


def twice(told: Sequence[tuple[Batch, str]]) -> set[int]:
    """Numbers that more than one process may now submit."""
    claimed = Counter(number for batch, outcome in told if outcome == "claimed" for number in batch)
    return {number for number, count in claimed.items() if count > 1}


def outcomes(told: Sequence[tuple[Batch, str]]) -> Counter[str]:
    return Counter(outcome for _, outcome in told)


EVERYBODY_THE_SAME = [[[number] for number in range(100)]] * PROCESSES
FEWER_THE_SAME = [[[number] for number in range(20)]] * 6


def test_of_twelve_processes_one_gets_each_invoice(ledger: Ledger) -> None:
    """Ours: all others hear that it is known, and nobody gets an error."""
    told = race(ledger, EVERYBODY_THE_SAME)

    assert outcomes(told) == {"claimed": 100, "known": 1100}
    assert twice(told) == set()
    assert live(ledger) == 100


def test_twelve_processes_do_not_hinder_each_other(ledger: Ledger) -> None:
    """Ours: 600 different invoices, ten in a batch, are all claimed."""
    told = race(
        ledger,
        [[list(range(start, start + 10)) for start in range(process, 600, 120)] for process in range(0, 120, 10)],
    )

    assert outcomes(told) == {"claimed": 60}
    assert live(ledger) == 600
    assert ledger.store().verify().problems == ()


@pytest.mark.parametrize("kind", ["Store", "Unlocked"])
def test_batches_in_opposite_order_do_not_wait_for_each_other(ledger: Ledger, kind: str) -> None:
    """Ours: one of them gets all its rows, the others none; without the lock the order of the index does it."""
    rounds = [list(range(100 * each, 100 * each + 100)) for each in range(5)]
    told = race(
        ledger, [rounds if process % 2 else [batch[::-1] for batch in rounds] for process in range(4)], kind=kind
    )

    if kind == "Store" or not ledger.sqlite:
        # There, without its transaction, a batch that meets another may be left in part.
        assert outcomes(told)["claimed"] == 5
        assert live(ledger) == 500
    assert outcomes(told).keys() <= {"claimed", "known", "inconsistent"}
    assert twice(told) == set()


def test_without_the_lock_the_index_is_enough(ledger: Ledger) -> None:
    """Ours: whoever loses there gets an error of ours, and submits nothing."""
    told = race(ledger, FEWER_THE_SAME, kind="Unlocked")

    assert outcomes(told)["claimed"] == 20
    assert outcomes(told).keys() <= {"claimed", "known", "inconsistent"}
    assert twice(told) == set()


def test_without_the_index_the_lock_is_enough(ledger: Ledger) -> None:
    """Ours: who waited for the lock reads what was committed before."""
    ledger.execute("DROP INDEX submissions_live")

    told = race(ledger, FEWER_THE_SAME)

    assert outcomes(told) == {"claimed": 20, "known": 100}
    assert twice(told) == set()


def test_without_both_invoices_are_claimed_twice(ledger: Ledger) -> None:
    """Ours: so these races do notice it."""
    ledger.execute("DROP INDEX submissions_live")

    assert twice(race(ledger, FEWER_THE_SAME, kind="Unlocked"))
