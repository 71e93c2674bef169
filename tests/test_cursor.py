"""Cursors: what goes in comes out, and nothing else gets in."""

import base64
import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finexio_mcp.cursor import JSON, MAX_CHARS, CursorError, Place, decode, encode, same_filters

TOOL = "list_all_finexio_payments"
FILTERS: dict[str, JSON] = {"status": "settled", "refunded": True}
PLACE = Place(page=3, offset=40, last_ids=("4f1c0a9be2d7", "90aa51c3f00e", "c0ffee123456"), count=214)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=5), scalars, max_size=3)
filters = st.dictionaries(st.text(max_size=20), values, max_size=4)
places = st.builds(
    Place,
    page=st.integers(1, 100_000),
    offset=st.integers(0, 99),
    last_ids=st.lists(st.text(max_size=40), max_size=3).map(tuple),
    count=st.none() | st.integers(0, 10**9),
)


def forge(content: Any, *, tool: str = TOOL, version: int = 1) -> str:
    """A cursor with an honest checksum around any content, as someone who read the source could make."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sealed = struct.pack(">BI", version, zlib.crc32(tool.encode())) + body
    return base64.urlsafe_b64encode(struct.pack(">I", zlib.crc32(sealed)) + sealed).rstrip(b"=").decode()


@settings(max_examples=150, deadline=None)
@given(filters, places)
def test_a_cursor_gives_back_what_it_was_made_from(filters: dict[str, JSON], place: Place) -> None:
    """Ours: filters come back equal, and so does the place as long as all fits."""
    try:
        text = encode(TOOL, filters, place)
    except CursorError:
        assert len(json.dumps(filters)) > 1_000
        return

    carried, found = decode(text, TOOL)

    assert carried == filters
    assert (found.page, found.offset, found.count) == (place.page, place.offset, place.count)
    assert found.last_ids in (place.last_ids, place.last_ids[-1:], ())


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80) | st.text("ABCDabcd0189-_=", max_size=80) | st.binary(max_size=60).map(forge))
@example("=" * 7)
@example("é")
@example("A" * MAX_CHARS)
def test_any_other_text_is_refused_and_raises_nothing_else(text: str) -> None:
    """Ours: whatever a model passes, the answer is a sentence about the cursor."""
    with pytest.raises(CursorError):
        decode(text, TOOL)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_cursor_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    """Ours: a slip in copying never jumps to another page."""
    text = encode(TOOL, FILTERS, PLACE)
    at = data.draw(st.integers(0, len(text) - 2))
    other = data.draw(st.sampled_from("AZaz09-_").filter(lambda character: character != text[at]))

    with pytest.raises(CursorError):
        decode(text[:at] + other + text[at + 1 :], TOOL)


def test_a_cursor_is_short_and_safe_in_a_url() -> None:
    """Ours: a cursor costs the model few tokens."""
    text = encode(TOOL, {}, PLACE)

    assert len(text) <= 100
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_same_place_always_gives_the_same_cursor() -> None:
    """Ours: the order in which filters were typed does not show."""
    assert encode(TOOL, {"a": 1, "b": 2}, PLACE) == encode(TOOL, {"b": 2, "a": 1}, PLACE)


@pytest.mark.parametrize(
    ("name", "kept"), [("short", ("a" * 300, "b" * 300, "c" * 300)), ("é" * 450, ("c" * 300,)), ("é" * 700, ())]
)
def test_remembered_rows_give_way_before_filters_do(name: str, kept: tuple[str, ...]) -> None:
    """Ours: a cursor is never over 2,000 characters, and its filters are always whole."""
    place = Place(2, 5, ("a" * 300, "b" * 300, "c" * 300), 900)

    text = encode(TOOL, {"name": name}, place)

    assert len(text) <= MAX_CHARS
    assert decode(text, TOOL) == ({"name": name}, Place(2, 5, kept, 900))


def test_filters_too_long_for_a_cursor_are_said_to_be() -> None:
    """Ours: no cursor that would read another list."""
    with pytest.raises(CursorError, match="filters are too long"):
        encode(TOOL, {"name": "x" * MAX_CHARS}, PLACE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (encode("list_all_finexio_invoices", {}, PLACE), "belongs to another tool"),
        (forge([{}, 1, 0, [], None], version=2), "another version"),
        ("not a cursor", "altered"),
        ("", "altered"),
        (encode(TOOL, {}, PLACE)[:-5], "altered"),
        (encode(TOOL, {}, PLACE).replace("A", "A!", 1), "altered"),
        ("A" * (MAX_CHARS + 1), "longer than"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_never_quotes_the_cursor(text: str, sentence: str) -> None:
    """Ours: the model learns what to do next, and text it was talked into passing is not repeated."""
    with pytest.raises(CursorError, match=sentence) as refused:
        decode(text, TOOL)

    assert "leave it out" in str(refused.value)
    assert text == "" or text not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    "content",
    [
        [{}, 0, 0, [], None],
        [{}, 100_001, 0, [], None],
        [{}, True, 0, [], None],
        [{}, 1.0, 0, [], None],
        [{}, "1", 0, [], None],
        [{}, 1, -1, [], None],
        [{}, 1, 100, [], None],
        [{}, 1, 0, ["a", "b", "c", "d"], None],
        [{}, 1, 0, [7], None],
        [{}, 1, 0, "abc", None],
        [{}, 1, 0, {"a": 1}, None],
        [{}, 1, 0, [], -1],
        [{}, 1, 0, [], "214"],
        [[], 1, 0, [], None],
        [{}, 1, 0, []],
        [{}, 1, 0, [], None, None],
        {"filters": {}},
        "abcde",
        7,
        None,
        b'[{"a":NaN},1,0,[],null]',
        b"[{},1,0,[],null",
        b"\xff\xfe",
        b"[" * 1_400,
        b'{"a":' * 250,
        b"[" * 700 + b"]" * 700,
        b'[{"a":' + b"[" * 600 + b"]" * 600 + b"},1,0,[],null]",
        b'[{"a":' + b"[" * 20 + b"]" * 20 + b"},1,0,[],null]",
        b"[{},1" + b"0" * 1_300 + b",0,[],null]",
    ],
)
def test_a_forged_cursor_stays_within_bounds(content: Any) -> None:
    """Ours: the checksum guards against slips, not against someone who makes one; the bounds do."""
    with pytest.raises(CursorError, match="altered"):
        decode(forge(content), TOOL)


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ({}, True),
        ({"status": "settled"}, True),
        ({"refunded": True, "status": "settled"}, True),
        ({"status": "pending"}, False),
        ({"refunded": 1}, False),
        ({"tracking_id": "RC1"}, False),
        ({"tracking_id": None, "status": None}, True),
    ],
)
def test_filters_beside_a_cursor_must_be_its_own(typed: dict[str, JSON], same: bool) -> None:
    """Ours: with a cursor the filters may be left out, never changed."""
    assert same_filters(typed, FILTERS) is same
