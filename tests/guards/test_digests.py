"""Digests: what was sent is recognised in what Finexio shows, and cannot be read out of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finexio_mcp.guards.digests import NO_DIGEST, TAIL, Match, compare, digest_record, identity_of_change
from finexio_mcp.guards.names import NEVER_SHOWN, kind_of, sensitive

at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes says more of the machine than of us."""

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
ACCOUNT = "000123456789"

CODE = ("internal_id",)
REFERENCE = ("external_reference_id",)

plain_names = st.text(max_size=5).filter(lambda name: kind_of(name) not in NEVER_SHOWN)
"""A map with such a key leaves no digest, which has tests of its own."""
values = st.one_of(
    st.text(max_size=30),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.booleans(),
    st.none(),
    st.dictionaries(plain_names, st.text(max_size=5), max_size=3),
    st.lists(st.text(max_size=5), max_size=3),
)
records = st.dictionaries(st.sampled_from(["name", "city", "notes", "tax_id", "payment_terms", "metadata"]), values)


def match(sent: dict[str, Any], shown: dict[str, Any], created_by: tuple[str, ...] = ()) -> Match:
    return compare(KEY, digest_record(KEY, sent), shown, created_by=created_by)


# What a digest gives away ----------------------------------------------------


@at_leisure
@given(records)
def test_a_digest_holds_no_value(record: dict[str, Any]) -> None:
    """Ours: the ledger is read by people who may not see bank numbers."""
    for digest in digest_record(KEY, record).values():
        assert len(digest) == 32
        assert set(digest) <= set("0123456789abcdef")


def test_a_short_value_cannot_be_guessed_without_the_key() -> None:
    """Ours: there are ten thousand ends of a number, and one of two booleans."""
    digests = digest_record(KEY, {"bank_account_number": ACCOUNT, "primary": True})
    elsewhere = digest_record(OTHER_KEY, {"bank_account_number": ACCOUNT, "primary": True})

    assert not set(digests.values()) & set(elsewhere.values())
    for text in ("6789", "t:6789", ACCOUNT, "true", "b:true", "primary", json.dumps(["field", "primary", "b:true"])):
        assert hashlib.sha256(text.encode()).hexdigest()[:32] not in digests.values()


@at_leisure
@given(st.text(max_size=20))
def test_the_same_value_in_two_fields_does_not_show(value: str) -> None:
    """Ours: nobody can see that the city is also the name."""
    digests = digest_record(KEY, {"name": value, "city": value, "notes": value})

    assert len(set(digests.values())) == 3


def test_names_and_values_do_not_run_into_each_other() -> None:
    """Ours: a field's name ends before its value begins."""
    assert digest_record(KEY, {"a": "b:c"})["a"] != digest_record(KEY, {"a:b": "c"})["a:b"]
    assert digest_record(KEY, {"a": "bt:c"})["a"] != digest_record(KEY, {"at:b": "c"})["at:b"]


def test_a_password_leaves_only_the_word_that_there_was_one() -> None:
    """Ours: not even a digest of it is kept."""
    first = digest_record(KEY, {"password": "correct horse", "username": "fx-in"})
    second = digest_record(KEY, {"password": "battery staple", "username": "fx-in"})

    assert first == second
    assert first["password"] == NO_DIGEST


OWNER = {"first_name": "Rae", "ssn": "123-45-6789", "date_of_birth": "1980-02-29"}


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("ssn", "123-45-6789", ""),
        ("passport", "X1234567", 7),
        ("driversLicenseNumber", "D123-4567-8901", "D1"),
        ("date_of_birth", "1980-02-29", "1981-03-01"),
        ("owners", [OWNER], []),
        ("owners", [OWNER], "[{'ssn': '123-45-6789'}]"),
        ("contacts", [{"name": "Rae Lund", "primary": True}], [{"name": "Ines"}]),
        ("metadata", {"run": "7", "ssn": "123-45-6789"}, {"deep": {"passport": "X1234567"}}),
        ("metadata", [{"name": "ssn", "value": "123-45-6789"}], {"password": "correct horse"}),
        ("rows", [["x", {"ssn": "123-45-6789"}]], [[{"x": "y"}]]),
    ],
)
def test_what_belongs_to_people_leaves_only_the_word_that_it_was_sent(name: str, one: Any, other: Any) -> None:
    """Ours: an identity number has ten digits at most, so whoever holds the key could try them all."""
    first, second = (digest_record(KEY, {name: value, "city": "Mobile"}) for value in (one, other))

    assert first[name] == second[name] == NO_DIGEST
    assert set(first) == {name, "city"}
    assert first["city"] == second["city"] != NO_DIGEST


