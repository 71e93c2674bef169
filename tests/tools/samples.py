"""The least that each tool takes, and a walk through its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal

from finexio_mcp.tools import BY_NAME
from finexio_mcp.tools.schema import input_schema
from finexio_mcp.tools.spec import Effect, ToolSpec

Arguments = dict[str, Any]

SUPPLIER: Arguments = {"name": "Quayside Paper Company", "type": "Supplier", "internal_id": "QUAY-77"}
PAYEE: Arguments = {
    "name": "Quayside Paper Company",
    "external_reference_id": "QUAY-77",
    "payment_method": "Card",
    "delivery_method": "Portal",
}
"""The same by the newer endpoints; no other method needs so little."""
PAYER: Arguments = {
    "name": "Store Seven LLC",
    "external_reference_id": "STORE-7",
    "tax_id": "00-7654321",
    "funding_method": "wire",
    "address_1": "7 Main Street",
    "city": "Boise",
    "state": "ID",
    "zipcode": "83702",
    "country": "USA",
}
OWNER: Arguments = {
    "controlling_owner": True,
    "first_name": "Ada",
    "last_name": "Stone",
    "country_code": "CAN",
    "address1": "12 Hill Street",
    "city": "Toronto",
    "state": "ON",
    "postal_code": "M5V 1A1",
    "date_of_birth": "1979-03-02",
    "email": "ada@store.example",
}
WEBHOOK: Arguments = {
    "event": "payment.changed",
    "url": "https://hooks.quayside.example/finexio",
    "username": "finexio",
    "password": "a long pass phrase",
}


def invoice(**changes: Any) -> Arguments:
    """An invoice dated today, with the least that one needs."""
    return {
        "invoice_number": "QP-20931",
        "amount_cents": 128_450,
        "invoice_date": date.today().isoformat(),  # noqa: DTZ011
        "originating_counterparty_id": "buyer-1",
        "receiving_counterparty_id": "supplier-1",
        **changes,
    }


LEAST: Mapping[str, Arguments] = {
    "list_all_finexio_counterparties": {},
    "create_a_finexio_counterparty": SUPPLIER,
    "get_single_finexio_counterparty_by_id": {"id": "c-1"},
    "update_a_finexio_counterparty_by_id": {"id": "c-1", **SUPPLIER},
    "finexio_counterparties_partial_update": {"id": "c-1", "name": "Quayside Paper"},
    "finexio_invoices_bulk_create": {"invoices": [invoice()]},
    "list_all_finexio_invoices": {},
    "get_single_finexio_invoice_by_id": {"id": "i-1"},
    "get_single_finexio_payment_image_by_id": {"payment_id": "p-1"},
    "list_all_finexio_payment_images": {"payment_id": "p-1"},
    "get_single_finexio_payment_by_id": {"id": "p-1"},
    "list_all_finexio_payments": {},
    "get_single_finexio_drawdown_by_id": {"id": "DJ0000000A1F"},
    "list_all_finexio_drawdowns": {},
    "create_a_finexio_supplier_contact": {"supplier_id": "c-1", "contacts": [{"primary": True}]},
    "delete_a_finexio_supplier_contact_by_id": {"supplier_id": "c-1", "id": "HP-AR"},
    "list_all_finexio_supplier_contacts": {"supplier_id": "c-1"},
    "update_a_finexio_supplier_contact_by_id": {"supplier_id": "c-1", "id": "HP-AR", "primary": False},
    "create_a_finexio_webhook": WEBHOOK,
    "delete_a_finexio_webhook_by_id": {"id": "w-1"},
    "get_single_finexio_webhook_by_id": {"id": "w-1"},
    "list_all_finexio_webhooks": {},
    "update_a_finexio_webhook_by_id": {"id": "w-1", **WEBHOOK},
    "finexio_webhooks_partial_update": {"id": "w-1", "url": "https://hooks.quayside.example/other"},
    "list_all_finexio_counterparty_history": {},
    "list_all_finexio_drawdown_payments": {"processor_request_id": "DJ0000000A1F"},
    "list_all_finexio_suppliers": {},
    "create_a_finexio_supplier": PAYEE,
    "get_single_finexio_supplier_by_id": {"id": "s-1"},
    "update_a_finexio_supplier_by_id": {"id": "s-1", **PAYEE},
    "finexio_suppliers_partial_update": {"id": "s-1", "name": "Quayside Paper"},
    "list_all_finexio_buyers": {},
    "create_a_finexio_buyer": PAYER,
    "get_single_finexio_buyer_by_id": {"id": "b-1"},
    "update_a_finexio_buyer_by_id": {"id": "b-1", **PAYER},
    "finexio_buyers_partial_update": {"id": "b-1", "name": "Store Seven"},
    "create_a_finexio_buyer_contact": {"buyer_id": "b-1", "contacts": [{"primary": True}]},
    "list_all_finexio_buyer_contacts": {"buyer_id": "b-1"},
    "update_a_finexio_buyer_contact_by_id": {"buyer_id": "b-1", "id": "HP-AR", "primary": False},
    "delete_a_finexio_buyer_contact_by_id": {"buyer_id": "b-1", "id": "HP-AR"},
    "find_finexio_submissions": {},
    "get_finexio_submission": {"op_id": "op-1"},
    "search": {"query": "QP-20931"},
    "fetch": {"id": "invoice:i-1"},
}

LEAST_ROWS: Mapping[str, Arguments] = {
    "contacts": {"primary": False},
    "owners": OWNER,
    "metadata": {"name": "key", "value": "word"},
    "line_items": {"description": "40 reams"},
}
"""The least that an entry of each array needs which the least of its tool does without."""


def schema_of(tool: str | ToolSpec) -> dict[str, Any]:
    """The input schema of a tool."""
    spec = BY_NAME[tool] if isinstance(tool, str) else tool
    return input_schema(spec)


Step = str | Literal[0]


def places(schema: Mapping[str, Any], at: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], dict[str, Any]]]:
    """Every argument with its schema, those inside objects of arrays too; 0 stands for the first entry."""
    for name, inner in schema["properties"].items():
        yield (*at, name), inner
        if "properties" in inner.get("items", {}):
            yield from places(inner["items"], (*at, name, 0))


def plant(tool: str, path: tuple[Step, ...], value: Any) -> Arguments:
    """Arguments that are good but for one place, which holds the value."""
    arguments: Arguments = {**LEAST[tool]}
    holder: Any = arguments
    for step in path[:-1]:
        if isinstance(step, str):
            stored: list[Arguments] = holder.get(step) or [LEAST_ROWS[step]]
            holder[step] = [*stored]
        else:
            holder[step] = {**holder[step]}
        holder = holder[step]
    holder[path[-1]] = value
    return arguments


def is_write(tool: ToolSpec) -> bool:
    """Whether the tool changes something."""
    return tool.effect is not Effect.READ
