"""Lists as a client walks them: every row once, whatever happens to the list, and cursors that fit nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from mcp import Client

from finexio_mcp.simulator import Fault, Simulator
from tests.calls import BUYER, EVERY_TOOL, PAYMENT, READS, SUPPLIER, Content, Upstream, ask, office, reply
from tests.conftest import ERAS, Era, connect

pytestmark = pytest.mark.parametrize("era", ERAS)

INVOICES = "list_all_finexio_invoices"
PAYMENTS = "list_all_finexio_payments"
COUNTERPARTIES = "list_all_finexio_counterparties"
CONTACTS = "list_all_finexio_supplier_contacts"
IMAGES = "list_all_finexio_payment_images"
SUPPLIERS = "list_all_finexio_suppliers"
BUYERS = "list_all_finexio_buyers"
BUYER_CONTACTS = "list_all_finexio_buyer_contacts"

Step = Callable[[int], object]
Walked = tuple[list[str], list[Content]]


def stocked(count: int) -> Simulator:
    """An office with so many invoices, `n-000` the oldest."""
    sim = office()
    sim.invoices.clear()
    for number in range(count):
        add(sim, number)
    return sim


def add(sim: Simulator, number: int) -> None:
    """One more invoice, as old as its number says."""
    sim.add_invoice(
        f"n-{number:03}",
        invoice_number=f"INV {number}",
        created=f"2026-01-01T{number // 60 % 24:02}:{number % 60:02}:00.{number:06}",
        status="complete",
    )


def records_of(sim: Simulator, shelf: str) -> dict[str, dict[str, Any]]:
    return sim.suppliers if shelf == "suppliers" else sim.buyers


def fill(sim: Simulator, shelf: str, count: int, *, start: int = 0) -> None:
    """So many more suppliers or buyers, the first the oldest."""
    for number in range(start, start + count):
        moment = f"2026-02-01T{number // 60:02}:{number % 60:02}:00.000000"
        add_one = sim.add_supplier if shelf == "suppliers" else sim.add_buyer
        add_one(f"r-{number:03}", external_reference_id=f"R-{number:03}", created=moment, updated=moment)


async def walk(client: Client, tool: str, *, after: Step | None = None, **arguments: Any) -> Walked:
    """Every id from the first page to the last, and every answer on the way; `after` meddles between two of them."""
    ids: list[str] = []
    contents: list[Content] = []
    cursor: str | None = None
    while not contents or cursor is not None:
        carried = {"next_cursor": cursor} if cursor else {}
        contents.append(content := await ask(client, tool, {**arguments, **carried}))
        assert "error" not in content, content
        assert len(contents) < 300, "the walk never ends"
        assert content["result_count"] == len(content["result"])
        assert content["result"] or cursor is None or content["next_cursor"] is None
        ids += [row.get("id") or row["processor_request_id"] for row in content["result"]]
        cursor = content["next_cursor"]
        if after is not None:
            after(len(contents))
    return ids, contents


BUSY_TURNS = 6
"""For so long a list moves between two answers; then the walk may come to its end."""


def rows_for(limit: int) -> int:
    """Enough for two seams between Finexio's pages where they are what a walk goes by, else for one."""
    return 230 if limit == 100 else 130


def notices(contents: list[Content]) -> list[str]:
    return [notice for content in contents for notice in content.get("notices", [])]


# A list at rest ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "limit"), [(0, 7), (1, 7), (99, 7), (101, 7), (100, 50), (100, 100), (101, 100), (250, 100), (250, 40)]
)
async def test_a_walk_serves_every_row_once_in_order(count: int, limit: int, era: Era) -> None:
    """Ours: one answer may be smaller than Finexio's page, never larger, and nothing is lost at the seams."""
    sim = stocked(count)

    async with connect(sim, era) as client:
        ids, contents = await walk(client, INVOICES, limit=limit)

    assert ids == list(sim.invoices)
    assert notices(contents) == []
    assert {content["total_count"] for content in contents} == {count}
    assert all(len(content["result"]) <= limit for content in contents)


async def test_a_list_at_rest_costs_one_request_an_answer(era: Era) -> None:
    """Ours: one upstream page per call, and Finexio's own links are never followed."""
    sim = stocked(250)
    sim.quirks.next_host = "https://elsewhere.example"

    async with connect(sim, era) as client:
        _, contents = await walk(client, INVOICES)

    assert [request.query for request in sim.journal.requests] == [(), (("page", "2"),), (("page", "3"),)]
    assert len(contents) == 3


async def test_prev_cursor_starts_the_page_before_and_is_null_on_the_first(era: Era) -> None:
    """Ours: a reader can turn back."""
    sim = stocked(30)

    async with connect(sim, era) as client:
        first = await ask(client, INVOICES, limit=10)
        second = await ask(client, INVOICES, limit=10, next_cursor=first["next_cursor"])
        back = await ask(client, INVOICES, limit=10, next_cursor=second["prev_cursor"])

    assert first["prev_cursor"] is None
    assert back["result"] == first["result"]


