"""The scopes of OAuth tokens, and the access that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from finexio_mcp.settings import ACCESS_ORDER, Access

SCOPES: Final[Mapping[Access, str]] = {access: f"finexio:{access}" for access in ACCESS_ORDER}
"""From the least to the most; each includes those before it."""


def access_of(scopes: Iterable[str]) -> Access | None:
    """What these scopes allow: the highest of ours counts, others mean nothing here."""
    present = set(scopes)
    return next((access for access in reversed(ACCESS_ORDER) if SCOPES[access] in present), None)


def scopes_up_to(access: Access) -> tuple[str, ...]:
    """The scopes that this access comes to."""
    return tuple(SCOPES[each] for each in ACCESS_ORDER[: ACCESS_ORDER.index(access) + 1])


def lesser(one: Access, other: Access) -> Access:
    """What both allow."""
    return one if ACCESS_ORDER.index(one) <= ACCESS_ORDER.index(other) else other
