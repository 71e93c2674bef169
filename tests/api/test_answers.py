"""Answers: JSON or not, a refusal and its reasons, when to come back."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finexio_mcp.api.answers import (
    NotJson,
    failed_read,
    failed_write,
    parse,
    refusal,
    retry_after,
    vendor_problems,
)
from finexio_mcp.errors import NotAuthorized, PermissionDenied, Problem

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


# Parsing -------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_bytes_are_json_or_refused_and_never_anything_else(body: bytes) -> None:
    """Ours: no answer of any kind becomes a traceback."""
    with contextlib.suppress(NotJson):
        parse(body)


@pytest.mark.parametrize("body", [b"", b"  ", b"\n\r\n"])
def test_an_empty_body_is_nothing(body: bytes) -> None:
    """Documented: some answers have no body."""
    assert parse(body) is None


@pytest.mark.parametrize(
    "body", [b"<html>", b"{", b'{"a": NaN}', b"[-Infinity]", b"nul", b'{"a": 1} x', b"[" * 10_000, b"\xff\xfe"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Ours: half an answer, HTML, and numbers that JSON does not have."""
    with pytest.raises(NotJson):
        parse(body)


def test_depth_has_a_limit() -> None:
    """Ours: as deep as any record could be, and no deeper."""
    assert parse(b"[" * 40 + b"]" * 40) is not None
    with pytest.raises(NotJson):
        parse(b"[" * 1_000 + b"]" * 1_000)


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
def test_a_broken_character_is_replaced(broken: bytes) -> None:
    """Ours: one bad byte in one name must not hide a page of payments."""
    row = parse(b'{"id": 1, "name": "A' + broken + b'B"}')

    assert row["id"] == 1
    assert (row["name"][0], row["name"][-1]) == ("A", "B")


# Coming back later ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 12 ", 12.0),
        ("2.5", 2.5),
        ("86400", 86_400.0),
        ("86401", None),
        ("999999999999999999999", None),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("5 minutes", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("Wed, 99 Foo 2026", None),
    ],
)
def test_retry_after_is_read_if_it_makes_sense(text: str, seconds: float | None) -> None:
    """Ours: an odd value is as good as none."""
    assert retry_after(httpx2.Headers({"retry-after": text})) == seconds


def test_retry_after_may_be_a_date() -> None:
    """Documented: HTTP allows a date; one that has passed means now."""
    now = datetime.now(UTC)

    def asked(moment: datetime) -> float | None:
        return retry_after(httpx2.Headers({"retry-after": format_datetime(moment, usegmt=True)}))

    assert asked(now + timedelta(minutes=10)) == pytest.approx(600, abs=5)
    assert asked(now - timedelta(minutes=10)) == 0.0
    assert asked(now + timedelta(days=2)) is None


# Refusals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"detail": "Not found."}, [("", "Not found.")]),
        ({"title": "Bad Request", "status": 400, "detail": "No rows.", "type": "x"}, [("", "No rows.")]),
        ({"title": "Bad Request", "status": 400}, [("", "Bad Request")]),
        ({"title": "Bad", "errors": {"name": ["Too long."]}}, [("", "Bad"), ("name", "Too long.")]),
        ({"internal_id": ["This field must be unique."]}, [("internal_id", "This field must be unique.")]),
        ({"non_field_errors": ["Only one."]}, [("", "Only one.")]),
        ({"contacts": [{}, {"email": ["Bad."]}]}, [("contacts[1].email", "Bad.")]),
        ({"a": {"b": ["x", "y"]}}, [("a.b", "x"), ("a.b", "y")]),
        (["One.", "Two."], [("", "One."), ("", "Two.")]),
        ("Plain words.", [("", "Plain words.")]),
        ({"name": ["Twice.", "Twice."]}, [("name", "Twice.")]),
        ({"name": [""], "city": None, "n": 3, "b": True}, []),
        (None, []),
        ([], []),
        (7, []),
    ],
)
def test_every_known_error_shape_gives_its_sentences_and_fields(body: Any, expected: list[tuple[str, str]]) -> None:
    """Documented: the shapes are few and not promised, so all of them are read."""
    assert vendor_problems(body) == [Problem(*each) for each in expected]


def test_positional_errors_name_the_rows_of_the_argument() -> None:
    """Documented: `{}` stands for a good row."""
    body = [{}, {"invoice_date": ["Wrong."]}, {"non_field_errors": ["Duplicate."]}]

    assert vendor_problems(body, "invoices") == [
        Problem("invoices[1].invoice_date", "Wrong."),
        Problem("invoices[2]", "Duplicate."),
    ]


@given(JSON)
def test_any_error_body_can_be_read(body: Any) -> None:
    """Ours: no error body is itself an error, and what is said of it is bounded."""
    problems = vendor_problems(body, "invoices")

    assert len(problems) <= 500
    assert all(isinstance(problem.problem, str) for problem in problems)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"detail": "Invalid username/password."}, NotAuthorized),
        (403, {"detail": "Authentication credentials were not provided."}, NotAuthorized),
        (403, {"title": "INVALID USERNAME/PASSWORD", "status": 403}, NotAuthorized),
        (401, None, NotAuthorized),
        (401, {"detail": "Anything."}, NotAuthorized),
        (403, {"detail": "You do not have permission to perform this action."}, PermissionDenied),
        (403, None, PermissionDenied),
    ],
)
def test_bad_credentials_are_told_from_a_missing_permission(status: int, body: Any, kind: type[Exception]) -> None:
    """Documented: bad credentials are a 403 with a known text."""
    assert isinstance(refusal(status, body), kind)


@given(st.integers(100, 599).filter(lambda status: not 200 <= status < 300), st.binary(max_size=60))
def test_every_status_outside_2xx_has_a_meaning_for_reads_and_writes(status: int, body: bytes) -> None:
    """Ours: a read never may have happened; a write says so unless Finexio clearly refused or never ran it."""
    response = httpx2.Response(status)

    read, write = failed_read(response, body), failed_write(response, body, "invoices")

    try:
        parse(body)
        told = True
    except NotJson:
        # The page of some proxy knows nothing about payments.
        told = False
    refused = status in {400, 403, 404, 413, 415, 422} and told
    assert not read.may_have_happened
    assert write.may_have_happened is not (refused or status in {401, 429})
    assert write.http_status == read.http_status == status
