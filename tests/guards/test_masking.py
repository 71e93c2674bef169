"""Planted numbers do not come out, and ordinary ones do."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finexio_mcp.guards.masking import TOO_DEEP, UNSAID, Mask
from finexio_mcp.guards.names import Kind, kind_of, needless_unmasks, sensitive
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
        "bank_account_number_last_four",
        "address_1",
        "twelve_month_payment_count",
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


# As JSON text ----------------------------------------------------------------

HELD = {"passport": "X1234567", "dob": "1980-02-29", "bank_account_number": "000123456789", "k": ["ü", 7, None]}
SHOWN = '{"passport":"****","dob":"****","bank_account_number":"****6789","k":["ü",7,null]}'


@pytest.mark.parametrize("text", [json.dumps(HELD), json.dumps(HELD, indent=2), f" \n{json.dumps(HELD)}"])
def test_what_arrives_as_json_text_is_masked_as_what_it_is(text: str) -> None:
    """Documented: metadata is a string at one place. Ours: its keys are names as any others."""
    assert show({"metadata": text, "changes": f"[{text}]"}) == {"metadata": SHOWN, "changes": f"[{SHOWN}]"}
    assert show({"changes": {"metadata": ["None", text]}}) == {"changes": {"metadata": ["None", SHOWN]}}
    assert show({"field": "metadata", "oldValue": "", "newValue": text}) == {
        "field": "metadata",
        "oldValue": "",
        "newValue": SHOWN,
    }
    assert show({"metadata": {"x": text, "y": [text]}}) == {"metadata": {"x": SHOWN, "y": [SHOWN]}}
    assert json.loads(show({"metadata": json.dumps({"x": text})})["metadata"]) == {"x": SHOWN}


@pytest.mark.parametrize("name", ["metadata", "changes", "owners"])
def test_numbers_in_json_text_are_covered_wherever_they_recur(name: str) -> None:
    """Ours: as those of an object."""
    answer = {name: json.dumps([HELD, {"password": "hunter2pass"}]), "x": "X-1234567 000123456789 hunter2pass"}

    assert show(answer)["x"] == "**** ****6789 ****"
    assert show({"changes": {name: ["None", answer[name]]}, "x": answer["x"]})["x"] == "**** ****6789 ****"


@pytest.mark.parametrize(
    "text",
    ["[urgent] call back", "{'cost_centre': '42'}", '{"cost_centre": ', "{}[]", "", "7", '"text"', "[1" + "0" * 900],
)
def test_text_that_is_no_json_stays_as_it_is(text: str) -> None:
    """Ours: not every bracket begins an array."""
    assert show({"metadata": text, "note": text}) == {"metadata": text, "note": text}


def test_json_text_under_a_telling_key_is_masked_by_context_too() -> None:
    """Ours: reading it must not show more than not reading it."""
    assert show({"metadata": {"account": '["998877665544"]'}}) == {"metadata": {"account": '["****5544"]'}}


@pytest.mark.parametrize("depth", [60, 2_000, 49_000])
def test_json_text_that_is_too_deep_shows_nothing_of_it(depth: int) -> None:
    """Ours: nor does it exhaust the stack."""
    shown = show({"metadata": f'{{"passport":"X1234567","x":{"[" * depth}"X1234567"{"]" * depth}}}'})

    assert TOO_DEEP in shown["metadata"]
    assert "1234567" not in shown["metadata"]


def test_json_text_that_is_too_long_shows_nothing_of_it() -> None:
    """Ours: what was not read may hold anything."""
    assert show({"metadata": json.dumps({"passport": "X1234567", "x": "y" * 100_000})}) == {
        "metadata": '["(too long to be read)"]'
    }


def test_json_text_is_masked_before_it_is_cut() -> None:
    """Ours: as any text."""
    shown = show({"metadata": json.dumps({"x": "y " * 240, "z": "y " * 244, "tax_id": "98-7654321"})})["metadata"]

    assert len(shown) <= 1_000
    assert "98-76" not in shown


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


# Of people -------------------------------------------------------------------

SSN, PASSPORT, LICENCE = "123-45-6789", "X1234567", "D123-4567-8901"
PRINTED = "[{'first_name': 'Rae', 'ssn': '123-45-6789', 'date_of_birth': '1980-02-29'}]"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ssn", Kind.IDENTITY),
        ("SSN", Kind.IDENTITY),
        ("ownerSsn", Kind.IDENTITY),
        ("owners[0].ssn", Kind.IDENTITY),
        ("owners.0.ssn", Kind.IDENTITY),
        ("ssn_number", Kind.IDENTITY),
        ("social_security", Kind.IDENTITY),
        ("social_security_number", Kind.IDENTITY),
        ("passport", Kind.IDENTITY),
        ("passport_2", Kind.IDENTITY),
        ("passport_no", Kind.IDENTITY),
        ("PassportNumber", Kind.IDENTITY),
        ("drivers_license", Kind.IDENTITY),
        ("driverLicense", Kind.IDENTITY),
        ("drivers_license_number", Kind.IDENTITY),
        ("driversLicenseNumber", Kind.IDENTITY),
        ("driverslicensenumber", Kind.IDENTITY),
        ("date_of_birth", Kind.PERSONAL),
        ("dateOfBirth", Kind.PERSONAL),
        ("DATEOFBIRTH", Kind.PERSONAL),
        ("birth_date", Kind.PERSONAL),
        ("birthday", Kind.PERSONAL),
        ("DOB", Kind.PERSONAL),
        ("owners", Kind.PEOPLE),
        ("owners[0]", Kind.PEOPLE),
        ("owners.0", Kind.PEOPLE),
        ("owners_0", Kind.PEOPLE),
        ("owner", Kind.PEOPLE),
        ("Owner1", Kind.PEOPLE),
        ("controlling_owner", Kind.PEOPLE),
        ("beneficialOwner[1]", Kind.PEOPLE),
        ("beneficialOwners", Kind.PEOPLE),
        ("passport_country", Kind.PLAIN),
        ("drivers_license_state", Kind.PLAIN),
        ("ssn_last_four", Kind.PLAIN),
        ("ssn_last_4", Kind.PLAIN),
        ("owners[0].city", Kind.PLAIN),
        ("owner_id", Kind.PLAIN),
        ("account_owner", Kind.PLAIN),
        ("account_owner_email", Kind.PLAIN),
        ("invoice_date", Kind.KEPT),
    ],
)
def test_what_belongs_to_a_person_is_known_by_its_name(name: str, kind: Kind) -> None:
    """Ours: however it is written; where a passport or a licence is from is no number."""
    assert kind_of(name) is kind


@pytest.mark.parametrize("name", ["ssn", "passport", "drivers_license_number", "date_of_birth"])
@pytest.mark.parametrize("value", [SSN, PASSPORT, "1", "****6789", 123456789, 1.5, {"a": SSN}, {SSN: {"x": [1]}}])
def test_nothing_is_shown_of_a_person_s_number(name: str, value: Any) -> None:
    """Ours: that there is one, but no digit of it and not how long it is, at any depth."""
    assert show({name: value}) == {name: "****"}
    assert show([{"x": [{name: value}]}]) == [{"x": [{name: "****"}]}]
    assert show({"metadata": {name: value}}) == {"metadata": {name: "****"}}
    assert show({"extra": [{"name": name, "value": value}]}) == {"extra": [{"name": name, "value": "****"}]}


def test_nothing_is_shown_of_several_of_a_person_s_numbers() -> None:
    """Ours: nor of what stands among them."""
    assert show({"passport": [PASSPORT, {"number": PASSPORT}, [SSN], None]}) == {
        "passport": ["****", "****", ["****"], None]
    }


@pytest.mark.parametrize("name", ["ssn", "date_of_birth", "owners"])
@pytest.mark.parametrize("value", [None, "", "None", "null", [], {}])
def test_what_a_person_does_not_have_stays_absent(name: str, value: Any) -> None:
    """Ours: a mask never pretends that there is something."""
    assert show({name: value}) == {name: value}


@pytest.mark.parametrize("name", ["ssn", "passport", "driversLicenseNumber", "date_of_birth", "owners"])
@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (SSN, "123-45-0000", ("****", "**** (changed)")),
        (SSN, SSN, ("****", "****")),
        ("None", SSN, ("None", "****")),
        (SSN, "None", ("****", "None")),
        (None, SSN, (None, "****")),
        (PRINTED, PRINTED.replace("Rae", "Ines"), ("****", "**** (changed)")),
    ],
)
def test_history_tells_that_a_person_s_number_changed_and_nothing_else(
    name: str, old: Any, new: Any, shown: tuple[Any, Any]
) -> None:
    """Documented: both shapes, and values as text. Ours: the change alone is told."""
    assert show({"changes": {name: [old, new]}}) == {"changes": {name: list(shown)}}
    assert show({"changes": {"field": name, "oldValue": old, "newValue": new}}) == {
        "changes": {"field": name, "oldValue": shown[0], "newValue": shown[1]}
    }


def test_owners_are_shown_as_records_and_never_as_text() -> None:
    """Documented: history prints lists as text. Ours: nobody can tell which part of such a text is a number."""
    owner = {"first_name": "Rae", "ssn": SSN, "passport_country": "USA", "date_of_birth": "1980-02-29", "passport": ""}
    shown = {**owner, "ssn": "****", "date_of_birth": "****"}

    assert show({"owners": [owner]}) == {"owners": [shown]}
    assert show({"changes": {"owners": [[owner], [owner, owner]]}}) == {
        "changes": {"owners": [[shown], [shown, shown]]}
    }
    assert show({"owners": PRINTED}) == {"owners": "****"}
    assert show({"owners": ["None", PRINTED]}) == {"owners": ["None", "****"]}
    assert show({"owners": {"old": PRINTED, "new": "None"}}) == {"owners": "****"}


@pytest.mark.parametrize("key", ["owners[0]", "owners.0", "owner", "owner_0", "controlling_owner"])
def test_one_owner_as_text_is_hidden_however_history_calls_it(key: str) -> None:
    """Ours: one of them holds as much as all."""
    assert show({"changes": {key: ["None", PRINTED]}}) == {"changes": {key: ["None", "****"]}}
    assert show({"changes": [{"field": key, "oldValue": "None", "newValue": PRINTED}]}) == {
        "changes": [{"field": key, "oldValue": "None", "newValue": "****"}]
    }


@pytest.mark.parametrize("value", [True, False, "True", "Rae Moss", ["Rae Moss", "Ines Moss"]])
def test_an_owner_s_name_and_that_one_is_in_control_are_shown(value: Any) -> None:
    """Ours: no record of a person is without a digit."""
    answer = {"controlling_owner": value, "metadata": {"owner": value}}

    assert show(answer) == answer


@pytest.mark.parametrize("number", [SSN, PASSPORT, LICENCE, "12345X"])
@pytest.mark.parametrize("separator", ["", " ", "-", ".", "/", " - ", "_", "\u200b", "\u0301"])
def test_a_person_s_number_is_covered_wherever_it_recurs(number: str, separator: str) -> None:
    """Ours: from the answer or from the arguments, in any form, and inside longer words too."""
    bare = "".join(filter(str.isalnum, number))
    spread = separator.join(bare)
    for zero in ("0", "\uff10", "\u0660"):
        text = spread.lower().translate({ord("0") + digit: ord(zero) + digit for digit in range(10)})
        assert show({"name": f"is {text}, see"}, {"passport": number}) == {"name": "is ****, see"}
        assert show({"ssn": number, "note": f"account {text}"}) == {"ssn": "****", "note": "account ****"}
        assert show({"ssn": number, "x": [f"ssn{text}ssn"]}) == {"ssn": "****", "x": ["ssn****ssn"]}
        assert show({"ssn": text, "x": number}) == {"ssn": "****", "x": "****"}


def test_a_person_s_number_is_covered_in_names_and_json_numbers_too() -> None:
    """Ours: nowhere at all."""
    answer = {"metadata": {"X1234567": "Rae"}, "code": 123456789, "longer": 91234567890}

    assert show(answer, {"owners": [{"ssn": SSN, "passport": PASSPORT}]}) == {
        "metadata": {"****": "Rae"},
        "code": "****",
        "longer": "****",
    }


def test_a_number_that_is_a_person_s_too_shows_no_end() -> None:
    """Ours: a sole owner's tax id is the social security number, and some build account numbers from it."""
    owner = {"ssn": SSN}
    answer = {
        "owners": [owner],
        "tax_id": "12-3456789",
        "account_number": "000123456789",
        "public_account_number": "****6789",
        "bank_account_number": "1234567890",
        "drawdown_bank_account_number": "998877665544",
        "note": "account 123456789; routing: 021000021. See 998877665544",
    }

    assert show(answer) == {
        "owners": [{"ssn": "****"}],
        "tax_id": "****",
        "account_number": "****",
        "public_account_number": "****",
        "bank_account_number": "****",
        "drawdown_bank_account_number": "****5544",
        "note": "account ****; routing: ****0021. See ****5544",
    }
    assert show({"tax_id": "12-3456789"}, {"ssn": SSN}, unmask=("tax_id",)) == {"tax_id": "****"}