@at_leisure
@given(records, st.text("0123456789", min_size=1, max_size=11))
def test_an_identity_number_changes_no_digest(record: dict[str, Any], number: str) -> None:
    """Ours: whichever it is, and wherever in the record it stands."""
    nested = {"owners": [{"ssn": number}], "passport": number, "extra": {"ssn": number}}

    assert digest_record(KEY, {**record, **nested}) == {
        **digest_record(KEY, record),
        "owners": NO_DIGEST,
        "passport": NO_DIGEST,
        "extra": NO_DIGEST,
    }


# The same in another form ----------------------------------------------------


@at_leisure
@given(records)
def test_what_is_shown_as_it_was_sent_is_the_same(record: dict[str, Any]) -> None:
    """Ours: whatever it holds."""
    assert match(record, record) is (Match.SAME if record else Match.UNKNOWN)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Harbor Paper", " Harbor  Paper "),
        ("", None),
        (None, ""),
        ("", []),
        (30, 30.0),
        (80.0, "80.00"),
        (80250.5, "80250.50"),
        (0, "0"),
        (0.0, "-0.0"),
        (1e22, "10000000000000000000000"),
        ("30", 30),
        (True, "true"),
        (False, "False"),
        ({"a": 1, "b": "x"}, {"b": "x", "a": 1}),
        ({"a": "x"}, [{"name": "a", "value": "x"}]),
        ([{"name": "a", "value": "x"}, {"name": "b", "value": "y"}], {"b": "y", "a": "x"}),
    ],
)
def test_forms_of_one_value_are_the_same(sent: Any, shown: Any) -> None:
    """Documented: Finexio shows absent values as null or "", and some numbers as text."""
    assert match({"field": sent}, {"field": shown}) is Match.SAME


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Harbor Paper", "Harbour Paper"),
        ("Harbor Paper", "HARBOR PAPER"),
        ("https://hooks.example/aB", "https://hooks.example/ab"),
        ("02134", "2134"),
        ("1.10", "1.1"),
        ("note", None),
        ("", "note"),
        (30, 31),
        (30, None),
        (0, None),
        (True, False),
        (True, 1),
        (False, None),
        ({"a": "x"}, {"a": "y"}),
        (["a", "b"], ["b", "a"]),
    ],
)
def test_other_values_are_not_the_same(sent: Any, shown: Any) -> None:
    """Ours: a change of one letter is a change, and so is one of its case."""
    assert match({"field": sent}, {"field": shown}) is Match.DIFFERENT


SENT_MAP = {"run": "7", "b": 2}


@pytest.mark.parametrize(
    ("sent", "shown", "verdict"),
    [
        (SENT_MAP, '{"b": 2, "run": "7"}', Match.SAME),
        ([{"name": "run", "value": "7"}, {"name": "b", "value": 2}], ' {"b":2,"run":"7"} ', Match.SAME),
        ({}, "{}", Match.SAME),
        (SENT_MAP, '{"b": 2, "run": "8"}', Match.DIFFERENT),
        (SENT_MAP, '{"b": 2}', Match.DIFFERENT),
        (SENT_MAP, "{}", Match.DIFFERENT),
        (SENT_MAP, '{"b": 2, "run": "7"', Match.DIFFERENT),
        (SENT_MAP, "[" * 100_000, Match.DIFFERENT),
        ({}, '{"b": 2}', Match.DIFFERENT),
    ],
)
def test_a_map_may_come_back_as_its_json_text(sent: Any, shown: str, verdict: Match) -> None:
    """Documented: metadata is called a string, and printed as one. Ours: no other text is read so."""
    assert match({"metadata": sent}, {"metadata": shown}) is verdict
    assert match({"notes": ""}, {"notes": "{}"}) is Match.DIFFERENT


@pytest.mark.parametrize("name", ["internal_id", "remit_email", "primary_contact_email", "email"])
def test_letters_that_finexio_may_change_do_not_count(name: str) -> None:
    """Documented: vendor codes come back in capitals; e-mail addresses mean the same in any case."""
    assert match({name: "quay-77@x.example"}, {name: "QUAY-77@x.example"}) is Match.SAME


