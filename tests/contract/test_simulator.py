"""The simulator takes and answers every operation of the contract as the description has it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import product
from typing import Any
from urllib.parse import quote

import anyio
import httpx2
import pytest

from finexio_mcp.simulator import Simulator, rules, views
from tests.contract import samples
from tests.contract.bodies import (
    ADDRESS,
    BANK,
    BODIES,
    BUYER_BOUNDS,
    BUYER_CASES,
    DRAWDOWN,
    OWNER,
    READY_BUYER,
    READY_SUPPLIER,
    SUPPLIER_BOUNDS,
    SUPPLIER_CASES,
    Arguments,
)
from tests.contract.validator import METHODS, Violations, check_answer, description, routes
from tests.contract.world import judged, small_world

Pairs = Sequence[tuple[str, str]]

OPERATIONS: Mapping[str, tuple[str, str]] = {
    route.item[method]["operationId"]: (method.upper(), route.template)
    for route in routes()
    for method in METHODS
    if method in route.item
}

BY_ID = [name for name, (method, path) in OPERATIONS.items() if method == "GET" and "{" in path]
LISTS = [name for name, (method, path) in OPERATIONS.items() if method == "GET" and "{" not in path]

CONTACT = quote(samples.CONTACT_REFERENCE, safe="")
BUYER_CONTACT = "S7-CFO"

# Parameters that an operation is asked with; one that is not here is asked with none.
QUERIES: Mapping[str, Pairs] = {
    "listCounterparties": [("type", "Supplier"), ("name", "a"), ("updated_after", "2020-01-01"), ("page", "1")],
    "listHistory": [("object_id", samples.SUPPLIER_ID)],
    "listSuppliers": [("enabled", "true"), ("external_reference_id", "WHARF-12"), ("updated_after", "2020-01-01")],
    "listBuyers": [("external_reference_id", "STORE-1"), ("page", "1")],
    "listPayments": [("status", "settled"), ("created_start", "2020-01-01T00:00:00"), ("refunded", "false")],
    "getPaymentImages": [("checkImageType", "Issued")],
    "listDrawdowns": [("status", "received"), ("amount_cents_start", "0"), ("created_start", "2020-01-01")],
    "getDrawdown": [("page", "1")],
}

# Answers that the vendor's sources disagree about: a switch of the simulator, and the operation that shows it.
SHAPES: list[tuple[str, str, object]] = [
    ("listHistory", "history_shape", "spec"),
    ("listHistory", "history_shape", "snapshot"),
    ("createInvoices", "batch_answers", "object"),
    ("getPaymentImages", "image_shape", "array"),
    ("getDrawdown", "drawdown_by_id_shape", "envelope"),
    ("getDrawdown", "drawdown_by_id_shape", "array"),
    ("listDrawdownPayments", "drawdown_payments_shape", "object"),
    ("listDrawdownPayments", "drawdown_payments_shape", "array"),
    ("replaceWebhook", "webhook_put_empty", False),
    ("patchWebhook", "webhook_put_empty", False),
    ("createSupplierContacts", "created_contact_ids_null", True),
    ("listInvoices", "invoice_status_shown", False),
]


@asynccontextmanager
async def talking_to(sim: Simulator, password: str = "demo") -> AsyncGenerator[httpx2.AsyncClient]:
    auth = httpx2.BasicAuth("demo", password)
    with anyio.fail_after(5):
        async with httpx2.AsyncClient(transport=sim.transport(), base_url=sim.base_url, auth=auth) as client:
            yield client


def path_to(operation: str, *, unknown: bool = False) -> str:
    """The path below /v2, its variables filled with what the small world holds, or with what nobody holds."""
    ids = {
        "id": samples.BUYER_ID if "/buyers/" in OPERATIONS[operation][1] else samples.SUPPLIER_ID,
        "external_reference_id": BUYER_CONTACT if "/buyers/" in OPERATIONS[operation][1] else CONTACT,
        "key": samples.PAYMENT_ID if "/payments/" in OPERATIONS[operation][1] else samples.INVOICE_ID,
        "uuid": samples.WEBHOOK_ID,
        "processor_request_id": samples.DRAWDOWN_ID,
    }
    return OPERATIONS[operation][1].format_map(dict.fromkeys(ids, "nobody") if unknown else ids)


async def ask(client: httpx2.AsyncClient, operation: str, query: Pairs | None = None) -> httpx2.Response:
    params = query if query is not None else QUERIES.get(operation, [])
    method, path, body = OPERATIONS[operation][0], path_to(operation), BODIES.get(operation)
    content = {} if body is None else {"json": body}
    return await client.request(method, path.lstrip("/"), params=httpx2.QueryParams(list(params)), **content)


def judged_answer(answer: httpx2.Response) -> Violations:
    path = answer.request.url.raw_path.decode().partition("?")[0]
    return check_answer(answer.request.method, path, answer.status_code, answer.content)


def world_for(operation: str) -> Simulator:
    sim = small_world(operation)
    sim.add_contact(samples.BUYER_ID, external_reference_id=BUYER_CONTACT, primary=True)
    sim.journal.clear()
    return sim


@cache
def populated_world() -> Simulator:
    """Built once, since what is tested with it only reads."""
    return Simulator(seed=1, now=samples.NOW)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_operation_is_taken_and_answered_as_described(operation: str) -> None:
    """Documented: 39 operations, their paths, statuses and shapes."""
    sim = world_for(operation)

    async with talking_to(sim) as client:
        answer = await ask(client, operation)

    assert answer.is_success, answer.text
    assert judged_answer(answer) == []
    assert [judged(request) for request in sim.journal.requests] == [[]]


@pytest.mark.parametrize(("operation", "switch", "position"), SHAPES)
async def test_every_shape_that_sources_name_is_described(operation: str, switch: str, position: object) -> None:
    """Known gap: the vendor's sources disagree, so each of these may be true."""
    sim = world_for(operation)
    setattr(sim.quirks, switch, position)

    async with talking_to(sim) as client:
        answer = await ask(client, operation)

    assert answer.is_success, answer.text
    assert judged_answer(answer) == []