def test_short_numbers_words_and_dates_are_hidden_by_name_alone() -> None:
    """Ours: they recur harmlessly, and holes in ordinary texts would spell them out."""
    answer = {
        "ssn": "12345",
        "passport": "not provided",
        "date_of_birth": "1980-02-29",
        "zipcode": "12345",
        "name": "12345 not provided on 1980-02-29",
    }

    assert show(answer) == {**answer, "ssn": "****", "passport": "****", "date_of_birth": "****"}


def test_what_a_record_is_recognised_by_stays_even_if_it_repeats_a_person_s_number() -> None:
    """Ours: as for other numbers."""
    record = {"id": "123456789", "invoice_number": "INV-123456789", "amount_cents": 123456789, "created": "123456789"}

    assert show({**record, "ssn": SSN}) == {**record, "ssn": "****"}


def test_a_number_at_the_cut_of_a_long_text_is_covered_before_the_cut() -> None:
    """Ours: half a number would not be recognised any more."""
    answer = {"ssn": SSN, "tax_id": "98-7654321", "name": "x " * 247 + SSN, "city": "x " * 247 + "98-7654321"}

    shown = show(answer)

    assert shown["name"] == "x " * 247 + "****"
    assert shown["city"] == "x " * 247 + "****4…"


def test_the_operator_cannot_unmask_what_belongs_to_a_person() -> None:
    """Ours: like a password, whatever FINEXIO_MCP_UNMASK names."""
    names = ("ssn", "passport", "drivers_license_number", "date_of_birth", "owners")
    answer = {**dict.fromkeys(names, "77-888-99"), "metadata": {"ssn": "77-888-99"}}

    assert show(answer, unmask=names) == {**dict.fromkeys(names, "****"), "metadata": {"ssn": "****"}}


