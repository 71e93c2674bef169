"""A process that is killed at any named point forgets nothing, and pays nothing twice."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from finexio_mcp.simulator import Fault
from tests.torture.crew import Crew
from tests.torture.jobs import LEASE_SECONDS, Call, Row
from tests.torture.oracle import judge, ledger_rows
from tests.torture.seams import POINTS
from tests.torture.stage import Stage, stage
from tests.torture.upstream import BATCH, STRANGER, invoice

AT_THE_START = ("ledger: key made", "create: committing", "ledger: sealing")
IN_A_LOOK = tuple(point for point in POINTS if point.partition(":")[0] in {"begin_look", "end_look", "look"})
AFTER_A_REFUSAL = tuple(point for point in POINTS if point.startswith("extend"))
AFTER_A_CRASH = tuple(point for point in POINTS if point.startswith("take_over"))
ON_THE_WAY = tuple(
    point for point in POINTS if point not in {*AT_THE_START, *IN_A_LOOK, *AFTER_A_REFUSAL, *AFTER_A_CRASH}
)

BAD = {point: invoice(f"BAD-{1000 + index}", supplier=STRANGER) for index, point in enumerate(AFTER_A_REFUSAL)}
"""For these, Finexio refuses a whole batch, and keeps what is good of it."""


def test_a_kill_at_any_point_pays_nothing_twice_and_forgets_nothing(tmp_path: Path, crew: Crew) -> None:
    """Ours: whatever a process was about, the next one makes of the ledger what really happened."""
    rows = {point: invoice(f"P-{index}") for index, point in enumerate(POINTS)}
    with stage(tmp_path, crew) as on:
        for point in AT_THE_START:
            _die(on, [point], rows)
        _die(on, ON_THE_WAY, rows)
        on.simulator.quirks.batch_atomic = False
        _die(on, AFTER_A_REFUSAL, rows)
        for point in IN_A_LOOK:
            on.simulator.fault(Fault(status=500, takes_effect=True), path=BATCH)
            _die(on, [point], rows)
        _wait_until_a_lease_is_over(on)
        for point in AFTER_A_CRASH:
            _die(on, [point], rows)

        seen = on.settle(rows.values())

    assert judge(seen) == []
    assert len(seen.landed) == len(POINTS)
    assert {"absent", "confirmed"} <= {row["state"] for row in seen.rows}


def test_what_a_crash_left_is_settled_by_a_process_that_starts_before_its_lease_is_over(
    tmp_path: Path, crew: Crew
) -> None:
    """Ours: hosts start a server anew at once, and nobody need ask for that invoice again."""
    with stage(tmp_path, crew) as on:
        rows = {point: invoice(f"Q-{index}") for index, point in enumerate(("claim: after", "mark_sent: after"))}
        _die(on, list(rows), rows)

        seen = on.settle([invoice("Q-2")])

    assert judge(seen) == []
    assert {row["number"]: row["reason"] for row in seen.rows} == {
        "Q-0": "abandoned",
        "Q-1": "not_found",
        "Q-2": "accepted",
    }


def _die(on: Stage, points: Sequence[str], rows: dict[str, Row]) -> None:
    """Let a process die at each of these points, all at once."""
    for point in points:
        name = point.replace(": ", "-").replace(" ", "-")
        batch = [rows[point], *([BAD[point]] if point in BAD else [])]
        on.crew.start(on.job(name, [[Call(rows=batch, asks=20)]], dies_at=point))
    on.crew.wait()
    assert set(points) <= {said for _, said in on.crew.said}


def _wait_until_a_lease_is_over(on: Stage) -> None:
    until = time.monotonic() + 3 * LEASE_SECONDS
    while not any(
        row["state"] in {"intended", "sent"} and row["lease_until_ms"] < time.time() * 1000
        for row in ledger_rows(on.ledger_url)
    ):
        assert time.monotonic() < until
        on.crew.next(0.1)
