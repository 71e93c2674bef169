"""Never twice: whatever goes wrong with a write, and however often it is asked for again, it happens once."""

from __future__ import annotations

import ast
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client

import finexio_mcp
from finexio_mcp.guards.ledger.store import Store
from finexio_mcp.simulator import Fault, Simulator
from tests.calls import (
    BUYER,
    CREATE_BUYER,
    CREATE_BUYER_CONTACT,
    CREATE_CONTACT,
    CREATE_COUNTERPARTY,
    CREATE_SUPPLIER,
    CREATE_WEBHOOK,
    DELETE_BUYER_CONTACT,
    DELETE_CONTACT,
    DELETE_WEBHOOK,
    EACH_SHAPE,
    HOOK,
    PATCH_BUYER,
    PATCH_COUNTERPARTY,
    PATCH_SUPPLIER,
    PATCH_WEBHOOK,
    PAY,
    PAYEE,
    REPLACE_BUYER,
    REPLACE_COUNTERPARTY,
    REPLACE_SUPPLIER,
    REPLACE_WEBHOOK,
    SUPPLIER,
    UPDATE_BUYER_CONTACT,
    UPDATE_CONTACT,
    VENDOR,
    WRITES,
    Content,
    ask,
    at_once,
    changes,
    invoice,
    office,
    office_for,
)
from tests.conftest import ERAS, Era
from tests.never_twice import Desk, Door, landed, paid, pay, quick_directory, rows_of, stands, until_absent


@pytest.fixture
def desk() -> Generator[Desk]:
    with quick_directory() as directory:
        yield Desk(directory / "ledger.db")


# Every write, every fault --------------------------------------------------------


@dataclass(frozen=True)
class Mishap:
    """What goes wrong, and what the first call may then say."""

    fault: Fault
    first: frozenset[str]
    times: int = 1


def mishap(*first: str, times: int = 1, **fault: Any) -> Mishap:
    return Mishap(Fault(**fault), frozenset(first), times)


SAYS_NO = b'{"detail": "No."}'
UNSEEN, SEEN = "in_doubt", "confirmed"
"""What a look at once makes of an answer that told nothing: it is not there, or it is."""

MISHAPS: Mapping[str, Mishap] = {
    "no connection": mishap("not_executed", times=3, connect_error=True),
    "no connection in time": mishap("not_executed", times=3, connect_timeout=True),
    "reset before the effect": mishap(UNSEEN, reset="before_effect"),
    "reset after the effect": mishap(SEEN, reset="after_effect"),
    "closed after the effect": mishap(SEEN, reset="after_effect", orderly=True),
    **{f"{status} before the effect": mishap(UNSEEN, status=status) for status in (500, 502, 504)},
    **{f"{status} after the effect": mishap(SEEN, status=status, takes_effect=True) for status in (500, 502, 504)},
    "answer cut short": mishap(SEEN, truncate_at=2),
    "answer lost": mishap(SEEN, lost_answer=True),
    "a page": mishap(SEEN, body=b"<html>Welcome</html>"),
    "a page that says no": mishap(UNSEEN, status=403, body=b"<html>Blocked</html>"),
    "an empty 2xx": mishap(SEEN, body=b""),
    "an empty object": mishap(SEEN, body=b"{}"),
    "409": mishap(UNSEEN, status=409, body=SAYS_NO),
    "400 with a field": mishap("rejected", status=400, body=b'[{"invoice_date": ["Too old."]}]'),
    "400 without a field": mishap("rejected", UNSEEN, status=400, body=SAYS_NO),
    **{str(status): mishap("rejected", status=status, body=SAYS_NO) for status in (401, 403, 404)},
    "429": mishap("not_executed", status=429),
    "lands two hours later": mishap(UNSEEN, lands_after=timedelta(hours=2)),
}


@dataclass
class Story:
    """One write in an office of its own, and all that was ever said of it."""

    tool: str
    arguments: Mapping[str, Any]
    sim: Simulator
    mishap: Mishap
    told: list[str]

    async def ask(self, client: Client, door: Door) -> None:
        """Ask for it, and hold the answer against the journal at once."""
        door.sim = self.sim
        content = await ask(client, self.tool, self.arguments)
        self.told.append(content["status"])
        assert {"status", "op_id", "result"} <= content.keys()
        assert content["op_id"].startswith("op_")
        if content["status"] in {"confirmed", "already_submitted"}:
            assert landed(self.sim) == 1, content
        if content["status"] in {"rejected", "not_executed"}:
            assert landed(self.sim) == 0, content
        assert content.get("error", {"may_have_happened": landed(self.sim)})["may_have_happened"] >= landed(self.sim)


