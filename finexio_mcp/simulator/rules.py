"""Who may send what: the vendor's field tables, one per resource, and the rules between fields."""

from collections.abc import Mapping

from .fields import (
    Field,
    Needs,
    choice,
    day,
    digits,
    email,
    emails,
    flag,
    metadata,
    number,
    rows_of,
    text,
    url,
    whole,
    yes,
)

STATES = tuple(
    "AL AK AS AZ AR AA AE AP CA CO CT DE DC FL GA GU HI ID IL IN IA KS KY LA ME MD MA MI MN "  # noqa: SIM905
    "MS MO MT NE NV NH NJ NM NY NC ND MP OH OK OR PA PR RI SC SD TN TX UT VT VI VA WA WV WI WY "
    "AB BC MB NB NL NT NS NU ON PE QC SK YT".split()
)
COUNTRIES = ("CAN", "UMI", "USA")
PAYEE_TYPES = (
    "Employee",
    "Business",
    "Individual",
    "InternalTransfer",
    "Student",
    "BankingInstitution",
    "Insurance",
    "Government",
    "Unknown",
)
CREATE = ("create",)
CREATE_AND_REPLACE = ("create", "replace")
ALWAYS = ("create", "replace", "patch")
MAX_CENTS = 999_999_900

STATE = choice(*STATES)
COUNTRY = choice(*COUNTRIES)
METADATA = metadata(key_limit=25, value_limit=100)
INTEGER = whole(-(2**63), 2**63 - 1)
"""Where no bounds are documented; a database has its own."""


def _each(fields: tuple[str, ...], when: Mapping[str, tuple[str, ...]]) -> tuple[Needs, ...]:
    """A rule for each field, so that a patch of one is not refused for another."""
    return tuple(Needs((name,), when) for name in fields)


# --- Counterparties: the older, deprecated view of suppliers and buyers ------------------------------------------

LEGACY = {
    "name": Field(text(100), CREATE),
    "type": Field(choice("Buyer", "Supplier"), CREATE),
    "internal_id": Field(text(100), CREATE),
    "address_1": Field(text(40), fallback=""),
    "address_2": Field(text(40), fallback=""),
    "city": Field(text(40), fallback=""),
    "state": Field(STATE, fallback=""),
    "zipcode": Field(text(10), fallback=""),
    "country": Field(COUNTRY, fallback="USA"),
    "primary_contact_name": Field(text(40), fallback=""),
    "primary_contact_email": Field(email(), fallback=""),
    "primary_contact_phone": Field(text(16), fallback=""),
    "remit_email": Field(email(), fallback=""),
    "payment_method": Field(choice("ACH", "Card", "PrintedCheck", "Wire")),
    "bank_account_number": Field(text(17)),
    "bank_routing_number": Field(text(9)),
    "payment_terms": Field(whole(0, 365)),
    "tax_id": Field(text(11), fallback=""),
    "ineligible_for_conversion": Field(flag, fallback=False),
    "twelve_month_payment_count": Field(whole(0, 2**31 - 1)),
    "twelve_month_spend": Field(number),
    "business_type": Field(choice(*PAYEE_TYPES)),
    "notes": Field(text(1000), fallback=""),
}
"""Without `payment_method` a record reads back as PrintedCheck, and none of the rules below is applied."""

LEGACY_NEEDS = (
    Needs(("address_1", "city", "state", "zipcode"), when={"payment_method": ("PrintedCheck",)}),
    Needs(("remit_email",), when={"payment_method": ("Card", "ACH")}),
    Needs(("bank_account_number", "bank_routing_number"), when={"payment_method": ("ACH", "Wire")}),
)

# --- Contacts ----------------------------------------------------------------------------------------------------

