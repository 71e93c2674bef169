"""One run from the first worker to the verdict: a Finexio, a ledger, a crew."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finexio_mcp.simulator import Simulator
from tests.torture.crew import Crew
from tests.torture.jobs import Call, Job, Row, settings_for
from tests.torture.oracle import Evidence, gather, ledger_rows
from tests.torture.upstream import finexio

QUIET_SECONDS = 30.0
LOOK_PAUSE_SECONDS = 0.2
LANES = 4


@dataclass
class Stage:
    """What a run has at hand."""

    directory: Path
    simulator: Simulator
    base_url: str
    ledger_url: str
    crew: Crew
    answers: list[Path] = field(default_factory=list[Path])

    def job(
        self,
        name: str,
        lanes: Sequence[Sequence[Call]],
        *,
        dies_at: str | None = None,
        dies_on: int = 1,
        stops_at: str | None = None,
        mutant: str | None = None,
        gate: Path | None = None,
        lingers: bool = False,
        **settings: str,
    ) -> Job:
        """A worker's life on this stage."""
        answers = self.directory / f"{name}.answers"
        self.answers.append(answers)
        return Job(
            name=name,
            settings=settings_for(self.base_url, self.ledger_url, **settings),
            answers=answers,
            lanes=lanes,
            dies_at=dies_at,
            dies_on=dies_on,
            stops_at=stops_at,
            mutant=mutant,
            gate=gate,
            lingers=lingers,
        )

    def live(self, job: Job) -> None:
        """Let one worker live its whole life."""
        self.crew.start(job)
        self.crew.wait()

    @contextlib.contextmanager
    def gate(self) -> Generator[Path]:
        """A gate for jobs; `open_gate` lets everybody through who waits at it, or comes later."""
        path = self.directory / "gate"
        os.mkfifo(path)
        try:
            yield path
        finally:
            path.unlink()

    @contextlib.contextmanager
    def open_gate(self, gate: Path) -> Generator[None]:
        """While it is open."""
        # Blocks until the first one waits.
        descriptor = os.open(gate, os.O_WRONLY)
        try:
            yield
        finally:
            os.close(descriptor)

    def seen(self) -> Evidence:
        """What is known by now."""
        return gather(self.simulator, self.ledger_url, self.answers)

    def settle(self, rows: Iterable[Row] = ()) -> Evidence:
        """Let a last worker, to whom nothing happens, ask for everything until it is settled."""
        self.simulator.clear_faults()
        calls = [Call(rows=[row], asks=200) for row in rows]
        last = self.job("last", [calls[lane::LANES] for lane in range(LANES)], lingers=True)
        self.crew.start(last)
        self.crew.wait_until_said("done", 1, QUIET_SECONDS)
        until = time.monotonic() + QUIET_SECONDS
        while not self._quiet() and time.monotonic() < until:
            self.crew.next(LOOK_PAUSE_SECONDS)
        self.crew.kill_all()
        return self.seen()

    def _quiet(self) -> bool:
        """Whether nothing is open but what waits for a person."""
        return not any(
            row["state"] in {"intended", "sent"} or (row["state"] == "in_doubt" and row["next_look_at_ms"] is not None)
            for row in ledger_rows(self.ledger_url)
        )


@contextlib.contextmanager
def stage(
    directory: Path, crew: Crew, *, seed: int = 1, pays_twice: bool = True, ledger_url: str | None = None
) -> Generator[Stage]:
    """A stage of its own; nobody is left on it at the end."""
    with finexio(seed=seed, pays_twice=pays_twice) as (simulator, base_url), crew.anew() as workers:
        yield Stage(directory, simulator, base_url, ledger_url or f"sqlite:///{directory}/ledger.db", workers)
