"""Searching lists that stand still, move and lie: a search that says it is complete has missed nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp.paging import Page
from finexio_mcp.scan import MAX_PASSES, Reach, moment, search
from tests.readback_world import NOW, MovingList, Row, ago, at, booked, others

SINCE = NOW - timedelta(hours=26)

Order = Literal["newest_first", "oldest_first", "by_id", "changed_first", "changed_last"]
BY_DATE: tuple[Order, ...] = ("newest_first", "oldest_first", "changed_first", "changed_last")
ORDERS: tuple[Order, ...] = (*BY_DATE, "by_id")


async def scan(list_: MovingList, since: datetime | None = SINCE) -> tuple[Reach, set[str]]:
    """How far a search got, and the ids that it met."""
    met: set[str] = set()

    def see(rows: Sequence[Any]) -> None:
        met.update(row["id"] for row in rows)

    return await search(list_.fetch, see, since=since), met


# --- Lists that stand still


async def test_a_list_of_one_page_is_read_once() -> None:
    """Ours: most accounts are asked for nothing more."""
    list_ = MovingList(others(100))

    assert await scan(list_) == ("complete", {row["id"] for row in list_.rows})
    assert list_.asked == [1]


async def test_an_empty_list_is_complete() -> None:
    """Ours: a first invoice can be in doubt too."""
    assert await scan(MovingList([])) == ("complete", set())


@pytest.mark.parametrize("newest_first", [True, False])
async def test_of_twenty_thousand_invoices_only_the_newest_are_read(newest_first: bool) -> None:
    """Ours: the ends and the middle tell the order, then the newest page holds all that matters."""
    rows = others(20_000)
    list_ = MovingList(rows if newest_first else rows[::-1])

    reach, met = await scan(list_)

    assert reach == "complete"
    assert {row["id"] for row in rows[:26]} <= met
    assert list_.asked == [1, 100, 200]


@pytest.mark.parametrize(
    ("newest_first", "asked"),
    [
        (True, [1, 100, 200, 2, 3, 4, 1, 2, 3]),
        (False, [1, 100, 200, 199, 198, 197, 1, 200, 199, 198]),
    ],
)
async def test_what_matters_on_several_pages_is_read_twice(newest_first: bool, asked: list[int]) -> None:
    """Ours: only who meets the same rows again knows that none slipped by."""
    rows = others(20_000, minutes=5)
    list_ = MovingList(rows if newest_first else rows[::-1])

    reach, met = await scan(list_)

    assert reach == "complete"
    assert {row["id"] for row in rows[:311]} <= met
    assert list_.asked == asked


async def test_a_list_in_no_order_is_read_whole_and_twice() -> None:
    """Ours: the newest may stand anywhere in it."""
    rows = others(450)
    random.Random(1).shuffle(rows)
    list_ = MovingList(rows)

    assert await scan(list_) == ("complete", {row["id"] for row in rows})
    assert list_.asked == [1, 3, 5, 2, 3, 4, 5, 1, 2, 3, 4]


async def test_a_list_that_turns_out_to_be_in_no_order_is_read_whole() -> None:
    """Ours: what page 1 and the last one promise is checked on the way."""
    rows = others(1_000, minutes=5)
    rows[150], rows[160] = rows[160], rows[150]
    list_ = MovingList(rows)

    assert await scan(list_) == ("complete", {row["id"] for row in rows})


async def test_a_list_by_supplier_is_not_taken_for_one_by_age() -> None:
    """Ours: its first and last page alone look as if the newest came first."""
    first, second, third = others(150), others(150), others(210)
    rows = [
        {**row, "id": f"{name}-{row['id']}"}
        for name, part in (("a", first), ("b", second), ("c", third))
        for row in part
    ]
    assert rows[150]["created"] > rows[149]["created"]
    list_ = MovingList(rows)

    reach, met = await scan(list_)

    assert (reach, "b-other-0" in met, "c-other-0" in met) == ("complete", True, True)


async def test_a_list_by_last_change_is_not_taken_for_one_by_age() -> None:
    """Ours: a batch job that has just touched old invoices pushes a new one off the first page."""
    touched = [{**row, "updated": ago(minutes=1)} for row in others(250)]
    for at_, row in enumerate(touched):
        row["created"], row["updated"] = ago(days=10, minutes=at_), ago(minutes=1, seconds=at_ * 0.1)
    new = booked("new", created=ago(minutes=30))
    rest = [booked(f"old-{at_}", created=ago(days=20, minutes=at_)) for at_ in range(500)]
    list_ = MovingList([*touched, new, *rest])

    reach, met = await scan(list_)

    assert (reach, "new" in met) == ("complete", True)


async def test_a_list_by_last_change_that_looks_like_one_by_age_backwards_is_read_whole() -> None:
    """Ours: two dates that order it in opposite ways leave open which of them does."""
    rows = [
        booked(f"old-{at_}", created=ago(days=3, minutes=at_), updated=ago(minutes=500 - at_)) for at_ in range(450)
    ]
    rows.insert(350, booked("new", created=ago(minutes=151), updated=ago(minutes=150.5)))
    list_ = MovingList(rows)

    reach, met = await scan(list_)

    assert (reach, "new" in met) == ("complete", True)


async def test_a_page_that_is_newer_than_the_one_before_it_gives_another_order_away() -> None:
    """Ours: then a new invoice may stand where nobody would have read."""
    rows = others(1_000, minutes=5)
    rows[100:200] = [booked(f"newer-{at_}", created=ago(minutes=1, seconds=at_ * 0.1)) for at_ in range(100)]
    rows[600:700] = [booked(f"new-{at_}", created=ago(minutes=1, seconds=at_ * 0.1)) for at_ in range(100)]
    list_ = MovingList(rows)

    reach, met = await scan(list_)

    assert (reach, "new-0" in met) == ("complete", True)


async def test_rows_that_move_on_while_the_order_is_learnt_do_not_hide_it() -> None:
    """Ours: what stands on both pages is counted once."""

    def come(rows: list[Row]) -> None:
        rows[:0] = [booked("came-2", created=at(NOW)), booked("came-1", created=at(NOW))]

    list_ = MovingList(others(150), steps=[nothing, come])

    assert (await scan(list_))[0] == "complete"
    assert list_.asked == [1, 2]


async def test_a_row_without_a_readable_age_makes_a_list_one_to_be_read_whole() -> None:
    """Ours: what cannot be placed proves no order."""
    rows = others(300)
    rows[7]["created"] = None
    list_ = MovingList(rows)

    assert (await scan(list_))[0] == "complete"
    assert set(list_.asked) == {1, 2, 3}


async def test_201_pages_in_no_order_are_too_many() -> None:
    """Ours: a person has to look, and is told so at once."""
    rows = others(20_001)
    random.Random(1).shuffle(rows)
    list_ = MovingList(rows)

    assert (await scan(list_))[0] == "too_long"
    assert len(list_.asked) == 3


async def test_201_pages_of_new_invoices_are_too_many() -> None:
    """Ours: also in a list by age."""
    assert (await scan(MovingList(others(20_050, minutes=0.01))))[0] == "too_long"


async def test_200_pages_in_no_order_are_read() -> None:
    """Ours: the longest list that is."""
    rows = others(20_000)
    random.Random(1).shuffle(rows)

    assert (await scan(MovingList(rows)))[0] == "complete"


# --- Lists without counts and links


@pytest.mark.parametrize("linked", [True, False])
async def test_a_list_without_a_count_is_read_to_its_end(linked: bool) -> None:
    """Ours: `next: null` ends it, or a page that is not full."""
    list_ = MovingList(others(250), counted=False, linked=linked)

    assert await scan(list_) == ("complete", {row["id"] for row in list_.rows})
    assert list_.asked == [1, 2, 3, 1, 2]


async def test_a_list_of_full_pages_that_does_not_say_where_it_ends_is_never_complete() -> None:
    """Ours: the 404 after the last page may mean that the list got shorter."""
    assert (await scan(MovingList(others(200), counted=False, linked=False)))[0] == "incomplete"


async def test_a_server_that_ignores_the_page_is_seen_through() -> None:
    """Ours: the same page under every number proves nothing, and is not asked for 200 times."""
    asked: list[int] = []

    async def fetch(number: int) -> Page:
        asked.append(number)
        return Page(list(others(100)))

    assert await search(fetch, lambda _rows: None, since=SINCE) == "incomplete"
    assert len(asked) == 2 * MAX_PASSES


@pytest.mark.parametrize(
    ("count", "found", "last"),
    [(250, 90, False), (50, 100, False), (100, 100, False), (150, 100, True), (0, 3, True), (7, 0, True)],
)
async def test_a_page_that_contradicts_itself_proves_nothing(count: int, found: int, last: bool) -> None:
    """Ours: a count that lies must not hide rows."""

    async def fetch(_number: int) -> Page:
        return Page(list(others(found)), count, last)

    assert await search(fetch, lambda _rows: None, since=SINCE) == "incomplete"


async def test_counts_that_differ_from_page_to_page_prove_nothing() -> None:
    """Ours: pages of two different lists do not add up to one."""
    list_ = MovingList(others(450, minutes=1))

    async def fetch(number: int) -> Page:
        page = await list_.fetch(number)
        wrong = 450 + len(list_.asked) % 2 if number < 5 else 450
        return Page(page.rows, wrong, page.last)

    assert await search(fetch, lambda _rows: None, since=SINCE) == "incomplete"


# --- Lists that move


def lose_the_oldest(rows: list[Row]) -> None:
    rows.pop(0)


def nothing(_rows: list[Row]) -> None:
    pass


async def test_a_row_that_slips_from_a_page_unread_to_one_that_was_read_is_met_again() -> None:
    """Ours: as many came as went, so the count says nothing."""
    rows = others(450)
    random.Random(1).shuffle(rows)
    slips = rows[100]

    def swap(found: list[Row]) -> None:
        found.pop(0)
        found.append(booked("came"))

    # Page 1, the middle and the last page are read; then the first row leaves and another comes.
    list_ = MovingList(rows, steps=[nothing, nothing, nothing, swap])

    reach, met = await scan(list_)

    assert (reach, slips["id"] in met) == ("complete", True)


async def test_an_end_that_moved_away_is_looked_for_again() -> None:
    """Ours: a 404 after the first page means that the list got shorter, no more."""
    rows = others(201)[::-1]
    list_ = MovingList(rows, steps=[nothing, nothing, lose_the_oldest])

    reach, met = await scan(list_)

    assert (reach, met >= {row["id"] for row in rows[-26:]}) == ("complete", True)


async def test_a_list_that_never_stands_still_is_not_complete() -> None:
    """Ours: it is read four times, and then left to the next look."""
    came = 0

    def come(rows: list[Row]) -> None:
        nonlocal came
        came += 1
        rows.insert(0, booked(f"came-{came}", created=at(NOW + timedelta(seconds=came))))

    list_ = MovingList(others(450, minutes=1), steps=[come] * 1_000)

    assert (await scan(list_))[0] == "incomplete"
    assert len(list_.asked) < 40


async def test_a_list_that_changed_once_is_searched_anew() -> None:
    """Ours: as soon as it stands still again."""

    def come(rows: list[Row]) -> None:
        rows.insert(0, booked("came", created=at(NOW)))

    list_ = MovingList(others(450, minutes=1), steps=[*[nothing] * 4, come])

    reach, met = await scan(list_)

    assert (reach, met) == ("complete", {row["id"] for row in list_.rows})


async def test_a_newest_page_is_complete_however_fast_the_list_grows() -> None:
    """Ours: one page that holds all that matters is a proof by itself."""
    came = 0

    def come(rows: list[Row]) -> None:
        nonlocal came
        came += 1
        rows.insert(0, booked(f"came-{came}", created=at(NOW + timedelta(seconds=came))))

    list_ = MovingList(others(450), steps=[come] * 1_000)

    assert (await scan(list_))[0] == "complete"


async def test_who_has_met_enough_reads_no_further_pass() -> None:
    """Ours: absence is not looked for where everything was found."""
    list_ = MovingList(others(450, minutes=1))

    async def enough() -> bool:
        return True

    assert await search(list_.fetch, lambda _rows: None, since=SINCE, enough=enough) == "incomplete"
    assert list_.asked == [1, 3, 5, 2, 3, 4, 5]


async def test_another_failure_ends_the_search() -> None:
    """Ours: whoever asked decides what it means."""

    async def fetch(_number: int) -> Page:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await search(fetch, lambda _rows: None, since=SINCE)


# --- Any list, moved in any way


def key(order: Order) -> Callable[[Row], Any]:
    field = "id" if order == "by_id" else "updated" if order.startswith("changed") else "created"
    return lambda row: row[field]


class World:
    """A list in one order that grows, shrinks and is changed between two pages."""

    def __init__(self, order: Order, size: int, count: int, spread: float, chance: random.Random) -> None:
        self.order: Order = order
        self.chance, self.spread = chance, spread
        self.made = 0
        self.now = NOW
        rows = [self.make() for _ in range(count)]
        self.wanted = chance.choice(rows)
        self.wanted["created"] = ago(minutes=chance.uniform(0, 60))
        self.wanted["updated"] = max(self.wanted["updated"], self.wanted["created"])
        self.list = MovingList(rows, size)
        self.sort()

    def make(self) -> Row:
        """A row of some age, often of the same age as others."""
        self.made += 1
        created = NOW - timedelta(hours=round(self.chance.uniform(0, self.spread), 1))
        updated = created if self.chance.random() < 0.5 else created + self.chance.random() * (NOW - created)
        return booked(f"{self.chance.random():.12f}-{self.made}", created=at(created), updated=at(updated))

    def sort(self) -> None:
        rows = self.list.rows
        rows.sort(key=lambda row: row["id"])
        rows.sort(key=key(self.order), reverse=self.order in {"newest_first", "changed_first"})

    def happen(self, what: str) -> None:
        self.now += timedelta(seconds=1)
        rows = self.list.rows
        gone = [row for row in rows if row is not self.wanted]
        if what in {"come", "swap"}:
            rows.append(
                self.make() | ({"created": at(self.now), "updated": at(self.now)} if self.chance.random() < 0.5 else {})
            )
        if what in {"go", "swap"} and gone:
            rows.remove(self.chance.choice(gone))
        if what == "touch" and self.order.startswith("changed"):
            self.chance.choice(rows)["updated"] = at(self.now)
        self.sort()


HAPPENINGS = st.lists(st.lists(st.sampled_from(["come", "go", "swap", "touch"]), max_size=4), max_size=40)


async def check(world: World, happenings: list[list[str]], since: datetime | None) -> Reach:
    def step(whats: list[str]) -> Callable[[list[Row]], None]:
        def happen(_rows: list[Row]) -> None:
            for what in whats:
                world.happen(what)

        return happen

    world.list.steps = [step(whats) for whats in happenings]

    reach, met = await scan(world.list, since)

    assert reach != "complete" or world.wanted["id"] in met
    return reach


@settings(max_examples=400, deadline=None)
@given(
    order=st.sampled_from(BY_DATE),
    size=st.integers(2, 5),
    count=st.integers(1, 25),
    spread=st.sampled_from([20.0, 60.0, 300.0]),
    happenings=HAPPENINGS,
    seed=st.integers(0, 2**32),
)
async def test_a_complete_search_of_a_list_in_order_has_met_what_was_there(
    order: Order, size: int, count: int, spread: float, happenings: list[list[str]], seed: int
) -> None:
    """Ours: whatever comes, goes and changes between two pages, a new invoice that stays is not missed."""
    await check(World(order, size, count, spread, random.Random(seed)), happenings, SINCE)


@settings(max_examples=400, deadline=None)
@given(
    order=st.sampled_from(ORDERS),
    size=st.integers(1, 5),
    count=st.integers(1, 25),
    happenings=HAPPENINGS,
    seed=st.integers(0, 2**32),
)
async def test_a_complete_search_of_a_whole_list_has_met_what_was_there(
    order: Order, size: int, count: int, happenings: list[list[str]], seed: int
) -> None:
    """Ours: the order of a list that is read whole does not matter."""
    await check(World(order, size, count, 100.0, random.Random(seed)), happenings, None)


@settings(max_examples=60, deadline=None)
@given(
    order=st.sampled_from(ORDERS),
    count=st.integers(90, 420),
    spread=st.sampled_from([20.0, 60.0, 2_000.0]),
    happenings=HAPPENINGS,
    seed=st.integers(0, 2**32),
)
async def test_a_complete_search_of_pages_of_a_hundred_has_met_what_was_there(
    order: Order, count: int, spread: float, happenings: list[list[str]], seed: int
) -> None:
    """Ours: in Finexio's own page size no list in another order passes for one by age."""
    await check(World(order, 100, count, spread, random.Random(seed)), happenings, SINCE)


