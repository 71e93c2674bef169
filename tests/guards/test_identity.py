"""Identity: the same thing is recognised whoever asks for it, and however it is written."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finexio_mcp.arguments import check
from finexio_mcp.guards.digests import NO_DIGEST
from finexio_mcp.guards.identity import near_number, wanted_change, wanted_invoices
from finexio_mcp.guards.ledger.rows import InvoiceFacts, Wanted
from finexio_mcp.tools import BY_NAME
from tests.contract import samples
from tests.tools.samples import LEAST, SUPPLIER, Arguments, invoice

at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes says more of the machine than of us."""

KEY = bytes(range(32))
SCOPE = "https://api.finexio.com/v2"
PAY = "finexio_invoices_bulk_create"
PATCH = "finexio_counterparties_partial_update"
ADD_CONTACTS = "create_a_finexio_supplier_contact"
CHANGE_CONTACT = "update_a_finexio_supplier_contact_by_id"
DELETE_CONTACT = "delete_a_finexio_supplier_contact_by_id"
PATCH_SUPPLIER = "finexio_suppliers_partial_update"
PATCH_BUYER = "finexio_buyers_partial_update"
CHANGE_BUYER_CONTACT = "update_a_finexio_buyer_contact_by_id"
DELETE_BUYER_CONTACT = "delete_a_finexio_buyer_contact_by_id"


def wanted(*rows: Arguments, scope: str = SCOPE) -> list[Wanted]:
    checked = check(BY_NAME[PAY], {"invoices": list(rows)})
    return wanted_invoices(checked.wire, checked.local, scope)


def one(scope: str = SCOPE, **changes: Any) -> Wanted:
    (row,) = wanted(invoice(**changes), scope=scope)
    return row


def change(tool: str, arguments: Arguments, stored: list[Any] | None = None, scope: str = SCOPE) -> Wanted:
    """As a call makes it: checked, then resolved by what Finexio has."""
    spec, asked = BY_NAME[tool], check(BY_NAME[tool], arguments).wire
    sent = spec.before.resolve(stored or [], asked) if spec.before else asked
    return wanted_change(spec, sent, scope, KEY, asked=asked)


# Invoices --------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        {"invoice_number": "qp-20931"},
        {"invoice_number": " QP-20931 "},
        {"originating_counterparty_id": "BUYER-1"},
        {"receiving_counterparty_id": "Supplier-1"},
        {"amount_cents": 1},
        {"discount_amount_cents": 5},
        {"note": "urgent", "metadata": {"run": "7"}},
        {"payment_group_id": "RUN-41"},
        {"resubmit": True, "not_a_duplicate_of": "i-9"},
    ],
)
def test_an_invoice_stays_the_same_however_it_is_written(written: Arguments) -> None:
    """Documented: buyer, supplier and number make two invoices one; nothing else makes two of one."""
    assert one(**written).identity == one().identity


@pytest.mark.parametrize(
    "other",
    [
        {"invoice_number": "QP-20932"},
        {"invoice_number": "QP 20931"},
        {"originating_counterparty_id": "buyer-2"},
        {"receiving_counterparty_id": "supplier-2"},
        {"scope": "https://api.finexio-stage.com/v2"},
    ],
)
def test_another_buyer_supplier_number_or_finexio_makes_another_invoice(other: dict[str, Any]) -> None:
    """Ours: the sandbox and production are two worlds."""
    assert one(**other).identity != one().identity


def test_the_parts_of_an_identity_do_not_run_into_each_other() -> None:
    """Ours: only a number can hold blanks, and it stands last."""
    first = one(originating_counterparty_id="a", receiving_counterparty_id="b", invoice_number="c d")
    second = one(originating_counterparty_id="a", receiving_counterparty_id="b-c", invoice_number="d")

    assert first.identity == f"{SCOPE} a b c d"
    assert first.identity != second.identity


def test_what_is_kept_of_an_invoice_is_what_it_is_recognised_by() -> None:
    """Ours: ids in one spelling, the number as it was written, no notes and no account."""
    row = one(
        originating_counterparty_id="Buyer-1",
        invoice_number="INV-0042",
        discount_amount_cents=450,
        note="urgent",
        account_number="CUST-00017",
    )

    assert row.invoice == InvoiceFacts(
        buyer="buyer-1",
        supplier="supplier-1",
        number="INV-0042",
        amount_cents=128_450,
        currency="USD",
        invoice_date=invoice()["invoice_date"],
        discount_cents=450,
        near_number="42",
    )
    assert (row.change, row.resubmits, row.not_a_duplicate_of) == (None, None, None)


