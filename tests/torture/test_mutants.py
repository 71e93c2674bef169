"""The judge notices each of the mistakes that matter, and finds nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from finexio_mcp.simulator import Fault
from tests.torture.crew import Crew
from tests.torture.jobs import Call
from tests.torture.mutants import MUTANTS, REREAD
from tests.torture.oracle import judge
from tests.torture.stage import Stage, stage
from tests.torture.upstream import BATCH, invoice

ROW = invoice("M-1")
INSISTING = [[Call(rows=[ROW], asks=60)]]

Scene = Callable[[Stage, str | None], None]


def _killed_before_the_answer_is_recorded(on: Stage, mutant: str | None) -> None:
    on.live(on.job("first", INSISTING, dies_at="wire: answered", mutant=mutant))
    on.live(on.job("second", INSISTING, mutant=mutant))


def _answered_with_500_after_it_took_effect(on: Stage, mutant: str | None) -> None:
    on.simulator.fault(Fault(status=500, takes_effect=True), path=BATCH)
    on.live(on.job("only", INSISTING, mutant=mutant))


def _not_in_the_list_yet(on: Stage, mutant: str | None) -> None:
    on.simulator.quirks.visible_after = timedelta(seconds=2)
    on.simulator.fault(Fault(reset="after_effect"), path=BATCH)
    on.live(on.job("only", INSISTING, mutant=mutant))


def _hung_up_on(on: Stage, mutant: str | None) -> None:
    on.simulator.fault(Fault(delay_seconds=0.5), path=BATCH)
    on.live(on.job("only", [[Call(rows=[ROW], asks=60, hangs_up=True)]], mutant=mutant))


def _asleep_between_ledger_and_bytes(on: Stage, mutant: str | None) -> None:
    on.crew.start(on.job("sleeper", INSISTING, stops_at="mark_sent: after", mutant=mutant))
    on.crew.wait_until_said("mark_sent: after", 1)
    on.crew.start(on.job("other", INSISTING))
    on.crew.wait(but={"sleeper"})
    on.crew.wake("sleeper")
    on.crew.wait()


SCENES: Mapping[str, Scene] = {
    "sent after the post": _killed_before_the_answer_is_recorded,
    "5xx refuses": _answered_with_500_after_it_took_effect,
    "resolver sends": _not_in_the_list_yet,
    "caller cancels the send": _hung_up_on,
    "sends after a sleep": _asleep_between_ledger_and_bytes,
}
"""In which each mistake pays twice."""


def test_every_mutant_has_its_scene() -> None:
    assert SCENES.keys() == MUTANTS.keys()


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_is_noticed(tmp_path: Path, crew: Crew, mutant: str) -> None:
    """Ours: the harness would fail if the product were like this."""
    with stage(tmp_path, crew) as on:
        SCENES[mutant](on, mutant)

        seen = on.seen()

    assert any(problem.startswith("paid twice: m-1") for problem in judge(seen)), judge(seen)


@pytest.mark.parametrize("scene", SCENES)
def test_the_product_as_it_is_passes_the_same_scene(tmp_path: Path, crew: Crew, scene: str) -> None:
    """Ours: one payment, and everybody was told the truth."""
    with stage(tmp_path, crew) as on:
        SCENES[scene](on, None)

        seen = on.settle([ROW])

    assert judge(seen) == []
    assert len(seen.landed) == len(seen.posts) == 1


@pytest.mark.parametrize(("mutant", "paid"), [("claims race", 3), ("claims by an old reading", 1)])
def test_lock_and_index_each_keep_a_race_from_paying_twice(
    tmp_path: Path, crew: Crew, ledger_url: str, mutant: str, paid: int
) -> None:
    """Ours: without the lock the index holds; without both the harness notices."""
    with stage(tmp_path, crew, ledger_url=ledger_url) as on, on.gate() as gate:
        on.live(on.job("opener", [[Call(rows=[invoice("M-0")])]]))
        for process in range(3):
            on.crew.start(on.job(f"racer{process}", [[Call(rows=[ROW], asks=6)]], mutant=mutant, gate=gate))
        on.crew.wait_until_said(REREAD, 3)
        with on.open_gate(gate):
            on.crew.wait()

        seen = on.seen()

    assert sum(one.identity[2] == "m-1" for one in seen.landed) == paid
    assert any(problem.startswith("paid twice") for problem in judge(seen)) == (paid > 1)