@pytest.mark.parametrize("operation", LISTS)
async def test_the_rows_of_a_populated_list_are_as_described(operation: str) -> None:
    """Documented: pages of 100 rows, each row whole. The first two pages stand for the rest."""
    sim = populated_world()
    needed = [("created_start", "2020-01-01")] if operation == "listDrawdowns" else []

    async with talking_to(sim) as client:
        first = await ask(client, operation, [*needed, ("page", "1")])
        second = await ask(client, operation, [*needed, ("page", "2")]) if first.json()["next"] else None

    count = first.json()["count"]
    assert len(first.json()["results"]) == min(count, 100) > 0
    assert (second is not None) is (count > 100)
    assert [judged_answer(answer) for answer in (first, second) if answer] == [[]] * (2 if second else 1)


async def test_payments_in_every_state_are_as_described() -> None:
    """Documented: one shape for a payment, whatever became of it."""
    sim = populated_world()
    states = {(row["status"], row["payment_method"]): row["id"] for row in sim.payments.values()}

    async with talking_to(sim) as client:
        answers = [await client.get(f"payments/{key}/") for key in states.values()]
        images = [await client.get(f"payments/{key}/images") for key in states.values()]

    assert {status for status, _ in states} >= {"pending", "in-progress", "settled", "canceled", "failed"}
    assert [line for answer in answers + images for line in judged_answer(answer)] == []


async def test_wrong_credentials_are_refused_as_described() -> None:
    """Documented: 403 and a text, on every operation, and nothing happens."""
    sim = world_for("")

    async with talking_to(sim, password="wrong") as client:
        answers = {operation: await ask(client, operation) for operation in OPERATIONS}

    for operation, answer in answers.items():
        assert (answer.status_code, answer.json()) == (403, {"detail": "Invalid username/password."}), operation
        assert judged_answer(answer) == [], operation
    assert sim.journal.effects == []


async def test_an_unknown_id_is_refused_as_described() -> None:
    """Documented: 404 for a record that is not there."""
    async with talking_to(world_for("")) as client:
        answers = {name: await client.get(path_to(name, unknown=True).lstrip("/")) for name in BY_ID}

    for operation, answer in answers.items():
        assert (answer.status_code, judged_answer(answer)) == (404, []), operation