def test_each_row_of_a_batch_keeps_what_was_said_of_it() -> None:
    """Ours: of the one that is said to be no duplicate, and of no other."""
    rows = wanted(invoice(invoice_number="1"), invoice(invoice_number="2", not_a_duplicate_of="i-9"))

    assert [row.not_a_duplicate_of for row in rows] == [None, "i-9"]
    assert [row.invoice.number for row in rows if row.invoice] == ["1", "2"]


# Near numbers ----------------------------------------------------------------

ONE_NUMBER = """
    42|INV-0042|INV42|inv 42|Invoice 42|INVOICE-42|Invoice No. 42|#42|No. 0042|NR-42|Bill 42|BILL#42|inv#0042|0042
    42-R|42-REV|42 REVISED|INV-42-COPY|42-DUP|42 (COPY)|42-rev2|42 REV. 2|42REV|(42)|42-DUPLICATE|42-R-COPY
"""


@pytest.mark.parametrize("number", [word.strip() for word in ONE_NUMBER.replace("\n", "|").split("|") if word.strip()])
def test_ways_to_write_one_number_are_near(number: str) -> None:
    """Ours: an agent that reads an invoice twice writes its number in two ways."""
    assert near_number(number) == "42"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1042-A", "1042-B"),
        ("1042-A", "1042"),
        ("1042-1", "1042-2"),
        ("1042 (1)", "1042 (2)"),
        ("A-42", "B-42"),
        ("CM-42", "INV-42"),
        ("42", "420"),
        ("2024-0042", "2024-42"),
        ("42R", "42"),
        ("42-R2", "42"),
        ("NOVA-42", "VA-42"),
        ("42-CR", "42"),
    ],
)
def test_numbers_of_different_invoices_are_not_near(one: str, other: str) -> None:
    """Ours: partial deliveries and credit notes are invoices of their own."""
    assert near_number(one) != near_number(other)


def test_a_letter_before_the_zeros_stays() -> None:
    """Ours: A-0042 and A42 are one number, 42 may be another."""
    assert near_number("A-0042") == near_number("a42") == "a42"


@pytest.mark.parametrize(
    ("number", "near"),
    [("INV", "inv"), ("INV-REV", "invrev"), ("REV 2", "rev2"), ("-/-", "-/-"), ("0000", "0"), ("#", "#"), (" ", " ")],
)
def test_a_number_that_is_all_prefix_and_punctuation_stays(number: str, near: str) -> None:
    """Ours: an empty form would be near to every other one."""
    assert near_number(number) == near


numbers = st.text("INVinvoR0124.-/# ():,'+?", min_size=1, max_size=49)


@at_leisure
@given(numbers)
def test_a_near_number_is_never_empty_and_never_longer(number: str) -> None:
    """Ours: whatever a supplier prints."""
    assert 0 < len(near_number(number)) <= len(number)


@at_leisure
@given(numbers)
def test_case_and_blanks_around_a_number_do_not_matter(number: str) -> None:
    """Ours: as for the identity, so that near never tells apart what is the same."""
    if number.strip():
        assert near_number(number) == near_number(f" {number.lower()} ") == near_number(number.upper())


digits = st.from_regex(r"[1-9][0-9]{0,8}", fullmatch=True)


@at_leisure
@given(
    st.sampled_from(["", "INV", "inv-", "Invoice ", "Invoice no. ", "#", "Bill-", "NR. ", "0", "INV-000"]),
    digits,
    st.sampled_from(["", "-R", "-rev", " REVISED", " (copy)", "-DUP", "-REV2", "/corrected"]),
)
def test_prefixes_zeros_and_marks_of_a_second_copy_do_not_matter(before: str, number: str, after: str) -> None:
    """Ours: what is added by hand is taken off again."""
    assert near_number(before + number + after) == number


@at_leisure
@given(digits, st.sampled_from("ABCDEFGHIJKLMNOPQSTUVWXYZ"))
def test_partial_deliveries_stay_apart(number: str, letter: str) -> None:
    """Ours: each letter is an invoice, but for the R of a revision."""
    assert near_number(f"{number}-{letter}") == f"{number}{letter.lower()}"


