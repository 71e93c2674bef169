"""Whether a supplier can be paid as Finexio has it, and what it lacks if not."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any, get_args

from finexio_mcp.errors import Problem
from finexio_mcp.guards.cleaning import clean
from finexio_mcp.shapes import CONTAINERS, is_object
from finexio_mcp.tools.conditions import is_blank
from finexio_mcp.tools.suppliers import TO_BE_PAID, DeliveryMethod, PaymentMethod

MAX_SHOWN_CHARS = 200

METHODS: tuple[str, ...] = get_args(PaymentMethod)
DELIVERIES: tuple[str, ...] = get_args(DeliveryMethod)

SHOWN = ("id", "external_reference_id", "name", "payment_method")
NEEDED = frozenset({*SHOWN, "enabled", *(name for rule in TO_BE_PAID for name in (*rule.deciding, *rule.fields))})
"""All that a judgement needs."""
DEFAULTS = {"remit_country": "USA", "enabled": True}
"""Finexio's, where it does not show a field."""

SWITCHED_OFF = "is false, so this supplier is switched off at Finexio; ask Finexio to switch it on"
NO_METHOD = f"is required; say how this supplier is paid: {', '.join(METHODS[:-1])} or {METHODS[-1]}"
NOT_KNOWN = "holds something that is not known here, so nothing follows from it; ask Finexio"
NOT_SHOWN = "is not shown by Finexio, so nobody here can tell whether it is there; look in Finexio's portal"
NO_TEXT = "(no text)"
NO_RECORD = "Finexio gave something that is no supplier; ask Finexio"


@dataclass(frozen=True)
class Finding:
    """A supplier who cannot be paid, or of whom that cannot be said."""

    id: str | None
    external_reference_id: str | None
    name: str | None
    payment_method: str | None
    problems: tuple[Problem, ...]
    judged: bool
    """Whether it is certain."""


def judge(row: Any) -> Finding | None:
    """What keeps a supplier from being paid; None if nothing does.

    Numbers of banks may be masked: only whether they are there matters. A value of a kind that is not known here, and
    one that Finexio does not show, neither fulfils a rule nor breaks it: what hangs on it is not judged.
    """
    if not is_object(row):
        return Finding(None, None, None, None, (Problem("", NO_RECORD),), judged=False)
    row = {**DEFAULTS, **row}
    record = {name: value for name in NEEDED if not is_blank(value := row.get(name))}
    clear = {name: value for name, value in record.items() if _is_clear(name, value)}
    unclear = dict.fromkeys(record.keys() - clear.keys(), NOT_KNOWN) | dict.fromkeys(NEEDED - row.keys(), NOT_SHOWN)
    lacking = [*_lacking(clear, unclear.keys())]
    if "enabled" in unclear:
        lacking.append(Problem("enabled", NOT_KNOWN))
    if not lacking:
        return None
    certain = any(problem.field not in unclear for problem in lacking)
    return Finding(
        *(_text(record.get(name)) for name in SHOWN),
        problems=tuple(Problem(name, unclear.get(name, why)) for name, why in lacking),
        # Without its method nothing is known of a supplier, not even that being switched off matters.
        judged=certain and "payment_method" not in unclear,
    )


def _lacking(clear: dict[str, Any], unclear: Set[str]) -> Iterator[Problem]:
    if clear.get("enabled") is False:
        yield Problem("enabled", SWITCHED_OFF)
    if "payment_method" not in clear:
        yield Problem("payment_method", NO_METHOD)
    for rule in TO_BE_PAID:
        if unclear.isdisjoint(rule.deciding):
            yield from rule.unmet(clear)


def _is_clear(name: str, value: Any) -> bool:
    """Whether a value is of a kind that the rules speak of."""
    match name:
        case "enabled":
            return isinstance(value, bool)
        case "payment_method":
            return value in METHODS
        case "delivery_method":
            return value in DELIVERIES
        case _:
            return isinstance(value, str | int) and not isinstance(value, bool)


def _text(value: Any) -> str | None:
    """For people, on one line, whatever it was."""
    if value is None:
        return None
    if isinstance(value, CONTAINERS):
        return NO_TEXT
    return clean(str(value), limit=MAX_SHOWN_CHARS, single_line=True)
