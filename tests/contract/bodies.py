"""A good body for every operation that takes one, and for suppliers and buyers what each rule refuses and takes."""

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

# Whatever the payment method, this supplier has what it needs: a change of one field is judged on its own.
READY_SUPPLIER: Arguments = {
    "name": "Harbor Paper Co",
    "external_reference_id": "HARBOR-02",
    "payment_method": "Check",
    "delivery_method": "Mail",
    "remit_address_1": "18 Quay St",
    "remit_city": "Mobile",
    "remit_state": "AL",
    "remit_zipcode": "36602",
    "remit_email": "ap@harborpaper.example",
    "bank_account_number": "000123456789",
    "bank_routing_number": "021000021",
}
READY_BUYER: Arguments = {name: value for name, value in BUYER.items() if name != "owners"}

Bounds = list[tuple[str, list[Any], list[Any]]]
"""A field, values that Finexio refuses, values that it takes."""

_TWO_PRIMARIES = [{"primary": True}, {"primary": True}]
_CONTACTS: Bounds = [
    (
        "contacts",
        [[{}], ["Rae"], {"primary": True}, _TWO_PRIMARIES, [{"primary": "perhaps"}]],
        [[], [{"primary": True}]],
    ),
    ("contacts", [[{"primary": True, "name": "n" * 41}]], [[{"primary": False, "name": "n" * 40}]]),
    ("contacts", [[{"primary": True, "email": "rae"}]], [[{"primary": True}, {"primary": False}, {"primary": False}]]),
    ("contacts", [[{"primary": True, "phone": "1" * 18}]], [[{"primary": False, "phone": "1" * 17}]]),
    (
        "contacts",
        [[{"primary": True, "external_reference_id": "r" * 101}]],
        [[{"primary": True, "external_reference_id": "r" * 100}]],
    ),
]
_METADATA: Bounds = [
    ("metadata", [{"_a": "b"}, {"k" * 26: "b"}, {"k": "v" * 101}, {"k": 1}, {"k": True}], [{"k" * 25: "v" * 100}]),
    ("metadata", ["", "[]", "no", '{"_a":"b"}', '{"k":1}', ["x"]], [{}, {"k": None, "k_": ""}, "{}", '{"k":null}']),
]
_STATES = (["XX", "al", "Alabama"], ["ON", "AE"])
_COUNTRIES = (["US", "MEX", "usa"], ["CAN", "UMI", "USA"])


def _long(limit: int) -> tuple[list[Any], list[Any]]:
    return ["x" * (limit + 1)], ["x" * limit]


SUPPLIER_BOUNDS: Bounds = [
    ("name", ["", "n" * 101], ["n" * 100]),
    ("care_of", *_long(36)),
    ("remit_address_1", *_long(40)),
    ("remit_address_2", *_long(40)),
    ("remit_city", *_long(40)),
    ("remit_state", *_STATES),
    ("remit_zipcode", *_long(10)),
    ("remit_country", *_COUNTRIES),
    ("corporate_address_1", *_long(40)),
    ("corporate_address_2", *_long(40)),
    ("corporate_city", *_long(40)),
    ("corporate_state", *_STATES),
    ("corporate_zipcode", *_long(10)),
    ("corporate_country", *_COUNTRIES),
    ("corporate_phone_number", *_long(16)),
    ("external_reference_id", ["", "A[1", "A]1", "r" * 201], ["r" * 200, "AR {1} <é>, #2"]),
    ("tax_id", *_long(11)),
    *_CONTACTS,
    (
        "contacts",
        [[{"primary": True, "payment_notification": "perhaps"}]],
        [[{"primary": True, "payment_notification": True}]],
    ),
    ("remit_email", ["nobody", "a@b", "a@b.example; c@d.example", "a@b.example,", ",", " "], ["a@b.example"]),
    ("remit_email", ["a@b.example, nobody"], ["a@b.example,c@d.example", ", ".join(["a@b.example"] * 200)]),
    ("bank_account_number", ["12-34", "1" * 18, "٣٤٥", "12 34"], ["0" * 17, "6789"]),
    ("bank_routing_number", *_long(9)),
    ("payment_method", ["PrintedCheck", "check", ""], ["ACH", "Card", "Check", "Wire", "FinexioExpress"]),
    ("delivery_method", ["Web", "mail"], ["Mail", "Email", "Portal", "Phone"]),
    ("notification_method", ["Phone", "email"], ["Mail", "Email"]),
    ("payment_terms", [-1, 366, 30.5, "soon"], [0, 365]),
    ("ineligible_for_conversion", ["perhaps"], [True, False]),
    ("ineligible_for_cbm", ["perhaps"], [True, False]),
    ("payee_type", ["Charity", "business"], ["Employee", "InternalTransfer", "BankingInstitution", "Unknown"]),
    ("twelve_month_payment_count", ["many", 1.5], [0, 12]),
    ("twelve_month_spend", ["lots", 0.5], [0, 125_000]),
    ("notes", *_long(1000)),
    *_METADATA,
    ("enabled", ["perhaps"], [True]),
    ("internal_payments", ["perhaps"], [True, False]),
    ("category", [["x"]], ["c" * 300]),
    ("sub_category", [{"x": "y"}], ["c" * 300]),
]