@pytest.mark.parametrize("operation", BODIES)
async def test_a_bad_body_is_refused_as_described(operation: str) -> None:
    """Documented: 400 on a body of the wrong shape, and nothing happens."""
    sim = world_for(operation)
    method, path = OPERATIONS[operation][0], path_to(operation)
    row = {"primary": "perhaps", "payment_terms": -1, "url": 1, "state": "XX"}

    async with talking_to(sim) as client:
        answer = await client.request(
            method, path.lstrip("/"), json=[row] if isinstance(BODIES[operation], list) else row
        )

    assert answer.status_code == 400, answer.text
    assert judged_answer(answer) == []
    assert sim.journal.effects == []


# --- The rules of suppliers and buyers ---------------------------------------------------------------------------

WRITES = {"create": "POST", "replace": "PUT", "patch": "PATCH"}
ONE_SUPPLIER, ONE_BUYER = "suppliers/s-1/", "buyers/b-1/"


def ready_world() -> Simulator:
    """A supplier and a buyer that lack nothing, whatever the method."""
    sim = Simulator(seed=1, now=samples.NOW, populated=False)
    sim.add_supplier("s-1", **READY_SUPPLIER)
    sim.add_buyer("b-1", **READY_BUYER)
    return sim


async def write(client: httpx2.AsyncClient, kind: str, verb: str, body: Arguments) -> httpx2.Response:
    """Write one supplier or buyer; a created one has a reference of its own unless it is the reference we test."""
    path = kind if verb == "create" else {"suppliers": ONE_SUPPLIER, "buyers": ONE_BUYER}[kind]
    return await client.request(WRITES[verb], f"counterparties/{path}", json=body)


def whole(kind: str, verb: str) -> Arguments:
    body = READY_SUPPLIER if kind == "suppliers" else READY_BUYER
    return {} if verb == "patch" else body | ({"external_reference_id": "NEW"} if verb == "create" else {})


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize(
    ("kind", "field", "refused", "taken"),
    [*(("suppliers", *row) for row in SUPPLIER_BOUNDS), *(("buyers", *row) for row in BUYER_BOUNDS)],
    ids=lambda value: str(value)[:24],
)
async def test_each_field_of_a_supplier_or_buyer_has_its_bounds(
    verb: str, kind: str, field: str, refused: list[Any], taken: list[Any]
) -> None:
    """Documented: every field of both tables, whichever way it is written."""
    for value in taken:
        async with talking_to(ready_world()) as client:
            answer = await write(client, kind, verb, whole(kind, verb) | {field: value})
        assert (answer.status_code, judged_answer(answer)) == (200, []), (value, answer.text)

    sim = ready_world()
    async with talking_to(sim) as client:
        for value in refused:
            answer = await write(client, kind, verb, whole(kind, verb) | {field: value})
            where = {field, "non_field_errors"} if field == "contacts" else {field}
            assert (answer.status_code, judged_answer(answer)) == (400, []), value
            assert set(answer.json()) <= where, (value, answer.text)
    assert sim.journal.effects == []


@pytest.mark.parametrize("verb", ["create", "replace"])
@pytest.mark.parametrize(
    ("kind", "sent", "missing"),
    [*(("suppliers", *case) for case in SUPPLIER_CASES), *(("buyers", *case) for case in BUYER_CASES)],
    ids=str,
)
async def test_a_method_needs_its_fields_as_they_are_sent(
    verb: str, kind: str, sent: Arguments, missing: set[str]
) -> None:
    """Documented: what each payment, delivery or funding method makes necessary; an empty value is none."""
    drop = {*BANK, *ADDRESS, *DRAWDOWN, "remit_email", "delivery_method", "payment_method", "funding_method"}
    bare = {name: value for name, value in whole(kind, verb).items() if name not in drop}

    async with talking_to(ready_world()) as client:
        answer = await write(client, kind, verb, bare | sent)

    assert answer.status_code == (400 if missing else 200), answer.text
    assert not missing or set(answer.json()) == missing


def present(**fields: Any) -> Arguments:
    return {name: value for name, value in fields.items() if value != "absent"}