def story(tool: str, at: int, mishap: Mishap) -> Story:
    """Records of its own for each, since what follows a write to the same record decides what a repeat of it means."""
    supplier, store, hook, reference = f"supplier-{at}", f"store-{at}", f"hook-{at}", f"REF-{at}"
    sim = Simulator(seed=at, populated=False, sleep=at_once)
    sim.add_buyer(BUYER)
    sim.add_buyer(store, external_reference_id=f"B-{at}")
    sim.add_supplier(supplier, external_reference_id=f"S-{at}")
    for owner in (supplier, store):
        sim.add_contact(owner, id=f"contact-{at}", external_reference_id=reference, name="Rae Lund", primary=False)
    if tool != CREATE_WEBHOOK:
        sim.add_webhook(hook)
    url = f"https://hooks.acme.example/{at}"
    arguments: Mapping[str, Mapping[str, Any]] = {
        PAY: {"invoices": [invoice(f"F{at}", 100_00 + at, receiving_counterparty_id=supplier)]},
        CREATE_COUNTERPARTY: {**VENDOR, "internal_id": f"QUAY-{at}"},
        REPLACE_COUNTERPARTY: {"id": supplier, **VENDOR, "internal_id": f"QUAY-{at}"},
        PATCH_COUNTERPARTY: {"id": supplier, "notes": "Closed on Fridays"},
        CREATE_CONTACT: {"supplier_id": supplier, "primary": False, "name": "Ida", "external_reference_id": "IDA"},
        UPDATE_CONTACT: {"supplier_id": supplier, "id": reference, "primary": True, "name": "Rae Holt"},
        DELETE_CONTACT: {"supplier_id": supplier, "id": reference},
        CREATE_WEBHOOK: {**HOOK, "url": url},
        REPLACE_WEBHOOK: {"id": hook, **HOOK, "url": url},
        PATCH_WEBHOOK: {"id": hook, "url": url},
        DELETE_WEBHOOK: {"id": hook},
        CREATE_SUPPLIER: {**PAYEE, "external_reference_id": f"SAIL-{at}"},
        REPLACE_SUPPLIER: {"id": supplier, **PAYEE, "external_reference_id": f"SAIL-{at}"},
        PATCH_SUPPLIER: {"id": supplier, "notes": "Closed on Fridays"},
        UPDATE_BUYER_CONTACT: {"buyer_id": store, "id": reference, "primary": True, "name": "Rae Holt"},
    }
    sim.journal.clear()
    sim.fault(mishap.fault, times=mishap.times, match=lambda request: request.method != "GET")
    return Story(tool, arguments[tool], sim, mishap, [])


REPEATED = {
    "in_doubt": ["in_doubt"] * 4,
    "confirmed": ["already_submitted"] * 4,
    "rejected": ["confirmed", *["already_submitted"] * 3],
    "not_executed": ["confirmed", *["already_submitted"] * 3],
}
"""What three repetitions say after a first answer, and a fourth one after a restart: only a proof of nothing frees."""

ONE_BY_ONE = {CREATE_WEBHOOK, DELETE_CONTACT, DELETE_WEBHOOK}
"""Their stories share no server: two webhooks of one event are writes to one place, and what is not in the office of
another story would pass for deleted."""


@pytest.mark.parametrize("tool", EACH_SHAPE)
async def test_no_write_happens_twice_whatever_goes_wrong_and_however_often_it_is_repeated(
    tool: str, desk: Desk
) -> None:
    """Ours: after each mishap, three repetitions and one more after a restart, one effect at most is in the journal."""
    stories = {name: story(tool, at, one) for at, (name, one) in enumerate(MISHAPS.items())}
    rounds = [[one] for one in stories.values()] if tool in ONE_BY_ONE else [list(stories.values())]
    door = Door(desk.sim)

    for part in rounds:
        async with desk.open(over=door) as client:
            for one in part:
                for _ in range(4):
                    await one.ask(client, door)
        async with desk.open(over=door) as client:
            for one in part:
                await one.ask(client, door)

    for name, one in stories.items():
        # No look can tell whether a password arrived, so a replaced webhook that was not answered is for a person.
        unclear = {"in_doubt"} if tool == REPLACE_WEBHOOK else set[str]()
        assert one.told[0] in one.mishap.first | unclear, (name, one.told)
        assert one.told[1:] == REPEATED[one.told[0]], (name, one.told)
        in_doubt = one.told[-1] == "in_doubt"
        assert landed(one.sim) == (one.mishap.fault.has_effect_now if in_doubt else 1), name