def _owners(*changes: Arguments) -> list[Any]:
    """For each change the one owner of a buyer, so changed."""
    return [[OWNER | change] for change in changes]


def _without(field: str) -> list[Any]:
    return [[{name: value for name, value in OWNER.items() if name != field}]]


BUYER_BOUNDS: Bounds = [
    ("name", ["", "n" * 121], ["n" * 120]),
    ("dba_name", *_long(100)),
    ("address_1", ["", "x" * 41], ["x" * 40]),
    ("address_2", *_long(40)),
    ("city", ["", "x" * 41], ["x" * 40]),
    ("state", ["", *_STATES[0]], _STATES[1]),
    ("zipcode", ["", "x" * 11], ["x" * 10]),
    ("country", ["", *_COUNTRIES[0]], _COUNTRIES[1]),
    ("corporate_phone_number", *_long(16)),
    ("external_reference_id", ["", "A[1", "A]1", "r" * 201], ["r" * 200]),
    ("remit_data", *_long(70)),
    ("tax_id", ["", "x" * 12], ["x" * 11]),
    ("funding_method", ["cash", "ACH_DEBIT", ""], ["ach_debit", "ach_credit", "wire", "reverse_wire"]),
    ("drawdown_bank_account_number", *_long(17)),
    ("drawdown_bank_routing_number", *_long(9)),
    ("refund_bank_account_number", *_long(17)),
    ("refund_bank_routing_number", *_long(9)),
    *_CONTACTS,
    (
        "contacts",
        [[{"primary": True, "funding_notification": "no way"}]],
        [[{"primary": True, "funding_notification": True}]],
    ),
    (
        "contacts",
        [[{"primary": True, "refund_notification": "no way"}]],
        [[{"primary": True, "refund_notification": True}]],
    ),
    *_METADATA,
    ("owners", [["Ada"], OWNER, [{}]], [[], [OWNER], [OWNER, OWNER | {"first_name": "Ben"}]]),
    *[("owners", _without(name), _owners({})) for name in OWNER],
    ("owners", _owners({"controlling_owner": False}), _owners({"controlling_owner": True})),
    (
        "owners",
        _owners({"first_name": ""}, {"last_name": ""}),
        _owners({"first_name": "x" * 90, "last_name": "x" * 90}),
    ),
    ("owners", _owners({"country_code": "UMI"}, {"country_code": ""}), _owners({"country_code": "CAN", "state": "ON"})),
    ("owners", _owners({"address1": ""}, {"address1": "x" * 41}), _owners({"address1": "x" * 40})),
    ("owners", _owners({"address2": "x" * 41}), _owners({"address2": "x" * 40}, {"address2": ""})),
    ("owners", _owners({"city": ""}, {"city": "x" * 41}), _owners({"city": "x" * 40})),
    ("owners", _owners({"state": ""}, {"state": "Idaho"}), _owners({"state": "WY"})),
    ("owners", _owners({"postal_code": ""}, {"postal_code": "x" * 11}), _owners({"postal_code": "x" * 10})),
    (
        "owners",
        _owners({"date_of_birth": "1979-02-29"}, {"date_of_birth": "02/29/1980"}, {"date_of_birth": ""}),
        _owners({"date_of_birth": "1980-02-29"}),
    ),
    ("owners", _owners({"email": "ada"}, {"email": ""}), _owners({"email": f"{'a' * 60}@store.example"})),
    ("owners", _owners({"ssn": ""}), _owners({"ssn": "000000000"}, {"ssn": "", "country_code": "CAN"})),
    (
        "owners",
        _owners({"passport": "X1"}, {"passport": "X1", "passport_country": ""}),
        _owners({"passport": "X1", "passport_country": "CAN"}, {"passport": ""}, {"passport_country": "CAN"}),
    ),
    (
        "owners",
        _owners({"drivers_license_number": ["x"]}),
        _owners({"drivers_license_number": "D1"}, {"drivers_license_number": "D1", "drivers_license_state": "ID"}),
    ),
]