# Changes of master data ------------------------------------------------------

RAE = {"id": "k-1", "external_reference_id": "HP-AR", "name": "Rae Lund", "phone": "251-555-0142", "primary": True}


def test_a_change_is_known_by_its_records_and_leaves_only_digests() -> None:
    """Ours: no value that was sent is kept."""
    row = change(PATCH, {"id": "C-1", "name": "Quayside", "bank_account_number": "000123456789", "clear": ["notes"]})

    facts = row.change
    assert facts is not None
    assert row.invoice is None
    assert facts.records == ("counterparty:c-1",)
    assert facts.kept == {"id": "C-1"}
    assert set(facts.digests[0]) == {"name", "bank_account_number", "bank_account_number:tail", "notes"}
    assert "uayside" not in repr(asdict(row))
    assert "6789" not in repr(asdict(row))
    assert row.identity.startswith("change ")


@pytest.mark.parametrize("tool", [name for name in samples.FULL if BY_NAME[name].trace])
def test_nothing_of_any_change_stands_in_the_ledger(tool: str) -> None:
    """Ours: neither names nor bank numbers, addresses, URLs or passwords, whatever is sent."""
    stored = [{"id": id_, "external_reference_id": reference} for id_, reference in samples.REFERENCES.items()]
    row = change(tool, samples.FULL[tool], stored)

    private = ("Quayside", "Wharf", "Rae", "@", "123456789", "021000021", "1234567", "https", "fx-in", "correct horse")
    private += ("12345678901234", "98765000012345", "111122223333", "7654321", "Holt", "Toronto", "Boise", "K-12")
    owner = [str(samples.WHOLE_OWNER[name]) for name in ("ssn", "passport", "drivers_license_number", "date_of_birth")]
    assert [secret for secret in (*private, *owner) if secret in repr(asdict(row))] == []


def test_a_corrected_identity_number_is_another_change_and_leaves_the_same_digests() -> None:
    """Ours: it has to be sent, and nobody who has the key can try numbers until one fits."""
    tool = "finexio_buyers_partial_update"
    first, second = (
        change(tool, {"id": "b-1", "city": "Boise", "owners": [{**samples.WHOLE_OWNER, "ssn": ssn}]})
        for ssn in ("078-05-1120", "219-09-9999")
    )

    assert first.identity != second.identity
    assert first.change == second.change
    assert first.change is not None
    assert first.change.digests[0]["owners"] == NO_DIGEST
    assert first.change.digests[0]["city"] != NO_DIGEST


def test_the_same_change_is_the_same_whatever_letters_its_id_is_written_in() -> None:
    """Documented: ids are opaque; a record is the same in any case of them."""
    assert change(PATCH, {"id": "C-1", "city": "Mobile"}) == change(PATCH, {"id": "C-1", "city": "Mobile"})
    first, second = (change(PATCH, {"id": id_, "city": "Mobile"}) for id_ in ("C-1", "c-1"))
    assert first.identity == second.identity


@pytest.mark.parametrize(
    "other",
    [
        {"id": "c-2", "city": "Mobile"},
        {"id": "c-1", "city": "MOBILE"},
        {"id": "c-1", "city": "Mobile", "clear": ["notes"]},
        {"id": "c-1", "city": "Mobile", "state": "AL"},
    ],
)
def test_another_change_is_another_one(other: Arguments) -> None:
    """Ours: it has to be sent, so it must not be taken for a repetition."""
    assert change(PATCH, other).identity != change(PATCH, {"id": "c-1", "city": "Mobile"}).identity


def test_the_same_change_by_another_tool_or_elsewhere_is_another_one() -> None:
    """Ours: a full replace empties what it leaves out."""
    replaced = change("update_a_finexio_counterparty_by_id", {"id": "c-1", **SUPPLIER})
    created = change("create_a_finexio_counterparty", SUPPLIER)
    elsewhere = change("create_a_finexio_counterparty", SUPPLIER, scope="https://api.finexio-stage.com/v2")

    assert len({replaced.identity, created.identity, elsewhere.identity}) == 3