class Slow(Door):
    """An answer that takes its time."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim)
        self.behind = True


@pytest.mark.parametrize("tool", WRITES)
async def test_an_answer_that_takes_too_long_is_in_progress_until_it_is_there(tool: str, desk: Desk) -> None:
    """Ours: the caller is not kept waiting, asks as often as it likes, and hears the outcome when there is one."""
    told: list[str] = []
    door = Slow(office_for(tool))

    async with desk.open(over=door, FINEXIO_MCP_ANSWER_SECONDS=0.2) as client:
        for _ in range(3):
            content = await ask(client, tool, WRITES[tool])
            told.append(content["status"])
            assert {"status", "op_id", "result"} <= content.keys()
        door.may_pass.set()
        with anyio.fail_after(10):
            while (last := (await ask(client, tool, WRITES[tool]))["status"]) == "in_progress":
                pass

    assert (told, last) == (["in_progress"] * 3, "already_submitted")
    assert (len(changes(door.sim)), landed(door.sim)) == (1, 1)


@pytest.mark.parametrize("tool", WRITES)
async def test_every_write_stands_in_the_ledger_under_the_op_id_of_its_answer(tool: str, desk: Desk) -> None:
    """Ours: one write path; whatever reached Finexio is found by what the caller was told."""
    desk.sim = office_for(tool)

    async with desk.open() as client:
        content = await ask(client, tool, WRITES[tool])
        submission = (await ask(client, "get_finexio_submission", op_id=content["op_id"]))["result"]

    (request,) = changes(desk.sim)
    assert submission["tool"] == tool
    assert [(row["state"], row["reason"]) for row in submission["rows"]] == [("confirmed", "accepted")]
    assert [event["after"] for event in submission["history"]] == ["intended", "sent", "confirmed"]
    assert request.status in {200, 201, 204}


def test_only_one_place_in_the_product_sends_writes() -> None:
    """Ours: nobody else calls the client's `write`. Beside the client only the check-up sends, and that reads, and who
    asks an authorization server about tokens, which is not Finexio."""
    root = Path(finexio_mcp.__file__).parent
    calls: set[tuple[str, str]] = set()
    for path in root.rglob("*.py"):
        module = path.relative_to(root).as_posix()
        if module.startswith("simulator/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if node.func.attr == "write" and "client" in owner.casefold():
                    calls.add((module, "write"))
                if node.func.attr in {"send", "request", "post", "put", "patch", "delete"} and "http" in owner:
                    calls.add((module, node.func.attr))

    assert calls == {
        ("writes.py", "write"),
        ("api/client.py", "send"),
        ("doctor.py", "send"),
        ("access/inquiry.py", "send"),
    }


# What is meant twice happens twice ----------------------------------------------


@dataclass(frozen=True)
class Account:
    """Where a bank account number is changed, and of whom."""

    tool: str
    record: str
    field: str

    def change(self, number: str) -> Mapping[str, Any]:
        return {"id": self.record, self.field: number}

    def stored(self, sim: Simulator) -> Any:
        return {**sim.suppliers, **sim.buyers}[self.record][self.field]


every_account = pytest.mark.parametrize(
    "account",
    [
        Account(PATCH_COUNTERPARTY, SUPPLIER, "bank_account_number"),
        Account(PATCH_SUPPLIER, SUPPLIER, "bank_account_number"),
        Account(PATCH_BUYER, BUYER, "drawdown_bank_account_number"),
        Account(PATCH_BUYER, BUYER, "refund_bank_account_number"),
    ],
    ids=lambda account: f"{account.tool}-{account.field}",
)


@every_account
async def test_a_bank_account_that_is_changed_and_changed_back_is_changed_three_times(
    account: Account, desk: Desk
) -> None:
    """Ours: a repeat is answered without sending only while nothing else was written to that record."""
    first, second = "000123456789", "000987654321"

    async with desk.open() as client:
        told = [
            (await ask(client, account.tool, account.change(number)))["status"]
            for number in (first, second, first, first)
        ]

    assert told == ["confirmed", "confirmed", "confirmed", "already_submitted"]
    assert [request.body[account.field] for request in changes(desk.sim)] == [first, second, first]
    assert account.stored(desk.sim) == first


@every_account
async def test_a_change_back_is_sent_although_the_change_between_is_in_doubt(account: Account, desk: Desk) -> None:
    """Ours: what may have happened in between may have to be undone."""
    first, second = "000123456789", "000987654321"

    async with desk.open() as client:
        await ask(client, account.tool, account.change(first))
        desk.fault(Fault(status=502))
        between = await ask(client, account.tool, account.change(second))
        back = await ask(client, account.tool, account.change(first))

    assert (between["status"], back["status"]) == ("in_doubt", "confirmed")
    assert len(changes(desk.sim)) == 3


@pytest.mark.parametrize(
    ("patch", "replace", "stored"),
    [
        (PATCH_COUNTERPARTY, REPLACE_COUNTERPARTY, SUPPLIER),
        (PATCH_COUNTERPARTY, REPLACE_SUPPLIER, SUPPLIER),
        (PATCH_SUPPLIER, REPLACE_COUNTERPARTY, SUPPLIER),
        (PATCH_SUPPLIER, REPLACE_SUPPLIER, SUPPLIER),
        (PATCH_COUNTERPARTY, REPLACE_BUYER, BUYER),
        (PATCH_BUYER, REPLACE_BUYER, BUYER),
    ],
)
async def test_a_change_that_another_tool_overwrote_is_sent_again(
    patch: str, replace: str, stored: str, desk: Desk
) -> None:
    """Ours: the record counts, not the tool, nor the view of it."""
    renamed = {"id": stored, "name": "Quay Rope and Sail"}

    async with desk.open() as client:
        told = [
            (await ask(client, patch, renamed))["status"],
            (await ask(client, replace, WRITES[replace]))["status"],
            (await ask(client, patch, renamed))["status"],
        ]

    assert told == ["confirmed"] * 3
    assert {**desk.sim.suppliers, **desk.sim.buyers}[stored]["name"] == renamed["name"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("one", "other", "stored"),
    [
        (PATCH_SUPPLIER, PATCH_COUNTERPARTY, SUPPLIER),
        (PATCH_COUNTERPARTY, PATCH_SUPPLIER, SUPPLIER),
        (PATCH_BUYER, PATCH_COUNTERPARTY, BUYER),
        (PATCH_COUNTERPARTY, PATCH_BUYER, BUYER),
    ],
)
async def test_a_change_through_the_other_view_in_between_makes_the_same_change_a_new_one(
    one: str, other: str, stored: str, era: Era, desk: Desk
) -> None:
    """Documented: the deprecated view shows the same records. Ours: A, B, A are three changes, whichever made them."""
    first, second = {"id": stored, "name": "Quay Rope"}, {"id": stored, "name": "Quay Sail"}

    async with desk.open(era) as client:
        told = [
            (await ask(client, tool, change))["status"]
            for tool, change in ((one, first), (one, first), (other, second), (one, first), (one, first))
        ]

    assert told == ["confirmed", "already_submitted", "confirmed", "confirmed", "already_submitted"]
    assert [request.body["name"] for request in changes(desk.sim)] == ["Quay Rope", "Quay Sail", "Quay Rope"]
    assert {**desk.sim.suppliers, **desk.sim.buyers}[stored]["name"] == "Quay Rope"


@pytest.mark.parametrize(("create", "patch"), [(CREATE_SUPPLIER, PATCH_COUNTERPARTY), (CREATE_BUYER, PATCH_BUYER)])
async def test_what_is_created_and_then_changed_is_not_created_again_without_a_word(
    create: str, patch: str, desk: Desk
) -> None:
    """Ours: the ledger adds the new record's id, so that a change of it counts; Finexio refuses the second one."""
    async with desk.open() as client:
        created = await ask(client, create, WRITES[create])
        told = [
            (await ask(client, tool, arguments))["status"]
            for tool, arguments in (
                (create, WRITES[create]),
                (patch, {"id": created["result"]["id"], "name": "Another Co"}),
                (create, WRITES[create]),
            )
        ]

    assert (created["status"], told) == ("confirmed", ["already_submitted", "confirmed", "rejected"])
    assert len(changes(desk.sim)) == 3