async def test_limit_and_fields_may_change_from_page_to_page(era: Era) -> None:
    """Ours: they say how much is shown, not what is asked."""
    sim = stocked(60)

    async with connect(sim, era) as client:
        first = await ask(client, INVOICES, limit=5)
        second = await ask(client, INVOICES, limit=50, fields=["id"], next_cursor=first["next_cursor"])

    assert [row["id"] for row in second["result"]] == [f"n-{number:03}" for number in range(5, 55)]
    assert second["result"][0] == {"id": "n-005"}


@pytest.mark.parametrize(("tool", "owner"), [(CONTACTS, SUPPLIER), (BUYER_CONTACTS, BUYER)])
async def test_a_bare_array_is_paged_here(tool: str, owner: str, era: Era) -> None:
    """Documented: contacts come whole, in one array."""
    sim = office()
    for number in range(249):
        sim.add_contact(owner, id=f"c-{number}")

    async with connect(sim, era, **EVERY_TOOL) as client:
        ids, contents = await walk(client, tool, **READS[tool])
        few, _ = await walk(client, tool, **READS[tool], limit=60)

    assert ids == few == [contact["id"] for contact in {**sim.suppliers, **sim.buyers}[owner]["contacts"]]
    assert [content["result_count"] for content in contents] == [100, 100, 50]


@pytest.mark.parametrize(("tool", "shelf"), [(SUPPLIERS, "suppliers"), (BUYERS, "buyers")])
async def test_suppliers_and_buyers_are_walked_page_by_page(tool: str, shelf: str, era: Era) -> None:
    """Ours: each once, in order, for one request an answer."""
    sim = office()
    sim.order[shelf] = "oldest_first"
    fill(sim, shelf, 249)
    sim.journal.clear()

    async with connect(sim, era, **EVERY_TOOL) as client:
        ids, contents = await walk(client, tool)

    assert ids == sorted(ids, key=lambda id_: records_of(sim, shelf)[id_]["created"])
    assert len(set(ids)) == 250
    assert [request.query for request in sim.journal.requests] == [(), (("page", "2"),), (("page", "3"),)]
    assert notices(contents) == []


# A list that moves ----------------------------------------------------------------


@pytest.mark.parametrize("order", ["oldest_first", "newest_first"])
@pytest.mark.parametrize("limit", [7, 100])
async def test_rows_that_come_do_not_hide_or_repeat_the_others(limit: int, order: Any, era: Era) -> None:
    """Ours: rows that are there throughout come exactly once, at whichever end new ones appear."""
    sim = stocked(rows_for(limit))
    sim.order["invoices"] = order
    there = list(sim.invoices)

    def grow(turn: int) -> None:
        if turn <= BUSY_TURNS:
            add(sim, 500 + turn)

    async with connect(sim, era) as client:
        ids, contents = await walk(client, INVOICES, limit=limit, after=grow)

    assert len(ids) == len(set(ids))
    assert set(there) <= set(ids)
    assert any("The list changed" in notice for notice in notices(contents))


@pytest.mark.parametrize("limit", [7, 100])
async def test_rows_that_go_do_not_hide_the_others(limit: int, era: Era) -> None:
    """Ours: what was served already and is gone leaves no hole in what follows."""
    sim = stocked(rows_for(limit))

    def remove(turn: int) -> None:
        if turn <= BUSY_TURNS:
            del sim.invoices[f"n-{turn - 1:03}"]

    async with connect(sim, era) as client:
        ids, contents = await walk(client, INVOICES, limit=limit, after=remove)

    assert len(ids) == len(set(ids))
    assert set(sim.invoices) <= set(ids)
    assert any("The list changed" in notice for notice in notices(contents))


@pytest.mark.parametrize("limit", [7, 100])
async def test_a_filtered_list_whose_count_stands_while_rows_change_places_is_read_right(limit: int, era: Era) -> None:
    """Ours: in a list filtered by what changes, one leaves and another comes, and the count shows nothing."""
    sim = office()
    sim.payments.clear()
    sim.order["payments"] = "oldest_first"
    for number in range(rows_for(limit)):
        sim.add_payment(
            f"p-{number:03}", status="settled", created=f"2026-01-01T{number // 60:02}:{number % 60:02}:00.000000"
        )
    there = list(sim.payments)

    def trade(turn: int) -> None:
        if turn <= BUSY_TURNS:
            sim.payments[f"p-{turn - 1:03}"]["status"] = "pending"
            sim.add_payment(f"new-{turn}", status="settled")

    async with connect(sim, era) as client:
        ids, _ = await walk(client, PAYMENTS, limit=limit, status="settled", after=trade)

    settled = {row["id"] for row in sim.payments.values() if row["status"] == "settled"}
    assert len(ids) == len(set(ids))
    assert set(there) & settled <= set(ids)


