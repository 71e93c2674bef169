"""The queue of entries: bounded, in order, and honest about what found no room."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp.audit.entries import Entry, of_call
from finexio_mcp.audit.masked import Masked
from finexio_mcp.audit.waiting import Item, Waiting
from finexio_mcp.settings import Access
from tests.audit.conftest import START_MS, call

MASKED = Masked()


def entry(number: int, access: Access = "read", account: str = "default") -> Entry:
    return of_call(call(access=access, account=account, at_ms=START_MS + number, request_id=str(number)), MASKED)


def numbers(items: list[Item]) -> list[int]:
    return [int(item.entry.request_id) for item in items if item.entry.kind == "call"]


def test_the_oldest_reads_go_first() -> None:
    """Ours: what may have changed something stays as long as there is anything else."""
    waiting = Waiting(4)
    for number in range(6):
        waiting.add(Item(entry(number, "pay" if number in (0, 3) else "read")))

    taken = waiting.take(10, at_ms=START_MS)
    assert numbers(taken) == [0, 3, 4, 5]
    assert waiting.lost == 2
    assert len(waiting) == 0


def test_writes_go_when_nothing_else_is_left() -> None:
    """Ours: memory is bounded, whatever comes."""
    waiting = Waiting(4)
    for number in range(6):
        waiting.add(Item(entry(number, "write")))

    taken = waiting.take(10, at_ms=START_MS)
    assert numbers(taken) == [2, 3, 4, 5]
    assert '"reads":0,"writes":2' in taken[0].entry.arguments


def test_what_takes_much_room_goes_sooner() -> None:
    """Ours: ten thousand long batches would fill the memory."""
    waiting = Waiting(1000, most_chars=entry(0).chars * 10)
    for number in range(100):
        waiting.add(Item(entry(number)))

    assert len(waiting) <= 11


def test_one_entry_tells_of_all_that_is_lost_while_nothing_can_be_written() -> None:
    """Ours: however often it is tried. What may have been written already stays as it was, or it would count twice."""
    waiting = Waiting(4)
    for number in range(20):
        waiting.add(Item(entry(number)))
        waiting.put_back(waiting.take(2, at_ms=START_MS), tried=False)
    waiting.put_back(waiting.take(2, at_ms=START_MS), tried=True)
    for number in range(20, 30):
        waiting.add(Item(entry(number)))

    gaps = [item.gap for item in waiting.take(50, at_ms=START_MS) if item.gap is not None]
    assert len(gaps) == 2
    assert sum(gap.count for gap in gaps) == waiting.lost


def test_what_tells_of_lost_ones_does_not_part_what_was_tried_together() -> None:
    """Ours: it may have been written already, and whether it was is asked for all of it at once."""
    waiting = Waiting(6)
    for number in range(4):
        waiting.add(Item(entry(number, "pay")))
    tried = waiting.take(4, at_ms=START_MS)
    for number in range(4, 11):
        waiting.add(Item(entry(number)))
    waiting.put_back(tried, tried=True)

    taken = waiting.take(4, at_ms=START_MS)
    assert taken[0].gap is not None
    assert numbers(taken) == [0, 1, 2, 3]


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sampled_from(["read", "write", "pay"]), st.sampled_from(["acme", "beta"])),
            st.tuples(st.just("take"), st.integers(1, 5), st.booleans()),
            st.tuples(st.just("fail"), st.integers(1, 5), st.booleans()),
        ),
        max_size=80,
    )
)
@settings(deadline=None, max_examples=150)
def test_every_entry_is_written_or_counted_exactly_once(steps: list[tuple[str, object, object]]) -> None:
    """Ours: whatever fails when, in the order of each account, and never more in memory than was agreed."""
    waiting = Waiting(6)
    added = {"acme": 0, "beta": 0}
    written: dict[str, list[int]] = {"acme": [], "beta": []}
    told = {"acme": 0, "beta": 0}

    def write(items: list[Item]) -> None:
        for item in items:
            if item.gap is not None:
                told[item.entry.account] += item.gap.count
            else:
                written[item.entry.account].append(int(item.entry.request_id))

    for number, (step, first, second) in enumerate(steps):
        if step == "add":
            assert isinstance(second, str)
            waiting.add(Item(entry(number, first, second)))  # type: ignore[arg-type]
            added[second] += 1
        else:
            assert isinstance(first, int)
            taken = waiting.take(first, at_ms=START_MS)
            if step == "take":
                write(taken)
            else:
                waiting.put_back(taken, tried=bool(second))
    while len(waiting):
        write(waiting.take(3, at_ms=START_MS))

    for account, count in added.items():
        assert written[account] == sorted(set(written[account]))
        assert len(written[account]) + told[account] == count
    assert waiting.lost == sum(told.values())