@dataclass(frozen=True)
class Owner:
    """Who has contacts, and the tools that add and delete them."""

    create: str
    delete: str

    @property
    def named(self) -> Mapping[str, Any]:
        """The owner, as every call names it."""
        return {name: value for name, value in WRITES[self.create].items() if name in {"supplier_id", "buyer_id"}}

    def references(self, sim: Simulator) -> list[str]:
        (owner,) = self.named.values()
        return [contact["external_reference_id"] for contact in {**sim.suppliers, **sim.buyers}[owner]["contacts"]]


every_owner = pytest.mark.parametrize(
    "owner", [Owner(CREATE_CONTACT, DELETE_CONTACT), Owner(CREATE_BUYER_CONTACT, DELETE_BUYER_CONTACT)], ids=str
)


@every_owner
async def test_a_contact_that_was_deleted_can_be_created_again_at_once(owner: Owner, desk: Desk) -> None:
    """Ours: create, delete, create are three writes, not one and a repeat."""
    create = WRITES[owner.create]
    remove = {**owner.named, "id": create["external_reference_id"]}
    before = owner.references(desk.sim)

    async with desk.open() as client:
        told = [
            (await ask(client, tool, arguments))["status"]
            for tool, arguments in ((owner.create, create), (owner.delete, remove)) * 2
        ]
        told.append((await ask(client, owner.create, create))["status"])

    assert told == ["confirmed"] * 5
    assert owner.references(desk.sim) == [*before, create["external_reference_id"]]


@every_owner
async def test_a_contact_deleted_by_its_id_can_be_created_again_at_once(owner: Owner, desk: Desk) -> None:
    """Ours: an agent naturally holds the id, and it is the same contact."""
    async with desk.open() as client:
        created = await ask(client, owner.create, WRITES[owner.create])
        (contact,) = created["result"]
        await ask(client, owner.delete, {**owner.named, "id": contact["id"]})
        again = await ask(client, owner.create, WRITES[owner.create])

    assert again["status"] == "confirmed"
    assert len(owner.references(desk.sim)) == 2


async def test_a_webhook_that_was_deleted_can_be_created_again_at_once(desk: Desk) -> None:
    """Ours: create, delete, create are three writes, not one and a repeat."""
    desk.sim = office(webhook=False)
    told: list[str] = []

    async with desk.open() as client:
        for _ in range(2):
            created = await ask(client, CREATE_WEBHOOK, HOOK)
            told.append(created["status"])
            told.append((await ask(client, DELETE_WEBHOOK, id=created["result"]["id"]))["status"])
        told.append((await ask(client, CREATE_WEBHOOK, HOOK))["status"])

    assert told == ["confirmed"] * 5
    assert len(desk.sim.webhooks) == 1


@pytest.mark.parametrize("tool", [tool for tool in WRITES if tool != PAY])
async def test_a_change_is_a_repeat_for_ten_minutes_and_anew_after_that(tool: str, desk: Desk) -> None:
    """Ours: an agent repeats within minutes; what is asked later is meant."""
    desk.sim = office_for(tool)

    async with desk.open() as client:
        first = await ask(client, tool, WRITES[tool])
        desk.pass_time(minutes=9)
        soon = await ask(client, tool, WRITES[tool])
        sent_by_then = len(changes(desk.sim))
        desk.pass_time(minutes=2)
        later = await ask(client, tool, WRITES[tool])

    assert (first["status"], soon["status"], sent_by_then) == ("confirmed", "already_submitted", 1)
    assert soon["op_id"] == first["op_id"]
    # What is not there any more, or there already, is refused by Finexio, or not found by the look before.
    found_gone = tool in {DELETE_CONTACT, DELETE_BUYER_CONTACT}
    assert later["status"] in {"confirmed", "rejected"}
    assert len(changes(desk.sim)) == (1 if found_gone else 2)