def test_the_case_of_a_reference_counts() -> None:
    """Documented: a contact's is exact. Ours: so one that is renamed in its case alone is not renamed unseen."""
    assert match({"external_reference_id": "hp-ar"}, {"external_reference_id": "HP-AR"}) is Match.DIFFERENT
    assert match({"external_reference_id": "hp-ar"}, {"external_reference_id": "HP-AR"}, REFERENCE) is Match.DIFFERENT


@pytest.mark.parametrize(
    ("method", "verdict"),
    [
        ("Check", Match.DIFFERENT),
        ("Card", Match.UNKNOWN),
        ("ACH", Match.UNKNOWN),
        (None, Match.UNKNOWN),
    ],
)
def test_by_check_finexio_keeps_the_delivery_that_it_was_sent(method: str | None, verdict: Match) -> None:
    """Documented: it settles that of the other methods alone."""
    assert match({"delivery_method": "Mail"}, {"delivery_method": "Email", "payment_method": method}) is verdict


@pytest.mark.parametrize("shown", ["Email", "", None, 7])
def test_where_finexio_has_the_last_word_another_value_says_nothing(shown: Any) -> None:
    """Documented: it settles the delivery method itself, so what it shows neither proves nor refutes a change."""
    sent = {"delivery_method": "Phone"}

    assert match(sent, {"delivery_method": "Phone"}) is Match.SAME
    assert match(sent, {"delivery_method": shown}) is Match.UNKNOWN
    assert match({**sent, "city": "Mobile"}, {"delivery_method": shown, "city": "Mobile"}) is Match.UNKNOWN
    assert match({**sent, "city": "Mobile"}, {"delivery_method": shown, "city": "Boise"}) is Match.DIFFERENT
    assert match({**sent, "external_reference_id": "Q"}, {"external_reference_id": "Q"}, REFERENCE) is Match.SAME


# Changes of known records ----------------------------------------------------


def test_one_field_that_differs_says_that_the_change_is_not_there() -> None:
    """Ours: or not any more; either way it is not as it was asked for."""
    assert match({"city": "Mobile", "notes": "x"}, {"city": "Mobile", "notes": "y"}) is Match.DIFFERENT


def test_what_was_not_sent_does_not_count() -> None:
    """Ours: the rest of the record may be anything."""
    assert match({"city": "Mobile"}, {"city": "Mobile", "notes": "y", "id": "c-1"}) is Match.SAME


def test_a_field_that_is_not_shown_leaves_it_open() -> None:
    """Ours: what cannot be seen may not have happened."""
    assert match({"city": "Mobile", "notes": "x"}, {"city": "Mobile"}) is Match.UNKNOWN
    assert match({"city": "Mobile", "notes": ""}, {"city": "Mobile"}) is Match.SAME


@pytest.mark.parametrize("shown", [{}, {"id": "c-1"}])
def test_nothing_to_compare_leaves_it_open(shown: dict[str, Any]) -> None:
    """Ours: an answer without the fields proves nothing."""
    assert match({"city": "Mobile"}, shown) is Match.UNKNOWN
    assert match({}, shown) is Match.UNKNOWN


def test_a_new_password_cannot_be_seen() -> None:
    """Ours: everything else may have been as it is before."""
    sent = {"password": "correct horse", "username": "fx-in"}

    assert match(sent, {"username": "fx-in", "password": "correct horse"}) is Match.UNKNOWN
    assert match(sent, {"username": "other"}) is Match.DIFFERENT
    assert match({"password": "correct horse"}, {"password": "battery staple"}) is Match.UNKNOWN


@pytest.mark.parametrize(
    ("name", "value"),
    [("ssn", "123-45-6789"), ("owners", [OWNER]), ("contacts", [{"name": "Rae"}]), ("date_of_birth", "1980-02-29")],
)
@pytest.mark.parametrize("differently", [False, True])
def test_what_belongs_to_people_cannot_be_compared(name: str, value: Any, differently: bool) -> None:
    """Documented: nested rows come back with ids of their own. Ours: whatever is shown proves nothing."""
    sent, shown = {name: value, "name": "Quayside"}, {name: [{"id": "o-1"}] if differently else value}

    assert match(sent, {**shown, "name": "Quayside"}) is Match.UNKNOWN
    assert match(sent, {"name": "Quayside"}) is Match.UNKNOWN
    assert match(sent, {**shown, "name": "Harbor"}) is Match.DIFFERENT
    assert match({**sent, "external_reference_id": "B-1"}, {**shown, "external_reference_id": "B-1"}, REFERENCE) is (
        Match.SAME
    )


