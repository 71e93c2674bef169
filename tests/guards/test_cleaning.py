"""Text that others wrote comes out without what hides things."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finexio_mcp.guards.cleaning import ELLIPSIS, clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Harbor Paper Co", "Harbor Paper Co"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x07", "[31mred"),
        ("pay\u202eelppa", "payelppa"),
        ("ac\u200bcount\ufeff", "account"),
        ("hi\U000e0041\U000e0042", "hi"),
        ("\ue000private", "private"),
        ("lone \ud800 half", "lone  half"),
        ("heart\ufe0f", "heart"),
        ("Ünïcode 漢字 ₤", "Ünïcode 漢字 ₤"),
    ],
)
def test_hiding_characters_go_and_letters_stay(text: str, cleaned: str) -> None:
    """Ours: control, bidi, zero-width, tag, private and broken characters never pass."""
    assert clean(text, limit=100) == cleaned


@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\t", "\u2028", "\x85", "\v"])
def test_a_single_line_has_no_breaks(breaks: str) -> None:
    """Ours: an error sentence cannot start a line of its own."""
    assert clean(f"one{breaks}two", limit=100, single_line=True) == "one two"


def test_a_cut_is_marked() -> None:
    """Ours: a shortened text says so."""
    assert clean("x" * 101, limit=100) == "x" * 99 + ELLIPSIS
    assert clean("x" * 100, limit=100) == "x" * 100


@given(st.text(), st.integers(min_value=1, max_value=200), st.booleans())
def test_any_text_comes_out_bounded_and_printable(text: str, limit: int, single_line: bool) -> None:
    """Ours: no input gets around the rules, and cleaning twice changes nothing more."""
    cleaned = clean(text, limit=limit, single_line=single_line)

    assert len(cleaned) <= limit
    allowed = "" if single_line else "\n\t"
    assert all(
        unicodedata.category(c) not in {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"} or c in allowed for c in cleaned
    )
    assert clean(cleaned, limit=limit, single_line=single_line) == cleaned
    cleaned.encode()
