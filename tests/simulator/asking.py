"""How these tests speak to a simulator, and the bodies they send."""

from typing import Any

import httpx2

from finexio_mcp.simulator import Simulator


def client(sim: Simulator, *, user: str = "demo", password: str = "demo", **options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=sim.transport(), base_url=sim.base_url, auth=(user, password), **options)


def socket_client(sim: Simulator, **options: Any) -> httpx2.AsyncClient:
    """A client of a simulator that listens, over httpx2's own transport. Nothing here speaks TLS."""
    return httpx2.AsyncClient(base_url=sim.base_url, auth=("demo", "demo"), trust_env=False, verify=False, **options)


def invoice(sim: Simulator, **fields: Any) -> dict[str, Any]:
    """A good row of a batch, for the first buyer and supplier there are."""
    buyer = next(iter(sim.buyers), None) or sim.add_buyer()["id"]
    supplier = next(iter(sim.suppliers), None) or sim.add_supplier()["id"]
    row = {
        "amount_cents": 128450,
        "currency": "USD",
        "invoice_date": sim.clock.now().date().isoformat(),
        "invoice_number": "HP-20931",
        "originating_counterparty_id": buyer,
        "receiving_counterparty_id": supplier,
    }
    return row | fields


def legacy_supplier(**fields: Any) -> dict[str, Any]:
    body = {
        "name": "Harbor Paper Co",
        "type": "Supplier",
        "internal_id": "harbor-01",
        "payment_method": "PrintedCheck",
        "address_1": "18 Quay St",
        "city": "Mobile",
        "state": "AL",
        "zipcode": "36602",
        "country": "USA",
    }
    return body | fields


def supplier(**fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": "Harbor Paper Co",
        "external_reference_id": "HARBOR-01",
        "payment_method": "ACH",
        "bank_account_number": "000123456789",
        "bank_routing_number": "021000021",
        "remit_email": "ap@harborpaper.example",
        "contacts": [],
    }
    return body | fields


def buyer(**fields: Any) -> dict[str, Any]:
    body = {
        "name": "Store Seven LLC",
        "external_reference_id": "STORE-7",
        "tax_id": "00-0000000",
        "funding_method": "ach_debit",
        "drawdown_bank_account_number": "000987650000",
        "drawdown_bank_routing_number": "021000021",
        "address_1": "7 Main St",
        "city": "Boise",
        "state": "ID",
        "zipcode": "83702",
        "country": "USA",
    }
    return body | fields


WEBHOOK = {
    "event": "payment.changed",
    "url": "https://hooks.acme.example/finexio",
    "username": "fx-in",
    "password": "hunter2",
}


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}