def test_a_repeated_update_of_a_contact_is_known_although_finexio_has_changed_meanwhile() -> None:
    """Ours: what is sent takes in what Finexio has; what was asked for makes the change."""
    asked = {"supplier_id": "s-1", "id": "k-1", "primary": True, "email": "rae@x.example"}

    before = change(CHANGE_CONTACT, asked, [RAE])
    later = change(CHANGE_CONTACT, asked, [{**RAE, "phone": "251-555-0199"}])

    assert before.identity == later.identity
    assert before.change is not None
    assert later.change is not None
    assert before.change.digests != later.change.digests
    assert before.change.records == ("contact:s-1:HP-AR", "contact-main:s-1")


@pytest.mark.parametrize("tool", [CHANGE_CONTACT, DELETE_CONTACT, CHANGE_BUYER_CONTACT, DELETE_BUYER_CONTACT])
def test_a_repetition_is_known_before_finexio_is_asked_for_the_contact(tool: str) -> None:
    """Ours: a contact that was deleted by the first call is not there any more for the second one to find."""
    asked = check(BY_NAME[tool], {**LEAST[tool], "id": "k-1"}).wire

    unresolved = wanted_change(BY_NAME[tool], asked, SCOPE, KEY)

    assert unresolved.identity == change(tool, {**LEAST[tool], "id": "k-1"}, [RAE]).identity


@pytest.mark.parametrize("tool", [PATCH_SUPPLIER, PATCH_BUYER])
def test_a_partial_update_is_the_same_whatever_the_record_was_before(tool: str) -> None:
    """Ours: what Finexio has decides whether it may be sent, not what it is."""
    asked = {"id": "x-1", "external_reference_id": "NEW"}

    rows = [change(tool, asked, stored) for stored in ([], [{"id": "x-1", "name": "A"}], [{"id": "x-1", "name": "B"}])]

    assert rows[0] == rows[1] == rows[2]


@pytest.mark.parametrize(
    "other",
    [
        {"metadata": {"a": "2"}},
        {"metadata": {"b": "1"}},
        {"metadata": [{"name": "a"}]},
        {"metadata": [{"name": "a", "value": "1"}], "notes": "x"},
    ],
)
def test_a_change_of_a_suppliers_own_keys_is_another_one(other: Arguments) -> None:
    """Ours: pairs and a map that say the same are the same; one letter more is not."""
    first = change(PATCH_SUPPLIER, {"id": "s-1", "metadata": {"a": "1"}})

    assert change(PATCH_SUPPLIER, {"id": "s-1", "metadata": [{"name": "a", "value": "1"}]}) == first
    assert change(PATCH_SUPPLIER, {"id": "s-1", **other}).identity != first.identity


def test_contacts_that_differ_by_the_case_of_their_references_are_two() -> None:
    """Documented: a reference is the caller's own text."""
    asked = {"supplier_id": "s-1", "primary": True}
    stored = [{"external_reference_id": "HP-AR"}, {"external_reference_id": "hp-ar"}]

    upper, lower = (change(CHANGE_CONTACT, {**asked, "id": id_}, stored) for id_ in ("HP-AR", "hp-ar"))

    assert upper.identity != lower.identity


def test_a_contact_without_a_reference_has_a_record_of_its_own() -> None:
    """Ours: no later write can name it, so none is taken for one between it and its repetition."""
    rows = [
        change(ADD_CONTACTS, {"supplier_id": supplier, "primary": False, "name": name})
        for supplier, name in (("s-1", "Rae"), ("s-1", "Ines"), ("s-2", "Rae"))
    ]

    keys = [key for row in rows if row.change for key in row.change.records]
    assert len(set(keys)) == len({row.identity for row in rows}) == 3
    assert all(key.startswith("change:") for key in keys)


@pytest.mark.parametrize("tool", [PAY, "list_all_finexio_invoices"])
def test_what_changes_no_master_data_has_no_change(tool: str) -> None:
    """Ours: an invoice has an identity of another kind."""
    with pytest.raises(ValueError, match=tool):
        wanted_change(BY_NAME[tool], {}, SCOPE, KEY)


def test_a_change_in_another_account_is_another_change() -> None:
    """Ours: and that of the default account is known as it was before there were accounts."""
    tool = BY_NAME["finexio_counterparties_partial_update"]
    said = {"id": "c-1", "email": "a@example.test"}

    bare = wanted_change(tool, said, SCOPE, KEY)
    default, acme, globex = (
        wanted_change(tool, said, SCOPE, KEY, account=name) for name in ("default", "acme", "globex")
    )

    assert bare == default
    assert len({default.identity, acme.identity, globex.identity}) == 3
    assert default.change == acme.change == globex.change
