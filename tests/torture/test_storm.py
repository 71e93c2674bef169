"""A hundred kills, at random and at named points, over a Finexio that misbehaves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.torture.crew import Crew
from tests.torture.storm import Weather, rage

KILLS = 100


def test_in_a_storm_nothing_is_paid_twice_forgotten_or_said_to_be_what_it_is_not(tmp_path: Path, crew: Crew) -> None:
    """Ours: by the journal of a Finexio that pays what it is told twice, and keeps good rows of refused batches."""
    weather = Weather(
        seed=20, seconds=8, kills=KILLS, batch_atomic=False, visible_after=timedelta(seconds=0.3), pays_twice=True
    )

    after = rage(weather, tmp_path, crew)

    assert after.problems == [], after.describe()
    assert after.kills >= KILLS, after.describe()
    assert {row["reason"] for row in after.seen.rows} >= {"accepted", "found", "abandoned"}, after.describe()
    assert len({one.identity for one in after.seen.landed}) >= len(after.numbers) * 0.9, after.describe()
