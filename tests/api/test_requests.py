"""Requests: an id is one segment of a path, a value one value of a query."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finexio_mcp.api.requests import build, build_get, fill
from finexio_mcp.errors import InvalidArguments
from finexio_mcp.tools import BY_NAME

CONTACT_PATH = "/counterparties/suppliers/{supplier_id}/contacts/{id}"
CONTACT_SHAPE = re.compile(r"/counterparties/suppliers/([^/?#]+)/contacts/([^/?#]+)")

HOSTILE = ["a/b", "a?b#c", "%2e", "%2e%2e", "%2F", "a\\b", "a;b", "a:b", "a@b", "é", "漢字", "\u202e", " ", "+", "&x=1"]


@pytest.mark.parametrize("value", HOSTILE)
def test_any_id_is_exactly_one_segment(value: str) -> None:
    """Ours: no id climbs, splits or ends a path."""
    path = fill(CONTACT_PATH, {"supplier_id": "s", "id": value})

    found = CONTACT_SHAPE.fullmatch(path)

    assert found is not None
    assert found[2].isascii()
    assert unquote(found[2]) == value


@pytest.mark.parametrize("value", ["", ".", "..", "\x00", "a\nb", "a\x7f", "\t"])
def test_an_id_that_would_vanish_or_climb_is_refused_by_the_name_of_its_argument(value: str) -> None:
    """Ours: quoting leaves dots alone, so they are refused; the value is not repeated."""
    with pytest.raises(InvalidArguments) as caught:
        fill(CONTACT_PATH, {"supplier_id": "s", "id": value})

    assert [problem.field for problem in caught.value.problems] == ["id"]


@given(supplier=st.text(st.characters(exclude_categories=["Cs"]), max_size=20), contact=st.text(max_size=20))
def test_every_filled_path_has_the_shape_of_its_template(supplier: str, contact: str) -> None:
    """Ours: for any text at all, one segment per name or a refusal."""
    try:
        path = fill(CONTACT_PATH, {"supplier_id": supplier, "id": contact})
    except (InvalidArguments, UnicodeEncodeError):
        return

    found = CONTACT_SHAPE.fullmatch(path)
    assert found is not None
    assert (unquote(found[1]), unquote(found[2])) == (supplier, contact)
    assert {found[1], found[2]}.isdisjoint({".", ".."})


@given(number=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), cents=st.integers(0, 10**9))
def test_a_query_value_adds_no_parameter(number: str, cents: int) -> None:
    """Ours: whatever a filter holds, it is read back as that one filter."""
    wire = {"invoice_number": number, "amount_cents_start": cents}

    request = build(BY_NAME["list_all_finexio_drawdowns"], wire)

    assert "#" not in request.target
    assert parse_qsl(request.query, keep_blank_values=True) == [(name, str(value)) for name, value in wire.items()]


def test_the_first_page_needs_no_number_and_truth_is_written_small() -> None:
    """Documented: `page` counts from 1, and `refunded` is sent as `true`."""
    tool = BY_NAME["list_all_finexio_payments"]

    assert build(tool, {"refunded": True}).target == "/payments/?refunded=true"
    assert build(tool, {"refunded": True}, page=3).target == "/payments/?refunded=true&page=3"


def test_a_body_is_what_is_left_of_the_arguments() -> None:
    """Ours: what stands in the path is not repeated in the body; an array alone is the body where Finexio wants one."""
    patched = build(BY_NAME["finexio_counterparties_partial_update"], {"id": "s", "payment_terms": 3})
    added = build(BY_NAME["create_a_finexio_supplier_contact"], {"supplier_id": "s", "contacts": [{"primary": True}]})
    deleted = build(BY_NAME["delete_a_finexio_webhook_by_id"], {"id": "w"})

    assert (patched.path, patched.body) == ("/counterparties/s/", b'{"payment_terms":3}')
    assert (added.path, added.body) == ("/counterparties/suppliers/s/contacts", b'[{"primary":true}]')
    assert (deleted.method, deleted.path, deleted.body) == ("DELETE", "/webhooks/w/", None)


def test_a_look_beside_a_write_is_a_get_of_its_own() -> None:
    """Ours: it is quoted like every other path."""
    request = build_get("GET /webhooks/{id}/", {"id": "a/b", "url": "x"})

    assert (request.method, request.target, request.body) == ("GET", "/webhooks/a%2Fb/", None)
