"""Planted numbers do not come out, and ordinary ones do."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finexio_mcp.guards.masking import TOO_DEEP, Mask
from finexio_mcp.guards.names import kind_of, needless_unmasks, sensitive
from finexio_mcp.settings import load

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=15,
)


def show(answer: Any, *also: Any, unmask: tuple[str, ...] = ()) -> Any:
    mask = Mask(unmask)
    return mask.apply(answer, mask.learn(answer, *also))


def show_note(text: str) -> str:
    return show({"note": text})["note"]


# By name ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "bank_account_number",
        "bank_routing_number",
        "drawdown_bank_account_number",
        "refund_bank_routing_number",
        "tax_id",
        "account_number",
        "public_account_number",
        "ssn",
        "passport",
        "drivers_license_number",
        "password",
        "bankAccountNumber",
        "Bank-Account-Number",
        "BANK_ROUTING_NUMBER",
        "bankaccountnumber",
        "taxId",
        "SSN",
    ],
)
def test_sensitive_names_are_known_however_they_are_written(name: str) -> None:
    """Ours: style and case of a key make no difference."""
    assert sensitive(name)


@pytest.mark.parametrize(
    "name",
    [
        "bank_account_last_four",
        "tax_id_last_four",
        "instrument_number",
        "trace_id",
        "tracking_id",
        "invoice_number",
        "passport_country",
        "drivers_license_state",
        "account_manager",
        "payment_group_id",
        "id",
        "session",
    ],
)
def test_other_names_are_not(name: str) -> None:
    """Ours: what people need to recognise a record stays readable."""
    assert not sensitive(name)


def test_the_last_four_stay() -> None:
    """Ours: a person can still recognise an account."""
    assert show({"bank_account_number": "000123456789", "tax_id": "12-3456789", "account_number": 998811}) == {
        "bank_account_number": "****6789",
        "tax_id": "****6789",
        "account_number": "****8811",
    }


def test_what_the_vendor_shows_as_last_four_stays_recognisable() -> None:
    """Documented: supplier records carry the last four digits only."""
    assert show({"bank_account_number": "6789"}) == {"bank_account_number": "****6789"}


def test_absent_values_stay_absent() -> None:
    """Ours: a mask never pretends that there is a number."""
    absent = {"bank_account_number": None, "tax_id": "", "ssn": "None"}

    assert show(absent) == absent


def test_a_password_is_not_shown_at_all() -> None:
    """Ours: not even its end; under a sibling's name it is hidden whole."""
    answer = {
        "password": "hunter2pass",
        "metadata": [{"name": "password", "value": "hunter2pass"}],
        "note": "it is hunter2pass!",
    }

    assert show(answer) == {"metadata": [{"name": "password", "value": "****"}], "note": "it is ****!"}


def test_the_operator_unmasks_single_fields_and_never_passwords() -> None:
    """Ours: FINEXIO_MCP_UNMASK names what is shown."""
    answer = {"bank_routing_number": "021000021", "bank_account_number": "000123456789", "password": "hunter2pass"}

    assert show(answer, unmask=("bank_routing_number", "password")) == {
        "bank_routing_number": "021000021",
        "bank_account_number": "****6789",
    }


def test_a_person_s_network_address_is_hidden() -> None:
    """Documented: the vendor counts it as sensitive."""
    assert show({"remote_addr": "203.0.113.9", "userIpAddress": "203.0.113.9"}) == {
        "remote_addr": "****",
        "userIpAddress": "****",
    }


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        (
            {"bank_account_number": ["000123456789", "555123456789"], "city": ["None", "Mobile"]},
            {"bank_account_number": ["****6789", "****6789 (changed)"], "city": ["None", "Mobile"]},
        ),
        (
            [{"field": "bank_account_number", "oldValue": "000123456789", "newValue": "555123456789"}],
            [{"field": "bank_account_number", "oldValue": "****6789", "newValue": "****6789 (changed)"}],
        ),
        (
            {"field": "tax_id", "oldValue": None, "newValue": "12-3456789"},
            {"field": "tax_id", "oldValue": None, "newValue": "****6789"},
        ),
        (
            {"bank_account_number": ["000123456789", "000123450000"]},
            {"bank_account_number": ["****6789", "****0000"]},
        ),
    ],
)
def test_history_is_masked_in_all_its_shapes(changes: Any, shown: Any) -> None:
    """Documented: three shapes are known. Ours: a change stays visible when both ends look alike."""
    assert show({"changes": changes}) == {"changes": shown}


def test_metadata_is_masked_as_map_and_as_pairs() -> None:
    """Ours: the caller's own keys count as names."""
    answer = {
        "metadata": {"account_number": "A-998811", "cost_centre": "42"},
        "extra": [{"name": "tax_id", "value": "12-3456789"}],
    }

    assert show(answer) == {
        "metadata": {"account_number": "****8811", "cost_centre": "42"},
        "extra": [{"name": "tax_id", "value": "****6789"}],
    }