async def test_an_invoice_is_a_repeat_for_ever(desk: Desk) -> None:
    """Ours: an invoice has a number of its own, so a year changes nothing."""
    async with desk.open() as client:
        first = await pay(client, invoice())
        desk.pass_time(days=300)
        later = await pay(client, invoice())

    assert later["status"] == "already_submitted"
    assert (later["op_id"], later["result"][0]["id"]) == (first["op_id"], first["result"][0]["id"])
    assert paid(desk.sim, "HP-1") == 1


# Late, lost, and alike -----------------------------------------------------------


@pytest.mark.parametrize("shape", ["field", "non_field", "detail"])
@pytest.mark.parametrize("restarted", [False, True], ids=["same server", "restarted"])
async def test_an_invoice_that_lands_after_it_was_given_up_is_found_and_not_paid_twice(
    shape: Any, restarted: bool, desk: Desk
) -> None:
    """Ours: Finexio's refusal of the second attempt may speak of the first one, so it is looked up, not believed."""
    desk.sim.quirks.duplicate_error = shape
    desk.fault(Fault(lands_after=timedelta(hours=1)))

    async with desk.open() as client:
        assert (await pay(client, invoice()))["status"] == "in_doubt"
        await until_absent(desk, client, invoice())
        desk.pass_time(hours=1)
        assert paid(desk.sim, "HP-1") == 1
        again = await pay(client, invoice()) if not restarted else None
    async with desk.open() as client:
        again = again or await pay(client, invoice())
        last = await pay(client, invoice())

    assert again["status"] in {"confirmed", "in_doubt"}
    assert last["status"] == "already_submitted"
    (record,) = [row for row in desk.sim.invoices.values() if row["invoice_number"] == "HP-1"]
    assert last["result"][0]["id"] == record["id"]
    assert paid(desk.sim, "HP-1") == 1
    assert len(changes(desk.sim)) == 2


async def test_an_invoice_given_up_too_early_may_land_after_its_second_attempt_and_is_refused_then(desk: Desk) -> None:
    """Documented: Finexio refuses a number that was submitted, so the late one of the two is the one that fails."""
    desk.fault(Fault(lands_after=timedelta(hours=3)))

    async with desk.open() as client:
        await pay(client, invoice())
        await until_absent(desk, client, invoice())
        again = await pay(client, invoice())
        desk.pass_time(hours=4)
        last = await pay(client, invoice())

    assert (again["status"], last["status"]) == ("confirmed", "already_submitted")
    assert paid(desk.sim, "HP-1") == 1