@pytest.mark.parametrize(
    ("field", "sentence", "said"),
    [
        ("owner_0", f"{PRINTED} is not valid.", False),
        ("owners[0].ssn", "This field is required.", False),
        ("owners[0].passport", "'X1234567' is too long.", False),
        ("drivers_license_number", "no good", False),
        ("owners[0].date_of_birth", "'1980-02-30' is no date.", False),
        ("owners[0].date_of_birth", "This field is required.", True),
        ("owners", f"{PRINTED} is not valid.", False),
        ("owners[1]", "{'passport': 'X1234567'} is not valid.", False),
        ("owners", "One of them has to be in control.", True),
        ("owners[0].city", "Ensure this field has no more than 40 characters.", True),
        ("owners[0].passport_country", "'US1' is no country.", True),
    ],
)
def test_what_finexio_says_of_a_person_s_number_is_not_repeated(field: str, sentence: str, said: bool) -> None:
    """Ours: it may hold what is stored there, which is not known here."""
    mask = Mask()

    assert mask.problem(field, sentence, mask.learn()) == (sentence if said else UNSAID)


def test_a_refusal_that_repeats_what_was_sent_shows_nothing_of_a_person_s_number() -> None:
    """Ours: whatever field it names."""
    mask = Mask()
    secrets = mask.learn({"owners": [{"ssn": SSN, "passport": PASSPORT, "drivers_license_number": LICENCE}]})

    assert mask.problem("detail", f"{SSN} / {PASSPORT.lower()} / D12345678901", secrets) == "**** / **** / ****"
    assert mask.text(f"cannot read account {SSN}", secrets) == "cannot read account ****"


