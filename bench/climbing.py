"""More and more calls in flight: each that is answered is followed by the next one, so many at a time."""

from __future__ import annotations

import heapq
import itertools
import selectors
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.driver import ANSWER_SECONDS, Refused
from bench.web import Line, Post

GOOD = b"HTTP/1.1 200 "
PUT_OFF = (b'"code":"overloaded"', b'"code":"not_executed"')
"""Nothing happened, and the caller is to come again."""
REST_SECONDS = 1.0
"""What a caller that was put off waits before its next call; it is asked for more."""
SHOWN_CHARS = 500


@dataclass
class Step:
    """What was seen while so many calls were in flight."""

    width: int
    seconds: float = 0.0
    latencies: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Seconds of each answered call, by its kind."""
    put_off: int = 0
    failed: int = 0
    read: Sequence[float] = ()
    """How much each of the gauges rose."""
    megabytes: Sequence[float] = ()
    """What each server held afterwards."""

    @property
    def answered(self) -> int:
        return sum(len(each) for each in self.latencies.values())


@dataclass(eq=False)
class _Flight:
    """One of the calls in flight, and those that follow it: a connection to each server, used in turns."""

    lines: Sequence[Line]
    post: Post | None = None
    sent_at: float = 0.0


class Climb:
    """Spoken to from one thread. No two calls share a connection, and none waits here.

    Args:
        addresses: Of the servers, which get the calls in turns.
        post: Makes the next call to a server, by its number and that of the call.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], post: Callable[[int, int], Post]) -> None:
        self._addresses, self._post = addresses, post
        self._numbers = itertools.count()
        self._flights: list[_Flight] = []
        self._new: set[_Flight] = set()
        self._resting: list[tuple[float, int, _Flight]] = []
        self._ready = selectors.DefaultSelector()
        self._leaving = False
        self._step = Step(0)
        self.trouble: str | None = None
        """The first answer that should not have been."""

    def step(self, width: int, seconds: float, gauges: Sequence[Callable[[], float]]) -> Step:
        """Have so many calls in flight; what is told begins once each of the new ones was answered."""
        while len(self._flights) < width:
            flight = _Flight([Line(address) for address in self._addresses])
            self._flights.append(flight)
            self._new.add(flight)
            self._send(flight)
        while self._new:
            self._turn()
        self._step = step = Step(width)
        began, before = time.perf_counter(), [gauge() for gauge in gauges]
        while (now := time.perf_counter()) < began + seconds:
            self._turn(until=began + seconds)
        step.seconds = now - began
        step.read = [gauge() - start for gauge, start in zip(gauges, before, strict=True)]
        self._step = Step(width)
        return step

    def close(self) -> None:
        """Let what is in flight end, and close all connections."""
        self._leaving = True
        while self._ready.get_map():
            self._turn()
        self._ready.close()
        for flight in self._flights:
            for line in flight.lines:
                line.sock.close()

    def _turn(self, until: float | None = None) -> None:
        """Wait for answers, and send what follows them."""
        latest = time.perf_counter() + ANSWER_SECONDS
        rested = self._resting[0][0] if self._resting else latest
        found = self._ready.select(max(0.0, min(latest, rested, until or latest) - time.perf_counter()))
        now = time.perf_counter()
        if not found and now >= latest:
            raise Refused(f"a server gave no answer for {ANSWER_SECONDS:.0f} s")
        for key, _ in found:
            flight: _Flight = key.data[0]
            line: Line = key.data[1]
            if line.receive():
                self._ready.unregister(line.sock)
                self._take(flight, line, time.perf_counter())
        while self._resting and (self._leaving or self._resting[0][0] <= now):
            self._send(heapq.heappop(self._resting)[2])

    def _take(self, flight: _Flight, line: Line, now: float) -> None:
        self._new.discard(flight)
        post = flight.post
        assert post is not None
        if line.received.startswith(GOOD) and post.expected.encode() in line.received:
            self._step.latencies.setdefault(post.kind, []).append(now - flight.sent_at)
        elif any(code in line.received for code in PUT_OFF):
            self._step.put_off += 1
            heapq.heappush(self._resting, (now + REST_SECONDS, next(self._numbers), flight))
            return
        else:
            self._step.failed += 1
            self.trouble = self.trouble or line.received[-SHOWN_CHARS:].decode(errors="replace")
        self._send(flight)

    def _send(self, flight: _Flight) -> None:
        if self._leaving:
            return
        number = next(self._numbers)
        server = number % len(flight.lines)
        flight.post = self._post(server, number)
        flight.sent_at = time.perf_counter()
        line = flight.lines[server]
        line.send(flight.post)
        self._ready.register(line.sock, selectors.EVENT_READ, (flight, line))