# Masked numbers --------------------------------------------------------------

MASKED_ENDS = ["****6789", "6789", "********6789", "XXXXX6789", "••••6789", "***-**-6789", "**3456789"]


@pytest.mark.parametrize("shown", [ACCOUNT, "0001 2345 6789", "000-123-456-789"])
def test_a_number_in_full_is_compared_in_full(shown: str) -> None:
    """Ours: however it is grouped."""
    assert match({"bank_account_number": ACCOUNT}, {"bank_account_number": shown}) is Match.SAME


@pytest.mark.parametrize("shown", MASKED_ENDS)
def test_the_end_of_a_number_does_not_prove_the_number(shown: str) -> None:
    """Ours: a slip in the middle is corrected, and the last four stay what they were."""
    sent = {"bank_account_number": ACCOUNT, "bank_routing_number": "021000021"}

    assert match({"bank_account_number": ACCOUNT}, {"bank_account_number": shown}) is Match.UNKNOWN
    assert match(sent, {"bank_account_number": shown, "bank_routing_number": "021000021"}) is Match.UNKNOWN


@pytest.mark.parametrize("shown", ["****6780", "6780", "XXXX0000", "000123456780", "6788 ", None, ""])
def test_another_end_proves_another_number(shown: Any) -> None:
    """Ours: the change is not there."""
    assert match({"bank_account_number": ACCOUNT}, {"bank_account_number": shown}) is Match.DIFFERENT


@pytest.mark.parametrize("shown", ["****", "***89", "0001****", "789", "*"])
def test_less_than_four_digits_prove_nothing(shown: str) -> None:
    """Ours: too many numbers end so."""
    assert match({"bank_account_number": ACCOUNT}, {"bank_account_number": shown}) is Match.UNKNOWN


@pytest.mark.parametrize("name", ["bank_account_number", "bank_routing_number", "tax_id", "account_number"])
def test_every_masked_number_has_a_digest_of_its_end(name: str) -> None:
    """Ours: by the same names as in what is shown to a model."""
    assert sensitive(name)
    digests = digest_record(KEY, {name: ACCOUNT})

    assert set(digests) == {name, name + TAIL}
    assert digests[name] != digests[name + TAIL]
    assert set(digest_record(KEY, {name: "", "city": "Mobile"})) == {name, "city"}
    assert set(digest_record(KEY, {name: None})) == {name}


@at_leisure
@given(st.text("0123456789", min_size=5, max_size=17), st.text("0123456789", min_size=4, max_size=17))
def test_no_masked_number_ever_confirms_a_change(sent: str, shown: str) -> None:
    """Ours: money would go to the account that was there before."""
    for masked in ("****" + shown[-4:], shown[-4:]):
        found = match({"bank_account_number": sent}, {"bank_account_number": masked})
        assert found is (Match.UNKNOWN if sent.endswith(shown[-4:]) else Match.DIFFERENT)


# Records that were created ---------------------------------------------------

SUPPLIER = {"internal_id": "quay-77", "name": "Quayside Paper", "bank_account_number": ACCOUNT, "payment_terms": 30}


def test_a_created_record_is_known_by_its_key() -> None:
    """Ours: there was none before, so a masked number and a field that is not shown are no doubt."""
    shown = {"internal_id": "QUAY-77", "name": "Quayside Paper", "bank_account_number": "****6789"}

    assert match(SUPPLIER, shown, CODE) is Match.SAME


@pytest.mark.parametrize(
    "other", [{"name": "Harbor Paper"}, {"bank_account_number": "****0000"}, {"payment_terms": 45}]
)
def test_the_same_key_with_another_content_is_somebody_elses(other: dict[str, Any]) -> None:
    """Ours: the code was taken; what stands there is not what was sent."""
    assert match(SUPPLIER, {**SUPPLIER, **other}, CODE) is Match.OTHER


