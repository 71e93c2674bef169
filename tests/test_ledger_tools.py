"""The toolset `ledger`: what was submitted through this server, for those who ask before they send."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

import pytest

from finexio_mcp.guards.ledger.states import State
from finexio_mcp.simulator import Fault, Simulator
from tests.calls import CREATE_WEBHOOK, HOOK, PATCH_COUNTERPARTY, PAY, SUPPLIER, Content, ask, changes, invoice, office
from tests.conftest import ERAS, Era, connect
from tests.never_twice import Desk, pay, quick_directory, stands

FIND, GET = "find_finexio_submissions", "get_finexio_submission"


@pytest.fixture
def desk() -> Generator[Desk]:
    with quick_directory() as directory:
        yield Desk(directory / "state" / "ledger.db")


def numbers(content: Content) -> list[str]:
    return [row["invoice_number"] for row in content["result"]]


# Whether they are there ------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
async def test_the_toolset_is_off_unless_the_operator_turns_it_on(era: Era, empty_simulator: Simulator) -> None:
    """Ours: 26 tools by default; a call of one that is off names the setting."""
    async with connect(empty_simulator, era) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        refused = await ask(client, FIND)
    async with connect(empty_simulator, era, FINEXIO_MCP_TOOLSETS="core,ledger") as client:
        both = {tool.name for tool in (await client.list_tools()).tools}
    async with connect(empty_simulator, era, FINEXIO_MCP_TOOLSETS="ledger") as client:
        alone = {tool.name for tool in (await client.list_tools()).tools}

    assert len(listed) == 26
    assert refused["error"]["code"] == "access_denied"
    assert "FINEXIO_MCP_TOOLSETS" in refused["error"]["message"]
    assert alone == {FIND, GET}
    assert both == listed | alone


async def test_they_read_only_and_need_no_more_access_than_that(desk: Desk) -> None:
    """Ours: a read-only server on the same ledger may look, and asks Finexio nothing."""
    async with desk.open() as client:
        op_id = (await pay(client, invoice()))["op_id"]
    desk.sim.journal.clear()
    async with desk.open(FINEXIO_MCP_ACCESS="read") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        found, shown = await ask(client, FIND), await ask(client, GET, op_id=op_id)

    for name in (FIND, GET):
        hints = tools[name].annotations
        assert hints is not None
        assert (hints.read_only_hint, hints.destructive_hint) == (True, False)
    assert numbers(found) == ["HP-1"]
    assert shown["result"]["op_id"] == op_id
    assert desk.sim.journal.requests == []


async def test_reading_creates_no_ledger(desk: Desk) -> None:
    """Ours: who only looks leaves no file, no key and no directory behind."""
    async with desk.open() as client:
        found = await ask(client, FIND, state="in_doubt")
        shown = await ask(client, GET, op_id="op_0123456789abcdef")
        await ask(client, "list_all_finexio_invoices")

    assert (found["result"], found["result_count"], found["next_cursor"]) == ([], 0, None)
    assert shown["error"]["code"] == "not_found"
    assert not desk.file.parent.exists()


async def test_they_show_a_ledger_in_memory_too(empty_simulator: Simulator) -> None:
    """Ours: with the simulator inside, the ledger lives as long as the server."""
    async with connect(office(), FINEXIO_MCP_TOOLSETS="core,ledger") as client:
        empty = await ask(client, FIND)
        content = await pay(client, invoice())
        found = await ask(client, FIND)

    assert empty["result"] == []
    assert [(row["op_id"], row["state"]) for row in found["result"]] == [(content["op_id"], "confirmed")]


# Finding ---------------------------------------------------------------------------


async def test_a_submission_says_what_it_was_and_where_it_stands(desk: Desk) -> None:
    """Ours: enough to recognise an invoice and to say what became of it."""
    async with desk.open() as client:
        content = await pay(client, invoice())
        found = await ask(client, FIND)

    (row,) = found["result"]
    (record,) = content["result"]
    assert {name: row[name] for name in ("op_id", "invoice_number", "state", "reason", "amount_cents", "id")} == {
        "op_id": content["op_id"],
        "invoice_number": "HP-1",
        "state": "confirmed",
        "reason": "accepted",
        "amount_cents": 125_00,
        "id": record["id"],
    }
    assert row["receiving_counterparty_id"] == SUPPLIER
    for name in ("submitted", "sent", "settled"):
        assert datetime.fromisoformat(row[name]).tzinfo is not None
    assert "by_operator" not in row


async def test_submissions_are_found_by_number_supplier_and_state(desk: Desk) -> None:
    """Ours: filters combine; a number is found however it is written."""
    desk.sim.add_supplier("supplier-2", name="Other Paper Co")

    async with desk.open() as client:
        await pay(client, invoice("HP - 1", 10_00), invoice("HP-2", 20_00))
        await pay(client, invoice("HP - 1", 30_00, receiving_counterparty_id="supplier-2"))
        desk.fault(Fault(reset="before_effect"))
        await pay(client, invoice("HP-3", 40_00))
        by_number = await ask(client, FIND, invoice_number=" hp -  1 ")
        by_supplier = await ask(client, FIND, supplier_id="supplier-2")
        by_state = await ask(client, FIND, state="in_doubt")
        by_all = await ask(client, FIND, invoice_number="hp - 1", supplier_id=SUPPLIER, state="confirmed")
        by_none = await ask(client, FIND, invoice_number="HP-3", state="confirmed")

    assert [row["amount_cents"] for row in by_number["result"]] == [30_00, 10_00]
    assert numbers(by_supplier) == ["HP - 1"]
    assert numbers(by_state) == ["HP-3"]
    assert [row["amount_cents"] for row in by_all["result"]] == [10_00]
    assert by_none["result"] == []


async def test_a_supplier_is_found_as_it_was_written_in_the_call(desk: Desk) -> None:
    """Ours: ids in capitals are the same parties, so asking in capitals must not look like never submitted."""
    desk.sim.add_supplier("Supplier-X", name="Other Paper Co")

    async with desk.open() as client:
        paid = await pay(client, invoice(receiving_counterparty_id="Supplier-X"))
        found = [
            numbers(await ask(client, FIND, supplier_id=written))
            for written in ("Supplier-X", "supplier-x", "SUPPLIER-X")
        ]

    assert paid["status"] == "confirmed"
    assert found == [["HP-1"]] * 3


async def test_pages_hold_every_submission_once_newest_first(desk: Desk) -> None:
    """Ours: a cursor goes on right after the last row, although newer ones came in front meanwhile."""
    rows = [invoice(f"P-{at}", 10_00 + at) for at in range(7)]
    seen: list[str] = []

    async with desk.open() as client:
        await pay(client, *rows)
        page = await ask(client, FIND, limit=3)
        seen += numbers(page)
        await pay(client, invoice("NEW-1", 99_00))
        while page["next_cursor"] is not None:
            page = await ask(client, FIND, next_cursor=page["next_cursor"], limit=2)
            seen += numbers(page)
        top = await ask(client, FIND, limit=1)

    # Within one call, those that were recorded last come first.
    assert sorted(seen) == [f"P-{at}" for at in range(7)]
    assert numbers(top) == ["NEW-1"]


async def test_a_cursor_keeps_its_filters_and_fits_no_other(desk: Desk) -> None:
    """Ours: as for every list here."""
    async with desk.open() as client:
        await pay(client, *(invoice(f"P-{at}", 10_00 + at) for at in range(3)))
        desk.fault(Fault(reset="before_effect"))
        await pay(client, invoice("Q-1", 50_00))
        first = await ask(client, FIND, state="confirmed", limit=2)
        second = await ask(client, FIND, next_cursor=first["next_cursor"])
        other = await ask(client, FIND, next_cursor=first["next_cursor"], state="in_doubt")
        elsewhere = await ask(client, "list_all_finexio_invoices", next_cursor=first["next_cursor"])
        garbage = await ask(client, FIND, next_cursor="garbage")

    assert len(first["result"] + second["result"]) == 3
    assert second["next_cursor"] is None
    assert [content["error"]["code"] for content in (other, elsewhere, garbage)] == ["invalid_cursor"] * 3


BAD_ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (FIND, {"state": "lost"}),
    (FIND, {"limit": 0}),
    (FIND, {"limit": 101}),
    (FIND, {"number": "HP-1"}),
    (GET, {}),
    (GET, {"op_id": 5}),
)


@pytest.mark.parametrize(("tool", "arguments"), BAD_ARGUMENTS)
async def test_bad_arguments_are_refused_and_create_nothing(tool: str, arguments: dict[str, Any], desk: Desk) -> None:
    """Ours: a filter that is misspelt must not look like nothing was submitted."""
    async with desk.open() as client:
        content = await ask(client, tool, arguments)

    assert content["error"]["code"] == "invalid_arguments"
    assert not desk.file.parent.exists()


# One call --------------------------------------------------------------------------


async def test_one_call_shows_its_rows_and_how_they_came_to_stand_there(desk: Desk) -> None:
    """Ours: every change of state is there with its time and its reason."""
    async with desk.open() as client:
        desk.fault(Fault(lost_answer=True))
        content = await pay(client, invoice("HP-1", 10_00), invoice("HP-2", 20_00))
        shown = (await ask(client, GET, op_id=content["op_id"]))["result"]

    assert [row["invoice_number"] for row in shown["rows"]] == ["HP-1", "HP-2"]
    told = [(event["invoice_number"], event.get("before"), event["after"]) for event in shown["history"]]
    for number in ("HP-1", "HP-2"):
        assert [(before, after) for named, before, after in told if named == number] == [
            (None, "intended"),
            ("intended", "sent"),
            ("sent", "in_doubt"),
            ("in_doubt", "confirmed"),
        ]
    assert [event.get("reason") for event in shown["history"]][-1] == "found"


async def test_an_unknown_op_id_is_not_found_and_says_where_to_look(desk: Desk) -> None:
    """Ours: an answer that was refused before anything was recorded leaves nothing either."""
    async with desk.open() as client:
        await pay(client, invoice())
        refused = await ask(client, PAY, {"invoices": [invoice("HP-2", 7)]}, no_such_argument=1)
        unknown = await ask(client, GET, op_id="op_0123456789abcdef")
        unrecorded = await ask(client, GET, op_id=refused["op_id"])

    assert refused["status"] == "rejected"
    assert [content["error"]["code"] for content in (unknown, unrecorded)] == ["not_found"] * 2
    assert FIND in unknown["error"]["message"]


async def test_a_refusal_that_speaks_of_an_earlier_call_names_that_one(desk: Desk) -> None:
    """Ours: the op_id of a conflict leads to what is in its way."""
    async with desk.open() as client:
        first = await pay(client, invoice())
        refused = await pay(client, invoice(amount_cents=1))
        shown = await ask(client, GET, op_id=refused["op_id"])

    assert refused["status"] == "conflict"
    assert shown["result"]["op_id"] == first["op_id"]


async def test_a_change_of_master_data_is_shown_without_what_it_said(desk: Desk) -> None:
    """Ours: no account number, password or text of a change is in the ledger, so none can be shown."""
    number, url = "000123456789", "https://hooks.acme.example/secret-path"
    desk.sim = office(webhook=False)

    async with desk.open() as client:
        op_ids = [
            (await ask(client, PATCH_COUNTERPARTY, id=SUPPLIER, bank_account_number=number))["op_id"],
            (await ask(client, CREATE_WEBHOOK, {**HOOK, "url": url}))["op_id"],
        ]
        shown = [await ask(client, GET, op_id=op_id, fields=["*"]) for op_id in op_ids]
        found = await ask(client, FIND, fields=["*"])

    assert [content["result"]["tool"] for content in shown] == [PATCH_COUNTERPARTY, CREATE_WEBHOOK]
    told = str([shown, found]) + desk.file.read_bytes().decode("latin-1")
    assert not [secret for secret in (number, "6789", url, HOOK["password"], HOOK["username"]) if secret in told]


async def test_a_persons_note_is_masked_and_its_word_is_marked(desk: Desk) -> None:
    """Ours: a note is free text, and may hold what nobody should see."""
    desk.fault(Fault(reset="before_effect"))

    async with desk.open() as client:
        op_id = (await pay(client, invoice()))["op_id"]
        note = "Paid by hand from account 123456789012\u202e, see portal"
        await desk.book().resolve(op_id, number=None, state=State.CONFIRMED, note=note)
        shown = (await ask(client, GET, op_id=op_id))["result"]
        (row,) = (await ask(client, FIND))["result"]

    last = shown["history"][-1]
    assert (last["by"], last["after"], last["reason"]) == ("operator", "confirmed", "operator")
    assert "Paid by hand" in last["note"]
    assert "123456789012" not in str(shown)
    assert "\u202e" not in str(shown)
    assert row["by_operator"] is True


async def test_both_describe_what_they_return(desk: Desk) -> None:
    """Ours: every key of a record is in the schema that clients and models read."""
    async with desk.open() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        op_id = (await pay(client, invoice()))["op_id"]
        (row,) = (await ask(client, FIND, fields=["*"]))["result"]
        shown = (await ask(client, GET, op_id=op_id))["result"]

    for name, record in ((FIND, row), (GET, shown)):
        described = str(tools[name].output_schema)
        assert [key for key in record if f"'{key}'" not in described] == []
    assert "state" in tools[FIND].input_schema["properties"]
    assert tools[GET].input_schema["required"] == ["op_id"]


async def test_fields_narrow_a_list_as_everywhere(desk: Desk) -> None:
    """Ours: who asks for two fields pays for two."""
    async with desk.open() as client:
        await pay(client, invoice())
        (row,) = (await ask(client, FIND, fields=["invoice_number", "state"]))["result"]
        states = await stands(client)

    assert row == {"invoice_number": "HP-1", "state": "confirmed"}
    assert states == [("confirmed", "accepted")]
    assert len(changes(desk.sim)) == 1