async def test_an_old_refunded_invoice_of_the_number_is_not_taken_for_the_new_one(desk: Desk) -> None:
    """Ours: what was created long before the send is another invoice, whatever its number and amount."""
    parties = {"originating_counterparty_id": BUYER, "receiving_counterparty_id": SUPPLIER}
    old = desk.sim.add_invoice("old", invoice_number="HP-1", amount_cents=125_00, status="canceled", **parties)
    old |= {
        "can_be_resubmitted": True,
        "created": (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    desk.fault(Fault(reset="before_effect"))

    async with desk.open() as client:
        unseen = [(await pay(client, invoice()))["status"] for _ in range(2)]
        await until_absent(desk, client, invoice())
        desk.fault(Fault(reset="after_effect"))
        seen = await pay(client, invoice())

    assert unseen == ["in_doubt", "in_doubt"]
    assert seen["status"] == "confirmed"
    assert seen["result"][0]["id"] != "old"
    assert paid(desk.sim, "HP-1") == 1


async def test_two_suppliers_may_use_one_number_for_one_amount(desk: Desk) -> None:
    """Ours: the supplier is part of what makes an invoice; the record of one proves nothing about the other."""
    desk.sim.add_supplier("supplier-2", name="Other Paper Co")
    other = invoice(receiving_counterparty_id="supplier-2")

    async with desk.open() as client:
        first = await pay(client, invoice())
        desk.fault(Fault(reset="before_effect"))
        lost = await pay(client, other)
        both = await pay(client, invoice(), other)
        await until_absent(desk, client, other)
        sent = await pay(client, other)

    assert (first["status"], lost["status"], both["status"], sent["status"]) == (
        "confirmed",
        "in_doubt",
        "in_doubt",
        "confirmed",
    )
    assert sent["result"][0]["id"] != first["result"][0]["id"]
    assert paid(desk.sim, "HP-1") == 2


async def test_two_suppliers_in_one_batch_get_their_own_ids(desk: Desk) -> None:
    """Ours: an answer that was lost is looked up supplier by supplier."""
    desk.sim.add_supplier("supplier-2", name="Other Paper Co")
    desk.fault(Fault(lost_answer=True))

    async with desk.open() as client:
        content = await pay(client, invoice(), invoice(receiving_counterparty_id="supplier-2"))

    assert content["status"] == "confirmed"
    assert [desk.sim.invoices[row["id"]]["receiving_counterparty_id"] for row in content["result"]] == [
        SUPPLIER,
        "supplier-2",
    ]


async def test_an_invoice_booked_by_hand_with_another_amount_is_a_conflict_for_a_person(desk: Desk) -> None:
    """Ours: somebody entered that number in the portal meanwhile; nobody may guess which of the two is right."""
    desk.fault(Fault(reset="before_effect"))
    parties = {"originating_counterparty_id": BUYER, "receiving_counterparty_id": SUPPLIER}
    desk.sim.add_invoice("by-hand", invoice_number="HP-1", amount_cents=999_99, **parties)

    async with desk.open() as client:
        told = [(await pay(client, invoice()))["status"] for _ in range(3)]
        found = await stands(client, invoice_number="HP-1")

    assert told == ["conflict"] * 3
    assert found == [("conflict", "found_other")]
    assert len(changes(desk.sim)) == 1


# Batches -------------------------------------------------------------------------

A1, A2, A3 = invoice("A-1", 10_00), invoice("A-2", 20_00), invoice("A-3", 30_00)


async def test_a_batch_with_rows_that_were_sent_before_is_refused_whole_and_names_them(desk: Desk) -> None:
    """Ours: leave these out and send the rest; nobody has to guess which rows went."""
    async with desk.open() as client:
        await pay(client, A1)
        mixed = await pay(client, A2, A1, A3)
        rest = await pay(client, A2, A3)

    assert mixed["error"]["code"] == "not_executed"
    assert rows_of(mixed) == {"A-2": "not_executed", "A-1": "already_submitted", "A-3": "not_executed"}
    assert "Leave these out and send the rest" in mixed["error"]["message"]
    assert rest["status"] == "confirmed"
    assert [paid(desk.sim, number) for number in ("A-1", "A-2", "A-3")] == [1, 1, 1]
    assert len(changes(desk.sim)) == 2


async def test_a_batch_that_is_known_is_answered_row_by_row_in_the_order_asked(desk: Desk) -> None:
    """Ours: rows of several calls, one of them in doubt; nothing is sent, and the worst of them is the status."""
    async with desk.open() as client:
        await pay(client, A3, A1)
        desk.fault(Fault(reset="before_effect"))
        await pay(client, A2)
        mixed = await pay(client, A1, A2, A3)
        good = await pay(client, A1, A3)

    assert mixed["status"] == "in_doubt"
    assert list(rows_of(mixed).items()) == [
        ("A-1", "already_submitted"),
        ("A-2", "in_doubt"),
        ("A-3", "already_submitted"),
    ]
    assert mixed["error"]["may_have_happened"] is True
    assert (good["status"], "error" in good) == ("already_submitted", False)
    assert len(changes(desk.sim)) == 2


CHANGED: Mapping[str, dict[str, Any]] = {
    "amount": {"amount_cents": 125_01},
    "date": {"invoice_date": (datetime.now(UTC) - timedelta(days=9)).date().isoformat()},
    "discount": {"discount_amount_cents": 5},
}


@pytest.mark.parametrize("what", CHANGED)
async def test_a_number_with_another_content_is_a_conflict_and_changes_nothing(what: str, desk: Desk) -> None:
    """Ours: for the caller it is a conflict; the row that was submitted stays what it was."""
    async with desk.open() as client:
        await pay(client, invoice())
        other = await pay(client, invoice() | CHANGED[what])
        batch = await pay(client, A1, invoice() | CHANGED[what])
        found = await stands(client, invoice_number="HP-1")
        same = await pay(client, invoice())

    assert (other["status"], other["error"]["code"], same["status"]) == ("conflict", "conflict", "already_submitted")
    assert other["error"]["fields"][0]["field"] == "invoices[0]"
    assert rows_of(batch) == {"A-1": "not_executed", "HP-1": "conflict"}
    assert found == [("confirmed", "accepted")]
    assert len(changes(desk.sim)) == 1


@pytest.mark.parametrize("state", ["in_doubt", "rejected", "absent"])
async def test_another_content_is_a_conflict_only_while_the_first_may_be_there(state: str, desk: Desk) -> None:
    """Ours: what was refused or never arrived can be corrected and sent; what is in doubt cannot."""
    faults = {"in_doubt": Fault(status=502), "absent": Fault(status=502), "rejected": Fault(status=401)}
    desk.fault(faults[state])

    async with desk.open() as client:
        await pay(client, invoice())
        if state == "absent":
            await until_absent(desk, client, invoice())
        corrected = await pay(client, invoice(amount_cents=99_00))

    assert corrected["status"] == ("conflict" if state == "in_doubt" else "confirmed")
    assert paid(desk.sim, "HP-1") == (0 if state == "in_doubt" else 1)


SPELLINGS = ["hp - 1 a", "HP - 1 A", "  Hp  -  1   a ", "hp -  1 A"]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("lost", [False, True], ids=["confirmed", "in doubt"])
async def test_a_number_written_another_way_is_the_same_invoice(spelling: str, lost: bool, desk: Desk) -> None:
    """Ours: case and blanks make no other invoice."""
    if lost:
        desk.fault(Fault(reset="before_effect"))

    async with desk.open() as client:
        await pay(client, invoice("Hp - 1 a"))
        again = await pay(client, invoice(spelling))

    assert again["status"] == ("in_doubt" if lost else "already_submitted")
    assert len(changes(desk.sim)) == 1


async def test_ids_in_capitals_are_the_same_parties(desk: Desk) -> None:
    """Ours: an id that was copied from elsewhere may be written in other letters."""
    async with desk.open() as client:
        await pay(client, invoice())
        again = await pay(
            client,
            invoice(originating_counterparty_id=BUYER.upper(), receiving_counterparty_id=SUPPLIER.upper()),
        )

    assert again["status"] == "already_submitted"
    assert len(changes(desk.sim)) == 1


async def test_full_width_digits_never_leave(desk: Desk) -> None:
    """Documented: a number holds plain letters and digits; one that only looks so is refused unsent."""
    async with desk.open() as client:
        await pay(client, invoice("HP-1"))
        wide = await pay(client, invoice("HP-\uff11"))

    assert wide["status"] == "rejected"
    assert len(changes(desk.sim)) == 1


async def test_a_number_twice_in_one_batch_is_refused_before_anything_is_sent(desk: Desk) -> None:
    """Ours: one of them is a mistake, and nobody can say which."""
    async with desk.open() as client:
        content = await pay(client, invoice("HP-1"), invoice("hp-1", 1_00))

    assert content["status"] == "rejected"
    assert desk.sim.journal.requests == []


# Before the first byte -----------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_that_leaves_before_the_first_byte_withdraws_the_write(era: Era, desk: Desk) -> None:
    """Ours: while no connection stands, nothing was submitted, and the same call starts anew."""
    door = Door(desk.sim)
    door.before = True

    with anyio.fail_after(10):
        async with desk.open(era, over=door) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pay, client, invoice())
                await door.reached.wait()
                tasks.cancel_scope.cancel()
            while await stands(client) != [("absent", "never_sent")]:
                pass
            bytes_by_then = len(desk.sim.journal.requests)
            door.before = False
            again = await pay(client, invoice())

    assert bytes_by_then == 0
    assert again["status"] == "confirmed"
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_that_leaves_after_the_first_byte_withdraws_nothing(era: Era, desk: Desk) -> None:
    """Ours: the send goes on without its caller, and a repeat is told what came of it."""
    door = Door(desk.sim)
    door.behind = True

    with anyio.fail_after(10):
        async with desk.open(era, over=door) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pay, client, invoice())
                await door.reached.wait()
                tasks.cancel_scope.cancel()
            during = await pay(client, invoice())
            door.may_pass.set()
            while (after := (await pay(client, invoice()))["status"]) == "in_progress":
                pass

    assert (during["status"], after) == ("in_progress", "already_submitted")
    assert len(changes(desk.sim)) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_that_leaves_while_its_turn_has_not_come_withdraws_the_write(era: Era, desk: Desk) -> None:
    """Ours: the rate limit is waited for before the ledger calls it sent."""
    with anyio.fail_after(10):
        async with desk.open(era, FINEXIO_MCP_RATE=0.05, FINEXIO_MCP_RATE_BURST=1) as client:
            await pay(client, invoice("OLD-2", 10_00))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(pay, client, invoice())
                while await stands(client, invoice_number="HP-1") != [("intended", None)]:
                    pass
                tasks.cancel_scope.cancel()
            while await stands(client, invoice_number="HP-1") != [("absent", "never_sent")]:
                pass

    assert paid(desk.sim, "HP-1") == 0


