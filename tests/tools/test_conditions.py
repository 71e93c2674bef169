"""Rules between fields: when they hold, what they name, and what a change of some fields has to answer for."""

from __future__ import annotations

from typing import Any

import pytest

from finexio_mcp.errors import InvalidArguments
from finexio_mcp.tools.conditions import Needs, check_patch, unmet

HOT = Needs(fields=("lid", "sleeve"), when={"drink": ("tea", "coffee")}, way_out="take one from the counter")
SWEET = Needs(fields=("spoon",), when={"drink": ("tea",), "sugar": ("one", "two")}, way_out="take a wooden one")
COLD = Needs(fields=("straw",), when={"drink": ("cola",)}, unless={"cup": ("glass", "mug")}, way_out="take a paper one")
RULES = (HOT, SWEET, COLD)
BARE = dict.fromkeys(("drink", "sugar", "cup", "lid", "sleeve", "spoon", "straw"))
"""A record that has every field, and nothing in any of them."""


def missed(record: dict[str, Any]) -> list[str]:
    return [problem.field for problem in unmet(RULES, record)]


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ({}, []),
        ({"drink": "water"}, []),
        ({"drink": None}, []),
        ({"drink": "tea"}, ["lid", "sleeve"]),
        ({"drink": "coffee", "lid": "black"}, ["sleeve"]),
        ({"drink": "coffee", "lid": "black", "sleeve": "brown"}, []),
        ({"drink": "coffee", "lid": "", "sleeve": None}, ["lid", "sleeve"]),
        ({"drink": "coffee", "lid": "  ", "sleeve": "\t"}, ["lid", "sleeve"]),
        ({"drink": "tea", "lid": "black", "sleeve": "brown", "sugar": "none"}, []),
        ({"drink": "tea", "lid": "black", "sleeve": "brown", "sugar": "two"}, ["spoon"]),
        ({"drink": "coffee", "lid": "black", "sleeve": "brown", "sugar": "two"}, []),
        ({"drink": "tea", "sugar": "one"}, ["lid", "sleeve", "spoon"]),
        ({"drink": "cola"}, ["straw"]),
        ({"drink": "cola", "cup": ""}, ["straw"]),
        ({"drink": "cola", "cup": "bucket"}, ["straw"]),
        ({"drink": "cola", "cup": "glass"}, []),
        ({"drink": "cola", "cup": "mug"}, []),
        ({"drink": "water", "cup": "bucket"}, []),
    ],
)
def test_a_rule_names_each_field_that_has_no_value(record: dict[str, Any], fields: list[str]) -> None:
    """Ours: only when every field it looks at has one of its values and no exception holds; blanks are no value."""
    assert missed(record) == fields


@pytest.mark.parametrize("value", [0, False, [], {}])
def test_nought_is_a_value(value: Any) -> None:
    """Ours: it says something."""
    assert missed({"drink": "coffee", "lid": value, "sleeve": "brown"}) == []


def test_a_problem_says_the_rule_and_the_way_out() -> None:
    """Ours: with the values that brought it about, which are words of a list and no secret."""
    (sweet,) = unmet((SWEET,), {"drink": "tea", "sugar": "two"})
    (cold,) = unmet((COLD,), {"drink": "cola", "cup": "bucket"})

    assert sweet.problem == "is required when drink is tea and sugar is two; take a wooden one"
    assert cold.problem == "is required when drink is cola, unless cup is glass or mug; take a paper one"


@pytest.mark.parametrize(
    ("stored", "change", "fields"),
    [
        # What the change brings about.
        ({"drink": "water"}, {"drink": "coffee"}, ["lid", "sleeve"]),
        ({"drink": "water", "lid": "black"}, {"drink": "coffee"}, ["sleeve"]),
        ({"drink": "coffee", "lid": "black", "sleeve": "brown"}, {"lid": ""}, ["lid"]),
        ({"drink": "tea", "lid": "black", "sleeve": "brown"}, {"sugar": "one"}, ["spoon"]),
        ({"drink": "cola", "cup": "glass"}, {"cup": "bucket"}, ["straw"]),
        ({"drink": "cola", "cup": "glass"}, {"cup": ""}, ["straw"]),
        # What the change brings itself, or takes away together with its reason.
        ({"drink": "water"}, {"drink": "coffee", "lid": "black", "sleeve": "brown"}, []),
        ({"drink": "coffee", "lid": "black", "sleeve": "brown"}, {"drink": "water", "lid": ""}, []),
        ({"drink": "cola", "cup": "bucket"}, {"cup": "mug"}, []),
        # What was so before, and has nothing to do with it.
        ({"drink": "coffee"}, {"name": "Ann"}, []),
        ({"drink": "cola"}, {"sugar": "two"}, []),
        ({"drink": "tea", "lid": "black", "sleeve": "brown", "sugar": "two"}, {"lid": "white"}, []),
        # A broken record is mended one field at a time.
        ({"drink": "coffee"}, {"lid": "black"}, []),
        ({"drink": "coffee", "lid": "black"}, {"lid": ""}, ["lid"]),
        # The reason is confirmed anew, so it has to be met.
        ({"drink": "coffee"}, {"drink": "coffee"}, ["lid", "sleeve"]),
    ],
)
def test_a_change_answers_for_what_it_touches(
    stored: dict[str, Any], change: dict[str, Any], fields: list[str]
) -> None:
    """Ours: a record that was broken before does not keep anybody from changing something else of it."""
    arguments, rows = {"id": "cup-1", **change}, [{**BARE, **stored}]
    if not fields:
        assert check_patch(RULES, rows, arguments) == arguments
        return
    with pytest.raises(InvalidArguments) as raised:
        check_patch(RULES, rows, arguments)

    assert [problem.field for problem in raised.value.problems] == fields
    assert raised.value.message.startswith("Nothing was sent")
    assert raised.value.may_have_happened is False


def test_a_change_is_handed_on_as_it_is() -> None:
    """Ours: nothing of the stored record is sent back with it."""
    arguments = {"id": "cup-1", "name": "Ann"}

    assert check_patch(RULES, [{"drink": "coffee", "account": "6789"}], arguments) == {"id": "cup-1", "name": "Ann"}


def test_what_finexio_does_not_show_may_be_there() -> None:
    """Ours: a record that came without a field says nothing about it, so only what was seen to be empty counts."""
    stored = {"drink": "water", "sleeve": None}

    with pytest.raises(InvalidArguments) as raised:
        check_patch(RULES, [stored], {"drink": "coffee"})

    assert [problem.field for problem in raised.value.problems] == ["sleeve"]


@pytest.mark.parametrize("rows", [[], [None], ["coffee"]])
def test_without_a_stored_record_finexio_has_to_judge(rows: list[Any]) -> None:
    """Ours: what cannot be seen is not guessed, so the change is sent and Finexio's word counts."""
    assert check_patch(RULES, rows, {"drink": "coffee"}) == {"drink": "coffee"}
