"""The least that each tool takes, and a walk through its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import Any, Literal

from finexio_mcp.tools import BY_NAME
from finexio_mcp.tools.schema import input_schema
from finexio_mcp.tools.spec import Effect, ToolSpec

Arguments = dict[str, Any]

SUPPLIER: Arguments = {"name": "Quayside Paper Company", "type": "Supplier", "internal_id": "QUAY-77"}
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
    "find_finexio_submissions": {},
    "get_finexio_submission": {"op_id": "op-1"},
}


def schema_of(tool: str | ToolSpec) -> dict[str, Any]:
    """The input schema of a tool."""
    spec = BY_NAME[tool] if isinstance(tool, str) else tool
    return input_schema(spec.arguments, spec.path_names, spec.local_names)


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
    for step, following in pairwise(path):
        if isinstance(step, str):
            stored = holder.get(step)
            holder[step] = [*stored] if isinstance(stored, list) else [{}] if following == 0 else {}  # pyright: ignore
        else:
            holder[step] = {**holder[step]}
        holder = holder[step]
    holder[path[-1]] = value
    return arguments


def is_write(tool: ToolSpec) -> bool:
    """Whether the tool changes something."""
    return tool.effect is not Effect.READ
