"""How these tests call: a small office that pays one supplier, a clock that never waits, a scripted upstream."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx2
import mcp_types as types
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.server import Server

from finexio_mcp.catalog import read
from finexio_mcp.clock import Clock
from finexio_mcp.hub import Hub
from finexio_mcp.server import build_server
from finexio_mcp.simulator import RequestRecord, Simulator
from tests.conftest import Era, simulator_settings

Arguments = Mapping[str, Any]
Content = dict[str, Any]

TODAY = datetime.now(UTC).date().isoformat()

BUYER, SUPPLIER, INVOICE, PAYMENT, DRAWDOWN, WEBHOOK = (
    "buyer-1",
    "supplier-1",
    "invoice-1",
    "payment-1",
    "DJ01",
    "hook-1",
)
CONTACT, REFERENCE = "contact-1", "HP-AR"
BUYER_CONTACT, BUYER_REFERENCE = "contact-2", "S1-CFO"

PAY = "finexio_invoices_bulk_create"
CREATE_COUNTERPARTY = "create_a_finexio_counterparty"
REPLACE_COUNTERPARTY = "update_a_finexio_counterparty_by_id"
PATCH_COUNTERPARTY = "finexio_counterparties_partial_update"
CREATE_CONTACT = "create_a_finexio_supplier_contact"
UPDATE_CONTACT = "update_a_finexio_supplier_contact_by_id"
DELETE_CONTACT = "delete_a_finexio_supplier_contact_by_id"
CREATE_WEBHOOK = "create_a_finexio_webhook"
REPLACE_WEBHOOK = "update_a_finexio_webhook_by_id"
PATCH_WEBHOOK = "finexio_webhooks_partial_update"
DELETE_WEBHOOK = "delete_a_finexio_webhook_by_id"
CREATE_SUPPLIER = "create_a_finexio_supplier"
REPLACE_SUPPLIER = "update_a_finexio_supplier_by_id"
PATCH_SUPPLIER = "finexio_suppliers_partial_update"
CREATE_BUYER = "create_a_finexio_buyer"
REPLACE_BUYER = "update_a_finexio_buyer_by_id"
PATCH_BUYER = "finexio_buyers_partial_update"
CREATE_BUYER_CONTACT = "create_a_finexio_buyer_contact"
UPDATE_BUYER_CONTACT = "update_a_finexio_buyer_contact_by_id"
DELETE_BUYER_CONTACT = "delete_a_finexio_buyer_contact_by_id"

EVERY_TOOL = {"FINEXIO_MCP_TOOLSETS": "core,suppliers,buyers,ledger,chatgpt"}
"""The setting under which nothing is off."""

HOOK = {
    "event": "payment.changed",
    "url": "https://hooks.acme.example/fx",
    "username": "fx-in",
    "password": "let me in",
}
VENDOR = {"name": "Quay Rope Co", "type": "Supplier", "internal_id": "QUAY-9"}
PAYEE = {
    "name": "Quay Sail Co",
    "external_reference_id": "SAIL-9",
    "payment_method": "Card",
    "delivery_method": "Portal",
}
PAYER = {
    "name": "Store Nine LLC",
    "external_reference_id": "STORE-9",
    "tax_id": "00-7654321",
    "funding_method": "wire",
    "address_1": "9 Main St",
    "city": "Boise",
    "state": "ID",
    "zipcode": "83702",
    "country": "USA",
}


def invoice(number: str = "HP-1", amount_cents: int = 125_00, **fields: Any) -> dict[str, Any]:
    """One invoice as a caller would submit it."""
    parties = {"originating_counterparty_id": BUYER, "receiving_counterparty_id": SUPPLIER}
    return {"invoice_number": number, "amount_cents": amount_cents, "invoice_date": TODAY, **parties, **fields}


WRITES: Mapping[str, Arguments] = {
    PAY: {"invoices": [invoice()]},
    CREATE_COUNTERPARTY: VENDOR,
    REPLACE_COUNTERPARTY: {"id": SUPPLIER, **VENDOR},
    PATCH_COUNTERPARTY: {"id": SUPPLIER, "payment_terms": 45},
    CREATE_CONTACT: {"supplier_id": SUPPLIER, "primary": False, "name": "Ida Moss", "external_reference_id": "HP-2"},
    UPDATE_CONTACT: {"supplier_id": SUPPLIER, "id": REFERENCE, "primary": True, "name": "Rae Holt"},
    DELETE_CONTACT: {"supplier_id": SUPPLIER, "id": REFERENCE},
    CREATE_WEBHOOK: HOOK,
    REPLACE_WEBHOOK: {"id": WEBHOOK, **HOOK},
    PATCH_WEBHOOK: {"id": WEBHOOK, "payment_status": True},
    DELETE_WEBHOOK: {"id": WEBHOOK},
    CREATE_SUPPLIER: PAYEE,
    REPLACE_SUPPLIER: {"id": SUPPLIER, **PAYEE, "external_reference_id": "SAIL-10"},
    PATCH_SUPPLIER: {"id": SUPPLIER, "care_of": "Rae Lund"},
    CREATE_BUYER: PAYER,
    REPLACE_BUYER: {"id": BUYER, **PAYER, "external_reference_id": "STORE-10"},
    PATCH_BUYER: {"id": BUYER, "dba_name": "Store One"},
    CREATE_BUYER_CONTACT: {"buyer_id": BUYER, "primary": False, "name": "Ida Moss", "external_reference_id": "S1-2"},
    UPDATE_BUYER_CONTACT: {"buyer_id": BUYER, "id": BUYER_REFERENCE, "primary": True, "name": "Rae Holt"},
    DELETE_BUYER_CONTACT: {"buyer_id": BUYER, "id": BUYER_REFERENCE},
}
"""Every tool that changes something, with arguments that the office takes."""

LIKE_ANOTHER = frozenset({CREATE_BUYER, REPLACE_BUYER, PATCH_BUYER, CREATE_BUYER_CONTACT, DELETE_BUYER_CONTACT})
"""A buyer is written as a supplier is, and its contacts as a supplier's are."""
EACH_SHAPE = tuple(tool for tool in WRITES if tool not in LIKE_ANOTHER)
"""For the longest of the matrices; every other one takes them all."""

