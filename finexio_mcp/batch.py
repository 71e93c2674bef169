"""The rows of a batch that was not submitted: only what can be an invoice number is repeated."""

from __future__ import annotations

from typing import Any

from finexio_mcp.shapes import is_array, is_object
from finexio_mcp.tools.invoices import NUMBER

MAX_NUMBER_CHARS = 49


def rows_of_failure(arguments: Any) -> list[dict[str, Any]]:
    """A row for each invoice that has a number. What was refused may be any text."""
    invoices = arguments.get("invoices") if is_object(arguments) else None
    named = [row for row in invoices if is_object(row)] if is_array(invoices) else []
    return [{"invoice_number": row["invoice_number"]} for row in named if _is_number(row.get("invoice_number"))]


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NUMBER_CHARS and NUMBER.fullmatch(value) is not None