_CONTACT = {
    "external_reference_id": Field(text(100)),
    "name": Field(text(40)),
    "email": Field(email()),
    "phone": Field(text(17)),
    "primary": Field(flag, ALWAYS),
}
SUPPLIER_CONTACT = _CONTACT | {"payment_notification": Field(flag, fallback=False)}
BUYER_CONTACT = _CONTACT | {
    "funding_notification": Field(flag, fallback=False),
    "refund_notification": Field(flag, fallback=False),
}

# --- Suppliers ---------------------------------------------------------------------------------------------------

REFERENCE = text(200, pattern=r"[^\[\]]+", problem="Contains a character that is not allowed.")
"""The vendor restricts the characters and names only square brackets as forbidden."""

SUPPLIER = {
    "name": Field(text(100), CREATE),
    "care_of": Field(text(36)),
    "remit_address_1": Field(text(40), fallback=""),
    "remit_address_2": Field(text(40), fallback=""),
    "remit_city": Field(text(40), fallback=""),
    "remit_state": Field(STATE, fallback=""),
    "remit_zipcode": Field(text(10), fallback=""),
    "remit_country": Field(COUNTRY, fallback="USA"),
    "corporate_address_1": Field(text(40), fallback=""),
    "corporate_address_2": Field(text(40), fallback=""),
    "corporate_city": Field(text(40), fallback=""),
    "corporate_state": Field(STATE, fallback=""),
    "corporate_zipcode": Field(text(10), fallback=""),
    "corporate_country": Field(COUNTRY, fallback="USA"),
    "corporate_phone_number": Field(text(16), fallback=""),
    "external_reference_id": Field(REFERENCE, CREATE_AND_REPLACE),
    "tax_id": Field(text(11), fallback=""),
    "remit_email": Field(emails, fallback=""),
    "bank_account_number": Field(digits(17)),
    "bank_routing_number": Field(text(9)),
    "payment_method": Field(choice("ACH", "Card", "Check", "Wire", "FinexioExpress"), CREATE),
    "delivery_method": Field(choice("Mail", "Email", "Portal", "Phone")),
    "notification_method": Field(choice("Mail", "Email")),
    "payment_terms": Field(whole(0, 365)),
    "ineligible_for_conversion": Field(flag, fallback=False),
    "ineligible_for_cbm": Field(flag, fallback=False),
    "payee_type": Field(choice(*PAYEE_TYPES)),
    "twelve_month_payment_count": Field(INTEGER),
    "twelve_month_spend": Field(INTEGER),
    "notes": Field(text(1000), fallback=""),
    "metadata": Field(METADATA),
    "enabled": Field(flag, fallback=True),
    "internal_payments": Field(flag, fallback=False),
    "category": Field(text()),
    "sub_category": Field(text()),
}

SUPPLIER_NEEDS_SENT = (Needs(("delivery_method",), when={"payment_method": ("Card", "Check", "FinexioExpress")}),)
"""What has to be sent, even where the server then changes it (Card) or throws it away (FinexioExpress)."""

SUPPLIER_NEEDS = (
    *_each(
        ("remit_address_1", "remit_city", "remit_state", "remit_zipcode", "remit_country"),
        when={"payment_method": ("Check",)},
    ),
    *_each(
        ("bank_account_number", "bank_routing_number"),
        when={"payment_method": ("ACH", "Wire", "FinexioExpress")},
    ),
    Needs(("remit_email",), when={"payment_method": ("Card", "Check"), "delivery_method": ("Email",)}),
)
"""What the record needs as it will be stored."""

NO_DELIVERY = ("ACH", "Wire", "FinexioExpress")
"""Payment methods for which the server empties `delivery_method`, whatever was sent."""
CARD_DELIVERY = ("Email", "Portal", "Phone")
"""For Card any other `delivery_method`, none included, becomes Email."""

# --- Buyers ------------------------------------------------------------------------------------------------------