READS: Mapping[str, Arguments] = {
    "list_all_finexio_counterparties": {},
    "get_single_finexio_counterparty_by_id": {"id": SUPPLIER},
    "list_all_finexio_counterparty_history": {},
    "list_all_finexio_invoices": {},
    "get_single_finexio_invoice_by_id": {"id": INVOICE},
    "list_all_finexio_payments": {},
    "get_single_finexio_payment_by_id": {"id": PAYMENT},
    "get_single_finexio_payment_image_by_id": {"payment_id": PAYMENT},
    "list_all_finexio_payment_images": {"payment_id": PAYMENT},
    "list_all_finexio_drawdowns": {"status": "received"},
    "get_single_finexio_drawdown_by_id": {"id": DRAWDOWN},
    "list_all_finexio_drawdown_payments": {"processor_request_id": DRAWDOWN},
    "list_all_finexio_supplier_contacts": {"supplier_id": SUPPLIER},
    "list_all_finexio_webhooks": {},
    "get_single_finexio_webhook_by_id": {"id": WEBHOOK},
    "list_all_finexio_suppliers": {},
    "get_single_finexio_supplier_by_id": {"id": SUPPLIER},
    "list_all_finexio_buyers": {},
    "get_single_finexio_buyer_by_id": {"id": BUYER},
    "list_all_finexio_buyer_contacts": {"buyer_id": BUYER},
    "search": {"query": "OLD-1"},
    "fetch": {"id": f"invoice:{INVOICE}"},
}
"""Every tool that only looks at Finexio."""

BARE = frozenset({"search", "fetch"})
"""Those whose answers have no envelope, since their hosts prescribe the shape."""

OWN = frozenset({"find_finexio_submissions", "get_finexio_submission"})
"""Those that only look into our own ledger."""


async def at_once(_seconds: float) -> None:
    """A pause that takes no time."""
    await anyio.lowlevel.checkpoint()