BORN = ["1980-02-29", "1980-2-9", "02/29/1980", "29.02.80", "19800229", "1980, 2, 29", "Feb. 29, 1980", "9 May 1980"]


@pytest.mark.parametrize("date", BORN)
@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("detail", {"owners": [{"ssn": SSN}]}),
        ("detail", {"owners": [{"date_of_birth": "1980-02-29"}]}),
        ("name", {"metadata": '{"date_of_birth": "1980-02-29"}'}),
        ("owners[0].city", {}),
        ("owner.city", {}),
    ],
)
def test_no_date_is_said_where_people_are_spoken_of(date: str, field: str, arguments: Any) -> None:
    """Ours: it may be one of birth, sent or stored, whatever field is named."""
    mask = Mask()
    secrets = mask.learn(arguments)

    assert mask.problem(field, f"{'x' * 180} born {date}T", secrets) == f"{'x' * 180} born ****T"
    assert mask.problem(field, f"Born ({date}), has 40 of 12,500.00.", secrets) == "Born (****), has 40 of 12,500.00."


def test_dates_are_said_where_nobody_is_spoken_of() -> None:
    """Ours: "must not be before 2025-10-01" is of no use without it."""
    mask = Mask()
    secrets = mask.learn({"bank_account_number": "000123456789", "invoice_date": "2025-09-30"})

    assert mask.problem("invoice_date", "2025-09-30 is before 2025-10-01", secrets) == "2025-09-30 is before 2025-10-01"


