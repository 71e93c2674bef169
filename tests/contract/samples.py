"""Arguments for every tool, the least and the most it takes, and what each call must become on the wire.

Written from what users were promised and from the vendor's contract, not from the declarations under test.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, cast
from urllib.parse import quote

from tests.contract.validator import BASE_PATH, VARIABLE

Arguments = dict[str, Any]


NOW = datetime.combine(date.today(), time(9))  # noqa: DTZ011
"""Invoice dates have to be near today, and the vendor's times have no zone."""

BUYER_ID = "5b1d2c9e-0d3f-4b8e-9a57-6f1f0a4c7e21"
SUPPLIER_ID = "c41f7d60-92ab-4d0e-8f8c-1be3a5f0d932"
INVOICE_ID = "0f6f3b1a-4f6e-4c5b-a1b5-7d0f2f9c8e43"
PAYMENT_ID = "ee27a9c4-6d54-4a0b-b6c1-93a2d8f71b54"
DRAWDOWN_ID = "DJ00000C0DE5"
WEBHOOK_ID = "71c3e5d8-2a9b-4f6d-8e0c-4b5a6f7d8e65"
CONTACT_ID = "a8e0b6f2-3c4d-4e5f-9a1b-2c3d4e5f6a76"
BUYER_CONTACT_ID = "d4f1c7a3-5b6e-4d8f-a0c2-6e7f8a9b0c87"
# Callers' own text, which has to be encoded in a path.
CONTACT_REFERENCE = "AR desk #1 (é)"
BUYER_CONTACT_REFERENCE = "Treasury: 50%, ü"
REFERENCES = {CONTACT_ID: CONTACT_REFERENCE, BUYER_CONTACT_ID: BUYER_CONTACT_REFERENCE}

# What never leaves: these arguments speak to us, not to the vendor.
LOCAL = frozenset({"fields", "limit", "next_cursor", "clear", "resubmit", "not_a_duplicate_of"})

# The vendor's call behind each tool; braces hold the name of the argument that goes there.
CALLS: Mapping[str, str] = {
    "list_all_finexio_counterparties": "GET /counterparties/",
    "create_a_finexio_counterparty": "POST /counterparties/",
    "get_single_finexio_counterparty_by_id": "GET /counterparties/{id}/",
    "update_a_finexio_counterparty_by_id": "PUT /counterparties/{id}/",
    "finexio_counterparties_partial_update": "PATCH /counterparties/{id}/",
    "finexio_invoices_bulk_create": "POST /invoices/batch/",
    "list_all_finexio_invoices": "GET /invoices/",
    "get_single_finexio_invoice_by_id": "GET /invoices/{id}/",
    "get_single_finexio_payment_image_by_id": "GET /payments/{payment_id}/images",
    "list_all_finexio_payment_images": "GET /payments/{payment_id}/images",
    "get_single_finexio_payment_by_id": "GET /payments/{id}/",
    "list_all_finexio_payments": "GET /payments/",
    "get_single_finexio_drawdown_by_id": "GET /reconciliation/drawdown/{id}",
    "list_all_finexio_drawdowns": "GET /reconciliation/drawdown",
    "create_a_finexio_supplier_contact": "POST /counterparties/suppliers/{supplier_id}/contacts",
    "delete_a_finexio_supplier_contact_by_id": "DELETE /counterparties/suppliers/{supplier_id}/contacts/{id}",
    "list_all_finexio_supplier_contacts": "GET /counterparties/suppliers/{supplier_id}/contacts",
    "update_a_finexio_supplier_contact_by_id": "PUT /counterparties/suppliers/{supplier_id}/contacts/{id}",
    "create_a_finexio_webhook": "POST /webhooks/",
    "delete_a_finexio_webhook_by_id": "DELETE /webhooks/{id}/",
    "get_single_finexio_webhook_by_id": "GET /webhooks/{id}/",
    "list_all_finexio_webhooks": "GET /webhooks/",
    "update_a_finexio_webhook_by_id": "PUT /webhooks/{id}/",
    "finexio_webhooks_partial_update": "PATCH /webhooks/{id}/",
    "list_all_finexio_counterparty_history": "GET /counterparties/history",
    "list_all_finexio_drawdown_payments": "GET /reconciliation/drawdown/{processor_request_id}/payments",
    "list_all_finexio_suppliers": "GET /counterparties/suppliers",
    "create_a_finexio_supplier": "POST /counterparties/suppliers",
    "get_single_finexio_supplier_by_id": "GET /counterparties/suppliers/{id}/",
    "update_a_finexio_supplier_by_id": "PUT /counterparties/suppliers/{id}/",
    "finexio_suppliers_partial_update": "PATCH /counterparties/suppliers/{id}/",
    "list_all_finexio_buyers": "GET /counterparties/buyers",
    "create_a_finexio_buyer": "POST /counterparties/buyers",
    "get_single_finexio_buyer_by_id": "GET /counterparties/buyers/{id}/",
    "update_a_finexio_buyer_by_id": "PUT /counterparties/buyers/{id}/",
    "finexio_buyers_partial_update": "PATCH /counterparties/buyers/{id}/",
    "create_a_finexio_buyer_contact": "POST /counterparties/buyers/{buyer_id}/contacts",
    "list_all_finexio_buyer_contacts": "GET /counterparties/buyers/{buyer_id}/contacts",
    "update_a_finexio_buyer_contact_by_id": "PUT /counterparties/buyers/{buyer_id}/contacts/{id}",
    "delete_a_finexio_buyer_contact_by_id": "DELETE /counterparties/buyers/{buyer_id}/contacts/{id}",
}

