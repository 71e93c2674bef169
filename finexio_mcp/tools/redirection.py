"""Changes that decide where money goes: what the caller is told, and what to do when Finexio does not allow them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finexio_mcp.errors import FinexioError, PermissionDenied, Rejected
from finexio_mcp.shapes import is_array

PAYEE = ("payment_method", "bank_account_number", "bank_routing_number")
"""Fields of a supplier that decide who gets the money."""
PAYEE_ADDRESS = (
    "care_of",
    "remit_address_1",
    "remit_address_2",
    "remit_city",
    "remit_state",
    "remit_zipcode",
    "remit_country",
    "remit_email",
)
"""Fields of a supplier that decide where a check or a card is sent."""
PAYEE_CHANGE = (
    "This decides who gets the money: have the supplier confirm it by a phone number known from before, if that was "
    "not done."
)


def may_have_blanked(instead: str) -> str:
    """What to look at after a full replace; whether it blanks what it leaves out is not documented."""
    return f"A full replace may blank what it leaves out: look at `result`, and put back what is gone with {instead}."


def changes_any(fields: tuple[str, ...], arguments: dict[str, Any]) -> bool:
    """Whether raw arguments give one of these fields a value, or empty it."""
    cleared = arguments.get("clear")
    names: list[Any] = cleared if is_array(cleared) else []
    return any(arguments.get(name) or name in names for name in fields)


def explain_permission(fields: tuple[str, ...]) -> Callable[[FinexioError, dict[str, Any]], str | None]:
    """A way out for refusals that may be about these fields, which Finexio lets only some users change."""

    def way_out(error: FinexioError, arguments: dict[str, Any]) -> str | None:
        risky = [name for name in fields if name in arguments]
        unexplained = isinstance(error, Rejected) and not any(problem.field for problem in error.problems)
        if risky and (unexplained or isinstance(error, PermissionDenied)):
            names = ", ".join(risky)
            return f"Changing {names} may need a permission that Finexio grants to an API user; ask Finexio for it."
        return None

    return way_out