Case = tuple[Arguments, set[str]]
"""What is sent beside a name and a reference, and the fields that are then missing: none, and it is taken."""

ADDRESS: Arguments = {
    "remit_address_1": "18 Quay St",
    "remit_city": "Mobile",
    "remit_state": "AL",
    "remit_zipcode": "36602",
}
BANK: Arguments = {"bank_account_number": "000123456789", "bank_routing_number": "021000021"}
MAIL: Arguments = {"remit_email": "ap@harborpaper.example"}


def _paid(method: str, delivery: str | None = "", *parts: Arguments, **rest: Any) -> Arguments:
    """A supplier's way to be paid; no delivery method is sent when it is `""`."""
    sent: Arguments = {"payment_method": method} | ({} if delivery == "" else {"delivery_method": delivery})
    for part in parts:
        sent |= part
    return {name: value for name, value in (sent | rest).items() if value != "absent"}


SUPPLIER_CASES: list[Case] = [
    (_paid("Check", "Mail", ADDRESS), set()),
    (_paid("Check", "Portal", ADDRESS), set()),
    (_paid("Check", "Phone", ADDRESS), set()),
    (_paid("Check", "Email", ADDRESS, MAIL), set()),
    (_paid("Check", "Email", ADDRESS), {"remit_email"}),
    (_paid("Check", "Email", ADDRESS, remit_email=""), {"remit_email"}),
    (_paid("Check", "", ADDRESS, MAIL), {"delivery_method"}),
    (_paid("Check", None, ADDRESS, MAIL), {"delivery_method"}),
    (_paid("Check", "Mail"), set(ADDRESS)),
    *[(_paid("Check", "Mail", ADDRESS, **{name: "absent"}), {name}) for name in ADDRESS],
    *[(_paid("Check", "Mail", ADDRESS, **{name: ""}), {name}) for name in (*ADDRESS, "remit_country")],
    (_paid("Check", "Mail", ADDRESS, remit_country="CAN"), set()),
    (_paid("Card", "Email", MAIL), set()),
    (_paid("Card", "Mail", MAIL), set()),
    (_paid("Card", "Portal"), set()),
    (_paid("Card", "Phone"), set()),
    (_paid("Card", "Phone", remit_email=""), set()),
    (_paid("Card", "Email"), {"remit_email"}),
    (_paid("Card", "Email", remit_email=""), {"remit_email"}),
    (_paid("Card", "Mail"), {"remit_email"}),
    (_paid("Card", "", MAIL), {"delivery_method"}),
    (_paid("Card", None, MAIL), {"delivery_method"}),
    (_paid("Card"), {"delivery_method"}),
    (_paid("FinexioExpress", "Mail", BANK), set()),
    (_paid("FinexioExpress", "Email", BANK), set()),
    (_paid("FinexioExpress", "", BANK), {"delivery_method"}),
    (_paid("FinexioExpress", None, BANK), {"delivery_method"}),
    *[
        (_paid(method, "Mail", BANK, **{name: value}), {name})
        for method in ("ACH", "Wire", "FinexioExpress")
        for name in BANK
        for value in ("absent", "")
    ],
    *[(_paid(method, delivery, BANK), set()) for method in ("ACH", "Wire") for delivery in ("", None, "Mail", "Email")],
]

DRAWDOWN: Arguments = {"drawdown_bank_account_number": "000987650000", "drawdown_bank_routing_number": "021000021"}
BUYER_CASES: list[Case] = [
    *[({"funding_method": method} | DRAWDOWN, set()) for method in ("ach_debit", "reverse_wire", "ach_credit", "wire")],
    *[({"funding_method": method}, set()) for method in ("ach_credit", "wire")],
    *[({"funding_method": method}, set(DRAWDOWN)) for method in ("ach_debit", "reverse_wire")],
    *[
        ({"funding_method": method} | DRAWDOWN | {name: ""}, {name})
        for method in ("ach_debit", "reverse_wire")
        for name in DRAWDOWN
    ],
]