def test_a_date_in_a_record_stays_even_if_a_person_was_born_on_it() -> None:
    """Ours: only its own name hides it."""
    assert show({"invoice_date": "1980-02-29", "note": "1980-02-29"}, {"date_of_birth": "1980-02-29"}) == {
        "invoice_date": "1980-02-29",
        "note": "1980-02-29",
    }


PERSON = st.text("0123456789", min_size=7, max_size=12).filter(lambda digits: len(set(digits)) > 3)
APART = st.sampled_from(["", " ", "-", ".", "/", "_", "\u200b", "\u2060", "--", " . "])


@given(
    st.data(),
    PERSON,
    st.sampled_from(["", "D", "X"]),
    st.sampled_from(["ssn", "passport", "driversLicenseNumber", "owner_ssn"]),
    st.sampled_from(["name", "note", "address_2", "description", "oldValue", "check_image_url", "tax_id", "value"]),
    st.sampled_from(["see {} there", "{}", "account {}", "ssn {}", "a{}b", "acct: 0{}0"]),
)
def test_no_three_digits_of_a_person_s_number_come_out(
    data: st.DataObject, digits: str, letter: str, name: str, place: str, sentence: str
) -> None:
    """Ours: by name and by value, at any depth, with any separators, in history and beside other numbers."""
    number = letter + digits
    spread = sentence.format("".join(one + data.draw(APART) for one in number[:-1]) + number[-1])
    frame: Any = {place: data.draw(st.sampled_from([spread, [spread, "None"], {"x": spread}]))}
    for _ in range(data.draw(st.integers(0, 4))):
        frame = data.draw(st.sampled_from([[frame], {"inner": frame}, {"metadata": frame}, {"changes": frame}]))
    holder = data.draw(
        st.sampled_from(
            [
                {name: number},
                {"changes": {name: ["None", number]}},
                {"field": name, "oldValue": number, "newValue": None},
                {"metadata": [{"name": name, "value": number}]},
                {"owners": [{"first_name": "Rae", name: number}]},
            ]
        )
    )
    as_argument = data.draw(st.booleans())

    shown = digits_of(show(frame, holder) if as_argument else show({"record": holder, "others": frame}))

    bare = "".join(filter(str.isalnum, shown))
    assert [digits[at : at + 3] for at in range(len(digits) - 2) if digits[at : at + 3] in bare] == []


# By context ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pay to account 123456789 please", "pay to account ****6789 please"),
        ("acct #000-123-456", "acct #****3456"),
        ("routing: 021000021, account: 000123456789", "routing: ****0021, account: ****6789"),
        ("SSN 123-45-6789", "SSN ****"),
        ("ssn: 123456789", "ssn: ****"),
        ("his number is 123-45-6789", "his number is ****"),
        ("account 123-45-6789", "account ****"),
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
NAMES = st.sampled_from(["bank_account_number", "bank_routing_number", "tax_id", "account_number"])
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
    assert problem.problem.endswith("which is never masked")


@pytest.mark.parametrize(
    "name", ["ssn", "passport", "driversLicenseNumber", "hook_password", "date_of_birth", "owners"]
)
def test_a_name_to_unmask_that_is_never_shown_is_pointed_out(name: str) -> None:
    """Ours: the operator should not wait for it."""
    (problem,) = needless_unmasks(load(FINEXIO_MCP_UNMASK=f"{name},tax_id"))

    assert problem.problem == f"names '{name}', which is never shown in clear"