TOOLS = tuple(CALLS)

COUNTERPARTY: Arguments = {
    "name": "Quayside Paper Company",
    "type": "Supplier",
    # The vendor answers in capitals; what leaves is what the caller typed.
    "internal_id": "Quay-77",
}

WHOLE_COUNTERPARTY: Arguments = {
    **COUNTERPARTY,
    "address_1": "18 Wharf Street",
    "address_2": "Unit 4",
    "city": "Mobile",
    "state": "AL",
    "zipcode": "36602",
    "country": "USA",
    "primary_contact_name": "Ines Holt",
    "primary_contact_email": "ines@quayside.example",
    "primary_contact_phone": "251-555-0142",
    "remit_email": "remit@quayside.example",
    "payment_method": "ACH",
    "bank_account_number": "000123456789",
    "bank_routing_number": "021000021",
    "payment_terms": 30,
    "tax_id": "00-1234567",
    "ineligible_for_conversion": True,
    "twelve_month_payment_count": 12,
    "twelve_month_spend": 80250.5,
    "business_type": "Business",
    "notes": "Prefers one payment a week.",
}

INVOICE: Arguments = {
    "amount_cents": 128450,
    "invoice_date": str(NOW.date() - timedelta(days=8)),
    "invoice_number": "QP-20931",
    "originating_counterparty_id": BUYER_ID,
    "receiving_counterparty_id": SUPPLIER_ID,
}

WHOLE_INVOICE: Arguments = {
    **INVOICE,
    "invoice_number": "QP 20932/A-1 (rev. 2), O'Neil: final? +1",
    "currency": "USD",
    "invoice_due_date": str(NOW.date() + timedelta(days=22)),
    "discount_amount_cents": 450,
    "note": "Reams, 80 g/m².",
    "metadata": [{"name": "cost_center", "value": "K-12"}, {"name": "pages", "value": 500}],
    "line_items": [{"description": "40 reams"}, {"description": "Freight"}],
    "reconciliation_id": "GL-2026-11-0042",
    "account_number": "CUST-00017",
    "payment_group_id": "RUN-41",
    "accounting_id": "AP-9001",
}

CONTACT: Arguments = {
    "external_reference_id": "QUAY-AP",
    "name": "Rae Lund",
    "email": "rae@quayside.example",
    "phone": "251-555-0143",
    "primary": True,
    "payment_notification": True,
}

# Whoever is paid by card through a portal has to tell least.
SUPPLIER: Arguments = {
    "name": "Quayside Paper Company",
    "external_reference_id": "Quay-77/b",
    "payment_method": "Card",
    "delivery_method": "Portal",
}