@pytest.mark.parametrize(("tool", "shelf"), [(SUPPLIERS, "suppliers"), (BUYERS, "buyers")])
@pytest.mark.parametrize("limit", [7, 100])
async def test_suppliers_and_buyers_that_change_places_while_they_are_read_come_once(
    tool: str, shelf: str, limit: int, era: Era
) -> None:
    """Ours: as above, where who was changed lately is asked for: the count stands, and the rows do not."""
    sim = office()
    sim.order[shelf] = "oldest_first"
    records = records_of(sim, shelf)
    records.clear()
    fill(sim, shelf, rows_for(limit))
    there = list(records)

    def trade(turn: int) -> None:
        if turn <= BUSY_TURNS:
            records[f"r-{turn - 1:03}"]["updated"] = "2025-01-01T00:00:00.000000"
            fill(sim, shelf, 1, start=500 + turn)

    async with connect(sim, era, **EVERY_TOOL) as client:
        ids, _ = await walk(client, tool, limit=limit, updated_after="2026-01-01", after=trade)

    fresh = {row["id"] for row in records.values() if row["updated"] > "2026"}
    assert len(ids) == len(set(ids))
    assert set(there) & fresh <= set(ids)


async def test_a_list_in_another_order_is_noticed(era: Era) -> None:
    """Ours: what cannot be read right is said, not guessed over in silence."""
    sim = stocked(230)

    def shuffle(turn: int) -> None:
        if turn == 1:
            sim.order["invoices"] = "unordered"

    async with connect(sim, era) as client:
        _, contents = await walk(client, INVOICES, limit=50, after=shuffle)

    assert notices(contents)


async def test_a_list_that_shrank_below_the_place_is_no_missing_record(era: Era) -> None:
    """Documented: a page past the end is a 404. Ours: it means that the end moved, never `not_found`."""
    sim = stocked(250)

    def empty(turn: int) -> None:
        if turn == 2:
            for key in list(sim.invoices)[50:]:
                del sim.invoices[key]

    async with connect(sim, era) as client:
        ids, contents = await walk(client, INVOICES, after=empty)

    assert ids[:200] == [f"n-{number:03}" for number in range(200)]
    assert contents[-1]["next_cursor"] is None
    assert notices(contents[-1:])


async def test_a_missing_first_page_is_still_not_found(era: Era) -> None:
    """Ours: only a later page can be past the end."""
    async with connect(Upstream(reply(404)), era) as client:
        content = await ask(client, INVOICES)

    assert content["error"]["code"] == "not_found"


# Cursors -------------------------------------------------------------------------


async def test_filters_may_be_left_out_beside_a_cursor_but_not_changed(era: Era) -> None:
    """Ours: a cursor carries its question."""
    sim = office()
    for _ in range(12):
        sim.add_supplier(name="Harbor Rope")
    sim.add_supplier(name="Elsewhere")

    async with connect(sim, era) as client:
        first = await ask(client, COUNTERPARTIES, name="harbor", type="supplier", limit=10)
        cursor = first["next_cursor"]
        alone = await ask(client, COUNTERPARTIES, next_cursor=cursor)
        beside = await ask(client, COUNTERPARTIES, next_cursor=cursor, name="harbor", type="Supplier")
        some = await ask(client, COUNTERPARTIES, next_cursor=cursor, name="harbor", type=None)
        other = await ask(client, COUNTERPARTIES, next_cursor=cursor, name="elsewhere")
        more = await ask(client, COUNTERPARTIES, next_cursor=cursor, internal_id="X")

    assert alone["result_count"] == 3
    assert alone == beside == some
    assert other["error"]["code"] == more["error"]["code"] == "invalid_cursor"
    assert dict(sim.journal.requests[1].query) == {"name": "harbor", "type": "Supplier"}


async def test_a_cursor_of_another_tool_or_list_is_refused_unsent(era: Era) -> None:
    """Ours: a cursor fits the one question that it came from."""
    sim = stocked(20)
    for _ in range(3):
        sim.add_contact(SUPPLIER)
    sim.add_supplier("supplier-2")

    async with connect(sim, era, **EVERY_TOOL) as client:
        of_invoices = (await ask(client, INVOICES, limit=5))["next_cursor"]
        of_contacts = (await ask(client, CONTACTS, supplier_id=SUPPLIER, limit=2))["next_cursor"]
        of_suppliers = (await ask(client, SUPPLIERS, limit=1))["next_cursor"]
        sim.journal.clear()
        refused = [
            await ask(client, PAYMENTS, next_cursor=of_invoices),
            await ask(client, CONTACTS, supplier_id=SUPPLIER, next_cursor=of_invoices),
            await ask(client, CONTACTS, supplier_id="supplier-2", next_cursor=of_contacts),
            await ask(client, BUYER_CONTACTS, buyer_id=SUPPLIER, next_cursor=of_contacts),
            await ask(client, COUNTERPARTIES, next_cursor=of_suppliers),
            await ask(client, BUYERS, next_cursor=of_suppliers),
            await ask(client, SUPPLIERS, next_cursor=of_suppliers, enabled=True),
        ]

    assert [content["error"]["code"] for content in refused] == ["invalid_cursor"] * 7
    assert sim.journal.requests == []


