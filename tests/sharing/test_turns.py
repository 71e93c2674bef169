"""Turns in a real PostgreSQL."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise

import anyio
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from finexio_mcp.clock import Clock
from finexio_mcp.sharing.database import ANSWER_SECONDS, REST_SECONDS, Away
from finexio_mcp.sharing.turns import TooLate, Turns
from tests.calls import FakeClock
from tests.sharing.conftest import Postgres, shared_settings

LONG_MS = 50_000.0
HOUR_MS = 3_600_000.0
FAR = 1e12


@contextmanager
def opened(url: str, clock: Clock | None = None) -> Generator[Turns]:
    """The turns as one server sees them."""
    turns = Turns(shared_settings(url), clock=clock)
    try:
        yield turns
    finally:
        turns.close()


def execute(url: str, statement: str) -> None:
    """Change the table behind everybody's back."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(statement))


async def test_turns_come_one_interval_after_the_other_behind_a_burst(url: str) -> None:
    """Ours: after a rest, those whose moment is over are had at once."""
    with opened(url) as turns, opened(url) as others:
        taken = [
            await each.take("a", interval_ms=10_000.0, slack_ms=20_000.0, latest_ms=FAR)
            for each in (turns, others, turns, others, turns)
        ]

    assert [turn.moment_ms - taken[0].moment_ms for turn in taken] == [0, 10_000, 20_000, 30_000, 40_000]
    assert [turn.in_ms <= 0 for turn in taken] == [True, True, True, False, False]
    assert taken[0].in_ms == pytest.approx(-20_000, abs=1)


async def test_a_turn_that_would_come_too_late_is_not_taken(url: str) -> None:
    """Ours: calls that are never sent keep nobody waiting, and hear how long it would have been."""
    with opened(url) as turns:
        await turns.take("a", interval_ms=LONG_MS, slack_ms=0.0, latest_ms=FAR)
        for _ in range(3):
            with pytest.raises(TooLate) as caught:
                await turns.take("a", interval_ms=LONG_MS, slack_ms=0.0, latest_ms=1_000.0)
            assert LONG_MS - 5_000 < caught.value.in_ms <= LONG_MS


async def test_a_turn_that_is_given_back_is_there_for_the_next(url: str) -> None:
    """Ours: unless another was taken since, for that one would come twice."""
    with opened(url) as turns:
        first = await turns.take("a", interval_ms=10_000.0, slack_ms=0.0, latest_ms=FAR)
        second = await turns.take("a", interval_ms=10_000.0, slack_ms=0.0, latest_ms=FAR)
        await turns.leave("a", first, interval_ms=10_000.0)
        third = await turns.take("a", interval_ms=10_000.0, slack_ms=0.0, latest_ms=FAR)
        await turns.leave("a", third, interval_ms=10_000.0)
        again = await turns.take("a", interval_ms=10_000.0, slack_ms=0.0, latest_ms=FAR)

    assert third.moment_ms == second.moment_ms + 10_000
    assert again.moment_ms == third.moment_ms


async def test_another_interval_holds_at_once(url: str) -> None:
    """Ours: nobody waits for a turn by the interval of before."""
    with opened(url) as turns:
        first = await turns.take("a", interval_ms=HOUR_MS, slack_ms=0.0, latest_ms=FAR)
        second = await turns.take("a", interval_ms=100.0, slack_ms=0.0, latest_ms=FAR)

    assert second.moment_ms - first.moment_ms < 1_000


async def test_keys_know_nothing_of_each_other(url: str) -> None:
    """Ours: one account's calls do not slow another's."""
    with opened(url) as turns:
        for key in ("a", "b", "c"):
            turn = await turns.take(key, interval_ms=LONG_MS, slack_ms=0.0, latest_ms=1_000.0)
            assert turn.in_ms <= 0


async def test_a_clock_that_was_put_back_keeps_nobody_waiting(url: str) -> None:
    """Ours: a turn that is further off than any that is given is none."""
    with opened(url) as turns:
        await turns.take("a", interval_ms=100.0, slack_ms=0.0, latest_ms=FAR)
        execute(url, f"UPDATE shared_turns_1 SET last_ms = last_ms + {HOUR_MS}")
        turn = await turns.take("a", interval_ms=100.0, slack_ms=0.0, latest_ms=1_000.0)

    assert turn.in_ms <= 100


async def test_servers_that_start_at_once_make_one_table(url: str) -> None:
    """Ours: nobody has to make it, and nobody fails for another making it."""
    moments: list[float] = []

    async def take() -> None:
        with opened(url) as turns:
            moments.append((await turns.take("a", interval_ms=100.0, slack_ms=0.0, latest_ms=FAR)).moment_ms)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(take)

    moments.sort()
    assert all(after - before >= 99.9 for before, after in pairwise(moments))


async def test_a_connection_that_died_is_opened_again(url: str) -> None:
    """Ours: what an idle timeout or a restart ended is no outage."""
    with opened(url) as turns:
        before = await turns.take("a", interval_ms=100.0, slack_ms=0.0, latest_ms=FAR)
        execute(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND query LIKE '%shared_turns_1%'",
        )
        after = await turns.take("a", interval_ms=100.0, slack_ms=0.0, latest_ms=FAR)

    assert after.moment_ms > before.moment_ms


