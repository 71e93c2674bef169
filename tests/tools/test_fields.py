"""Field types of suppliers and buyers: what each of them takes, hands on, and says when it refuses."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError

from finexio_mcp.tools.fields import Code, Emails, Filled, Label, OnlyTrue, RoutingNumber, ShortMetadata

STRICT = ConfigDict(strict=True)
KINDS: dict[str, TypeAdapter[Any]] = {
    "code": TypeAdapter(Code, config=STRICT),
    "emails": TypeAdapter(Emails, config=STRICT),
    "routing": TypeAdapter(RoutingNumber, config=STRICT),
    "only true": TypeAdapter(OnlyTrue, config=STRICT),
    "filled": TypeAdapter(Annotated[str, Filled], config=STRICT),
    "label": TypeAdapter(Label, config=STRICT),
    # Its rows have a configuration of their own.
    "metadata": TypeAdapter(ShortMetadata),
}


def taken(kind: str, value: Any) -> Any:
    """What is handed on of a value."""
    adapter = KINDS[kind]
    return adapter.dump_python(adapter.validate_python(value), mode="json")


def refusal(kind: str, value: Any) -> str:
    """What is said of a value that is not taken."""
    with pytest.raises(ValidationError) as raised:
        KINDS[kind].validate_python(value)
    (detail, *_) = raised.value.errors(include_input=False)
    return detail["msg"]


def pair(name: Any, *value: Any) -> dict[str, Any]:
    return {"name": name, **dict(zip(("value",), value, strict=False))}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("code", "HARBOR-01"),
        ("code", "7"),
        ("code", "Öl & Co. #7/2 (north)"),
        ("code", "x" * 200),
        ("emails", "ap@harbor.example"),
        ("emails", "ap@harbor.example,ar@mail.harbor.example"),
        ("emails", "o'brien+ap@harbor.example"),
        ("routing", "021000021"),
        ("routing", "011401533"),
        ("only true", True),
        ("filled", " Mobile "),
        ("label", "Office supplies"),
        ("label", "x" * 100),
    ],
)
def test_a_good_value_is_handed_on_as_it_is(kind: str, value: Any) -> None:
    """Ours: nothing is normalised that need not be."""
    assert taken(kind, value) == value


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("code", "", "at least 1"),
        ("code", " ", "printable"),
        ("code", "x" * 201, "at most 200"),
        ("code", "HARBOR[01", "square brackets"),
        ("code", "HARBOR]01", "square brackets"),
        ("code", "HARBOR\t01", "printable"),
        ("code", "HARBOR\u202e01", "printable"),
        ("code", 7, "string"),
        ("emails", "", "one e-mail address"),
        ("emails", "ap", "one e-mail address"),
        ("emails", "ap@harbor", "one e-mail address"),
        ("emails", "ap@harbor.example;ar@harbor.example", "commas"),
        ("emails", "ap@harbor.example ar@harbor.example", "commas"),
        ("emails", "ap@harbor.example,", "one e-mail address"),
        ("emails", "ap@harbor.example,,ar@harbor.example", "one e-mail address"),
        ("emails", "Ann <ap@harbor.example>", "one e-mail address"),
        ("emails", ["ap@harbor.example"], "string"),
        ("routing", "", "digits only"),
        ("routing", "0021", "four characters or fewer"),
        ("routing", "02100002", "nine digits"),
        ("routing", "0210000210", "nine digits"),
        ("routing", "021000022", "typing error"),
        ("routing", "000000000", "typing error"),
        ("routing", "02100-021", "digits only"),
        ("routing", "０２１００００２１", "digits only"),
        ("routing", "*****0021", "mask"),
        ("routing", "•••••0021", "mask"),
        ("routing", 21000021, "string"),
        ("only true", False, "only be true"),
        ("only true", 1, "boolean"),
        ("only true", "true", "boolean"),
        ("filled", "", "blank"),
        ("filled", " \t\n", "blank"),
        ("label", "x" * 101, "longer than 100"),
        ("label", "Office\nsupplies", "printable"),
    ],
)
def test_a_bad_value_is_refused_by_its_rule(kind: str, value: Any, words: str) -> None:
    """Ours: the sentence says what would be right."""
    assert words in refusal(kind, value)


# Addresses -----------------------------------------------------------------------

addresses = st.from_regex(r"[a-z0-9.+'_-]{1,12}@[a-z0-9-]{1,12}(\.[a-z]{2,8}){1,2}", fullmatch=True)
blanks = st.text(" \t", max_size=2)


@given(st.lists(st.tuples(blanks, addresses, blanks), min_size=1, max_size=6))
def test_blanks_around_the_addresses_are_not_sent(parts: list[tuple[str, str, str]]) -> None:
    """Ours: however a list of addresses was typed, Finexio gets it with nothing but a comma between."""
    written = ",".join("".join(part) for part in parts)

    assert taken("emails", written) == ",".join(address for _, address, _ in parts)


@pytest.mark.parametrize(("length", "good"), [(1000, True), (1001, False)])
def test_a_list_of_addresses_has_an_end(length: int, good: bool) -> None:
    """Ours: Finexio publishes no bound, and a thousand characters hold forty addresses."""
    value = "a" * (length - len("@harbor.example")) + "@harbor.example"

    assert (taken("emails", value) == value) if good else ("longer than 1000" in refusal("emails", value))


# Routing numbers -----------------------------------------------------------------

eight = st.text("0123456789", min_size=8, max_size=8).filter(lambda digits: int(digits) > 0)


def _routing(digits: str) -> str:
    """With the ninth digit, by the rule as the American Bankers Association words it."""
    first, second, third = (sum(map(int, digits[start::3])) for start in (0, 1, 2))
    return digits + str(-(3 * first + 7 * second + third) % 10)


@given(eight)
def test_of_ten_last_digits_one_is_right(digits: str) -> None:
    """Ours: the rule is the bankers' own."""
    right = _routing(digits)

    assert taken("routing", right) == right
    for last in set("0123456789") - {right[-1]}:
        assert "typing error" in refusal("routing", digits + last)