WHOLE_SUPPLIER: Arguments = {
    **SUPPLIER,
    "delivery_method": "Email",
    "care_of": "Rae Lund, Quayside Receivables",
    "remit_address_1": "18 Wharf Street",
    "remit_address_2": "Unit 4",
    "remit_city": "Mobile",
    "remit_state": "AL",
    "remit_zipcode": "36602-1234",
    "remit_country": "USA",
    "corporate_address_1": "1 Wharf Plaza",
    "corporate_address_2": "Floor 9",
    "corporate_city": "Toronto",
    "corporate_state": "ON",
    "corporate_zipcode": "M5V 1A1",
    "corporate_country": "CAN",
    "corporate_phone_number": "+1 251 555 0142",
    "tax_id": "00-1234567",
    "remit_email": "remit@quayside.example,second.desk@quayside.example",
    "bank_account_number": "00012345678901234",
    "bank_routing_number": "021000021",
    "notification_method": "Email",
    "payment_terms": 365,
    "ineligible_for_conversion": True,
    "ineligible_for_cbm": False,
    "payee_type": "BankingInstitution",
    "twelve_month_payment_count": 12,
    "twelve_month_spend": 80250,
    "notes": "Prefers one payment a week.",
    "metadata": [{"name": "cost_center_of_the_vendor", "value": "K-12"}, {"name": "retired"}],
    "enabled": True,
    "internal_payments": False,
    "category": "Paper & packaging",
    "sub_category": "Paper",
}

BUYER: Arguments = {
    "name": "Quayside Store Seven LLC",
    "external_reference_id": "Store-7",
    "tax_id": "00-7654321",
    "funding_method": "wire",
    "address_1": "7 Wharf Street",
    "city": "Boise",
    "state": "ID",
    "zipcode": "83702",
    "country": "USA",
}

OWNER: Arguments = {
    "controlling_owner": True,
    "first_name": "Ada",
    "last_name": "Holt",
    "country_code": "CAN",
    "address1": "12 Wharf Hill",
    "city": "Toronto",
    "state": "ON",
    "postal_code": "M5V 1A1",
    "date_of_birth": "1979-03-02",
    "email": "ada@store.example",
}

WHOLE_OWNER: Arguments = {
    **OWNER,
    "country_code": "USA",
    "address2": "Unit 44",
    "ssn": "078-05-1120",
    "passport": "X91827364",
    "passport_country": "CAN",
    "drivers_license_number": "D5550198273",
    "drivers_license_state": "ID",
}

BUYER_CONTACT: Arguments = {
    "external_reference_id": "S7-CFO",
    "name": "Rae Lund",
    "email": "rae@store.example",
    "phone": "208-555-0143",
    "primary": True,
    "funding_notification": True,
    "refund_notification": False,
}

WHOLE_BUYER: Arguments = {
    **BUYER,
    "dba_name": "Quayside Seven",
    "address_2": "Unit 4",
    "corporate_phone_number": "208-555-0142",
    "remit_data": "Quayside Store Seven, accounts payable",
    "funding_method": "ach_debit",
    "drawdown_bank_account_number": "00098765000012345",
    "drawdown_bank_routing_number": "021000021",
    "refund_bank_account_number": "000111122223333",
    "refund_bank_routing_number": "021000021",
    "metadata": [{"name": "region", "value": "North-west"}, {"name": "retired"}],
    "owners": [WHOLE_OWNER, {**OWNER, "first_name": "Ines"}],
}

WEBHOOK: Arguments = {
    "event": "payment.changed",
    "url": "https://hooks.acme.example/finexio",
    "username": "fx-in",
    "password": "correct horse",
}

WHOLE_WEBHOOK: Arguments = {
    **WEBHOOK,
    "content_type": "application/json",
    "invoice_ids": True,
    "payment_status": True,
    "payment_events": False,
    "refund_reason": True,
    "instrument_number": False,
    "all_payment_details": True,
}