GARBAGE = ["x", "2", "AAAA", "!!!!", "eyJwYWdlIjogMn0", "x" * 2000, "é", base64.b64encode(b"\x00" * 30).decode()]


async def test_garbage_is_no_cursor(era: Era) -> None:
    """Ours: refused before anything is sent, and never repeated."""
    sim = stocked(20)

    async with connect(sim, era) as client:
        contents = [await ask(client, INVOICES, next_cursor=text) for text in GARBAGE]
        too_long = await ask(client, INVOICES, next_cursor="x" * 2001)

    assert {content["error"]["code"] for content in contents} == {"invalid_cursor"}
    assert too_long["error"]["code"] in {"invalid_cursor", "invalid_arguments"}
    assert sim.journal.requests == []


async def test_an_altered_cursor_is_refused(era: Era) -> None:
    """Ours: every character counts."""
    sim = stocked(20)

    async with connect(sim, era) as client:
        cursor = (await ask(client, INVOICES, limit=5))["next_cursor"]
        altered = [
            cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(len(cursor) - 1)
        ]
        contents = [await ask(client, INVOICES, next_cursor=text) for text in [*altered, cursor[:-4]]]

    assert {content.get("error", {}).get("code") for content in contents} == {"invalid_cursor"}


async def test_a_list_that_is_never_paged_takes_no_cursor(era: Era) -> None:
    """Ours: images have no second page, so the argument does not exist there."""
    async with connect(office(), era) as client:
        content = await ask(client, IMAGES, payment_id=PAYMENT, next_cursor="x")

    assert content["error"]["code"] == "invalid_arguments"


@pytest.mark.parametrize("limit", [0, -1, 101, 1.5, "10", True])
async def test_a_limit_is_a_whole_number_from_1_to_100(limit: Any, era: Era) -> None:
    """Ours: Finexio's page has 100 rows."""
    async with connect(office(), era) as client:
        content = await ask(client, INVOICES, limit=limit)

    assert content["error"]["code"] == "invalid_arguments"
    assert [problem["field"] for problem in content["error"]["fields"]] == ["limit"]


# Rows that do not fit -------------------------------------------------------------


@pytest.mark.parametrize("limit", [7, 100])
async def test_fewer_rows_where_they_do_not_fit_and_the_walk_is_whole_all_the_same(limit: int, era: Era) -> None:
    """Ours: an answer is never too long; its cursor continues exactly after the last row shown."""
    sim = stocked(120)
    for number, row in enumerate(sim.invoices.values()):
        row["note"] = "rope " * (number % 200)

    async with connect(sim, era, FINEXIO_MCP_RESULT_CHARS=5_000) as client:
        ids, contents = await walk(client, INVOICES, limit=limit, fields=["id", "note"])
        texts = [
            (await client.call_tool(INVOICES, {"limit": limit, "fields": ["*"], "next_cursor": content["next_cursor"]}))
            for content in contents[:5]
            if content["next_cursor"]
        ]

    assert ids == list(sim.invoices)
    assert any("was cut to fit" in notice for notice in notices(contents))
    assert all(len(block.text) <= 5_000 for answer in texts for block in answer.content if block.type == "text")


async def test_the_end_of_a_page_that_was_cut_goes_on_on_the_next(era: Era) -> None:
    """Ours: rows of one upstream page may take several answers; then the next page follows."""
    sim = stocked(150)

    async with connect(sim, era, FINEXIO_MCP_RESULT_CHARS=20_000) as client:
        ids, contents = await walk(client, INVOICES, fields=["*"])

    assert ids == list(sim.invoices)
    assert len(contents) > 3


async def test_a_failure_in_the_middle_of_a_walk_spoils_nothing(era: Era) -> None:
    """Ours: the same cursor can be used again."""
    sim = stocked(150)

    async with connect(sim, era) as client:
        first = await ask(client, INVOICES)
        sim.fault(Fault(status=400))
        failed = await ask(client, INVOICES, next_cursor=first["next_cursor"])
        again = await ask(client, INVOICES, next_cursor=first["next_cursor"])

    assert failed["error"]["code"] == "rejected"
    assert [row["id"] for row in again["result"]] == [f"n-{number:03}" for number in range(100, 150)]