async def test_a_postgresql_that_cannot_be_reached_is_asked_again_after_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ours: nobody waits for it meanwhile, and the log says it once, without what is in its address."""
    clock = FakeClock()
    with opened("postgresql://u:hunter2@127.0.0.1:1/x", clock) as turns, caplog.at_level(logging.INFO):
        for _ in range(3):
            for _ in range(3):
                with pytest.raises(Away):
                    await turns.take("a", interval_ms=1.0, slack_ms=0.0, latest_ms=FAR)
            clock.now += REST_SECONDS

    (said,) = [record.getMessage() for record in caplog.records if record.name == "finexio_mcp.sharing"]
    assert "unreachable" in said
    assert "hunter2" not in caplog.text


async def test_an_outage_is_over_without_a_restart(postgres: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    """Ours: the table, which a crash empties, is there again, and so are turns; the log says it once."""
    clock = FakeClock()
    with opened(postgres.start(), clock) as turns, caplog.at_level(logging.INFO):
        await turns.take("a", interval_ms=LONG_MS, slack_ms=0.0, latest_ms=FAR)
        postgres.stop()
        with pytest.raises(Away):
            await turns.take("a", interval_ms=LONG_MS, slack_ms=0.0, latest_ms=FAR)
        postgres.start()
        clock.now += REST_SECONDS
        turn = await turns.take("a", interval_ms=LONG_MS, slack_ms=0.0, latest_ms=1_000.0)

    assert turn.in_ms <= 0
    assert [record.getMessage().split(" (")[0] for record in caplog.records if "count" in record.getMessage()] == [
        "requests to Finexio cannot be counted together with other servers",
        "requests to Finexio can be counted together with other servers again",
    ]


async def test_a_postgresql_that_says_nothing_holds_up_nobody_for_long(postgres: Postgres) -> None:
    """Ours: half a second, for those who have a connection and for those who need one."""
    clock, real = FakeClock(), Clock()
    with opened(postgres.start(), clock) as turns:
        await turns.take("a", interval_ms=1.0, slack_ms=0.0, latest_ms=FAR)
        postgres.freeze()
        try:
            for _ in range(4):
                begun = real.monotonic()
                with pytest.raises(Away):
                    await turns.take("a", interval_ms=1.0, slack_ms=0.0, latest_ms=FAR)
                assert real.monotonic() - begun < ANSWER_SECONDS + 1.5
                clock.now += REST_SECONDS
        finally:
            postgres.thaw()


def test_the_limit_loads_no_database_before_the_first_request() -> None:
    """Ours: a start pays for nothing that it does not use."""
    code = "import sys, finexio_mcp.sharing.rate, finexio_mcp.sharing.tries; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "False"


SERVER = """
import sys, time
import anyio
from finexio_mcp.clock import Clock
from finexio_mcp.errors import Overloaded
from finexio_mcp.settings import load
from finexio_mcp.sharing.rate import SharedRate
from finexio_mcp.sharing.database import REST_SECONDS
from finexio_mcp.sharing.turns import Turns

async def main():
    settings = load()
    turns, clock = Turns(settings), Clock()
    rate = SharedRate(turns, settings, clock)
    # What takes long is the start.
    await rate.wait(clock.monotonic() + 20)
    print("ready", flush=True)
    end = time.time() + float(sys.stdin.readline())

    async def call():
        while time.time() < end:
            try:
                await rate.wait(clock.monotonic() + 20)
            except Overloaded:
                return
            print(time.time(), flush=True)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)
    turns.close()

anyio.run(main)
"""


class Servers:
    """Processes that send as fast as they may."""

    def __init__(self, url: str, number: int, *, rate: float, burst: int) -> None:
        settings = {
            "FINEXIO_MCP_LEDGER_URL": url.replace("+psycopg", ""),
            "FINEXIO_MCP_STATE_KEY": "k" * 40,
            "FINEXIO_MCP_REPLICAS": str(number),
            "FINEXIO_MCP_RATE": str(rate),
            "FINEXIO_MCP_RATE_BURST": str(burst),
        }
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-c", SERVER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **settings},
                text=True,
            )
            for _ in range(number)
        ]

    def begin(self, seconds: float) -> None:
        """Let all go at once for so long, when all are ready."""
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()

    def end(self) -> list[float]:
        """When each request left."""
        told = [process.communicate(timeout=60)[0].split() for process in self._processes]
        assert all(process.returncode == 0 for process in self._processes)
        return sorted(float(moment) for each in told for moment in each)


def most_beyond(moments: list[float], rate: float) -> float:
    """How many more some stretch of time saw than the rate alone allows."""
    low, most = float("inf"), 0.0
    for number, moment in enumerate(moments):
        low = min(low, number - moment * rate)
        most = max(most, number - moment * rate - low + 1)
    return most


LATE = 4
"""Requests that a busy machine sends later than at their turn, and so nearer to the next."""


def test_three_processes_send_no_more_than_one_may(url: str) -> None:
    """Ours: and no less, when they have enough to send."""
    servers = Servers(url, 3, rate=5, burst=5)
    servers.begin(4)
    moments = servers.end()

    assert most_beyond(moments, 5) <= 5 + LATE
    assert len(moments) >= 20


def test_processes_keep_to_the_limit_while_postgresql_ends_and_comes_back(postgres: Postgres) -> None:
    """Ours: they go on by themselves meanwhile, each at its share, and together again after that."""
    servers = Servers(postgres.start(), 3, rate=5, burst=6)
    servers.begin(22)
    postgres.stop()
    stopped = Clock().wall()
    postgres.start()
    started = Clock().wall()
    moments = servers.end()

    assert most_beyond(moments, 5) <= 6 + LATE
    # Whoever has found it away asks no more for so long, even if it was back in no time.
    assert [moment for moment in moments if stopped < moment < started + REST_SECONDS]
    whole = [moment for moment in moments if moment > moments[-1] - 5]
    assert len(whole) >= 20