MINIMAL: Mapping[str, Arguments] = {
    "list_all_finexio_counterparties": {},
    "create_a_finexio_counterparty": COUNTERPARTY,
    "get_single_finexio_counterparty_by_id": {"id": SUPPLIER_ID},
    "update_a_finexio_counterparty_by_id": {"id": SUPPLIER_ID, **COUNTERPARTY},
    "finexio_counterparties_partial_update": {"id": SUPPLIER_ID, "payment_terms": 0},
    "finexio_invoices_bulk_create": {"invoices": [INVOICE]},
    "list_all_finexio_invoices": {},
    "get_single_finexio_invoice_by_id": {"id": INVOICE_ID},
    "get_single_finexio_payment_image_by_id": {"payment_id": PAYMENT_ID},
    "list_all_finexio_payment_images": {"payment_id": PAYMENT_ID},
    "get_single_finexio_payment_by_id": {"id": PAYMENT_ID},
    "list_all_finexio_payments": {},
    "get_single_finexio_drawdown_by_id": {"id": DRAWDOWN_ID},
    "list_all_finexio_drawdowns": {"status": "received"},
    "create_a_finexio_supplier_contact": {"supplier_id": SUPPLIER_ID, "primary": False},
    "delete_a_finexio_supplier_contact_by_id": {"supplier_id": SUPPLIER_ID, "id": CONTACT_REFERENCE},
    "list_all_finexio_supplier_contacts": {"supplier_id": SUPPLIER_ID},
    "update_a_finexio_supplier_contact_by_id": {
        "supplier_id": SUPPLIER_ID,
        "id": CONTACT_REFERENCE,
        "primary": False,
    },
    "create_a_finexio_webhook": WEBHOOK,
    "delete_a_finexio_webhook_by_id": {"id": WEBHOOK_ID},
    "get_single_finexio_webhook_by_id": {"id": WEBHOOK_ID},
    "list_all_finexio_webhooks": {},
    "update_a_finexio_webhook_by_id": {"id": WEBHOOK_ID, **WEBHOOK},
    "finexio_webhooks_partial_update": {"id": WEBHOOK_ID, "payment_events": False},
    "list_all_finexio_counterparty_history": {},
    "list_all_finexio_drawdown_payments": {"processor_request_id": DRAWDOWN_ID},
    "list_all_finexio_suppliers": {},
    "create_a_finexio_supplier": SUPPLIER,
    "get_single_finexio_supplier_by_id": {"id": SUPPLIER_ID},
    "update_a_finexio_supplier_by_id": {"id": SUPPLIER_ID, **SUPPLIER},
    "finexio_suppliers_partial_update": {"id": SUPPLIER_ID, "payment_terms": 0},
    "list_all_finexio_buyers": {},
    "create_a_finexio_buyer": BUYER,
    "get_single_finexio_buyer_by_id": {"id": BUYER_ID},
    "update_a_finexio_buyer_by_id": {"id": BUYER_ID, **BUYER},
    "finexio_buyers_partial_update": {"id": BUYER_ID, "zipcode": "83703"},
    "create_a_finexio_buyer_contact": {"buyer_id": BUYER_ID, "primary": False},
    "list_all_finexio_buyer_contacts": {"buyer_id": BUYER_ID},
    "update_a_finexio_buyer_contact_by_id": {"buyer_id": BUYER_ID, "id": BUYER_CONTACT_REFERENCE, "primary": False},
    "delete_a_finexio_buyer_contact_by_id": {"buyer_id": BUYER_ID, "id": BUYER_CONTACT_REFERENCE},
}