@settings(max_examples=60, deadline=None)
@given(
    order=st.sampled_from(ORDERS),
    count=st.integers(1, 420),
    spread=st.sampled_from([20.0, 60.0, 2_000.0]),
    seed=st.integers(0, 2**32),
)
async def test_a_list_that_stands_still_is_searched_completely(
    order: Order, count: int, spread: float, seed: int
) -> None:
    """Ours: caution must not keep a verdict away for ever."""
    assert await check(World(order, 100, count, spread, random.Random(seed)), [], SINCE) == "complete"


# --- Moments


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2026-03-02T12:00:00.000000", 0),
        ("2026-03-02T12:00", 0),
        ("2026-03-02 12:00:00", 0),
        ("2026-03-02T12:00:00Z", 0),
        ("2026-03-02T12:00:00+02:00", -2),
        ("2026-03-02T12:00:00.5-05:00", 5),
    ],
)
def test_a_moment_is_read_with_and_without_a_zone(text: str, hours: int) -> None:
    """Documented: none is written; ours: one that is there is understood."""
    found = moment(text)

    assert found is not None
    assert found.replace(microsecond=0) == NOW + timedelta(hours=hours)


@pytest.mark.parametrize("value", [None, "", "today", 1_772_452_800, "2026-03-02", "2026-02-30T00:00:00", True, ["x"]])
def test_what_is_no_moment_is_none(value: Any) -> None:
    """Ours: a day alone is none either, it may be a day off."""
    assert moment(value) is None
