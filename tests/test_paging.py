"""Paging: every row once, in lists that stand still, move, and lie about their length."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp.cursor import PAGE_SIZE, Place, decode, encode
from finexio_mcp.paging import (
    LOST,
    MOVED,
    REORDERED,
    SHORT,
    Page,
    PageGone,
    Slice,
    entry_key,
    read,
    read_array,
    row_key,
)

Row: TypeAlias = dict[str, Any]


def rows(*numbers: int) -> list[Row]:
    return [{"id": f"row-{number}"} for number in numbers]


def ids(found: Sequence[Row]) -> list[int]:
    return [int(row["id"].removeprefix("row-")) for row in found]


@dataclass
class Upstream:
    """A list at Finexio, in pages of 100; `before_fetch` may change it while a call is under way."""

    rows: list[Row]
    fetched: list[int] = field(default_factory=list[int])
    before_fetch: Callable[[], None] = lambda: None

    async def fetch(self, number: int) -> Page:
        self.before_fetch()
        self.fetched.append(number)
        page = self.rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
        if not page and number > 1:
            raise PageGone
        return Page(page, len(self.rows), number * PAGE_SIZE >= len(self.rows))

    async def read(self, place: Place | None, limit: int = 100, *, moving: bool = False) -> Slice:
        self.fetched.clear()
        return await read(self.fetch, place or Place(), limit, moving=moving)

    async def read_first(self, served: int, limit: int = 100) -> Place:
        """The place after the first `served` rows."""
        place: Place | None = Place()
        while served:
            assert place is not None
            found = await self.read(place, min(limit, served))
            served -= len(found.rows)
            place = found.next_place(len(found.rows))
        assert place is not None
        return place


def upstream(count: int) -> Upstream:
    return Upstream(rows(*range(count)))


# --- A list that stands still


async def test_a_walk_over_a_long_list_asks_for_each_page_once() -> None:
    """Ours: 20,000 rows cost 200 requests."""
    list_, place, served, fetches = upstream(20_000), Place(), list[Row](), 0

    while place is not None:
        found = await list_.read(place)
        served += found.rows
        fetches += len(list_.fetched)
        assert found.notices == ()
        place = found.next_place(len(found.rows))

    assert served == list_.rows
    assert fetches == 200


@pytest.mark.parametrize("moving", [False, True])
async def test_inside_a_page_nothing_is_asked_for_twice(moving: bool) -> None:
    """Ours: one upstream page a call when nothing moved."""
    list_ = upstream(250)

    found = await list_.read(await list_.read_first(130), 20, moving=moving)

    assert (ids(found.rows), list_.fetched, found.notices) == (list(range(130, 150)), [2], ())


async def test_a_slice_stops_at_the_end_of_an_upstream_page() -> None:
    """Ours: fewer rows than the limit, rather than a second request."""
    list_ = upstream(250)

    found = await list_.read(await list_.read_first(90), 50)
    following = found.next_place(len(found.rows))

    assert (ids(found.rows), list_.fetched) == (list(range(90, 100)), [1])
    assert following is not None
    assert (following.page, following.offset, following.count, len(following.last_ids)) == (2, 0, 250, 3)


async def test_reading_goes_on_after_the_rows_that_were_really_served() -> None:
    """Ours: an answer cut to its character budget loses no rows."""
    list_ = upstream(120)
    found = await list_.read(None)

    places = [found.next_place(served) for served in (0, 7, 100)]

    assert [ids((await list_.read(place)).rows)[0] for place in places] == [0, 7, 100]


async def test_more_rows_than_there_are_cannot_have_been_served() -> None:
    """Ours: a slip of the caller does not become a gap."""
    with pytest.raises(ValueError, match="does not have that many"):
        (await upstream(3).read(None)).next_place(4)


@pytest.mark.parametrize("count", [0, 1, 100, 200])
async def test_the_last_page_has_no_next_place(count: int) -> None:
    """Ours: a full last page is not followed by an empty one."""
    list_ = upstream(count)

    found = await list_.read(await list_.read_first(max(0, count - 50)))

    assert (found.next_place(len(found.rows)), found.total_count, found.notices) == (None, count, ())


@pytest.mark.parametrize("answer", [PageGone(), Page([]), Page([], 0, True)])
async def test_an_empty_first_page_is_an_empty_list(answer: Page | PageGone) -> None:
    """Ours: no rows is an answer, not an error."""

    async def fetch(number: int) -> Page:
        if isinstance(answer, PageGone):
            raise answer
        return answer

    found = await read(fetch, Place(), 100, moving=True)

    assert (found.rows, found.next_place(0), found.previous_place(100), found.notices) == ([], None, None, ())


async def test_the_way_back_covers_every_row() -> None:
    """Ours: prev_cursor starts the previous page, and is null on the first."""
    list_ = upstream(250)
    found = await list_.read(await list_.read_first(230), 30)
    seen: list[int] = []

    while place := found.previous_place(30):
        assert place.last_ids == ()
        found = await list_.read(place, 30)
        seen += ids(found.rows)

    assert set(seen) >= set(range(230))
    assert found.start == (1, 0)


# --- A list that moves


async def test_rows_added_in_front_come_neither_twice_nor_in_the_way() -> None:
    """Ours: a newest-first list grows at its head; the rows served already show where reading left off."""
    list_ = upstream(250)
    place = await list_.read_first(100)
    list_.rows[:0] = rows(901, 902)

    found = await list_.read(place)

    assert (ids(found.rows)[0], list_.fetched) == (100, [2])
    assert found.notices == ("The list changed while it was read: it had 250 rows and has 252 now.",)


async def test_rows_added_at_the_end_cost_one_look_at_the_page_before() -> None:
    """Ours: an oldest-first list grows at its tail."""
    list_ = upstream(250)
    place = await list_.read_first(100)
    list_.rows += rows(901)

    found = await list_.read(place)

    assert (ids(found.rows)[0], list_.fetched, len(found.notices)) == (100, [2, 1], 1)


@pytest.mark.parametrize("grown", [100, 250, 500, 1_000])
async def test_a_batch_added_in_front_is_stepped_over(grown: int) -> None:
    """Ours: beyond the two pages either way the count says where to look."""
    list_ = upstream(450)
    place = await list_.read_first(130)
    list_.rows[:0] = rows(*range(9_000, 9_000 + grown))

    found = await list_.read(place)

    assert ids(found.rows)[0] == 130
    assert LOST not in found.notices
    assert len(list_.fetched) <= 7


async def test_a_batch_added_in_front_is_stepped_over_when_rows_came_behind_it_too() -> None:
    """Ours: the count alone points too far, by less than a page."""
    list_ = upstream(450)
    place = await list_.read_first(130)
    list_.rows = [*rows(*range(9_000, 9_500)), *list_.rows, *rows(*range(9_500, 9_580))]

    found = await list_.read(place)

    assert ids(found.rows)[0] == 130
    assert LOST not in found.notices


async def test_rows_gone_from_the_front_skip_nothing_when_rows_behind_went_too() -> None:
    """Ours: the count alone points too far back, by less than a page."""
    list_ = upstream(1_000)
    place = await list_.read_first(830)
    list_.rows = list_.rows[300:920]

    found = await list_.read(place)

    assert ids(found.rows)[0] == 830
    assert LOST not in found.notices


@pytest.mark.parametrize("shift", [-229, -220, -101, -100, 100, 101, 220, 269])
async def test_a_balanced_change_is_followed_over_two_pages(shift: int) -> None:
    """Ours: the count says nothing, so the pages around the place are looked at."""
    list_ = upstream(1_000)
    place = await list_.read_first(430)
    fresh = rows(*range(9_000, 9_000 + abs(shift)))
    list_.rows = [*fresh, *list_.rows[:-shift]] if shift > 0 else [*list_.rows[-shift:], *fresh]

    found = await list_.read(place, moving=True)

    assert (ids(found.rows)[0], found.notices) == (430, (MOVED,))


@pytest.mark.parametrize("gone", [1, 60, 100, 250, 700])
async def test_rows_gone_from_the_front_skip_nothing(gone: int) -> None:
    """Ours: a list of pending payments loses those that settled."""
    list_ = upstream(1_000)
    place = await list_.read_first(800)
    del list_.rows[:gone]

    found = await list_.read(place, moving=True)

    assert ids(found.rows)[0] == 800
    assert LOST not in found.notices


async def test_a_place_past_the_new_end_is_looked_for_further_back() -> None:
    """Documented: a page past the end is a 404; to the reader it only means that the end moved."""
    list_ = upstream(150)
    place = await list_.read_first(100)
    del list_.rows[:60]

    found = await list_.read(place)

    assert ids(found.rows) == list(range(100, 150))
    assert found.next_place(50) is None


async def test_a_place_at_the_new_end_ends_the_walk() -> None:
    """Ours: the rows not served yet are gone, so there is nothing left and nothing to doubt."""
    list_ = upstream(150)
    place = await list_.read_first(100)
    del list_.rows[100:]

    found = await list_.read(place)

    assert (found.rows, found.next_place(0), len(found.notices)) == ([], None, 1)
    assert found.notices[0].endswith("it had 150 rows and has 100 now.")


@pytest.mark.parametrize("missing", [(129,), (128, 129), (127, 129), (127, 128)])
async def test_any_of_the_three_rows_served_last_is_enough(missing: tuple[int, ...]) -> None:
    """Ours: the rows remembered may be among those that went; they are three however few are served at a time."""
    list_ = upstream(250)
    place = await list_.read_first(130, 1)
    list_.rows = [row for row in list_.rows if ids([row])[0] not in (3, *missing)]

    found = await list_.read(place, moving=True)

    assert ids(found.rows)[0] == 130
    assert LOST not in found.notices


async def test_the_latest_row_is_looked_for_where_others_pushed_it() -> None:
    """Ours: rows that came in between the rows remembered do not bring one of them twice."""
    list_ = upstream(250)
    place = await list_.read_first(100)
    list_.rows[99:99] = rows(901, 902)

    found = await list_.read(Place(1, 99, place.last_ids, 250), moving=True)

    assert ids(found.rows)[0] == 100


@pytest.mark.parametrize("place", [(2, 0), (2, 30)])
async def test_a_balanced_change_of_a_filtered_list_is_seen(place: tuple[int, int]) -> None:
    """Ours: one payment left the list and one joined it, so the count says nothing."""
    list_ = upstream(250)
    before = await list_.read_first((place[0] - 1) * 100 + place[1])
    list_.rows = [*list_.rows[1:], *rows(901)]

    found = await list_.read(before, moving=True)

    assert ids(found.rows)[0] == (place[0] - 1) * 100 + place[1]
    assert found.notices == (MOVED,)


async def test_a_balanced_change_is_seen_inside_a_page_of_any_list() -> None:
    """Ours: the row served last must stand right before the place, which costs nothing to see."""
    list_ = upstream(250)
    place = await list_.read_first(130)
    list_.rows = [*list_.rows[1:], *rows(901)]

    found = await list_.read(place)

    assert (ids(found.rows)[0], list_.fetched) == (130, [2])


async def test_a_served_row_on_the_next_page_is_seen_in_any_list() -> None:
    """Ours: one row came in front while another went from the end."""
    list_ = upstream(250)
    place = await list_.read_first(100)
    list_.rows = [*rows(901), *list_.rows[:-1]]

    found = await list_.read(place)

    assert (ids(found.rows)[0], list_.fetched, found.notices) == (100, [2], (MOVED,))


async def test_a_row_that_slid_back_over_a_page_start_is_missed() -> None:
    """Known gap: in a list not said to be moving, a delete before the place and an insert after it cancel out.

    Nothing on the page shows it, and reading the page before each time would double every walk.
    """
    list_ = upstream(250)
    place = await list_.read_first(100)
    list_.rows = [*list_.rows[1:], *rows(901)]

    found = await list_.read(place)

    assert (ids(found.rows)[0], found.notices) == (101, ())


async def test_a_place_that_is_lost_is_said_to_be() -> None:
    """Ours: all that was served left the list; reading goes on as far back as the list got shorter."""
    list_ = upstream(250)
    place = await list_.read_first(100)
    del list_.rows[:100]

    found = await list_.read(place, moving=True)

    assert found.notices[-1] == LOST
    assert ids(found.rows) == list(range(100, 200))


@pytest.mark.parametrize("grown", [0, 50])
async def test_a_place_that_is_lost_in_a_list_no_shorter_stays_where_it_was(grown: int) -> None:
    """Ours: without a clue the page and offset are kept, with a warning."""
    list_ = upstream(250)
    place = await list_.read_first(130)
    list_.rows[100:200] = rows(*range(900, 1_000 + grown))

    found = await list_.read(place)

    assert (ids(found.rows)[0], found.notices[-1]) == (930, LOST)


@pytest.mark.parametrize(
    ("order", "after"),
    [
        ([*range(120), 129, *range(120, 129), *range(130, 250)], 130),
        ([*range(127), 129, 128, 127, *range(130, 250)], 128),
        ([*range(129), *range(130, 140), 129, *range(140, 250)], 140),
    ],
    ids=["latest a little forward", "turned round", "latest further back"],
)
async def test_a_list_in_another_order_is_told_of(order: list[int], after: int) -> None:
    """Ours: rows that were served side by side stand apart now; those that agree are believed."""
    list_ = upstream(250)
    place = await list_.read_first(130)
    list_.rows = rows(*order)

    found = await list_.read(place, moving=True)

    assert ids(found.rows)[0] == after
    assert found.notices == (REORDERED,)


async def test_a_row_that_went_to_the_head_of_the_list_is_not_followed() -> None:
    """Ours: a list with the latest change first; the two rows that stayed side by side show the place."""
    list_ = upstream(250)
    place = await list_.read_first(130)
    list_.rows = rows(129, *range(129), *range(130, 250))

    found = await list_.read(place, moving=True)

    assert (ids(found.rows)[0], found.notices) == (130, ())


@pytest.mark.parametrize(("between", "after"), [(1, 130), (50, 130), (150, 130), (250, 900)])
async def test_a_crowd_between_the_rows_served_last_is_told_of(between: int, after: int) -> None:
    """Ours: the latest may even stand beyond the pages looked at, and then come twice."""
    list_ = upstream(250)
    place = await list_.read_first(130)
    list_.rows[129:129] = rows(*range(900, 900 + between))

    found = await list_.read(place, moving=True)

    assert (ids(found.rows)[0], REORDERED in found.notices) == (after, True)


async def test_the_count_seen_last_travels_on() -> None:
    """Ours: a list that changed once is not told of again."""
    list_ = upstream(350)
    place = await list_.read_first(100)
    list_.rows[:0] = rows(901)

    found = await list_.read(place)
    again = await list_.read(found.next_place(len(found.rows)))

    assert (len(found.notices), again.notices) == (1, ())
    assert ids(found.rows) + ids(again.rows) == list(range(100, 299))


# --- A list that moves during a call


async def test_a_page_is_read_again_when_a_later_one_shows_another_count() -> None:
    """Ours: two pages of different moments do not fit together."""
    list_ = upstream(250)
    place = await list_.read_first(100)
    moments = iter([list_.rows[1:], list_.rows, list_.rows])

    def pass_time() -> None:
        list_.rows = next(moments)

    list_.before_fetch = pass_time
    found = await list_.read(place, moving=True)

    assert (ids(found.rows)[0], list_.fetched) == (100, [2, 1, 2])
    assert found.notices == (MOVED,)


async def test_a_row_pushed_over_a_page_end_meanwhile_does_not_come_twice() -> None:
    """Ours: the next page is checked for the row served last as well."""
    list_ = upstream(350)
    place = await list_.read_first(198)
    moments = iter([[*rows(901, 902), *list_.rows], [*rows(901, 902, 903), *list_.rows]])

    def pass_time() -> None:
        list_.rows = next(moments)

    list_.before_fetch = pass_time
    found = await list_.read(place)

    assert (ids(found.rows)[0], list_.fetched) == (198, [2, 3])


# --- A list that does not tell the truth about itself


@pytest.mark.parametrize("at_the_end", ["gone", "empty", "last page again"])
@pytest.mark.parametrize("count", [None, 0, 250, 9_999, -1])
@pytest.mark.parametrize("last", [None, True, False])
async def test_a_walk_ends_and_is_whole_if_either_count_or_link_can_be_believed(
    at_the_end: str, count: int | None, last: bool | None
) -> None:
    """Ours: either one saying that there is more is enough; an empty or repeated page has the last word."""
    list_ = rows(*range(250))

    async def fetch(number: int) -> Page:
        if number > 3 and at_the_end == "gone":
            raise PageGone
        number = min(number, 3) if at_the_end == "last page again" else number
        return Page(list_[(number - 1) * 100 : number * 100], count, last)

    served, place, calls = list[Row](), Place(), 0
    while place is not None:
        found = await read(fetch, place, 60, moving=False)
        served, place, calls = served + found.rows, found.next_place(len(found.rows)), calls + 1
        assert calls < 10
        assert LOST not in found.notices
        assert found.total_count == (None if count == -1 else count)

    misled = last is True and count in (None, 0, -1)
    assert ids(served) == list(range(100 if misled else 250))


async def test_a_list_that_ends_before_its_count_is_told_of() -> None:
    """Ours: a total that was not reached is not passed over."""

    async def fetch(number: int) -> Page:
        if number > 2:
            raise PageGone
        return Page(rows(*range(number * 100 - 100, number * 100)), 250, False)

    second = await read(fetch, Place(2, 0, (), 250), 100, moving=False)
    third = await read(fetch, second.next_place(100) or Place(), 100, moving=False)

    assert (third.rows, third.next_place(0), third.notices) == ([], None, (SHORT,))


async def test_a_server_that_ignores_the_page_number_is_left_after_two_pages() -> None:
    """Ours: the same page again ends a list."""

    async def fetch(number: int) -> Page:
        return Page(rows(*range(100)), 9_999, False)

    first = await read(fetch, Place(), 100, moving=False)
    second = await read(fetch, first.next_place(100) or Place(), 100, moving=False)

    assert (second.rows, second.next_place(0)) == ([], None)


# --- What a row is known by


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"id": "a", "status": "pending"}, {"id": "a", "status": "settled"}),
        ({"processor_request_id": "DJ1", "status": "requested"}, {"processor_request_id": "DJ1", "status": "received"}),
        ({"object_id": "a", "timestamp": "t", "actor": "x"}, {"object_id": "a", "timestamp": "t", "actor": "y"}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"id": None, "x": "\ud800"}, {"id": None, "x": "\ud800"}),
        ("text", "text"),
    ],
)
def test_a_row_is_known_by_its_id_or_else_by_all_of_it(one: Any, other: Any) -> None:
    """Ours: a row that changed is still the same row."""
    assert row_key(one) == row_key(other)
    assert len(row_key(one)) == 12


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"id": "a"}, {"id": "b"}),
        ({"id": "", "x": 1}, {"id": "", "x": 2}),
        ({"object_id": "a", "timestamp": "t"}, {"object_id": "a", "timestamp": "u"}),
        ({"x": 1}, {"x": 2}),
        (1, "1"),
        (None, []),
    ],
)
def test_other_rows_have_other_keys(one: Any, other: Any) -> None:
    """Ours: an empty id is none."""
    assert row_key(one) != row_key(other)


async def test_snapshots_of_one_record_are_told_apart_by_their_whole_content() -> None:
    """Ours: history entries may carry the id of the record they tell of."""
    entries = [{"id": "supplier", "updated": number} for number in range(250)]

    async def fetch(number: int) -> Page:
        return Page(entries[number * 100 - 100 : number * 100], len(entries))

    first = await read(fetch, Place(), 100, moving=False, key=entry_key)
    entries.insert(0, {"id": "supplier", "updated": 999})
    second = await read(fetch, first.next_place(100) or Place(), 100, moving=False, key=entry_key)

    assert [row["updated"] for row in second.rows] == list(range(100, 199))


async def test_rows_that_share_an_id_are_not_taken_for_each_other() -> None:
    """Ours: where rows cannot be told apart, reading goes on by page and offset alone."""
    same = [{"id": "supplier", "updated": number} for number in range(250)]

    async def fetch(number: int) -> Page:
        return Page(same[number * 100 - 100 : number * 100], len(same))

    served, place = list[Row](), Place()
    while place is not None:
        found = await read(fetch, place, 70, moving=True)
        served, place = served + found.rows, found.next_place(len(found.rows))

    assert served == same


async def test_a_row_like_another_is_no_landmark() -> None:
    """Ours: the rows remembered end right before the place, or none are."""
    list_ = [*rows(*range(50)), {"id": "same"}, {"id": "same"}, *rows(*range(52, 100))]

    async def fetch(number: int) -> Page:
        return Page(list_, len(list_))

    first = await read(fetch, Place(), 52, moving=True)
    second = await read(fetch, first.next_place(52) or Place(), 100, moving=True)
    cut = await read(fetch, second.next_place(1) or Place(), 100, moving=True)

    assert ids(second.rows) == list(range(52, 100))
    assert ids(cut.rows) == list(range(53, 100))


# --- Whatever happens


Edit: TypeAlias = tuple[str, float, int]
SIZES = st.integers(0, 350) | st.sampled_from([99, 100, 101, 200, 300])
LIMITS = st.just(100) | st.integers(7, 99)
STEPS = st.lists(st.tuples(LIMITS, LIMITS), min_size=1, max_size=5)
FEW = st.integers(1, 2)
MANY = st.sampled_from([1, 2, 3, 10, 60, 99, 100, 101, 230, 600])


def edits(*kinds: str, amounts: st.SearchStrategy[int] = MANY) -> st.SearchStrategy[Edit]:
    return st.tuples(st.sampled_from(kinds), st.floats(0, 1), amounts)


def lists(*edits: st.SearchStrategy[Edit]) -> st.SearchStrategy[list[Edit]]:
    return st.lists(st.one_of(edits), max_size=6)


@dataclass
class Walk:
    """A walk over a list that is edited between its calls: what came, and what was there throughout."""

    list_: Upstream
    steps: Sequence[tuple[int, int]]
    served: list[int] = field(default_factory=list[int])
    notices: list[str] = field(default_factory=list[str])
    most_fetches: int = 0

    def __post_init__(self) -> None:
        self.throughout = set(ids(self.list_.rows))
        self.fresh = 10_000

    def edit(self, kind: str, where: float, amount: int) -> None:
        found = self.list_.rows
        fresh = rows(*range(self.fresh, self.fresh + amount))
        self.fresh += amount
        at = {"front": 0, "back": len(found)}.get(kind.partition(" ")[2], int(where * len(found)))
        if kind.startswith("grow"):
            found[at:at] = fresh
        if kind.startswith(("shrink", "balance")):
            at = max(0, at - amount) if kind.endswith("back") else at
            gone = found[at : at + amount]
            self.throughout -= set(ids(gone))
            del found[at : at + amount]
            if kind == "balance behind":
                found += fresh[: len(gone)]
            if kind == "balance ahead":
                found[:0] = fresh[: len(gone)]

    async def run(self, edits: Sequence[Edit], *, moving: bool, array: bool = False) -> None:
        place: Place | None = Place()
        changes = chain(edits, repeat(None))
        for limit, most_served in islice(chain.from_iterable(repeat(self.steps)), 4_000):
            if place is None:
                return
            _, place = decode(encode("tool", {}, place), "tool")
            if array:
                found = await read_array(self.list_.rows, place, limit)
            else:
                found = await self.list_.read(place, limit, moving=moving)
                self.most_fetches = max(self.most_fetches, len(self.list_.fetched))
            served = min(most_served, len(found.rows))
            self.served += ids(found.rows[:served])
            self.notices += found.notices
            place = found.next_place(served)
            if change := next(changes):
                self.edit(*change)
        raise AssertionError("The walk does not end.")

    def assert_each_row_came_once(self) -> None:
        came = Counter(self.served)
        assert [row for row in self.throughout if came[row] != 1] == []
        assert max(came.values(), default=1) == 1


EVERYWHERE = edits("grow", "shrink", "grow front", "shrink front", "grow back", "shrink back")
BALANCED = edits("balance ahead", "balance behind")


@settings(max_examples=100, deadline=None)
@given(SIZES, STEPS, lists(EVERYWHERE, BALANCED))
async def test_rows_there_throughout_come_once_in_a_moving_list(
    size: int, steps: list[tuple[int, int]], edits: list[Edit]
) -> None:
    """Ours: the promise of the cursor, whatever comes and goes wherever, or a notice says otherwise."""
    walk = Walk(upstream(size), steps)

    await walk.run(edits, moving=True)

    assert walk.most_fetches <= 10
    if not {LOST, REORDERED} & set(walk.notices):
        walk.assert_each_row_came_once()


@settings(max_examples=60, deadline=None)
@given(
    SIZES,
    STEPS,
    lists(
        edits("grow front", "grow back"),
        edits("shrink", "shrink front", "shrink back", "balance ahead", "balance behind", amounts=FEW),
    ),
)
async def test_a_place_is_found_again_while_one_of_the_rows_served_last_stands(
    size: int, steps: list[tuple[int, int]], edits: list[Edit]
) -> None:
    """Ours: with no more than two rows gone at a time, no notice excuses a row missed or repeated."""
    walk = Walk(upstream(size), steps)

    await walk.run(edits, moving=True)

    assert not {LOST, REORDERED} & set(walk.notices)
    walk.assert_each_row_came_once()


@settings(max_examples=60, deadline=None)
@given(SIZES, STEPS, lists(edits("grow front", "grow back"), edits("shrink", amounts=FEW)))
async def test_rows_there_throughout_come_once_while_the_count_tells(
    size: int, steps: list[tuple[int, int]], edits: list[Edit]
) -> None:
    """Ours: the same, without the fetches it costs, in a list that is not said to be moving."""
    walk = Walk(upstream(size), steps)

    await walk.run(edits, moving=False)

    assert not {LOST, REORDERED} & set(walk.notices)
    walk.assert_each_row_came_once()


@settings(max_examples=40, deadline=None)
@given(SIZES, STEPS, lists(EVERYWHERE, BALANCED))
async def test_rows_there_throughout_come_once_in_an_array(
    size: int, steps: list[tuple[int, int]], edits: list[Edit]
) -> None:
    """Ours: lists that come whole are paged by the same rules."""
    walk = Walk(upstream(size), steps)

    await walk.run(edits, moving=False, array=True)

    if not {LOST, REORDERED} & set(walk.notices):
        walk.assert_each_row_came_once()


@settings(max_examples=40, deadline=None)
@given(SIZES, STEPS, lists(EVERYWHERE))
async def test_what_changes_during_a_call_is_told_of(
    size: int, steps: list[tuple[int, int]], edits: list[Edit]
) -> None:
    """Ours: pages read one after another are not of one moment; a count that moved in between is a notice."""
    walk = Walk(upstream(size), steps)
    changes = iter(edits)
    walk.list_.before_fetch = lambda: walk.edit(*change) if (change := next(changes, None)) else None

    await walk.run([], moving=True)

    if not walk.notices:
        walk.assert_each_row_came_once()