FULL: Mapping[str, Arguments] = {
    "list_all_finexio_counterparties": {
        "name": "quay & sons",
        "type": "Supplier",
        "internal_id": "QUAY-77",
        "updated_after": "2026-10-01T08:30:00",
        "fields": ["id", "name"],
        "limit": 25,
    },
    "create_a_finexio_counterparty": WHOLE_COUNTERPARTY,
    "get_single_finexio_counterparty_by_id": {"id": SUPPLIER_ID, "fields": ["id", "name", "notes"]},
    "update_a_finexio_counterparty_by_id": {"id": SUPPLIER_ID, **WHOLE_COUNTERPARTY},
    "finexio_counterparties_partial_update": {
        "id": SUPPLIER_ID,
        **{name: value for name, value in WHOLE_COUNTERPARTY.items() if name not in {"type", "address_2", "notes"}},
        "clear": ["address_2", "notes"],
    },
    "finexio_invoices_bulk_create": {
        "invoices": [
            WHOLE_INVOICE,
            {
                **INVOICE,
                "invoice_number": "QP-20933",
                "metadata": {"cost_center": "K-13"},
                "resubmit": True,
                "not_a_duplicate_of": INVOICE_ID,
            },
        ]
    },
    "list_all_finexio_invoices": {"fields": ["id", "status"], "limit": 1},
    "get_single_finexio_invoice_by_id": {"id": INVOICE_ID, "fields": ["*"]},
    "get_single_finexio_payment_image_by_id": {"payment_id": PAYMENT_ID, "checkImageType": "Issued"},
    "list_all_finexio_payment_images": {"payment_id": PAYMENT_ID, "checkImageType": "Deposited"},
    "get_single_finexio_payment_by_id": {"id": PAYMENT_ID, "fields": ["id", "events"]},
    "list_all_finexio_payments": {
        "tracking_id": "RC00K00Q00B11C20D",
        "created_start": "2026-10-01",
        "created_end": "2026-11-20T09:00:00",
        "updated_start": "2026-10-01T00:00:00Z",
        "updated_end": "2026-11-20T09:00:00.123456+02:00",
        "status": "in-progress",
        "refunded": False,
        "fields": ["id", "status"],
        "limit": 100,
    },
    "get_single_finexio_drawdown_by_id": {"id": DRAWDOWN_ID, "fields": ["*"]},
    "list_all_finexio_drawdowns": {
        "buyer_ref_id": "STORE 7/B",
        "originating_counterparty_id": BUYER_ID,
        "supplier_ref_id": "QUAY-77",
        "tracking_id": "RC00K00Q00B11C20D",
        "invoice_number": "QP-20931",
        "status": "requested",
        "created_start": "2026-10-01",
        "created_end": "2026-11-20",
        "completed_start": "2026-10-02T00:00:00",
        "completed_end": "2026-11-20T00:00:00",
        "amount_cents_start": 0,
        "amount_cents_end": 999999900,
        "fields": ["processor_request_id"],
        "limit": 10,
    },
    "create_a_finexio_supplier_contact": {
        "supplier_id": SUPPLIER_ID,
        "contacts": [CONTACT, {"primary": False, "name": "Front desk"}],
    },
    "delete_a_finexio_supplier_contact_by_id": {"supplier_id": SUPPLIER_ID, "id": CONTACT_ID},
    "list_all_finexio_supplier_contacts": {"supplier_id": SUPPLIER_ID, "fields": ["name", "email"], "limit": 5},
    "update_a_finexio_supplier_contact_by_id": {
        "supplier_id": SUPPLIER_ID,
        "id": CONTACT_ID,
        "primary": True,
        "external_reference_id": CONTACT_REFERENCE,
        "name": "Rae Lund-Holt",
        "email": "rae.holt@quayside.example",
        "payment_notification": False,
        "clear": ["phone"],
    },
    # The short form of the event stands in the vendor's prose; the long one is the only value it takes.
    "create_a_finexio_webhook": {**WHOLE_WEBHOOK, "event": "payment.change"},
    "delete_a_finexio_webhook_by_id": {"id": WEBHOOK_ID},
    "get_single_finexio_webhook_by_id": {"id": WEBHOOK_ID, "fields": ["id", "url"]},
    "list_all_finexio_webhooks": {"fields": ["id", "url"], "limit": 2},
    "update_a_finexio_webhook_by_id": {"id": WEBHOOK_ID, **WHOLE_WEBHOOK},
    "finexio_webhooks_partial_update": {"id": WEBHOOK_ID, **WHOLE_WEBHOOK},
    "list_all_finexio_counterparty_history": {"object_id": SUPPLIER_ID, "fields": ["changes"], "limit": 3},
    "list_all_finexio_drawdown_payments": {
        "processor_request_id": DRAWDOWN_ID,
        "fields": ["id", "invoices"],
        "limit": 50,
    },
    "list_all_finexio_suppliers": {
        "external_reference_id": "Quay-77/b & sons",
        "updated_after": "2026-10-01T08:30:00",
        "enabled": False,
        "cbm_optout_date_start": "2026-10-01",
        "cbm_optout_date_end": "2026-11-20T09:00:00Z",
        "fields": ["id", "delivery_method"],
        "limit": 25,
    },
    "create_a_finexio_supplier": {**WHOLE_SUPPLIER, "contacts": [CONTACT, {"primary": False, "name": "Front desk"}]},
    "get_single_finexio_supplier_by_id": {"id": SUPPLIER_ID, "fields": ["id", "contacts", "metadata"]},
    "update_a_finexio_supplier_by_id": {
        "id": SUPPLIER_ID,
        **WHOLE_SUPPLIER,
        "payment_method": "Check",
        "delivery_method": "Mail",
    },
    "finexio_suppliers_partial_update": {
        "id": SUPPLIER_ID,
        **{name: value for name, value in WHOLE_SUPPLIER.items() if name not in {"care_of", "remit_address_2"}},
        "payment_method": "FinexioExpress",
        "delivery_method": "Phone",
        "clear": ["care_of", "remit_address_2"],
    },
    "list_all_finexio_buyers": {
        "external_reference_id": "Store-7",
        "updated_after": "2026-10-01",
        "fields": ["id", "ready_for_use"],
        "limit": 100,
    },
    "create_a_finexio_buyer": {**WHOLE_BUYER, "contacts": [BUYER_CONTACT, {"primary": False, "name": "Front desk"}]},
    "get_single_finexio_buyer_by_id": {"id": BUYER_ID, "fields": ["*"]},
    "update_a_finexio_buyer_by_id": {"id": BUYER_ID, **WHOLE_BUYER, "funding_method": "reverse_wire"},
    "finexio_buyers_partial_update": {
        "id": BUYER_ID,
        **{name: value for name, value in WHOLE_BUYER.items() if name not in {"dba_name", "remit_data"}},
        "funding_method": "ach_credit",
        "clear": ["dba_name", "remit_data"],
    },
    "create_a_finexio_buyer_contact": {
        "buyer_id": BUYER_ID,
        "contacts": [BUYER_CONTACT, {"primary": False, "name": "Front desk"}],
    },
    "list_all_finexio_buyer_contacts": {"buyer_id": BUYER_ID, "fields": ["name", "email"], "limit": 5},
    "update_a_finexio_buyer_contact_by_id": {
        "buyer_id": BUYER_ID,
        "id": BUYER_CONTACT_ID,
        "primary": True,
        "external_reference_id": BUYER_CONTACT_REFERENCE,
        "name": "Rae Lund-Holt",
        "email": "rae.holt@store.example",
        "funding_notification": False,
        "refund_notification": True,
        "clear": ["phone"],
    },
    "delete_a_finexio_buyer_contact_by_id": {"buyer_id": BUYER_ID, "id": BUYER_CONTACT_ID},
}