@pytest.mark.parametrize("verb", ["create", "replace"])
@pytest.mark.parametrize("method", ["ACH", "Card", "Check", "Wire", "FinexioExpress"])
async def test_the_description_and_the_simulator_agree_on_every_way_to_pay(verb: str, method: str) -> None:
    """Ours: one rule written twice, by schema and by code, so that neither is believed alone."""
    rest = {
        name: value for name, value in whole("suppliers", verb).items() if name in ("name", "external_reference_id")
    }
    ways = product(
        ["absent", None, "Mail", "Email", "Portal", "Phone"],
        ["absent", "", "a@b.example"],
        ["absent", "000123456789"],
        ["absent", "", "36602"],
    )
    verdicts: dict[bool, int] = {True: 0, False: 0}
    for number, (delivery, mail, account, zipcode) in enumerate(ways):
        body = rest | {"payment_method": method, "bank_routing_number": "021000021", **ADDRESS}
        body |= present(delivery_method=delivery, remit_email=mail, bank_account_number=account)
        body.pop("remit_zipcode")
        body |= present(remit_zipcode=zipcode)
        if verb == "create":
            body["external_reference_id"] = f"NEW-{number}"
        sim = ready_world()
        async with talking_to(sim) as client:
            answer = await write(client, "suppliers", verb, body)
        good = judged(sim.journal.requests[0]) == []
        assert answer.is_success is good, (body, answer.text)
        verdicts[good] += 1
    assert min(verdicts.values()) > 0


async def test_the_description_and_the_simulator_agree_on_every_owner() -> None:
    """Ours: as above, for the papers of a buyer's owners."""
    papers = product(["USA", "CAN"], ["absent", "", "000-00-0000"], ["absent", "", "X1"], ["absent", "", "CAN"])
    verdicts: dict[bool, int] = {True: 0, False: 0}
    for country, ssn, passport, passport_country in papers:
        owner = {name: value for name, value in OWNER.items() if name != "ssn"} | {"country_code": country}
        owner |= present(ssn=ssn, passport=passport, passport_country=passport_country)
        sim = ready_world()
        async with talking_to(sim) as client:
            answer = await write(client, "buyers", "patch", {"owners": [owner]})
        good = judged(sim.journal.requests[0]) == []
        assert answer.is_success is good, (owner, answer.text)
        verdicts[good] += 1
    assert min(verdicts.values()) > 0


def test_the_description_and_the_simulator_know_the_same_fields() -> None:
    """Ours: a field forgotten in one of them would be dropped, or refused, without a word."""
    described = {
        name: set(part["properties"])
        for name, part in description()["components"]["schemas"].items()
        if "properties" in part
    }

    assert described["SupplierWrite"] == {*rules.SUPPLIER, "contacts"}
    assert described["BuyerWrite"] == {*rules.BUYER, "contacts"}
    assert described["Owner"] == {*rules.OWNER}
    assert described["SupplierContactWrite"] == {*rules.SUPPLIER_CONTACT}
    assert described["BuyerContactWrite"] == {*rules.BUYER_CONTACT}
    world = ready_world()
    assert set(views.supplier(world.suppliers["s-1"])) == described["Supplier"]
    assert set(views.buyer(world.buyers["b-1"])) == described["Buyer"]


async def test_a_page_past_the_end_is_refused_as_described() -> None:
    """Documented: 404 on a list."""
    async with talking_to(world_for("")) as client:
        answers = {name: await ask(client, name, [*QUERIES.get(name, [])[:1], ("page", "99")]) for name in LISTS}

    for operation, answer in answers.items():
        assert (answer.status_code, judged_answer(answer)) == (404, []), operation


async def test_a_wrong_slash_never_does_the_thing() -> None:
    """Documented: paths carry a trailing slash or none; the other spelling is another path."""
    sim = world_for("")

    async with talking_to(sim) as client:
        for operation, (method, _) in OPERATIONS.items():
            path = path_to(operation)
            wrong = path.removesuffix("/") if path.endswith("/") else f"{path}/"
            answer = await client.request(method, wrong.lstrip("/"), json=BODIES.get(operation))
            assert not answer.is_success, operation

    assert len(sim.journal.requests) == len(OPERATIONS)
    assert all("slash is wrong" in judged(request)[0] for request in sim.journal.requests)
    assert sim.journal.effects == []


def test_every_quirk_named_here_is_one_of_the_simulator() -> None:
    """Ours: a switch that was renamed would otherwise be set on nothing."""
    quirks = Simulator(seed=1, now=samples.NOW, populated=False).quirks

    assert all(hasattr(quirks, switch) for _, switch, _ in SHAPES)