# By value --------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "000123456789",
        "see 000123456789 today",
        "000-123-456-789",
        "0 0 0 1 2 3 4 5 6 7 8 9",
        "000123\u200b456789",
        "000123456789".translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}),
        "ref:000_123_456_789;",
        "https://pay.example/000123456789",
    ],
)
def test_a_masked_value_is_masked_wherever_it_recurs(text: str) -> None:
    """Ours: separators, invisible and full-width characters do not help."""
    shown = show({"bank_account_number": "000123456789", "anything": {"deep": [text]}})

    assert shown["anything"]["deep"][0].endswith("6789") or "****6789" in shown["anything"]["deep"][0]
    assert "12345" not in "".join(filter(str.isalnum, shown["anything"]["deep"][0]))


def test_a_number_that_came_in_as_an_argument_does_not_come_back() -> None:
    """Ours: a refusal may quote what was sent."""
    mask = Mask()
    secrets = mask.learn({"bank_account_number": "000123456789", "password": "hunter2pass"})

    assert (
        mask.text("'000123456789' is not valid, nor is hunter2pass.", secrets)
        == "'****6789' is not valid, nor is ****."
    )


def test_longer_numbers_and_ids_that_contain_the_digits_are_others() -> None:
    """Ours: an id that is shredded is of no use."""
    answer = {
        "bank_account_number": "123456",
        "id": "f2a91234-5600-4f0e-9b3e-6a0d12345600",
        "tracking_id": "RC00123456Q0",
        "invoice_number": "9123456",
        "amount_cents": 123456,
        "created": "2025-10-01T12:34:56.000000",
    }

    assert show(answer) == {**answer, "bank_account_number": "****3456"}


def test_a_number_that_recurs_as_a_json_number_is_masked_but_money_is_not() -> None:
    """Ours: amounts are never touched."""
    assert show({"tax_id": "123456789", "code": 123456789, "amount_cents": 123456789}) == {
        "tax_id": "****6789",
        "code": "****6789",
        "amount_cents": 123456789,
    }


# By context ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pay to account 123456789 please", "pay to account ****6789 please"),
        ("acct #000-123-456", "acct #****3456"),
        ("routing: 021000021, account: 000123456789", "routing: ****0021, account: ****6789"),
        ("SSN 123-45-6789", "SSN ****6789"),
        ("his number is 123-45-6789", "his number is ****6789"),
        ("card 4111 1111 1111 1111 expires soon", "card ****1111 expires soon"),
        ("Tax ID 12-3456789", "Tax ID ****6789"),
        ("EIN:123456789", "EIN:****6789"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN DE****3000"),
        ("a/c 99887766", "a/c ****7766"),
        ("ACCOUNT NO. 99887766", "ACCOUNT NO. ****7766"),
        ("account\u200b 12345\u200b6789", "account ****6789"),
        ("Acct Grand Hotel 123456789", "Acct Grand Hotel ****6789"),
        ("account: Xref 000123456789", "account: Xref ****6789"),
        ("account 12-34-5678", "account ****5678"),
        ("account 123,456,789", "account ****6789"),
        ("account 1  2  3  4  5  6  7", "account ****4567"),
    ],
)
def test_numbers_that_words_give_away_are_masked_in_free_text(text: str, shown: str) -> None:
    """Ours: people write account numbers into notes."""
    assert show_note(text) == shown


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (
            {"metadata": {"routing": "021000021", "account": 123456789}},
            {"metadata": {"routing": "****0021", "account": "****6789"}},
        ),
        ({"metadata": {"IBAN": "DE89 3704 0044 0532 0130 00"}}, {"metadata": {"IBAN": "DE****3000"}}),
        (
            {"metadata": {"account_manager": "Bob", "cost_centre": 442100}},
            {"metadata": {"account_manager": "Bob", "cost_centre": 442100}},
        ),
        ({"changes": {"remit_account": ["None", "55667788"]}}, {"changes": {"remit_account": ["None", "****7788"]}}),
    ],
)
def test_keys_of_somebodys_own_are_words_before_their_values(record: Any, shown: Any) -> None:
    """Ours: in metadata and history the telling word is the key."""
    assert show(record) == shown


def test_what_a_record_is_recognised_by_stays_even_if_it_repeats_a_number() -> None:
    """Ours: utilities build invoice numbers from the account's, and an answer nobody can match is of no use."""
    record = {
        "account_number": "4417001",
        "invoice_number": "4417001-0925",
        "zip": "4417001",
        "created": "4417001",
        "amount_cents": "4417001",
        "id": "4417001",
        "tracking_id": "RC-4417001",
        "name": "Unit 4417001",
    }

    assert show(record) == {**record, "account_number": "****7001", "name": "Unit ****7001"}


def test_a_password_that_is_a_word_is_not_spelled_out_by_holes() -> None:
    """Ours: whoever knows the text would read it from what is missing."""
    assert show({"event": "payment.changed", "note": "payment"}, {"password": "payment"}) == {
        "event": "payment.changed",
        "note": "payment",
    }


