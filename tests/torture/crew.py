"""Workers, as those who start and kill them see them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.jobs import Job

ROOT = Path(__file__).parents[2]
OPEN_SECONDS = 60.0

Event = dict[str, Any]


@dataclass
class Crew:
    """The workers that are alive, and how the others ended."""

    process: subprocess.Popen[bytes]
    events: queue.Queue[Event]
    errors: Path
    alive: set[str] = field(default_factory=set[str])
    codes: dict[str, int] = field(default_factory=dict[str, int])
    """Exit code by name; negative for a signal."""
    said: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def kills(self) -> int:
        """How many ended by SIGKILL."""
        return sum(code == -signal.SIGKILL for code in self.codes.values())

    @contextlib.contextmanager
    def anew(self) -> Generator[Crew]:
        """Another crew from the same nursery, of which nobody is left at the end."""
        crew = Crew(self.process, self.events, self.errors)
        try:
            yield crew
        finally:
            crew.kill_all()

    def start(self, job: Job) -> None:
        self.alive.add(job.name)
        self._write(f"start {job.dump()}")

    def kill(self, name: str) -> None:
        if name in self.alive:
            self._write(f"kill {name}")

    def wake(self, name: str) -> None:
        """Let somebody go on who fell asleep."""
        self._write(f"wake {name}")

    def kill_all(self) -> None:
        for name in self.alive:
            self._write(f"kill {name}")
        self.wait()

    def next(self, seconds: float) -> Event | None:
        """What happened next, within a time."""
        try:
            event = self.events.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return None
        if event["event"] == "ended":
            self.alive.discard(event["name"])
            self.codes[event["name"]] = event["code"]
            if event["code"] not in (0, -signal.SIGKILL):
                raise RuntimeError(f"{event['name']} ended with {event['code']}:\n{self.errors.read_text()[-3000:]}")
        if event["event"] == "said":
            self.said.append((event["name"], event["said"]))
        if event["event"] == "closed":
            raise RuntimeError("the nursery ended")
        return event

    def wait(self, seconds: float = 60.0, *, but: Collection[str] = ()) -> None:
        """Until nobody is alive, some aside.

        Raises:
            TimeoutError: Somebody still is.
        """
        until = time.monotonic() + seconds
        while self.alive - set(but):
            if self.next(until - time.monotonic()) is None:
                raise TimeoutError(f"still alive: {sorted(self.alive)}")

    def wait_until_said(self, said: str, times: int, seconds: float = 60.0) -> None:
        """Until so many have said it.

        Raises:
            TimeoutError: They did not.
        """
        until = time.monotonic() + seconds
        while sum(word == said for _, word in self.said) < times:
            if self.next(until - time.monotonic()) is None:
                raise TimeoutError(f"not {times} said {said!r}")

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def open_crew(errors: Path) -> Generator[Crew]:
    """A crew without anybody yet; nobody is left at the end.

    Args:
        errors: Where workers write what went wrong with them.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FINEXIO_")}
    with (
        errors.open("ab") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "tests.torture.nursery"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        ) as process,
    ):
        events: queue.Queue[Event] = queue.Queue()
        reader = threading.Thread(target=_read, args=(process, events), daemon=True)
        reader.start()
        try:
            if events.get(timeout=OPEN_SECONDS)["event"] != "open":
                raise RuntimeError(f"the nursery did not open; see {errors}")
            yield Crew(process, events, errors)
        finally:
            with contextlib.suppress(ProcessLookupError):
                # Its own group: itself and everybody it forked.
                os.killpg(process.pid, signal.SIGKILL)
            reader.join(10)


def _read(process: subprocess.Popen[bytes], events: queue.Queue[Event]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        events.put(json.loads(line))
    events.put({"event": "closed"})