OWNER = {
    "controlling_owner": Field(yes, CREATE),
    "first_name": Field(text(), CREATE),
    "last_name": Field(text(), CREATE),
    "country_code": Field(choice("USA", "CAN"), CREATE),
    "address1": Field(text(40), CREATE),
    "address2": Field(text(40), fallback=""),
    "city": Field(text(40), CREATE),
    "state": Field(STATE, CREATE),
    "postal_code": Field(text(10), CREATE),
    "date_of_birth": Field(day, CREATE),
    "email": Field(email(None), CREATE),
    "ssn": Field(text()),
    "passport": Field(text()),
    "passport_country": Field(text()),
    "drivers_license_number": Field(text()),
    "drivers_license_state": Field(text()),
}
OWNER_NEEDS = (Needs(("ssn",), when={"country_code": ("USA",)}), Needs(("passport_country",), given=("passport",)))

BUYER = {
    "name": Field(text(120), CREATE),
    "dba_name": Field(text(100), fallback=""),
    "address_1": Field(text(40), CREATE),
    "address_2": Field(text(40), fallback=""),
    "city": Field(text(40), CREATE),
    "state": Field(STATE, CREATE),
    "zipcode": Field(text(10), CREATE),
    "country": Field(COUNTRY, CREATE),
    "corporate_phone_number": Field(text(16), fallback=""),
    "external_reference_id": Field(REFERENCE, CREATE_AND_REPLACE),
    "remit_data": Field(text(70)),
    "tax_id": Field(text(11), CREATE),
    "funding_method": Field(choice("ach_debit", "ach_credit", "wire", "reverse_wire", "ach_same_day_debit"), CREATE),
    "drawdown_bank_account_number": Field(text(17)),
    "drawdown_bank_routing_number": Field(text(9)),
    "refund_bank_account_number": Field(text(17)),
    "refund_bank_routing_number": Field(text(9)),
    "metadata": Field(METADATA),
    "owners": Field(rows_of(OWNER, conditions=OWNER_NEEDS)),
}

BUYER_NEEDS = _each(
    ("drawdown_bank_account_number", "drawdown_bank_routing_number"),
    when={"funding_method": ("ach_debit", "reverse_wire")},
)

# --- Invoices ----------------------------------------------------------------------------------------------------

MAX_BATCH = 500
INVOICE_DATE_WINDOW_DAYS = 365

INVOICE = {
    "amount_cents": Field(whole(1, MAX_CENTS), CREATE),
    "invoice_date": Field(day, CREATE),
    "invoice_number": Field(
        text(49, pattern=r"[A-Za-z0-9/.\-?:(),' +]+", problem="Contains a character that is not allowed."), CREATE
    ),
    "originating_counterparty_id": Field(text(100), CREATE),
    "receiving_counterparty_id": Field(text(100), CREATE),
    "currency": Field(choice("USD"), fallback="USD"),
    "invoice_due_date": Field(day),
    "discount_amount_cents": Field(whole(0, MAX_CENTS), fallback=0),
    "note": Field(text(1000), fallback=""),
    "metadata": Field(metadata(), fallback={}),
    "line_items": Field(rows_of({"description": Field(text(1000), CREATE)})),
    "reconciliation_id": Field(text(50)),
    "account_number": Field(text(250)),
    "payment_group_id": Field(text(100), fallback=""),
    "accounting_id": Field(text(70)),
}

# --- Webhooks ----------------------------------------------------------------------------------------------------

CONTENT_FLAGS = (
    "invoice_ids",
    "payment_status",
    "payment_events",
    "refund_reason",
    "instrument_number",
    "all_payment_details",
)
WEBHOOK = {
    "event": Field(choice("payment.changed"), CREATE_AND_REPLACE),
    "url": Field(url, CREATE_AND_REPLACE),
    "username": Field(text(190), CREATE_AND_REPLACE),
    "password": Field(text(190), CREATE_AND_REPLACE),
    "content_type": Field(choice("application/json", "application/x-www-form-urlencoded"), fallback="application/json"),
} | {name: Field(flag, fallback=False) for name in CONTENT_FLAGS}
