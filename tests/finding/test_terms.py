"""What is taken out of a query, and that nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finexio_mcp.arguments import check
from finexio_mcp.errors import InvalidArguments
from finexio_mcp.finding.kinds import BY_NAME, Kind, key_of, lines_of
from finexio_mcp.finding.terms import MAX_TERM_CHARS, Terms, plain, read, same
from finexio_mcp.tools import BY_NAME as TOOLS
from finexio_mcp.tools.chatgpt import KINDS, NOTICE

UUID = "c0a7b3d2-6a1c-4b8e-8f0d-2f2b8a7c4d10"

HOLDS: dict[str, dict[str, Any]] = {
    "HP-20931": {"numbers": ("HP-20931",), "names": ("HP-20931",)},
    "invoice #1042.": {"numbers": ("1042",), "names": ("1042",)},
    "status of HP-1.": {"numbers": ("HP-1",), "names": ("HP-1",)},
    "payments to Harbor Paper in October": {"names": ("Harbor Paper",)},
    "harbor paper company": {"names": ("harbor paper",)},
    "Harbor Paper and Quay Rope": {"names": ("Harbor Paper", "Quay Rope")},
    "St. Mary Supply Co.": {"names": ("St. Mary Supply",)},
    "O'Neil & Sons": {"names": ("O'Neil & Sons",)},
    "Store 7 LLC": {"names": ("Store 7",)},
    "3M": {"numbers": ("3M",), "names": ("3M",)},
    '"QP 20932/A-1"': {"numbers": ("QP 20932/A-1",), "names": ("QP 20932/A-1",)},
    "the bill “QP 20932 A” of Quay": {"numbers": ("QP 20932 A",), "names": ("QP 20932 A", "Quay")},
    "Harbor Paper HP-20931 $1,284.50 on 2025-10-01": {"numbers": ("HP-20931",), "names": ("Harbor Paper",)},
    "invoices 1042, 1043 and 1042": {"numbers": ("1042", "1043")},
    "2024": {"numbers": ("2024",), "names": ("2024",)},
    "Quay Rope 2024": {"names": ("Quay Rope",)},
    "RC00K00Q00B11C20D": {"tracked": ("RC00K00Q00B11C20D",)},
    "what became of payment rc00k00q00b11c20d?": {"tracked": ("rc00k00q00b11c20d",)},
    "DJ0000000A1F": {"drawn": ("DJ0000000A1F",)},
    "debit U824-012-419K": {"drawn": ("U824-012-419K",)},
    UUID: {"ids": ((("invoice", "payment", "counterparty"), UUID),)},
    f"what is {UUID}?": {"ids": ((("invoice", "payment", "counterparty"), UUID),)},
    "inv_8Hk2": {"ids": ((("invoice",), "inv_8Hk2"),)},
    "pmt_8Hk2": {"ids": ((("payment",), "pmt_8Hk2"),)},
    "invoice:invoice-1": {"ids": ((("invoice",), "invoice-1"),)},
    f"counterparty:{UUID}": {"ids": ((("counterparty",), UUID),)},
    "payments in October": {"names": ("payments in October",)},
    "?": {"names": ("?",)},
    "\u202e\u200b": {},
    "Har\u200bbor\nPaper": {"names": ("Harbor Paper",)},
}


@pytest.mark.parametrize("query", HOLDS)
def test_a_query_holds_ids_numbers_and_names(query: str) -> None:
    """Ours: words of questions, money, years and days are not looked for, unless there is nothing else."""
    terms = read(query)

    parts = ("ids", "tracked", "drawn", "numbers", "names")
    assert {name: found for name in parts if (found := getattr(terms, name))} == HOLDS[query]


words = st.sampled_from(
    [*HOLDS, "and", "of", "$5.00", '"', "“", ":", "#", "\u00e9t\u00e9", "漢字", "x" * 120, "****6789"]
)
queries = st.lists(words | st.text(max_size=12), max_size=8).map(" ".join)


def everything(terms: Terms) -> list[str]:
    return [*(key for _, key in terms.ids), *terms.tracked, *terms.drawn, *terms.numbers, *terms.names]


@settings(max_examples=400, deadline=None)
@given(queries)
def test_whatever_is_typed_only_words_of_it_are_looked_for(query: str) -> None:
    """Ours: nothing is made up, nothing twice, and nothing longer than the filters take."""
    terms = read(query)

    for word in everything(terms):
        assert word.strip()
        assert all(plain(part) in plain(terms.whole) for part in word.split())
    for words in (terms.tracked, terms.drawn, terms.numbers, terms.names):
        assert len({plain(word) for word in words}) == len(words)
        assert all(len(word) <= MAX_TERM_CHARS for word in words)
    assert bool(terms.whole) or not everything(terms)


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"[A-Z]{1,4}[ /-][0-9]{2,6}( [(]?[A-Z0-9]{1,3})?", fullmatch=True))
def test_a_quoted_number_is_looked_for_as_it_is(number: str) -> None:
    """Ours: blanks within quotes belong to the number."""
    assert read(f'bill "{number}" please').numbers == (number,)


def test_numbers_are_one_however_they_are_written() -> None:
    """Ours: as in the ledger, case and blanks make no other invoice."""
    assert same("HP - 1", " hp  -  1")
    assert same("ＨＰ-1", "hp-1")
    assert same(1042, "1042")
    assert not same("", "")
    assert not same(None, None)
    assert not same(True, "True")


# Ids -----------------------------------------------------------------------------

FETCH = TOOLS["fetch"]
kinds = st.sampled_from(list(BY_NAME.values()))


@settings(max_examples=300, deadline=None)
@given(kind=kinds, value=st.text(max_size=120) | st.integers() | st.none() | st.booleans() | st.lists(st.text()))
def test_every_id_that_search_gives_is_one_that_fetch_takes(kind: Kind, value: Any) -> None:
    """Ours: whatever stands as id in a record, it is left out or can be asked for again."""
    key = key_of({kind.key: value}, kind.key)

    if key is not None:
        assert check(FETCH, {"id": kind.id_of(key)}).wire == {"id": kind.id_of(key)}
        assert kind.url_of("https://api.example/v2", key).startswith("https://api.example/v2/")


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=20) | st.tuples(st.sampled_from([*KINDS, NOTICE, "supplier"]), st.text(max_size=8)).map(":".join)
)
def test_an_id_of_no_kind_is_refused_with_the_forms_there_are(value: str) -> None:
    """Ours: the refusal says what an id looks like, and not what was given."""
    kind, _, key = value.partition(":")
    good = kind in {*KINDS, NOTICE} and key not in {"", ".", ".."} and key.isprintable() and " " not in key

    if good:
        assert check(FETCH, {"id": value}).wire["id"] == value
        return
    with pytest.raises(InvalidArguments) as raised:
        check(FETCH, {"id": value})
    assert [problem.field for problem in raised.value.problems] == ["id"]


@pytest.mark.parametrize("value", ["x", UUID, "supplier:1", "invoice:", "invoice:..", "INVOICE:1"])
def test_the_refusal_of_an_id_shows_the_way(value: str) -> None:
    """Ours: a model that passes a bare id reads what to write."""
    with pytest.raises(InvalidArguments) as raised:
        check(FETCH, {"id": value})

    (problem,) = raised.value.problems
    assert all(f"{kind}:<id>" in problem.problem for kind in KINDS)


# Lines ---------------------------------------------------------------------------

leaves = st.text(max_size=12) | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)
records = st.dictionaries(
    st.text("ab_", min_size=1, max_size=5),
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(records)
def test_no_value_can_pass_for_a_field(record: dict[str, Any]) -> None:
    """Ours: each line begins with the name of a field of the record, whatever the values hold."""
    for name, lines in lines_of(record).items():
        for line in lines:
            assert "\n" not in line
            assert "\r" not in line
            assert line.startswith((f"{name}: ", f"{name}.", f"{name}["))
