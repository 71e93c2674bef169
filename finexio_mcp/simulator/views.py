"""How each record looks from outside: two views of a counterparty, three of its history, and the rest."""

from typing import Any

from .books import Record
from .quirks import Quirks

LEGACY_SUPPLIER_NAMES = {
    "internal_id": "external_reference_id",
    "address_1": "remit_address_1",
    "address_2": "remit_address_2",
    "city": "remit_city",
    "state": "remit_state",
    "zipcode": "remit_zipcode",
    "country": "remit_country",
    "business_type": "payee_type",
}
"""What the deprecated view calls differently; other fields have one name in both."""

LEGACY_BUYER_NAMES = {
    "internal_id": "external_reference_id",
    "bank_account_number": "drawdown_bank_account_number",
    "bank_routing_number": "drawdown_bank_routing_number",
}

PRIMARY_CONTACT_NAMES = {
    "primary_contact_name": "name",
    "primary_contact_email": "email",
    "primary_contact_phone": "phone",
}
"""The deprecated view shows one contact: the primary one."""

ONLY_IN_LEGACY = ("issue_one_disbursement_per_invoice", "remit_data")


def is_buyer(record: Record) -> bool:
    return "funding_method" in record


def outside(record: Record, *hidden: str) -> Record:
    return {name: value for name, value in record.items() if not name.startswith("_") and name not in hidden}


def supplier(record: Record) -> Record:
    """The newer view: only the end of an account number, the routing number whole."""
    number = record["bank_account_number"]
    return outside(record, *ONLY_IN_LEGACY) | {"bank_account_number": number[-4:] if number else number}


def buyer(record: Record) -> Record:
    return outside(record)


def primary_contact(record: Record) -> Record:
    found: list[Record] = [contact for contact in record["contacts"] if contact["primary"]]
    return found[0] if found else {}


def counterparty(record: Record) -> Record:
    """The deprecated view: everything in clear, methods and ids spelled its own way."""
    names = LEGACY_BUYER_NAMES if is_buyer(record) else LEGACY_SUPPLIER_NAMES

    def own(name: str) -> Any:
        return record.get(names.get(name, name))

    contact = primary_contact(record)
    method, spend = own("payment_method"), own("twelve_month_spend")
    return {
        "id": own("id"),
        "name": own("name"),
        "type": "Buyer" if is_buyer(record) else "Supplier",
        "created": own("created"),
        "updated": own("updated"),
        "address_1": own("address_1"),
        "address_2": own("address_2"),
        "city": own("city"),
        "state": own("state"),
        "zipcode": own("zipcode"),
        "country": own("country"),
        "primary_contact_email": contact.get("email") or "",
        "remit_email": own("remit_email") or "",
        "primary_contact_name": contact.get("name") or "",
        "primary_contact_phone": contact.get("phone") or "",
        "bank_account_number": own("bank_account_number"),
        "bank_routing_number": own("bank_routing_number"),
        "payment_method": "PrintedCheck" if method == "Check" else method,
        "internal_id": str(own("internal_id")).upper(),
        "twelve_month_spend": None if spend is None else f"{spend:.2f}",
        "twelve_month_payment_count": own("twelve_month_payment_count"),
        "payment_terms": own("payment_terms"),
        "tax_id": own("tax_id") or "",
        "ineligible_for_conversion": bool(own("ineligible_for_conversion")),
        "business_type": own("business_type"),
        "notes": own("notes") or "",
        "remit_data": own("remit_data"),
        "issue_one_disbursement_per_invoice": bool(own("issue_one_disbursement_per_invoice")),
    }


def invoice(record: Record, quirks: Quirks) -> Record:
    return outside(record) if quirks.invoice_status_shown else outside(record, "status")


def payment(record: Record, quirks: Quirks) -> Record:
    if quirks.method_case == "lower":
        return outside(record)
    events = [event | {"method": _title(event["method"])} for event in record["events"]]
    return outside(record) | {"payment_method": _title(record["payment_method"]), "events": events}


def _title(method: str | None) -> str | None:
    return "ACH" if method == "ach" else method and method.title()


def drawdown(record: Record) -> Record:
    return outside(record)


def webhook(record: Record, origin: str) -> Record:
    """Both credentials are returned in clear: Finexio's webhook library does so on every read."""
    return outside(record) | {"subscription": f"{origin}/v2/webhooks/{record['id']}/"}


def history_entry(entry: Record, quirks: Quirks) -> Record:
    if quirks.history_shape == "snapshot":
        return entry["_snapshot"]
    if quirks.history_shape == "guide":
        return outside(entry)
    return {
        "id": entry["_id"],
        "objectId": entry["object_id"],
        "date": entry["timestamp"],
        "username": entry["actor"],
        "userIpAddress": entry["remote_addr"],
        "action": {"Created": "Create", "Updated": "Update"}.get(entry["action"], entry["action"]),
        "changes": [{"field": name, "oldValue": old, "newValue": new} for name, (old, new) in entry["changes"].items()],
        "notes": "",
    }