def method_of(tool: str) -> str:
    return CALLS[tool].split(" ")[0]


def path_of(tool: str, arguments: Arguments) -> str:
    """The raw path a call must go to; a contact is addressed by its reference, however the caller named it."""

    def fill(name: str) -> str:
        return quote(str(REFERENCES.get(arguments[name], arguments[name])), safe="")

    return BASE_PATH + VARIABLE.sub(lambda match: fill(match[1]), CALLS[tool].split(" ")[1])


def query_of(tool: str, arguments: Arguments) -> list[tuple[str, str]]:
    """The query a read must carry, `page` aside, which is the adapter's own."""
    return [(name, _literal(value)) for name, value in _sent(tool, arguments).items()] if _reads(tool) else []


def body_of(tool: str, arguments: Arguments) -> Any:
    """The JSON a write must carry, `None` for no body. A contact's update carries what it leaves alone as well."""
    if _reads(tool) or method_of(tool) == "DELETE":
        return None
    if tool == "finexio_invoices_bulk_create":
        return [_invoice(row) for row in arguments["invoices"]]
    fields = _sent(tool, arguments) | dict.fromkeys(arguments.get("clear", []), "")
    if tool in {"create_a_finexio_supplier_contact", "create_a_finexio_buyer_contact"}:
        return fields.get("contacts", [fields])
    if "metadata" in fields:
        fields["metadata"] = _map_of(fields["metadata"])
    if fields.get("event") == "payment.change":
        fields["event"] = "payment.changed"
    return fields


def _reads(tool: str) -> bool:
    return method_of(tool) == "GET"


def _sent(tool: str, arguments: Arguments) -> Arguments:
    in_path = VARIABLE.findall(CALLS[tool])
    return {name: value for name, value in arguments.items() if name not in LOCAL and name not in in_path}


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _invoice(row: Arguments) -> Arguments:
    row = {name: value for name, value in row.items() if name not in LOCAL}
    return {"currency": "USD", **row} | ({"metadata": _map_of(row["metadata"])} if "metadata" in row else {})


def _map_of(metadata: Any) -> Any:
    """Pairs and a plain map come to the same; a pair without a value is null."""
    if not isinstance(metadata, list):
        return metadata
    return {pair["name"]: pair.get("value") for pair in cast("list[Arguments]", metadata)}
