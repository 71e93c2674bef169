"""A good body for every operation that takes one, the vendor's own as well as those behind our tools."""

from collections.abc import Mapping
from typing import Any

from tests.contract import samples
from tests.contract.samples import Arguments

SUPPLIER: Arguments = {
    "name": "Harbor Paper Co",
    "external_reference_id": "HARBOR-01",
    "payment_method": "ACH",
    "bank_account_number": "000123456789",
    "bank_routing_number": "021000021",
    "remit_email": "ap@harborpaper.example, ar@harborpaper.example",
    "contacts": [{"primary": True}],
    "metadata": {"erp": "77"},
}

OWNER: Arguments = {
    "controlling_owner": True,
    "first_name": "Ada",
    "last_name": "Byrne",
    "country_code": "USA",
    "address1": "7 Main St",
    "city": "Boise",
    "state": "ID",
    "postal_code": "83702",
    "date_of_birth": "1980-02-29",
    "email": "ada@store.example",
    "ssn": "000-00-0000",
}

BUYER: Arguments = {
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
    "owners": [OWNER],
}

INVOICE: Arguments = {**samples.INVOICE, "currency": "USD"}

BODIES: Mapping[str, Any] = {
    "createCounterparty": samples.WHOLE_COUNTERPARTY,
    "replaceCounterparty": samples.WHOLE_COUNTERPARTY,
    "patchCounterparty": {"payment_terms": 45},
    "createSupplier": SUPPLIER,
    "replaceSupplier": SUPPLIER,
    "patchSupplier": {"care_of": "Accounts"},
    "createSupplierContacts": [samples.CONTACT],
    "replaceSupplierContact": samples.CONTACT,
    "createBuyer": BUYER,
    "replaceBuyer": BUYER,
    "patchBuyer": {"dba_name": "Seven"},
    "createBuyerContacts": [{"primary": True, "funding_notification": True}],
    "replaceBuyerContact": {"primary": False, "refund_notification": True},
    "createInvoices": [INVOICE],
    "createWebhook": samples.WHOLE_WEBHOOK,
    "replaceWebhook": samples.WHOLE_WEBHOOK,
    "patchWebhook": {"payment_events": True},
}