def office(*, webhook: bool = True) -> Simulator:
    """Books in which every id above exists."""
    sim = Simulator(seed=1, populated=False, sleep=at_once)
    sim.add_buyer(BUYER, external_reference_id="STORE-1")
    sim.add_supplier(SUPPLIER, external_reference_id="HARBOR-1", name="Harbor Paper Co")
    sim.add_contact(
        SUPPLIER, id=CONTACT, external_reference_id=REFERENCE, name="Rae Lund", email="rae@harbor.example", primary=True
    )
    sim.add_contact(BUYER, id=BUYER_CONTACT, external_reference_id=BUYER_REFERENCE, name="Rae Lund", primary=True)
    parties = {"originating_counterparty_id": BUYER, "receiving_counterparty_id": SUPPLIER}
    sim.add_invoice(INVOICE, invoice_number="OLD-1", amount_cents=50_00, status="complete", **parties)
    sim.add_payment(PAYMENT, invoice_ids=[INVOICE], status="settled")
    sim.add_drawdown(DRAWDOWN, payments=[PAYMENT])
    sim.add_history(object_id=SUPPLIER)
    if webhook:
        sim.add_webhook(WEBHOOK)
    sim.journal.clear()
    return sim


def office_for(tool: str) -> Simulator:
    """The office before `tool` is called; Finexio takes one webhook per event, so creating one needs none there."""
    return office(webhook=tool != CREATE_WEBHOOK)


def changes(sim: Simulator) -> list[RequestRecord]:
    """The requests that could have changed something."""
    return [request for request in sim.journal.requests if request.method != "GET"]


# Calling -----------------------------------------------------------------------


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


@cache
def _output_schema(tool: str) -> Any:
    return Draft202012Validator(read()[tool].entry["outputSchema"])


async def ask(client: Client, tool: str, arguments: Arguments | None = None, /, **more: Any) -> Content:
    """What a call answers; its text is checked to be the same, as JSON that any reader takes.

    The SDK's own check of results is left out: it builds a validator for each connection, which takes longer than
    the call, and it looks at successes alone. Here failures keep the schema too, as some clients demand.
    """
    params = types.CallToolRequestParams(name=tool, arguments={**(arguments or {}), **more})
    with anyio.fail_after(10):
        answer = await client.session.send_request(types.CallToolRequest(params=params), types.CallToolResult)
    (block,) = answer.content
    assert block.type == "text"
    content = cast("Content", answer.structured_content)
    assert json.loads(block.text, parse_constant=_no_constant) == content
    assert answer.is_error is ("error" in content)
    _output_schema(tool).validate(content)
    return content


WALL = datetime.now(UTC).timestamp() - 1_000.0


class FakeClock(Clock):
    """Time that passes only while someone sleeps, and then at once."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await anyio.lowlevel.checkpoint()


@contextlib.asynccontextmanager
async def connect_at(
    clock: Clock, upstream: Simulator | httpx2.AsyncBaseTransport, era: Era = "auto", **settings: Any
) -> AsyncGenerator[Client]:
    """As `connect`, with time in the test's hand, and with every toolset."""
    transport = upstream.transport() if isinstance(upstream, Simulator) else upstream
    chosen = simulator_settings(**{**EVERY_TOOL, **settings})

    @contextlib.asynccontextmanager
    async def lifespan(_server: Server[Hub]) -> AsyncGenerator[Hub]:
        async with Hub(chosen, transport, clock=clock) as hub:
            yield hub

    async with Client(build_server(chosen, lifespan=lifespan), mode=era) as client:
        yield client


# Upstreams that the simulator cannot play --------------------------------------

Reply = httpx2.Response | Exception
Respond = Callable[[httpx2.Request], Reply]


class Upstream(httpx2.AsyncBaseTransport):
    """Answers by a script, its last line for ever, and remembers what it was asked. It fires no trace events."""

    def __init__(self, *script: Reply | Respond) -> None:
        self._script = list(script)
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        self.requests.append(request)
        line = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        reply = line(request) if callable(line) else line
        if isinstance(reply, Exception):
            raise reply
        # A response can be read once; a script may repeat it.
        return httpx2.Response(reply.status_code, headers=reply.headers, content=reply.content)


def reply(status: int = 200, body: Any = None, **headers: str) -> httpx2.Response:
    """An answer: JSON, or bytes as they are; underscores in header names stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return httpx2.Response(status, headers=named, content=content)


class Silent(httpx2.AsyncBaseTransport):
    """Tells one step at most, then never says anything again."""

    def __init__(self, step: str | None = None) -> None:
        self._step = step

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._step is not None:
            await request.extensions["trace"](self._step, {})
        await anyio.sleep_forever()
        raise AssertionError


class LateClock(FakeClock):
    """A minute and a half goes by whenever someone looks, so every deadline has passed."""

    def monotonic(self) -> float:
        self.now += 90
        return self.now