def test_another_key_is_another_record() -> None:
    """Ours: it says nothing of ours, however alike the rest may be."""
    assert match(SUPPLIER, {**SUPPLIER, "internal_id": "QUAY-78"}, CODE) is Match.DIFFERENT


def test_a_key_that_is_not_shown_leaves_it_open() -> None:
    """Ours: the rest alone is no proof."""
    shown = {name: value for name, value in SUPPLIER.items() if name != "internal_id"}

    assert match(SUPPLIER, shown, CODE) is Match.UNKNOWN


def test_a_created_record_with_two_keys_needs_both() -> None:
    """Documented: one webhook per event; of the one that is there, the URL tells whether it is ours."""
    sent = {"event": "payment.changed", "url": "https://a.example", "username": "fx-in", "password": "correct horse"}
    shown = {**sent, "password": None}

    assert match(sent, shown, ("event", "url")) is Match.SAME
    assert match(sent, {**shown, "url": "https://b.example"}, ("event", "url")) is Match.DIFFERENT
    assert match(sent, {**shown, "username": "other"}, ("event", "url")) is Match.OTHER


def test_a_contact_without_a_reference_is_known_by_all_of_it() -> None:
    """Documented: a reference is optional; without one there is no key that could be somebody else's."""
    sent = {"external_reference_id": "", "name": "Rae Lund", "email": "", "phone": "", "primary": False}
    shown = {"external_reference_id": None, "name": "Rae Lund", "email": None, "phone": "", "primary": False}

    assert match(sent, shown, REFERENCE) is Match.SAME
    assert match(sent, {**shown, "email": "rae@x.example"}, REFERENCE) is Match.DIFFERENT
    assert match(sent, {**shown, "external_reference_id": "HP-AR"}, REFERENCE) is Match.DIFFERENT
    assert match(sent, {"name": "Rae Lund"}, REFERENCE) is Match.UNKNOWN


def test_digests_of_another_key_match_nothing() -> None:
    """Ours: a ledger under a lost key proves nothing by accident."""
    digests = digest_record(OTHER_KEY, {"city": "Mobile"})

    assert compare(KEY, digests, {"city": "Mobile"}) is Match.DIFFERENT


# Identity of a change --------------------------------------------------------

SCOPE = "https://api.finexio.com/v2"
ROUTE = "PATCH /counterparties/{id}/"
RECORDS = ("counterparty:c-1",)
ASKED = {"name": "Quayside Paper", "notes": "x"}


def identity(**other: Any) -> str:
    parts: dict[str, Any] = {
        "key": KEY,
        "scope": SCOPE,
        "route": ROUTE,
        "records": RECORDS,
        "arguments": ASKED,
        **other,
    }
    return identity_of_change(**parts)


def test_the_same_change_has_the_same_identity() -> None:
    """Ours: the order of fields means nothing."""
    assert identity() == identity(arguments=dict(reversed(ASKED.items())), records=list(RECORDS))


@pytest.mark.parametrize(
    "other",
    [
        {"key": OTHER_KEY},
        {"scope": "https://api.finexio-stage.com/v2"},
        {"route": "PUT /counterparties/{id}/"},
        {"records": ("counterparty:c-2",)},
        {"arguments": {**ASKED, "notes": ""}},
        {"arguments": {"name": "Quayside Paper"}},
        {"arguments": {**ASKED, "notes": "X"}},
        {"arguments": {**ASKED, "notes": "x "}},
        {"arguments": {**ASKED, "primary": False}},
        {"arguments": {**ASKED, "owners": [OWNER]}},
    ],
)
def test_any_other_change_has_another_identity(other: dict[str, Any]) -> None:
    """Ours: emptying a field is not leaving it alone, and a corrected capital is to be sent."""
    assert identity(**other) != identity()


def test_a_corrected_identity_number_is_another_change() -> None:
    """Ours: it has to be sent, although it leaves no digest of its own."""
    corrected = {**OWNER, "ssn": "123-45-6780"}

    assert identity(arguments={"owners": [OWNER]}) != identity(arguments={"owners": [corrected]})


def test_an_identity_gives_nothing_away() -> None:
    """Ours: it stands in clear in the ledger, in logs and in what an operator reads."""
    found = identity(arguments={"bank_account_number": ACCOUNT, "password": "correct horse", "owners": [OWNER]})

    assert len(found) == 64
    assert set(found) <= set("0123456789abcdef")
