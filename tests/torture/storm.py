"""A storm: agents pay overlapping invoices through processes that die at random, over a Finexio that misbehaves."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.torture.crew import Crew, Event
from tests.torture.jobs import Call, Job, Row
from tests.torture.oracle import Evidence, judge
from tests.torture.seams import POINTS
from tests.torture.stage import Stage, stage
from tests.torture.upstream import STRANGER, Mood, invoice

WINDOW = 10
"""Numbers that are being paid at the same time."""
FRESH_FROM = 100_000
"""Numbers that only one batch has."""
BIRTH_SECONDS = 10.0
DOOMED_SECONDS = 2.0
"""Who is to die at a point and does not get there is killed after this."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What a storm is made of; the same seed makes the same plans."""

    seed: int
    seconds: float
    kills: int
    """It goes on until so many died, too."""
    most_seconds: float = 120.0
    workers: int = 7
    numbers_a_second: float = 4.0
    batch_atomic: bool = True
    visible_after: timedelta = timedelta(0)
    pays_twice: bool = True


@dataclass
class Aftermath:
    """What a storm left."""

    weather: Weather
    kills: int
    points: Counter[str]
    """At which named points how many died."""
    numbers: list[Row]
    seen: Evidence
    problems: list[str]
    seconds: float
    outcomes: Counter[str]
    """Rows of the ledger by state and reason."""

    def describe(self) -> str:
        return (
            f"seed {self.weather.seed}: {self.kills} kills ({sum(self.points.values())} at {len(self.points)} named "
            f"points), {len(self.seen.posts)} batches, {len(self.seen.landed)} invoices landed of {len(self.numbers)}, "
            f"ledger {dict(self.outcomes)}, {len(self.problems)} problems, {self.seconds:.0f} s"
        )


def rage(weather: Weather, directory: Path, crew: Crew, *, ledger_url: str | None = None) -> Aftermath:
    """Let a storm pass, settle what it left, and judge."""
    began = time.monotonic()
    with stage(directory, crew, seed=weather.seed, pays_twice=weather.pays_twice, ledger_url=ledger_url) as on:
        on.simulator.quirks.batch_atomic = weather.batch_atomic
        on.simulator.quirks.visible_after = weather.visible_after
        storm = _Storm(weather, on)
        storm.pass_over()
        numbers = storm.numbers()
        seen = on.settle(numbers)
        kills, said = on.crew.kills, on.crew.said
    return Aftermath(
        weather=weather,
        kills=kills,
        points=Counter(point for _, point in said if point in POINTS),
        numbers=numbers,
        seen=seen,
        problems=judge(seen),
        seconds=time.monotonic() - began,
        outcomes=Counter(f"{row['state']} {row['reason'] or ''}".strip() for row in seen.rows),
    )


class _Storm:
    def __init__(self, weather: Weather, on: Stage) -> None:
        self._weather, self._on = weather, on
        self._chance = Random(weather.seed)
        self._names = (f"w{number}" for number in itertools.count())
        self._points = self._next_points()
        self._begun = time.monotonic()
        self._highest = 0
        self._fresh: list[Row] = []
        self._lives: dict[str, float] = {}
        self._deadlines: dict[str, float] = {}

    def pass_over(self) -> None:
        mood = Mood(self._on.simulator, Random(self._weather.seed))
        mood.begin()
        self._begun = time.monotonic()
        crew = self._on.crew
        while not self._is_over(crew.kills):
            while len(crew.alive) < self._weather.workers:
                self._send_out()
            soonest = min(self._deadlines.values())
            self._hear(crew.next(soonest - time.monotonic()))
            for name in [name for name, at in self._deadlines.items() if at <= time.monotonic()]:
                crew.kill(name)
                self._deadlines[name] = math.inf
        crew.kill_all()
        mood.end()

    def _hear(self, event: Event | None) -> None:
        if event is not None and event["event"] == "ended":
            del self._deadlines[event["name"]]
        elif event is not None and event.get("said") == "live":
            self._deadlines[event["name"]] = time.monotonic() + self._lives[event["name"]]

    def numbers(self) -> list[Row]:
        """Every invoice that may have been sent, the bad ones aside."""
        return [*(self._row(number) for number in range(self._highest)), *self._fresh]

    def _is_over(self, kills: int) -> bool:
        elapsed = time.monotonic() - self._begun
        if elapsed > self._weather.most_seconds:
            return True
        return elapsed > self._weather.seconds and kills >= self._weather.kills

    def _send_out(self) -> None:
        job = self._job(next(self._names))
        self._lives[job.name] = DOOMED_SECONDS if job.dies_at else self._chance.uniform(0.0, 0.6)
        # Until it says that it lives; what it does before is worth a kill, too.
        self._deadlines[job.name] = time.monotonic() + (0.1 if self._chance.random() < 0.05 else BIRTH_SECONDS)
        self._on.crew.start(job)

    def _job(self, name: str) -> Job:
        chance = self._chance
        lanes = [[self._call() for _ in range(3)] for _ in range(chance.randint(1, 2))]
        if chance.random() < 0.35:
            return self._on.job(name, lanes)
        return self._on.job(name, lanes, dies_at=next(self._points), dies_on=chance.choice((1, 1, 2)))

    def _next_points(self) -> Iterator[str]:
        """Every point as often as any other."""
        while True:
            yield from self._chance.sample(POINTS, len(POINTS))

    def _call(self) -> Call:
        chance = self._chance
        first = int((time.monotonic() - self._begun) * self._weather.numbers_a_second)
        self._highest = max(self._highest, first + WINDOW)
        size = chance.choice((1, 1, 2, 3, 4))
        rows = [self._row(number) for number in chance.sample(range(first, first + WINDOW), size)]
        oddity = chance.random()
        if oddity < 0.1:
            # Of its own numbers, or it would be turned away for what is known of the others.
            rows = self._fresh_rows(size)
            rows.insert(chance.randrange(size + 1), self._bad_row())
        elif oddity < 0.15:
            rows[0] = {**rows[0], "amount_cents": rows[0]["amount_cents"] + 50}
        elif oddity < 0.25:
            rows[0] = {**rows[0], "invoice_number": f" {rows[0]['invoice_number'].lower()}".strip()}
        return Call(rows=rows, asks=chance.choice((2, 6, 12)))

    def _row(self, number: int) -> Row:
        return invoice(f"T-{number}")

    def _fresh_rows(self, size: int) -> list[Row]:
        rows = [invoice(f"F-{FRESH_FROM + len(self._fresh) + number}") for number in range(size)]
        self._fresh += rows
        return rows

    def _bad_row(self) -> Row:
        return invoice(f"BAD-{self._chance.randrange(200_000, 900_000)}", supplier=STRANGER)
