"""The simulator takes and answers every operation of the contract as the description has it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from urllib.parse import quote

import anyio
import httpx2
import pytest

from finexio_mcp.simulator import Simulator
from tests.contract import samples
from tests.contract.bodies import BODIES
from tests.contract.validator import METHODS, Violations, check_answer, routes
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