async def test_a_write_whose_turn_comes_too_late_leaves_nothing(desk: Desk) -> None:
    """Ours: there is no time left to wait for an answer, so it is not sent at all."""
    async with desk.open(FINEXIO_MCP_RATE=0.005, FINEXIO_MCP_RATE_BURST=1) as client:
        await pay(client, invoice("OLD-2", 10_00))
        content = await pay(client, invoice())
        states = await stands(client, invoice_number="HP-1")

    assert (content["status"], content["error"]["may_have_happened"]) == ("not_executed", False)
    assert states == [("absent", "never_sent")]
    assert len(changes(desk.sim)) == 1


@pytest.mark.parametrize(
    "refused", [invoice(amount_cents=0), invoice(currency="EUR"), invoice(amount_cents=200_01)], ids=str
)
async def test_what_is_refused_before_the_ledger_leaves_no_row_in_it(refused: dict[str, Any], desk: Desk) -> None:
    """Ours: arguments and the operator's limits come first; a corrected call is not in anybody's way."""
    async with desk.open(FINEXIO_MCP_MAX_INVOICE_CENTS=200_00) as client:
        content = await pay(client, refused)
        states = await stands(client)
        corrected = await pay(client, invoice())

    assert content["status"] in {"rejected", "refused_by_policy"}
    assert states == []
    assert corrected["status"] == "confirmed"
    assert len(changes(desk.sim)) == 1


