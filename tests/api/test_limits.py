"""How fast we may ask, and how often again."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finexio_mcp.api.limits import RateLimit, RetryBudget
from finexio_mcp.clock import Clock
from finexio_mcp.errors import Overloaded
from tests.calls import FakeClock
from tests.sharing.servers import Timeline


async def test_no_rate_means_no_waiting() -> None:
    """Ours: 0 turns the limit off."""
    clock = FakeClock()
    limit = RateLimit(0, 1, clock)

    for _ in range(1000):
        await limit.wait(float("inf"))

    assert clock.slept == []


async def test_a_burst_may_go_at_once_right_after_a_start() -> None:
    """Ours: the first calls of a conversation do not wait."""
    clock = FakeClock()
    limit = RateLimit(5, 10, clock)

    for _ in range(10):
        await limit.wait(float("inf"))

    assert sum(clock.slept) < 1e-6


@given(
    per_second=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=80),
)
def test_no_stretch_of_time_sees_more_than_its_share(per_second: float, burst: int, pauses: list[float]) -> None:
    """Ours: whatever the pauses between calls, n seconds see at most burst + n times the rate."""
    clock = FakeClock()
    limit = RateLimit(per_second, burst, clock)
    moments: list[float] = []

    async def call() -> None:
        for pause in pauses:
            clock.now += pause
            await limit.wait(float("inf"))
            moments.append(clock.now)

    anyio.run(call)

    for first, start in enumerate(moments):
        for last in range(first, len(moments)):
            assert last - first + 1 <= burst + (moments[last] - start) * per_second + 1e-6


async def test_callers_are_served_in_turn() -> None:
    """Ours: those who wait together leave one by one, in the order they came."""

    class Together(Clock):
        """Time that all see standing still; a sleeper is told how long and goes on."""

        def __init__(self) -> None:
            self.slept: list[float] = []

        def monotonic(self) -> float:
            return 50.0

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)

    clock = Together()
    limit = RateLimit(2, 1, clock)
    for _ in range(4):
        await limit.wait(float("inf"))

    assert clock.slept == pytest.approx([0.5, 1.0, 1.5])


async def test_those_behind_somebody_who_leaves_move_up() -> None:
    """Ours: nobody waits for a turn that nobody uses, and no two get the same."""
    clock = Timeline()
    limit = RateLimit(1, 1, clock)
    sent: dict[int, float] = {}

    async def call(number: int) -> None:
        await limit.wait(clock.now + 50)
        sent[number] = clock.now - 1_000

    async def leave_at(seconds: float, scopes: Iterable[anyio.CancelScope]) -> None:
        await clock.sleep(seconds)
        for scope in scopes:
            scope.cancel()

    async def come(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            await call(number)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            scopes = {number: anyio.CancelScope() for number in (2, 3)}
            for number in range(6):
                tasks.start_soon(come, number, scopes.get(number) or anyio.CancelScope())
            tasks.start_soon(leave_at, 1.5, scopes.values())
            await clock.pass_by()

    assert sent == {0: 0, 1: 1, 4: 2, 5: 3}


async def test_who_comes_to_a_long_line_is_told_at_once() -> None:
    """Ours: those who wait count, and so does the turn of the first of them."""
    clock = Timeline()
    limit = RateLimit(1, 1, clock)
    told: list[float | None] = []

    async def call(patience: float) -> None:
        try:
            await limit.wait(clock.now + patience)
        except Overloaded as error:
            told.append(error.retry_after_seconds)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for patience in (50.0, 50.0, 50.0, 2.5, 3.5):
                tasks.start_soon(call, patience)
            await clock.pass_by()

    assert told == [3.0]


def test_the_budget_of_retries_is_spent_and_earned_back() -> None:
    """Ours: ten retries in hand; good calls pay for new ones, little by little."""
    budget = RetryBudget()

    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(9):
        budget.succeeded(0)
    assert not budget.spend()
    budget.succeeded(0)
    assert budget.spend()
    assert not budget.spend()


def test_a_call_that_got_through_gives_its_retries_back() -> None:
    """Ours: trouble that passes costs nothing in the end."""
    budget = RetryBudget()

    for _ in range(1000):
        assert all(budget.spend() for _ in range(3))
        budget.succeeded(3)


def test_the_budget_never_grows_beyond_its_size() -> None:
    """Ours: a quiet year does not pay for a storm."""
    budget = RetryBudget()
    for _ in range(10_000):
        budget.succeeded(0)

    assert sum(budget.spend() for _ in range(100)) == 10


async def test_a_turn_that_would_come_too_late_is_not_taken() -> None:
    """Ours: calls that will never be sent keep nobody waiting."""
    clock = FakeClock()
    limit = RateLimit(1, 1, clock)
    await limit.wait(clock.now + 20)

    for _ in range(100):
        with pytest.raises(Overloaded) as caught:
            await limit.wait(clock.now + 0.5)
        assert caught.value.retry_after_seconds == 1.0

    clock.now += 1
    await limit.wait(clock.now + 0.5)


async def test_whoever_leaves_gives_the_turn_back() -> None:
    """Ours: cancelled calls leave no debt behind."""

    class Leaving(FakeClock):
        async def sleep(self, seconds: float) -> None:
            raise TimeoutError

    clock = Leaving()
    limit = RateLimit(1, 1, clock)
    await limit.wait(clock.now + 1_000)
    for _ in range(400):
        with pytest.raises(TimeoutError):
            await limit.wait(clock.now + 1_000)

    clock.now += 1
    await limit.wait(clock.now + 0.5)
