"""Scopes: what OAuth tokens carry, and the access that it comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from finexio_mcp.access.scopes import SCOPES, access_of, lesser, scopes_up_to
from finexio_mcp.settings import ACCESS_ORDER, Access


def test_the_highest_scope_counts_and_others_mean_nothing() -> None:
    """Ours."""
    assert access_of(["finexio:write", "finexio:read"]) == "write"
    assert access_of(["finexio:pay"]) == "pay"
    assert access_of(["openid", "finexio:read", "email"]) == "read"
    assert access_of(["openid", "finexio", "finexio:", "finexio:admin", "FINEXIO:PAY", "finexio:pay "]) is None
    assert access_of([]) is None


@given(st.sampled_from(ACCESS_ORDER))
def test_access_and_its_scopes_are_the_same_thing(access: Access) -> None:
    """Ours: what is told to a client is what is understood when it comes back."""
    assert access_of(scopes_up_to(access)) == access
    assert scopes_up_to(access)[-1] == SCOPES[access]
    assert len(scopes_up_to(access)) == ACCESS_ORDER.index(access) + 1


@given(st.sampled_from(ACCESS_ORDER), st.sampled_from(ACCESS_ORDER))
def test_the_lesser_of_two_allows_only_what_both_do(one: Access, other: Access) -> None:
    """Ours."""
    assert set(scopes_up_to(lesser(one, other))) == set(scopes_up_to(one)) & set(scopes_up_to(other))