class Blind(Door):
    """Takes writes, and lets nobody look."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            await self._wait()
        return await super().handle_async_request(request)


async def test_a_look_that_hangs_keeps_nobody_waiting_and_frees_nothing(desk: Desk) -> None:
    """Ours: the caller hears that it is not known yet; once Finexio can be read again, what became of it."""
    door = Blind(desk.sim)
    desk.fault(Fault(lost_answer=True))

    async with desk.open(over=door, FINEXIO_MCP_ANSWER_SECONDS=0.3) as client:
        told = [(await pay(client, invoice()))["status"] for _ in range(3)]
        door.may_pass.set()
        with anyio.fail_after(10):
            while (last := (await pay(client, invoice()))["status"]) != "already_submitted":
                assert last in {"in_doubt", "in_progress"}

    assert set(told) <= {"in_doubt", "in_progress"}
    assert len(changes(desk.sim)) == 1


async def test_a_ledger_that_fails_at_the_last_step_lets_no_byte_pass(desk: Desk) -> None:
    """Ours: what the ledger does not have as sent does not leave."""
    door = Door(desk.sim)
    door.before = True
    aside = desk.file.with_name("aside.db")
    told: list[Content] = []

    async def ask_for_it(client: Client) -> None:
        told.append(await pay(client, invoice()))

    async with desk.open(over=door) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_for_it, client)
            await door.reached.wait()
            desk.file.rename(aside)
            door.may_pass.set()
        aside.rename(desk.file)
        bytes_by_then = len(desk.sim.journal.requests)
        door.before = False
        desk.pass_time(minutes=5)
        again = await pay(client, invoice())

    assert (told[0]["status"], bytes_by_then) == ("ledger_unavailable", 0)
    assert again["status"] == "confirmed"
    assert paid(desk.sim, "HP-1") == 1


@pytest.mark.parametrize("jump", [(6.0, 6.0), (0.0, 6.0), (0.0, -6.0), (0.0, 86_400.0), (6.0, 0.0)])
async def test_a_process_that_was_held_up_between_the_ledger_and_the_first_byte_sends_nothing(
    jump: tuple[float, float], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: more than five seconds by either clock, forwards or back, and who knows who else has acted since."""
    mark_sent = Store.mark_sent

    def held_up(store: Store, op_id: str, *, lease_ms: int) -> bool:
        marked = mark_sent(store, op_id, lease_ms=lease_ms)
        monotonic, wall = jump
        desk.clock.now += monotonic
        desk.clock.wall_ahead += wall - monotonic
        return marked

    monkeypatch.setattr(Store, "mark_sent", held_up)
    async with desk.open() as client:
        held = await pay(client, invoice())
        found = await stands(client)
    bytes_by_then = len(desk.sim.journal.requests)
    monkeypatch.setattr(Store, "mark_sent", mark_sent)
    async with desk.open() as client:
        again = await pay(client, invoice())

    assert (held["status"], held["error"]["may_have_happened"], bytes_by_then) == ("not_executed", False, 0)
    assert found == [("rejected", "never_sent")]
    assert again["status"] == "confirmed"
    assert paid(desk.sim, "HP-1") == 1


async def test_a_hold_up_of_four_seconds_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a slow disk alone stops no payment."""
    mark_sent = Store.mark_sent

    def slow(store: Store, op_id: str, *, lease_ms: int) -> bool:
        desk.clock.now += 4
        return mark_sent(store, op_id, lease_ms=lease_ms)

    monkeypatch.setattr(Store, "mark_sent", slow)
    async with desk.open() as client:
        content = await pay(client, invoice())

    assert content["status"] == "confirmed"


@pytest.mark.parametrize("tool", [PAY, PATCH_COUNTERPARTY, PATCH_SUPPLIER])
async def test_a_process_that_was_taken_over_sends_nothing(tool: str, desk: Desk) -> None:
    """Ours: a process that slept through its lease finds its place taken; the other one has sent it meanwhile."""
    door = Door(desk.sim)
    door.before = True
    told: list[Content] = []

    async def ask_for_it(client: Client) -> None:
        told.append(await ask(client, tool, WRITES[tool]))

    async with desk.open(over=door) as sleeper, desk.open() as other, anyio.create_task_group() as tasks:
        tasks.start_soon(ask_for_it, sleeper)
        await door.reached.wait()
        await ask_for_it(other)
        desk.pass_time(minutes=4)
        await ask_for_it(other)
        door.may_pass.set()

    assert [content["status"] for content in told] == ["in_progress", "confirmed", "not_executed"]
    assert (len(changes(desk.sim)), landed(desk.sim)) == (1, 1)


@pytest.mark.parametrize("tool", WRITES)
async def test_of_calls_at_the_same_moment_one_is_sent(tool: str, desk: Desk) -> None:
    """Ours: two servers on one ledger, four callers each; one of them sends, the others are told so."""
    desk.sim = office_for(tool)
    told: list[str] = []

    async def ask_for_it(client: Client) -> None:
        told.append((await ask(client, tool, WRITES[tool]))["status"])

    async with desk.open() as first, desk.open() as second, anyio.create_task_group() as tasks:
        for client in (first, second) * 4:
            tasks.start_soon(ask_for_it, client)

    assert (len(changes(desk.sim)), landed(desk.sim)) == (1, 1)
    assert told.count("confirmed") == 1
    assert set(told) <= {"confirmed", "in_progress", "already_submitted"}