@pytest.mark.parametrize(
    "text",
    [
        "Invoice 4471882 on account of delay",
        "account opened 2025-10-01",
        "account balance $12,500.00",
        "account for invoice 20931",
        "Account manager phone 251-555-0142",
        "accounting id 998877",
        "PO 4471882, tracking RC00K00Q00B11C20D",
        "account ending 6789",
        "abandon 12345678, it is einstein 12345678",
        "Paid 2025-11-01 by check 104418",
        "Net 30, 2% discount, 1,250.00 due 12/15/2025",
        "Call 407-555-1212 about PO-99120-A",
        "Mobile, AL 36602-1234",
    ],
)
def test_ordinary_sentences_come_through_untouched(text: str) -> None:
    """Ours: a mask that hits invoice numbers, dates, phones and money is of no use."""
    assert show_note(text) == text


def test_context_counts_in_free_text_only() -> None:
    """Ours: names and addresses may hold such words."""
    assert show({"name": "Account 99887766 LLC"}) == {"name": "Account 99887766 LLC"}
    assert show({"refund_comment": "to account 99887766"}) == {"refund_comment": "to account ****7766"}
    assert show({"metadata": {"memo": "to account 99887766"}}) == {"metadata": {"memo": "to account ****7766"}}
    assert show({"oldValue": "to account 99887766"}) == {"oldValue": "to account ****7766"}


# Always ----------------------------------------------------------------------


@given(JSON_VALUES)
def test_any_json_comes_out_as_json_and_unchanged_at_the_source(value: Any) -> None:
    """Ours: nothing that the vendor may send breaks the way out."""
    before = copy.deepcopy(value)

    shown = show(value)

    assert value == before
    json.dumps(shown).encode()


def test_nesting_without_end_is_cut() -> None:
    """Ours: a hostile answer cannot exhaust the stack."""
    deep: Any = "bottom"
    for _ in range(5_000):
        deep = [deep]

    assert TOO_DEEP in json.dumps(show({"deep": deep}))


SECRET = st.text("0123456789", min_size=7, max_size=17).filter(lambda digits: len(set(digits)) > 3)
NAMES = st.sampled_from(["bank_account_number", "bank_routing_number", "tax_id", "account_number", "ssn", "passport"])
SEPARATOR = st.sampled_from(["", " ", "-", ".", "/", "\u200b", "\u2060", "--"])
PLACES = st.sampled_from(["name", "note", "address_2", "reference", "description"])


def digits_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@given(st.data(), SECRET, NAMES, PLACES)
def test_a_planted_number_never_comes_out(data: st.DataObject, secret: str, name: str, place: str) -> None:
    """Ours: by name and by value, at any depth, with any separators between its digits."""
    spread = "".join(digit + data.draw(SEPARATOR) for digit in secret).rstrip(" -./\u200b\u2060")
    frame: Any = {place: f"see {spread} there"}
    for _ in range(data.draw(st.integers(0, 5))):
        frame = [frame] if data.draw(st.booleans()) else {"inner": frame}

    shown = digits_of(show({"record": {name: secret}, "others": frame}))

    bare = "".join(filter(str.isalnum, shown))
    assert secret not in bare


@given(st.data(), SECRET)
def test_separators_never_reveal_more(data: st.DataObject, secret: str) -> None:
    """Ours: whatever is put between the digits of an account number in a note, no more of it shows."""
    spread = "".join(digit + data.draw(st.sampled_from(["", "\u200b", "\u2060", "\ufeff"])) for digit in secret)

    shown = show_note(f"wire it to account {spread} today")

    assert shown == f"wire it to account ****{secret[-4:]} today"


@given(
    st.fixed_dictionaries(
        {
            "id": st.uuids().map(str),
            "invoice_number": st.from_regex(r"(INV|HP|PO)-[0-9]{3,9}(-R)?", fullmatch=True),
            "primary_contact_phone": st.from_regex(r"[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}", fullmatch=True),
            "invoice_date": st.dates().map(str),
            "created": st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds")),
            "amount_cents": st.integers(1, 999_999_900),
            "tracking_id": st.from_regex(r"RC[0-9A-Z]{15}", fullmatch=True),
            "zipcode": st.from_regex(r"[0-9]{5}", fullmatch=True),
            "reconciliation_id": st.from_regex(r"[A-Z0-9]{4,20}", fullmatch=True),
        }
    ),
    SECRET,
)
def test_ordinary_fields_come_through_untouched(record: dict[str, Any], secret: str) -> None:
    """Ours: unless one of them is the very number that is masked beside it."""
    bare = {"".join(filter(str.isalnum, str(value))).casefold() for value in record.values()}
    if any(secret in value for value in bare):
        return

    assert show({**record, "bank_account_number": secret}) == {**record, "bank_account_number": f"****{secret[-4:]}"}


@given(st.text(max_size=40))
def test_every_name_has_a_kind(name: str) -> None:
    """Ours: no key breaks the decision."""
    kind_of(name)


def test_a_name_to_unmask_that_is_never_masked_is_pointed_out() -> None:
    """Ours: misspelt, it would leave masked what the operator wants to see."""
    (problem,) = needless_unmasks(load(FINEXIO_MCP_UNMASK="bank_acount_number,tax_id"))

    assert problem.name == "FINEXIO_MCP_UNMASK"
    assert "bank_acount_number" in problem.problem