@given(eight, st.integers(0, 8), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(digits: str, place: int, off: int) -> None:
    """Ours: wherever it stands, so money does not go to another bank by a slip."""
    good = _routing(digits)
    slip = str((int(good[place]) + off) % 10)

    assert "typing error" in refusal("routing", f"{good[:place]}{slip}{good[place + 1 :]}")


@given(eight, st.integers(0, 7))
def test_two_swapped_digits_are_found(digits: str, place: int) -> None:
    """Known gap: of neighbours that differ by five the check digit does not tell which was first."""
    good = _routing(digits)
    one, other = good[place], good[place + 1]
    assume(abs(int(one) - int(other)) not in {0, 5})

    assert "typing error" in refusal("routing", f"{good[:place]}{other}{one}{good[place + 2 :]}")


# Metadata ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairs", "sent"),
    [
        ([], {}),
        ([pair("erp", "17")], {"erp": "17"}),
        ([pair("erp", "")], {"erp": ""}),
        ([pair("erp", None)], {"erp": None}),
        ([pair("erp")], {"erp": None}),
        ([pair("erp", 17)], {"erp": "17"}),
        ([pair("k" * 25, "v" * 100)], {"k" * 25: "v" * 100}),
        ([pair("a_b", "1"), pair("A_b", "2")], {"a_b": "1", "A_b": "2"}),
    ],
)
def test_pairs_travel_as_a_map_of_short_texts(pairs: Any, sent: dict[str, Any]) -> None:
    """Documented: a value is a text or null; a number is written as one."""
    assert taken("metadata", pairs) == sent


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([pair("k" * 26, "v")], "at most 25"),
        ([pair("_erp", "v")], "underscore"),
        ([pair("", "v")], "underscore or be empty"),
        ([pair("erp", "v" * 101)], "longer than 100"),
        ([pair("erp", 10**100)], "longer than 100"),
        ([pair("erp", 1.5)], "string"),
        ([pair("erp", True)], "string"),
        ([pair("erp", ["v"])], "string"),
        ([pair("erp", "1"), pair("erp", "2")], "twice"),
        ([{"value": "v"}], "required"),
        ([{**pair("erp", "v"), "type": "text"}], "permitted"),
        ([["erp", "v"]], "dictionary"),
        ("{}", "list"),
    ],
)
def test_pairs_that_finexio_would_not_keep_are_refused(pairs: Any, words: str) -> None:
    """Documented: keys of 25 characters without a leading underscore, values of 100."""
    assert words in refusal("metadata", pairs)
