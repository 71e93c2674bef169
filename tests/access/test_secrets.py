"""Secrets: what is told, what is kept, and what is taken for one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finexio_mcp.access.grants import SecretKind
from finexio_mcp.access.secrets import ALPHABET, matches, mint, parse, parse_invitation

KINDS: tuple[SecretKind, ...] = ("token", "access", "refresh", "code")
ANYTHING = st.text() | st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF))
LOOKS_LIKE_ONE = st.from_regex(r"fmcp_[a-z0-9]{11,13}_[A-Za-z0-9_\-]{42,44}\n?", fullmatch=True)


@given(st.sampled_from(KINDS))
def test_what_is_minted_is_found_again(kind: SecretKind) -> None:
    """Ours: the id names the row, and the digest proves the rest."""
    minted = mint(kind)

    assert parse(minted.text) == (minted.id, minted.digest)
    assert re.fullmatch(f"fmcp_[{ALPHABET}]{{12}}_[A-Za-z0-9_-]{{43}}", minted.text)


@given(ANYTHING | LOOKS_LIKE_ONE)
def test_anything_else_is_no_token_and_fails_nothing(text: str) -> None:
    """Ours: what a header holds is anybody's text."""
    parsed = parse(text)

    form = re.fullmatch(f"fmcp_([{ALPHABET}]{{12}})_[A-Za-z0-9_-]{{43}}", text)
    assert (parsed and parsed[0]) == (form and form[1])


@given(st.data())
def test_a_token_with_one_other_character_is_not_the_same(data: st.DataObject) -> None:
    """Ours: nothing in the secret is without meaning, its last character included."""
    minted = mint("token")
    place = data.draw(st.integers(len("fmcp_") + 13, len(minted.text) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != minted.text[place]))

    parsed = parse(minted.text[:place] + other + minted.text[place + 1 :])
    assert parsed is None or (parsed[0] == minted.id and not matches(minted.digest, parsed[1]))


def test_no_two_secrets_are_the_same() -> None:
    """Ours."""
    assert len({mint(kind).text for kind in (*KINDS, "invitation") for _ in range(50)}) == 250


def test_an_invitation_can_be_read_out_and_typed() -> None:
    """Ours: people type it with capitals, other dashes, blanks, and what they take a letter for."""
    minted = mint("invitation")
    kept = (minted.id, minted.digest)

    assert re.fullmatch(f"[{ALPHABET}]{{4}}(-[{ALPHABET}]{{4}}){{3}}", minted.text)
    typed = [
        minted.text,
        minted.text.upper(),
        minted.text.replace("-", ""),
        minted.text.replace("-", " "),
        minted.text.replace("-", " – "),
        f"  {minted.text}\r\n",
        minted.text.replace("i", "1"),
        minted.text.replace("i", "L"),
    ]
    assert [parse_invitation(text) for text in typed] == [kept] * len(typed)
    assert parse(minted.text) is None


@given(ANYTHING | st.text("abc0lo-– ", max_size=40))
def test_anything_else_is_no_invitation_and_fails_nothing(text: str) -> None:
    """Ours: the page for consent may be shown anything."""
    parsed = parse_invitation(text)

    assert parsed is None or len(text) >= 16
    assert parse_invitation(f"{mint('invitation').text}{' ' * 1000}{text}") is None


def test_digests_are_compared_and_nothing_is_like_nothing() -> None:
    """Ours."""
    one, other = mint("token"), mint("token")

    assert matches(one.digest, one.digest)
    assert not matches(one.digest, other.digest)
    assert not matches(None, one.digest)


@pytest.mark.parametrize("kind", [*KINDS, "invitation"])
def test_a_secret_does_not_show_itself(kind: SecretKind) -> None:
    """Ours: neither to a log nor to a traceback."""
    minted = mint(kind)

    assert minted.text not in repr(minted)
    assert minted.digest not in repr(minted)
